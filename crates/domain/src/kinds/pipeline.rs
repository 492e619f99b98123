//! Pipelines. Source: GitLab's `lib/gitlab/data_builder/pipeline.rb` and its webhook events page.

use serde_json::{Map, Value, json};

use super::{Kind, deployment};
use crate::Trigger;
use crate::compose::fields::{Field, Given, list, no, null, people, runner, user};
use crate::compose::{Addresses, ComposeError, Composer, InProject};
use crate::scope::{Levels, Project};
use crate::trigger::Row;

impl Trigger {
    /// Pipelines.
    pub const PIPELINE: Self = Self::of(&PIPELINE.row);
}

pub(super) static PIPELINE: Kind = Kind {
    row: Row {
        code: 9,
        name: "pipeline_hooks",
        meaning: "A CI pipeline changed its status.",
        attribute: Some("pipeline_events"),
        header: "Pipeline Hook",
        object_kinds: &["pipeline"],
        levels: Levels::PG,
        objects: &["commit", "merge_request", "source_pipeline"],
        ..Row::USUAL
    },
    composer: Some(Composer::InProject(compose)),
    identified_by: &["id"],
    report: Some(include_str!("../../../../fixtures/gitlab/pipeline_hooks/report.json")),
    ..Kind::USUAL
};

const ATTRIBUTES: [Field; 17] = [
    null("id"),
    null("iid"),
    null("name"),
    null("ref"),
    no("tag"),
    null("sha"),
    ("before_sha", || json!("0000000000000000000000000000000000000000")),
    ("source", || json!("push")),
    ("status", || json!("pending")),
    null("detailed_status"),
    list("stages"),
    null("created_at"),
    null("finished_at"),
    null("duration"),
    null("queued_duration"),
    list("variables"),
    null("url"),
];

const MERGE_REQUEST: [Field; 11] = [
    null("id"),
    null("iid"),
    null("title"),
    null("source_branch"),
    null("source_project_id"),
    null("target_branch"),
    null("target_project_id"),
    ("state", || json!("opened")),
    ("merge_status", || json!("unchecked")),
    ("detailed_merge_status", || json!("unchecked")),
    null("url"),
];

pub(super) const COMMIT: [Field; 6] = [
    null("id"),
    null("message"),
    null("title"),
    null("timestamp"),
    null("url"),
    null("author"),
];

const BUILD: [Field; 17] = [
    null("id"),
    null("stage"),
    null("name"),
    ("status", || json!("created")),
    null("created_at"),
    null("started_at"),
    null("finished_at"),
    null("duration"),
    null("queued_duration"),
    null("failure_reason"),
    ("when", || json!("on_success")),
    no("manual"),
    no("allow_failure"),
    null("user"),
    null("runner"),
    ("artifacts_file", || json!({ "filename": null, "size": null })),
    null("environment"),
];

/// The deprecated attributes of a project, which these bodies leave out.
const NOT_IN_PROJECT: [&str; 4] = ["homepage", "url", "ssh_url", "http_url"];

fn compose(happened: &InProject<'_>) -> Result<Map<String, Value>, ComposeError> {
    let (trigger, project) = (happened.trigger, happened.scene);
    let mut given = Given::read(trigger, happened.object)?;
    let id = given.need("id")?.clone();

    let builds: Vec<Value> = given
        .take_list("builds")
        .into_iter()
        .map(|one| build(happened, one))
        .collect();

    let commit = given.take("commit").map(|commit| self::commit(happened, commit));
    let merge_request = given
        .take("merge_request")
        .map(|one| self::merge_request(happened, one))
        .transpose()?;

    let source_pipeline = given.take("source_pipeline");
    given.or("stages", stages(&builds));
    given.or("url", happened.address(&format!("-/pipelines/{id}")));

    let status = match given.text("status") {
        Some("success") => "passed",
        Some(status) => status,
        None => "pending",
    };
    let status = status.to_owned();
    given.or("detailed_status", status);

    let mut body = Map::from_iter(
        [
            ("object_kind", json!("pipeline")),
            ("object_attributes", Value::Object(given.filled(&ATTRIBUTES))),
            ("merge_request", json!(merge_request)),
            ("user", user(happened.user)),
            ("project", short_project(project, happened.instance.base_url)),
            ("commit", json!(commit)),
            ("builds", Value::Array(builds)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    // Only a pipeline that another pipeline started has it.
    if let Some(source) = source_pipeline {
        body.insert("source_pipeline".to_owned(), source);
    }

    Ok(body)
}

/// The project as pipelines and jobs show it.
pub(super) fn short_project(project: &Project, base_url: &str) -> Value {
    let mut short = json!(Addresses::of(project, base_url).project(project));
    if let Some(short) = short.as_object_mut() {
        short.retain(|name, _| !NOT_IN_PROJECT.contains(&name.as_str()));
    }

    short
}

pub(super) fn commit(happened: &InProject<'_>, commit: Value) -> Value {
    let mut commit = Given::of(happened.trigger, Some(commit));
    if let Some(title) = commit
        .text("message")
        .and_then(|message| message.lines().next())
        .map(str::to_owned)
    {
        commit.or("title", title);
    }

    if let Some(id) = commit.text("id").map(str::to_owned) {
        commit.or("url", happened.address(&format!("-/commit/{id}")));
    }

    Value::Object(commit.filled(&COMMIT))
}

fn merge_request(happened: &InProject<'_>, merge_request: Value) -> Result<Value, ComposeError> {
    let mut merge_request = Given::of(happened.trigger, Some(merge_request));
    let iid = merge_request.need("iid")?.clone();
    merge_request.or("source_project_id", happened.scene.id.0);
    merge_request.or("target_project_id", happened.scene.id.0);
    merge_request.or("url", happened.address(&format!("-/merge_requests/{iid}")));

    Ok(Value::Object(merge_request.filled(&MERGE_REQUEST)))
}

fn build(happened: &InProject<'_>, build: Value) -> Value {
    let mut build = Given::of(happened.trigger, Some(build));
    let is_manual = build.text("when") == Some("manual");
    build.or("manual", is_manual);

    // The user who started the pipeline, unless the job names another.
    let person = build
        .take("user")
        .map(|person| people(happened.trigger, vec![person])[0].clone());
    build.or("user", person.unwrap_or_else(|| user(happened.user)));

    let known = build.take("runner");
    build.or("runner", runner(happened.trigger, known));

    let known = build.take("environment");
    build.or("environment", deployment::environment(happened.trigger, known));
    Value::Object(build.filled(&BUILD))
}

/// The stages of the builds, in the order of the builds.
fn stages(builds: &[Value]) -> Vec<Value> {
    let mut stages: Vec<Value> = Vec::new();
    for build in builds {
        let stage = &build["stage"];
        if !stage.is_null() && !stages.contains(stage) {
            stages.push(stage.clone());
        }
    }

    stages
}
