//! The receivers of the world: they answer by chance, and remember the requests that they got.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::outcome::{Outcome, Unreachable};
use quickdraw_domain::request::Request;
use quickdraw_engine::{Sent, Transport};
use serde_json::Value;

use crate::chance::Dice;

/// The requests that receivers got.
#[derive(Default)]
pub(super) struct Seen {
    /// Keys of the requests in progress.
    pub(super) open: HashSet<String>,

    /// For each key, the number of requests, and whether one of them got a 2xx answer.
    pub(super) keys: HashMap<String, (u32, bool)>,
    pub(super) overlaps: u32,
    pub(super) failures: u32,

    /// The UUIDs of hooks with ordered delivery, and the newest event that was sent in each of their queues.
    pub(super) ordered: HashSet<String>,
    pub(super) lines: HashMap<(String, String), u64>,
    pub(super) disorder: Vec<String>,
}

impl Seen {
    /// Checks that no event of a queue is sent after a newer one. Otherwise the newer one was started before the older
    /// one had ended.
    fn check_order(&mut self, hook: String, body: &Value) {
        if !self.ordered.contains(&hook) {
            return;
        }

        let number = body["number"].as_u64().expect("a number");
        let newest = self.lines.entry((hook, body["ref"].to_string())).or_default();
        if number < *newest {
            self.disorder.push(format!("{number} after {newest}"));
        }

        *newest = number;
    }
}

pub(super) struct Receivers {
    pub(super) seen: Arc<Mutex<Seen>>,
    pub(super) dice: Dice,
    pub(super) calm: Arc<Mutex<bool>>,
}

#[async_trait]
impl Transport for Receivers {
    async fn send(&self, request: Request, _now: Timestamp) -> Sent {
        let header = |wanted| {
            request
                .headers
                .iter()
                .find(|(name, _)| *name == wanted)
                .expect("always sent")
                .1
                .clone()
        };
        let key = header("Idempotency-Key");

        {
            let mut seen = self.seen.lock().expect("no panic");
            seen.check_order(
                header("X-Gitlab-Webhook-UUID"),
                &serde_json::from_slice(&request.body).expect("JSON"),
            );

            if !seen.open.insert(key.clone()) {
                seen.overlaps += 1;
            }
        }

        tokio::task::yield_now().await;

        let calm = *self.calm.lock().expect("no panic");
        let outcome = match if calm { 9 } else { self.dice.below(10) } {
            0 => Outcome::Unreachable(Unreachable::TimedOut),
            1 => Outcome::Failed {
                status: 503,
                retry_after: Some(Duration::from_secs(self.dice.below(500))),
            },
            2 => Outcome::Failed {
                status: 500,
                retry_after: None,
            },
            3 => Outcome::Unreachable(Unreachable::Connect),
            _ => Outcome::Delivered { status: 200 },
        };

        let mut seen = self.seen.lock().expect("no panic");
        seen.open.remove(&key);
        seen.failures += u32::from(!outcome.is_delivered());

        let entry = seen.keys.entry(key).or_default();
        entry.0 += 1;
        entry.1 |= outcome.is_delivered();

        Sent {
            outcome,
            address: None,
            phases: None,
            error: None,
            response_headers: None,
            response_body: None,
        }
    }
}
