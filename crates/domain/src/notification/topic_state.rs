//! The state of hooks, backlogs, sources and silent mode. A change of it is news.

use std::time::Duration;

use super::Kind;
use crate::health::{Condition, Health};
use crate::{HookId, SourceId, Timestamp};

/// A source usually gets requests if it accepted so many of them …
const USUAL_REQUESTS: usize = 10;
/// … in this time before the last one.
const USUAL_TIME: Duration = Duration::from_secs(7 * 86_400);

/// A thing whose state is watched. Backlogs and silences depend on the numbers of a rule, so each rule has its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Topic {
    /// The health of a hook.
    Hook(HookId),

    /// The deliveries that wait for a hook.
    Backlog {
        /// The hook.
        hook: HookId,
        /// The rule that has the limit.
        rule: i64,
    },

    /// The requests to a source.
    Source {
        /// The source.
        source: SourceId,
        /// The rule that has the longest silence.
        rule: i64,
    },

    /// Silent mode of the instance.
    SilentMode,
}

impl Topic {
    /// The rule whose numbers the topic depends on.
    #[must_use]
    pub const fn rule(self) -> Option<i64> {
        match self {
            Self::Backlog { rule, .. } | Self::Source { rule, .. } => Some(rule),
            Self::Hook(_) | Self::SilentMode => None,
        }
    }
}

/// The state of a topic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TopicState {
    /// Nothing is wrong.
    #[default]
    Usual,

    /// The hook is temporarily disabled because of failures.
    Failing,

    /// The hook is disabled until somebody re-enables it.
    Disabled,

    /// The backlog is large, the source is silent, or silent mode is on.
    Raised,
}

/// A change of a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// The topic.
    pub topic: Topic,

    /// The state before.
    pub before: TopicState,

    /// The state now.
    pub after: TopicState,
}

impl Change {
    /// The change from one state to another; `None` if they are the same.
    #[must_use]
    pub fn between(topic: Topic, before: TopicState, after: TopicState) -> Option<Self> {
        (before != after).then_some(Self { topic, before, after })
    }

    /// The kind of news that the change is.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match (self.topic, self.after) {
            (Topic::Hook(_), TopicState::Usual) => Kind::HookEnabled,
            (Topic::Hook(_), TopicState::Disabled) => Kind::HookDisabled,
            (Topic::Hook(_), TopicState::Failing | TopicState::Raised) => Kind::HookFailing,
            (Topic::Backlog { .. }, _) => Kind::HookBacklog,
            (Topic::Source { .. }, _) => Kind::SourceSilent,
            (Topic::SilentMode, _) => Kind::SilentMode,
        }
    }
}

/// The state of a hook.
#[must_use]
pub const fn of_hook(health: Health) -> TopicState {
    match health.condition() {
        Condition::Well => TopicState::Usual,
        Condition::Paused => TopicState::Failing,
        Condition::Disabled => TopicState::Disabled,
    }
}

/// The state of silent mode.
#[must_use]
pub const fn of_silent_mode(is_on: bool) -> TopicState {
    if is_on { TopicState::Raised } else { TopicState::Usual }
}

/// The state of a backlog. It ends at half of the limit, so that a backlog around the limit is not news all the
/// time.
#[must_use]
pub const fn of_backlog(waiting: i64, above: u32, before: TopicState) -> TopicState {
    let above = above as i64;
    match before {
        TopicState::Usual if waiting > above => TopicState::Raised,
        TopicState::Usual => TopicState::Usual,
        _ if waiting <= above / 2 => TopicState::Usual,
        _ => TopicState::Raised,
    }
}

/// The state of a source whose last requests were accepted at these times, the newest first. A source that never had
/// many requests is never silent.
#[must_use]
pub fn of_source(accepted: &[Timestamp], silent_after: Duration, before: TopicState, now: Timestamp) -> TopicState {
    // The log of requests may have lost all accepted ones to refused ones.
    let Some(last) = accepted.first() else { return before };
    if now.since(*last) <= silent_after {
        return TopicState::Usual;
    }

    let from = last.minus(USUAL_TIME);
    let recent = accepted.iter().take_while(|at| **at >= from).count();
    if recent >= USUAL_REQUESTS {
        TopicState::Raised
    } else {
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_hook_has_a_kind_and_no_change_is_no_news() {
        let hook = Topic::Hook(HookId(7));
        let kind = |before, after| Change::between(hook, before, after).map(Change::kind);

        assert_eq!(kind(TopicState::Usual, TopicState::Failing), Some(Kind::HookFailing));
        assert_eq!(
            kind(TopicState::Failing, TopicState::Disabled),
            Some(Kind::HookDisabled)
        );
        assert_eq!(kind(TopicState::Disabled, TopicState::Usual), Some(Kind::HookEnabled));
        assert_eq!(kind(TopicState::Failing, TopicState::Failing), None);
    }

    #[test]
    fn a_backlog_ends_at_half_of_its_limit() {
        let mut topic_state = TopicState::Usual;
        let mut steps = Vec::new();
        for waiting in [100, 101, 60, 51, 50, 100, 101] {
            topic_state = of_backlog(waiting, 100, topic_state);
            steps.push(topic_state == TopicState::Raised);
        }

        assert_eq!(steps, [false, true, true, true, false, false, true]);
    }

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    /// Checks the state of a source whose requests are an hour apart, so long after the last one.
    fn check_source(requests: usize, silence: Duration, expected: TopicState) {
        let last = Timestamp::from_seconds(10_000_000);
        let mut accepted = Vec::new();
        for number in 0..requests {
            accepted.push(last.minus(hours(number as u64)));
        }

        let topic_state = of_source(&accepted, hours(24), TopicState::Usual, last.plus(silence));
        assert_eq!(topic_state, expected, "{requests} requests, {silence:?}");
    }

    #[test]
    fn a_source_that_usually_gets_requests_is_silent_without_them() {
        check_source(10, hours(25), TopicState::Raised);
        check_source(10, hours(24), TopicState::Usual);
        check_source(9, hours(25), TopicState::Usual);
        check_source(0, hours(25), TopicState::Usual);
    }

    #[test]
    fn a_request_ends_the_silence_of_a_source() {
        let now = Timestamp::from_seconds(10_000_000);
        let topic_state = |accepted: &[Timestamp]| of_source(accepted, hours(24), TopicState::Raised, now);

        assert_eq!(topic_state(&[now]), TopicState::Usual);
        assert_eq!(topic_state(&[now.minus(hours(30))]), TopicState::Raised);
        assert_eq!(topic_state(&[]), TopicState::Raised, "no accepted request is known");
    }
}
