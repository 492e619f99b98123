//! Step 4, attempt: one HTTP request for a delivery. Nothing is written here, and no transaction is open: the receiver
//! may take ten seconds.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use parking_lot::Mutex;
use quickdraw_domain::hook::{Hook, body_template};
use quickdraw_domain::outcome::{Outcome, Unreachable};
use quickdraw_domain::redact::Redactor;
use quickdraw_domain::request::{self, Request};
use quickdraw_domain::retry::OwnRetry;
use quickdraw_domain::settle::Occasion;
use quickdraw_domain::{HookId, Timestamp};
use quickdraw_store::deliveries::{Claimed, Finished, Record};

use super::Dispatcher;
use super::transport::Sent;
use crate::telemetry;

/// Bodies beyond that are built on a thread where nobody else waits.
const LARGE: usize = 256 << 10;
/// The most redactors that are remembered, and the largest of them in bytes. With more, all are forgotten.
const MAX_REDACTORS: usize = 1_024;
const LARGEST_REDACTOR: usize = 16 << 10;

impl Dispatcher {
    /// Attempts a claimed delivery. `None`: its hook has just been deleted, and the worker `maintenance` will cancel
    /// it; or the hook was paused, or silent mode is on; or its lease may lapse before the attempt ends. The caller
    /// gives the delivery back with [`Self::abandon`].
    pub async fn attempt(&self, claimed: &Claimed) -> Option<Finished> {
        let index = self.context.directory();
        let hook = Arc::clone(index.hook(claimed.hook)?);

        // The last look before the request: a person can have paused the hook after the claim.
        if hook.paused.is_some() || index.silence().is_on() {
            return None;
        }

        self.attempt_for(hook, claimed).await
    }

    /// The same with a hook that was just read.
    pub(crate) async fn attempt_for(&self, hook: Arc<Hook>, claimed: &Claimed) -> Option<Finished> {
        let weight = weight(&hook, claimed.payload.unpacked_len());
        let bodies = if weight > LARGE {
            &self.large_bodies
        } else {
            &self.bodies
        };
        // Never closed, and no body is larger than all the room, nor what a template makes of it.
        let mut room = bodies.acquire_many(kib(weight)).await.ok()?;
        let started_at = self.context.clock.now();

        if claimed.lease_until < started_at.plus(self.context.settings.deadline) {
            return None;
        }

        let probes = self.scheduler.is_probing(claimed.hook, started_at);
        let occasion = if probes { Occasion::Probe } else { Occasion::Usual };

        let sending = async {
            let built = if weight > LARGE {
                // Unpacking, rendering and signing take a while: nobody else waits on that thread.
                let (hook, claimed, instance) = (
                    Arc::clone(&hook),
                    claimed.clone(),
                    self.context.settings.instance.clone(),
                );

                let build = move || build(&hook, &claimed, &instance, started_at);
                tokio::task::spawn_blocking(build)
                    .await
                    .unwrap_or_else(|_| Err("internal error".to_owned()))
            } else {
                build(&hook, claimed, &self.context.settings.instance, started_at)
            };

            match built {
                Ok(request) => {
                    // The receiver may take ten seconds: room that was only needed to make the body is given back
                    // before.
                    let needed = kib(request.body.len()) as usize;
                    if let Some(spare) = room.num_permits().checked_sub(needed) {
                        drop(room.split(spare));
                    }

                    self.transport.send(request, started_at).await
                }
                Err(error) => ours(&error),
            }
        };
        // A delivery that causes a panic must not harm others, nor come back for ever.
        let sent = AssertUnwindSafe(sending)
            .catch_unwind()
            .await
            .unwrap_or_else(|_| ours("internal error"));

        let took = self.context.clock.now().since(started_at);
        metrics::counter!(telemetry::ATTEMPTS, "outcome" => sent.outcome.word()).increment(1);
        metrics::histogram!(telemetry::ATTEMPT_SECONDS).record(took);

        tracing::debug!(
            delivery.id = %claimed.delivery,
            hook.id = %claimed.hook,
            attempt.number = claimed.tally.attempts + 1,
            attempt.outcome = sent.outcome.word(),
            attempt.duration_ms = took.as_millis(),
            "attempted a delivery to hook {}",
            claimed.hook
        );

        self.scheduler.ended(claimed, sent.outcome.is_delivered());

        // Invariant: every part of the result passes here before it is stored or shown. Receivers echo requests, and
        // errors name the host that was called.
        let redactor = self.redactors.of(&hook);
        Some(Finished {
            delivery: claimed.delivery,
            hook: claimed.hook,
            is_system: hook.is_system(),
            fence: claimed.fence,
            tally: claimed.tally,
            outcome: sent.outcome,
            occasion,
            chance: self.context.clock.chance(),
            retry: hook.retry.as_ref().map(OwnRetry::policy),
            record: Record {
                started_at,
                duration_micros: i64::try_from(took.as_micros()).unwrap_or(i64::MAX),
                address: sent.address.map(|address| redactor.text(address)),
                phases: sent.phases,
                hook_version: Some(hook.updated_at),
                error: sent.error.map(|error| redactor.text(error)),
                response_headers: sent.response_headers.map(|lines| redactor.header_lines(&lines)),
                response_body: sent.response_body.map(|body| redactor.bytes(body)),
            },
        })
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX)
}

/// Memory of a request's body, in bytes: the unpacked body, the body that a template makes of it, and the encoding of
/// that, which can be longer.
fn weight(hook: &Hook, unpacked: usize) -> usize {
    let rendered = hook
        .body_template
        .as_deref()
        .map_or(0, |template| body_template::longest(template, unpacked));
    unpacked + rendered + body_template::longest_encoded(rendered)
}

fn build(hook: &Hook, claimed: &Claimed, instance: &str, now: Timestamp) -> Result<Request, String> {
    let body = claimed.payload.unpack().map_err(|error| error.to_string())?;
    request::build(hook, &claimed.event, claimed.delivery, body, instance, now).map_err(|error| error.to_string())
}

/// The redactors of hooks that were called lately: making one costs more than using it.
#[derive(Default)]
pub(crate) struct Redactors(Mutex<HashMap<HookId, (Timestamp, Arc<Redactor>)>>);

impl Redactors {
    fn of(&self, hook: &Hook) -> Arc<Redactor> {
        if let Some((version, redactor)) = self.0.lock().get(&hook.id)
            && *version == hook.updated_at
        {
            return Arc::clone(redactor);
        }

        let redactor = Arc::new(Redactor::of(hook));
        if redactor.weight() <= LARGEST_REDACTOR {
            let mut known = self.0.lock();
            if known.len() >= MAX_REDACTORS {
                known.clear();
            }

            known.insert(hook.id, (hook.updated_at, Arc::clone(&redactor)));
        }

        redactor
    }
}

/// A failure of our own making, recorded like any other.
fn ours(error: &str) -> Sent {
    Sent {
        outcome: Outcome::Unreachable(Unreachable::Request),
        address: None,
        phases: None,
        error: Some(error.to_owned()),
        response_headers: None,
        response_body: None,
    }
}
