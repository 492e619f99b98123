//! Series of metrics as a text, and counts that only grow.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::time::Duration;

use quickdraw_domain::Timestamp;

use super::count;

/// Maximum number of series.
const MAX_SERIES: usize = 10_000;
/// Maximum number of items that are remembered of one count, because items that come late are hardly later than that.
const MAX_REMEMBERED: usize = 200;

/// Runs of pipelines and jobs, and deployments, by the exporter's names.
pub(super) const PIPELINE_RUNS: &str = "gitlab_ci_pipeline_run_count";
pub(super) const JOB_RUNS: &str = "gitlab_ci_pipeline_job_run_count";
pub(super) const DEPLOYMENTS: &str = "gitlab_ci_environment_deployment_count";
const COUNTERS: [&str; 3] = [PIPELINE_RUNS, JOB_RUNS, DEPLOYMENTS];

/// Series by the name of their metric.
#[derive(Default)]
pub(super) struct Series {
    all: BTreeMap<&'static str, (&'static str, Vec<String>)>,
    pub(super) count: usize,
    pub(super) dropped: usize,
}

impl Series {
    pub(super) fn add(&mut self, name: &'static str, help: &'static str, labels: &[(&str, &str)], value: f64) {
        if self.count == MAX_SERIES {
            self.dropped += 1;
            return;
        }

        self.count += 1;

        let labels = written(labels);
        self.all
            .entry(name)
            .or_insert((help, Vec::new()))
            .1
            .push(format!("{name}{labels} {value}"));
    }

    /// Adds what another has, as far as there is room.
    pub(super) fn append(&mut self, other: Self) {
        self.dropped += other.dropped;

        for (name, (help, lines)) in other.all {
            let fits = lines.len().min(MAX_SERIES.saturating_sub(self.count));
            self.dropped += lines.len() - fits;
            self.count += fits;

            if fits > 0 {
                self.all
                    .entry(name)
                    .or_insert((help, Vec::new()))
                    .1
                    .extend(lines.into_iter().take(fits));
            }
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (name, (help, lines)) in &self.all {
            // Writing to a text cannot fail.
            let kind = if COUNTERS.contains(name) { "counter" } else { "gauge" };
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{}", lines.join("\n"));
        }

        text
    }
}

/// A label's value as the text format has it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Labels as the text format has them.
fn written(labels: &[(&str, &str)]) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();

    if labels.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", labels.join(","))
    }
}

/// Counters of things since this node started, each thing once, even if it is shown again. They begin at 0 after a
/// restart.
#[derive(Default)]
pub(super) struct Counts {
    all: HashMap<(&'static str, String), Counted>,

    /// Those that were shown in this look.
    shown: HashSet<(&'static str, String)>,
}

/// How long a count is kept that is not shown: what it counted could be shown again, and would be counted once more.
const KEPT: Duration = Duration::from_secs(100 * 86_400);
/// Maximum number of counts that are kept.
const MAX_COUNTS: usize = 20_000;

#[derive(Default)]
struct Counted {
    count: usize,

    /// Numbers of things that were counted, …
    remembered: BTreeSet<i64>,

    /// … but for those up to here, all of which were.
    until: i64,

    /// When it was last shown.
    shown_at: Timestamp,
}

impl Counts {
    /// Counts those of the things that were not yet.
    pub(super) fn add(
        &mut self,
        series: &mut Series,
        name: &'static str,
        help: &'static str,
        labels: &[(&str, &str)],
        ids: impl Iterator<Item = i64>,
    ) {
        let key = (name, written(labels));
        if !self.all.contains_key(&key) && (series.count >= MAX_SERIES || self.all.len() >= MAX_COUNTS) {
            series.dropped += 1;
            return;
        }

        let counted = self.all.entry(key.clone()).or_insert_with(|| Counted {
            until: i64::MIN,
            ..Counted::default()
        });

        for id in ids.collect::<BTreeSet<_>>() {
            if id > counted.until && counted.remembered.insert(id) {
                counted.count += 1;
            }
        }

        while counted.remembered.len() > MAX_REMEMBERED {
            counted.until = counted.remembered.pop_first().unwrap_or(counted.until);
        }

        series.add(name, help, labels, count(counted.count));
        self.shown.insert(key);
    }

    /// Forgets what was not shown for long.
    pub(super) fn prune(&mut self, now: Timestamp) {
        for key in std::mem::take(&mut self.shown) {
            if let Some(counted) = self.all.get_mut(&key) {
                counted.shown_at = now;
            }
        }

        self.all.retain(|_, counted| now < counted.shown_at.plus(KEPT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_count_once_and_never_go_back() {
        let (mut counts, labels) = (Counts::default(), [("ref", "main")]);
        let mut look = |ids: &[i64]| {
            let mut series = Series::default();
            counts.add(&mut series, PIPELINE_RUNS, "Runs.", &labels, ids.iter().copied());
            counts.prune(Timestamp::from_seconds(60));

            series.text()
        };

        let shown = |count: usize| {
            format!(
                "# HELP {PIPELINE_RUNS} Runs.\n# TYPE {PIPELINE_RUNS} counter\n{PIPELINE_RUNS}{{ref=\"main\"}} {count}\n"
            )
        };
        assert_eq!(look(&[3, 5]), shown(2));

        assert_eq!(
            look(&[5, 4, 5]),
            shown(3),
            "a late value counts, and a repeated value does not"
        );

        assert_eq!(look(&[6]), shown(4), "what is too old to be shown stays counted");
        assert_eq!(
            look(&[3, 6]),
            shown(4),
            "and is not counted again when it is shown again"
        );

        assert_eq!(look(&(0..500).collect::<Vec<_>>()), shown(500));
        assert_eq!(look(&[1, 2, 499, 500]), shown(501), "and is not counted again");
    }
}
