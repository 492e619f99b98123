//! `quickdraw connect gitlab`: creates, tests, checks, repairs and removes webhooks of a GitLab.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::http::eventually;
use crate::server::{Engine, SECRET, Server, TOKEN};
use crate::stand_in::{GITLAB_TOKEN, StandIn};

/// The version before signing tokens, and one with them.
const OLD: &str = "18.5.2-ee";
const NEW: &str = "19.1.0-ee";

/// `quickdraw connect gitlab`, ready to run.
fn command(server: &Server, gitlab: &StandIn, arguments: &[&str]) -> Command {
    let (url, to) = (gitlab.url(), format!("http://127.0.0.1:{}", server.port));
    let all = [&["connect", "gitlab", "--url", &url, "--server", &to], arguments].concat();
    let mut command = server.command(&all);
    command
        .env("QUICKDRAW_GITLAB_TOKEN", GITLAB_TOKEN)
        .env("QUICKDRAW_TOKEN", TOKEN);

    command
}

/// Runs the command to its end.
fn output(server: &Server, gitlab: &StandIn, arguments: &[&str]) -> Output {
    command(server, gitlab, arguments).output().expect("it runs")
}

/// Runs the command with `--json`. Returns its document, after a check of the exit code.
fn connect(server: &Server, gitlab: &StandIn, arguments: &[&str], code: i32) -> Value {
    let done = output(server, gitlab, &[arguments, &["--json"]].concat());
    let (said, errors) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );

    assert_eq!(done.status.code(), Some(code), "{said}{errors}");

    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}{errors}"))
}

/// The row of a place.
fn row<'a>(document: &'a Value, path: &str) -> &'a Value {
    let items = document["items"].as_array().expect("a list");
    items.iter().find(|item| item["path"] == path).expect("a row")
}

pub(crate) fn every_project_of_a_gitlab_gets_one_webhook_and_a_test(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 200);
    gitlab.state().limit_every = 200;
    gitlab.change("projects/7", |project| project.refuses = Some(403));
    gitlab.change("projects/150", |project| project.is_archived = true);

    let said = connect(&server, &gitlab, &["--all"], 1);
    assert_eq!(said["summary"], json!({ "created": 198, "skipped": 1, "refused": 1 }));

    assert!(
        row(&said, "gear/rope-7")["reason"]
            .as_str()
            .is_some_and(|why| why.contains("Maintainer"))
    );

    assert!(gitlab.state().limited > 2, "GitLab limited the rate of requests");

    let created = row(&said, "gear/rope-200");
    assert_eq!(
        (&created["state"], &created["test"]),
        (&json!("created"), &json!("arrived"))
    );

    let event = server.get(&format!("/api/v1/events/{}", created["event"].as_str().expect("an id")));
    assert_eq!(event["payload"]["project"]["path_with_namespace"], "gear/rope-200");
}

/// Kills a run when some webhooks exist. Returns the number of webhooks.
fn kill_a_run(server: &Server, gitlab: &StandIn) -> usize {
    let mut child = command(server, gitlab, &["--all"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");

    eventually("some webhooks exist", || gitlab.count() >= 10);
    child.kill().expect("it runs");
    child.wait().expect("it ended");

    let before = gitlab.count();
    assert!(before < 200, "the run was interrupted");
    before
}

pub(crate) fn a_killed_run_is_continued_without_second_webhooks(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 200);
    let before = kill_a_run(&server, &gitlab);

    let said = connect(&server, &gitlab, &["--all"], 0);
    assert_eq!(said["summary"], json!({ "ok": before, "created": 200 - before }));
    assert!((1..=200).all(|id| gitlab.hooks(&format!("projects/{id}")).len() == 1));
    assert_eq!(server.get("/api/v1/sources")["items"].as_array().map(Vec::len), Some(2));
}

pub(crate) fn an_interrupted_run_prints_its_results(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 60);
    let child = command(&server, &gitlab, &["--all", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");

    eventually("some webhooks exist", || gitlab.count() >= 10);
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupted.expect("kill runs").success());

    let done = child.wait_with_output().expect("it ended");
    let document: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert!(document["summary"]["not_reached"].as_u64() > Some(0), "{document}");
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("run the same command again to continue"));
}

pub(crate) fn a_second_webhook_of_the_source_is_deleted(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 1);
    connect(&server, &gitlab, &["--all"], 0);
    let mut second = gitlab.hooks("projects/1").remove(0);
    second["id"] = json!(900);
    gitlab.change("projects/1", |project| drop(project.hooks.insert(900, second)));

    let said = connect(&server, &gitlab, &["--all", "--repair"], 0);
    assert_eq!(
        row(&said, "gear/rope-1")["notes"],
        json!(["a second webhook of the same source"])
    );
    assert_eq!(gitlab.hooks("projects/1").len(), 1);
}

pub(crate) fn the_secret_of_a_source_is_shown_and_audited(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let made = server.call("POST", "/api/v1/sources", r#"{"name":"lab"}"#).json();
    let path = format!("/api/v1/sources/{}/secret/show", made["id"].as_str().expect("an id"));

    let shown = server.call("POST", &path, "{}");
    assert_eq!(
        (shown.status, shown.json()["secret"].clone()),
        (200, made["secret"].clone())
    );
    assert_eq!(server.get("/api/v1/audit")["items"][0]["path"], json!(path));

    let shown = server.call("POST", "/api/v1/sources/default/secret/show", "{}").json();
    assert_eq!(shown, json!({ "secret": SECRET, "is_setting": true }));
}

pub(crate) fn a_failed_answer_of_gitlab_leads_to_no_second_webhook(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 1);
    gitlab.change("projects/1", |project| project.fails_once = true);

    let said = connect(&server, &gitlab, &["--project", "gear/rope-1"], 0);
    assert_eq!(said["summary"], json!({ "created": 1 }));
    assert_eq!(gitlab.hooks("projects/1").len(), 1);
}

pub(crate) fn a_group_without_webhooks_gets_one_in_each_project(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 3);
    gitlab.change("groups/1", |group| group.refuses = Some(404));

    let said = connect(&server, &gitlab, &["--group", "gear"], 0);
    assert_eq!(said["summary"], json!({ "created": 3 }));

    assert!(
        said["notes"][0].as_str().is_some_and(|note| note.contains("Premium")),
        "{said}"
    );
}

pub(crate) fn a_group_gets_one_webhook_with_the_triggers_of_groups(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 3);

    let said = connect(&server, &gitlab, &["--group", "gear"], 0);
    assert_eq!((said["summary"].clone(), gitlab.count()), (json!({ "created": 1 }), 1));
    assert_eq!(gitlab.hooks("groups/1")[0]["member_events"], true);
}

pub(crate) fn a_check_finds_what_a_repair_mends(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 4);
    connect(&server, &gitlab, &["--all"], 0);
    connect(&server, &gitlab, &["--all", "--check"], 0);

    gitlab.change("projects/1", |project| project.hooks.clear());
    gitlab.edit(
        "projects/2",
        &json!({ "job_events": false, "url": "http://127.0.0.1:9/edited" }),
    );

    gitlab.edit("projects/3", &json!({ "alert_status": "disabled" }));

    let before = gitlab.changes().len();

    let said = connect(&server, &gitlab, &["--all", "--check"], 1);
    assert_eq!(said["summary"], json!({ "ok": 1, "missing": 1, "differs": 2 }));

    assert_eq!(
        row(&said, "gear/rope-2")["notes"],
        json!(["wrong URL http://127.0.0.1:9/edited", "disabled triggers: job_events"])
    );

    assert_eq!(gitlab.changes().len(), before, "a check changes nothing");

    let said = connect(&server, &gitlab, &["--all", "--repair"], 0);
    assert_eq!(said["summary"], json!({ "ok": 1, "created": 1, "repaired": 2 }));

    assert_eq!(
        row(&said, "gear/rope-4")["test"],
        Value::Null,
        "only changed webhooks are tested"
    );

    connect(&server, &gitlab, &["--all", "--check"], 0);
}

/// Breaks the webhooks of thirty of the projects: a third each is deleted, edited, and disabled by GitLab.
fn break_thirty(gitlab: &StandIn) {
    let edited = json!({ "job_events": false, "url": "http://127.0.0.1:9/edited" });
    let disabled = json!({ "alert_status": "disabled" });

    for id in 1..=10 {
        let project = |number: usize| format!("projects/{}", number * 6);
        gitlab.change(&project(id), |project| project.hooks.clear());
        gitlab.edit(&project(id + 10), &edited);
        gitlab.edit(&project(id + 20), &disabled);
    }
}

pub(crate) fn two_hundred_projects_are_connected_checked_repaired_and_removed(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 200);
    gitlab.state().limit_every = 300;
    let run = |arguments: &[&str], code| {
        connect(&server, &gitlab, &[&["--all"], arguments].concat(), code)["summary"].clone()
    };

    // Another check sends a test for each of 200 webhooks.
    let before = kill_a_run(&server, &gitlab);
    assert_eq!(run(&["--no-test"], 0), json!({ "ok": before, "created": 200 - before }));
    assert_eq!(run(&["--check"], 0), json!({ "ok": 200 }));

    break_thirty(&gitlab);
    assert_eq!(run(&["--check"], 1), json!({ "ok": 170, "missing": 10, "differs": 20 }));
    assert_eq!(
        run(&["--repair"], 0),
        json!({ "ok": 170, "created": 10, "repaired": 20 })
    );
    assert_eq!(run(&["--check"], 0), json!({ "ok": 200 }));

    assert_eq!(run(&["--remove"], 0), json!({ "removed": 200 }));
    assert_eq!(gitlab.count(), 0);
    assert!(gitlab.state().limited > 2, "GitLab limited the rate of requests");
}

pub(crate) fn a_removal_leaves_the_webhooks_of_others(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 2);
    let foreign = json!({ "id": 1, "url": "https://ci.example.com/api/v1/webhooks/gitlab/other" });
    gitlab.change("projects/1", |project| drop(project.hooks.insert(1, foreign)));
    connect(&server, &gitlab, &["--all"], 0);
    assert_eq!(gitlab.count(), 3);

    let said = connect(&server, &gitlab, &["--group", "gear", "--remove"], 0);
    assert_eq!(said["summary"], json!({ "removed": 2, "absent": 1 }));

    assert_eq!(
        (gitlab.count(), gitlab.hooks("projects/1")[0]["id"].clone()),
        (1, json!(1))
    );
}

pub(crate) fn a_gitlab_that_signs_gets_a_signing_token(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(NEW, 1);

    let said = connect(&server, &gitlab, &["--all"], 0);
    assert_eq!(row(&said, "gear/rope-1")["test"], "arrived");

    let hook = gitlab.hooks("projects/1").remove(0);
    assert!(
        hook["signing_token"]
            .as_str()
            .is_some_and(|token| token.starts_with("whsec_"))
    );

    assert_eq!(
        (&hook["token"], &hook["milestone_events"]),
        (&Value::Null, &json!(true))
    );
}

pub(crate) fn a_replaced_secret_is_written_to_every_webhook(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 2);
    let said = connect(&server, &gitlab, &["--all"], 0);
    let source = said["source"]["id"].as_str().expect("an id").to_owned();

    let replaced = server.call("POST", &format!("/api/v1/sources/{source}/secret"), r#"{"overlap":0}"#);
    let secret = replaced.json()["secret"].clone();

    let said = connect(&server, &gitlab, &["--all"], 0);
    assert_eq!(said["summary"], json!({ "repaired": 2 }));
    assert!((1..=2).all(|id| gitlab.hooks(&format!("projects/{id}"))[0]["token"] == secret));
}

pub(crate) fn a_system_hook_is_created_and_tested(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 1);

    let said = connect(&server, &gitlab, &["--system"], 0);
    let created = row(&said, "(instance)");
    assert_eq!(
        (&created["state"], &created["test"]),
        (&json!("created"), &json!("arrived"))
    );

    assert_eq!(gitlab.hooks("")[0]["repository_update_events"], true);
}

pub(crate) fn a_test_that_quickdraw_refuses_is_reported(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 1);
    let other = json!({ "name": "lab", "mode": "token", "addresses": ["192.0.2.1"] });
    assert_eq!(server.call("POST", "/api/v1/sources", &other.to_string()).status, 201);

    let said = connect(&server, &gitlab, &["--all", "--source", "lab"], 1);
    let created = row(&said, "gear/rope-1");
    assert_eq!(
        (&created["state"], &created["test"]),
        (&json!("created"), &json!("failed"))
    );

    assert!(
        created["test_error"]
            .as_str()
            .is_some_and(|why| why.contains("not allowed to post here"))
    );
}

pub(crate) fn a_trigger_that_gitlab_does_not_enable_is_reported_and_can_be_left_out(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 1);
    gitlab.change("projects/1", |project| project.unlicensed = Some("emoji_events"));

    let said = connect(&server, &gitlab, &["--all", "--no-test"], 1);
    let why = row(&said, "gear/rope-1")["reason"].as_str().expect("a reason");
    assert!(why.contains("disabled triggers: emoji_events (--except"), "{why}");

    connect(&server, &gitlab, &["--all", "--except", "emoji_events", "--check"], 0);
}

pub(crate) fn a_dry_run_changes_nothing(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 2);

    let said = connect(&server, &gitlab, &["--all", "--dry-run"], 0);
    assert_eq!(said["summary"], json!({ "would_create": 2 }));
    assert_eq!((gitlab.changes().len(), said["source"].clone()), (0, Value::Null));
    assert_eq!(server.get("/api/v1/sources")["items"].as_array().map(Vec::len), Some(1));
}

pub(crate) fn a_table_lists_every_place_for_people(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 1);
    let done = output(&server, &gitlab, &["--all"]);
    let said = String::from_utf8_lossy(&done.stdout);

    assert!(said.contains("STATE    LEVEL     PLACE"), "{said}");
    assert!(
        said.contains("created  project   gear/rope-1      101  test arrived as "),
        "{said}"
    );

    assert!(said.ends_with("1 created\n"), "{said}");
}

pub(crate) fn a_token_on_the_command_line_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 1);
    let done = output(&server, &gitlab, &["--all", "--token", "glpat-visible"]);
    let errors = String::from_utf8_lossy(&done.stderr);

    assert_eq!(done.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("--gitlab-token-file") && !errors.contains("glpat-visible"),
        "{errors}"
    );
}

pub(crate) fn a_wrong_token_ends_the_run_before_anything_is_made(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start(OLD, 1);
    let mut command = command(&server, &gitlab, &["--all"]);
    let done = command
        .env("QUICKDRAW_GITLAB_TOKEN", "wrong")
        .output()
        .expect("it runs");

    let errors = String::from_utf8_lossy(&done.stderr);

    assert_eq!(done.status.code(), Some(3), "{errors}");
    assert!(errors.contains("GitLab does not accept the token"), "{errors}");
    assert_eq!(server.get("/api/v1/sources")["items"].as_array().map(Vec::len), Some(1));
}
