//! People are told when a hook is paused or disabled, and when it is well again: a log line, and an event for the system
//! hooks that ask for it.

use std::collections::HashMap;

use crate::belt::Belt;
use crate::{Arrival, ReceivedAs};
use quickdraw_domain::compose::{event_name, hook_state};
use quickdraw_domain::event::Origin;
use quickdraw_domain::health::{Condition, Health};
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{HookId, Timestamp, Trigger};

/// Within so many seconds the same news of a hook is told once: two nodes may both have recorded what made it so.
const ONE_NEWS_SECONDS: i64 = 10;

/// A hook whose condition has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    hook: HookId,
    before: Health,
    after: Health,
}

impl Change {
    pub(crate) fn between(hook: HookId, before: Health, after: Health) -> Option<Self> {
        (before.condition() != after.condition()).then_some(Self { hook, before, after })
    }

    /// Why, in words for people.
    fn reason(self, last: Option<Outcome>) -> String {
        let failures = match self.after.condition() {
            Condition::Well => return format!("a success after {} failures in a row", self.before.recent_failures),
            _ => self.after.recent_failures,
        };
        match last {
            Some(outcome) => format!("{failures} failures in a row, the last: {outcome}"),
            None => format!("{failures} failures in a row"),
        }
    }

    /// What recognises the same news from another node. The health that was is the same for all of them.
    fn key(self, now: Timestamp) -> String {
        let Self { hook, before, after } = self;
        let of = if after.condition() == Condition::Well { before } else { after };
        let until = of.disabled_until.map_or(0, Timestamp::as_micros);
        let moment = now.as_seconds().div_euclid(ONE_NEWS_SECONDS);
        format!("hook {hook} {} {} {until} {moment}", event_name(after.condition()), of.recent_failures)
    }
}

impl Belt {
    /// Tells of changes. `outcomes` are what the last attempts of the hooks ended in, as far as this node made them.
    pub(crate) async fn tell(&self, changes: Vec<Change>, outcomes: &HashMap<HookId, Outcome>) {
        let now = self.clock.now();
        for change in changes {
            let index = self.index().clone();
            let Some(hook) = index.hook(change.hook) else { continue };
            let reason = change.reason(outcomes.get(&change.hook).copied());
            let until = change.after.disabled_until.filter(|_| change.after.condition() == Condition::Paused);
            let until = until.map(Timestamp::to_iso);
            if change.after.condition() == Condition::Well {
                tracing::info!(hook.id = %hook.id, "hook {} is called again: {reason}", hook.id);
            } else {
                let until = until.as_deref().unwrap_or("somebody re-enables it");
                tracing::warn!(hook.id = %hook.id, "hook {} is not called until {until}: {reason}", hook.id);
            }
            if !index.is_heard(Place::Instance, Trigger::HOOK_STATE) {
                continue;
            }
            let body = hook_state(hook, change.after, &reason, now);
            let arrival = Arrival {
                place: Place::Instance,
                trigger: Trigger::HOOK_STATE,
                origin: Origin::Api,
                chain: None,
                git_ref: None,
                received_as: ReceivedAs::default(),
                key: Some(change.key(now)),
                body: body.as_bytes(),
                envelope: None,
            };
            if let Err(error) = self.ingest(arrival).await {
                tracing::warn!(%error, hook.id = %hook.id, "failed to report that a hook's condition has changed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_condition_is_news_and_a_longer_pause_is_not() {
        let at = Timestamp::from_seconds;
        let paused = Health { recent_failures: 4, pauses: 1, disabled_until: Some(at(60)), disabled: false };
        let longer = Health { recent_failures: 5, pauses: 2, disabled_until: Some(at(200)), disabled: false };
        let off = Health { recent_failures: 5, disabled: true, ..paused };
        let between = |before, after| Change::between(HookId(7), before, after);
        assert_eq!(between(paused, longer), None);
        let change = between(Health::default(), paused).expect("news");
        let last = Some(Outcome::Failed { status: 502, retry_after: None });
        assert_eq!(change.reason(last), "4 failures in a row, the last: failed (502)");
        assert_eq!(change.key(at(60)), change.key(at(61)));
        let change = between(paused, off).expect("news");
        assert_eq!(change.reason(None), "5 failures in a row");
        let change = between(off, Health::default()).expect("news");
        assert_eq!(change.reason(None), "a success after 5 failures in a row");
        assert_ne!(change.key(at(0)), change.key(at(700)), "it may happen again");
    }
}
