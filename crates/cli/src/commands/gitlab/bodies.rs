//! Composes the bodies of events that never arrived, from the current state of their objects in GitLab's API. The
//! bodies have GitLab's ids and URLs, so that insights recognise the objects.

use quickdraw_domain::compose::{Happened, Instance, Scene, UploadLinks, User};
use quickdraw_domain::report::compose;
use quickdraw_domain::{Timestamp, Trigger};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{GitLab, Home};
use crate::commands::encoded;

/// The result of a lookup in GitLab.
pub(in crate::commands) enum Lookup {
    /// The event can be reported.
    Found(Found),

    /// GitLab has no such object, or the token cannot read it.
    Gone,

    /// The object is older than the first event of its kind, so its event is not missing.
    Older,

    /// The event cannot be determined, for this reason.
    Unclear(&'static str),
}

/// An event that can be reported in place of the missing one.
pub(in crate::commands) struct Found {
    /// A short description for the user.
    pub(in crate::commands) name: String,
    pub(in crate::commands) trigger: Trigger,
    pub(in crate::commands) body: Vec<u8>,
}

/// Maximum number of commits of a push that are listed, each with a request for its files.
const LISTED: usize = 20;

const MERGE_REQUEST: [&str; 25] = [
    "id",
    "iid",
    "title",
    "description",
    "state",
    "created_at",
    "updated_at",
    "prepared_at",
    "target_branch",
    "source_branch",
    "source_project_id",
    "target_project_id",
    "draft",
    "work_in_progress",
    "merge_when_pipeline_succeeds",
    "merge_status",
    "detailed_merge_status",
    "merge_commit_sha",
    "merge_error",
    "squash",
    "squash_commit_sha",
    "discussion_locked",
    "blocking_discussions_resolved",
    "assignees",
    "reviewers",
];
const ISSUE: [&str; 15] = [
    "id",
    "iid",
    "title",
    "description",
    "state",
    "created_at",
    "updated_at",
    "closed_at",
    "due_date",
    "confidential",
    "discussion_locked",
    "weight",
    "moved_to_id",
    "health_status",
    "assignees",
];
const PIPELINE: [&str; 13] = [
    "id",
    "iid",
    "name",
    "ref",
    "tag",
    "sha",
    "before_sha",
    "source",
    "status",
    "created_at",
    "finished_at",
    "duration",
    "queued_duration",
];
const JOB: [&str; 11] = [
    "id",
    "stage",
    "name",
    "status",
    "created_at",
    "started_at",
    "finished_at",
    "duration",
    "queued_duration",
    "failure_reason",
    "allow_failure",
];
const TIMES: [&str; 6] = [
    "created_at",
    "updated_at",
    "closed_at",
    "prepared_at",
    "started_at",
    "finished_at",
];
const SPENT: [&str; 4] = [
    "time_estimate",
    "total_time_spent",
    "human_time_estimate",
    "human_total_time_spent",
];

/// Combines the missing pushes between two commits into one push.
pub(in crate::commands) async fn pushes(
    gitlab: &GitLab,
    home: &Home,
    git_ref: &str,
    before: &str,
    after: &str,
) -> anyhow::Result<Lookup> {
    let id = home.project.id;
    let is_new = before.trim_start_matches('0').is_empty();

    // For a new branch: the commits that are not on the default branch.
    let from = if is_new {
        home.project.default_branch.as_deref().unwrap_or(after)
    } else {
        before
    };
    let (from, to) = (encoded(from), encoded(after));

    let Some(compared) = gitlab
        .get(&format!("projects/{id}/repository/compare?from={from}&to={to}"))
        .await?
    else {
        return Ok(Lookup::Gone);
    };

    if !is_new && compared["commits"].as_array().is_none_or(Vec::is_empty) {
        // A push back to an older commit must not be invented: receivers would drop newer commits.
        return Ok(Lookup::Unclear(
            "GitLab lists no commits in between: events arrived out of order, or one was a test of the webhook",
        ));
    }

    let mut commits: Vec<&Value> = compared["commits"].as_array().into_iter().flatten().collect();

    // Events list the oldest commit first.
    if commits.len() > 1 && commits[0]["id"] == after {
        commits.reverse();
    }

    let (total, author) = (commits.len(), commits.last().map(|last| &last["author_name"]));
    let user = User {
        name: author.and_then(Value::as_str).unwrap_or_default().to_owned(),
        ..User::default()
    };

    let mut listed = Vec::new();
    for commit in commits.split_off(total.saturating_sub(LISTED)) {
        let sha = commit["id"].as_str().unwrap_or_default();
        let files = gitlab
            .get(&format!("projects/{id}/repository/commits/{sha}/diff?per_page=100"))
            .await?;

        let files = files
            .as_ref()
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();

        let paths = |which: fn(&Value) -> bool| -> Vec<&Value> {
            files
                .iter()
                .filter(|file| which(file))
                .map(|file| &file["new_path"])
                .collect()
        };

        let mut one = commit_of(commit);
        one["added"] = json!(paths(|file| file["new_file"] == true));
        one["modified"] = json!(paths(|file| file["new_file"] != true && file["deleted_file"] != true));
        one["removed"] = json!(paths(|file| file["deleted_file"] == true));
        listed.push(one);
    }

    let object = json!({
        "before": before, "after": after, "ref": git_ref, "commits": listed, "total_commits_count": total,
    });
    let name = if total == 1 {
        "1 commit".to_owned()
    } else {
        format!("{total} commits")
    };
    found(home, Trigger::PUSH, &user, &object, name).map(Lookup::Found)
}

/// A commit as a push lists it, but without paths, which GitLab's lists of commits do not have.
pub(in crate::commands) fn commit_of(there: &Value) -> Value {
    json!({
        "id": text(&there["id"]),
        "message": text(&there["message"]),
        "timestamp": there["committed_date"],
        "author": { "name": text(&there["author_name"]), "email": text(&there["author_email"]) },
    })
}

/// Composes an event with the current state of a merge request.
pub(in crate::commands) async fn merge_request(
    gitlab: &GitLab,
    home: &Home,
    iid: i64,
    since: Timestamp,
) -> anyhow::Result<Lookup> {
    let there = match younger(
        gitlab,
        &format!("projects/{}/merge_requests/{iid}", home.project.id),
        since,
    )
    .await?
    {
        Ok(there) => there,
        Err(why) => return Ok(why),
    };
    let mut object = merge_request_attributes(&there);

    let (action, at, who) = match there["state"].as_str() {
        // The time of the merge is the time of this event, because the body has no other field for it. If GitLab has no
        // time, an event with the action `merge` would invent one, so the action is `update`.
        Some("merged") if !there["merged_at"].is_string() => ("update", &Value::Null, &there["merge_user"]),
        Some("merged") => ("merge", &there["merged_at"], &there["merge_user"]),
        Some("closed") => ("close", &there["closed_at"], &there["closed_by"]),
        _ => ("open", &Value::Null, &there["author"]),
    };

    object.insert("action".to_owned(), action.into());
    if at.is_string() {
        object.insert("updated_at".to_owned(), spelled(at));
    }

    let name = format!("{} ({})", text(&there["title"]), text(&there["state"]));
    found(
        home,
        Trigger::MERGE_REQUEST,
        &user(who, &there["author"]),
        &Value::Object(object),
        name,
    )
    .map(Lookup::Found)
}

/// The attributes of a merge request, from the API's names to those of events.
pub(in crate::commands) fn merge_request_attributes(there: &Value) -> Map<String, Value> {
    let mut object = copied(there, &MERGE_REQUEST);
    common(&mut object, there);
    object.insert("last_commit".to_owned(), json!({ "id": there["sha"] }));
    object.insert("head_pipeline_id".to_owned(), there["head_pipeline"]["id"].clone());
    object.insert("merge_user_id".to_owned(), there["merge_user"]["id"].clone());

    object
}

/// The attributes of an issue, from the API's names to those of events.
pub(in crate::commands) fn issue_attributes(there: &Value) -> Map<String, Value> {
    let mut object = copied(there, &ISSUE);
    common(&mut object, there);

    // The API has `test_case` where events have `Test Case`.
    let words = text(&there["issue_type"]).split('_').filter_map(|word| {
        let mut letters = word.chars();
        Some(letters.next()?.to_uppercase().chain(letters).collect::<String>())
    });
    let kind = words.collect::<Vec<_>>().join(" ");
    if !kind.is_empty() {
        object.insert("type".to_owned(), kind.into());
    }

    object
}

/// The trigger of an issue's events, which depends on confidentiality.
pub(in crate::commands) fn trigger_of_issue(there: &Value) -> Trigger {
    if there["confidential"] == true {
        Trigger::CONFIDENTIAL_ISSUE
    } else {
        Trigger::ISSUE
    }
}

/// Composes an event with the current state of an issue.
pub(in crate::commands) async fn issue(
    gitlab: &GitLab,
    home: &Home,
    iid: i64,
    since: Timestamp,
) -> anyhow::Result<Lookup> {
    let there = match younger(gitlab, &format!("projects/{}/issues/{iid}", home.project.id), since).await? {
        Ok(there) => there,
        Err(why) => return Ok(why),
    };
    let mut object = issue_attributes(&there);
    let is_closed = there["state"] == "closed";
    object.insert("action".to_owned(), if is_closed { "close" } else { "open" }.into());

    if is_closed && there["closed_at"].is_string() {
        object.insert("updated_at".to_owned(), spelled(&there["closed_at"]));
    }

    let who = if is_closed {
        &there["closed_by"]
    } else {
        &there["author"]
    };

    let name = format!("{} ({})", text(&there["title"]), text(&there["state"]));
    found(
        home,
        trigger_of_issue(&there),
        &user(who, &there["author"]),
        &Value::Object(object),
        name,
    )
    .map(Lookup::Found)
}

/// Composes an event with the current state of a pipeline and its jobs. `number` is the id in GitLab.
pub(in crate::commands) async fn pipeline(
    gitlab: &GitLab,
    home: &Home,
    number: i64,
    since: Timestamp,
) -> anyhow::Result<Lookup> {
    let place = format!("projects/{}/pipelines/{number}", home.project.id);
    let there = match younger(gitlab, &place, since).await? {
        Ok(there) => there,
        Err(why) => return Ok(why),
    };
    pipeline_of(gitlab, home, &there, "").await.map(Lookup::Found)
}

/// Composes an event of a pipeline. `jobs` is added to the query for its jobs.
pub(in crate::commands) async fn pipeline_of(
    gitlab: &GitLab,
    home: &Home,
    there: &Value,
    jobs: &str,
) -> anyhow::Result<Found> {
    let place = format!("projects/{}/pipelines/{}", home.project.id, there["id"]);
    let mut jobs = gitlab
        .list(&format!("{place}/jobs?per_page=100{jobs}"), |_| true)
        .await?
        .unwrap_or_default();
    jobs.sort_by_key(|job| job["id"].as_i64());

    pipeline_with(gitlab, home, there, &jobs).await
}

/// The jobs that ended at `until` or earlier.
pub(in crate::commands) fn ended_until(jobs: &[Value], until: &str) -> Vec<Value> {
    jobs.iter()
        .filter(|job| job["finished_at"].as_str().is_some_and(|at| at <= until))
        .cloned()
        .collect()
}

/// Composes an event of a pipeline with the given jobs.
pub(in crate::commands) async fn pipeline_with(
    gitlab: &GitLab,
    home: &Home,
    there: &Value,
    jobs: &[Value],
) -> anyhow::Result<Found> {
    let mut object = copied(there, &PIPELINE);
    if let Some(label) = there["detailed_status"]["text"].as_str() {
        object.insert("detailed_status".to_owned(), label.into());
    }

    let build = |job: &Value| {
        let mut build = copied(job, &JOB);
        for whole in ["user", "runner"] {
            build.insert(whole.to_owned(), person_or_runner(&job[whole]));
        }

        build
    };
    object.insert("builds".to_owned(), jobs.iter().map(build).collect());

    let sha = text(&there["sha"]);
    if let Some(commit) = gitlab
        .get(&format!("projects/{}/repository/commits/{sha}", home.project.id))
        .await?
    {
        let author = json!({ "name": commit["author_name"], "email": commit["author_email"] });
        let commit = json!({
            "id": sha, "message": commit["message"], "title": commit["title"], "timestamp": commit["committed_date"],
            "url": commit["web_url"], "author": author,
        });
        object.insert("commit".to_owned(), commit);
    }

    let name = format!("{} on {}", text(&there["status"]), text(&there["ref"]));
    found(
        home,
        Trigger::PIPELINE,
        &user(&there["user"], &Value::Null),
        &Value::Object(object),
        name,
    )
}

/// Reads an object. The inner error is the result for an object that is missing or older than `since`.
async fn younger(gitlab: &GitLab, path: &str, since: Timestamp) -> anyhow::Result<Result<Value, Lookup>> {
    Ok(match gitlab.get(path).await? {
        None => Err(Lookup::Gone),
        Some(there) if is_older(&there, since) => Err(Lookup::Older),
        Some(there) => Ok(there),
    })
}

pub(in crate::commands) fn found(
    home: &Home,
    trigger: Trigger,
    user: &User,
    object: &Value,
    name: String,
) -> anyhow::Result<Found> {
    let object = RawValue::from_string(object.to_string())?;
    let happened = Happened {
        trigger,
        scene: Scene::Project(&home.project),
        user,
        object: &object,
        previous: None,
        instance: Instance {
            base_url: &home.base_url,
            upload_links: UploadLinks::default(),
        },
        at: Timestamp::default(),
    };

    Ok(Found {
        name,
        trigger,
        body: compose(&happened)?,
    })
}

/// Copies the attributes that events have too, and writes times in the format of events.
fn copied(there: &Value, names: &[&str]) -> Map<String, Value> {
    let value = |name: &&str| {
        let value = &there[name];
        (!value.is_null()).then(|| {
            let value = if TIMES.contains(name) {
                spelled(value)
            } else {
                value.clone()
            };
            ((*name).to_owned(), value)
        })
    };
    names.iter().filter_map(value).collect()
}

/// Adds the attributes of merge requests and issues that have another name or form in events.
fn common(object: &mut Map<String, Value>, there: &Value) {
    let labels = there["labels"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|title| json!({ "title": title }))
        .collect();
    object.insert("labels".to_owned(), Value::Array(labels));
    object.insert("url".to_owned(), there["web_url"].clone());
    object.insert("author_id".to_owned(), there["author"]["id"].clone());
    object.insert("milestone_id".to_owned(), there["milestone"]["id"].clone());

    for name in SPENT {
        object.insert(name.to_owned(), there["time_stats"][name].clone());
    }
}

/// Writes `2026-03-16T08:30:00.123Z` as `2026-03-16 08:30:00 UTC`. Other text stays as it is.
pub(in crate::commands) fn spelled(time: &Value) -> Value {
    let read = time.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    read.map_or_else(
        || time.clone(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string().into(),
    )
}

/// The author of a change, or else `otherwise`.
pub(in crate::commands) fn user(who: &Value, otherwise: &Value) -> User {
    let known = if who.is_object() { who } else { otherwise };
    serde_json::from_value(json!({
        "id": known["id"].as_i64().unwrap_or_default(),
        "name": text(&known["name"]),
        "username": text(&known["username"]),
        "avatar_url": known["avatar_url"],
    }))
    .unwrap_or_default()
}

/// Returns true if the object was created before `since`.
pub(in crate::commands) fn is_older(there: &Value, since: Timestamp) -> bool {
    let made = there["created_at"]
        .as_str()
        .and_then(|text| text.parse::<jiff::Timestamp>().ok());
    made.is_some_and(|made| made.as_microsecond() < since.as_micros())
}

fn person_or_runner(there: &Value) -> Value {
    let names = [
        "id",
        "name",
        "username",
        "avatar_url",
        "description",
        "runner_type",
        "active",
        "is_shared",
    ];

    if there.is_object() {
        Value::Object(copied(there, &names))
    } else {
        Value::Null
    }
}

pub(in crate::commands) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
