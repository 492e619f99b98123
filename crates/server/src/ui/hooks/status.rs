//! The status of a webhook, as pages show it: its state, its last 24 hours, and its backlog.

use serde::Deserialize;

use crate::ui::charts::Strip;
use crate::ui::client::Api;
use crate::ui::error::PageError;
use crate::ui::history::OUTCOMES;
use crate::ui::parts::{Badge, Time, duration};

/// The status of a webhook.
#[derive(Deserialize)]
pub(super) struct Status {
    pub(super) id: i64,
    state: String,
    reason: String,
    disabled_until: Option<String>,
    pub(super) last_attempt: Option<LastAttempt>,
    attempts: u64,
    delivered: u64,
    success_share: Option<f64>,
    p95_duration: Option<f64>,
    pub(super) hours: Vec<Hour>,
    pub(super) is_sampled: bool,
    backlog: Backlog,
}

#[derive(Deserialize)]
pub(super) struct LastAttempt {
    pub(super) id: i64,
    at: String,
    outcome: String,
    status: Option<u16>,
}

#[derive(Deserialize)]
pub(super) struct Hour {
    pub(super) at: String,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    pub(super) p50_duration: Option<f64>,
    pub(super) p95_duration: Option<f64>,
}

#[derive(Deserialize)]
struct Backlog {
    deliveries: u64,
    has_more: bool,
    oldest_created_at: Option<String>,
    next_attempt_at: Option<String>,
}

impl Status {
    /// The address of the status of a webhook in the API.
    pub(super) fn address(hook: i64) -> String {
        format!("/api/v1/hooks/{hook}/status")
    }

    /// Reads the status of a webhook.
    pub(super) async fn read(api: &Api, hook: i64) -> Result<Self, PageError> {
        Ok(api.get(&Self::address(hook)).await?)
    }

    /// The state in a word.
    pub(super) fn badge(&self) -> Badge {
        match self.state.as_str() {
            "healthy" => Badge::good("Healthy"),
            "failing" => Badge::warning("Failing"),
            "temporarily_disabled" => Badge::warning("Temporarily disabled"),
            "disabled" => Badge::bad("Disabled"),
            "paused" => Badge::waiting("Paused"),
            other => Badge::plain(other),
        }
    }

    /// The state with its reason and the next step, in sentences.
    pub(super) fn sentence(&self) -> String {
        let words = self.reason.split(' ').map(exact_time);
        words.collect::<Vec<_>>().join(" ")
    }

    /// The time at which a webhook that is disabled for a while is tried again.
    pub(super) fn next_try(&self) -> Option<Time> {
        self.disabled_until.as_deref().map(Time::new)
    }

    /// True if nothing is wrong.
    pub(super) fn is_healthy(&self) -> bool {
        self.state == "healthy"
    }

    /// True if a successful test would enable the webhook again.
    pub(super) fn can_be_tried(&self) -> bool {
        matches!(self.state.as_str(), "disabled" | "temporarily_disabled")
    }

    /// The outcome of the last attempt.
    pub(super) fn last(&self) -> Option<(Badge, Time)> {
        let last = self.last_attempt.as_ref()?;
        let badge = outcome_badge(&last.outcome, last.status);
        Some((badge, Time::new(&last.at)))
    }

    /// The share of attempts that the receiver accepted.
    pub(super) fn share(&self) -> String {
        let about = if self.is_sampled { "about " } else { "" };
        self.success_share.map_or_else(
            || "no attempts".to_owned(),
            // 99.96 % is not shown as 100 %.
            |share| format!("{about}{} %", (share * 1000.0).floor() / 10.0),
        )
    }

    /// The duration that 95 % of the attempts did not exceed.
    pub(super) fn p95(&self) -> Option<String> {
        self.p95_duration.map(duration)
    }

    /// The deliveries that wait, in words.
    pub(super) fn backlog(&self) -> String {
        match (self.backlog.deliveries, self.backlog.has_more) {
            (0, _) => "nothing waits".to_owned(),
            (1, false) => "1 delivery".to_owned(),
            (count, false) => format!("{count} deliveries"),
            (count, true) => format!("{count} deliveries or more"),
        }
    }

    /// The time from which the oldest delivery waits.
    pub(super) fn oldest(&self) -> Option<Time> {
        self.backlog.oldest_created_at.as_deref().map(Time::new)
    }

    /// The time of the next attempt.
    pub(super) fn next_attempt(&self) -> Option<Time> {
        self.backlog.next_attempt_at.as_deref().map(Time::new)
    }

    /// The attempts of the last 24 hours as bars.
    pub(super) fn strip(&self) -> Strip {
        let failed = self.attempts.saturating_sub(self.delivered);
        let title = format!("Last 24 hours: {} delivered, {failed} failed", self.delivered);
        Strip::new(title, self.hours.iter().map(|hour| (hour.delivered, hour.failed)))
    }
}

/// The badge of an attempt's outcome: the status of the answer, or the reason for having none.
pub(super) fn outcome_badge(outcome: &str, status: Option<u16>) -> Badge {
    match status {
        Some(_) => Badge::status(status),
        None => Badge::bad(outcome_words(outcome)),
    }
}

/// The words of an outcome.
pub(super) fn outcome_words(outcome: &str) -> &str {
    let found = OUTCOMES.iter().find(|(name, _)| *name == outcome);
    found.map_or(outcome, |(_, words)| words)
}

/// Writes a time of the API for people. Other words stay.
fn exact_time(word: &str) -> String {
    let end = word
        .find('Z')
        .filter(|_| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('T'));
    let Some(end) = end else {
        return word.to_owned();
    };

    let (time, rest) = word.split_at(end);
    let seconds = time.split_once('.').map_or(time, |(seconds, _)| seconds);
    format!("{} UTC{}", seconds.replace('T', " "), rest.trim_start_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_sentences_are_written_for_people() {
        assert_eq!(exact_time("2026-12-01T10:00:00.123Z."), "2026-12-01 10:00:00 UTC.");
        assert_eq!(exact_time("Zebra"), "Zebra");
    }
}
