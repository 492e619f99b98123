//! The charts of a webhook: its attempts and their durations in the last 24 hours, and its backlog.

use serde::Deserialize;

use super::status::Status;
use crate::ui::charts::{Chart, Column, Data, Ink, Series, Unit};
use crate::ui::client::Api;
use crate::ui::error::PageError;

/// The open deliveries of a webhook by the time of their events, as the API answers.
#[derive(Deserialize)]
pub(super) struct Waiting {
    hours: Vec<Hour>,
    earlier: Counts,
    is_partial: bool,
}

#[derive(Deserialize)]
struct Hour {
    at: String,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Clone, Copy, Deserialize)]
struct Counts {
    waiting: u64,
    blocked: u64,
    retrying: u64,
}

impl Waiting {
    /// Reads the open deliveries of a webhook.
    pub(super) async fn read(api: &Api, hook: i64) -> Result<Self, PageError> {
        Ok(api.get(&format!("/api/v1/hooks/{hook}/backlog")).await?)
    }

    /// The deliveries that wait, by the hour of their event. The first column has those before the first hour.
    pub(super) fn chart(&self) -> Chart {
        let earlier = Column {
            label: "Earlier".to_owned(),
            name: "Earlier".to_owned(),
        };
        let hours = self.hours.iter().map(|hour| Column::time(&hour.at));
        let counts: Vec<Counts> = [self.earlier]
            .into_iter()
            .chain(self.hours.iter().map(|hour| hour.counts))
            .collect();
        let series = |name, ink, count: fn(&Counts) -> u64| {
            Series::counts(name, ink, counts.iter().map(|counts| Some(count(counts))))
        };

        let which = if self.is_partial {
            "The first due deliveries that have"
        } else {
            "Deliveries that have"
        };
        let data = Data {
            title: "Backlog",
            description: format!("{which} not ended, by the hour of their event (UTC)."),
            nothing: "Nothing waits.",
            column: "Hour",
            columns: [earlier].into_iter().chain(hours).collect(),
            series: vec![
                series("Waiting", Ink::First, |counts| counts.waiting),
                series("Retrying", Ink::Second, |counts| counts.retrying),
                series("Blocked", Ink::Third, |counts| counts.blocked),
            ],
            unit: Unit::Count,
        };
        data.bars()
    }
}

/// The attempts by hour.
pub(super) fn attempts(status: &Status) -> Chart {
    let hours = || status.hours.iter();
    let sample = if status.is_sampled { " This is a sample." } else { "" };
    let data = Data {
        title: "Attempts",
        description: format!("Attempts of the last 24 hours, by the hour of their start (UTC).{sample}"),
        nothing: "No attempt in the last 24 hours.",
        column: "Hour",
        columns: columns(status),
        series: vec![
            Series::counts("Delivered", Ink::Good, hours().map(|hour| Some(hour.delivered))),
            Series::counts("Failed", Ink::Bad, hours().map(|hour| Some(hour.failed))),
        ],
        unit: Unit::Count,
    };
    data.bars()
}

/// The durations of attempts by hour.
pub(super) fn durations(status: &Status) -> Chart {
    let hours = || status.hours.iter();
    let data = Data {
        title: "Duration",
        description: "The duration that half of an hour's attempts, and 95 % of them, did not exceed (UTC).".to_owned(),
        nothing: "No attempt in the last 24 hours.",
        column: "Hour",
        columns: columns(status),
        series: vec![
            Series {
                name: "Half",
                ink: Ink::First,
                values: hours().map(|hour| hour.p50_duration).collect(),
            },
            Series {
                name: "95 %",
                ink: Ink::Second,
                values: hours().map(|hour| hour.p95_duration).collect(),
            },
        ],
        unit: Unit::Seconds,
    };
    data.lines()
}

fn columns(status: &Status) -> Vec<Column> {
    status.hours.iter().map(|hour| Column::time(&hour.at)).collect()
}
