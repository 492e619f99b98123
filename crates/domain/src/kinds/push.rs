//! Pushes to branches, and the bodies of pushes of tags. Source: GitLab's `lib/gitlab/data_builder/push.rb` and the
//! webhook events page.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Kind;
use crate::Trigger;
use crate::compose::{Addresses, ComposeError, Composer, InProject, ProjectBody, RepositoryBody, tree_of};
use crate::envelope::{Member, ObjectName};
use crate::scope::Levels;
use crate::times::spelling::Form;
use crate::trigger::Row;

impl Trigger {
    /// Pushes to branches.
    pub const PUSH: Self = Self::of(&PUSH.row);
}

pub(super) static PUSH: Kind = Kind {
    row: Row {
        code: 1,
        name: "push_hooks",
        meaning: "Commits were pushed to a branch, or a branch was created or deleted.",
        attribute: Some("push_events"),
        header: "Push Hook",
        object_kinds: &["push"],
        event_names: &["push"],
        levels: Levels::PGS,
        on_by_default: Levels::PG,
        branch_filter: true,
        ..Row::USUAL
    },
    composer: Some(Composer::Push(compose)),
    object_name: ObjectName::Member(Member::Ref),
    report: Some(include_str!("../../../../fixtures/gitlab/push_hooks/report.json")),
    ..Kind::USUAL
};

/// Maximum number of commits that a body lists: the newest, oldest first.
pub(crate) const MAX_COMMITS: usize = 20;
/// Maximum memory of the options of a push, in bytes.
const MAX_OPTIONS: usize = 1 << 20;

/// A forge's report of one moved ref.
#[derive(Deserialize)]
struct Push<'a> {
    before: String,
    after: String,
    #[serde(rename = "ref")]
    git_ref: String,
    #[serde(default)]
    ref_protected: bool,

    /// The commit that an annotated tag points at.
    #[serde(default)]
    checkout_sha: Checkout,

    /// Text of an annotated tag.
    message: Option<String>,
    #[serde(default, borrow)]
    commits: Commits<'a>,

    /// The total, when `commits` lists only a part.
    total_commits_count: Option<usize>,
    #[serde(borrow)]
    push_options: Option<&'a RawValue>,
}

/// The commit that is checked out after a push.
#[derive(Default)]
enum Checkout {
    /// The new end of the ref, because the report names no commit.
    #[default]
    End,

    /// No commit, because the report gives null.
    Nothing,

    /// The commit that the report names.
    Commit(String),
}

impl<'de> Deserialize<'de> for Checkout {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        let sha = Option::deserialize(value)?;
        Ok(sha.map_or(Self::Nothing, Self::Commit))
    }
}

/// The newest [`MAX_COMMITS`] of the commits, oldest first, and their total. The others are read and dropped, because a
/// push can have as many commits as a body has room for.
#[derive(Default)]
struct Commits<'a> {
    newest: VecDeque<Commit<'a>>,
    count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Commits<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CommitsVisitor)
    }
}

struct CommitsVisitor;

impl<'de> Visitor<'de> for CommitsVisitor {
    type Value = Commits<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of commits")
    }

    /// Null counts as absent.
    fn visit_unit<E>(self) -> Result<Commits<'de>, E> {
        Ok(Commits::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Commits<'de>, A::Error> {
        let mut commits = Commits::default();
        while let Some(commit) = list.next_element()? {
            if commits.newest.len() == MAX_COMMITS {
                commits.newest.pop_front();
            }

            commits.newest.push_back(commit);
            commits.count += 1;
        }

        Ok(commits)
    }
}

/// A list of paths, checked and passed on as it was given. Null counts as absent.
#[derive(Default)]
struct Paths<'a>(Option<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Paths<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list: Option<&'de RawValue> = Option::deserialize(deserializer)?;
        if let Some(list) = list {
            let mut parser = serde_json::Deserializer::from_str(list.get());
            parser.deserialize_seq(OnlyTexts).map_err(D::Error::custom)?;
        }

        Ok(Self(list))
    }
}

impl Serialize for Paths<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(list) => list.serialize(serializer),
            None => serializer.collect_seq::<[&str; 0]>([]),
        }
    }
}

/// Refuses a list that has anything but texts.
struct OnlyTexts;

impl<'de> Visitor<'de> for OnlyTexts {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of paths")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<String>()?.is_some() {}
        Ok(())
    }
}

#[derive(Deserialize, Serialize)]
struct Author {
    name: String,
    email: String,
}

#[derive(Deserialize)]
struct Commit<'a> {
    id: String,
    message: String,
    timestamp: Option<String>,
    author: Author,
    #[serde(default, borrow)]
    added: Paths<'a>,
    #[serde(default, borrow)]
    modified: Paths<'a>,
    #[serde(default, borrow)]
    removed: Paths<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    object_kind: &'a str,
    event_name: &'a str,
    before: &'a str,
    after: &'a str,
    #[serde(rename = "ref")]
    git_ref: &'a str,
    ref_protected: bool,
    checkout_sha: Option<&'a str>,
    message: Option<&'a str>,
    user_id: i64,
    user_name: &'a str,
    user_username: &'a str,
    user_email: Option<&'a str>,
    user_avatar: Option<&'a str>,
    project_id: i64,
    project: ProjectBody<'a>,
    commits: Vec<CommitBody<'a>>,
    total_commits_count: usize,
    push_options: &'a BTreeMap<String, serde_json::Value>,
    repository: RepositoryBody<'a>,
}

#[derive(Serialize)]
struct CommitBody<'a> {
    id: &'a str,
    message: &'a str,
    title: &'a str,
    timestamp: Option<Cow<'a, str>>,
    url: String,
    author: &'a Author,
    added: &'a Paths<'a>,
    modified: &'a Paths<'a>,
    removed: &'a Paths<'a>,
}

pub(super) fn compose(happened: &InProject<'_>) -> Result<Vec<u8>, ComposeError> {
    let InProject {
        trigger,
        scene: project,
        user,
        object,
        ..
    } = *happened;

    let push: Push<'_> = serde_json::from_str(object.get()).map_err(|error| ComposeError::Object(trigger, error))?;
    let addresses = Addresses::of(project, happened.instance.base_url);
    let kind = trigger.row().object_kinds.first().copied().unwrap_or_default();
    let deleted = !push.after.is_empty() && push.after.bytes().all(|digit| digit == b'0');

    let options = push
        .push_options
        .map(|options| tree_of(trigger, options, MAX_OPTIONS))
        .transpose()?;
    let options: BTreeMap<String, serde_json::Value> = options.into_iter().flatten().collect();
    let Commits { newest, count } = &push.commits;

    let body = Body {
        object_kind: kind,
        event_name: kind,
        before: &push.before,
        after: &push.after,
        git_ref: &push.git_ref,
        ref_protected: push.ref_protected,
        checkout_sha: match &push.checkout_sha {
            _ if deleted => None,
            Checkout::End => Some(&push.after),
            Checkout::Nothing => None,
            Checkout::Commit(sha) => Some(sha),
        },
        message: push.message.as_deref(),
        user_id: user.id,
        user_name: &user.name,
        user_username: &user.username,
        user_email: user.email.as_deref(),
        user_avatar: user.avatar_url.as_deref(),
        project_id: project.id.0,
        project: addresses.project(project),
        commits: newest.iter().map(|commit| commit.body(&addresses.web)).collect(),
        total_commits_count: push.total_commits_count.unwrap_or(*count).max(*count),
        push_options: &options,
        repository: addresses.repository(project),
    };
    serde_json::to_vec(&body).map_err(|error| ComposeError::Object(trigger, error))
}

impl Commit<'_> {
    fn body(&self, web_url: &str) -> CommitBody<'_> {
        CommitBody {
            id: &self.id,
            message: &self.message,
            title: self.message.lines().next().unwrap_or_default(),
            timestamp: self.timestamp.as_deref().map(|text| Form::Author.spell(text)),
            url: format!("{web_url}/-/commit/{}", self.id),
            author: &self.author,
            added: &self.added,
            modified: &self.modified,
            removed: &self.removed,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use serde_json::{Value, json};

    use crate::Trigger;
    use crate::report::tests::{keys, of};

    fn compose_push(trigger: Trigger, object: &Value) -> Value {
        of(trigger, object, None)
    }

    #[test]
    fn a_push_has_every_field_of_the_documented_sample() {
        let commit = json!({"id": "b".repeat(40), "message": "title\n\nbody", "timestamp": "2024-01-15T10:30:00+02:00",
            "author": {"name": "Ann", "email": "ann@example.com"}, "added": ["a"], "modified": [], "removed": []});
        let object = json!({"before": "a".repeat(40), "after": "b".repeat(40), "ref": "refs/heads/master",
            "commits": [commit]});
        let body = compose_push(Trigger::PUSH, &object);
        let sample: Value = serde_json::from_str(include_str!("../../../../fixtures/gitlab/push_hooks/sample.json"))
            .expect("the sample is JSON");

        assert_eq!(keys(&body), keys(&sample));
        assert_eq!(keys(&body["project"]), keys(&sample["project"]));
        assert_eq!(keys(&body["repository"]), keys(&sample["repository"]));
        assert_eq!(keys(&body["commits"][0]), keys(&sample["commits"][0]));
        assert_eq!(body["commits"][0]["title"], "title");

        assert_eq!(
            body["commits"][0]["url"],
            format!("https://git.example.com/gear/rope/-/commit/{}", "b".repeat(40))
        );

        assert_eq!(body["project"]["git_ssh_url"], "git@git.example.com:gear/rope.git");
        assert_eq!(body["checkout_sha"], "b".repeat(40));
        assert_eq!(body["user_email"], Value::Null);
    }

    #[test]
    fn twenty_newest_commits_are_listed_and_all_are_counted() {
        let commits: Vec<Value> = (0..25)
            .map(|n| json!({"id": format!("{n:040}"), "message": "m", "author": {"name": "", "email": ""}}))
            .collect();
        let object = json!({"before": "a", "after": "b", "ref": "refs/heads/x", "commits": commits});
        let body = compose_push(Trigger::PUSH, &object);
        assert_eq!(body["total_commits_count"], 25);
        assert_eq!(body["commits"].as_array().map(Vec::len), Some(20));
        assert_eq!(body["commits"][0]["id"], format!("{:040}", 5));
    }

    #[test]
    fn paths_are_passed_on_as_they_were_given_and_have_to_be_texts() {
        let commit =
            |added: Value| json!({"id": "c", "message": "m", "author": {"name": "", "email": ""}, "added": added});
        let push =
            |added: Value| json!({"before": "a", "after": "b", "ref": "refs/heads/x", "commits": [commit(added)]});
        let body = compose_push(Trigger::PUSH, &push(json!(["a \"b\"", "ä"])));
        let expected = (&json!(["a \"b\"", "ä"]), &json!([]));

        assert_eq!((&body["commits"][0]["added"], &body["commits"][0]["removed"]), expected);
        assert_eq!(
            compose_push(Trigger::PUSH, &push(Value::Null))["commits"][0]["added"],
            json!([])
        );

        for wrong in [json!("a"), json!([1]), json!({}), json!([["a"]])] {
            let object = RawValue::from_string(push(wrong.clone()).to_string()).expect("JSON");
            assert!(
                serde_json::from_str::<super::Push<'_>>(object.get()).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn null_is_none() {
        let object = json!({"before": "a", "after": "b", "ref": "refs/tags/v1", "checkout_sha": null, "commits": null, "push_options": null});
        let body = compose_push(Trigger::TAG_PUSH, &object);
        assert_eq!(
            (&body["checkout_sha"], &body["commits"], &body["push_options"]),
            (&Value::Null, &json!([]), &json!({}))
        );
    }

    #[test]
    fn a_deleted_tag_has_no_checkout() {
        let object = json!({"before": "a".repeat(40), "after": "0".repeat(40), "ref": "refs/tags/v1"});
        let body = compose_push(Trigger::TAG_PUSH, &object);
        assert_eq!(
            (&body["object_kind"], &body["checkout_sha"]),
            (&json!("tag_push"), &Value::Null)
        );
    }
}
