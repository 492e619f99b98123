//! What happens to a delivery and its hook after an attempt. The only two arrows of the belt that point back are
//! decided here: a retry, and a change of health.

use crate::Timestamp;
use crate::delivery::{State, Tally};
use crate::health::{DisablePolicy, Health};
use crate::outcome::Outcome;
use crate::retry::{Chance, RetryPolicy};
use crate::scope::Scope;

/// The data that parameterises [`settle`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policies {
    /// When to try again.
    pub retry: RetryPolicy,
    /// When to switch a hook off.
    pub disable: DisablePolicy,
}

/// The verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settled {
    /// Where the delivery stands now.
    pub state: State,
    /// How often it has been tried, this attempt included.
    pub tally: Tally,
    /// What the hook remembers now.
    pub health: Health,
}

/// Decides what follows from an attempt that ended in `outcome` at `now`.
///
/// An unknown outcome repeats the attempt at once and counts neither against the hook nor against the promised number
/// of attempts: it was our stop, not the receiver's. Every other failure counts for both, retries included.
#[must_use]
pub fn settle(
    tally: Tally,
    health: Health,
    scope: Scope,
    outcome: Outcome,
    now: Timestamp,
    chance: Chance,
    policies: &Policies,
) -> Settled {
    let unknown = u32::from(outcome == Outcome::Unknown);
    let tally = Tally { attempts: tally.attempts.saturating_add(1), unknown: tally.unknown.saturating_add(unknown) };
    // System hooks are never disabled, as in GitLab.
    let health = if scope == Scope::Instance { health } else { health.after(outcome, now, policies.disable) };
    let state = match outcome {
        Outcome::Delivered { .. } => State::Delivered,
        Outcome::Unknown if tally.counted() == 0 => State::Waiting { due_at: now },
        Outcome::Unknown => State::Retrying { due_at: now },
        _ => match policies.retry.next(tally.counted(), outcome, chance) {
            Some(pause) => State::Retrying { due_at: now.plus(pause) },
            None => State::GivenUp,
        },
    };
    Settled { state, tally, health }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::health::Status;
    use crate::ids::ProjectId;
    use crate::outcome::Unreachable;

    const PROJECT: Scope = Scope::Project(ProjectId(1));
    const FAILED: Outcome = Outcome::Failed { status: 502, retry_after: None };

    fn policies() -> Policies {
        Policies { retry: RetryPolicy::standard(), disable: DisablePolicy::Published }
    }

    fn check(attempts: u32, outcome: Outcome, expected: State) {
        let tally = Tally { attempts, unknown: 0 };
        let now = Timestamp::from_seconds(100);
        let settled = settle(tally, Health::default(), PROJECT, outcome, now, Chance(0.5), &policies());
        assert_eq!(settled.state, expected, "{attempts} {outcome}");
    }

    #[test]
    fn the_table_of_what_follows() {
        let at = |seconds| Timestamp::from_seconds(seconds);
        check(0, Outcome::Delivered { status: 200 }, State::Delivered);
        check(0, FAILED, State::Retrying { due_at: at(105) });
        check(1, FAILED, State::Retrying { due_at: at(130) });
        check(1, Outcome::Unreachable(Unreachable::TimedOut), State::Retrying { due_at: at(130) });
        check(4, FAILED, State::GivenUp);
        check(0, Outcome::Rejected { status: 410, retry_after: None }, State::GivenUp);
        check(0, Outcome::Unknown, State::Waiting { due_at: at(100) });
        check(2, Outcome::Unknown, State::Retrying { due_at: at(100) });
    }

    #[test]
    fn system_hooks_are_never_disabled() {
        let mut health = Health::default();
        for attempt in 0..10 {
            let tally = Tally { attempts: attempt, unknown: 0 };
            let now = Timestamp::from_seconds(100);
            health = settle(tally, health, Scope::Instance, FAILED, now, Chance(0.0), &policies()).health;
        }
        assert_eq!(health.status(Timestamp::from_seconds(100)), Status::Executable);
    }

    proptest! {
        #[test]
        fn every_delivery_ends_after_the_promised_counted_attempts(unknown in proptest::collection::vec(any::<bool>(), 0..40)) {
            let mut tally = Tally::default();
            let mut now = Timestamp::from_seconds(0);
            let mut counted = 0;
            for stopped in unknown.into_iter().chain(std::iter::repeat(false)) {
                let outcome = if stopped { Outcome::Unknown } else { FAILED };
                let settled = settle(tally, Health::default(), PROJECT, outcome, now, Chance(0.9), &policies());
                counted += u32::from(!stopped);
                tally = settled.tally;
                match settled.state.due_at() {
                    Some(due_at) => now = now.max(due_at),
                    None => break,
                }
            }
            prop_assert_eq!(counted, 5);
        }
    }
}
