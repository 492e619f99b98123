//! What open streams may cost: how many there are, in all and of one user, and what they may keep and read at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::places::{Places, Shares};
use crate::telemetry::STREAMS;

/// Streams of a node: each is a connection that stays.
pub(crate) const SHARES: Shares = Shares { all: 100, of_admins: 10, of_namespace: 50, of_scope: 20, of_user: 10 };
/// What their bodies may take in memory, in KiB. Each is there several times: packed, unpacked, as JSON and as it is sent.
const BODIES_KIB: u32 = 256 << 10;
const COPIES: usize = 4;
/// Looks into the store at once, so that those who follow leave connections to deliveries.
const LOOKS: usize = 2;

/// The streams of a node.
pub(crate) struct Streams {
    /// The places for them.
    pub(crate) places: Arc<Places>,
    bodies: Arc<Semaphore>,
    looks: Semaphore,
    closing: watch::Sender<bool>,
}

impl Streams {
    pub(crate) fn new() -> Self {
        Self {
            places: Places::new(SHARES, STREAMS),
            bodies: Arc::new(Semaphore::new(BODIES_KIB as usize)),
            looks: Semaphore::new(LOOKS),
            closing: watch::Sender::new(false),
        }
    }

    /// Room for a body of so many bytes, kept until it is sent.
    pub(crate) async fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = u32::try_from((bytes * COPIES).div_ceil(1 << 10)).unwrap_or(u32::MAX).min(BODIES_KIB);
        self.bodies.clone().acquire_many_owned(wanted).await.ok()
    }

    /// Leave to look into the store.
    pub(crate) async fn look(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.looks.acquire().await.ok()
    }

    /// Turns true when streams have to end.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }
}
