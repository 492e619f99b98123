//! Step 4, attempt: one HTTP request for a delivery. Nothing is written here, and no transaction is open: the receiver
//! may take ten seconds.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use quickdraw_domain::hook::Hook;
use quickdraw_domain::outcome::{Outcome, Unreachable};
use quickdraw_domain::request;
use quickdraw_domain::retry::OwnRetry;
use quickdraw_domain::settle::Occasion;
use quickdraw_store::deliveries::{Claimed, Finished, Record};

use super::transport::Sent;
use crate::belt::Belt;
use crate::telemetry;

impl Belt {
    /// Attempts a claimed delivery. `None`: its hook has just been deleted, and the sweep will cancel it; or its lease may
    /// lapse before the attempt ends.
    pub(crate) async fn attempt(&self, claimed: &Claimed) -> Option<Finished> {
        let hook = self.index().hook(claimed.hook)?.clone();
        self.attempt_for(&hook, claimed).await
    }

    /// The same with a hook that was just read.
    pub(crate) async fn attempt_for(&self, hook: &Hook, claimed: &Claimed) -> Option<Finished> {
        let belt = self;
        let room = u32::try_from(claimed.payload.unpacked_len() / 1024 + 1).unwrap_or(u32::MAX);
        // Never closed, and no body is larger than all the room.
        let _room = belt.bodies.acquire_many(room).await.ok()?;
        let started_at = belt.clock.now();
        if claimed.lease_until < started_at.plus(belt.settings.deadline) {
            return None;
        }
        let probes = belt.flow.is_probing(claimed.hook, started_at);
        let occasion = if probes { Occasion::Probe } else { Occasion::Usual };
        let sending = async {
            let body = match claimed.payload.unpack() {
                Ok(body) => body,
                Err(error) => return ours(&error.to_string()),
            };
            let instance = &belt.settings.instance;
            let request = request::build(hook, &claimed.event, claimed.delivery, body, instance, started_at);
            let request = match request {
                Ok(request) => request,
                Err(error) => return ours(&error.to_string()),
            };
            belt.transport.send(request, started_at).await
        };
        // A delivery that makes us panic must not take others along, nor come back for ever.
        let sent = AssertUnwindSafe(sending).catch_unwind().await.unwrap_or_else(|_| ours("internal error"));
        let took = belt.clock.now().since(started_at);
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
        belt.flow.ended(claimed, sent.outcome.is_delivered());
        let authorization = hook.url.basic_authorization();
        let basic = authorization.as_ref().and_then(|value| value.expose().strip_prefix("Basic "));
        let typed = hook.token.iter().map(|token| token.expose());
        let named = hook.custom_headers.iter().chain(hook.url_variables.iter()).map(|(_, value)| value.expose());
        let secrets: Vec<&str> = typed.chain(basic).chain(named).collect();
        let masked = |bytes: Vec<u8>| mask(bytes, secrets.iter().copied());
        Some(Finished {
            delivery: claimed.delivery,
            hook: claimed.hook,
            scope: hook.scope,
            fence: claimed.fence,
            tally: claimed.tally,
            outcome: sent.outcome,
            occasion,
            chance: belt.clock.chance(),
            retry: hook.retry.as_ref().map(OwnRetry::policy),
            record: Record {
                started_at,
                duration_micros: i64::try_from(took.as_micros()).unwrap_or(i64::MAX),
                address: sent.address,
                phases: sent.phases,
                hook_version: Some(hook.updated_at),
                error: sent.error,
                response_headers: sent
                    .response_headers
                    .map(|lines| String::from_utf8_lossy(&masked(lines.into_bytes())).into_owned()),
                response_body: sent.response_body.map(masked),
            },
        })
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

/// Receivers echo what they got; a secret must not land in the history that way, not even the beginning of one that was
/// cut off at the end.
fn mask<'a>(mut bytes: Vec<u8>, secrets: impl Iterator<Item = &'a str>) -> Vec<u8> {
    const MASK: &[u8] = b"[REDACTED]";
    for secret in secrets.filter(|secret| secret.len() >= 4) {
        let secret = secret.as_bytes();
        let mut at = 0;
        while let Some(found) = bytes[at..].windows(secret.len()).position(|window| window == secret) {
            let start = at + found;
            bytes.splice(start..start + secret.len(), MASK.iter().copied());
            at = start + MASK.len();
        }
        if let Some(len) = (4..secret.len()).rev().find(|len| bytes.ends_with(&secret[..*len])) {
            bytes.truncate(bytes.len() - len);
            bytes.extend_from_slice(MASK);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echoed_secrets_are_masked_wherever_they_stand() {
        let masked = mask(b"s3cret, [s3cret] s3cre!".to_vec(), ["s3cret", "abc"].into_iter());
        assert_eq!(masked, b"[REDACTED], [[REDACTED]] s3cre!");
        let cut = mask(b"you sent s3cre".to_vec(), ["s3cret"].into_iter());
        assert_eq!(cut, b"you sent [REDACTED]");
    }
}
