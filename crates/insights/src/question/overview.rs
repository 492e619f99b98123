//! The current state of all projects, as a monitoring system shows it: metrics of the last days, and the newest
//! pipelines, jobs and deployments. All projects are read, so each family is read once, and commits as counts by hour.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Question, Wanted, Window};
use crate::entity::Family;
use crate::metrics::{Kind, Metric, Summary};
use crate::people::People;
use crate::report::CommitCount;
use quickdraw_domain::Timestamp;

/// The metrics that are calculated from items.
const OF_ITEMS: [&str; 10] = [
    "mr_open",
    "mr_merged",
    "mr_closed_unmerged",
    "mr_waiting",
    "time_to_merge",
    "time_to_first_approval",
    "pipeline_duration",
    "pipeline_success_share",
    "pipeline_failure_share",
    "pipeline_other_share",
];
/// The metrics that are calculated from counts of commits by hour.
const OF_HOURS: [&str; 2] = ["commits", "contributors"];

/// Number of days of [`Overview::PERIOD`].
const DAYS: f64 = 7.0;
/// The last pipeline of a branch and the last deployment to an environment can be so old.
const LAST: Duration = Duration::from_secs(90 * 86_400);
/// Jobs of older pipelines are not shown: there are ten times as many jobs as pipelines.
const JOBS: Duration = Duration::from_secs(2 * 86_400);

/// A question about the current state of all projects.
#[derive(Clone, Copy, Debug)]
pub struct Overview {
    /// Time of the question, and end of its windows.
    pub now: Timestamp,
}

/// All that has to be read for an overview.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OverviewReads {
    /// The items, with one read for each family.
    pub items: Vec<FamilyRead>,

    /// The counts of commits by hour.
    pub commits: FamilyRead,

    /// The branches that are known.
    pub branches: FamilyRead,
}

/// One read: the items of a family that existed for some time between two points in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FamilyRead {
    /// The family.
    pub family: Family,

    /// Start.
    pub from: Timestamp,

    /// End, exclusive.
    pub to: Timestamp,
}

impl Overview {
    /// Metrics are those of this period.
    pub const PERIOD: Duration = Duration::from_secs(7 * 86_400);

    /// Builds the question about a metric of the overview. None for other metrics, because their items are not read.
    #[must_use]
    pub fn question(&self, name: &str) -> Option<Question> {
        if !OF_ITEMS.contains(&name) && !OF_HOURS.contains(&name) {
            return None;
        }

        let window = Window {
            from: self.now.minus(Self::PERIOD),
            to: self.now,
            days: DAYS,
        };
        Some(Question::new(Metric::by_name(name)?, window, self.now))
    }

    /// Decides what to read.
    #[must_use]
    pub fn reads(&self) -> OverviewReads {
        let (now, start) = (self.now, self.now.minus(Self::PERIOD));
        let read = |family: Family, from: Timestamp| FamilyRead { family, from, to: now };

        let mut items = Vec::new();
        for name in OF_ITEMS {
            let Some(reads) = self.question(name).and_then(|question| question.reads().items) else {
                continue;
            };
            if let Wanted::Items(family) = reads.wanted {
                add(&mut items, read(family, reads.from));
            }
        }

        add(&mut items, read(Family::Pipelines, start.minus(LAST)));
        add(&mut items, read(Family::Deployments, now.minus(LAST)));
        add(&mut items, read(Family::Jobs, now.minus(JOBS)));

        OverviewReads {
            items,
            commits: read(Family::Commits, start),
            branches: read(Family::Branches, now),
        }
    }
}

impl OverviewReads {
    /// All reads.
    pub fn all(&self) -> impl Iterator<Item = FamilyRead> {
        self.items.iter().copied().chain([self.commits, self.branches])
    }
}

impl Question {
    /// Calculates only the number of the window, for the metrics `commits` and `contributors`, from the counts of the
    /// window. The people are given, so that the same counts answer for several teams.
    #[must_use]
    pub fn number_of_counts(&self, counts: &[CommitCount], people: &People) -> Summary {
        let (mut commits, mut contributors) = (0, BTreeSet::new());
        for one in counts {
            if people.counts(people.author(&one.author), one.hour) {
                commits += one.commits;
                contributors.insert(people.contributor(&one.author));
            }
        }

        let samples = match self.metric.kind {
            Kind::People => contributors.len(),
            _ => usize::try_from(commits).unwrap_or_default(),
        };

        Summary {
            value: Some(precise(samples)),
            samples,
            ..Summary::default()
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of commits stay far below 2^52")]
const fn precise(count: usize) -> f64 {
    count as f64
}

/// Adds a read, or extends the read of the same family.
fn add(reads: &mut Vec<FamilyRead>, read: FamilyRead) {
    match reads.iter_mut().find(|known| known.family == read.family) {
        Some(known) => known.from = known.from.min(read.from),
        None => reads.push(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commits::Author;
    use crate::people::{Times, Whose};
    use crate::roster::{Resolver, Roster};

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn an_overview_reads_each_family_once() {
        let days = |read: &FamilyRead| {
            assert_eq!(read.to, NOW);
            (read.family, NOW.since(read.from).as_secs() / 86_400)
        };

        let reads = Overview { now: NOW }.reads();
        let items: Vec<_> = reads.items.iter().map(days).collect();

        assert_eq!(
            items,
            [
                (Family::MergeRequests, 7),
                (Family::Pipelines, 97),
                (Family::Deployments, 90),
                (Family::Jobs, 2),
            ]
        );

        assert_eq!(days(&reads.commits), (Family::Commits, 7));
        assert_eq!(days(&reads.branches), (Family::Branches, 0));
    }

    #[test]
    fn the_reads_contain_what_each_metric_reads() {
        let overview = Overview { now: NOW };
        let all = overview.reads();

        let check = |name: &str, reads: &[FamilyRead]| {
            let own = overview.question(name).expect("a metric").reads();
            let items = own.items.expect("a read");
            let contains = |read: &FamilyRead| items.wanted == Wanted::Items(read.family) && read.from <= items.from;

            assert!(reads.iter().any(contains), "{name}");
            assert_eq!((items.to, own.context), (NOW, Vec::new()), "{name}");
        };

        OF_ITEMS.into_iter().for_each(|name| check(name, &all.items));
        OF_HOURS.into_iter().for_each(|name| check(name, &[all.commits]));
        assert!(overview.question("deployments").is_none());
    }

    #[test]
    fn commits_and_contributors_are_counted_from_hours() {
        let count = |email: &str, name: &str, commits: i64| CommitCount {
            project: 7,
            author: Author {
                email: email.to_owned(),
                name: name.to_owned(),
            },
            hour: NOW,
            commits,
        };

        let counts = [
            count("ann@example.com", "Ann", 3),
            count("ann@example.com", "A.", 1),
            count("ben@example.com", "Ben", 2),
            count("bot@example.com", "renovate[bot]", 50),
        ];

        let check = |name: &str, only: Option<Times>, expected: (Option<f64>, usize)| {
            let people = People::new(Resolver::new(&Roster::default(), &[]), &[], Whose::People, only);
            let question = Overview { now: NOW }.question(name).expect("a metric");
            let number = question.number_of_counts(&counts, &people);
            assert_eq!((number.value, number.samples), expected, "{name}");
        };

        check("commits", None, (Some(6.0), 6));
        check("contributors", None, (Some(2.0), 2));
        check("commits", Some(Times::new()), (Some(0.0), 0));
    }
}
