//! The demo: its data, its tour, and the folders that it may use.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::commands::{Running, output_of, text_of};
use crate::http::eventually;
use crate::rebuild::{check_run, is_nothing_pending};
use crate::server::{BINARY, Engine, SECRET, Server, TOKEN};

/// A demo in a folder that has the settings of another server, which the demo must not use.
struct Demo {
    server: Server,
    child: Child,
}

impl Demo {
    /// Starts the demo and waits until all of its events are counted.
    fn start(engine: &Engine) -> Self {
        let mut server = Server::new(engine);
        server.set("GITLAB_WEBHOOK_SECRET", SECRET);

        let child = run_demo(&server);
        eventually("all events are counted", || {
            is_nothing_pending(&server) && server.get("/api/v1/insights/metrics/pushes")["value"].as_f64() > Some(50.0)
        });

        Self { server, child }
    }

    fn value(&self, metric: &str) -> Option<f64> {
        self.server.get(&format!("/api/v1/insights/metrics/{metric}"))["value"].as_f64()
    }

    fn data(&self) -> PathBuf {
        self.server.folder.path().join("quickdraw-demo")
    }

    fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ended");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // The demo may have ended before.
        drop((self.child.kill(), self.child.wait()));
    }
}

/// Starts the demo and waits until it is ready.
fn run_demo(server: &Server) -> Child {
    let log = File::create(server.folder.path().join("demo.log")).expect("a file");
    std::fs::write(server.folder.path().join("demo-token"), TOKEN).expect("a file");

    let child = server
        .command(&["demo", "--still", "--seed", "7", "--token-file", "demo-token"])
        .stdout(Stdio::from(log.try_clone().expect("a file")))
        .stderr(Stdio::from(log))
        .spawn()
        .expect("it starts");

    eventually("the demo has printed its tour", || {
        let log = text_of(server, "demo.log");
        assert!(!log.contains("failed to set the demo up"), "{log}");
        log.contains("Ctrl-C ends the demo")
    });

    child
}

/// Metrics that are hard to count.
const HARD_METRICS: [&str; 11] = [
    "commits",
    "mr_merged",
    "mr_reopened",
    "mr_closed_unmerged",
    "mr_reviewers",
    "history_rewrites",
    "flaky_jobs",
    "deployments",
    "incidents",
    "issues_reopened",
    "lead_time_for_changes",
];

/// Three generated weeks of a team give a value for each of the metrics.
pub(crate) fn the_demo_fills_every_metric_and_can_be_verified(engine: Engine) {
    let demo = Demo::start(&engine);
    for name in HARD_METRICS {
        let value = demo.value(name);
        assert!(value > Some(0.0), "{name}: {value:?}");
    }

    // Bots open some merge requests too.
    assert!(demo.value("mr_opened?bots=true") > demo.value("mr_opened"));

    let equal = "equal: order and repetition make no difference";
    check_run(&demo.server, &["verify"], &[equal]);
}

pub(crate) fn a_second_start_of_the_demo_continues_with_its_data(engine: Engine) {
    let mut demo = Demo::start(&engine);
    let before = demo.value("commits");
    demo.kill();

    demo.child = run_demo(&demo.server);
    assert!(before.is_some());
    assert_eq!(demo.value("commits"), before);
}

/// The number of tables in the server's own schema on PostgreSQL.
fn count_tables(url: &str, schema: &str) -> String {
    let sql = format!("SELECT count(*) FROM information_schema.tables WHERE table_schema = '{schema}'");
    let counted = Command::new("psql")
        .args([url, "-Atqc", &sql])
        .output()
        .expect("psql runs");

    String::from_utf8_lossy(&counted.stdout).trim().to_owned()
}

pub(crate) fn the_demo_does_not_use_the_data_of_a_server(engine: Engine) {
    let mut demo = Demo::start(&engine);
    demo.kill();

    assert!(demo.data().join("quickdraw.db").exists());
    assert!(!demo.server.folder.path().join("quickdraw-data").exists());

    if let Engine::Postgres(url) = &engine {
        assert_eq!(count_tables(url, &demo.server.schema), "0");
    }

    // Data of another server is not changed.
    std::fs::remove_file(demo.data().join("this-is-a-demo")).expect("the file exists");

    let refused = demo.server.command(&["demo", "--still"]).output();
    let refused = refused.expect("it runs");
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(errors.contains("not a demo"), "{refused:?}");
}

/// The lines of the tour that a user copies: all that are indented.
fn copied_lines(log: &str) -> Vec<&str> {
    log.lines().filter_map(|line| line.strip_prefix("  ")).collect()
}

/// Runs lines of a shell in the folder of the demo and returns their output.
fn run_lines(demo: &Demo, lines: &[&str]) -> String {
    let folder = Path::new(BINARY).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();

    let done = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &lines.join("\n")])
        .current_dir(demo.server.folder.path())
        .env("PATH", format!("{}:{path}", folder.display()))
        .output()
        .expect("bash runs");

    let output = output_of(&done);
    assert!(done.status.success(), "{output}");
    output
}

pub(crate) fn the_ten_commands_of_the_tour_work_as_printed(engine: Engine) {
    let demo = Demo::start(&engine);
    let log = text_of(&demo.server, "demo.log");
    let output = run_lines(&demo, &copied_lines(&log));

    let teams = ["Ropes", "Shop", "Ida Berg", "gear/rope"];
    let failures = ["temporarily_disabled", " disabled ", "retrying", "wrong token"];
    for part in [&teams[..], &failures].concat() {
        assert!(output.contains(part), "{part} in {output}");
    }
}

pub(crate) fn the_demo_has_deployments_and_incidents(engine: Engine) {
    let demo = Demo::start(&engine);
    for name in ["deployment_frequency", "change_failure_rate", "time_to_restore"] {
        assert!(demo.value(name) > Some(0.0), "{name}");
    }
}

pub(crate) fn a_second_start_of_the_demo_keeps_its_hooks(engine: Engine) {
    let mut demo = Demo::start(&engine);
    let hooks = "/api/v4/projects/gear%2Frope/hooks";
    let before = demo.server.get(hooks);

    demo.kill();

    demo.child = run_demo(&demo.server);

    let after = demo.server.get(hooks);
    assert_eq!(after.as_array().map(Vec::len), Some(3));
    assert_eq!(after[0]["url"], before[0]["url"]);
}

pub(crate) fn the_tour_can_be_one_json_document(engine: Engine) {
    let server = Server::new(&engine);
    let _demo = Running::start(&server, "tour.json", &["demo", "--still", "--json"]);

    eventually("the demo prints its tour", || {
        // The log of the same file has no line that begins with a brace.
        let text = text_of(&server, "tour.json");
        let start = text.find("{\n").unwrap_or(text.len());
        let end = text.find("\n}").map_or(start, |end| end + 2);
        let tour: Value = serde_json::from_str(&text[start..end]).unwrap_or_default();

        tour["tour"].as_array().map(Vec::len) == Some(10) && tour["url"].is_string()
    });
}
