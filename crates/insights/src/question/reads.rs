//! The reads of a question: which families, from when to when.

use std::time::Duration;

use super::{CommitReads, FoundCommits, Grouping, Question};
use crate::entity::{Family, Item};
use crate::metrics::{Kind, Trait};
use quickdraw_domain::Timestamp;

/// Runs of one job can be so far apart.
const AROUND: Duration = Duration::from_secs(7 * 86_400);
/// Earlier pushes, commits, merge requests, deployments and pipelines can affect the window for so long.
const BEFORE: Duration = Duration::from_secs(90 * 86_400);
/// The end of reads that also need items after the window.
const OPEN_END: Timestamp = Timestamp::from_micros(i64::MAX);

/// All that has to be read for a question. Each read is limited to [`Question::projects`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reads {
    /// The items that the metric counts. None for a report about commits.
    pub items: Option<Read>,

    /// The items that it needs as context.
    pub context: Vec<Read>,

    /// True if the answer needs the time at which the first event of the projects was received.
    pub first_received: bool,

    /// The reads of a report about commits.
    pub commits: Option<CommitReads>,
}

/// One read: the items that existed for some time between two points in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Read {
    /// The items to read.
    pub wanted: Wanted,

    /// Start.
    pub from: Timestamp,

    /// End, exclusive.
    pub to: Timestamp,
}

/// The items of a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// Items of a family.
    Items(Family),

    /// Moves of branches: received pushes, and pushes that a backfill reported.
    Moves,
}

/// The results of the reads of a question.
#[derive(Clone, Default, Debug)]
pub struct Found {
    /// The items that the metric counts.
    pub items: Vec<Item>,

    /// Their context, in the order of the reads.
    pub context: Vec<Item>,

    /// The time at which the first event of the projects was received. None if there was none, or if it is not needed.
    pub first_received: Option<Timestamp>,

    /// The results for a report about commits.
    pub commits: FoundCommits,
}

impl Question {
    /// Decides what to read.
    #[must_use]
    pub fn reads(&self) -> Reads {
        if let Some(output) = &self.output.commit_report {
            return self.reads_of_report(output);
        }

        let first_received = self.needs_first_received();
        let mut reads = match self.metric.family() {
            Family::Commits => self.reads_of_commits(),
            family => self.reads_of_items(family),
        };

        reads.first_received = first_received;
        reads
    }

    /// Start of the first window.
    fn start(&self) -> Timestamp {
        self.before.map_or(self.window.from, |before| before.from)
    }

    /// The coverage of each project begins with its own items.
    fn needs_first_received(&self) -> bool {
        let is_by_project = matches!(self.grouping, Grouping::Projects | Grouping::WatchedProjects(_));
        !self.output.series.is_empty() && !is_by_project
    }

    /// True if the question has to know the branches to which commits were pushed.
    fn is_of_branches(&self) -> bool {
        self.choice.only.contains_key(&Trait::Branch) || matches!(self.grouping, Grouping::Trait(Trait::Branch))
    }

    fn reads_of_commits(&self) -> Reads {
        let (from, to) = (self.start(), self.window.to);
        let is_of_merges = self.metric.context().contains(&Family::MergeRequests);
        // Commits that were squashed in the window were made before it.
        let since = if is_of_merges { from.minus(BEFORE) } else { from };
        let mut context = Vec::new();

        // A commit can be pushed at any time after it was made.
        if self.is_of_branches() || is_of_merges {
            context.push(Read {
                wanted: Wanted::Items(Family::Pushes),
                from: since,
                to: OPEN_END,
            });
        }

        if is_of_merges {
            context.push(Read {
                wanted: Wanted::Items(Family::MergeRequests),
                from: since,
                to: OPEN_END,
            });

            context.push(Read {
                wanted: Wanted::Items(Family::Commits),
                from: since,
                to: from,
            });
        }

        let items = Read {
            wanted: Wanted::Items(Family::Commits),
            from,
            to,
        };

        Reads {
            items: Some(items),
            context,
            first_received: false,
            commits: None,
        }
    }

    fn reads_of_items(&self, family: Family) -> Reads {
        let families = self.metric.context();
        let is_gauge = self.metric.kind == Kind::Gauge;
        let (from, to) = (self.start(), self.window.to);

        // Items after the window can affect it. An open incident belongs to a deployment of the window unless another
        // deployment came between, and a change that was received late can have been deployed long ago.
        let (from, to) = match family {
            // An incident that followed an earlier deployment can still be open.
            Family::Deployments => (from.minus(BEFORE), OPEN_END),
            // The other runs of the same pipeline show which runs are repetitions, and which run was the last.
            Family::Jobs => (from.minus(AROUND), to.plus(AROUND)),
            // An earlier push can have listed the same commits, and a change is merged before it is deployed.
            Family::Pushes | Family::MergeRequests if !families.is_empty() => (from.minus(BEFORE), OPEN_END),
            Family::Pushes => (from.minus(BEFORE), to),
            // The last pipeline of a branch can be old.
            Family::Pipelines if is_gauge => (from.minus(BEFORE), to),
            _ => (from, to),
        };

        let mut context = Vec::new();
        for family in families {
            context.push(Read {
                wanted: Wanted::Items(*family),
                from,
                to: OPEN_END,
            });
        }

        // The moves of a branch show whether it exists.
        if family == Family::Branches || (family == Family::Pipelines && is_gauge) {
            context.push(Read {
                wanted: Wanted::Moves,
                from: Timestamp::from_micros(0),
                to,
            });
        }

        Reads {
            items: Some(Read {
                wanted: Wanted::Items(family),
                from,
                to,
            }),
            context,
            first_received: false,
            commits: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metric, Part};
    use crate::question::Window;

    const DAY: i64 = 86_400;

    fn day(number: i64) -> Timestamp {
        Timestamp::from_seconds(number * DAY)
    }

    /// A question about the days from 200 to 230.
    fn question(name: &str) -> Question {
        let metric = Metric::by_name(name).expect("a metric");
        Question::new(
            metric,
            Window {
                from: day(200),
                to: day(230),
                days: 30.0,
            },
            day(240),
        )
    }

    /// A read as text, in days: `Jobs 193..237`.
    fn text(read: &Read) -> String {
        let wanted = match read.wanted {
            Wanted::Items(family) => format!("{family:?}"),
            Wanted::Moves => "Moves".to_owned(),
        };

        let end = if read.to == OPEN_END {
            String::new()
        } else {
            (read.to.as_seconds() / DAY).to_string()
        };
        format!("{wanted} {}..{end}", read.from.as_seconds() / DAY)
    }

    fn check_reads(question: &Question, items: &str, context: &[&str]) {
        let reads = question.reads();
        let found: Vec<String> = reads.items.iter().chain(&reads.context).map(text).collect();

        let expected: Vec<&str> = [items].into_iter().chain(context.iter().copied()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_metric_reads_what_can_affect_its_window() {
        let of = question;
        check_reads(&of("time_to_merge"), "MergeRequests 200..230", &[]);
        check_reads(&of("mr_reviews"), "MergeRequests 200..230", &[]);
        check_reads(&of("issues_open"), "Issues 200..230", &[]);
        check_reads(&of("pipelines"), "Pipelines 200..230", &[]);
        check_reads(&of("branches_failing"), "Pipelines 110..230", &["Moves 0..230"]);
        check_reads(&of("branches_open"), "Branches 200..230", &["Moves 0..230"]);
        check_reads(&of("branch_lifetime"), "Branches 200..230", &["Moves 0..230"]);
        check_reads(&of("job_runs"), "Jobs 193..237", &[]);
        check_reads(&of("flaky_jobs"), "Jobs 193..237", &[]);
        check_reads(&of("pushes"), "Pushes 110..230", &[]);
        check_reads(&of("deployments"), "Deployments 110..", &["Issues 110.."]);
        check_reads(&of("tags_created"), "Deployments 110..", &[]);

        check_reads(
            &of("lead_time_for_changes"),
            "MergeRequests 110..",
            &["Deployments 110..", "Pushes 110.."],
        );

        check_reads(
            &of("mr_files"),
            "MergeRequests 110..",
            &["Pushes 110..", "Commits 110.."],
        );

        check_reads(
            &of("commit_lead_time"),
            "Pushes 110..",
            &["Deployments 110..", "MergeRequests 110.."],
        );

        check_reads(&of("commits"), "Commits 200..230", &[]);
        check_reads(
            &of("changes"),
            "Commits 200..230",
            &["Pushes 110..", "MergeRequests 110..", "Commits 110..200"],
        );
    }

    #[test]
    fn commits_need_pushes_if_they_are_filtered_or_grouped_by_branch() {
        let mut filtered = question("commits");
        filtered.choice.only.insert(Trait::Branch, "main".to_owned());

        let grouped = Question {
            grouping: Grouping::Trait(Trait::Branch),
            ..question("commits")
        };
        for question in [filtered, grouped] {
            check_reads(&question, "Commits 200..230", &["Pushes 200.."]);
        }

        // Other items know their branch.
        let mut filtered = question("pipelines");
        filtered.choice.only.insert(Trait::Branch, "main".to_owned());
        check_reads(&filtered, "Pipelines 200..230", &[]);
    }

    #[test]
    fn a_window_before_extends_all_reads() {
        let before = Some(Window {
            from: day(170),
            to: day(200),
            days: 30.0,
        });
        let of = |name: &str| Question {
            before,
            ..question(name)
        };
        check_reads(&of("time_to_merge"), "MergeRequests 170..230", &[]);
        check_reads(&of("job_runs"), "Jobs 163..237", &[]);

        check_reads(
            &of("changes"),
            "Commits 170..230",
            &["Pushes 80..", "MergeRequests 80..", "Commits 80..170"],
        );
    }

    #[test]
    fn a_series_needs_the_start_of_coverage_unless_each_project_has_its_own() {
        let series = vec![Part {
            start: day(200),
            days: 30.0,
            is_cut: false,
        }];

        let mut question = question("commits");
        assert!(!question.reads().first_received);
        question.output.series = series;
        assert!(question.reads().first_received);
        question.grouping = Grouping::Projects;
        assert!(!question.reads().first_received);
    }
}
