//! Monitoring: the files in `monitoring/` use existing metrics, and `/metrics` shows the current state.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::http::{Reply, check_parts, eventually, send};
use crate::server::{Engine, Server, TOKEN};

/// The labels of the default branch of `gear/"rope"`.
const ON_MAIN: &str = r#"project="gear/\"rope\"",ref="main",kind="branch",source="push""#;

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

/// A time some minutes ago, as GitLab writes it.
fn time(minutes: i64) -> String {
    let time = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn project() -> Value {
    json!({ "id": 7, "path_with_namespace": "gear/\"rope\"", "default_branch": "main" })
}

/// A pipeline of one job that was created some minutes ago and ran for one minute.
fn pipeline(id: i64, branch: &str, status: &str, minutes: i64) -> Value {
    json!({ "object_kind": "pipeline", "project": project(),
        "object_attributes": { "id": id, "iid": id, "ref": branch, "status": status, "source": "push",
            "created_at": time(minutes), "finished_at": time(minutes - 1), "duration": 60 },
        "builds": [{ "id": id * 10, "name": "pull", "stage": "test", "status": status, "created_at": time(minutes),
            "started_at": time(minutes), "finished_at": time(minutes - 1), "duration": 50.0 }] })
}

fn push(branch: &str) -> Value {
    json!({ "object_kind": "push", "ref": format!("refs/heads/{branch}"), "before": "0", "after": "b",
        "project": project(), "commits": [{ "id": "b", "message": "m", "timestamp": time(9),
            "author": { "name": "Ida", "email": "ida@x.example" } }] })
}

/// The deletion of a branch.
fn deletion(branch: &str) -> Value {
    json!({ "object_kind": "push", "ref": format!("refs/heads/{branch}"), "before": "b", "after": "0".repeat(40),
        "project": project() })
}

fn merge_request(state: &str, action: &str) -> Value {
    json!({ "object_kind": "merge_request", "project": project(),
        "object_attributes": { "iid": 5, "target_project_id": 7, "created_at": time(60), "updated_at": time(1),
            "state": state, "action": action } })
}

/// A pipeline of the merge request.
fn merge_request_pipeline(id: i64) -> Value {
    let mut pipeline = pipeline(id, "wip", "running", 4);
    pipeline["object_attributes"]["source"] = json!("merge_request_event");
    pipeline["merge_request"] = json!({ "iid": 5 });

    pipeline
}

/// Asks for `/metrics`, with a token if it is given.
fn ask(server: &Server, token: Option<&str>) -> Reply {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("Authorization", &**bearer)).collect();
    send(server.port, "GET", "/metrics", &headers, b"").expect("an answer")
}

/// The metrics as administrators see them.
fn metrics(server: &Server) -> String {
    ask(server, Some(TOKEN)).body
}

/// The lines of a metric.
fn of(text: &str, name: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.map(str::to_owned).collect()
}

/// Waits until a metric of insights has a value.
fn wait_for(server: &Server, metric: &str, value: f64) {
    let path = format!("/api/v1/insights/metrics/{metric}");
    eventually(metric, || server.get(&path)["value"] == value);
}

/// The first computation after a start covers all projects.
fn compute(server: &mut Server) {
    server.kill();
    server.restart();
}

/// Waits until the last pipeline of the default branch is shown, and no other.
fn wait_for_pipeline(server: &Server, status: &str, id: i64) {
    eventually("only the default branch is shown", || {
        let text = metrics(server);
        of(&text, "gitlab_ci_pipeline_status")
            == [format!("gitlab_ci_pipeline_status{{{ON_MAIN},status=\"{status}\"}} 1")]
            && of(&text, "gitlab_ci_pipeline_id") == [format!("gitlab_ci_pipeline_id{{{ON_MAIN}}} {id}")]
    });
}

/// A server that has counted pushes and pipelines of two branches, and a commit.
fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.receive("Push Hook", "main", &push("main"));
    server.receive("Push Hook", "wip", &push("wip"));
    server.receive("Pipeline Hook", "a", &pipeline(1, "main", "success", 9));
    server.receive("Pipeline Hook", "b", &pipeline(2, "wip", "failed", 5));
    wait_for(&server, "pipelines", 2.0);
    wait_for(&server, "commits", 1.0);

    server
}

/// The same, after Prometheus' metrics were computed.
fn start_computed(engine: &Engine) -> Server {
    let mut server = start(engine);
    compute(&mut server);
    wait_for_pipeline(&server, "success", 1);

    server
}

/// Metrics of projects are for administrators only. A wrong token is refused and not ignored.
fn check_access(server: &Server) {
    let plain = ask(server, None).body;
    assert!(plain.contains("quickdraw_hooks_disabled"), "{plain}");
    assert!(!plain.contains("rope"), "{plain}");
    ask(server, Some("nonsense")).check(401);
}

pub(crate) fn administrators_see_the_metrics_of_the_default_branch(engine: Engine) {
    let server = start_computed(&engine);
    let text = metrics(&server);

    let job =
        format!("gitlab_ci_pipeline_job_status{{{ON_MAIN},stage=\"test\",job_name=\"pull\",status=\"success\"}} 1");
    assert_eq!(of(&text, "gitlab_ci_pipeline_job_status"), [job]);

    let runs = format!("gitlab_ci_pipeline_run_count{{{ON_MAIN}}} 1");
    assert_eq!(of(&text, "gitlab_ci_pipeline_run_count"), [runs]);

    let repository = r#"vcs_owner_name="gear",vcs_repository_name="\"rope\"""#;
    let contributors = format!("vcs_contributor_count{{{repository}}} 1");
    assert!(text.contains(&contributors), "{text}");

    check_access(&server);
}

/// Creates two members, each in a team of their own.
fn make_teams(server: &Server) {
    for (path, body) in [
        ("members", json!({ "name": "Ida", "handles": ["ida@x.example"] })),
        ("members", json!({ "name": "Jo", "handles": ["jo@x.example"] })),
        ("teams", json!({ "name": "Ropes" })),
        ("teams", json!({ "name": "Others" })),
        ("teams/3/members", json!({ "member_id": 1 })),
        ("teams/4/members", json!({ "member_id": 2 })),
    ] {
        server.create(&format!("/api/v1/insights/{path}"), &body);
    }
}

pub(crate) fn prometheus_shows_teams_and_no_person(engine: Engine) {
    let mut server = start(&engine);
    make_teams(&server);
    compute(&mut server);
    wait_for_pipeline(&server, "success", 1);

    let text = metrics(&server);
    let commits =
        |team: &str| format!("pulse_commits{{project=\"gear/\\\"rope\\\"\",team=\"{team}\",window=\"7d\"}} 1");
    assert_eq!(of(&text, "pulse_commits"), [commits(""), commits("Ropes")]);

    let unmatched = of(&text, "pulse_unmatched_identities");
    assert_eq!(unmatched, ["pulse_unmatched_identities 0"]);
    assert!(!text.contains("ida@"), "{text}");
    check_each_series_is_shown_once(&text);
}

fn check_unique(lines: &[&str]) {
    let unique: HashSet<&&str> = lines.iter().collect();
    assert_eq!(unique.len(), lines.len(), "{lines:?}");
}

/// Each name has one type and one set of labels, which promtool requires.
fn check_each_series_is_shown_once(text: &str) {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let series: Vec<&str> = lines.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();

    check_unique(&series);

    let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    check_unique(&types);

    if let Some(output) = promtool(text) {
        assert!(!output.contains("error"), "{output}");
    }
}

pub(crate) fn prometheus_shows_the_current_state_only(engine: Engine) {
    let mut server = start_computed(&engine);
    server.receive("Pipeline Hook", "c", &pipeline(3, "main", "failed", 2));
    wait_for(&server, "pipelines", 3.0);

    check_parts(
        &server.get("/api/v1/insights/metrics/branches_failing?branch=main"),
        json!({ "value": 1.0 }),
    );

    compute(&mut server);
    wait_for_pipeline(&server, "failed", 3);
}

/// Refs and kinds of the pipelines that are shown.
fn refs(server: &Server) -> Vec<String> {
    let part = |line: &String| {
        let labels = line.split("ref=").nth(1)?;
        labels.split(",source").next().map(str::to_owned)
    };

    let lines = of(&metrics(server), "gitlab_ci_pipeline_status");
    lines.iter().filter_map(part).collect()
}

/// A server with a pipeline of a merge request, which shows all refs that exist.
fn start_with_all_refs(engine: &Engine) -> Server {
    let mut server = start(engine);
    server.receive("Merge Request Hook", "d", &merge_request("opened", "open"));
    server.receive("Pipeline Hook", "e", &merge_request_pipeline(9));
    wait_for(&server, "pipelines", 3.0);

    server.set("QUICKDRAW__TELEMETRY__REFS", r#"["w*", "!*"]"#);
    compute(&mut server);
    server
}

pub(crate) fn other_branches_and_merge_requests_are_shown_on_request_while_they_exist(engine: Engine) {
    let mut server = start_with_all_refs(&engine);
    let main = r#""main",kind="branch""#;
    let wip = r#""wip",kind="branch""#;
    let five = r#""5",kind="merge-request""#;

    eventually("all refs are shown", || refs(&server) == [main, five, wip]);
    assert!(metrics(&server).contains("vcs_ref_type=\"branch\"} 2\n"));

    server.receive("Push Hook", "f", &deletion("wip"));
    server.receive("Merge Request Hook", "g", &merge_request("closed", "close"));
    wait_for(&server, "branches_deleted", 1.0);
    wait_for(&server, "mr_open", 0.0);

    compute(&mut server);
    eventually("deleted refs are not shown", || refs(&server) == [main]);
}

pub(crate) fn only_administrators_see_the_time_of_the_last_event_of_a_project(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let project = json!({ "id": 8, "path_with_namespace": "gear/cord" });
    server.receive("Push Hook", "h", &json!({ "object_kind": "push", "project": project }));

    let last = "quickdraw_project_last_event_timestamp_seconds{";
    eventually("administrators see the time", || of(&metrics(&server), last).len() == 1);
    assert!(of(&ask(&server, None).body, last).is_empty());
}

/// Receives a pipeline of a project from which only pipelines are received.
fn receive_pipeline_alone(server: &Server, id: i64, branch: &str, status: &str) {
    let project = json!({ "id": 8, "path_with_namespace": "gear/sling", "default_branch": "trunk" });
    let body = json!({ "object_kind": "pipeline", "project": project,
        "object_attributes": { "id": id, "iid": id, "ref": branch, "status": status, "source": "push",
            "created_at": time(0) } });
    server.receive("Pipeline Hook", branch, &body);
}

/// The default branch of such a project is shown, and the other branches on request.
pub(crate) fn branches_without_pushes_are_shown(engine: Engine) {
    let mut server = Server::start(&engine, &[("QUICKDRAW__TELEMETRY__REFS", r#"["*"]"#)]);
    receive_pipeline_alone(&server, 1, "trunk", "success");
    receive_pipeline_alone(&server, 2, "feat", "manual");
    wait_for(&server, "pipelines", 2.0);
    compute(&mut server);

    let line = |branch: &str, status: &str| {
        let labels = format!(r#"project="gear/sling",ref="{branch}",kind="branch",source="push",status="{status}""#);
        format!("gitlab_ci_pipeline_status{{{labels}}} 1")
    };

    eventually("both branches are shown", || {
        let text = metrics(&server);
        text.contains(&line("trunk", "success"))
            && text.contains(&line("feat", "manual"))
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
