//! From settings to parts: keys and tokens on first start, the store, the engine.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use anyhow::Context;
use quickdraw_domain::guard::{self, OwnAddresses};
use quickdraw_domain::signature::TokenDigest;
use quickdraw_domain::source::{ActiveSecret, Source};
use quickdraw_domain::{Secret, SourceId, Timestamp};
use quickdraw_egress::{Client, Hickory, Limits, Mailer, Resolve, Trust, own_addresses};
use quickdraw_engine::delivery::transport::Guarded;
use quickdraw_engine::oidc::{self, Oidc};
use quickdraw_engine::{Engine, Settings, System};
use quickdraw_server::DefaultSource;
use quickdraw_store::SharedStore;
use sha2::{Digest, Sha256};

use crate::first_start::FirstStart;
use crate::private_file;
use crate::settings::{Config, read_trust, refusal, secrets};
use crate::system::{now, random};

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
        config.server.root_token.expose().to_owned()
    } else if file.exists() {
        private_file::read(&file)?
    } else if first.continues {
        return Ok(());
    } else {
        let token = new_token()?;
        private_file::write(&file, &token)?;
        first.made_secret("administrator's token", &file, &token);

        token
    };
    secrets::check_root_token("the administrator's token", &token)?;

    let digest = *TokenDigest::new(token.as_bytes()).as_bytes();
    // It cannot be taken back or rotated over the API, only replaced where it comes from: so what is known here is
    // good.
    if store.find_actor(digest, now()).await?.is_none() {
        store.set_root_token(digest, now()).await?;
    }

    Ok(())
}

/// The default source. Without a secret in the settings it has one that was made once and is the same on every node:
/// the store has it sealed, and a file in the data folder shows it. A file with another one, from before nodes shared
/// theirs, is good as well.
pub(crate) async fn source(
    config: &Config,
    store: &SharedStore,
    first: &mut FirstStart,
) -> anyhow::Result<DefaultSource> {
    let file = config.server.data_dir.join("webhook-secret");
    let mut known = Vec::new();

    if !config.source.secret.is_empty() {
        known.push(config.source.secret.expose().to_owned());
    } else {
        let kept = if file.exists() {
            Some(private_file::read(&file)?)
        } else {
            None
        };
        if let Some(kept) = &kept {
            secrets::check_carried("the secret of the default source", kept)?;
        }

        let made = hex::encode(random::<32>()?);
        let offered = Secret::new(kept.clone().unwrap_or_else(|| made.clone()));
        let shared = store.default_secret(offered).await?.expose().to_owned();

        if kept.is_none() {
            private_file::write(&file, &shared)?;
            if shared == made {
                first.made_secret("GITLAB_WEBHOOK_SECRET", &file, &shared);
            }
        }

        // The shared secret is the first one, which is shown.
        known.push(shared.clone());
        known.extend(kept.filter(|kept| *kept != shared));
    }

    let mut secrets = Vec::new();
    for secret in known {
        secrets::check_carried("the secret of the default source", &secret)?;
        secrets.push(ActiveSecret {
            secret: Secret::new(secret),
            until: None,
        });
    }

    if !config.source.signing_token.is_empty() {
        let secret = Secret::new(config.source.signing_token.expose());
        secrets.push(ActiveSecret { secret, until: None });
    }

    let settings = &config.source;
    let source = Source {
        id: SourceId(1),
        key: String::new(),
        name: "default".to_owned(),
        mode: settings.mode,
        secrets,
        window: settings.window.0,
        addresses: settings.read_addresses()?,
        per_minute: settings.rate_limit.0,
        sender_per_minute: settings.sender_rate_limit.0,
        body_limit: settings.read_body_limit()?,
        deduplicate: settings.deduplicate,
        created_at: Timestamp::default(),
        updated_at: Timestamp::default(),
    };

    Ok(DefaultSource {
        source,
        secret_is_set: !config.source.secret.is_empty(),
    })
}

/// Notes which GitLab the default source is for. Where the settings do not name it, what is noted stays.
pub(crate) async fn bind(config: &Config, source: &Source, store: &SharedStore) -> anyhow::Result<()> {
    if let Some(bound) = config.source.read_instance()? {
        store.set_instance(source.id, Some(bound)).await?;
    }

    Ok(())
}

/// The rules for destinations.
pub(crate) fn guard(config: &Config) -> anyhow::Result<guard::Settings> {
    Ok(config.guard.rules(own(config))?)
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

/// The OpenID Connect provider, if the settings name one. It is called directly, because the proxy of deliveries may
/// not reach it, and without the client certificate of deliveries.
pub(crate) fn oidc(config: &Config) -> anyhow::Result<Option<Oidc>> {
    if !config.oidc.is_enabled() {
        return Ok(None);
    }

    let trust = read_trust(&config.delivery).map_err(|problems| refusal(&problems))?;
    let trust = Trust {
        roots: trust.roots,
        identity: None,
    };

    let resolver = Hickory::from_system().context("failed to read the system's resolver settings")?;
    let client = Client::new(oidc::limits(), Arc::new(resolver), trust).context("failed to set TLS up")?;
    Ok(Some(Oidc::new(
        config.oidc.clone(),
        &config.server.external_url,
        client,
    )))
}

/// The engine. Its workers do not run yet.
pub(crate) async fn engine(config: &Config, store: SharedStore, listening: SocketAddr) -> anyhow::Result<Arc<Engine>> {
    let delivery = &config.delivery;
    let guard = Arc::new(guard(config)?);

    let settings = Settings {
        policies: Arc::new(delivery.policies()),
        guard: guard.clone(),
        permits: delivery.permits(),
        deadline: delivery.timeout.0,
        answer_within: config.database.answer_within.0,
        lease: delivery.lease.0,
        instance: config.server.external_url.clone(),
        upload_links: config.server.upload_links,
        retention: config.history.retention.0,
        silent: delivery.silent,
        while_disabled: delivery.while_disabled(),
        per_minute: config.limits.deliveries_per_minute,
        shown_refs: config.telemetry.shown_refs()?,
        incident_labels: config.insights.incident_labels.iter().cloned().collect(),
        recipient_domains: config
            .mail
            .recipient_domains
            .iter()
            .map(|domain| domain.to_ascii_lowercase())
            .collect(),
    };
    let resolver = Hickory::from_system().context("failed to read the system's resolver settings")?;
    let resolver: Arc<dyn Resolve> = Arc::new(resolver);
    let deadline = delivery.timeout.0;

    let limits = Limits {
        deadline,
        connect: Limits::default().connect.min(deadline),
        ..Limits::default()
    };

    let trust = read_trust(delivery).map_err(|problems| refusal(&problems))?;
    let mailer = mailer(config, &resolver, &trust)?;
    let client = Client::new(limits, resolver, trust).context("failed to set TLS up")?;
    let client = match delivery.read_proxy()? {
        Some(proxy) => client.through(proxy),
        None => client,
    };
    let transport = Guarded::new(client, guard).with_mailer(mailer).listening_on(listening);
    let transport = Arc::new(transport);

    Engine::new(store, transport, Arc::new(System::default()), settings).await
}

/// The client of the mail server, if one is set.
fn mailer(config: &Config, resolver: &Arc<dyn Resolve>, trust: &Trust) -> anyhow::Result<Option<Mailer>> {
    let external = url::Url::parse(&config.server.external_url).ok();
    let hello = external.as_ref().and_then(url::Url::host_str);
    let Some(server) = config.mail.server(hello) else {
        return Ok(None);
    };

    let mailer = Mailer::new(server, Arc::clone(resolver), &trust.roots);
    mailer.map(Some).context("failed to set up TLS for mail")
}
