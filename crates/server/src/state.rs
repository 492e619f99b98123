//! The state that every request can use.

use std::sync::{Arc, OnceLock};

use metrics_exporter_prometheus::PrometheusHandle;
use quickdraw_domain::Timestamp;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::source::Addresses;
use quickdraw_engine::Engine;
use quickdraw_engine::oidc::Oidc;
use quickdraw_store::SharedStore;
use quickdraw_store::access::Actor;

use crate::aside::HeavyWork;
use crate::audit;
use crate::auth::Access;
use crate::body::BodyMemory;
use crate::inspectors::Inspectors;
use crate::limit::{Limits, ManualLimit};
use crate::memory::Memory;
use crate::params::Known;
use crate::passwords::Passwords;
use crate::places::{Requester, SharedPermits, Shares};
use crate::portals::Portals;
use crate::process::Process;
use crate::receive::{DefaultSource, Sources};
use crate::sessions::Sessions;
use crate::streams::Streams;
use crate::telemetry::KEYS_WAITING;

/// Limits on requests whose client certificate is being opened, or that wait for it.
pub(crate) const KEYS: Shares = Shares {
    all: 16,
    of_admins: 2,
    of_namespace: 6,
    of_scope: 3,
    of_user: 2,
};
/// Number of questions about insights that are computed at once.
const CALCULATIONS_AT_ONCE: usize = 4;

/// How people reach this server and sign in.
pub struct Entrance {
    /// Base URL of this server, without a slash at its end.
    pub external_url: String,

    /// More host names at which browsers may open the pages.
    pub host_names: Vec<String>,

    /// Origins whose pages may show the pages of a portal session in an iframe.
    pub portal_origins: Vec<String>,

    /// The OpenID Connect provider, if there is one.
    pub oidc: Option<Oidc>,
}

/// The application.
pub struct App {
    /// The pipeline and the workers.
    pub engine: Arc<Engine>,

    /// The sources.
    pub(crate) sources: Arc<Sources>,

    /// Base URL of this server, without a slash at its end.
    pub external_url: String,

    /// More host names at which browsers may open the pages.
    pub(crate) host_names: Vec<String>,

    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,

    /// True if `/metrics` requires a token.
    pub(crate) metrics_token_required: bool,

    /// Memory for request bodies.
    pub(crate) bodies: Arc<BodyMemory>,

    /// Memory for parameter trees and large answers.
    pub(crate) memory: Memory,

    /// Open streams.
    pub(crate) streams: Streams,

    /// Permits for requests that open the key of a client certificate, and the limit on opening them.
    pub(crate) keys: (Arc<SharedPermits>, HeavyWork),

    /// Limit on questions about insights that are computed at once.
    pub(crate) calculations: HeavyWork,

    /// Inspectors.
    pub(crate) inspectors: Inspectors,

    /// Users and roles.
    pub(crate) access: Arc<Access>,

    /// The passwords of local accounts.
    pub(crate) passwords: Arc<Passwords>,

    /// Portal sessions.
    pub(crate) portals: Portals,

    /// The OpenID Connect provider, if there is one.
    pub(crate) oidc: Option<Oidc>,

    /// Sessions of people who are signed in with a browser.
    pub(crate) sessions: Sessions,

    /// The audit log.
    pub(crate) audit: Arc<audit::Log>,

    /// Counts of recent tests and resends.
    pub(crate) manual: ManualLimit,

    /// Limits that the operator sets.
    pub limits: Limits,

    /// Facts about this process; set by the program that starts it.
    process: OnceLock<Process>,

    /// The parameters of each operation; set when the router is built.
    pub(crate) known: OnceLock<Known>,
}

impl App {
    /// Creates the application.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        source: DefaultSource,
        trusted_proxies: Addresses,
        entrance: Entrance,
        metrics: PrometheusHandle,
        metrics_token_required: bool,
        limits: Limits,
    ) -> Arc<Self> {
        let Entrance {
            external_url,
            host_names,
            portal_origins,
            oidc,
        } = entrance;
        let bodies = Arc::new(BodyMemory::new());
        let sources = Sources::new(
            Arc::clone(&engine),
            source,
            trusted_proxies.clone(),
            Arc::clone(&bodies),
        );

        let inspectors = Inspectors::new(trusted_proxies.clone());
        let access = Access::new(Arc::clone(&engine.context));
        let passwords = Passwords::new(Arc::clone(&engine.context));
        let is_secure = external_url.starts_with("https://");
        let portals = Portals::new(Arc::clone(&engine.context), is_secure, portal_origins);
        let sessions = Sessions::new(Arc::clone(&engine.context), is_secure, trusted_proxies.clone());
        let audit = audit::Log::new(Arc::clone(&engine.context), trusted_proxies);

        Arc::new(Self {
            engine,
            sources,
            external_url,
            host_names,
            metrics,
            metrics_token_required,
            bodies,
            memory: Memory::new(),
            streams: Streams::new(),
            keys: (SharedPermits::new(KEYS, KEYS_WAITING), HeavyWork::new(1)),
            calculations: HeavyWork::new(CALCULATIONS_AT_ONCE),
            inspectors,
            access,
            passwords,
            portals,
            oidc,
            sessions,
            audit,
            manual: ManualLimit::new(limits),
            limits,
            process: OnceLock::new(),
            known: OnceLock::new(),
        })
    }

    /// True if browsers reach the server over TLS only.
    pub(crate) fn is_secure(&self) -> bool {
        self.external_url.starts_with("https://")
    }

    /// Sets the facts about this process. Only the first call has an effect.
    pub fn set_process(&self, process: Process) {
        // It is set once, before the first request.
        let _ = self.process.set(process);
    }

    /// Facts about this process.
    pub(crate) fn process(&self) -> &Process {
        self.process.get_or_init(Process::default)
    }

    /// Ends all streams, which would otherwise never end. Clients reconnect and continue at their position.
    pub fn close_streams(&self) {
        self.streams.close();
    }

    /// Logs requests over a rate limit that no log line has counted yet, at most once a minute for each source. It is
    /// called every few seconds.
    pub fn log_refusals(&self) {
        self.sources.log_due_refusals();
    }

    /// Waits for changes whose clients may have disconnected, and logs the last requests over a rate limit. It is
    /// called when no request is accepted any more.
    pub async fn finish(&self) {
        self.sources.log_all_refusals();
        self.audit.finish().await;
    }

    /// A user as a holder of permits for a project or group.
    pub(crate) fn requester(&self, actor: &Actor, scope: Scope) -> Requester {
        Requester::new(&self.engine.context.directory(), actor, scope)
    }

    /// The store, for reads and for settings that the API changes.
    #[must_use]
    pub fn store(&self) -> &SharedStore {
        self.engine.context.store()
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.engine.context.clock().now()
    }
}
