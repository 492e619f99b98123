//! Finds missing events by gaps between received ones: pushes that do not connect, and missing numbers.
//!
//! GitLab numbers the merge requests, issues and pipelines of a project without gaps, and a push begins where the last
//! one of its branch ended. A gap is an event that never arrived, or an object that was deleted before any event about
//! it. The count is therefore an upper bound.

use serde_json::Value;

use super::Fact;
use super::commits::project_of;
use super::counted::Counted;
use quickdraw_domain::Timestamp;

/// Maximum of GitLab's column for these numbers. Larger numbers do not come from GitLab.
const LARGEST_IID: i64 = i32::MAX as i64;

/// A sequence whose gaps are counted. The API calls it `kind`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Sequence {
    /// Pushes of a branch, linked by their commits.
    Push,

    /// Merge requests, numbered per project.
    MergeRequest,

    /// Issues, incidents, tasks and other work items, numbered per project.
    Issue,

    /// Pipelines, numbered per project.
    Pipeline,

    /// Commits of pushes. A body lists only the newest 20. The SHAs of the others are unknown, so they are in no list
    /// of gaps.
    Commit,
}

impl Sequence {
    /// The sequences with lists of gaps, in the order of the lists.
    pub const ALL: [Self; 4] = [Self::Push, Self::MergeRequest, Self::Issue, Self::Pipeline];

    /// The name in the API.
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

    /// Finds a sequence by its name in the API.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The number that the databases store.
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

    /// Finds a sequence by its stored number.
    #[must_use]
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .chain([Self::Commit])
            .find(|kind| kind.code() == code)
    }
}

/// An object that an event mentioned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The project's id in events.
    pub project: i64,

    /// Kind of the object; never a push.
    pub kind: Sequence,

    /// The object's number in the project.
    pub iid: i64,

    /// Receipt of the first event that mentioned it.
    pub received_at: Timestamp,
}

/// The completeness of one sequence in a project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completeness {
    /// The project's id in events.
    pub project: i64,

    /// Full path of the project, as last seen.
    pub project_path: Option<String>,

    /// The sequence.
    pub kind: Sequence,

    /// Lowest number; None for pushes.
    pub first: Option<i64>,

    /// Highest number; None for pushes.
    pub last: Option<i64>,

    /// Number of received objects or pushes.
    pub known: i64,

    /// Number of missing ones: the maximum for objects, the minimum for pushes.
    pub missing: i64,

    /// Receipt of the first one. Earlier ones are unknown.
    pub since: Timestamp,
}

impl Completeness {
    /// The received share; 1 if nothing is missing.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub fn share(&self) -> f64 {
        self.known as f64 / (self.known + self.missing).max(1) as f64
    }
}

/// A gap in a sequence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gap {
    /// One or more missing pushes of a branch.
    Pushes {
        /// The branch, such as `refs/heads/main`.
        git_ref: String,
        /// Last commit of the push before the gap; None if that push is unknown.
        before: Option<String>,
        /// Commit before the first push after the gap.
        after: String,
        /// Receipt of the first push after the gap.
        received_at: Timestamp,
    },

    /// Missing objects with numbers from `first` to `last`.
    Objects {
        /// Kind of the objects.
        kind: Sequence,
        /// First missing number.
        first: i64,
        /// Last missing number.
        last: i64,
    },
}

/// A position in a list of gaps. The list continues after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum After {
    /// After a gap of pushes: receipt of the push after the gap, and the commit before that push.
    Pushes(Timestamp, String),

    /// After a gap of objects: the kind, and the last missing number.
    Objects(Sequence, i64),
}

impl After {
    /// The start of a list.
    #[must_use]
    pub const fn start(kind: Sequence) -> Self {
        match kind {
            Sequence::Push => Self::Pushes(Timestamp::from_micros(i64::MIN), String::new()),
            objects => Self::Objects(objects, 0),
        }
    }
}

impl Gap {
    /// The sequence of the gap.
    #[must_use]
    pub const fn kind(&self) -> Sequence {
        match self {
            Self::Pushes { .. } => Sequence::Push,
            Self::Objects { kind, .. } => *kind,
        }
    }

    /// The position after the gap.
    #[must_use]
    pub fn position(&self) -> After {
        match self {
            Self::Pushes { received_at, after, .. } => After::Pushes(*received_at, after.clone()),
            Self::Objects { kind, last, .. } => After::Objects(*kind, *last),
        }
    }
}

/// Reads the objects that an event mentions: its own, and others of the same project.
pub(super) fn of(kind: Counted, received_at: Timestamp, body: &Value) -> Vec<Fact> {
    let project = project_of(body);
    let own = match kind {
        Counted::MergeRequest => Some((Sequence::MergeRequest, &body["object_attributes"])),
        Counted::Issue => Some((Sequence::Issue, &body["object_attributes"])),
        Counted::Pipeline => Some((Sequence::Pipeline, &body["object_attributes"])),
        _ => None,
    };

    let beside = [
        (Sequence::MergeRequest, &body["merge_request"]),
        (Sequence::Issue, &body["issue"]),
    ];

    let seen = |(kind, object): (Sequence, &Value)| {
        // A merge request is numbered in its target project. A pipeline of a fork mentions one of another project.
        let here = object["target_project_id"]
            .as_i64()
            .is_none_or(|target| target == project);
        let iid = object["iid"]
            .as_i64()
            .filter(|iid| here && (1..=LARGEST_IID).contains(iid))?;

        Some(Fact::Seen(Seen {
            project,
            kind,
            iid,
            received_at,
        }))
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
            Fact::Seen(seen) => (seen.kind, seen.iid),
            other => panic!("{other:?}"),
        };
        facts.into_iter().map(seen).collect()
    }

    #[test]
    fn events_mention_their_object_and_others_of_the_project() {
        let project = json!({ "id": 7, "path_with_namespace": "gear/rope" });
        let attributes = json!({ "iid": 12, "target_project_id": 7 });
        let merge_request = json!({ "project": project, "object_attributes": attributes });
        assert_eq!(
            seen("merge_request_hooks", &merge_request),
            [(Sequence::MergeRequest, 12)]
        );

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

        assert_eq!(
            seen("pipeline_hooks", &pipeline),
            [(Sequence::Pipeline, 40)],
            "not the other project's"
        );

        assert_eq!(
            seen("pipeline_hooks", &json!({ "object_attributes": { "iid": null } })),
            []
        );

        assert_eq!(
            seen(
                "pipeline_hooks",
                &json!({ "object_attributes": 1, "merge_request": [] })
            ),
            []
        );
    }
}
