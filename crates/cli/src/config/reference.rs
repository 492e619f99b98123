//! What each setting means: the text of `quickdraw config reference` and of `docs/reference/settings.md`. A test holds
//! this list to the settings that there are.

/// Key and meaning; the defaults are shown from the code.
pub(crate) const REFERENCE: &[(&str, &str)] = &[
    ("server.listen", "Address and port to listen on. Short name: QUICKDRAW_LISTEN."),
    (
        "server.external_url",
        "Base URL under which others reach this server; sent as X-Gitlab-Instance. Without it, it is made from server.listen, \
         with the loopback address for all addresses. Short name: QUICKDRAW_EXTERNAL_URL.",
    ),
    (
        "server.upload_links",
        "Where uploaded images lead in composed bodies: project_path (<base>/<group>/<project>/uploads/…), or project_id \
         (<base>/-/project/<id>/uploads/…, as GitLab 19 does).",
    ),
    ("server.data_dir", "Folder for the SQLite file, the key and the tokens that are made on first start."),
    ("server.root_token", "The administrator's token, instead of one that is made. Short name: QUICKDRAW_ROOT_TOKEN."),
    (
        "server.key",
        "Sealing keys: 32 bytes in base64 each, separated by commas; the first one seals, all open. Short name: QUICKDRAW_KEY.",
    ),
    ("server.connections", "Most open connections."),
    ("server.connections_per_address", "Most open connections from one address. A reverse proxy is one address."),
    (
        "server.trusted_proxies",
        "Addresses and blocks of reverse proxies whose X-Forwarded-For is believed, such as [\"127.0.0.1\"].",
    ),
    ("database.url", "sqlite:path or postgres://user@host/name. Short name: QUICKDRAW_DATABASE_URL."),
    (
        "database.answer_within",
        "How long a request waits for a database that does not answer, before it is answered 503 with Retry-After.",
    ),
    (
        "source.secret",
        "Secret token of the default source, instead of one that is made. Short name: GITLAB_WEBHOOK_SECRET.",
    ),
    (
        "source.signing_token",
        "Signing token (whsec_…) of the default source. Short name: GITLAB_WEBHOOK_SIGNING_TOKEN.",
    ),
    ("source.mode", "What the default source wants: any (whatever is shown must be right), token, signature, or both."),
    ("source.window", "How far the time of a signature may be from ours, either way."),
    ("source.addresses", "Addresses and blocks that may post, such as [\"10.0.0.0/8\"]; everybody if there is none."),
    (
        "source.rate_limit",
        "Requests from one address (IPv6: one /64) to one source, such as 100/min; or off. A busy GitLab needs more.",
    ),
    (
        "source.deduplicate",
        "Whether an event that comes by way of a project's hook and a group's is delivered once. Both are stored.",
    ),
    ("source.body_limit", "Largest body that is received."),
    (
        "source.instance",
        "The GitLab that the default source is for, such as https://gitlab.example.com, or any. Empty: the first that a request names, from then on.",
    ),
    (
        "delivery.retry",
        "standard (5 attempts), gitlab (1), patient (up to 3 days), or a list of the longest pauses: [\"10s\", \"5m\"].",
    ),
    (
        "delivery.auto_disable",
        "published (the fourth failure in a row disables), current (GitLab 17.11 and later), or off.",
    ),
    (
        "delivery.while_disabled",
        "hold (events wait and are delivered when the hook is well again) or drop (as GitLab does).",
    ),
    ("delivery.hold_longest", "How long they are held; older ones are given up."),
    ("delivery.hold_most", "How many are held for one hook; the oldest beyond it are given up."),
    ("delivery.timeout", "One deadline over look-up, connecting, TLS, sending and the answer."),
    ("delivery.lease", "How long a claimed delivery belongs to one node; must be longer than the timeout."),
    ("delivery.in_flight", "Most attempts under way on this node; a third is reserved for first attempts."),
    ("delivery.in_flight_per_hook", "Most attempts under way for one hook."),
    ("delivery.tls_ca_file", "PEM file with certificate authorities of receivers, trusted beside the system's."),
    (
        "delivery.tls_client_cert_file",
        "PEM file with our certificate, those above it, and its key: shown to receivers that ask for one (mutual TLS).",
    ),
    ("delivery.tls_client_cert_password", "Password of the key in it, if it is encrypted (PKCS#8)."),
    (
        "delivery.proxy",
        "Proxy that all deliveries go through (CONNECT), as http://proxy.example.com:3128. The environment's is not used.",
    ),
    ("delivery.proxy_user", "User name for it."),
    ("delivery.proxy_password", "Password for it."),
    (
        "delivery.proxy_resolves",
        "Give it names instead of the addresses that were judged: only for a proxy that judges them itself.",
    ),
    ("delivery.in_flight_per_host", "Most attempts under way for one host and port."),
    (
        "guard.allow_local_networks",
        "Let loopback and private addresses be called. Metadata addresses stay refused. Short name: QUICKDRAW_ALLOW_LOCAL_NETWORKS.",
    ),
    ("guard.allowlist", "Names, addresses and blocks that may be called all the same, optionally with a port."),
    ("guard.deny_all_except_allowlist", "Refuse everything that is not on the allowlist."),
    ("guard.allowed_ports", "Only these ports may be called; without it, all but those of other protocols."),
    ("guard.https_only", "Refuse http:// URLs."),
    ("guard.nat64", "deny, or decode: judge the IPv4 address inside 64:ff9b::/96 (hosts with DNS64)."),
    ("limits.project_hooks", "Most hooks on one project."),
    ("limits.group_hooks", "Most hooks on one group; those of other groups do not count."),
    (
        "limits.by_hand_per_minute",
        "Tests, and likewise resends, that one user may ask for on one project or group; all its users together three times as many, all of a top-level group twelve times, and all but administrators on a node sixty times. 0 for no limit.",
    ),
    (
        "limits.deliveries_per_minute",
        "Deliveries a minute that project and group hooks under one top-level group may have, counted on each node; more are skipped. 0 for no limit.",
    ),
    ("history.retention", "How long events, deliveries and attempts are kept."),
    (
        "insights.incident_labels",
        "Labels that make an issue an incident beside incident, with their scoped ones, as outage and outage::major.",
    ),
    ("telemetry.log", "Log filter, such as info or quickdraw_engine=debug,info."),
    ("telemetry.log_format", "text or json."),
    (
        "telemetry.refs",
        "Whose last pipelines /metrics shows beside those of default branches: branches and tags, with * for any text, and open merge requests as !12 or !*.",
    ),
];
