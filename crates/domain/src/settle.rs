//! What happens to a delivery and its hook after an attempt. The only two arrows of the belt that point back are
//! decided here: a retry, and a change of health.

use std::time::Duration;

use crate::Timestamp;
use crate::delivery::{State, Tally};
use crate::health::{DisablePolicy, Health};
use crate::outcome::{Outcome, Unreachable};
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

/// Pause after a failure of the proxy under a policy without pauses.
const PROXY_PAUSE: Duration = Duration::from_secs(30);

/// What an attempt was made for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occasion {
    /// It was due.
    Usual,
    /// It was due, and asked after a pause whether the hook is well again.
    Probe,
    /// Somebody wanted it, and waited for it: it is not made again by itself.
    ByHand,
}

/// An attempt that has ended.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Attempted {
    /// What its delivery had had before.
    pub tally: Tally,
    /// The hook's scope.
    pub scope: Scope,
    /// The verdict.
    pub outcome: Outcome,
    /// What it was made for.
    pub occasion: Occasion,
    /// For the jitter of a retry.
    pub chance: Chance,
}

/// Decides what follows from an attempt that ended at `now`.
///
/// An unknown outcome repeats the attempt at once and counts neither against the hook nor against the promised number
/// of attempts: it was our stop, not the receiver's. Nor does the failure of a proxy, which is our way out. A probe that fails counts against the hook only: what is held for a
/// hook must not be used up by asking whether it is well, unless the policy promises one attempt and no more. Every other
/// failure counts for both, retries included.
#[must_use]
pub fn settle(attempted: Attempted, health: Health, now: Timestamp, policies: &Policies) -> Settled {
    let Attempted { tally, scope, outcome, occasion, chance } = attempted;
    let proxy = outcome == Outcome::Unreachable(Unreachable::Proxy) && occasion != Occasion::ByHand;
    let probe = occasion == Occasion::Probe;
    let held = proxy || (probe && !outcome.is_delivered() && !policies.retry.pauses.is_empty());
    let uncounted = u32::from(held || outcome == Outcome::Unknown);
    let tally = Tally { attempts: tally.attempts.saturating_add(1), unknown: tally.unknown.saturating_add(uncounted) };
    // System hooks are never disabled, as in GitLab.
    let health = if scope == Scope::Instance { health } else { health.after(outcome, now, policies.disable) };
    let again = |pause: Duration| match tally.counted() {
        0 => State::Waiting { due_at: now.plus(pause) },
        _ => State::Retrying { due_at: now.plus(pause) },
    };
    let state = match outcome {
        Outcome::Delivered { .. } => State::Delivered,
        Outcome::Unknown => again(Duration::ZERO),
        // As long as after as many failures that count, and never the last time.
        _ if held && policies.retry.next(1, outcome, chance).is_some() => {
            let longest = u32::try_from(policies.retry.pauses.len()).unwrap_or(u32::MAX);
            again(policies.retry.next(tally.attempts.clamp(1, longest), outcome, chance).unwrap_or_default())
        }
        _ if proxy => again(PROXY_PAUSE),
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
    use crate::guard::Rule;
    use crate::health::Status;
    use crate::ids::ProjectId;

    const PROJECT: Scope = Scope::Project(ProjectId(1));
    const FAILED: Outcome = Outcome::Failed { status: 502, retry_after: None };

    fn policies() -> Policies {
        Policies { retry: RetryPolicy::standard(), disable: DisablePolicy::Published }
    }

    fn attempted(tally: Tally, outcome: Outcome) -> Attempted {
        Attempted { tally, scope: PROJECT, outcome, occasion: Occasion::Usual, chance: Chance(0.5) }
    }

    #[test]
    fn a_probe_uses_up_nothing_of_what_is_held() {
        let now = Timestamp::from_seconds(100);
        let probe = |attempts, unknown, outcome, policies: &Policies| {
            let attempted = Attempted { occasion: Occasion::Probe, ..attempted(Tally { attempts, unknown }, outcome) };
            let settled = settle(attempted, Health::default(), now, policies);
            (settled.state, settled.tally.counted())
        };
        let soon = Timestamp::from_seconds(105);
        assert_eq!(probe(0, 0, FAILED, &policies()), (State::Waiting { due_at: soon }, 0));
        assert_eq!(probe(4, 0, FAILED, &policies()), (State::Retrying { due_at: Timestamp::from_seconds(1000) }, 4));
        assert_eq!(probe(4, 0, Outcome::Delivered { status: 200 }, &policies()), (State::Delivered, 5));
        let gone = Outcome::Rejected { status: 410, retry_after: None };
        assert_eq!(probe(0, 0, gone, &policies()).0, State::GivenUp);
        let once = Policies { retry: RetryPolicy::gitlab(), ..policies() };
        assert_eq!(probe(0, 0, FAILED, &once), (State::GivenUp, 1), "one attempt is one attempt");
    }

    #[test]
    fn a_refusal_of_our_own_guard_uses_up_attempts_and_is_not_charged_to_the_hook() {
        let now = Timestamp::from_seconds(100);
        let refused = Outcome::Unreachable(Unreachable::Blocked(Rule::Loopback));
        let mut settled = Settled { state: State::Blocked, tally: Tally::default(), health: Health::default() };
        for _ in 0..5 {
            settled = settle(attempted(settled.tally, refused), settled.health, now, &policies());
        }
        let tally = Tally { attempts: 5, unknown: 0 };
        assert_eq!(settled, Settled { state: State::GivenUp, tally, health: Health::default() });
    }

    #[test]
    fn a_failure_of_the_proxy_is_charged_to_nobody() {
        let now = Timestamp::from_seconds(100);
        let failed = |policies: &Policies| {
            let mut settled = Settled { state: State::GivenUp, tally: Tally::default(), health: Health::default() };
            for _ in 0..20 {
                let attempted = attempted(settled.tally, Outcome::Unreachable(Unreachable::Proxy));
                settled = settle(attempted, settled.health, now, policies);
            }
            settled
        };
        let half_an_hour = State::Waiting { due_at: Timestamp::from_seconds(100 + 15 * 60) };
        let tally = Tally { attempts: 20, unknown: 20 };
        assert_eq!(failed(&policies()), Settled { state: half_an_hour, tally, health: Health::default() });
        let once = Policies { retry: RetryPolicy::gitlab(), ..policies() };
        assert_eq!(failed(&once).state, State::Waiting { due_at: Timestamp::from_seconds(130) });
    }

    fn check(attempts: u32, outcome: Outcome, expected: State) {
        let tally = Tally { attempts, unknown: 0 };
        let now = Timestamp::from_seconds(100);
        let settled = settle(attempted(tally, outcome), Health::default(), now, &policies());
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
            let attempted = Attempted { scope: Scope::Instance, ..attempted(tally, FAILED) };
            health = settle(attempted, health, now, &policies()).health;
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
