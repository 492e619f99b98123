//! The answer to a question, calculated from the results of its reads.

use std::collections::BTreeMap;

use super::{
    CommitAnswer, Detail, Explanation, Found, Grouping, MAX_GAUGE_INTERVALS, MAX_GROUPS, MAX_INTERVALS, Question,
    Window,
};
use crate::deployments;
use crate::entity::{Entity, Item};
use crate::metrics::{Items, Kind, Metric, Summary};
use crate::people::People;
use crate::reviews::{self, Pair};
use quickdraw_domain::Timestamp;

/// The answer to a question.
#[derive(Clone, Default, Debug)]
pub struct Answer {
    /// The groups. Without a grouping there is exactly one.
    pub groups: Vec<Group>,
}

/// The answer for one group. Parts that the question does not ask for are empty.
#[derive(Clone, Default, Debug)]
pub struct Group {
    /// The group.
    pub key: GroupKey,

    /// The number of the window.
    pub number: Summary,

    /// The number of the window before.
    pub before: Option<Summary>,

    /// The number of each interval.
    pub series: Vec<Interval>,

    /// Start of coverage.
    pub coverage: Coverage,

    /// The items that count, and the others.
    pub explanation: Explanation,

    /// Pairs of authors and reviewers.
    pub pairs: Vec<Pair>,

    /// The report about commits.
    pub commits: Option<CommitAnswer>,
}

/// A group of an answer.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum GroupKey {
    /// Everything.
    #[default]
    All,

    /// A project, by its id in events.
    Project(i64),

    /// A member, a team, or the value of a trait.
    Named(String),
}

/// One interval of a series.
#[derive(Clone, PartialEq, Debug)]
pub struct Interval {
    /// Start of the interval.
    pub start: Timestamp,

    /// True if the interval is incomplete: the window cuts it, coverage starts after its beginning, or it has not
    /// ended.
    pub is_partial: bool,

    /// The number.
    pub number: Summary,
}

/// The time from which something is known. Before it, numbers are unknown, not 0.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Coverage {
    /// Start of coverage. None if nothing is known.
    pub since: Option<Timestamp>,

    /// True if coverage starts before the window.
    pub begins_before: bool,

    /// True if the whole window is covered: coverage starts before it, and it has ended.
    pub is_whole: bool,
}

/// The reason for which a question has no answer: the answer would be too large.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TooLarge {
    /// Too many groups.
    #[error("there are more than {MAX_GROUPS} groups; limit the question with group or team")]
    Groups,

    /// Too many intervals over all groups.
    #[error("there are too many groups for a series; choose a longer interval, or interval=none")]
    Intervals,
}

impl Answer {
    /// The answer to a question without grouping.
    #[must_use]
    pub fn whole(self) -> Group {
        self.groups.into_iter().next().unwrap_or_default()
    }
}

impl Question {
    /// Calculates the answer.
    ///
    /// # Errors
    /// When the answer would have too many groups, or too many intervals over all groups.
    pub fn answer(&self, found: Found) -> Result<Answer, TooLarge> {
        if let Some(output) = &self.output.commit_report {
            return Ok(self.answer_of_report(output, found));
        }

        let Found {
            mut items,
            mut context,
            first_received,
            ..
        } = found;

        let mut groups = Vec::new();
        match &self.grouping {
            Grouping::None => {
                let items = self.items(items, context);
                groups.push(self.group(GroupKey::All, &items, &self.people, first_received));
            }
            Grouping::Projects => {
                // Items that cannot count must not create a group.
                deployments::keep(&mut items, &mut context, self.choice.deployed_by);

                let projects = by_project(items, context);
                self.check_size(projects.len())?;

                for (project, found) in projects {
                    if !found.items.is_empty() {
                        groups.push(self.group_of_project(project, found));
                    }
                }
            }

            Grouping::WatchedProjects(watched) => {
                let mut projects = by_project(items, context);
                for project in watched {
                    projects.entry(*project).or_default();
                }

                for (project, found) in projects {
                    groups.push(self.group_of_project(project, found));
                }
            }

            Grouping::Trait(of) => {
                let mut items = self.items(items, context);
                let values = items.groups(self.metric, *of, self.window.from, self.window.to);
                self.check_size(values.len())?;

                for value in values {
                    items.look_for(*of, value.clone());
                    groups.push(self.group(GroupKey::Named(value), &items, &self.people, first_received));
                }
            }

            Grouping::People(all) => {
                self.check_size(all.len())?;

                let mut items = self.items(items, context);
                for one in all {
                    items.look_at(one.people.clone());
                    groups.push(self.group(GroupKey::Named(one.name.clone()), &items, &one.people, first_received));
                }
            }
        }

        Ok(Answer { groups })
    }

    /// Calculates only the number of the window, from items that are prepared for several questions. The items have
    /// their own people and filters.
    #[must_use]
    pub fn number(&self, items: &Items) -> Summary {
        number(self.metric, items, &self.window)
    }

    /// Refuses more groups than can be answered.
    fn check_size(&self, groups: usize) -> Result<(), TooLarge> {
        if groups > MAX_GROUPS {
            return Err(TooLarge::Groups);
        }

        let most = if self.metric.kind == Kind::Gauge {
            MAX_GAUGE_INTERVALS
        } else {
            MAX_INTERVALS
        };

        if groups * self.output.series.len() > most {
            Err(TooLarge::Intervals)
        } else {
            Ok(())
        }
    }

    fn group_of_project(&self, project: i64, found: Found) -> Group {
        let items = self.items(found.items, found.context);
        self.group(GroupKey::Project(project), &items, &self.people, found.first_received)
    }

    /// Calculates the requested parts for one group.
    fn group(&self, key: GroupKey, items: &Items, people: &People, first_received: Option<Timestamp>) -> Group {
        let output = &self.output;
        let mut group = Group {
            key,
            ..Group::default()
        };
        if output.number {
            group.number = self.number(items);
            group.before = self.before.map(|before| number(self.metric, items, &before));
        }

        if !output.series.is_empty() {
            group.coverage = self.coverage(first_received.into_iter().chain(items.known_since()).min());
            group.series = self.series(items, group.coverage.since);
        }

        match output.detail {
            Detail::None => {}
            Detail::Explanation => group.explanation = self.explanation(items),
            Detail::Reviews => group.pairs = self.pairs(items, people),
        }

        group
    }

    pub(super) fn coverage(&self, since: Option<Timestamp>) -> Coverage {
        let begins_before = since.is_some_and(|since| since < self.window.from);
        Coverage {
            since,
            begins_before,
            is_whole: begins_before && self.window.to <= self.now,
        }
    }

    fn series(&self, items: &Items, known_since: Option<Timestamp>) -> Vec<Interval> {
        let parts = &self.output.series;
        let numbers = items.series(self.metric, parts, self.window.to);
        let mut series = Vec::with_capacity(parts.len());

        for (index, (part, number)) in parts.iter().zip(numbers).enumerate() {
            let end = parts.get(index + 1).map_or(self.window.to, |next| next.start);
            let is_known = known_since.is_some_and(|since| since <= part.start);
            let is_partial = part.is_cut || end > self.now || !is_known;

            series.push(Interval {
                start: part.start,
                is_partial,
                number,
            });
        }

        series
    }

    /// Pairs of authors and reviewers among the merge requests that pass all filters.
    fn pairs(&self, items: &Items, people: &People) -> Vec<Pair> {
        let mut merge_requests = Vec::new();
        for item in items.all() {
            let passes = self.choice.only.iter().all(|(of, wanted)| of.is(item, wanted));
            if let Item::MergeRequest(one) = item
                && passes
            {
                merge_requests.push(one);
            }
        }

        reviews::pairs(&merge_requests, people, self.window.from, self.window.to)
    }
}

/// The number of a metric in a window.
fn number(metric: &Metric, items: &Items, window: &Window) -> Summary {
    items.metric(metric, window.from, window.to, window.days)
}

/// Splits items and their context by project.
fn by_project(items: Vec<Item>, context: Vec<Item>) -> BTreeMap<i64, Found> {
    let mut projects: BTreeMap<i64, Found> = BTreeMap::new();
    for item in items {
        projects.entry(item.key().0).or_default().items.push(item);
    }

    for item in context {
        projects.entry(item.key().0).or_default().context.push(item);
    }

    projects
}
