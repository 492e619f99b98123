//! What never came, told from what came: pushes that do not join up, and numbers that were passed over.
//!
//! GitLab numbers merge requests, issues and pipelines of a project without holes, and a push begins where the last one of its
//! branch ended. A hole is something that was never seen: an event that did not arrive, or an object that was deleted before
//! anybody told of it, so what is missing is an upper bound.

use serde_json::Value;

use super::Fact;
use super::commits::project_of;
use super::counted::Counted;
use quickdraw_domain::Timestamp;

/// The largest number that GitLab's column for it holds: a body with a larger one is not from there.
const LARGEST_IID: i64 = i32::MAX as i64;

/// What is counted for completeness: the API and its lists call it `metric`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Sequence {
    /// Moves of a branch, by what they began and ended at.
    Push,
    /// Merge requests, by their numbers in the project.
    MergeRequest,
    /// Issues, incidents, tasks and other work items, by their numbers in the project.
    Issue,
    /// Pipelines, by their numbers in the project.
    Pipeline,
    /// Commits of pushes, of which bodies list the newest 20. What is not listed has no name, so it is in no list of gaps.
    Commit,
}

impl Sequence {
    /// All that gaps can be listed of, in the order in which lists have them.
    pub const ALL: [Self; 4] = [Self::Push, Self::MergeRequest, Self::Issue, Self::Pipeline];

    /// As the API names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::MergeRequest => "merge_request",
            Self::Issue => "issue",
            Self::Pipeline => "pipeline",
            Self::Commit => "commit",
        }
    }

    /// By the name that the API has for it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// As the store writes it.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Push => 0,
            Self::MergeRequest => 1,
            Self::Issue => 2,
            Self::Pipeline => 3,
            Self::Commit => 4,
        }
    }

    /// What the store wrote.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Commit]).find(|metric| metric.code() == code)
    }
}

/// An event spoke of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The project's number in events.
    pub project: i64,
    /// What kind of object; never a push.
    pub metric: Sequence,
    /// Its number in the project.
    pub iid: i64,
    /// When the first event that spoke of it was received.
    pub received_at: Timestamp,
}

/// How much of something came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completeness {
    /// The project's number in events.
    pub project: i64,
    /// Its full path, as last seen.
    pub project_path: Option<String>,
    /// Of what.
    pub metric: Sequence,
    /// The lowest number seen; none for pushes.
    pub first: Option<i64>,
    /// The highest number seen; none for pushes.
    pub last: Option<i64>,
    /// How many came.
    pub known: i64,
    /// How many did not, at most; for pushes, at least.
    pub missing: i64,
    /// When the first of them was received: nothing is known of what was before.
    pub since: Timestamp,
}

impl Completeness {
    /// The share that came: 1 when nothing is missing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub fn share(&self) -> f64 {
        self.known as f64 / (self.known + self.missing).max(1) as f64
    }
}

/// Something that never came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gap {
    /// One push of a branch or more.
    Pushes {
        /// The branch, as `refs/heads/main`.
        git_ref: String,
        /// Where the last push that was received before it and that no other continues ended; none when there is none.
        before: Option<String>,
        /// Where the first push after it began.
        after: String,
        /// When that one was received.
        received_at: Timestamp,
    },
    /// Objects with these numbers, both included.
    Objects {
        /// What kind.
        metric: Sequence,
        /// The first that is missing.
        first: i64,
        /// The last that is missing.
        last: i64,
    },
}

/// Where a list of gaps goes on: behind this one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum After {
    /// A gap of pushes, by when what follows it was received, and where that began.
    Pushes(Timestamp, String),
    /// A gap of objects of a kind, by the last number that is missing.
    Objects(Sequence, i64),
}

impl After {
    /// Where a list begins.
    #[must_use]
    pub const fn start(metric: Sequence) -> Self {
        match metric {
            Sequence::Push => Self::Pushes(Timestamp::from_micros(i64::MIN), String::new()),
            objects => Self::Objects(objects, 0),
        }
    }
}

impl Gap {
    /// Of what.
    #[must_use]
    pub const fn metric(&self) -> Sequence {
        match self {
            Self::Pushes { .. } => Sequence::Push,
            Self::Objects { metric, .. } => *metric,
        }
    }

    /// Where the list goes on behind it.
    #[must_use]
    pub fn position(&self) -> After {
        match self {
            Self::Pushes { received_at, after, .. } => After::Pushes(*received_at, after.clone()),
            Self::Objects { metric, last, .. } => After::Objects(*metric, *last),
        }
    }
}

/// The objects that an event speaks of: its own, and those that lie beside it in the same project.
pub(super) fn of(kind: Counted, received_at: Timestamp, body: &Value) -> Vec<Fact> {
    let project = project_of(body);
    let own = match kind {
        Counted::MergeRequest => Some((Sequence::MergeRequest, &body["object_attributes"])),
        Counted::Issue => Some((Sequence::Issue, &body["object_attributes"])),
        Counted::Pipeline => Some((Sequence::Pipeline, &body["object_attributes"])),
        _ => None,
    };
    let beside = [(Sequence::MergeRequest, &body["merge_request"]), (Sequence::Issue, &body["issue"])];
    let seen = |(metric, object): (Sequence, &Value)| {
        // A merge request is numbered where it goes to, and a fork's pipeline tells of one elsewhere.
        let here = object["target_project_id"].as_i64().is_none_or(|target| target == project);
        let iid = object["iid"].as_i64().filter(|iid| here && (1..=LARGEST_IID).contains(iid))?;
        Some(Fact::Seen(Seen { project, metric, iid, received_at }))
    };
    own.into_iter().chain(beside).filter_map(seen).collect()
}

#[cfg(test)]
mod tests {
    use quickdraw_domain::Trigger;
    use serde_json::json;

    use super::*;

    fn seen(trigger: &str, body: &Value) -> Vec<(Sequence, i64)> {
        let kind = Trigger::by_name(trigger).and_then(Counted::of).expect("a counted kind");
        let facts = of(kind, Timestamp::default(), body);
        let seen = |fact| match fact {
            Fact::Seen(seen) => (seen.metric, seen.iid),
            other => panic!("{other:?}"),
        };
        facts.into_iter().map(seen).collect()
    }

    #[test]
    fn events_speak_of_their_object_and_of_those_beside_it() {
        let project = json!({ "id": 7, "path_with_namespace": "gear/rope" });
        let attributes = json!({ "iid": 12, "target_project_id": 7 });
        let merge_request = json!({ "project": project, "object_attributes": attributes });
        assert_eq!(seen("merge_request_hooks", &merge_request), [(Sequence::MergeRequest, 12)]);
        let task = json!({ "object_kind": "work_item", "project": project, "object_attributes": { "iid": 3 } });
        assert_eq!(seen("issue_hooks", &task), [(Sequence::Issue, 3)]);
        assert_eq!(seen("confidential_issue_hooks", &task), [(Sequence::Issue, 3)]);
        let note =
            json!({ "project": project, "object_attributes": { "id": 5, "note": "!" }, "merge_request": attributes });
        assert_eq!(seen("note_hooks", &note), [(Sequence::MergeRequest, 12)]);
        let note = json!({ "project": project, "object_attributes": { "id": 5 }, "issue": { "iid": 4 } });
        assert_eq!(seen("confidential_note_hooks", &note), [(Sequence::Issue, 4)]);
        let elsewhere = json!({ "iid": 9, "target_project_id": 8 });
        let pipeline = json!({ "project": project, "object_attributes": { "iid": 40 }, "merge_request": elsewhere });
        assert_eq!(seen("pipeline_hooks", &pipeline), [(Sequence::Pipeline, 40)], "not the other project's");
        assert_eq!(seen("pipeline_hooks", &json!({ "object_attributes": { "iid": null } })), []);
        assert_eq!(seen("pipeline_hooks", &json!({ "object_attributes": 1, "merge_request": [] })), []);
    }
}
