//! The consequences of an attempt for its delivery and its hook. The only two steps back in the pipeline are decided
//! here: a retry, and a change of health.

use std::time::Duration;

use crate::Timestamp;
use crate::delivery::{State, Tally};
use crate::health::{DisablePolicy, Health};
use crate::outcome::{Outcome, Unreachable};
use crate::retry::{Chance, RetryPolicy};

/// The policies that [`settle`] applies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policies {
    /// The retry policy: when to try again.
    pub retry: RetryPolicy,

    /// The disable policy: when to stop calling a hook.
    pub disable: DisablePolicy,
}

/// The decision after an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settled {
    /// The new state of the delivery.
    pub state: State,

    /// The attempts so far, including this one.
    pub tally: Tally,

    /// The new health of the hook.
    pub health: Health,
}

/// Pause after a failure of the proxy under a policy without pauses.
const PROXY_PAUSE: Duration = Duration::from_secs(30);

/// The reason for an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occasion {
    /// The delivery was due.
    Usual,

    /// The delivery was due after a pause of the hook: the attempt checks whether the hook works again.
    Probe,

    /// A person requested the attempt and waits for its result. It is not repeated automatically.
    ByHand,
}

/// An attempt that has ended.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Attempted {
    /// The attempts of the delivery before this one.
    pub tally: Tally,

    /// Whether the hook is a system hook, whose health never changes.
    pub is_system: bool,

    /// The outcome.
    pub outcome: Outcome,

    /// The reason for the attempt.
    pub occasion: Occasion,

    /// The chance for the jitter of a retry.
    pub chance: Chance,
}

/// Decides the consequences of an attempt that ended at `now`.
///
/// An unknown outcome repeats the attempt at once. It counts neither against the hook nor against the allowed number of
/// attempts, because we stopped and not the receiver. A failure of the proxy does not count either, because the proxy
/// is ours. A failed probe counts against the hook only, unless the policy allows just one attempt: probing a hook must
/// not use up the attempts of the deliveries that are held for it. Every other failure counts against both, including
/// the failure of a retry.
#[must_use]
pub fn settle(attempted: Attempted, health: Health, now: Timestamp, policies: &Policies) -> Settled {
    let Attempted {
        tally,
        is_system,
        outcome,
        occasion,
        chance,
    } = attempted;

    let proxy = outcome == Outcome::Unreachable(Unreachable::Proxy) && occasion != Occasion::ByHand;
    let probe = occasion == Occasion::Probe;
    let held = proxy || (probe && !outcome.is_delivered() && !policies.retry.pauses.is_empty());
    let uncounted = u32::from(held || outcome == Outcome::Unknown);

    let tally = Tally {
        attempts: tally.attempts.saturating_add(1),
        unknown: tally.unknown.saturating_add(uncounted),
    };

    // System hooks are never disabled, as in GitLab.
    let health = if is_system {
        health
    } else {
        health.after(outcome, now, policies.disable)
    };

    let again = |pause: Duration| match tally.counted() {
        0 => State::Waiting {
            due_at: now.plus(pause),
        },
        _ => State::Retrying {
            due_at: now.plus(pause),
        },
    };

    let state = match outcome {
        Outcome::Delivered { .. } => State::Delivered,
        Outcome::Unknown => again(Duration::ZERO),
        // The pause is that after the same number of counted failures, and the attempt is never the last one.
        _ if held && policies.retry.next(1, outcome, chance).is_some() => {
            let longest = u32::try_from(policies.retry.pauses.len()).unwrap_or(u32::MAX);
            again(
                policies
                    .retry
                    .next(tally.attempts.clamp(1, longest), outcome, chance)
                    .unwrap_or_default(),
            )
        }
        _ if proxy => again(PROXY_PAUSE),
        _ => match policies.retry.next(tally.counted(), outcome, chance) {
            Some(pause) => State::Retrying {
                due_at: now.plus(pause),
            },
            None => State::GivenUp,
        },
    };
    Settled { state, tally, health }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::guard::Rule;
    use crate::health::Status;

    const FAILED: Outcome = Outcome::Failed {
        status: 502,
        retry_after: None,
    };

    fn policies() -> Policies {
        Policies {
            retry: RetryPolicy::standard(),
            disable: DisablePolicy::Published,
        }
    }

    fn attempted(tally: Tally, outcome: Outcome) -> Attempted {
        Attempted {
            tally,
            is_system: false,
            outcome,
            occasion: Occasion::Usual,
            chance: Chance(0.5),
        }
    }

    #[test]
    fn a_probe_uses_up_no_attempt_of_a_held_delivery() {
        let now = Timestamp::from_seconds(100);
        let probe = |attempts, unknown, outcome, policies: &Policies| {
            let attempted = Attempted {
                occasion: Occasion::Probe,
                ..attempted(Tally { attempts, unknown }, outcome)
            };
            let settled = settle(attempted, Health::default(), now, policies);
            (settled.state, settled.tally.counted())
        };

        let soon = Timestamp::from_seconds(105);
        assert_eq!(probe(0, 0, FAILED, &policies()), (State::Waiting { due_at: soon }, 0));

        assert_eq!(
            probe(4, 0, FAILED, &policies()),
            (
                State::Retrying {
                    due_at: Timestamp::from_seconds(1000)
                },
                4
            )
        );

        assert_eq!(
            probe(4, 0, Outcome::Delivered { status: 200 }, &policies()),
            (State::Delivered, 5)
        );

        let gone = Outcome::Rejected {
            status: 410,
            retry_after: None,
        };
        assert_eq!(probe(0, 0, gone, &policies()).0, State::GivenUp);

        let once = Policies {
            retry: RetryPolicy::gitlab(),
            ..policies()
        };

        assert_eq!(
            probe(0, 0, FAILED, &once),
            (State::GivenUp, 1),
            "the policy allows one attempt"
        );
    }

    #[test]
    fn a_refusal_by_our_guard_uses_up_attempts_and_does_not_count_against_the_hook() {
        let now = Timestamp::from_seconds(100);
        let refused = Outcome::Unreachable(Unreachable::Blocked(Rule::Loopback));

        let mut settled = Settled {
            state: State::Blocked,
            tally: Tally::default(),
            health: Health::default(),
        };
        for _ in 0..5 {
            settled = settle(attempted(settled.tally, refused), settled.health, now, &policies());
        }

        let tally = Tally {
            attempts: 5,
            unknown: 0,
        };

        assert_eq!(
            settled,
            Settled {
                state: State::GivenUp,
                tally,
                health: Health::default()
            }
        );
    }

    #[test]
    fn a_failure_of_the_proxy_counts_against_nothing() {
        let now = Timestamp::from_seconds(100);
        let failed = |policies: &Policies| {
            let mut settled = Settled {
                state: State::GivenUp,
                tally: Tally::default(),
                health: Health::default(),
            };
            for _ in 0..20 {
                let attempted = attempted(settled.tally, Outcome::Unreachable(Unreachable::Proxy));
                settled = settle(attempted, settled.health, now, policies);
            }

            settled
        };

        let half_an_hour = State::Waiting {
            due_at: Timestamp::from_seconds(100 + 15 * 60),
        };
        let tally = Tally {
            attempts: 20,
            unknown: 20,
        };

        assert_eq!(
            failed(&policies()),
            Settled {
                state: half_an_hour,
                tally,
                health: Health::default()
            }
        );

        let once = Policies {
            retry: RetryPolicy::gitlab(),
            ..policies()
        };

        assert_eq!(
            failed(&once).state,
            State::Waiting {
                due_at: Timestamp::from_seconds(130)
            }
        );
    }

    fn check(attempts: u32, outcome: Outcome, expected: State) {
        let tally = Tally { attempts, unknown: 0 };
        let now = Timestamp::from_seconds(100);
        let settled = settle(attempted(tally, outcome), Health::default(), now, &policies());
        assert_eq!(settled.state, expected, "{attempts} {outcome}");
    }

    #[test]
    fn the_table_of_consequences() {
        let at = |seconds| Timestamp::from_seconds(seconds);
        check(0, Outcome::Delivered { status: 200 }, State::Delivered);
        check(0, FAILED, State::Retrying { due_at: at(105) });
        check(1, FAILED, State::Retrying { due_at: at(130) });

        check(
            1,
            Outcome::Unreachable(Unreachable::TimedOut),
            State::Retrying { due_at: at(130) },
        );

        check(4, FAILED, State::GivenUp);
        check(
            0,
            Outcome::Rejected {
                status: 410,
                retry_after: None,
            },
            State::GivenUp,
        );

        check(0, Outcome::Unknown, State::Waiting { due_at: at(100) });
        check(2, Outcome::Unknown, State::Retrying { due_at: at(100) });
    }

    #[test]
    fn system_hooks_are_never_disabled() {
        let mut health = Health::default();
        for attempt in 0..10 {
            let tally = Tally {
                attempts: attempt,
                unknown: 0,
            };

            let now = Timestamp::from_seconds(100);
            let attempted = Attempted {
                is_system: true,
                ..attempted(tally, FAILED)
            };
            health = settle(attempted, health, now, &policies()).health;
        }

        assert_eq!(health.status(Timestamp::from_seconds(100)), Status::Executable);
    }

    proptest! {
        #[test]
        fn every_delivery_ends_after_the_allowed_number_of_counted_attempts(unknown in proptest::collection::vec(any::<bool>(), 0..40)) {
            let mut tally = Tally::default();
            let mut now = Timestamp::from_seconds(0);
            let mut counted = 0;
            for stopped in unknown.into_iter().chain(std::iter::repeat(false)) {
                let outcome = if stopped { Outcome::Unknown } else { FAILED };
                let settled = settle(attempted(tally, outcome), Health::default(), now, &policies());
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
