//! Work beside the threads that answer others: so much at once, whoever still waits for it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::error::ApiError;

/// Turns for work of one kind.
pub(crate) struct Aside(Arc<Semaphore>);

/// A turn. It lasts until the work has ended, also when nobody waits for that any more.
pub(crate) struct Turn(OwnedSemaphorePermit);

impl Aside {
    pub(crate) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Waits for a turn. What the work needs is read when it has come, so that what waits holds nothing.
    pub(crate) async fn turn(&self) -> Result<Turn, ApiError> {
        // Never closed.
        let permit = Arc::clone(&self.0).acquire_owned().await;
        permit.map(Turn).map_err(|error| ApiError::internal(error.into()))
    }
}

impl Turn {
    /// Runs the work on a thread for it.
    pub(crate) fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        tokio::task::spawn_blocking(move || {
            let made = work();
            drop(self.0);
            made
        })
    }
}

/// Bodies beyond that take a while to check, read and pack: that happens on a thread where nobody else waits.
const LARGE: usize = 256 << 10;

/// Whether a body is so large that it is worth a thread.
pub(crate) const fn is_large(bytes: usize) -> bool {
    bytes > LARGE
}

/// Does what has to do with a body of so many bytes. How many there are at once is bounded by the memory of bodies.
pub(crate) async fn by_weight<T: Send + 'static>(bytes: usize, work: impl Future<Output = T> + Send + 'static) -> T {
    let has_threads = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if !is_large(bytes) || !has_threads {
        return work.await;
    }
    let mut work = pin!(work);
    // The thread is this work's only while it computes. While it waits, for a turn or for the store, it holds none: those for which it
    // waits need threads too.
    poll_fn(|context| tokio::task::block_in_place(|| work.as_mut().poll(context))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_lasts_until_its_work_has_ended() {
        let aside = Aside::new(1);
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let turn = aside.turn().await.expect("a turn");
        // Whoever asked has gone: nobody waits for the end of it.
        drop(turn.run(move || begun.recv()));
        assert!(aside.0.try_acquire().is_err(), "it goes on");
        begin.send(()).expect("it waits");
        let turn = aside.turn().await.expect("the next turn");
        assert_eq!(turn.run(|| 7).await.expect("it ends"), 7);
    }
}
