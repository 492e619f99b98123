//! Backfills from a repository and from a file: they are counted and not delivered.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::git::{commit, git};
use crate::http::{Sink, eventually};
use crate::namespaces::column;
use crate::server::{Engine, Server};

/// Runs `quickdraw backfill`. Returns standard output, and standard error if the command failed.
pub(crate) fn backfill(server: &Server, arguments: &[&str]) -> (String, Option<String>) {
    let url = format!("http://127.0.0.1:{}", server.port);
    let arguments = [&["backfill"], arguments, &["--server", &url]].concat();
    let done = server.command(&arguments).output().expect("it runs");
    let errors = (!done.status.success()).then(|| String::from_utf8_lossy(&done.stderr).into_owned());

    (String::from_utf8(done.stdout).expect("UTF-8"), errors)
}

fn value(server: &Server, name: &str) -> Value {
    server.get(&format!(
        "/api/v1/insights/metrics/{name}?from=2020-01-01&to=2027-12-01"
    ))["value"]
        .clone()
}

/// Waits until each metric has the expected value.
pub(crate) fn counted(server: &Server, expected: &[(&str, f64)]) {
    for (name, number) in expected {
        let mut found = Value::Null;
        let is_so = || {
            found = value(server, name);
            found.as_f64() == Some(*number)
        };
        eventually(&format!("{name} is {number}"), is_so);
    }
}

/// The output of git in a folder.
fn read_git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).current_dir(folder).output();
    let output = output.expect("git runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Checks that the insights are equal to those that a rebuild would give.
pub(crate) fn verified(server: &Server) {
    let url = format!("http://127.0.0.1:{}", server.port);
    let done = server
        .command(&["insights", "verify", "--server", &url])
        .output()
        .expect("it runs");
    let output = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && output.contains("equal"), "{output}");
}

/// Makes a repository with 75 commits: 70 on `main`, a branch with two commits that is merged after another one, and a
/// commit that only a tag reaches.
fn make_repository(folder: &Path) -> PathBuf {
    let work = folder.join("work");
    git(folder, &["init", "-q", "work"]);

    for number in 0..70 {
        let file = format!("file-{}", number % 40);
        commit(&work, &file, &number.to_string(), &format!("Change {number}"));
    }

    git(&work, &["checkout", "-q", "-b", "feature"]);
    commit(&work, "feature", "1", "Begin a feature");
    git(&work, &["mv", "file-1", "renamed"]);
    git(&work, &["commit", "-q", "-m", "Say it better"]);
    git(&work, &["checkout", "-q", "main"]);
    commit(&work, "file-2", "on main", "Go on");

    // The message does not look like a merge, so only the parents show that it is one.
    let message = "Bring the feature in";
    git(&work, &["merge", "-q", "--no-ff", "-m", message, "feature"]);

    git(&work, &["checkout", "-q", "-b", "left"]);
    commit(&work, "left", "1", "Leave it");
    git(&work, &["tag", "v1"]);
    git(&work, &["checkout", "-q", "main"]);
    git(&work, &["branch", "-q", "-D", "left"]);

    work
}

/// The metrics of the repository that do not depend on pushes.
const COUNTS: [(&str, f64); 5] = [
    ("commits", 74.0),
    ("merge_commits", 1.0),
    ("commits_landed", 73.0),
    ("files_added", 43.0),
    ("files_modified", 31.0),
];

/// A server with a project and a webhook, and the repository of the project.
struct Past {
    server: Server,
    work: PathBuf,
}

impl Past {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[]);
        server.make_project();

        let sink = Sink::start(|_| Some(200));
        server.make_hook(&sink.url(), "");

        let work = make_repository(server.folder.path());
        Self { server, work }
    }

    /// Reads the repository and returns the output.
    #[track_caller]
    fn backfill(&self, more: &[&str]) -> String {
        let project = ["git", "work", "--project", "gear/rope"];
        let (output, errors) = backfill(&self.server, &[&project[..], more].concat());
        assert_eq!(errors, None, "{output}");

        output
    }

    fn count(&self, arguments: &[&str]) -> String {
        read_git(&self.work, &[&["rev-list", "--count"], arguments].concat())
    }

    /// Reports a push of the last commit before the merge, which also gives the number of the project.
    fn report_push(&self) {
        let tip = read_git(&self.work, &["rev-parse", "main^1"]);
        let listed = json!([{ "id": tip, "message": "Go on\n", "timestamp": "2026-11-20T10:00:00Z",
            "author": { "name": "Ida Brandt", "email": "ida@climb.example" }, "modified": ["file-2"] }]);
        let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "before": "a".repeat(40), "after": tip,
            "project": { "id": 1, "path_with_namespace": "gear/rope", "default_branch": "main" }, "commits": listed });

        let report = json!({ "trigger": "push_hooks", "payload": body });
        self.server.report_event(&report);
        counted(&self.server, &[("pushes", 1.0)]);
    }
}

pub(crate) fn a_backfill_of_an_unknown_project_needs_its_number(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    git(server.folder.path(), &["init", "-q", "work"]);
    commit(&server.folder.path().join("work"), "file", "1", "Begin");

    let (output, errors) = backfill(&server, &["git", "work", "--project", "gear/rope"]);
    let errors = errors.expect("it failed");
    assert!(errors.contains("--project-id"), "{output} {errors}");
}

pub(crate) fn a_backfill_of_a_repository_is_counted(engine: Engine) {
    let past = Past::start(&engine);
    assert_eq!(past.count(&["--all", "--no-merges"]), "74");
    assert_eq!(past.count(&["--all", "--merges"]), "1");
    assert_eq!(past.count(&["main", "--no-merges"]), "73");

    let output = past.backfill(&["--project-id", "1"]);
    assert!(output.contains("74 commits on main, 1 elsewhere"), "{output}");
    counted(&past.server, &COUNTS);
    counted(&past.server, &[("pushes", 0.0), ("branches_open", 0.0)]);
    check_origins(&past.server, 3, 0);
}

/// The order of the push and of the backfill does not matter. Backfilled events survive a crash.
pub(crate) fn a_commit_that_is_backfilled_and_pushed_counts_once(engine: Engine) {
    let mut past = Past::start(&engine);
    past.backfill(&["--project-id", "1"]);
    counted(&past.server, &COUNTS);
    past.report_push();

    let output = past.backfill(&[]);
    assert!(output.contains("events reported: 0, already known: 3"), "{output}");
    counted(&past.server, &COUNTS);
    check_origins(&past.server, 3, 1);

    past.server.kill();
    past.server.restart();
    verified(&past.server);
    counted(&past.server, &COUNTS);
}

/// Writes a file with wrapped records, bare bodies, a list of webhook events from GitLab, and two damaged records.
fn write_records(server: &Server) {
    let records = [
        json!({ "trigger": "push_hooks", "received_at": "2026-01-02T10:00:00Z", "payload": { "object_kind": "push",
            "ref": "refs/heads/old", "before": "0".repeat(40), "after": "b".repeat(40), "project": { "id": 1 }, "commits": [] } }),
        issue(1),
        json!({ "trigger": "issue_hooks", "request_headers": {}, "request_data": issue(2), "response_status": "200" }),
        json!({ "what": "is this" }),
        json!({ "received_at": "once", "payload": issue(3) }),
        json!({ "object_kind": "wiki_page", "object_attributes": { "slug": "home" }, "project": { "id": 1 } }),
        json!([issue(4), issue(5)]),
    ];
    let text: Vec<String> = records.iter().map(ToString::to_string).collect();
    std::fs::write(server.folder.path().join("past.jsonl"), text.join("\n")).expect("written");
}

fn issue(iid: i64) -> Value {
    json!({ "object_kind": "issue", "project": { "id": 1 }, "object_attributes": { "iid": iid, "state": "opened",
        "created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-01-05T10:00:00Z", "action": "open" } })
}

/// Damaged records are named, and the others are reported.
pub(crate) fn a_backfill_of_a_file_is_counted(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    write_records(&server);

    let (output, errors) = backfill(&server, &["file", "past.jsonl"]);

    for part in [
        "FAILED: record 4: unknown kind of event",
        "FAILED: record 5: received_at is not a time",
        "events reported: 5, already known: 0, of kinds that no metric uses: 1",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }

    let errors = errors.expect("it failed");
    assert!(errors.contains("2 of 8 records could not be reported"), "{errors}");
    counted(&server, &[("issues_opened", 4.0), ("branches_created", 1.0)]);

    let pushes = server.get("/api/v1/insights/metrics/pushes?from=2026-01-02&to=2026-01-03");
    assert_eq!(pushes["value"], 1.0, "it counts on the day of received_at");
}

pub(crate) fn backfilled_events_are_kept_and_not_delivered(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();
    server.make_hook(&sink.url(), r#","issues_events":true"#);
    write_records(&server);

    server.report(1).expect("accepted");
    backfill(&server, &["file", "past.jsonl"]);
    check_origins(&server, 5, 1);
}

/// Checks how many events in the journal were backfilled. Only the reported events are delivered.
#[track_caller]
fn check_origins(server: &Server, backfilled: usize, reported: usize) {
    let events = Value::Array(server.events_of_projects());
    let origins = column(&events, "origin");
    let found = origins.iter().filter(|origin| **origin == "backfill").count();

    assert_eq!(
        (found, origins.len()),
        (backfilled, backfilled + reported),
        "{origins:?}"
    );

    let deliveries = server.get("/api/v1/deliveries")["items"].clone();
    assert_eq!(deliveries.as_array().map(Vec::len), Some(reported));
}

pub(crate) fn a_backfill_with_an_invalid_event_is_refused_as_a_whole(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let path = "/api/v1/insights/backfill";
    let wrong = json!({ "events": [{ "payload": issue(8) }, { "trigger": "nonsense", "payload": issue(9) }] });
    server
        .call("POST", path, &wrong.to_string())
        .check_says(422, "events[1]");
    server.call("POST", path, "[]").check_says(400, "send {");

    assert_eq!(server.get("/api/v1/events")["items"], json!([]));
}
