//! Bodies of push and tag push events. Source: GitLab's `lib/gitlab/data_builder/push.rb` and the webhook events page.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::spelling::Form;
use super::{Addresses, ComposeError, InProject, ProjectBody, RepositoryBody};

/// Most commits that a body lists: the newest, oldest first.
pub(crate) const MAX_COMMITS: usize = 20;

/// What a forge reports of one moved ref.
#[derive(Deserialize)]
struct Push {
    before: String,
    after: String,
    #[serde(rename = "ref")]
    git_ref: String,
    #[serde(default)]
    ref_protected: bool,
    /// The commit that an annotated tag points at; `after` itself if absent, and none at all if null.
    #[serde(default, deserialize_with = "given")]
    checkout_sha: Option<Option<String>>,
    /// Text of an annotated tag.
    message: Option<String>,
    /// Oldest first. More than [`MAX_COMMITS`] are cut to the newest.
    #[serde(default, deserialize_with = "or_none")]
    commits: Vec<Commit>,
    /// The true number when `commits` is already cut.
    total_commits_count: Option<usize>,
    #[serde(default, deserialize_with = "or_none")]
    push_options: BTreeMap<String, serde_json::Value>,
}

/// Null is a value of its own.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// Null is as good as absent.
fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(value: D) -> Result<T, D::Error> {
    Option::deserialize(value).map(Option::unwrap_or_default)
}

#[derive(Deserialize, Serialize)]
struct Author {
    name: String,
    email: String,
}

#[derive(Deserialize)]
struct Commit {
    id: String,
    message: String,
    timestamp: Option<String>,
    author: Author,
    #[serde(default, deserialize_with = "or_none")]
    added: Vec<String>,
    #[serde(default, deserialize_with = "or_none")]
    modified: Vec<String>,
    #[serde(default, deserialize_with = "or_none")]
    removed: Vec<String>,
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
    added: &'a [String],
    modified: &'a [String],
    removed: &'a [String],
}

pub(super) fn compose(happened: &InProject<'_>) -> Result<Vec<u8>, ComposeError> {
    let InProject { trigger, project, user, object, .. } = *happened;
    let push: Push = serde_json::from_str(object.get()).map_err(|error| ComposeError::Object(trigger, error))?;
    let addresses = Addresses::of(project, happened.instance.base_url);
    let kind = trigger.row().object_kinds.first().copied().unwrap_or_default();
    let deleted = !push.after.is_empty() && push.after.bytes().all(|digit| digit == b'0');
    let newest = push.commits.len().saturating_sub(MAX_COMMITS);
    let body = Body {
        object_kind: kind,
        event_name: kind,
        before: &push.before,
        after: &push.after,
        git_ref: &push.git_ref,
        ref_protected: push.ref_protected,
        checkout_sha: match &push.checkout_sha {
            _ if deleted => None,
            Some(given) => given.as_deref(),
            None => Some(&push.after),
        },
        message: push.message.as_deref(),
        user_id: user.id,
        user_name: &user.name,
        user_username: &user.username,
        user_email: user.email.as_deref(),
        user_avatar: user.avatar_url.as_deref(),
        project_id: project.id.0,
        project: addresses.project(project),
        commits: push.commits[newest..].iter().map(|commit| commit.body(&addresses.web)).collect(),
        total_commits_count: push.total_commits_count.unwrap_or(push.commits.len()).max(push.commits.len()),
        push_options: &push.push_options,
        repository: addresses.repository(project),
    };
    serde_json::to_vec(&body).map_err(|error| ComposeError::Object(trigger, error))
}

impl Commit {
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
    use serde_json::{Value, json};

    use crate::Trigger;
    use crate::compose::tests::{keys, of};

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
        assert_eq!(body["commits"][0]["url"], format!("https://git.example.com/gear/rope/-/commit/{}", "b".repeat(40)));
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
        assert_eq!((&body["object_kind"], &body["checkout_sha"]), (&json!("tag_push"), &Value::Null));
    }
}
