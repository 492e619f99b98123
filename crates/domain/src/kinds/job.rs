//! Jobs, whose `object_kind` is `build`. Source: GitLab's `lib/gitlab/data_builder/build.rb` and its webhook events
//! page.

use serde_json::{Map, Value, json};

use super::pipeline::short_project;
use super::{Kind, deployment};
use crate::Trigger;
use crate::compose::fields::{Field, Given, iso, no, null, runner, user, zero};
use crate::compose::{Addresses, ComposeError, Composer, InProject};
use crate::envelope::{Member, ObjectName};
use crate::scope::Levels;
use crate::times::spelling::{Form, Times};
use crate::trigger::Row;

impl Trigger {
    /// Jobs of pipelines.
    pub const JOB: Self = Self::of(&JOB.row);
}

pub(super) static JOB: Kind = Kind {
    row: Row {
        code: 8,
        name: "job_hooks",
        meaning: "A CI job changed its status.",
        attribute: Some("job_events"),
        header: "Job Hook",
        object_kinds: &["build"],
        levels: Levels::PG,
        objects: &["commit", "pipeline", "source_pipeline", "runner"],
        times: Times {
            usual: Form::Utc,
            special: own_times,
        },
        ..Row::USUAL
    },
    composer: Some(Composer::InProject(compose)),
    identified_by: &["id", "build_id"],
    object_name: ObjectName::Member(Member::BuildId),
    report: Some(include_str!("../../../../fixtures/gitlab/job_hooks/report.json")),
};

/// The times of the job itself have milliseconds; those of its pipeline and its commit have not.
fn own_times(name: &str, is_own: bool) -> Option<Form> {
    let is_bare = is_own && matches!(name, "created_at" | "started_at" | "finished_at");
    let is_prefixed = name.starts_with("build_") && name.ends_with("_at");
    (is_bare || is_prefixed).then_some(Form::Millis)
}

const ATTRIBUTES: [Field; 22] = [
    null("ref"),
    no("tag"),
    ("before_sha", || json!("0000000000000000000000000000000000000000")),
    null("sha"),
    zero("retries_count"),
    null("build_id"),
    null("build_name"),
    null("build_stage"),
    ("build_status", || json!("created")),
    null("build_created_at"),
    null("build_started_at"),
    null("build_finished_at"),
    null("build_created_at_iso"),
    null("build_started_at_iso"),
    null("build_finished_at_iso"),
    null("build_duration"),
    null("build_queued_duration"),
    no("build_allow_failure"),
    ("build_failure_reason", || json!("unknown_failure")),
    null("pipeline_id"),
    null("runner"),
    null("environment"),
];

/// Attributes that GitLab's API has under these names, and that the bodies have with the prefix `build_`.
const PREFIXED: [&str; 11] = [
    "id",
    "name",
    "stage",
    "status",
    "created_at",
    "started_at",
    "finished_at",
    "duration",
    "queued_duration",
    "allow_failure",
    "failure_reason",
];

/// Attributes of `commit`, which describes the pipeline and its commit.
const COMMIT: [Field; 13] = [
    null("id"),
    null("name"),
    null("sha"),
    null("message"),
    null("author_name"),
    null("author_email"),
    null("author_url"),
    null("status"),
    null("duration"),
    null("started_at"),
    null("finished_at"),
    null("started_at_iso"),
    null("finished_at_iso"),
];

fn compose(happened: &InProject<'_>) -> Result<Map<String, Value>, ComposeError> {
    let (trigger, project) = (happened.trigger, happened.scene);
    let mut given = Given::read(trigger, happened.object)?;

    for name in PREFIXED {
        if let Some(value) = given.take(name) {
            given.or_named(&format!("build_{name}"), value);
        }
    }

    given.need("build_id")?;
    for name in ["build_created_at", "build_started_at", "build_finished_at"] {
        if let Some(iso) = given.text(name).map(iso) {
            given.or_named(&format!("{name}_iso"), iso);
        }
    }

    let source_pipeline = given.take("source_pipeline");
    let commit = commit(happened, &mut given);
    let addresses = Addresses::of(project, happened.instance.base_url);
    let mut attributes = given.filled(&ATTRIBUTES);

    let environment = deployment::environment(
        trigger,
        attributes.shift_remove("environment").filter(|one| !one.is_null()),
    );

    let runner = runner(trigger, attributes.shift_remove("runner").filter(Value::is_object));
    let mut body = Map::from_iter([("object_kind".to_owned(), json!("build"))]);
    body.extend(attributes);

    let rest = [
        ("runner", runner),
        ("project_id", json!(project.id.0)),
        ("project_name", json!(project.path_with_namespace)),
        ("user", user(happened.user)),
        ("commit", commit),
        ("repository", json!(addresses.repository(project))),
        ("project", short_project(project, happened.instance.base_url)),
        ("environment", environment),
    ];
    body.extend(rest.map(|(name, value)| (name.to_owned(), value)));

    // Only a job of a pipeline that another pipeline started has it.
    if let Some(source) = source_pipeline {
        body.insert("source_pipeline".to_owned(), source);
    }

    Ok(body)
}

/// Composes `commit` from the pipeline and the commit that the forge reported.
fn commit(happened: &InProject<'_>, job: &mut Given) -> Value {
    let trigger = happened.trigger;
    let mut pipeline = Given::of(trigger, job.take("pipeline"));
    let mut commit = Given::of(trigger, job.take("commit"));

    if let Some(id) = pipeline.take("id") {
        job.or("pipeline_id", id);
    }

    // Named as in these bodies, or as in the commits of other bodies.
    let sha = commit
        .take("sha")
        .or_else(|| commit.take("id").filter(Value::is_string));
    if let Some(sha) = sha.or_else(|| pipeline.take("sha")) {
        job.or("sha", sha);
    }

    let author = Given::of(trigger, commit.take("author"));
    for (name, of) in [("name", "author_name"), ("email", "author_email")] {
        if let Some(value) = author.text(name) {
            commit.or(of, value);
        }
    }

    commit.or(
        "author_url",
        commit
            .text("author_email")
            .map_or(Value::Null, |email| json!(format!("mailto:{email}"))),
    );

    for name in ["name", "status", "duration", "started_at", "finished_at"] {
        if let Some(value) = pipeline.take(name) {
            commit.or(name, value);
        }
    }

    commit.set("id", job.value("pipeline_id"));
    commit.set("sha", job.value("sha"));

    for name in ["started_at", "finished_at"] {
        if let Some(iso) = commit.text(name).map(iso) {
            commit.or_named(&format!("{name}_iso"), iso);
        }
    }

    // The time of the commit is not part of it.
    commit.take("timestamp");
    Value::Object(commit.filled(&COMMIT))
}
