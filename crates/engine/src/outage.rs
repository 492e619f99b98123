//! Outages of the store in the log: one line at the beginning, and one at the end, with the number of failures. Like
//! the log, an outage belongs to the process: a failure because of it is counted here, and has no line of its own.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quickdraw_store::Error;

/// How long the last failure has to be over before an outage is.
const QUIET: Duration = Duration::from_secs(2);

/// How often it is said that the server is busy.
const SAY_EVERY: Duration = Duration::from_secs(60);

static CURRENT: Mutex<Option<Outage>> = Mutex::new(None);
/// When it was last said that the server is busy.
static BUSY: Mutex<Option<Instant>> = Mutex::new(None);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Outage {
    began: Instant,
    last_failure: Instant,
    failures: u64,
}

/// Whether a failure of the store is to be logged by itself. A failure that is part of an outage is only counted: the
/// outage is logged when it begins.
#[must_use]
pub fn stands_alone(error: &Error) -> bool {
    match error {
        Error::Unavailable(_) => {}
        Error::Busy(_) => {
            if is_time(&mut BUSY.lock(), Instant::now()) {
                tracing::warn!("{error}; requests are answered 503, and this is said once a minute");
            }

            return false;
        }
        _ => return true,
    }

    if failed(&mut CURRENT.lock(), Instant::now()) {
        tracing::error!("{error}; failures are counted from here on, and a line says when it answers again");
    }

    false
}

/// The same of an error that may have a failure of the store among its causes.
#[must_use]
pub fn cause_stands_alone(error: &anyhow::Error) -> bool {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Error>())
        .is_none_or(stands_alone)
}

/// Whether an outage has begun and not ended.
pub(crate) fn is_going_on() -> bool {
    CURRENT.lock().is_some()
}

/// The store has taken a write.
pub(crate) fn answered() {
    let ended = ended(&mut CURRENT.lock(), Instant::now());
    if let Some(outage) = ended {
        let (seconds, failures) = (outage.began.elapsed().as_secs(), outage.failures);
        tracing::warn!(
            failures,
            "the store answers again, after {seconds} s and {failures} failures"
        );
    }
}

/// Whether it is time to say something again.
fn is_time(said: &mut Option<Instant>, now: Instant) -> bool {
    if said.is_some_and(|said| now.duration_since(said) < SAY_EVERY) {
        return false;
    }

    *said = Some(now);
    true
}

/// Counts a failure; `true` when an outage begins with it.
fn failed(current: &mut Option<Outage>, now: Instant) -> bool {
    match current {
        Some(outage) => {
            outage.last_failure = now;
            outage.failures = outage.failures.saturating_add(1);
            false
        }
        None => {
            *current = Some(Outage {
                began: now,
                last_failure: now,
                failures: 1,
            });

            true
        }
    }
}

/// The outage that is over by now.
fn ended(current: &mut Option<Outage>, now: Instant) -> Option<Outage> {
    current.take_if(|outage| now.duration_since(outage.last_failure) >= QUIET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_server_says_so_once_a_minute() {
        let (mut said, start) = (None, Instant::now());
        let answers = [0, 1, 59, 60, 61].map(|seconds| is_time(&mut said, start + Duration::from_secs(seconds)));
        assert_eq!(answers, [true, false, false, true, false]);
        assert!(!stands_alone(&Error::Busy("too many".to_owned())), "it is counted");
    }

    #[test]
    fn an_outage_begins_once_counts_its_failures_and_ends_when_it_is_quiet() {
        let (mut current, start) = (None, Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(ended(&mut current, at(0)).is_none(), "there is none");
        assert!(failed(&mut current, at(1)));
        assert!(!failed(&mut current, at(2)) && !failed(&mut current, at(3)));

        assert!(
            ended(&mut current, at(4)).is_none(),
            "the last failure was a moment ago"
        );

        let outage = ended(&mut current, at(5)).expect("it is over");
        assert_eq!(
            outage,
            Outage {
                began: at(1),
                last_failure: at(3),
                failures: 3
            }
        );

        assert!(failed(&mut current, at(6)), "the next one is another");
    }

    #[test]
    fn what_is_no_outage_has_a_line_of_its_own() {
        let damaged = Error::Damaged("a value");
        assert!(stands_alone(&damaged));
        assert!(cause_stands_alone(
            &anyhow::Error::from(damaged).context("failed to read")
        ));
        assert!(cause_stands_alone(&anyhow::anyhow!("something else")));

        let gone = Error::unavailable("gone");
        assert!(!stands_alone(&gone));
        assert!(!cause_stands_alone(
            &anyhow::Error::from(gone).context("failed to read")
        ));
        assert!(is_going_on());
    }
}
