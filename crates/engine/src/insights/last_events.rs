//! When projects were last heard of, for Prometheus: of at most 500 projects. The text is made from memory at each look, so a
//! project that is forgotten or deleted has no series any more.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use quickdraw_domain::{ProjectId, Timestamp};
use quickdraw_store::events::EventFilter;

use crate::context::Belt;
use crate::{lock, telemetry};

/// Projects whose last event is shown.
const MOST_SHOWN: usize = 500;

/// The projects that were heard of last.
#[derive(Default)]
pub(crate) struct LastEvents {
    at: Mutex<HashMap<ProjectId, Timestamp>>,
    /// Whether what the journal knows of them has been looked up.
    loaded: AtomicBool,
}

impl LastEvents {
    /// Of more projects than are shown, the one that has been silent for longest is forgotten.
    pub(crate) fn heard_of(&self, project: ProjectId, now: Timestamp) {
        let mut last = lock(&self.at);
        if last.len() >= MOST_SHOWN && !last.contains_key(&project) {
            let silent = last.iter().min_by_key(|(_, at)| **at).map(|(project, _)| *project);
            silent.and_then(|project| last.remove(&project));
        }
        let known = last.entry(project).or_insert(now);
        *known = now.max(*known);
    }

    /// The series as a text, without projects that are gone.
    fn text(&self, is_there: impl Fn(ProjectId) -> bool) -> String {
        let mut shown: Vec<(ProjectId, Timestamp)> = lock(&self.at).iter().map(|(id, at)| (*id, *at)).collect();
        shown.retain(|(project, _)| is_there(*project));
        shown.sort_unstable();
        let name = telemetry::LAST_EVENT;
        let mut text = String::new();
        if !shown.is_empty() {
            // Writing to a text cannot fail.
            let _ =
                writeln!(text, "# HELP {name} When the last received event of a project came.\n# TYPE {name} gauge");
        }
        for (project, at) in shown {
            let _ = writeln!(text, "{name}{{project=\"{project}\"}} {}", at.as_seconds());
        }
        text
    }
}

impl Belt {
    /// When projects were last heard of, in Prometheus' text format.
    #[must_use]
    pub fn last_events_text(&self) -> String {
        let index = self.index();
        self.last_events.text(|project| index.has_project(project))
    }

    /// Looks up in the journal, once after a start, when projects were last heard of.
    pub(crate) async fn load_last_events(&self) -> anyhow::Result<()> {
        if self.last_events.loaded.load(Ordering::Relaxed) {
            return Ok(());
        }
        let known: Vec<ProjectId> = self.index().known_projects().take(MOST_SHOWN).collect();
        for project in known {
            let filter = EventFilter { project: Some(project), limit: 1, ..EventFilter::default() };
            if let Some(event) = self.store.list_events(filter).await?.rows.first() {
                self.last_events.heard_of(project, event.received_at);
            }
        }
        self.last_events.loaded.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_are_of_at_most_500_projects_and_of_none_that_is_forgotten() {
        let last = LastEvents::default();
        for number in 0..3000 {
            last.heard_of(ProjectId(number), Timestamp::from_seconds(number));
        }
        let text = last.text(|_| true);
        let series = text.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(series, MOST_SHOWN);
        assert!(text.contains("{project=\"2999\"} 2999\n") && !text.contains("{project=\"2499\"}"), "{text}");
        let deleted = last.text(|project| project != ProjectId(2999));
        assert_eq!(deleted.lines().filter(|line| !line.starts_with('#')).count(), MOST_SHOWN - 1);
        assert_eq!(LastEvents::default().text(|_| true), "");
    }

    #[test]
    fn an_older_event_does_not_set_a_project_back() {
        let last = LastEvents::default();
        last.heard_of(ProjectId(1), Timestamp::from_seconds(9));
        last.heard_of(ProjectId(1), Timestamp::from_seconds(5));
        assert!(last.text(|_| true).ends_with("{project=\"1\"} 9\n"));
    }
}
