//! The health of a hook: its memory of failures, and the rules that disable it because of them.
//!
//! Sources: GitLab's webhooks page for `published`, and GitLab's `app/models/concerns/web_hooks/auto_disabling.rb`
//! (17.11 and later) for `current`. System hooks are never disabled: [`crate::settle::settle`] does not change their
//! health.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::outcome::Outcome;

/// Consecutive failures without any consequence.
const BORNE: u32 = 3;
/// Under `current`, the failure that disables a hook until it is re-enabled.
const FINAL: u32 = 40;
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// The rule that disables hooks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DisablePolicy {
    /// The documented rule, and the default. The fourth consecutive failure disables: a 4xx until somebody re-enables
    /// the hook, any other failure for one minute, doubling up to 24 hours.
    Published,

    /// The rule of GitLab 17.11 and later. All failures count alike: the fourth pauses the hook, the fortieth disables
    /// it.
    Current,

    /// Hooks are never disabled.
    Off,
}

/// The failures that a hook remembers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Health {
    /// Consecutive counted failures.
    pub recent_failures: u32,

    /// The number of consecutive pauses.
    pub pauses: u32,

    /// End of the current or last pause.
    pub disabled_until: Option<Timestamp>,

    /// Disabled until somebody re-enables it.
    pub disabled: bool,
}

/// The state of a hook at a point in time: GitLab's `alert_status`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// Called as usual.
    Executable,

    /// Not called before this time.
    TemporarilyDisabled(Timestamp),

    /// Not called until somebody re-enables it.
    Disabled,
}

impl Status {
    /// `alert_status` of the REST API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Executable => "executable",
            Self::TemporarilyDisabled(_) => "temporarily_disabled",
            Self::Disabled => "disabled",
        }
    }
}

/// The condition of a hook, independent of the current time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Condition {
    /// Called as usual.
    Well,

    /// Paused, and not successful since.
    Paused,

    /// Not called until somebody re-enables it.
    Disabled,
}

impl Health {
    /// The condition of the hook. System hooks get a notice when it changes.
    #[must_use]
    pub const fn condition(self) -> Condition {
        match self {
            Self { disabled: true, .. } => Condition::Disabled,
            Self {
                disabled_until: Some(_),
                ..
            } => Condition::Paused,
            _ => Condition::Well,
        }
    }

    /// The state of the hook at this time.
    #[must_use]
    pub fn status(self, now: Timestamp) -> Status {
        match self.disabled_until {
            _ if self.disabled => Status::Disabled,
            Some(until) if until > now => Status::TemporarilyDisabled(until),
            _ => Status::Executable,
        }
    }

    /// The earliest time of an attempt for a delivery with this due time: not before the hook's pause ends. `None`
    /// while the hook is disabled until somebody re-enables it.
    #[must_use]
    pub fn attempted_at(self, due_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        match self.status(now) {
            Status::Executable => Some(due_at),
            Status::TemporarilyDisabled(until) => Some(due_at.max(until)),
            Status::Disabled => None,
        }
    }

    /// Whether a pause has ended and the hook has not succeeded since. It is then probed with one request at a time.
    #[must_use]
    pub fn is_probing(self, now: Timestamp) -> bool {
        self.disabled_until.is_some() && self.status(now) == Status::Executable
    }

    /// The length of the next pause, if failures cause one.
    #[must_use]
    pub fn next_pause(self) -> Duration {
        FIRST_PAUSE.saturating_mul(1 << self.pauses.min(11)).min(LONGEST_PAUSE)
    }

    /// The health after one more attempt.
    ///
    /// A failure counts only while the hook is executable: a failure that arrives during a pause belongs to an attempt
    /// that started before it. A success always clears all failures; that is also how a test re-enables a disabled
    /// hook.
    #[must_use]
    pub fn after(self, outcome: Outcome, now: Timestamp, policy: DisablePolicy) -> Self {
        if outcome.is_delivered() {
            return Self::default();
        }

        if outcome.is_ours() || policy == DisablePolicy::Off || self.status(now) != Status::Executable {
            return self;
        }

        let recent_failures = self.recent_failures.saturating_add(1).min(FINAL);
        if recent_failures <= BORNE {
            return Self {
                recent_failures,
                ..self
            };
        }

        let for_good = match policy {
            DisablePolicy::Published => matches!(outcome, Outcome::Rejected { .. }),
            DisablePolicy::Current => recent_failures >= FINAL,
            DisablePolicy::Off => false,
        };

        if for_good {
            return Self {
                recent_failures,
                disabled: true,
                ..self
            };
        }

        Self {
            recent_failures,
            pauses: self.pauses.saturating_add(1),
            disabled_until: Some(now.plus(self.next_pause())),
            disabled: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::Unreachable;

    const FAILED: Outcome = Outcome::Failed {
        status: 500,
        retry_after: None,
    };
    const REJECTED: Outcome = Outcome::Rejected {
        status: 404,
        retry_after: None,
    };
    const TIMED_OUT: Outcome = Outcome::Unreachable(Unreachable::TimedOut);
    const DELIVERED: Outcome = Outcome::Delivered { status: 200 };

    /// Applies outcomes, each as soon as the hook may be called again. Returns the health and the time for which the
    /// hook is then disabled.
    fn after_all(policy: DisablePolicy, outcomes: &[Outcome]) -> (Health, Option<Duration>) {
        let mut now = Timestamp::from_seconds(1_000_000);
        let mut health = Health::default();

        for outcome in outcomes {
            if let Some(until) = health.disabled_until {
                now = now.max(until);
            }

            health = health.after(*outcome, now, policy);
        }

        let pause = match health.status(now) {
            Status::Executable => Some(Duration::ZERO),
            Status::TemporarilyDisabled(until) => Some(until.since(now)),
            Status::Disabled => None,
        };
        (health, pause)
    }

    fn check_health(policy: DisablePolicy, outcomes: &[Outcome], disabled_for: Option<Duration>) {
        assert_eq!(
            after_all(policy, outcomes).1,
            disabled_for,
            "{policy:?} {}",
            outcomes.len()
        );
    }

    fn minutes(n: u64) -> Option<Duration> {
        Some(Duration::from_secs(60 * n))
    }

    #[test]
    fn published_pauses_at_the_fourth_failure_and_doubles() {
        check_health(DisablePolicy::Published, &[FAILED; 3], minutes(0));
        check_health(DisablePolicy::Published, &[FAILED; 4], minutes(1));

        check_health(
            DisablePolicy::Published,
            &[FAILED, TIMED_OUT, FAILED, TIMED_OUT, FAILED],
            minutes(2),
        );

        check_health(DisablePolicy::Published, &[FAILED; 14], minutes(1024));
        check_health(DisablePolicy::Published, &[FAILED; 15], minutes(24 * 60));
        check_health(DisablePolicy::Published, &[FAILED; 60], minutes(24 * 60));
    }

    #[test]
    fn published_disables_for_good_when_the_receiver_rejects() {
        check_health(DisablePolicy::Published, &[REJECTED; 3], minutes(0));
        check_health(DisablePolicy::Published, &[REJECTED; 4], None);

        check_health(
            DisablePolicy::Published,
            &[REJECTED, REJECTED, REJECTED, FAILED],
            minutes(1),
        );

        check_health(
            DisablePolicy::Published,
            &[FAILED, FAILED, FAILED, FAILED, REJECTED],
            None,
        );
    }

    #[test]
    fn current_treats_all_failures_alike_and_the_fortieth_is_final() {
        for (failures, pause) in [(3, 0), (4, 1), (5, 2), (10, 64), (14, 1024), (15, 1440), (39, 1440)] {
            check_health(DisablePolicy::Current, &vec![REJECTED; failures], minutes(pause));
        }

        check_health(DisablePolicy::Current, &[FAILED; 40], None);
    }

    #[test]
    fn a_pause_delays_deliveries_that_are_due_before_its_end() {
        let at = Timestamp::from_seconds;
        let paused = Health {
            recent_failures: 4,
            pauses: 1,
            disabled_until: Some(at(100)),
            disabled: false,
        };
        assert_eq!(paused.attempted_at(at(50), at(40)), Some(at(100)));
        assert_eq!(paused.attempted_at(at(150), at(40)), Some(at(150)));
        assert_eq!(paused.attempted_at(at(50), at(100)), Some(at(50)), "the pause is over");
        assert_eq!(Health::default().attempted_at(at(50), at(40)), Some(at(50)));

        assert_eq!(
            Health {
                disabled: true,
                ..paused
            }
            .attempted_at(at(50), at(40)),
            None
        );
    }

    #[test]
    fn off_never_disables() {
        check_health(DisablePolicy::Off, &[REJECTED; 100], minutes(0));
    }

    #[test]
    fn a_success_re_enables_a_disabled_hook() {
        let (health, _) = after_all(DisablePolicy::Published, &[REJECTED; 4]);
        let after = health.after(DELIVERED, Timestamp::default(), DisablePolicy::Published);
        assert_eq!(after, Health::default());

        check_health(
            DisablePolicy::Published,
            &[FAILED, FAILED, FAILED, DELIVERED, FAILED],
            minutes(0),
        );
    }

    #[test]
    fn a_failure_during_a_pause_and_an_unknown_outcome_do_not_count() {
        let now = Timestamp::from_seconds(0);
        let paused = Health {
            recent_failures: 4,
            pauses: 1,
            disabled_until: Some(now.plus(FIRST_PAUSE)),
            disabled: false,
        };
        assert_eq!(paused.after(FAILED, now, DisablePolicy::Current), paused);

        assert_eq!(
            Health::default().after(Outcome::Unknown, now, DisablePolicy::Published),
            Health::default()
        );
    }

    #[test]
    fn after_a_pause_the_hook_is_probed_until_it_succeeds() {
        let (health, _) = after_all(DisablePolicy::Published, &[FAILED; 4]);
        let until = health.disabled_until.expect("it is paused");
        assert!(!health.is_probing(until.minus(Duration::from_micros(1))));
        assert!(health.is_probing(until));

        assert!(
            !health
                .after(DELIVERED, until, DisablePolicy::Published)
                .is_probing(until)
        );
    }

    proptest! {
        #[test]
        fn fewer_than_four_failures_in_a_row_never_disable(
            runs in proptest::collection::vec(0_usize..4, 1..20), published: bool,
        ) {
            let policy = if published { DisablePolicy::Published } else { DisablePolicy::Current };
            let mut outcomes = Vec::new();
            for run in runs {
                outcomes.extend(std::iter::repeat_n(REJECTED, run));
                outcomes.push(DELIVERED);
            }
            let (health, pause) = after_all(policy, &outcomes);
            prop_assert_eq!((health, pause), (Health::default(), minutes(0)));
        }
    }
}
