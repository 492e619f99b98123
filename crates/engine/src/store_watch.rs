//! The state of the store, as the heartbeats of this node found it.

use parking_lot::Mutex;
use quickdraw_domain::Timestamp;
use quickdraw_store::Error;

/// The state of the store.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoreStatus {
    /// The time of the first failure in a row; `None` while the store answers.
    pub failing_since: Option<Timestamp>,

    /// The last failure, also when it is over.
    pub last_error: Option<String>,
}

/// The state of the store at the last heartbeat.
#[derive(Default)]
pub(crate) struct StoreWatch(Mutex<StoreStatus>);

impl StoreWatch {
    pub(crate) fn status(&self) -> StoreStatus {
        self.0.lock().clone()
    }

    /// Notes the result of a heartbeat.
    pub(crate) fn note(&self, began: Timestamp, failure: Option<&Error>) {
        let mut status = self.0.lock();
        match failure {
            None => status.failing_since = None,
            Some(error) => {
                status.failing_since.get_or_insert(began);
                status.last_error = Some(error.to_string());
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
        watch.note(at(10), None);
        assert_eq!(watch.status(), StoreStatus::default());
        watch.note(at(20), Some(&failed("gone")));
        watch.note(at(30), Some(&failed("still gone")));

        let last_error = Some("the store is not available: still gone".to_owned());
        assert_eq!(
            watch.status(),
            StoreStatus {
                failing_since: Some(at(20)),
                last_error: last_error.clone()
            }
        );

        watch.note(at(40), None);
        assert_eq!(
            watch.status(),
            StoreStatus {
                failing_since: None,
                last_error
            }
        );
    }
}
