//! The door to all metrics: a [`Question`] says what to read ([`Question::reads`]), and turns the result into an
//! [`Answer`] ([`Question::answer`]). Nothing here reads anything. Endpoints, exports and alerts are views of the
//! answer. An [`Overview`] joins the reads of several questions, and an [`EventSearch`] finds the events of an item.

mod answer;
mod commit_report;
mod days;
mod events;
mod explanation;
mod overview;
mod reads;

use super::entity::Item;
use super::metrics::{Choice, Items, Metric, Part, Trait};
use super::people::People;
use quickdraw_domain::Timestamp;

pub use answer::{Answer, Coverage, Group, GroupKey, Interval, TooLarge};
pub use commit_report::{AuthorCommits, Cells, CommitAnswer, CommitAuthor, CommitOutput, CommitReads, FoundCommits};
pub use days::{Days, DaysError, Every};
pub use events::{EventPage, EventRead, EventSearch, ItemKey};
pub use explanation::{Explained, Explanation};
pub use overview::{FamilyRead, Overview, OverviewReads};
pub use reads::{Found, Read, Reads, Wanted};

/// Largest number of groups in one answer.
pub const MAX_GROUPS: usize = 500;
/// Largest number of intervals over all groups.
pub const MAX_INTERVALS: usize = 100_000;
/// The same for a gauge, because a gauge examines all items again for each interval.
pub const MAX_GAUGE_INTERVALS: usize = 5_000;

/// A question about one metric.
#[derive(Clone)]
pub struct Question {
    /// The metric, in the definition that is asked for.
    pub metric: &'static Metric,

    /// The window of the answer.
    pub window: Window,

    /// The window before. Items are read from its start, so that both windows are counted from the same data.
    pub before: Option<Window>,

    /// Only these projects; None for all.
    pub projects: Option<Vec<i64>>,

    /// People whose work counts.
    pub people: People,

    /// Filters, options, and the time zone of days.
    pub choice: Choice,

    /// The property by which the answer is split.
    pub grouping: Grouping,

    /// The parts of the answer.
    pub output: Output,

    /// Time of the question. Windows and intervals that end later are incomplete.
    pub now: Timestamp,
}

/// A period of time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Window {
    /// Start.
    pub from: Timestamp,

    /// End, exclusive.
    pub to: Timestamp,

    /// Number of days.
    pub days: f64,
}

/// The property by which an answer is split.
#[derive(Clone, Default, Debug)]
pub enum Grouping {
    /// One group with everything.
    #[default]
    None,

    /// One group for each project with items.
    Projects,

    /// One group for each project, and for these projects also without items. The size of the answer has no limit.
    WatchedProjects(Vec<i64>),

    /// One group for each member or team.
    People(Vec<NamedPeople>),

    /// One group for each value of a trait. An item with several labels is in several groups.
    Trait(Trait),
}

/// A member or team as a group.
#[derive(Clone, Debug)]
pub struct NamedPeople {
    /// Name of the group.
    pub name: String,

    /// People whose work counts in the group.
    pub people: People,
}

/// The parts of an answer that are calculated.
#[derive(Clone, Default, Debug)]
pub struct Output {
    /// The number of the window, and of the window before.
    pub number: bool,

    /// The intervals of a series, in ascending order. A series includes the coverage.
    pub series: Vec<Part>,

    /// The items behind the numbers.
    pub detail: Detail,

    /// A report about commits. It has one group, and no other part is calculated.
    pub commit_report: Option<CommitOutput>,
}

/// The items that an answer shows.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Detail {
    /// No items.
    #[default]
    None,

    /// Each item, with the reason for which it counts or does not.
    Explanation,

    /// Pairs of authors and reviewers.
    Reviews,
}

impl Question {
    /// Builds a question for the number of a metric, for all people and without filters.
    #[must_use]
    pub fn new(metric: &'static Metric, window: Window, now: Timestamp) -> Self {
        Self {
            metric,
            window,
            before: None,
            projects: None,
            people: People::default(),
            choice: Choice::default(),
            grouping: Grouping::None,
            output: Output {
                number: true,
                ..Output::default()
            },
            now,
        }
    }

    /// Prepares items of the metric's family, with their context.
    fn items(&self, items: Vec<Item>, context: Vec<Item>) -> Items {
        Items::new(items, context, self.people.clone(), self.choice.clone())
    }
}

#[cfg(test)]
mod tests;
