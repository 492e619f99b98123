//! The state that every request can reach.

use std::sync::{Arc, OnceLock};

use metrics_exporter_prometheus::PrometheusHandle;
use quickdraw_domain::Timestamp;
use quickdraw_domain::source::{Addresses, Source};
use quickdraw_engine::Engine;
use quickdraw_store::SharedStore;

use crate::aside::Aside;
use crate::audit::{Changes, Readings};
use crate::auth::Actors;
use crate::body::Rooms;
use crate::limit::{ByHandLimit, Limits};
use crate::memory::Memory;
use crate::params::Known;
use crate::places::{Places, Shares};
use crate::receive::gates::Gates;
use crate::streams::Streams;
use crate::telemetry::KEYS_WAITING;

/// Keys of client certificates that are being opened, or wait for that.
pub(crate) const KEYS: Shares = Shares { all: 16, of_admins: 2, of_namespace: 6, of_scope: 3, of_user: 2 };
/// Readings of insights that are made at once.
const MEASURED_AT_ONCE: usize = 4;

/// The application.
pub struct App {
    /// The journal, the dispatcher and insights, with their context.
    pub engine: Arc<Engine>,
    /// The sources.
    pub(crate) gates: Gates,
    /// Reverse proxies whose word on whom they speak for is taken.
    pub trusted_proxies: Addresses,
    /// Base URL under which we are reached, without a slash at its end.
    pub external_url: String,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Room for bodies.
    pub(crate) bodies: Rooms,
    /// Room for trees of parameters and for large answers.
    pub(crate) memory: Memory,
    /// Open streams.
    pub(crate) streams: Streams,
    /// Places for keys that are opened, and their turns.
    pub(crate) keys: (Arc<Places>, Aside),
    /// Turns for what is measured.
    pub(crate) measuring: Aside,
    /// The users of tokens that were used a moment ago.
    pub(crate) actors: Actors,
    /// Changes under way, which continue when their client hangs up.
    pub(crate) changes: Changes,
    /// Readings of bodies that were written down lately.
    pub(crate) readings: Readings,
    /// How often people tested and resent lately.
    pub(crate) by_hand: ByHandLimit,
    /// The operator's choices.
    pub limits: Limits,
    /// The parameters of each operation, from when requests are served on.
    pub(crate) known: OnceLock<Known>,
}

impl App {
    /// Puts the application together.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        source: Source,
        trusted_proxies: Addresses,
        external_url: String,
        metrics: PrometheusHandle,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            engine,
            gates: Gates::new(source),
            trusted_proxies,
            external_url,
            metrics,
            bodies: Rooms::new(),
            memory: Memory::new(),
            streams: Streams::new(),
            keys: (Places::new(KEYS, KEYS_WAITING), Aside::new(1)),
            measuring: Aside::new(MEASURED_AT_ONCE),
            actors: Actors::default(),
            changes: Changes::default(),
            readings: Readings::default(),
            by_hand: ByHandLimit::new(limits),
            limits,
            known: OnceLock::new(),
        })
    }

    /// Ends the streams: they would go on for ever, and a client that follows one continues where it was.
    pub fn close_streams(&self) {
        self.streams.close();
    }

    /// Waits for changes whose senders may have hung up. Called when nobody is let in any more.
    pub async fn finish(&self) {
        self.changes.finish().await;
    }

    /// The store, for reading and for what people configure.
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
