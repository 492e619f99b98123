//! The last hour as charts, a column a minute.

use serde::Deserialize;

use crate::ui::charts::{Chart, Column, Data, Ink, Series, Unit};

/// A minute of the last hour, as the API answers. A number is absent if it was not counted.
#[derive(Deserialize)]
pub(super) struct Minute {
    at: String,
    events: Option<u64>,
    delivered: Option<u64>,
    failed: Option<u64>,
}

/// Whether an event arrived.
pub(super) fn has_events(minutes: &[Minute]) -> bool {
    minutes
        .iter()
        .any(|minute| minute.events.is_some_and(|count| count > 0))
}

/// The events that arrived.
pub(super) fn events(minutes: &[Minute]) -> Chart {
    let count: u64 = minutes.iter().filter_map(|minute| minute.events).sum();
    let data = Data {
        title: "Events in",
        description: format!("{count} events in the last hour, by minute (UTC)."),
        nothing: "No event in the last hour.",
        column: "Minute",
        columns: columns(minutes),
        series: vec![Series::counts(
            "Events",
            Ink::First,
            minutes.iter().map(|minute| minute.events),
        )],
        unit: Unit::Count,
    };
    data.bars()
}

/// The attempts that receivers accepted, and those that failed.
pub(super) fn calls(minutes: &[Minute]) -> Chart {
    let delivered = || minutes.iter().map(|minute| minute.delivered);
    let failed = || minutes.iter().map(|minute| minute.failed);
    let (good, bad) = (delivered().flatten().sum::<u64>(), failed().flatten().sum::<u64>());
    let data = Data {
        title: "Deliveries out",
        description: format!("{good} delivered and {bad} failed attempts in the last hour, by minute (UTC)."),
        nothing: "No attempt in the last hour.",
        column: "Minute",
        columns: columns(minutes),
        series: vec![
            Series::counts("Delivered", Ink::Good, delivered()),
            Series::counts("Failed", Ink::Bad, failed()),
        ],
        unit: Unit::Count,
    };
    data.bars()
}

fn columns(minutes: &[Minute]) -> Vec<Column> {
    minutes.iter().map(|minute| Column::time(&minute.at)).collect()
}
