//! The workers: their list, their runs, and their errors.

use std::process::Command;

use serde_json::{Value, json};

use crate::http::{check_parts, eventually};
use crate::server::{Engine, Server};

const NAMES: [&str; 17] = [
    "fan_out",
    "claim",
    "settle",
    "projection",
    "directory",
    "leases",
    "replay",
    "operations",
    "rebuild",
    "prometheus",
    "alerts",
    "notify",
    "maintenance",
    "retention",
    "space",
    "heartbeat",
    "notifications",
];

/// One worker, as the server shows it now.
fn worker(server: &Server, name: &str) -> Value {
    let all = server.get("/api/v1/workers")["items"]
        .as_array()
        .expect("a list")
        .clone();
    all.into_iter()
        .find(|one| one["name"] == name)
        .expect("the worker is listed")
}

/// Runs a statement in the database of a running server.
fn execute(engine: &Engine, server: &Server, statement: &str) {
    let mut command = match engine {
        Engine::Sqlite => {
            let script = "import sqlite3, sys\nsqlite3.connect(sys.argv[1], isolation_level=None).execute(sys.argv[2])";
            let file = server.folder.path().join("quickdraw-data/quickdraw.db");
            let mut python = Command::new("python3");
            python.args(["-c", script]).arg(file).arg(statement);

            python
        }

        Engine::Postgres(url) => {
            let statement = format!("SET search_path TO {}; {statement}", server.schema);
            let mut psql = Command::new("psql");
            psql.args([url, "-q", "-v", "ON_ERROR_STOP=1", "-c", &statement]);

            psql
        }
    };
    assert!(command.status().expect("it runs").success(), "{statement}");
}

fn doctor(server: &Server) -> (Option<i32>, String) {
    let done = server.command(&["doctor"]).output().expect("it runs");
    (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned())
}

pub(crate) fn all_workers_are_listed(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let all = server.get("/api/v1/workers");
    let items = all["items"].as_array().expect("a list");
    let names: Vec<&str> = items.iter().filter_map(|one| one["name"].as_str()).collect();

    assert_eq!(names, NAMES);

    let on_one_node = items.iter().filter(|one| one["runs_on"] == "one_node");
    let on_one_node: Vec<&Value> = on_one_node.map(|one| &one["name"]).collect();
    assert_eq!(on_one_node, ["alerts", "notify"]);
    assert!(all["node"].is_string(), "{all}");
}

pub(crate) fn a_worker_shows_its_runs(engine: Engine) {
    let server = Server::start(&engine, &[]);
    eventually("fan-out has run", || {
        worker(&server, "fan_out")["last_success"].is_string()
    });

    let before = worker(&server, "fan_out");
    check_parts(
        &before,
        json!({ "is_failing": false, "last_error": null, "backlog": 0 }),
    );

    assert!(before["duration_ms"].is_u64(), "{before}");
    eventually("fan-out runs again", || {
        worker(&server, "fan_out")["last_run"] != before["last_run"]
    });

    let (code, said) = doctor(&server);
    assert!(code == Some(0) && said.contains("workers: 17, none fails"), "{said}");
}

/// A server on which the worker of replays fails.
fn start_with_failing_replays(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    execute(engine, &server, "ALTER TABLE replays RENAME TO replays_elsewhere");
    eventually("replays fail", || worker(&server, "replay")["is_failing"] == true);

    server
}

pub(crate) fn the_error_of_a_worker_is_shown_and_stays(engine: Engine) {
    let server = start_with_failing_replays(&engine);
    let failing = worker(&server, "replay");
    let error = failing["last_error"].as_str().expect("a text");
    assert!(error.contains("replays"), "{failing}");
    assert!(failing["failures"].as_u64() >= Some(1), "{failing}");
    assert!(failing["last_error_at"].is_string(), "{failing}");

    let (code, said) = doctor(&server);
    assert!(code == Some(1) && said.contains("workers: replay failed at"), "{said}");

    execute(&engine, &server, "ALTER TABLE replays_elsewhere RENAME TO replays");
    eventually("replays work again", || {
        worker(&server, "replay")["is_failing"] == false
    });

    assert!(worker(&server, "replay")["last_error"].is_string());
}
