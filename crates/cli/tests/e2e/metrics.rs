//! Filters and groups of metrics: jobs by name, pipelines by status, reviewers, and tags as deployments.

use serde_json::{Value, json};

use crate::http::eventually;
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

pub(crate) fn metrics_can_be_filtered_and_grouped(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let to = |name: &str, tier: &str| json!({ "name": name, "action": "start", "deployment_tier": tier });
    let none = Value::Null;
    let red = [
        job(1, "unit", "failed", 100, &none),
        job(2, "lint", "success", 7, &none),
    ];

    let green = [
        job(3, "unit", "success", 300, &none),
        job(4, "ship", "success", 20, &to("eu", "production")),
        red[1].clone(),
    ];

    let events = [
        ("Pipeline Hook", pipeline(1, "failed", "push", &red)),
        ("Pipeline Hook", pipeline(1, "success", "push", &green)),
        (
            "Pipeline Hook",
            pipeline(2, "failed", "schedule", &[job(5, "unit", "failed", 200, &none)]),
        ),
        (
            "Deployment Hook",
            json!({ "object_kind": "deployment", "deployment_id": 15, "deployable_id": 4, "status": "success", "environment": "eu",
                "environment_tier": "production", "status_changed_at": "2026-03-02 08:10:01 UTC", "project": project() }),
        ),
        (
            "Tag Push Hook",
            json!({ "object_kind": "tag_push", "ref": "refs/tags/v1", "before": "0".repeat(40), "after": "b".repeat(40),
                "checkout_sha": "a".repeat(40), "user_id": 1, "project": project() }),
        ),
        (
            "Release Hook",
            json!({ "object_kind": "release", "tag": "v1", "action": "create", "released_at": "2026-03-04 08:00:00 UTC",
                "project": project() }),
        ),
        ("Note Hook", note(1, 5, 1, 2)),
        ("Note Hook", note(2, 5, 1, 2)),
        ("Note Hook", note(3, 6, 3, 2)),
        ("Note Hook", note(4, 6, 3, 1)),
        (
            "Push Hook",
            json!({ "object_kind": "push", "ref": "refs/heads/main", "before": "0", "after": "c", "project": project(),
                "commits": [{ "id": "c", "message": "m", "timestamp": "2026-03-01T20:15:00-07:00",
                    "author": { "name": "Ida", "email": "ida@x.example" } }] }),
        ),
    ];
    for (number, (event, body)) in events.iter().enumerate().rev() {
        server.receive(event, &format!("k{number}"), body);
        server.receive(event, &format!("duplicate{number}"), body);
    }

    let get = |path: &str| {
        server.get(&format!(
            "/api/v1/insights/{path}{}{WINDOW}",
            if path.contains('?') { '&' } else { '?' }
        ))
    };

    eventually("all events are counted", || {
        get("metrics/job_runs")["value"] == 5.0
            && get("metrics/mr_comments")["value"] == 4.0
            && get("metrics/commits")["value"] == 1.0
    });

    let by = |metric: &str, by: &str| -> Vec<(String, Value)> {
        let found = get(&format!("query?metric={metric}&interval=none&group_by={by}"));
        let row = |row: &Value| {
            (
                row["group"].as_str().unwrap_or_default().to_owned(),
                row["value"].clone(),
            )
        };
        found["rows"].as_array().expect("rows").iter().map(row).collect()
    };

    let named = |all: &[(&str, f64)]| -> Vec<(String, Value)> {
        all.iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect()
    };
    assert_eq!(
        by("job_runs", "job"),
        named(&[("lint", 1.0), ("ship", 1.0), ("unit", 3.0)])
    );

    assert_eq!(
        by("jobs_failed", "job"),
        named(&[("unit", 2.0)]),
        "jobs without a failure have no group"
    );

    assert_eq!(get("metrics/job_duration?job=unit")["p50"], 200.0);

    // A duration has percentiles, which are null without data. A count has no percentiles.
    let of = |path: &str, name: &str| get(path).get(name).cloned();
    assert_eq!(of("metrics/job_duration?job=nothing", "p50"), Some(Value::Null));
    assert_eq!(of("metrics/job_runs", "p50"), None);

    let explained = get("metrics/job_runs/explain")["items"][0].clone();
    assert_eq!(
        (&explained["source_project_id"], &explained["project_path"]),
        (&json!(7), &json!("gear/rope"))
    );

    assert_eq!(
        explained.get("project_id"),
        None,
        "project_id is the name for Quickdraw's own ids"
    );

    assert_eq!(by("pipelines", "status"), named(&[("failed", 1.0), ("success", 1.0)]));
    assert_eq!(by("pipelines", "source"), named(&[("push", 1.0), ("schedule", 1.0)]));

    assert_eq!(
        by("deployments", "environment"),
        named(&[("eu", 1.0)]),
        "the deployment event and its job are one deployment"
    );

    for what in ["tags", "releases"] {
        // A tag counts at its receipt, because its push has no other time.
        let path = format!("/api/v1/insights/metrics/deployments/explain?deployed_by={what}&from=2026-03-01");
        let found = server.get(&path);

        let counted: Vec<&Value> = found["items"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|item| item["counts"] == true)
            .collect();

        let name = format!("{} v1", what.trim_end_matches('s'));
        assert_eq!(
            counted.iter().map(|item| item["name"].as_str()).collect::<Vec<_>>(),
            [Some(name.as_str())]
        );
    }

    // A window that begins before the first event is marked as partial and has no previous window. So are the weeks
    // that it cuts.
    let frequency = |more: &str| server.get(&format!("/api/v1/insights/metrics/deployment_frequency?{more}"));
    let early = frequency("from=2026-02-15&to=2026-03-17&interval=week");
    assert_eq!(
        (&early["previous"], &early["partial"], early.get("band_2019")),
        (&Value::Null, &json!(true), None)
    );

    assert_eq!(
        early["coverage_starts"].as_str().map(|at| &at[..10]),
        Some("2026-03-02"),
        "{early}"
    );

    let series = early["series"].as_array().expect("a series");
    let partial: Vec<&Value> = series.iter().map(|part| &part["partial"]).collect();

    assert_eq!(
        partial,
        [true, true, true, true, false, true],
        "the last week has only one day"
    );

    let later = frequency("from=2026-03-10&to=2026-03-17");
    assert_eq!(
        (&later["previous"]["samples"].is_u64(), &later["partial"]),
        (&true, &json!(false))
    );

    // The OpenAPI description lists every metric with its meaning, from the table of definitions.
    let description = server.get("/api/v1/openapi.json");
    let parameters = &description["paths"]["/api/v1/insights/metrics/{name}"]["get"]["parameters"];

    let name = parameters
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["in"] == "path")
        .expect("the name");

    let all = server.get("/api/v1/insights/metrics");
    let names: Vec<&Value> = all.as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(name["schema"]["enum"], json!(names));

    let tells = |one: &Value| {
        name["description"]
            .as_str()
            .is_some_and(|text| text.contains(one["help"].as_str().unwrap_or("?")))
    };
    assert!(
        all.as_array().expect("a list").iter().all(tells),
        "the description explains every metric"
    );

    let week = get("metrics/time_distribution?zone=Europe/Bratislava")["week"].clone();
    assert_eq!(week[0][4], 1, "Monday: {week}");

    assert_eq!(
        get("metrics/time_distribution_author?zone=Europe/Bratislava")["week"][6][20],
        1
    );

    let pairs = get("reviews")["pairs"].clone();
    let pair = |author: i64, reviewer: i64, numbers: (i64, i64)| {
        let person = |id: i64| json!({ "name": format!("u{id}"), "member_id": null, "user_id": id });

        // A user whom no event named has the number as a name.
        let author = if author == 3 {
            json!({ "name": "user 3", "member_id": null, "user_id": 3 })
        } else {
            person(author)
        };
        json!({ "author": author, "reviewer": person(reviewer), "merge_requests": numbers.0, "comments": numbers.1, "approvals": 0 })
    };
    assert_eq!(
        pairs,
        json!([pair(1, 2, (1, 2)), pair(3, 1, (1, 1)), pair(3, 2, (1, 1))])
    );

    let csv = server
        .call("GET", &format!("/api/v1/insights/reviews?{WINDOW}&format=csv"), "")
        .body;
    assert_eq!(
        csv.lines()
            .nth(1)
            .map(|line| line.starts_with("u1,user 1,u2,user 2,1,2,0,")),
        Some(true),
        "{csv}"
    );

    let add = |path: &str, body: Value| server.call("POST", &format!("/api/v1/insights/{path}"), &body.to_string());
    for (name, handle) in [("Ann", "#2"), ("Bob", "#9")] {
        assert_eq!(add("members", json!({ "name": name, "handles": [handle] })).status, 201);
    }

    assert_eq!(add("teams", json!({ "name": "Ropes" })).status, 201);

    let ids = server.get("/api/v1/insights/members");
    for member in ids.as_array().expect("a list") {
        let team = server.get("/api/v1/insights/teams")[0]["id"].clone();
        assert_eq!(
            add(&format!("teams/{team}/members"), json!({ "member_id": member["id"] })).status,
            201
        );
    }

    assert_eq!(get("metrics/review_participation?team=Ropes")["value"], 0.5);
    assert_eq!(get("metrics/mr_reviewed_by?member=Ann")["value"], 2.0);

    assert_eq!(
        (
            get("metrics/commits?branch=main")["value"].clone(),
            by("commits", "branch")
        ),
        (json!(1.0), named(&[("main", 1.0)]))
    );

    assert_eq!(get("reviews?team=Ropes")["pairs"][0]["reviewer"]["name"], "Ann");

    let privacy = server.call(
        "PUT",
        "/api/v1/insights/privacy",
        r#"{"min_group":2,"pseudonyms":true}"#,
    );
    assert_eq!(privacy.status, 200, "{}", privacy.body);

    assert_eq!(
        server.call("GET", "/api/v1/insights/reviews", "").status,
        403,
        "the answer would show single people"
    );

    // An explanation hides the values too, because they stand for people.
    let explained = get("metrics/contributors/explain")["items"].clone();
    assert!(
        explained[0]["counts"] == true && explained[0]["value"].is_null(),
        "{explained}"
    );

    for bad in [
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
        assert_eq!(
            server.call("GET", &format!("/api/v1/insights/{bad}"), "").status,
            400,
            "{bad}"
        );
    }
}
