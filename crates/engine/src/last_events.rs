//! The time of the last event of each project, for Prometheus: of at most 500 projects. The text is made from memory
//! for each scrape, so a project that is forgotten or deleted has no series any more.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use quickdraw_domain::{ProjectId, Timestamp};
use quickdraw_store::events::EventFilter;

use crate::context::Context;
use crate::directory::places;
use crate::telemetry;

/// Projects whose last event is shown.
const MAX_SHOWN: usize = 500;

/// The projects that sent an event last.
#[derive(Default)]
pub(crate) struct LastEvents {
    at: Mutex<HashMap<ProjectId, Timestamp>>,

    /// Set when the journal has been read.
    loaded: AtomicBool,
}

impl LastEvents {
    /// Notes an event of a project. With more projects than are shown, the one that has been silent for longest is
    /// forgotten.
    pub(crate) fn note(&self, project: ProjectId, now: Timestamp) {
        let mut last = self.at.lock();
        if last.len() >= MAX_SHOWN && !last.contains_key(&project) {
            let silent = last.iter().min_by_key(|(_, at)| **at).map(|(project, _)| *project);
            silent.and_then(|project| last.remove(&project));
        }

        let known = last.entry(project).or_insert(now);
        *known = now.max(*known);
    }

    /// Reads from the journal, once after a start, when each project sent its last event.
    pub(crate) async fn load(&self, context: &Context) -> anyhow::Result<()> {
        if self.loaded.load(Ordering::Relaxed) {
            return Ok(());
        }

        let known: Vec<ProjectId> = places::of_other_instances(&context.index()).take(MAX_SHOWN).collect();
        for project in known {
            let filter = EventFilter {
                project: Some(project),
                limit: 1,
                ..EventFilter::default()
            };
            if let Some(event) = context.store.list_events(filter).await?.rows.first() {
                self.note(project, event.received_at);
            }
        }

        self.loaded.store(true, Ordering::Relaxed);

        Ok(())
    }

    /// The projects whose last event came between two times, the latest first.
    pub(crate) fn between(&self, from: Timestamp, to: Timestamp) -> Vec<(ProjectId, Timestamp)> {
        let last = self.at.lock();
        let mut found: Vec<(ProjectId, Timestamp)> = last.iter().map(|(id, at)| (*id, *at)).collect();
        drop(last);

        found.retain(|(_, at)| (from..to).contains(at));
        found.sort_unstable_by_key(|(project, at)| (std::cmp::Reverse(*at), *project));

        found
    }

    /// The series as a text, without projects that are gone.
    pub(crate) fn text(&self, is_there: impl Fn(ProjectId) -> bool) -> String {
        let mut shown: Vec<(ProjectId, Timestamp)> = self.at.lock().iter().map(|(id, at)| (*id, *at)).collect();
        shown.retain(|(project, _)| is_there(*project));
        shown.sort_unstable();

        let name = telemetry::LAST_EVENT;
        let mut text = String::new();

        if !shown.is_empty() {
            // Writing to a text cannot fail.
            let _ = writeln!(
                text,
                "# HELP {name} When the last received event of a project came.\n# TYPE {name} gauge"
            );
        }

        for (project, at) in shown {
            let _ = writeln!(text, "{name}{{project=\"{project}\"}} {}", at.as_seconds());
        }

        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_are_of_at_most_500_projects_and_of_none_that_is_forgotten() {
        let last = LastEvents::default();
        for number in 0..3000 {
            last.note(ProjectId(number), Timestamp::from_seconds(number));
        }

        let text = last.text(|_| true);
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(series, MAX_SHOWN);

        assert!(
            text.contains("{project=\"2999\"} 2999\n") && !text.contains("{project=\"2499\"}"),
            "{text}"
        );

        let deleted = last.text(|project| project != ProjectId(2999));
        assert_eq!(
            deleted.lines().filter(|line| !line.starts_with('#')).count(),
            MAX_SHOWN - 1
        );

        assert_eq!(LastEvents::default().text(|_| true), "");
    }

    #[test]
    fn projects_that_fell_silent_are_listed_with_the_latest_first() {
        let last = LastEvents::default();
        for number in 1..=5 {
            last.note(ProjectId(number), Timestamp::from_seconds(number));
        }

        let silent = last.between(Timestamp::from_seconds(2), Timestamp::from_seconds(4));
        let numbers: Vec<i64> = silent.iter().map(|(project, _)| project.0).collect();
        assert_eq!(numbers, [3, 2]);
    }

    #[test]
    fn an_older_event_does_not_set_a_project_back() {
        let last = LastEvents::default();
        last.note(ProjectId(1), Timestamp::from_seconds(9));
        last.note(ProjectId(1), Timestamp::from_seconds(5));
        assert!(last.text(|_| true).ends_with("{project=\"1\"} 9\n"));
    }
}
