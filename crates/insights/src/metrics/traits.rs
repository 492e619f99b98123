//! What things can be chosen and grouped by, beside whose they are.

use crate::entity::Item;

/// What a thing has that others have too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Trait {
    /// The branch that it is of, as `main`; of merge requests, the one that they go into.
    Branch,
    /// A label, as last seen; of issues and merge requests.
    Label,
    /// The name of a job.
    Job,
    /// How far it is, in GitLab's words; of pipelines, jobs and deployments.
    Status,
    /// Where to; of deployments.
    Environment,
    /// What started it, as `push` or `schedule`; of pipelines.
    Source,
}

impl Trait {
    /// All of them, with their names in the API.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Branch, "branch"),
        (Self::Label, "label"),
        (Self::Job, "job"),
        (Self::Status, "status"),
        (Self::Environment, "environment"),
        (Self::Source, "source"),
    ];

    /// By its name in the API.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(one, _)| one)
    }

    /// Its name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(one, _)| *one == self).map_or("", |(_, name)| name)
    }

    /// What a thing has of it: of labels several, of everything else one at most.
    #[must_use]
    pub fn of(self, item: &Item) -> Vec<&str> {
        match self {
            Self::Label => item.labels().into_iter().flatten().collect(),
            _ => self.one(item).into_iter().collect(),
        }
    }

    /// What a thing has of what it can have one of.
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

    /// Whether a thing has it.
    #[must_use]
    pub fn is(self, item: &Item, wanted: &str) -> bool {
        match self {
            Self::Label => item.labels().is_some_and(|mut labels| labels.any(|one| one == wanted)),
            _ => self.one(item) == Some(wanted),
        }
    }

    /// Why something does not count that does not have what is wanted.
    pub(super) const fn lacks(self) -> &'static str {
        match self {
            Self::Branch => "it is of another branch, or of none",
            Self::Label => "it does not have the label",
            Self::Job => "it is of another job, or of none",
            Self::Status => "it stands otherwise",
            Self::Environment => "it is of another environment, or of none",
            Self::Source => "something else started it, or nobody knows what",
        }
    }
}
