//! The state of a hook for people: one word, and one sentence with the reason and the next step.
//!
//! GitLab's `alert_status` is [`crate::health::Status`]. It knows no failures before the first pause, and no pause by a
//! person.

use super::Hook;
use crate::Timestamp;
use crate::health::{Health, Status};

/// The state of a hook.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HookState {
    /// Nothing has failed since the last success.
    Healthy,

    /// The last attempt failed, and the next one is made as usual.
    Failing,

    /// Not called before the end of a pause that failures caused.
    TemporarilyDisabled,

    /// Not called until somebody enables it.
    Disabled,

    /// Not called, because a person paused it.
    Paused,
}

/// The result of the last attempt that history has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LastCall {
    /// No attempt is known.
    None,

    /// The receiver accepted the event.
    Delivered,

    /// The attempt failed.
    Failed,
}

impl HookState {
    /// All states, the one that needs attention most first.
    pub const ALL: [Self; 5] = [
        Self::Disabled,
        Self::TemporarilyDisabled,
        Self::Failing,
        Self::Paused,
        Self::Healthy,
    ];

    /// The state of a hook at this time.
    #[must_use]
    pub fn of(hook: &Hook, health: Health, last: LastCall, now: Timestamp) -> Self {
        if hook.paused.is_some() {
            return Self::Paused;
        }

        let is_failing = health.recent_failures > 0 || health.is_probing(now) || last == LastCall::Failed;
        match health.status(now) {
            Status::Disabled => Self::Disabled,
            Status::TemporarilyDisabled(_) => Self::TemporarilyDisabled,
            Status::Executable if is_failing => Self::Failing,
            Status::Executable => Self::Healthy,
        }
    }

    /// The word of the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Failing => "failing",
            Self::TemporarilyDisabled => "temporarily_disabled",
            Self::Disabled => "disabled",
            Self::Paused => "paused",
        }
    }

    /// The reason for the state, and the next step.
    #[must_use]
    pub fn reason(self, hook: &Hook, health: Health, last: LastCall) -> String {
        match self {
            Self::Paused => paused(hook),
            Self::Disabled => format!(
                "Disabled after {}. A successful test or resend enables the webhook again.",
                failures(health)
            ),
            Self::TemporarilyDisabled => format!(
                "Temporarily disabled after {} until {}. Then one attempt is made; if it fails too, the webhook is \
                 disabled for {}.",
                failures(health),
                health.disabled_until.unwrap_or_default().to_iso(),
                span(health.next_pause().as_secs())
            ),
            Self::Failing => failing(health),
            Self::Healthy if last == LastCall::None => "No attempt was made yet.".to_owned(),
            Self::Healthy => "The last attempt succeeded.".to_owned(),
        }
    }
}

fn paused(hook: &Hook) -> String {
    let Some(pause) = &hook.paused else {
        return "Paused.".to_owned();
    };
    format!(
        "Paused by {} at {}. Deliveries wait until somebody resumes the webhook.",
        pause.by,
        pause.at.to_iso()
    )
}

fn failing(health: Health) -> String {
    if health.disabled_until.is_some() {
        return format!(
            "A pause after {} has ended. One attempt at a time is made until one succeeds.",
            failures(health)
        );
    }

    match health.recent_failures {
        0 | 1 => "The last attempt failed.".to_owned(),
        failures => format!("The last {failures} attempts failed."),
    }
}

fn failures(health: Health) -> String {
    match health.recent_failures {
        1 => "1 failure".to_owned(),
        failures => format!("{failures} failures in a row"),
    }
}

/// A pause in words. Pauses are whole minutes.
fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        86_400.. => (seconds / 86_400, "day"),
        3600.. if seconds.is_multiple_of(3600) => (seconds / 3600, "hour"),
        _ => (seconds / 60, "minute"),
    };
    if count == 1 {
        format!("1 {unit}")
    } else {
        format!("{count} {unit}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::{HookUrl, Pause};
    use crate::scope::Scope;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn hook() -> Hook {
        let url = HookUrl::parse("https://h.example/").expect("a URL");
        Hook::new(Scope::Instance, url, uuid::Uuid::nil(), NOW)
    }

    fn check(health: Health, last: LastCall, word: &str, reason: &str) {
        let hook = hook();
        let state = HookState::of(&hook, health, last, NOW);
        assert_eq!((state.word(), &*state.reason(&hook, health, last)), (word, reason));
    }

    #[test]
    fn a_hook_is_healthy_until_an_attempt_fails() {
        let none = Health::default();
        check(none, LastCall::None, "healthy", "No attempt was made yet.");
        check(none, LastCall::Delivered, "healthy", "The last attempt succeeded.");
        check(none, LastCall::Failed, "failing", "The last attempt failed.");

        let twice = Health {
            recent_failures: 2,
            ..none
        };
        check(twice, LastCall::Failed, "failing", "The last 2 attempts failed.");
    }

    #[test]
    fn a_pause_after_failures_names_its_end_and_the_next_pause() {
        let paused = Health {
            recent_failures: 5,
            pauses: 2,
            disabled_until: Some(NOW.plus(std::time::Duration::from_secs(60))),
            disabled: false,
        };
        check(
            paused,
            LastCall::Failed,
            "temporarily_disabled",
            "Temporarily disabled after 5 failures in a row until 1970-01-12T13:47:40.000Z. Then one attempt is made; if \
             it fails too, the webhook is disabled for 4 minutes.",
        );

        let ended = Health {
            disabled_until: Some(NOW),
            ..paused
        };
        check(
            ended,
            LastCall::Failed,
            "failing",
            "A pause after 5 failures in a row has ended. One attempt at a time is made until one succeeds.",
        );
    }

    #[test]
    fn a_disabled_hook_names_the_way_to_enable_it() {
        let disabled = Health {
            recent_failures: 4,
            disabled: true,
            ..Health::default()
        };
        check(
            disabled,
            LastCall::Failed,
            "disabled",
            "Disabled after 4 failures in a row. A successful test or resend enables the webhook again.",
        );
    }

    #[test]
    fn a_pause_by_a_person_comes_before_failures() {
        let mut hook = hook();
        hook.paused = Some(Pause {
            at: NOW,
            by: "ida".to_owned(),
        });

        let disabled = Health {
            disabled: true,
            ..Health::default()
        };
        let state = HookState::of(&hook, disabled, LastCall::Failed, NOW);
        assert_eq!(state, HookState::Paused);

        let reason = state.reason(&hook, disabled, LastCall::Failed);
        assert!(reason.starts_with("Paused by ida at 1970-01-12"), "{reason}");
    }

    #[test]
    fn pauses_are_written_in_the_largest_unit() {
        let spans = [60, 7200, 7680, 86_400].map(span);
        assert_eq!(spans, ["1 minute", "2 hours", "128 minutes", "1 day"]);
    }
}
