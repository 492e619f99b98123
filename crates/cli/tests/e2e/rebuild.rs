//! Verification and rebuild of insights.

use serde_json::{Value, json};

use crate::answers::check_shows;
use crate::http::{eventually, send};
use crate::insights::merge_request;
use crate::server::{Engine, Server, TOKEN};

/// Runs `quickdraw insights` for the server and returns its output.
fn run_insights(server: &Server, words: &[&str]) -> String {
    let url = format!("http://127.0.0.1:{}", server.port);
    let all = [&["insights"], words, &["--server", &url]].concat();
    let done = server.command(&all).env("QUICKDRAW_TOKEN", TOKEN).output();
    let done = done.expect("it runs");
    let errors = String::from_utf8_lossy(&done.stderr);

    assert!(done.status.success(), "{words:?}: {errors}");

    String::from_utf8(done.stdout).expect("UTF-8")
}

/// Runs `quickdraw insights`, whose output must contain the texts.
pub(crate) fn check_run(server: &Server, words: &[&str], texts: &[&str]) {
    let said = run_insights(server, words);
    for text in texts {
        assert!(said.contains(text), "{text} in {said}");
    }
}

pub(crate) fn is_nothing_pending(server: &Server) -> bool {
    let metrics = send(server.port, "GET", "/metrics", &[], b"").expect("an answer");
    metrics
        .body
        .lines()
        .any(|line| line.starts_with("quickdraw_projection_pending") && line.ends_with(" 0"))
}

fn push(n: usize) -> Value {
    let commit = |n: usize| {
        json!({ "id": format!("{n:040}"), "message": format!("m {}", n % 30), "author": { "name": format!("A {}", n % 5),
            "email": format!("a{}@x.example", n % 5) }, "timestamp": "2026-03-02T10:00:00+02:00", "modified": [format!("f{}", n % 9)] })
    };

    json!({ "object_kind": "push", "ref": format!("refs/heads/b{}", n % 7), "before": format!("{n:040}"),
        "after": format!("{:040}", n + 7), "user_id": n % 5 + 1, "user_username": format!("u{}", n % 5), "user_name": format!("N {n}"),
        "commits": [commit(n), commit(n + 1)], "project": { "id": n % 3 + 1, "path_with_namespace": format!("g/p{}", n % 3) } })
}

/// A server that has counted 60 pushes, 60 events of merge requests, and one event that cannot be read.
struct Filled {
    server: Server,
}

impl Filled {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[]);
        for n in 0..60_usize {
            server.receive("Push Hook", &format!("p{n}"), &push(n));

            let (action, state) = [("open", "opened"), ("approved", "opened"), ("merge", "merged")][n % 3];
            let updated = format!("{:02} 09:00", n % 20 + 1);
            let who = (n as i64 % 4, "ida");
            let body = merge_request(n as i64 / 3, "01 08:00", action, state, &updated, who);

            server.receive("Merge Request Hook", &format!("m{n}"), &body);
        }

        let unreadable = json!({ "object_kind": "push", "ref": "refs/heads/x", "commits": "\u{fffd}" });
        server.receive("Push Hook", "unreadable", &unreadable);

        let filled = Self { server };
        filled.wait();
        filled
    }

    fn wait(&self) {
        let value = |name: &str| {
            let path = format!("/api/v1/insights/metrics/{name}?from=2026-03-01&to=2026-04-01&bots=true");
            self.server.get(&path)["value"].clone()
        };

        // The last merge arrives after the last commit.
        eventually("all events are counted", || {
            self.rows("mr_merged,commits")
                .as_array()
                .is_some_and(|rows| rows.len() == 62)
                && value("commits") == 120.0
                && value("mr_merged") == 20.0
        });
    }

    fn rows(&self, metrics: &str) -> Value {
        let path = format!("/api/v1/insights/query?metric={metrics}&from=2026-03-01&to=2026-04-01");
        self.server.get(&path)["rows"].clone()
    }

    fn all_rows(&self) -> Value {
        self.rows("mr_merged,commits,pushes,time_to_merge")
    }
}

pub(crate) fn an_empty_journal_equals_empty_insights(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.call("GET", "/api/v1/insights/rebuild", "").checked(404);
    check_run(&server, &["verify"], &["equal"]);
}

/// A verification counts in another order and with repetitions.
pub(crate) fn a_verification_finds_equal_values_in_any_order(engine: Engine) {
    let Filled { server } = Filled::start(&engine);
    for seed in ["1", "2", "3"] {
        let equal = "equal: order and repetition make no difference";
        check_run(
            &server,
            &["verify", "--seed", seed],
            &[equal, ": 121, unreadable: 0", "repetitions"],
        );
    }

    let view = server.get("/api/v1/insights/rebuild");
    let expected = json!({ "task": "verify", "is_identical": true, "unreadable": 0 });
    check_shows(&view, &expected);
}

/// A rebuild counts the whole journal again.
pub(crate) fn a_rebuild_changes_no_value(engine: Engine) {
    let filled = Filled::start(&engine);
    let before = filled.all_rows();

    check_run(
        &filled.server,
        &["rebuild", "--dry-run"],
        &[": 121, unreadable: 0", "20  merge requests"],
    );

    check_run(&filled.server, &["rebuild"], &["equal"]);
    assert_eq!(filled.all_rows(), before);

    // All values use the current definitions.
    let metric = filled.server.get("/api/v1/insights/metrics/mr_merged");
    assert_eq!(metric["counted_versions"], json!([metric["definition_version"]]));
}

pub(crate) fn counting_events_twice_changes_no_value(engine: Engine) {
    let filled = Filled::start(&engine);
    let before = filled.all_rows();

    check_run(&filled.server, &["rebuild", "--add"], &["added to the stored data"]);
    eventually("the events are counted again", || is_nothing_pending(&filled.server));

    check_run(&filled.server, &["verify"], &["equal"]);
    assert_eq!(filled.all_rows(), before);
}
