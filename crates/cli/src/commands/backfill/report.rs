//! Reports past events to a server, many in one request.

use std::time::Duration;

use anyhow::Context;
use quickdraw_domain::Trigger;
use quickdraw_egress::Method;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Reporting;
use crate::client;
use crate::commands::gitlab::bodies::Found;
use crate::commands::{plain, say};
use crate::output::{self, complain};

/// Maximum number of events in one request, and of bytes of their payloads.
const MAX_EVENTS: usize = 500;
const MAX_BYTES: usize = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(120);
/// Maximum number of failures in the JSON document.
const MAX_FAILURES: usize = 1_000;
/// Number of attempts to send a request to a server that is busy or unreachable.
const TRIES: u32 = 7;

/// An event as the source would have received it.
#[derive(Serialize)]
pub(super) struct Reported {
    pub(super) trigger: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) received_at: Option<String>,
    pub(super) payload: Box<RawValue>,
}

impl Reported {
    /// Takes a composed body without its labels. They are removed if only the current labels are known, because the
    /// server would take them for the labels at the time of the event.
    pub(super) fn without_labels(found: Found, received_at: Option<String>) -> anyhow::Result<Self> {
        let mut body: Value = serde_json::from_slice(&found.body)?;
        for place in [
            "/labels",
            "/object_attributes/labels",
            "/merge_request/labels",
            "/issue/labels",
        ] {
            let (parent, name) = place.rsplit_once('/').unwrap_or_default();
            if let Some(object) = body.pointer_mut(parent).and_then(Value::as_object_mut) {
                object.shift_remove(name);
            }
        }

        Self::of(found.trigger, received_at, &body)
    }

    /// Takes a composed body.
    pub(super) fn new(found: Found, received_at: Option<String>) -> anyhow::Result<Self> {
        let payload = RawValue::from_string(String::from_utf8(found.body)?)?;
        Ok(Self {
            trigger: found.trigger.row().name,
            received_at,
            payload,
        })
    }

    /// Takes a body as JSON.
    pub(super) fn of(trigger: Trigger, received_at: Option<String>, body: &Value) -> anyhow::Result<Self> {
        Ok(Self {
            trigger: trigger.row().name,
            received_at,
            payload: serde_json::value::to_raw_value(body)?,
        })
    }
}

/// The reason for which events were not reported.
#[derive(Debug)]
pub(super) enum Failed {
    /// The server refused the request.
    Refused(anyhow::Error),

    /// The server did not accept the request in any attempt. The events are kept.
    Away(anyhow::Error),
}

impl From<Failed> for anyhow::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(error) | Failed::Away(error) => error,
        }
    }
}

/// The number of events by result.
#[derive(Default)]
struct Tally {
    added: u64,
    known: u64,
    ignored: u64,
}

/// An object that could not be reported.
#[derive(Serialize)]
struct Failure {
    object: String,
    error: String,
}

/// A server, the events that have not been sent to it yet, and the results so far.
pub(super) struct Reporter {
    url: String,
    token: String,
    waiting: Vec<Reported>,
    bytes: usize,
    tally: Tally,

    /// The first failures, up to [`MAX_FAILURES`], and their number.
    failures: Vec<Failure>,
    failed: usize,

    /// The result is printed as JSON.
    json: bool,
}

impl Reporter {
    pub(super) fn new(reporting: &Reporting) -> anyhow::Result<Self> {
        Ok(Self {
            url: reporting.server.url()?,
            token: reporting.server.token()?,
            waiting: Vec::new(),
            bytes: 0,
            tally: Tally::default(),
            failures: Vec::new(),
            failed: 0,
            json: reporting.json,
        })
    }

    /// Base URL of the server.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Prints a line about the progress. With JSON, it goes to standard error.
    pub(super) fn note(&self, text: &str) {
        if self.json {
            complain(plain(text));
        } else {
            say(plain(text));
        }
    }

    /// Records and prints that an object could not be reported.
    pub(super) fn fail(&mut self, object: &str, error: &str) {
        self.note(&format!("FAILED: {object}: {error}"));
        self.failed += 1;

        if self.failures.len() < MAX_FAILURES {
            self.failures.push(Failure {
                object: object.to_owned(),
                error: error.to_owned(),
            });
        }
    }

    /// Queues an event. Sends the queue if it is full.
    pub(super) async fn report(&mut self, event: Reported) -> Result<(), Failed> {
        let bytes = event.payload.get().len();
        if self.waiting.len() == MAX_EVENTS || self.bytes + bytes > MAX_BYTES {
            self.flush().await?;
        }

        self.bytes += bytes;
        self.waiting.push(event);
        Ok(())
    }

    /// Sends the queued events.
    pub(super) async fn flush(&mut self) -> Result<(), Failed> {
        if self.waiting.is_empty() {
            return Ok(());
        }

        let body =
            serde_json::to_vec(&json!({ "events": self.waiting })).map_err(|error| Failed::Refused(error.into()))?;
        let answer = self.post(body).await;
        if let Err(Failed::Away(_)) = &answer {
            return answer.map(drop);
        }

        // The server would refuse this batch again, so it is dropped and later batches can pass.
        self.waiting.clear();
        self.bytes = 0;

        let answer = answer?;
        let number = |name: &str| answer[name].as_u64().unwrap_or_default();
        self.tally.added += number("added");
        self.tally.known += number("known");
        self.tally.ignored += number("ignored");

        Ok(())
    }

    /// Sends the queued events and prints the totals.
    pub(super) async fn end(mut self) -> anyhow::Result<()> {
        self.flush().await?;
        let Tally { added, known, ignored } = self.tally;

        if self.json {
            output::json(&json!({
                "added": added,
                "known": known,
                "ignored": ignored,
                "failed": self.failed,
                "failures": self.failures,
            }));
        } else {
            say(format!(
                "events reported: {added}, already known: {known}, of kinds that no metric uses: {ignored}"
            ));
        }

        Ok(())
    }

    async fn post(&self, body: Vec<u8>) -> Result<Value, Failed> {
        let url = format!("{}/api/v1/insights/backfill", self.url);
        let headers = [
            ("Content-Type".into(), "application/json".to_owned()),
            ("PRIVATE-TOKEN".into(), self.token.clone()),
        ];

        let mut tries = 0;
        loop {
            let failed = match client::call(Method::POST, &url, &headers, body.clone(), PATIENCE).await {
                Ok(answer) if answer.status == 200 => {
                    let read = serde_json::from_slice(&answer.body).context("the server's answer is not JSON");
                    return read.map_err(Failed::Away);
                }
                Ok(answer) => {
                    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                    let why = body["detail"].as_str().map_or_else(|| body.to_string(), str::to_owned);
                    let failed = anyhow::anyhow!("the server answered {}: {why}", answer.status);
                    if !matches!(answer.status, 429 | 502..=504) {
                        return Err(Failed::Refused(failed));
                    }

                    failed
                }
                Err(error) => error,
            };

            tries += 1;
            if tries == TRIES {
                return Err(Failed::Away(failed));
            }

            // If the server stored a part of the batch, it recognises those events in the next attempt.
            tokio::time::sleep(Duration::from_secs(1 << tries)).await;
        }
    }
}
