//! `quickdraw doctor --url`: examines a running server over HTTP. It only reads.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use quickdraw_egress::{Answer, Method};
use serde_json::Value;

use super::findings::Findings;
use super::workers::Workers;
use crate::client;
use crate::commands::encoded;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A larger difference of the clocks is a problem: sources refuse signatures that are five minutes old.
const MAX_CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_secs(60);
/// A certificate that ends earlier than this is worth a warning.
const CERTIFICATE_NOTICE: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A delivery that is due for longer than this is worth a warning, in seconds.
const LATE: f64 = 300.0;
/// Number of sources whose last request is shown.
const MAX_SOURCES: usize = 20;

/// The server that is examined.
struct Remote<'a> {
    url: &'a str,
    token: Option<String>,
}

/// Examines the server with this base URL.
pub(super) async fn examine(url: &str, token: Option<String>, mut findings: Findings) -> anyhow::Result<()> {
    let remote = Remote { url, token };

    if url.starts_with("https://") {
        certificate(url, &mut findings).await;
    }

    if !remote.is_ready(&mut findings).await {
        return findings.end();
    }

    if remote.token.is_none() {
        let remedy = "set QUICKDRAW_TOKEN to an administrator's token to examine more";
        findings.warn("token", format!("not given; {remedy}"));
        return findings.end();
    }

    if remote.has_version(&mut findings).await {
        remote.sources(&mut findings).await;
        remote.workers(&mut findings).await;
        remote.backlog(&mut findings).await;
    }

    findings.end()
}

/// Checks the dates of the server's certificate.
async fn certificate(url: &str, findings: &mut Findings) {
    let dates = match client::certificate_dates(url, PATIENCE).await {
        Ok(dates) => dates,
        Err(error) => return findings.problem("certificate", format!("{error:#}")),
    };

    let (Ok(from), Ok(until)) = (dates.from.parse::<Timestamp>(), dates.until.parse::<Timestamp>()) else {
        return findings.problem(
            "certificate",
            format!("valid from {} until {}", dates.from, dates.until),
        );
    };

    let now = Timestamp::now();
    if from > now {
        findings.problem("certificate", format!("not valid before {from}"));
    } else if until < now {
        findings.problem("certificate", format!("expired at {until}; renew it"));
    } else if until.duration_since(now) < CERTIFICATE_NOTICE {
        findings.warn("certificate", format!("ends soon, at {until}; renew it"));
    } else {
        findings.ok("certificate", format!("valid until {until}"));
    }
}

impl Remote<'_> {
    /// Gets a path of the server.
    async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        let mut headers = Vec::new();
        if let Some(token) = &self.token {
            headers.push(("PRIVATE-TOKEN".into(), token.clone()));
        }

        client::call(
            Method::GET,
            &format!("{}{path}", self.url),
            &headers,
            Vec::new(),
            PATIENCE,
        )
        .await
    }

    /// Gets JSON. An answer without JSON gives `None`, and a failure is among the findings.
    async fn json(&self, topic: &str, path: &str, findings: &mut Findings) -> Option<Value> {
        match self.get(path).await {
            Ok(answer) if answer.status == 200 => serde_json::from_slice(&answer.body).ok(),
            Ok(answer) if answer.status == 401 => {
                findings.problem(topic, "the token is not valid on this server");
                None
            }
            Ok(answer) if answer.status == 403 => {
                findings.warn(topic, "not shown, because the token is not an administrator's");
                None
            }
            Ok(answer) => {
                findings.problem(topic, format!("{path} answered {}", answer.status));
                None
            }
            Err(error) => {
                findings.problem(topic, format!("{error:#}"));
                None
            }
        }
    }

    /// Checks that the server answers, that its store works, and that its clock is right.
    async fn is_ready(&self, findings: &mut Findings) -> bool {
        let path = "/api/v1/ready";
        let answer = match client::call(Method::GET, &format!("{}{path}", self.url), &[], Vec::new(), PATIENCE).await {
            Ok(answer) => answer,
            Err(error) => {
                findings.problem("server", format!("{} does not answer: {error:#}", self.url));
                return false;
            }
        };

        let condition: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let Some(status) = condition["status"].as_str() else {
            let text = format!(
                "{} answered {}, but not as a Quickdraw server does",
                self.url, answer.status
            );
            findings.problem("server", text);
            return false;
        };

        if answer.status == 200 {
            findings.ok("server", status);
        } else {
            let part = &condition["parts"][0];
            let since = part["failing_since"].as_str().unwrap_or("an unknown time");
            let error = part["last_error"].as_str().unwrap_or("no error is known");
            findings.problem("server", format!("{status} since {since}: {error}"));
        }

        let date = answer.headers.get("date").and_then(|date| date.to_str().ok());
        clock(date, Timestamp::now(), findings);

        true
    }

    /// Shows the version. Returns false if the token is not valid, so that every other check would fail alike.
    async fn has_version(&self, findings: &mut Findings) -> bool {
        let Some(metadata) = self.json("version", "/api/v4/metadata", findings).await else {
            return false;
        };
        let (theirs, ours) = (
            metadata["revision"].as_str().unwrap_or("unknown"),
            env!("CARGO_PKG_VERSION"),
        );

        if theirs == ours {
            findings.ok("version", theirs);
        } else {
            findings.warn("version", format!("{theirs}, and this program has {ours}"));
        }

        true
    }

    /// Shows the last request of each source, and tries the URL to which they post.
    async fn sources(&self, findings: &mut Findings) {
        let Some(list) = self.json("sources", "/api/v1/sources", findings).await else {
            return;
        };
        let sources = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();

        if let Some(url) = sources.first().and_then(|source| source["url"].as_str()) {
            self.external_url(url, findings).await;
        }

        for source in sources.iter().take(MAX_SOURCES) {
            let (id, name) = (
                source["id"].as_str().unwrap_or_default(),
                source["name"].as_str().unwrap_or_default(),
            );

            let topic = format!("source {name}");
            let path = format!("/api/v1/sources/{}/requests", encoded(id));
            if let Some(requests) = self.json(&topic, &path, findings).await {
                last_request(&topic, &requests["items"][0], findings);
            }
        }

        if sources.len() > MAX_SOURCES {
            findings.ok("sources", format!("{} more are not shown", sources.len() - MAX_SOURCES));
        }
    }

    /// Checks that the server can be reached at the URL that it shows to others. `endpoint` is the URL of a source.
    async fn external_url(&self, endpoint: &str, findings: &mut Findings) {
        let topic = "external URL";
        let base = endpoint.split("/api/v1/").next().unwrap_or(endpoint);

        if client::is_local(base) && !client::is_local(self.url) {
            let text = format!("{base} works on the machine of the server only; set server.external_url");
            return findings.problem(topic, text);
        }

        let health = format!("{base}/api/v1/health");
        match client::call(Method::GET, &health, &[], Vec::new(), PATIENCE).await {
            Ok(answer) if answer.status == 200 => findings.ok(topic, format!("{base} answers")),
            Ok(answer) => findings.problem(topic, format!("{base} answered {}", answer.status)),
            Err(error) => findings.problem(topic, format!("{base} cannot be reached from here: {error:#}")),
        }
    }

    async fn workers(&self, findings: &mut Findings) {
        let Some(list) = self.json("workers", "/api/v1/workers", findings).await else {
            return;
        };

        match serde_json::from_value::<Workers>(list) {
            Ok(workers) => workers.show(findings),
            Err(error) => findings.problem("workers", format!("not a list of workers: {error}")),
        }
    }

    /// Shows how much waits, from the metrics.
    async fn backlog(&self, findings: &mut Findings) {
        let text = match self.get("/metrics").await {
            Ok(answer) if answer.status == 200 => String::from_utf8_lossy(&answer.body).into_owned(),
            Ok(answer) => {
                return findings.warn(
                    "backlog",
                    format!("not shown, because /metrics answered {}", answer.status),
                );
            }
            Err(error) => return findings.problem("backlog", format!("{error:#}")),
        };

        let waiting = gauge(&text, "quickdraw_deliveries_pending");
        let late = gauge(&text, "quickdraw_deliveries_oldest_due_seconds");
        let line = format!("deliveries that have not ended: {waiting}, due for at most {late:.0} s");

        if late > LATE {
            findings.warn("backlog", line);
        } else {
            findings.ok("backlog", line);
        }

        let disabled = gauge(&text, "quickdraw_hooks_disabled");
        if disabled > 0.0 {
            findings.warn("webhooks", format!("{disabled} are paused or disabled"));
        }
    }
}

/// Compares the clock of the server with the clock of this machine.
fn clock(date: Option<&str>, now: Timestamp, findings: &mut Findings) {
    let topic = "clock";
    let Some(theirs) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else {
        return findings.warn(topic, "not compared, because the answer has no date");
    };

    let difference = now.duration_since(theirs.timestamp()).abs();
    let text = format!("differs from the clock of this machine by {} s", difference.as_secs());

    if difference > MAX_CLOCK_DIFFERENCE {
        findings.problem(topic, format!("{text}; receivers and sources may refuse signatures"));
    } else {
        findings.ok(topic, text);
    }
}

/// Shows the newest request of a source, which is null if there was none.
fn last_request(topic: &str, request: &Value, findings: &mut Findings) {
    let Some(at) = request["at"].as_str() else {
        return findings.ok(topic, "no request yet");
    };
    let status = request["status"].as_u64().unwrap_or_default();

    if status < 300 {
        findings.ok(topic, format!("the last request at {at} was accepted"));
    } else {
        let note = request["note"].as_str().unwrap_or("no reason is known");
        findings.warn(topic, format!("the last request at {at} was answered {status}: {note}"));
    }
}

/// The value of a metric without labels; 0 if it is missing.
fn gauge(text: &str, name: &str) -> f64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_clock(date: &str, expected: bool) {
        let now: Timestamp = "2026-12-01T02:00:00Z".parse().expect("a time");
        let mut findings = Findings::new(false);
        clock(Some(date), now, &mut findings);
        assert_eq!(findings.end().is_ok(), expected, "{date}");
    }

    #[test]
    fn clocks_may_differ_by_a_minute() {
        check_clock("Tue, 01 Dec 2026 02:00:59 GMT", true);
        check_clock("Tue, 01 Dec 2026 01:58:00 GMT", false);
    }

    #[test]
    fn a_gauge_is_read_by_its_whole_name() {
        let text = "quickdraw_deliveries_pending_x 4\nquickdraw_deliveries_pending 16\n";
        assert!((gauge(text, "quickdraw_deliveries_pending") - 16.0).abs() < f64::EPSILON);
    }
}
