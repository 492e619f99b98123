//! The traits by which items can be filtered and grouped.

use crate::entity::Item;

/// A property that several items can share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Trait {
    /// The branch, such as `main`. For merge requests, the target branch.
    Branch,

    /// A label of an issue or merge request, as last seen.
    Label,

    /// The name of a job.
    Job,

    /// The status of a pipeline, job or deployment, in GitLab's words.
    Status,

    /// The environment of a deployment.
    Environment,

    /// The reason for which a pipeline started, such as `push` or `schedule`.
    Source,
}

impl Trait {
    /// All traits with their names in the API.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Branch, "branch"),
        (Self::Label, "label"),
        (Self::Job, "job"),
        (Self::Status, "status"),
        (Self::Environment, "environment"),
        (Self::Source, "source"),
    ];

    /// Finds a trait by its name in the API.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, known)| *known == name)
            .map(|(one, _)| one)
    }

    /// The name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(one, _)| *one == self)
            .map_or("", |(_, name)| name)
    }

    /// The values of an item: several for labels, otherwise at most one.
    #[must_use]
    pub fn of(self, item: &Item) -> Vec<&str> {
        match self {
            Self::Label => item.labels().into_iter().flatten().collect(),
            _ => self.one(item).into_iter().collect(),
        }
    }

    /// The only value of an item, for all traits but labels.
    fn one(self, item: &Item) -> Option<&str> {
        match (self, item) {
            (Self::Branch, item) => item.branch(),
            (Self::Job, Item::Job(one)) => Some(one.name.as_str()),
            (Self::Status, Item::Pipeline(one)) => one.last.map(|seen| seen.status.name()),
            (Self::Status, Item::Job(one)) => Some(one.last.status.name()),
            (Self::Status, Item::Deployment(one)) => Some(one.status().name()),
            (Self::Environment, Item::Deployment(one)) => Some(one.environment.as_str()),
            (Self::Source, Item::Pipeline(one)) => one.source.as_deref(),
            _ => None,
        }
    }

    /// True if an item has the value.
    #[must_use]
    pub fn is(self, item: &Item, wanted: &str) -> bool {
        match self {
            Self::Label => item.labels().is_some_and(|mut labels| labels.any(|one| one == wanted)),
            _ => self.one(item) == Some(wanted),
        }
    }

    /// The reason for which an item without the value does not count.
    pub(super) const fn lacks(self) -> &'static str {
        match self {
            Self::Branch => "it has another branch or no branch",
            Self::Label => "it does not have the label",
            Self::Job => "it belongs to another job or to no job",
            Self::Status => "it has another status",
            Self::Environment => "it has another environment or no environment",
            Self::Source => "it has another source, or its source is unknown",
        }
    }
}
