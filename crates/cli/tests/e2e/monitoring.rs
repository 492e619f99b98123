//! Monitoring: the files in `monitoring/` use existing metrics, and `/metrics` shows the current state.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::http::{eventually, send};
use crate::server::{Engine, Server, TOKEN};

/// The names of metrics in a text.
fn names(text: &str) -> HashSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    text.split(|c| !is_name(c))
        .filter(|word| {
            ["quickdraw_", "gitlab_webhook_", "gitlab_ci_", "pulse_"]
                .iter()
                .any(|start| word.starts_with(start))
        })
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

pub(crate) fn alerts_and_dashboards_use_existing_metrics() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |file: &str| std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));

    let declared = [
        "crates/engine/src/telemetry.rs",
        "crates/server/src/telemetry.rs",
        "crates/engine/src/insights/prometheus.rs",
        "crates/engine/src/insights/prometheus/last.rs",
        "crates/engine/src/insights/prometheus/project.rs",
        "crates/engine/src/insights/prometheus/series.rs",
    ];
    let declared = names(&declared.map(read).concat());
    let alerts = read("monitoring/prometheus/alerts/webhooks.yml");

    let dashboards = [
        read("monitoring/grafana/quickdraw.json"),
        read("monitoring/grafana/insights.json"),
    ];

    for text in dashboards.iter().chain([&alerts]) {
        let asked = names(text);
        assert!(asked.len() >= 8, "{asked:?}");

        let missing: Vec<_> = asked.difference(&declared).collect();
        assert!(missing.is_empty(), "{missing:?} are used but not declared");
    }

    assert_eq!(alerts.matches("- alert: ").count(), alerts.matches("expr: ").count());
    dashboards.iter().for_each(|dashboard| can_be_loaded(dashboard));
}

/// Checks that Grafana can load a dashboard.
fn can_be_loaded(dashboard: &str) {
    let dashboard: Value = serde_json::from_str(dashboard).expect("JSON");
    assert!(
        dashboard["title"].is_string()
            && dashboard["uid"].is_string()
            && dashboard["schemaVersion"].as_u64() > Some(36)
    );

    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: HashSet<u64> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().expect("an id"))
        .collect();

    assert_eq!(ids.len(), panels.len());

    for panel in panels {
        let place = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24 && place("h") > 0, "{panel}");
        assert!(panel["type"].is_string() && panel["title"].is_string(), "{panel}");

        for target in panel["targets"].as_array().expect("targets") {
            assert!(
                target["expr"].as_str().is_some_and(|expr| !names(expr).is_empty()),
                "{target}"
            );

            assert_eq!(target["datasource"]["uid"], "${datasource}");
        }
    }
}

pub(crate) fn prometheus_shows_the_current_state_only(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let time = |minutes: i64| {
        (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes))
            .strftime("%Y-%m-%d %H:%M:%S UTC")
            .to_string()
    };

    let project = json!({ "id": 7, "path_with_namespace": "gear/\"rope\"", "default_branch": "main" });
    let pipeline = |id: i64, branch: &str, status: &str, minutes: i64| {
        json!({ "object_kind": "pipeline", "project": project, "object_attributes": { "id": id, "iid": id, "ref": branch,
            "status": status, "source": "push", "created_at": time(minutes), "finished_at": time(minutes - 1), "duration": 60 },
            "builds": [{ "id": id * 10, "name": "pull", "stage": "test", "status": status, "created_at": time(minutes),
                "started_at": time(minutes), "finished_at": time(minutes - 1), "duration": 50.0 }] })
    };

    let push = |branch: &str| {
        json!({ "object_kind": "push", "ref": format!("refs/heads/{branch}"), "before": "0", "after": "b", "project": project,
            "commits": [{ "id": "b", "message": "m", "timestamp": time(9), "author": { "name": "Ida", "email": "ida@x.example" } }] })
    };
    server.receive("Push Hook", "main", &push("main"));
    server.receive("Push Hook", "wip", &push("wip"));
    server.receive("Pipeline Hook", "a", &pipeline(1, "main", "success", 9));
    server.receive("Pipeline Hook", "b", &pipeline(2, "wip", "failed", 5));

    let bearer = format!("Bearer {TOKEN}");
    let metrics = |server: &Server| {
        send(server.port, "GET", "/metrics", &[("Authorization", &bearer)], b"")
            .expect("an answer")
            .body
    };

    let of = |text: &str, name: &str| -> Vec<String> {
        text.lines()
            .filter(|line| line.starts_with(name))
            .map(str::to_owned)
            .collect()
    };

    let on_main = r#"project="gear/\"rope\"",ref="main",kind="branch",source="push""#;
    let shown = |server: &Server, status: &str, id: i64| {
        let text = metrics(server);
        of(&text, "gitlab_ci_pipeline_status")
            == [format!("gitlab_ci_pipeline_status{{{on_main},status=\"{status}\"}} 1")]
            && of(&text, "gitlab_ci_pipeline_id") == [format!("gitlab_ci_pipeline_id{{{on_main}}} {id}")]
    };

    eventually("all events are counted", || {
        server.get("/api/v1/insights/metrics/pipelines")["value"] == 2.0
            && server.get("/api/v1/insights/metrics/commits")["value"] == 1.0
    });

    for (path, body) in [
        ("members", json!({ "name": "Ida", "handles": ["ida@x.example"] })),
        ("members", json!({ "name": "Jo", "handles": ["jo@x.example"] })),
        ("teams", json!({ "name": "Ropes" })),
        ("teams", json!({ "name": "Others" })),
        ("teams/3/members", json!({ "member_id": 1 })),
        ("teams/4/members", json!({ "member_id": 2 })),
    ] {
        let made = server.call("POST", &format!("/api/v1/insights/{path}"), &body.to_string());
        assert_eq!(made.status, 201, "{path}: {}", made.body);
    }

    // The first computation after a start covers all projects.
    server.kill();
    server.restart();
    eventually("only the default branch is shown", || shown(&server, "success", 1));

    let text = metrics(&server);
    let commits =
        |team: &str| format!("pulse_commits{{project=\"gear/\\\"rope\\\"\",team=\"{team}\",window=\"7d\"}} 1");
    assert_eq!(of(&text, "pulse_commits"), [commits(""), commits("Ropes")]);

    assert_eq!(
        of(&text, "pulse_unmatched_identities"),
        ["pulse_unmatched_identities 0"]
    );

    let job =
        format!("gitlab_ci_pipeline_job_status{{{on_main},stage=\"test\",job_name=\"pull\",status=\"success\"}} 1");
    assert_eq!(of(&text, "gitlab_ci_pipeline_job_status"), [job]);
    assert!(!text.contains("ida@"), "no person is named: {text}");

    let plain = send(server.port, "GET", "/metrics", &[], b"").expect("an answer").body;
    assert!(
        plain.contains("quickdraw_hooks_disabled") && !plain.contains("rope"),
        "metrics of projects are for administrators only: {plain}"
    );

    let series: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.rsplit_once(' ')?.0))
        .collect();

    assert_eq!(
        series.iter().collect::<HashSet<_>>().len(),
        series.len(),
        "each series is shown once"
    );

    let wrong = send(
        server.port,
        "GET",
        "/metrics",
        &[("Authorization", "Bearer nonsense")],
        b"",
    )
    .expect("an answer");
    assert_eq!(wrong.status, 401, "a wrong token is refused and not ignored");

    // Each name has one type and one set of labels, which promtool requires.
    let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    assert_eq!(types.iter().collect::<HashSet<_>>().len(), types.len());

    if let Some(said) = promtool(&text) {
        assert!(!said.contains("error"), "{said}");
    }

    assert_eq!(
        of(&text, "gitlab_ci_pipeline_run_count"),
        [format!("gitlab_ci_pipeline_run_count{{{on_main}}} 1")]
    );

    let repository = r#"vcs_owner_name="gear",vcs_repository_name="\"rope\"""#;
    assert!(
        text.contains(&format!("vcs_contributor_count{{{repository}}} 1")),
        "{text}"
    );

    server.receive("Pipeline Hook", "c", &pipeline(3, "main", "failed", 2));
    eventually("the new pipeline is counted", || {
        server.get("/api/v1/insights/metrics/pipelines")["value"] == 3.0
    });

    assert_eq!(
        server.get("/api/v1/insights/metrics/branches_failing?branch=main")["value"],
        1.0
    );

    server.kill();
    server.restart();
    eventually("only the new state is shown", || shown(&server, "failed", 3));

    // Other branches and merge requests are shown on request, while they exist.
    let of_merge_request = |state: &str| {
        json!({ "object_kind": "merge_request", "project": project, "object_attributes": { "iid": 5, "target_project_id": 7,
            "created_at": time(60), "updated_at": time(1), "state": state, "action": if state == "opened" { "open" } else { "close" } } })
    };

    let mut on_merge_request = pipeline(9, "wip", "running", 4);
    on_merge_request["object_attributes"]["source"] = json!("merge_request_event");
    on_merge_request["merge_request"] = json!({ "iid": 5 });
    server.receive("Merge Request Hook", "d", &of_merge_request("opened"));
    server.receive("Pipeline Hook", "e", &on_merge_request);
    eventually("the merge request pipeline is counted", || {
        server.get("/api/v1/insights/metrics/pipelines")["value"] == 4.0
    });
    server.set("QUICKDRAW__TELEMETRY__REFS", r#"["w*", "!*"]"#);
    server.kill();
    server.restart();

    let refs = |server: &Server| -> Vec<String> {
        let text = metrics(server);
        let part = |line: &String| {
            line.split("ref=")
                .nth(1)
                .and_then(|rest| rest.split(",source").next())
                .map(str::to_owned)
        };
        of(&text, "gitlab_ci_pipeline_status").iter().filter_map(part).collect()
    };

    let (main, wip, five) = (
        r#""main",kind="branch""#,
        r#""wip",kind="branch""#,
        r#""5",kind="merge-request""#,
    );

    eventually("all refs are shown", || refs(&server) == [main, five, wip]);
    assert!(metrics(&server).contains("vcs_ref_type=\"branch\"} 2\n"));

    let gone = json!({ "object_kind": "push", "ref": "refs/heads/wip", "before": "b", "after": "0".repeat(40), "project": project });
    server.receive("Push Hook", "f", &gone);
    server.receive("Merge Request Hook", "g", &of_merge_request("closed"));

    eventually("the deletion and the close are counted", || {
        server.get("/api/v1/insights/metrics/branches_deleted")["value"] == 1.0
            && server.get("/api/v1/insights/metrics/mr_open")["value"] == 0.0
    });

    server.kill();
    server.restart();
    eventually("deleted refs are not shown", || refs(&server) == [main]);

    let pushed = json!({ "object_kind": "push", "project": { "id": 8, "path_with_namespace": "gear/cord" } });
    server.receive("Push Hook", "h", &pushed);

    let last = "quickdraw_project_last_event_timestamp_seconds{";
    eventually("administrators see the time of a project's last event", || {
        of(&metrics(&server), last).len() == 1
    });

    let plain = send(server.port, "GET", "/metrics", &[], b"").expect("an answer").body;
    assert_eq!(
        of(&plain, last),
        Vec::<String>::new(),
        "the time is for administrators only"
    );
}

/// A project from which only pipelines are received. Its default branch is shown, and the other branches on request.
pub(crate) fn branches_without_pushes_are_shown(engine: Engine) {
    let mut server = Server::start(&engine, &[("QUICKDRAW__TELEMETRY__REFS", r#"["*"]"#)]);
    let time = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let pipeline = |id: i64, branch: &str, status: &str| {
        json!({ "object_kind": "pipeline", "project": { "id": 8, "path_with_namespace": "gear/sling", "default_branch": "trunk" },
            "object_attributes": { "id": id, "iid": id, "ref": branch, "status": status, "source": "push", "created_at": time } })
    };
    server.receive("Pipeline Hook", "a", &pipeline(1, "trunk", "success"));
    server.receive("Pipeline Hook", "b", &pipeline(2, "feat", "manual"));
    eventually("all pipelines are counted", || {
        server.get("/api/v1/insights/metrics/pipelines")["value"] == 2.0
    });

    // The first computation after a start covers all projects.
    server.kill();
    server.restart();

    let bearer = format!("Bearer {TOKEN}");
    let of = |git_ref: &str, status: &str| {
        format!(
            "gitlab_ci_pipeline_status{{project=\"gear/sling\",ref=\"{git_ref}\",kind=\"branch\",source=\"push\",status=\"{status}\"}} 1"
        )
    };

    eventually("both branches are shown", || {
        let text = send(server.port, "GET", "/metrics", &[("Authorization", &bearer)], b"")
            .expect("an answer")
            .body;
        [of("trunk", "success"), of("feat", "manual")]
            .iter()
            .all(|line| text.contains(line))
            && text.contains("vcs_ref_type=\"branch\"} 2\n")
    });
}

/// Runs `promtool check metrics`. `None` if promtool is not installed.
fn promtool(text: &str) -> Option<String> {
    let command = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = command.ok()?;
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;

    let output = child.wait_with_output().ok()?;
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}
