//! `--json` of commands that make more than one request, and where they find the server and the token.

use serde_json::{Value, json};

use crate::answers::check_shows;
use crate::commands::{administer, output_of, run};
use crate::daily::{fail, json_of};
use crate::http::Sink;
use crate::server::{Engine, Server, TOKEN};
use crate::stand_in::{GITLAB_TOKEN, StandIn};

/// Reads a document that a command printed, although it ended with this code.
#[track_caller]
fn document(server: &Server, arguments: &[&str], code: i32) -> Value {
    let done = server.command(arguments).output().expect("it runs");
    assert_eq!(done.status.code(), Some(code), "{}", output_of(&done));
    serde_json::from_slice(&done.stdout).expect("JSON")
}

/// The results of the checks about a topic.
fn checks<'a>(found: &'a Value, topic: &str) -> Vec<&'a Value> {
    let all = found["checks"].as_array().expect("a list").iter();
    all.filter(|check| check["topic"] == topic).collect()
}

pub(crate) fn doctor_shows_the_disk_and_each_check_in_json(engine: Engine) {
    let server = Server::new(&engine);
    let found = document(&server, &["doctor", "--json"], 0);
    assert_eq!(found["problems"], 0, "{found}");

    let disks = checks(&found, "disk");
    let text = disks[0]["text"].as_str().expect("a text");
    assert!(text.contains(" left on the disk of the data folder"), "{text}");
    assert_eq!(disks.len(), 1, "the database is on the same disk: {found}");
}

pub(crate) fn doctor_prints_json_with_a_problem_too(engine: Engine) {
    let server = Server::new(&engine);
    let found = document(&server, &["doctor", "--json", "--url", "http://127.0.0.1:1"], 1);
    assert_eq!(found["problems"], 1, "{found}");
    assert_eq!(checks(&found, "server")[0]["state"], "problem");
}

pub(crate) fn doctor_examines_a_running_server_in_json(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let found = json_of(&server, &["doctor"]);
    assert_eq!(checks(&found, "server")[0]["text"], "ready");
}

pub(crate) fn a_backfill_lists_its_failures_in_json(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let records = r#"{"object_kind":"push","ref":"refs/heads/main","project":{"id":1}} {"what":"is this"}"#;
    std::fs::write(server.folder.path().join("past.json"), records).expect("a file");

    let done = administer(&server, &["backfill", "file", "past.json", "--json"]);
    assert_eq!(done.status.code(), Some(1), "{}", output_of(&done));

    let found: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    check_shows(&found, &json!({ "added": 1, "known": 0, "ignored": 0, "failed": 1 }));
    assert_eq!(found["failures"][0]["object"], "record 2");
}

pub(crate) fn a_login_prints_its_user_in_json(engine: Engine) {
    let server = Server::start(&engine, &[]);
    std::fs::write(server.folder.path().join("given"), TOKEN).expect("a file");

    let found = json_of(&server, &["login", "--token-file", "given"]);
    assert_eq!(found["username"], "root");
    assert!(!found.to_string().contains(TOKEN), "{found}");
}

pub(crate) fn connect_gitlab_uses_the_profile_of_a_login(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gitlab = StandIn::start("18.5.2-ee", 1);
    std::fs::write(server.folder.path().join("given"), TOKEN).expect("a file");
    json_of(&server, &["login", "--token-file", "given"]);

    let arguments = ["connect", "gitlab", "--url", &gitlab.url(), "--all", "--json"];
    let mut command = server.command(&arguments);
    command.env("QUICKDRAW_GITLAB_TOKEN", GITLAB_TOKEN);

    let done = command.env_remove("QUICKDRAW_TOKEN").output().expect("it runs");
    assert_eq!(done.status.code(), Some(0), "{}", output_of(&done));

    let found: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(found["summary"], json!({ "created": 1 }));
}

pub(crate) fn a_url_with_a_password_is_read_from_a_file_only(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let sink = Sink::start(|_| Some(200));
    let url = sink.url().replace("http://", "http://ada:s3cret@");
    let create = ["hooks", "create", "--project", "gear/rope"];

    let error = fail(&server, &[&create[..], &["--url", &url]].concat(), 2);
    assert!(error.contains("--url-file") && !error.contains("s3cret"), "{error}");

    std::fs::write(server.folder.path().join("url"), &url).expect("a file");

    let (code, output) = run(
        &server,
        &[&create[..], &["--url-file", "url", "--server", &address(&server)]].concat(),
    );

    assert_eq!(code, Some(0), "{output}");
    assert!(!output.contains("s3cret"), "{output}");
}

fn address(server: &Server) -> String {
    format!("http://127.0.0.1:{}", server.port)
}
