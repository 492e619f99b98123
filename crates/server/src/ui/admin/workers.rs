//! The workers of a node, in words.

use serde::Deserialize;

use crate::ui::parts::{Badge, Time};

/// The workers with their tasks, as operators see them.
const TASKS: [(&str, &str); 17] = [
    ("fan_out", "Decides which webhooks get an event"),
    ("claim", "Starts deliveries that are due"),
    ("settle", "Records the results of attempts"),
    ("projection", "Reads events for insights"),
    ("directory", "Follows changes of webhooks, projects and groups"),
    ("leases", "Frees deliveries of nodes that stopped"),
    ("replay", "Runs replays"),
    ("operations", "Merges saves of one object into one event"),
    ("rebuild", "Counts all events again for insights"),
    ("prometheus", "Prepares insights for Prometheus"),
    ("alerts", "Evaluates alert rules of insights"),
    ("notify", "Sends notifications"),
    ("maintenance", "Takes over changes that other nodes made"),
    ("retention", "Deletes old history"),
    ("space", "Measures disk space"),
    ("heartbeat", "Shows other nodes that this node is alive"),
    ("notifications", "Listens for signals of other nodes"),
];

/// The task of a worker. A worker that this list does not have shows its name.
pub(super) fn task(name: &str) -> &str {
    let known = TASKS.iter().find(|(known, _)| *known == name);
    known.map_or(name, |(_, task)| task)
}

/// A worker, as the API shows it.
#[derive(Deserialize)]
pub(super) struct Worker {
    pub(super) name: String,
    runs_on: String,
    is_running: bool,
    pub(super) is_failing: bool,
    pub(super) runs: u64,
    pub(super) failures: u64,
    last_run: Option<String>,
    last_error: Option<String>,
    last_error_at: Option<String>,
}

impl Worker {
    pub(super) fn task(&self) -> &str {
        task(&self.name)
    }

    pub(super) fn badge(&self) -> Badge {
        match (self.is_failing, self.is_running, self.runs) {
            (true, ..) => Badge::bad("Failing"),
            (_, true, _) => Badge::good("Running"),
            (_, _, 0) => Badge::plain("Not started"),
            _ => Badge::good("Works"),
        }
    }

    pub(super) fn runs_on(&self) -> &'static str {
        match self.runs_on.as_str() {
            "one_node" => "One node at a time",
            _ => "Each node",
        }
    }

    pub(super) fn last_run(&self) -> Option<Time> {
        self.last_run.as_deref().map(Time::new)
    }

    /// The last error with its time, also when later runs succeeded.
    pub(super) fn error(&self) -> Option<(&str, Time)> {
        let (error, at) = (self.last_error.as_deref()?, self.last_error_at.as_deref()?);
        Some((error, Time::new(at)))
    }
}
