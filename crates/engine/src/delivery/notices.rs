//! Notices of hooks that are paused, disabled or healthy again: a log line, and an event for the system hooks that
//! subscribe to it.

use std::collections::HashMap;

use quickdraw_domain::event::Origin;
use quickdraw_domain::health::Condition;
use quickdraw_domain::health::Health;
use quickdraw_domain::hook::Hook;
use quickdraw_domain::notices::{hook_pause, hook_state};
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{HookId, Timestamp, Trigger};

use super::Dispatcher;
use crate::scheduler::health::Change;

impl Dispatcher {
    /// Reports that a person paused or resumed a hook. A failure is logged: the change itself is stored already.
    pub async fn report_pause(&self, hook: &Hook, health: Health, by: &str) {
        let now = self.context.clock.now();
        match &hook.paused {
            Some(_) => tracing::info!(hook.id = %hook.id, "hook {} is not called: {by} has paused it", hook.id),
            None => tracing::info!(hook.id = %hook.id, "hook {} is called again: {by} has resumed it", hook.id),
        }

        if !self.context.index().is_subscribed(Place::Instance, Trigger::HOOK_STATE) {
            return;
        }

        let body = hook_pause(hook, health, by, now);
        let event = self
            .journal
            .new_event(Place::Instance, Trigger::HOOK_STATE, Origin::Api);
        if let Err(error) = self.journal.ingest(event, None, body.as_bytes(), None).await {
            tracing::warn!(%error, hook.id = %hook.id, "failed to report that a person paused or resumed a hook");
        }
    }

    /// Reports changes. `outcomes` are the last outcomes of the hooks, as far as this node made the attempts.
    pub(crate) async fn report_health(&self, changes: Vec<Change>, outcomes: &HashMap<HookId, Outcome>) {
        let now = self.context.clock.now();
        for change in changes {
            let index = self.context.directory();
            let Some(hook) = index.hook(change.hook) else { continue };

            let reason = change.reason(outcomes.get(&change.hook).copied());
            let until = change
                .after
                .disabled_until
                .filter(|_| change.after.condition() == Condition::Paused);
            let until = until.map(Timestamp::to_iso);

            if change.after.condition() == Condition::Well {
                tracing::info!(hook.id = %hook.id, "hook {} is called again: {reason}", hook.id);
            } else {
                let until = until.as_deref().unwrap_or("somebody re-enables it");
                tracing::warn!(hook.id = %hook.id, "hook {} is not called until {until}: {reason}", hook.id);
            }

            if !index.is_subscribed(Place::Instance, Trigger::HOOK_STATE) {
                continue;
            }

            let body = hook_state(hook, change.after, &reason, now);
            let event = self
                .journal
                .new_event(Place::Instance, Trigger::HOOK_STATE, Origin::Api);
            let key = Some(change.key(now));
            if let Err(error) = self.journal.ingest(event, key, body.as_bytes(), None).await {
                tracing::warn!(%error, hook.id = %hook.id, "failed to report that a hook's condition has changed");
            }
        }
    }
}
