//! Changes of a hook's condition. Pure, so that the scheduler can return them.

use quickdraw_domain::health::{Condition, Health};
use quickdraw_domain::notices::event_name;
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::{HookId, Timestamp};

/// The same change of a hook is reported once in so many seconds: two nodes can both have recorded its cause.
const ONE_REPORT_SECONDS: i64 = 10;

/// A hook whose condition has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    pub(crate) hook: HookId,
    before: Health,
    pub(crate) after: Health,
}

impl Change {
    pub(crate) fn between(hook: HookId, before: Health, after: Health) -> Option<Self> {
        (before.condition() != after.condition()).then_some(Self { hook, before, after })
    }

    /// The reason, in words for people.
    pub(crate) fn reason(self, last: Option<Outcome>) -> String {
        let failures = match self.after.condition() {
            Condition::Well => return format!("a success after {} failures in a row", self.before.recent_failures),
            _ => self.after.recent_failures,
        };
        match last {
            Some(outcome) => format!("{failures} failures in a row, the last: {outcome}"),
            None => format!("{failures} failures in a row"),
        }
    }

    /// The key by which the journal recognises the same change from another node. All nodes know the same health before
    /// the change.
    pub(crate) fn key(self, now: Timestamp) -> String {
        let Self { hook, before, after } = self;
        let of = if after.condition() == Condition::Well {
            before
        } else {
            after
        };
        let until = of.disabled_until.map_or(0, Timestamp::as_micros);
        let moment = now.as_seconds().div_euclid(ONE_REPORT_SECONDS);

        format!(
            "hook {hook} {} {} {until} {moment}",
            event_name(after.condition()),
            of.recent_failures
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_condition_is_news_and_a_longer_pause_is_not() {
        let at = Timestamp::from_seconds;
        let paused = Health {
            recent_failures: 4,
            pauses: 1,
            disabled_until: Some(at(60)),
            disabled: false,
        };

        let longer = Health {
            recent_failures: 5,
            pauses: 2,
            disabled_until: Some(at(200)),
            disabled: false,
        };

        let off = Health {
            recent_failures: 5,
            disabled: true,
            ..paused
        };

        let between = |before, after| Change::between(HookId(7), before, after);
        assert_eq!(between(paused, longer), None);

        let change = between(Health::default(), paused).expect("news");
        let last = Some(Outcome::Failed {
            status: 502,
            retry_after: None,
        });
        assert_eq!(change.reason(last), "4 failures in a row, the last: failed (502)");
        assert_eq!(change.key(at(60)), change.key(at(61)));

        let change = between(paused, off).expect("news");
        assert_eq!(change.reason(None), "5 failures in a row");

        let change = between(off, Health::default()).expect("news");
        assert_eq!(change.reason(None), "a success after 5 failures in a row");
        assert_ne!(change.key(at(0)), change.key(at(700)), "it may happen again");
    }
}
