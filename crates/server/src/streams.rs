//! What open streams may cost: how many there are, in all and of one user, and what they may keep and read at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::telemetry::STREAMS;

/// Streams of a node: each is a connection that stays.
const MOST: usize = 100;
/// Streams of one user.
const MOST_OF_ONE: usize = 10;
/// What their bodies may take in memory, in KiB. Each is there several times: packed, unpacked, as JSON and as it is sent.
const BODIES_KIB: u32 = 256 << 10;
const COPIES: usize = 4;
/// Looks into the store at once, so that those who follow leave connections to deliveries.
const LOOKS: usize = 2;

/// The streams of a node.
pub(crate) struct Streams {
    open: Mutex<HashMap<i64, usize>>,
    bodies: Arc<Semaphore>,
    looks: Semaphore,
    closing: watch::Sender<bool>,
}

/// Why no more stream can be opened.
pub(crate) enum Full {
    /// The node has too many.
    Node,
    /// This user has too many.
    User,
}

/// A stream's seat; given back when it ends.
pub(crate) struct Seat {
    streams: Arc<Streams>,
    user: i64,
}

impl Streams {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            bodies: Arc::new(Semaphore::new(BODIES_KIB as usize)),
            looks: Semaphore::new(LOOKS),
            closing: watch::Sender::new(false),
        })
    }

    /// Opens one for a user.
    pub(crate) fn enter(self: &Arc<Self>, user: i64) -> Result<Seat, Full> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= MOST {
            return Err(Full::Node);
        }
        let own = open.entry(user).or_default();
        if *own >= MOST_OF_ONE {
            return Err(Full::User);
        }
        *own += 1;
        metrics::gauge!(STREAMS).increment(1.0);
        Ok(Seat { streams: Arc::clone(self), user })
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

impl Drop for Seat {
    fn drop(&mut self) {
        metrics::gauge!(STREAMS).decrement(1.0);
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.user);
            }
        }
    }
}
