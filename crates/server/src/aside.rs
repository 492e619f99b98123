//! Runs heavy work off the request threads, with a limit on how much runs at once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use crate::error::ApiError;

/// Limits how much work of one kind runs at once.
pub(crate) struct HeavyWork(Arc<Semaphore>);

/// A permit to run. It lasts until the work has ended, even if the request has ended before.
pub(crate) struct HeavyPermit(OwnedSemaphorePermit);

impl HeavyWork {
    pub(crate) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Waits for a permit. Data for the work should be read afterwards, so that waiting requests hold no memory.
    pub(crate) async fn acquire(&self) -> Result<HeavyPermit, ApiError> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.0).acquire_owned().await;
        permit
            .map(HeavyPermit)
            .map_err(|error| ApiError::internal(error.into()))
    }
}

impl HeavyPermit {
    /// Runs the work on a blocking thread.
    pub(crate) fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        tokio::task::spawn_blocking(move || {
            let made = work();
            drop(self.0);
            made
        })
    }
}

/// Size in bytes above which a body is checked, read and packed on a thread on which no other request waits.
const LARGE: usize = 256 << 10;

/// Checks whether a body is large enough to be worth a thread.
pub(crate) const fn is_large(bytes: usize) -> bool {
    bytes > LARGE
}

/// Runs work on a body of the given size, on a thread of its own if the body is large. The memory for bodies limits
/// how many run at once.
pub(crate) async fn by_weight<T: Send + 'static>(bytes: usize, work: impl Future<Output = T> + Send + 'static) -> T {
    let has_threads = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if !is_large(bytes) || !has_threads {
        return work.await;
    }

    let mut work = pin!(work);
    // The work occupies the thread only while it computes. While it waits for a permit or for the store, it holds no
    // thread, because the work that it waits for needs threads as well.
    poll_fn(|context| tokio::task::block_in_place(|| work.as_mut().poll(context))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_lasts_until_its_work_has_ended() {
        let aside = HeavyWork::new(1);
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let permit = aside.acquire().await.expect("a permit");
        // The request has gone, and no task waits for the result.
        drop(permit.run(move || begun.recv()));
        assert!(aside.0.try_acquire().is_err(), "it goes on");
        begin.send(()).expect("it waits");

        let permit = aside.acquire().await.expect("the next permit");
        assert_eq!(permit.run(|| 7).await.expect("it ends"), 7);
    }
}
