//! Filters and groups of metrics: jobs by name, pipelines by status, reviewers, and tags as deployments.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::answers::{check_shows, items};
use crate::counted::{Counted, Event};
use crate::server::{Engine, Server};

const WINDOW: &str = "from=2026-03-01&to=2026-03-08";

fn project() -> Value {
    json!({ "id": 7, "path_with_namespace": "gear/rope", "default_branch": "main" })
}

fn job(id: i64, name: &str, status: &str, seconds: i64, environment: &Value) -> Value {
    json!({ "id": id, "name": name, "stage": "test", "status": status, "created_at": "2026-03-02 08:00:00 UTC",
        "started_at": "2026-03-02 08:00:01 UTC", "finished_at": "2026-03-02 08:10:00 UTC", "duration": seconds,
        "environment": environment })
}

fn pipeline(id: i64, status: &str, source: &str, builds: &[Value]) -> Value {
    json!({ "object_kind": "pipeline", "project": project(), "builds": builds,
        "object_attributes": { "id": id, "iid": id, "ref": "main", "status": status, "source": source, "sha": "a".repeat(40),
            "created_at": "2026-03-02 08:00:00 UTC" } })
}

fn note(id: i64, iid: i64, author: i64, who: i64) -> Value {
    json!({ "object_kind": "note", "project": project(), "user": { "id": who, "username": format!("u{who}") },
        "object_attributes": { "id": id, "author_id": who, "created_at": "2026-03-03 09:00:00 UTC", "noteable_type": "MergeRequest" },
        "merge_request": { "iid": iid, "target_project_id": 7, "author_id": author, "state": "opened",
            "created_at": "2026-03-02 08:00:00 UTC", "updated_at": "2026-03-02 08:00:00 UTC" } })
}

/// A pipeline that failed and was run again in part, with a deployment, and a pipeline of a schedule that failed.
fn pipelines() -> [Event; 4] {
    let environment = json!({ "name": "eu", "action": "start", "deployment_tier": "production" });
    let none = Value::Null;
    let lint = job(2, "lint", "success", 7, &none);

    let red = [job(1, "unit", "failed", 100, &none), lint.clone()];
    let green = [
        job(3, "unit", "success", 300, &none),
        job(4, "ship", "success", 20, &environment),
        lint,
    ];

    let other = [job(5, "unit", "failed", 200, &none)];
    let deployment = json!({ "object_kind": "deployment", "deployment_id": 15, "deployable_id": 4, "status": "success", "environment": "eu",
        "environment_tier": "production", "status_changed_at": "2026-03-02 08:10:01 UTC", "project": project() });

    [
        ("Pipeline Hook", pipeline(1, "failed", "push", &red)),
        ("Pipeline Hook", pipeline(1, "success", "push", &green)),
        ("Pipeline Hook", pipeline(2, "failed", "schedule", &other)),
        ("Deployment Hook", deployment),
    ]
}

/// A commit, a tag, and its release.
fn changes() -> [Event; 3] {
    let tag = json!({ "object_kind": "tag_push", "ref": "refs/tags/v1", "before": "0".repeat(40), "after": "b".repeat(40),
        "checkout_sha": "a".repeat(40), "user_id": 1, "project": project() });
    let release = json!({ "object_kind": "release", "tag": "v1", "action": "create", "released_at": "2026-03-04 08:00:00 UTC",
        "project": project() });
    let push = json!({ "object_kind": "push", "ref": "refs/heads/main", "before": "0", "after": "c", "project": project(),
        "commits": [{ "id": "c", "message": "m", "timestamp": "2026-03-01T20:15:00-07:00",
            "author": { "name": "Ida", "email": "ida@x.example" } }] });

    [("Push Hook", push), ("Tag Push Hook", tag), ("Release Hook", release)]
}

/// Comments on two merge requests of the users 1 and 3.
fn notes() -> [Event; 4] {
    [note(1, 5, 1, 2), note(2, 5, 1, 2), note(3, 6, 3, 2), note(4, 6, 3, 1)].map(|note| ("Note Hook", note))
}

/// Starts a server that counts the events. They arrive in reverse order and twice.
fn count(engine: &Engine, events: &[Event], metric: &str, value: f64) -> Counted {
    let counted = Counted::start(engine, WINDOW);
    counted.receive_reversed("k", events);
    counted.receive_reversed("duplicate", events);
    counted.wait_for(metric, value);

    counted
}

fn count_pipelines(engine: &Engine) -> Counted {
    let counted = count(engine, &pipelines(), "job_runs", 5.0);
    counted.wait_for("deployments", 1.0);

    counted
}

fn count_changes(engine: &Engine) -> Counted {
    count(engine, &changes(), "commits", 1.0)
}

fn count_notes(engine: &Engine) -> Counted {
    count(engine, &notes(), "mr_comments", 4.0)
}

/// Creates the members Ann, who is user 2, and Bob, and a team of both.
fn make_team(counted: &Counted) {
    let post = |path: &str, body: Value| counted.call("POST", path, &body.to_string()).checked(201);
    for (name, handle) in [("Ann", "#2"), ("Bob", "#9")] {
        post("members", json!({ "name": name, "handles": [handle] }));
    }

    post("teams", json!({ "name": "Ropes" }));

    let team = counted.server.get("/api/v1/insights/teams")["items"][0]["id"].clone();
    for member in items(&counted.server.get("/api/v1/insights/members")["items"]) {
        post(&format!("teams/{team}/members"), json!({ "member_id": member["id"] }));
    }
}

fn hide_groups_of_one(counted: &Counted) {
    let privacy = r#"{"min_group":2,"pseudonyms":true}"#;
    counted.call("PUT", "privacy", privacy).checked(200);
}

pub(crate) fn jobs_pipelines_and_deployments_can_be_grouped(engine: Engine) {
    let counted = count_pipelines(&engine);
    counted.check_groups("job_runs", "job", &[("lint", 1.0), ("ship", 1.0), ("unit", 3.0)]);

    // Jobs without a failure have no group.
    counted.check_groups("jobs_failed", "job", &[("unit", 2.0)]);
    counted.check_groups("pipelines", "status", &[("failed", 1.0), ("success", 1.0)]);
    counted.check_groups("pipelines", "source", &[("push", 1.0), ("schedule", 1.0)]);

    // The deployment event and its job are one deployment.
    counted.check_groups("deployments", "environment", &[("eu", 1.0)]);
}

pub(crate) fn durations_have_percentiles_and_counts_have_none(engine: Engine) {
    let counted = count_pipelines(&engine);
    assert_eq!(counted.metric("job_duration?job=unit")["p50"], 200.0);

    // The percentiles of a duration are null without data.
    let without_data = counted.metric("job_duration?job=nothing");
    assert_eq!(without_data.get("p50"), Some(&Value::Null));
    assert_eq!(counted.metric("job_runs").get("p50"), None);
}

pub(crate) fn an_explanation_names_the_project_of_the_source(engine: Engine) {
    let counted = count_pipelines(&engine);
    let explained = counted.metric("job_runs/explain")["items"][0].clone();
    let expected = json!({ "source_project_id": 7, "project_path": "gear/rope" });
    check_shows(&explained, &expected);

    // project_id is the name for Quickdraw's own ids.
    assert_eq!(explained.get("project_id"), None);
}

pub(crate) fn tags_or_releases_can_count_as_deployments(engine: Engine) {
    let counted = count_changes(&engine);
    for (deployed_by, name) in [("tags", "tag v1"), ("releases", "release v1")] {
        // A tag counts at its receipt, because its push has no other time.
        let path = format!("/api/v1/insights/metrics/deployments/explain?deployed_by={deployed_by}&from=2026-03-01");
        let found = counted.server.get(&path);

        let counts = items(&found["items"]).iter().filter(|item| item["counts"] == true);
        let names: Vec<&Value> = counts.map(|item| &item["name"]).collect();
        assert_eq!(names, [name]);
    }
}

/// A window that begins before the first event is marked as partial and has no previous window. The weeks that it cuts
/// are partial too.
pub(crate) fn a_window_before_the_first_event_is_partial(engine: Engine) {
    let counted = count_pipelines(&engine);
    let frequency = |more: &str| {
        counted
            .server
            .get(&format!("/api/v1/insights/metrics/deployment_frequency?{more}"))
    };

    let early = frequency("from=2026-02-15&to=2026-03-17&interval=week");
    check_shows(&early, &json!({ "previous": null, "partial": true }));
    assert_eq!(early.get("band_2019"), None);

    let starts = early["coverage_starts"].as_str().expect("a time");
    assert_eq!(&starts[..10], "2026-03-02", "{early}");

    // The last week has only one day.
    let partial: Vec<&Value> = items(&early["series"]).iter().map(|part| &part["partial"]).collect();
    assert_eq!(partial, [true, true, true, true, false, true]);

    let later = frequency("from=2026-03-10&to=2026-03-17");
    assert!(later["previous"]["samples"].is_u64(), "{later}");
    assert_eq!(later["partial"], false);
}

pub(crate) fn the_openapi_description_explains_every_metric(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let description = server.get("/api/v1/openapi.json");
    let parameters = &description["paths"]["/api/v1/insights/metrics/{name}"]["get"]["parameters"];
    let name = items(parameters)
        .iter()
        .find(|parameter| parameter["in"] == "path")
        .expect("the name");

    let all = server.get("/api/v1/insights/metrics")["items"].clone();
    let names: Vec<&Value> = items(&all).iter().map(|metric| &metric["name"]).collect();
    assert_eq!(name["schema"]["enum"], json!(names));

    let different: HashSet<Option<&str>> = names.iter().map(|name| name.as_str()).collect();
    assert_eq!(different.len(), names.len(), "names are unique");

    let text = name["description"].as_str().expect("a text");
    for metric in items(&all) {
        let help = metric["help"].as_str().expect("a text");
        assert!(text.contains(help), "{help}");
    }
}

pub(crate) fn commits_are_distributed_in_the_given_zone_and_in_that_of_the_author(engine: Engine) {
    let counted = count_changes(&engine);
    let week = counted.metric("time_distribution?zone=Europe/Bratislava")["week"].clone();
    assert_eq!(week[0][4], 1, "Monday: {week}");

    let week = counted.metric("time_distribution_author?zone=Europe/Bratislava")["week"].clone();
    assert_eq!(week[6][20], 1, "Sunday: {week}");
}

fn pair(names: [(&str, i64); 2], merge_requests: i64, comments: i64) -> Value {
    let [author, reviewer] = names.map(|(name, id)| json!({ "name": name, "member_id": null, "user_id": id }));
    json!({ "author": author, "reviewer": reviewer, "merge_requests": merge_requests, "comments": comments, "approvals": 0 })
}

pub(crate) fn reviews_are_counted_by_author_and_reviewer(engine: Engine) {
    let counted = count_notes(&engine);

    // A user whom no event named has the number as a name.
    let expected = [
        pair([("u1", 1), ("u2", 2)], 1, 2),
        pair([("user 3", 3), ("u1", 1)], 1, 1),
        pair([("user 3", 3), ("u2", 2)], 1, 1),
    ];
    assert_eq!(counted.get("reviews")["pairs"], json!(expected));

    let path = format!("/api/v1/insights/reviews?{WINDOW}&format=csv");
    let csv = counted.server.call("GET", &path, "").body;
    let line = csv.lines().nth(1).expect("a line");
    assert!(line.starts_with("u1,user 1,u2,user 2,1,2,0,"), "{csv}");
}

pub(crate) fn reviews_can_be_filtered_by_team_and_member(engine: Engine) {
    let counted = count_notes(&engine);
    make_team(&counted);

    assert_eq!(counted.metric("review_participation?team=Ropes")["value"], 0.5);
    assert_eq!(counted.metric("mr_reviewed_by?member=Ann")["value"], 2.0);

    let reviews = counted.get("reviews?team=Ropes");
    assert_eq!(reviews["pairs"][0]["reviewer"]["name"], "Ann");
}

pub(crate) fn commits_can_be_filtered_and_grouped_by_branch(engine: Engine) {
    let counted = count_changes(&engine);
    assert_eq!(counted.metric("commits?branch=main")["value"], 1.0);
    counted.check_groups("commits", "branch", &[("main", 1.0)]);
}

pub(crate) fn reviews_are_hidden_if_small_groups_are_hidden(engine: Engine) {
    let counted = count_notes(&engine);
    hide_groups_of_one(&counted);

    // The answer would show single people.
    counted.call("GET", "reviews", "").checked(403);
}

pub(crate) fn explanations_hide_values_that_stand_for_people(engine: Engine) {
    let counted = count_changes(&engine);
    hide_groups_of_one(&counted);

    let explained = counted.metric("contributors/explain")["items"][0].clone();
    check_shows(&explained, &json!({ "counts": true, "value": null }));
}

pub(crate) fn filters_that_do_not_apply_to_a_metric_are_refused(engine: Engine) {
    let counted = Counted::start(&engine, WINDOW);
    make_team(&counted);

    for path in [
        "query?metric=pipelines&group_by=status&status=failed",
        "query?metric=commits&group_by=environment",
        "query?metric=time_distribution&format=csv",
        "metrics/deployments?deployed_by=luck",
        "metrics/commits?deployed_by=tags",
        "metrics/commits?environment=production",
        "metrics/pipelines?status=sucess",
        "metrics/branches_open?team=Ropes",
        "reviews?job=unit",
    ] {
        counted.check_statuses(&[(path, 400)]);
    }
}
