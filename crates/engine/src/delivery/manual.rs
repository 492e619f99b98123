//! Manual attempts, for which a person waits: a test of a hook, and a resend of a delivery. They are recorded like any
//! other, and are not retried.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use quickdraw_domain::delivery::Tally;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::health::Status;
use quickdraw_domain::hook::Hook;
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::retry::RetryPolicy;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::settle::{Occasion, Policies};
use quickdraw_domain::{DeliveryId, EventId, Trigger};
use quickdraw_store::deliveries::{Claimed, Record};
use quickdraw_store::events::{Appended, Decided, FannedOut, Holds, NewEvent};
use quickdraw_store::{Packed, hooks::HookWithHealth};

use super::Dispatcher;
use super::settle::advancing_queue;
use crate::scheduler::Scheduler;

/// The result of a manual attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManualAttempt {
    /// The verdict.
    pub outcome: Outcome,

    /// Why there was no answer, and the beginning of the answer's body.
    pub record: Record,
}

/// The reason why a delivery is not resent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ResendRefused {
    /// Its hook is disabled: a test re-enables it.
    #[error("Hook disabled")]
    HookDisabled,

    /// It is being attempted at this moment.
    #[error("This delivery is under way")]
    UnderWay,

    /// History has been pruned.
    #[error("This delivery is not kept any more")]
    Gone,
}

impl Dispatcher {
    /// Sends a body to one hook at once, whatever its health. A success re-enables it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn test(&self, hook: &Hook, trigger: Trigger, body: &[u8]) -> anyhow::Result<ManualAttempt> {
        let now = self.context.clock.now();
        let place = match hook.scope {
            Scope::Project(id) => Place::Project(id),
            Scope::Group(id) => Place::Group(id),
            Scope::Instance => Place::Instance,
        };
        let event = Event::new(EventId(self.context.clock.uuid()), place, trigger, Origin::Test, now);
        let lease_until = now.plus(self.context.settings.lease);

        let audience = FannedOut {
            deliver: vec![hook.id],
            ..FannedOut::default()
        };

        let decided = Decided {
            holds: Holds::Always,
            audience,
            taken: vec![hook.id],
            lease_until,
            now,
        };

        let payload = Packed::pack(body);
        let new = NewEvent {
            event: event.clone(),
            payload: payload.clone(),
            dedupe: None,
            decided: Some(decided),
            counts: false,
        };
        let appended = self.context.store.append_events(vec![new]).await?;
        let Some(Appended::New { fence: Some(fence), .. }) = appended.first() else {
            anyhow::bail!("a test was not taken for what it is");
        };
        let delivery = DeliveryId::of(event.id, hook.id);
        let tally = Tally::default();

        let claimed = Claimed {
            delivery,
            hook: hook.id,
            tally,
            fence: *fence,
            lease_until,
            event,
            payload,
            queue: None,
        };
        self.attempt_manually(hook, claimed, false)
            .await
            .context("the lease of a test was too short")
    }

    /// Resends a delivery with its original bytes and ids, as a normal attempt. A delivery that is still owed stays
    /// owed if the attempt fails.
    ///
    /// # Errors
    /// The inner one says why it is refused; the outer one when the store fails.
    pub async fn resend(
        &self,
        entry: &HookWithHealth,
        delivery: DeliveryId,
    ) -> anyhow::Result<Result<ManualAttempt, ResendRefused>> {
        let now = self.context.clock.now();
        if entry.health.status(now) != Status::Executable {
            return Ok(Err(ResendRefused::HookDisabled));
        }

        let Some(known) = self.context.store.find_delivery(delivery).await? else {
            return Ok(Err(ResendRefused::Gone));
        };
        let lease_until = now.plus(self.context.settings.lease);
        let Some(claimed) = self.context.store.lease_delivery(delivery, lease_until).await? else {
            return Ok(Err(ResendRefused::UnderWay));
        };
        let owed = known.state.is_owed();

        Ok(self
            .attempt_manually(&entry.hook, claimed, owed)
            .await
            .ok_or(ResendRefused::Gone))
    }

    async fn attempt_manually(&self, hook: &Hook, claimed: Claimed, owed: bool) -> Option<ManualAttempt> {
        self.scheduler.acquire_manual(&self.context.index(), &claimed);

        let mut permit = Permit {
            scheduler: &self.scheduler,
            claimed: &claimed,
            ended: false,
        };

        let mut finished = self.attempt_for(Arc::new(hook.clone()), &claimed).await?;
        permit.ended = true;

        let (outcome, record) = (finished.outcome, finished.record.clone());
        let mut policies = self.context.settings.policies.clone();

        if !owed {
            // A manual attempt is not retried, whatever the hook's own policy.
            finished.retry = None;
            finished.occasion = Occasion::ByHand;

            policies = Arc::new(Policies {
                retry: RetryPolicy::gitlab(),
                disable: policies.disable,
            });
        }

        let settled = self
            .context
            .store
            .finish_attempts(vec![finished], self.context.clock.now(), policies)
            .await;
        if let Err(error) = &settled {
            tracing::error!(%error, "failed to record a manual attempt; its lease lapses");
        }

        std::mem::forget(permit);

        let changes = self
            .scheduler
            .settled(std::iter::once(claimed.hook), settled.as_deref().ok());
        let settlements = std::iter::once(&claimed).zip(settled.iter().flatten());
        self.scheduler.queues_changed(settlements.filter_map(advancing_queue));
        self.report_health(changes, &HashMap::from([(claimed.hook, outcome)]))
            .await;

        // A hook that was re-enabled has deliveries waiting.
        self.context.wakes.deliver.notify_one();
        Some(ManualAttempt { outcome, record })
    }
}

/// Releases a permit when the person who waited for the attempt has gone. The lease lapses by itself.
struct Permit<'a> {
    scheduler: &'a Scheduler,
    claimed: &'a Claimed,
    ended: bool,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.ended {
            let _ = self.scheduler.settled(std::iter::once(self.claimed.hook), None);
        } else {
            self.scheduler.abandoned(self.claimed, true);
        }
    }
}
