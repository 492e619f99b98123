//! Whether the store answers. Every few seconds this node says that it is alive, which is a write; what becomes of that write
//! is what readiness and requests that wait go by.

use std::sync::Mutex;
use std::time::Duration;

use quickdraw_domain::Timestamp;
use quickdraw_store::Error;
use tokio::sync::watch;

use crate::belt::Belt;
use crate::{lock, outage};

/// Between two looks while all is well, and while it is not.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A store that takes longer for one small write does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// How the store stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoreStatus {
    /// Since when it does not answer; `None` while it does.
    pub failing_since: Option<Timestamp>,
    /// The last failure, also when it is over.
    pub last_error: Option<String>,
}

/// What the looks found.
#[derive(Default)]
pub(crate) struct StoreWatch(Mutex<StoreStatus>);

impl StoreWatch {
    fn looked(&self, began: Timestamp, failure: Option<&Error>) {
        let mut status = lock(&self.0);
        match failure {
            None => status.failing_since = None,
            Some(error) => {
                status.failing_since.get_or_insert(began);
                status.last_error = Some(error.to_string());
            }
        }
    }
}

impl Belt {
    /// How the store stood at the last look.
    #[must_use]
    pub fn store_status(&self) -> StoreStatus {
        lock(&self.store_watch.0).clone()
    }

    /// Waits for the store, but no longer than somebody who waits for an answer should. What was asked of the store may be done
    /// all the same.
    ///
    /// # Errors
    /// Those of the store, and `Unavailable` when it does not answer in time.
    pub async fn in_time<T, E: From<Error>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let within = self.settings.answer_within;
        let late = |_| {
            let text = format!("it did not answer within {} ms", within.as_millis());
            Err(E::from(Error::unavailable(text)))
        };
        tokio::time::timeout(within, work).await.unwrap_or_else(late)
    }

    /// Ends when somebody has waited long enough, and the store is known not to answer. While it answers, a long question takes
    /// as long as it takes.
    pub async fn gives_up(&self) {
        loop {
            tokio::time::sleep(self.settings.answer_within).await;
            if self.store_status().failing_since.is_some() {
                return;
            }
        }
    }

    /// Looks once; gives the pause before the next look.
    async fn look_at_store(&self) -> Duration {
        let began = self.clock.now();
        let written = tokio::time::timeout(PATIENCE, self.store.heartbeat(self.node, began)).await;
        let late = |_| Err(Error::unavailable(format!("it did not take a write within {} s", PATIENCE.as_secs())));
        let written = written.unwrap_or_else(late);
        self.store_watch.looked(began, written.as_ref().err());
        match written {
            Ok(()) => outage::answered(),
            Err(error) => {
                if outage::stands_alone(&error) {
                    tracing::error!(%error, "failed to say that this node is alive");
                }
            }
        }
        if outage::is_going_on() { LOOK_AGAIN } else { LOOK_EVERY }
    }

    /// Looks until the end.
    pub(crate) async fn watch_store(&self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let look = async {
                let pause = self.look_at_store().await;
                tokio::time::sleep(pause).await;
            };
            tokio::select! {
                () = look => {}
                _ = stop.changed() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_shown_since_its_first_look_and_remembered_when_it_is_over() {
        let (at, watch) = (Timestamp::from_seconds, StoreWatch::default());
        let failed = |text: &str| Error::unavailable(text);
        watch.looked(at(10), None);
        assert_eq!(*lock(&watch.0), StoreStatus::default());
        watch.looked(at(20), Some(&failed("gone")));
        watch.looked(at(30), Some(&failed("still gone")));
        let last_error = Some("the store is not available: still gone".to_owned());
        assert_eq!(*lock(&watch.0), StoreStatus { failing_since: Some(at(20)), last_error: last_error.clone() });
        watch.looked(at(40), None);
        assert_eq!(*lock(&watch.0), StoreStatus { failing_since: None, last_error });
    }
}
