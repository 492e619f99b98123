//! From settings to parts: keys and tokens on first start, the store, the engine.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quickdraw_domain::compose::UploadLinks;
use quickdraw_domain::guard::{self, Allowlist, OwnAddresses};
use quickdraw_domain::health::DisablePolicy;
use quickdraw_domain::hook::BranchFilter;
use quickdraw_domain::settle::Policies;
use quickdraw_domain::signature::TokenDigest;
use quickdraw_domain::source::{ActiveSecret, Addresses, BoundTo, Mode, Source};
use quickdraw_domain::{Secret, SourceId, Timestamp};
use quickdraw_egress::{Client, Hickory, Identity, Limits, Proxy, Trust, certificates, own_addresses};
use quickdraw_engine::delivery::transport::Guarded;
use quickdraw_engine::{Engine, PermitLimits, Settings, System, WhileDisabled};
use quickdraw_store::SharedStore;
use sha2::{Digest, Sha256};

use crate::config::{Config, Nat64, secrets};
pub(crate) use crate::first_start::{FirstStart, open_store};

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system has no randomness: {error}"))?;
    Ok(bytes)
}

/// A new API token: a prefix and a checksum, so that scanners find leaked ones, around 32 random bytes.
fn new_token() -> anyhow::Result<String> {
    let secret = hex::encode(random::<32>()?);
    let checksum = hex::encode(&Sha256::digest(secret.as_bytes())[..4]);
    Ok(format!("qdt_{secret}{checksum}"))
}

/// Sets the administrator's token from the settings, or makes one on the first start.
pub(crate) async fn root_token(config: &Config, store: &SharedStore, first: &mut FirstStart) -> anyhow::Result<()> {
    let file = config.server.data_dir.join("root-token");
    first.continues = store.has_root_token().await?;
    let token = if !config.server.root_token.is_empty() {
        config.server.root_token.clone()
    } else if file.exists() {
        read_private(&file)?
    } else if first.continues {
        return Ok(());
    } else {
        let token = new_token()?;
        write_private(&file, &token)?;
        first.made_secret("administrator's token", &file, &token);
        token
    };
    secrets::check_root_token("the administrator's token", &token)?;
    let digest = *TokenDigest::new(token.as_bytes()).as_bytes();
    // It cannot be taken back or rotated over the API, only replaced where it comes from: so what is known here is good.
    if store.find_actor(digest, now()).await?.is_none() {
        store.set_root_token(digest, now()).await?;
    }
    Ok(())
}

/// The default source. Without a secret in the settings it has one that was made once and is the same on every node: the store has
/// it sealed, and a file in the data folder shows it. A file with another one, from before nodes shared theirs, is good as well.
pub(crate) async fn source(config: &Config, store: &SharedStore, first: &mut FirstStart) -> anyhow::Result<Source> {
    let file = config.server.data_dir.join("webhook-secret");
    let mut known = Vec::new();
    if !config.source.secret.is_empty() {
        known.push(config.source.secret.clone());
    } else {
        let kept = if file.exists() { Some(read_private(&file)?) } else { None };
        if let Some(kept) = &kept {
            secrets::check_carried("the secret of the default source", kept)?;
        }
        let made = hex::encode(random::<32>()?);
        let offered = Secret::new(kept.clone().unwrap_or_else(|| made.clone()));
        let shared = store.default_secret(offered).await?.expose().to_owned();
        if kept.is_none() {
            write_private(&file, &shared)?;
            if shared == made {
                first.made_secret("GITLAB_WEBHOOK_SECRET", &file, &shared);
            }
        }
        known.extend(kept.filter(|kept| *kept != shared));
        known.push(shared);
    }
    let mut secrets = Vec::new();
    for secret in known {
        secrets::check_carried("the secret of the default source", &secret)?;
        secrets.push(ActiveSecret { secret: Secret::new(secret), until: None });
    }
    if !config.source.signing_token.is_empty() {
        let secret = Secret::new(config.source.signing_token.clone());
        secrets.push(ActiveSecret { secret, until: None });
    }
    let settings = &config.source;
    let (body_limit, most) = (usize::try_from(settings.body_limit.as_u64())?, quickdraw_store::payload::MAX_LEN);
    anyhow::ensure!(
        body_limit <= most,
        "source.body_limit is larger than {} MiB, the largest that is stored",
        most >> 20
    );
    Ok(Source {
        id: SourceId(1),
        key: String::new(),
        name: "default".to_owned(),
        mode: mode(&settings.mode)?,
        secrets,
        window: settings.window.0,
        addresses: Addresses::parse(settings.addresses.iter().map(String::as_str)).context("source.addresses")?,
        per_minute: per_minute(&settings.rate_limit)?,
        body_limit,
        deduplicate: settings.deduplicate,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    })
}

/// The GitLab that the default source is for, if the settings name it.
pub(crate) fn instance(config: &Config) -> anyhow::Result<Option<BoundTo>> {
    let text = &config.source.instance;
    if text.is_empty() {
        return Ok(None);
    }
    let bound = BoundTo::parse(text).map_err(|error| anyhow::anyhow!("source.instance {text:?} {error}"))?;
    Ok(Some(bound))
}

/// Notes which GitLab the default source is for. Where the settings do not name it, what is noted stays.
pub(crate) async fn bind(config: &Config, source: &Source, store: &SharedStore) -> anyhow::Result<()> {
    if let Some(bound) = instance(config)? {
        store.set_instance(source.id, Some(bound)).await?;
    }
    Ok(())
}

/// Which credentials the default source wants.
pub(crate) fn mode(word: &str) -> anyhow::Result<Mode> {
    Mode::by_word(word).with_context(|| format!("source.mode {word:?} is none of any, token, signature, both"))
}

/// `100/min` or `off`.
pub(crate) fn per_minute(text: &str) -> anyhow::Result<Option<u32>> {
    if text == "off" {
        return Ok(None);
    }
    let number = text.strip_suffix("/min").or_else(|| text.strip_suffix("/minute"));
    let number = number.and_then(|number| number.trim().parse::<u32>().ok()).filter(|number| *number > 0);
    number.map(Some).with_context(|| format!("source.rate_limit {text:?} is neither off nor a number such as 100/min"))
}

/// Reverse proxies that are believed.
pub(crate) fn trusted_proxies(config: &Config) -> anyhow::Result<Addresses> {
    Addresses::parse(config.server.trusted_proxies.iter().map(String::as_str)).context("server.trusted_proxies")
}

/// The rules for destinations. An allowlist entry that does not parse stops the start.
pub(crate) fn guard(config: &Config) -> anyhow::Result<guard::Settings> {
    let allowlist = Allowlist::parse(config.guard.allowlist.iter().map(String::as_str)).context("guard.allowlist")?;
    Ok(guard::Settings {
        allow_local_networks: config.guard.allow_local_networks,
        allowlist,
        deny_all_except_allowlist: config.guard.deny_all_except_allowlist,
        allowed_ports: config.guard.allowed_ports.clone(),
        https_only: config.guard.https_only,
        decode_nat64: config.guard.nat64 == Nat64::Decode,
        own: own(config),
    })
}

/// The addresses of a listener as the settings name it. A server goes by the one that it opened.
fn own(config: &Config) -> OwnAddresses {
    let own = OwnAddresses::default();
    let mut addresses = Vec::new();
    for listening in config.server.listen.to_socket_addrs().into_iter().flatten() {
        addresses.extend(own_addresses(listening).unwrap_or_else(|_| vec![listening]));
    }
    own.set(addresses);
    own
}

/// The rule that disables hooks.
pub(crate) fn disable_policy(config: &Config) -> anyhow::Result<DisablePolicy> {
    let name = &config.delivery.auto_disable;
    DisablePolicy::preset(name)
        .with_context(|| format!("delivery.auto_disable {name:?} is none of published, current, off"))
}

/// The fate of events while their hook is disabled.
pub(crate) fn while_disabled(config: &Config) -> anyhow::Result<WhileDisabled> {
    let delivery = &config.delivery;
    match delivery.while_disabled.as_str() {
        "hold" => Ok(WhileDisabled::Hold { longest: delivery.hold_longest.0, most: delivery.hold_most }),
        "drop" => Ok(WhileDisabled::Drop),
        other => anyhow::bail!("delivery.while_disabled {other:?} is none of hold, drop"),
    }
}

/// The deadline of an attempt, and the lease that has to outlast it.
pub(crate) fn timeout_and_lease(config: &Config) -> anyhow::Result<(Duration, Duration)> {
    let (timeout, lease) = (config.delivery.timeout.0, config.delivery.lease.0);
    anyhow::ensure!(
        lease >= timeout.saturating_add(Duration::from_secs(1)),
        "delivery.lease must be at least a second longer than delivery.timeout, or healthy attempts would be repeated"
    );
    Ok((timeout, lease))
}

/// How long somebody who waits for an answer waits for the store.
pub(crate) fn answer_within(config: &Config) -> anyhow::Result<Duration> {
    let within = config.database.answer_within.0;
    anyhow::ensure!(
        within >= Duration::from_millis(100),
        "database.answer_within is shorter than 100ms: a healthy commit can take as long"
    );
    Ok(within)
}

/// The engine. Its workers do not run yet.
pub(crate) async fn engine(config: &Config, store: SharedStore, listening: SocketAddr) -> anyhow::Result<Arc<Engine>> {
    let (disable, while_disabled) = (disable_policy(config)?, while_disabled(config)?);
    let (timeout, lease) = timeout_and_lease(config)?;
    let permits = PermitLimits {
        total: config.delivery.in_flight.max(3),
        reserved_for_first: config.delivery.in_flight / 3,
        per_hook: config.delivery.in_flight_per_hook.max(1),
        initial_per_hook: config.delivery.in_flight_per_hook.clamp(1, 4),
        per_host: config.delivery.in_flight_per_host.max(1),
    };
    let guard = Arc::new(guard(config)?);
    let settings = Settings {
        policies: Arc::new(Policies { retry: config.delivery.retry.policy()?, disable }),
        guard: guard.clone(),
        permits,
        deadline: timeout,
        answer_within: answer_within(config)?,
        lease,
        instance: config.server.external_url.clone(),
        upload_links: upload_links(config)?,
        retention: config.history.retention.0,
        while_disabled,
        per_minute: config.limits.deliveries_per_minute,
        shown_refs: shown_refs(config)?,
        incident_labels: config.insights.incident_labels.iter().cloned().collect(),
    };
    let resolver = Hickory::from_system().context("failed to read the system's resolver settings")?;
    let limits = Limits { deadline: timeout, connect: Limits::default().connect.min(timeout), ..Limits::default() };
    let client = Client::new(limits, Arc::new(resolver), trust(config)?).context("failed to set TLS up")?;
    let client = match proxy(config)? {
        Some(proxy) => client.through(proxy),
        None => client,
    };
    let transport = Arc::new(Guarded::new(client, guard).listening_on(listening));
    Engine::new(store, transport, Arc::new(System::default()), settings).await
}

/// The branches whose last pipelines are shown.
pub(crate) fn shown_refs(config: &Config) -> anyhow::Result<Vec<BranchFilter>> {
    let read = |pattern: &String| {
        anyhow::ensure!(!pattern.is_empty(), "telemetry.refs has an empty pattern; * stands for all");
        BranchFilter::parse("wildcard", Some(pattern)).with_context(|| format!("telemetry.refs: {pattern}"))
    };
    config.telemetry.refs.iter().map(read).collect()
}

/// The proxy that deliveries go through, if the settings name one.
pub(crate) fn proxy(config: &Config) -> anyhow::Result<Option<Proxy>> {
    let delivery = &config.delivery;
    if delivery.proxy.is_empty() {
        return Ok(None);
    }
    let example = "delivery.proxy is no address of a proxy, such as http://proxy.example.com:3128";
    let url = url::Url::parse(&delivery.proxy).context(example)?;
    let host = url.host_str().filter(|_| url.scheme() == "http" && url.path() == "/").context(example)?.to_owned();
    anyhow::ensure!(
        url.username().is_empty() && url.password().is_none(),
        "put the credentials of delivery.proxy into delivery.proxy_user and delivery.proxy_password"
    );
    let authorization = (!delivery.proxy_user.is_empty()).then(|| {
        let both = format!("{}:{}", delivery.proxy_user, delivery.proxy_password);
        format!("Basic {}", STANDARD.encode(both))
    });
    let port = url.port_or_known_default().unwrap_or(80);
    Ok(Some(Proxy { host, port, authorization, resolves: delivery.proxy_resolves }))
}

/// Authorities and a certificate of our own, from the files that the settings name.
pub(crate) fn trust(config: &Config) -> anyhow::Result<Trust> {
    let delivery = &config.delivery;
    let mut trust = Trust::default();
    let read = |file: &Path| std::fs::read(file).with_context(|| format!("failed to read {}", file.display()));
    if !delivery.tls_ca_file.as_os_str().is_empty() {
        let pem = read(&delivery.tls_ca_file)?;
        trust.roots = certificates(&pem).with_context(|| format!("{}", delivery.tls_ca_file.display()))?;
    }
    if !delivery.tls_client_cert_file.as_os_str().is_empty() {
        let pem = read(&delivery.tls_client_cert_file)?;
        let identity = Identity::from_pem(&pem, &delivery.tls_client_cert_password);
        trust.identity = Some(identity.with_context(|| format!("{}", delivery.tls_client_cert_file.display()))?);
    }
    Ok(trust)
}

/// Where uploaded images lead.
pub(crate) fn upload_links(config: &Config) -> anyhow::Result<UploadLinks> {
    let name = &config.server.upload_links;
    UploadLinks::by_name(name)
        .with_context(|| format!("server.upload_links {name:?} is none of project_path, project_id"))
}

/// The wall clock, for the time before there is an engine.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}

/// Writes a secret into a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    // Whole or not at all: an empty file would be an empty secret at the next start.
    let beside = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&beside);
    let mut file = opened.with_context(|| format!("failed to create {}", beside.display()))?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&beside, path).with_context(|| format!("failed to create {}", path.display()))
}

/// Reads a secret from a file, and refuses one that others could have read.
pub(crate) fn read_private(path: &Path) -> anyhow::Result<String> {
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    anyhow::ensure!(mode & 0o077 == 0, "{} can be read by others (mode {mode:o}); run chmod 600 on it", path.display());
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let text = text.trim().to_owned();
    anyhow::ensure!(text.len() >= 16, "{} holds no secret; delete it to have a new one made", path.display());
    Ok(text)
}
