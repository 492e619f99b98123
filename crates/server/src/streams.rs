//! Limits on open streams: their number, their memory, and their reads of the store.

pub(crate) mod open;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use self::open::OpenStreams;
use crate::places::{SharedPermits, Shares};
use crate::telemetry::STREAMS;

/// Limits on the open streams of a node. Each one is a permanent connection.
pub(crate) const SHARES: Shares = Shares {
    all: 100,
    of_admins: 10,
    of_namespace: 50,
    of_scope: 20,
    of_user: 10,
};
/// Memory in KiB for the bodies of streams. Each body is in memory several times: packed, unpacked, as JSON, and as
/// it is sent.
const BODIES_KIB: u32 = 256 << 10;
const COPIES: usize = 4;
/// Number of reads of the store at once, so that streams leave database connections for deliveries.
const LOOKS: usize = 2;

/// The streams of a node.
pub(crate) struct Streams {
    /// Permits for open streams.
    pub(crate) permits: Arc<SharedPermits>,

    /// The open streams of the journal.
    pub(crate) open: Arc<OpenStreams>,
    bodies: Arc<Semaphore>,
    looks: Semaphore,
    closing: watch::Sender<bool>,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self {
            permits: SharedPermits::new(SHARES, STREAMS),
            open: Arc::default(),
            bodies: Arc::new(Semaphore::new(BODIES_KIB as usize)),
            looks: Semaphore::new(LOOKS),
            closing: watch::Sender::new(false),
        }
    }

    /// Acquires memory for a body of the given size, until it is sent.
    pub(crate) async fn memory(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from((bytes * COPIES).div_ceil(1 << 10))
            .unwrap_or(u32::MAX)
            .min(BODIES_KIB);
        self.bodies.clone().acquire_many_owned(wanted).await.ok()
    }

    /// Acquires a permit to read the store.
    pub(crate) async fn look(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.looks.acquire().await.ok()
    }

    /// Becomes true when streams must end.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }
}
