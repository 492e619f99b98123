//! The commands of daily work: webhooks, the history, and insights.

use serde_json::{Value, json};

use crate::commands::{Running, administer, output_of, succeed, text_of};
use crate::http::{Sink, eventually};
use crate::server::{Engine, Server, TOKEN};

const ROPE: [&str; 2] = ["--project", "gear/rope"];

/// Runs a command with `--json` and returns the document.
#[track_caller]
pub(crate) fn json_of(server: &Server, arguments: &[&str]) -> Value {
    let output = succeed(server, &[arguments, &["--json"]].concat());
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

/// Runs a command that fails with this exit code, and returns its error.
#[track_caller]
pub(crate) fn fail(server: &Server, arguments: &[&str], code: i32) -> String {
    let done = administer(server, arguments);
    let output = output_of(&done);
    assert_eq!(done.status.code(), Some(code), "{arguments:?}: {output}");

    String::from_utf8_lossy(&done.stderr).into_owned()
}

/// A server with a project, and a receiver that answers 200.
fn start(engine: &Engine) -> (Server, Sink) {
    let server = Server::start(engine, &[]);
    server.make_project();
    (server, Sink::start(|_| Some(200)))
}

/// Creates a webhook of the project with the command, and returns its number.
fn create(server: &Server, url: &str, more: &[&str]) -> String {
    let arguments = [&["hooks", "create", "--url", url], &ROPE[..], more].concat();
    json_of(server, &arguments)["id"].to_string()
}

pub(crate) fn a_webhook_has_the_triggers_that_the_command_names(engine: Engine) {
    let (server, sink) = start(&engine);
    let id = create(
        &server,
        &sink.url(),
        &["--trigger", "issues_events", "--set", "ordered=true"],
    );

    let hook = server.get(&format!("/api/v4/projects/1/hooks/{id}"));
    assert_eq!(hook["issues_events"], true);
    assert_eq!(hook["push_events"], false, "only the named triggers are enabled");
    assert_eq!(hook["ordered"], true);
}

pub(crate) fn a_webhook_can_be_listed_changed_and_deleted(engine: Engine) {
    let (server, sink) = start(&engine);
    let id = create(&server, &sink.url(), &["--name", "CI"]);
    let run = |words: &[&str]| succeed(&server, &[&["hooks"], words, &ROPE].concat());

    let list = run(&["list"]);
    assert!(list.starts_with("ID") && list.contains(&sink.url()), "{list}");

    run(&["edit", &id, "--name", "Deploy"]);
    assert!(run(&["show", &id]).contains("Deploy"));

    run(&["delete", &id]);
    fail(&server, &[&["hooks", "show", &id], &ROPE[..]].concat(), 4);
}

pub(crate) fn a_webhook_of_the_instance_can_have_all_events(engine: Engine) {
    let (server, sink) = start(&engine);
    let arguments = ["hooks", "create", "--instance", "--all-events", "--url", &sink.url()];
    let hook = json_of(&server, &arguments);
    assert_eq!(hook["all_events"], true, "{hook}");

    server.report(1).expect("accepted");
    eventually("the event arrives", || sink.got().len() == 1);
}

pub(crate) fn a_webhook_can_be_paused_and_resumed_by_commands(engine: Engine) {
    let (server, sink) = start(&engine);
    let id = create(&server, &sink.url(), &[]);
    let run = |words: &[&str]| succeed(&server, &[&["hooks"], words, &ROPE].concat());

    run(&["pause", &id]);
    let hook = format!("/api/v4/projects/1/hooks/{id}");
    assert_eq!(server.get(&hook)["paused"], true);
    assert!(run(&["list"]).contains("yes"));

    run(&["resume", &id]);
    assert_eq!(server.get(&hook)["paused"], false);
}

pub(crate) fn silent_mode_is_switched_by_a_command(engine: Engine) {
    let (server, sink) = start(&engine);
    create(&server, &sink.url(), &[]);
    succeed(&server, &["silent", "on"]);
    server.report(1).expect("accepted");

    assert!(succeed(&server, &["silent", "status"]).contains("is on"));
    assert!(succeed(&server, &["silent", "off"]).contains("is off"));

    let replay = [
        "replay",
        "--since",
        "1h",
        "--skipped",
        "silent_mode",
        "--detach",
        "--json",
    ];
    succeed(&server, &replay);
    eventually("the event of the silent time arrives", || sink.got().len() == 1);
}

pub(crate) fn a_list_in_json_is_the_answer_of_the_api(engine: Engine) {
    let (server, sink) = start(&engine);
    create(&server, &sink.url(), &[]);

    let hooks = json_of(&server, &["hooks", "list", "--project", "gear/rope"]);
    assert_eq!(hooks, server.get("/api/v4/projects/1/hooks"));

    let events = json_of(&server, &["events", "list", "--limit", "20"]);
    assert_eq!(events, server.get("/api/v1/events"));
}

pub(crate) fn a_list_has_all_pages_up_to_its_limit(engine: Engine) {
    let (server, _) = start(&engine);
    for number in 0..130 {
        server.report(number).expect("accepted");
    }

    let count = |limit: &str| {
        let list = json_of(
            &server,
            &["events", "list", "--trigger", "push_hooks", "--limit", limit],
        );
        (list["items"].as_array().map_or(0, Vec::len), list["next"].is_null())
    };
    assert_eq!(count("120"), (120, false));
    assert_eq!(count("200"), (130, true));
}

pub(crate) fn the_secret_of_a_webhook_comes_from_a_file(engine: Engine) {
    let (server, sink) = start(&engine);
    std::fs::write(server.folder.path().join("secret"), "from-a-file\n").expect("a file");

    let id = create(&server, &sink.url(), &["--secret-file", "secret"]);
    succeed(&server, &[&["hooks", "test", &id], &ROPE[..]].concat());
    assert_eq!(sink.got()[0].headers["X-Gitlab-Token"], "from-a-file");

    let visible = ["hooks", "edit", &id, "--project", "1", "--set", "token=abc"];
    let error = fail(&server, &visible, 2);
    assert!(error.contains("token=@FILE"), "{error}");
}

pub(crate) fn a_test_that_the_receiver_refuses_has_exit_code_1(engine: Engine) {
    let (server, _) = start(&engine);
    let sink = Sink::start(|_| Some(500));
    let id = create(&server, &sink.url(), &[]);

    let error = fail(&server, &[&["hooks", "test", &id], &ROPE[..]].concat(), 1);
    assert!(error.contains("the test was not accepted"), "{error}");
}

pub(crate) fn a_request_in_the_log_of_a_webhook_can_be_resent(engine: Engine) {
    let (server, sink) = start(&engine);
    let id = create(&server, &sink.url(), &[]);
    server.report(1).expect("accepted");

    let mut log = Value::Null;
    let events = [&["hooks", "events", &id], &ROPE[..]].concat();
    eventually("the request is in the log", || {
        log = json_of(&server, &events);
        log[0]["id"].is_number()
    });

    let request = log[0]["id"].to_string();
    let output = succeed(&server, &[&["hooks", "resend", &id, &request], &ROPE[..]].concat());
    assert!(output.contains("the receiver answered 200"), "{output}");
    assert_eq!(sink.got().len(), 2);
}

/// Each failure has its exit code, and one sentence on standard error.
pub(crate) fn exit_codes_tell_failures_apart(engine: Engine) {
    let (server, _) = start(&engine);
    let check = |arguments: &[&str], code: i32, part: &str| {
        let error = fail(&server, arguments, code);
        assert!(error.contains(part), "{arguments:?}: {error}");
    };

    check(&["hooks", "list"], 2, "--instance");
    check(&["projects", "show", "gear/none"], 4, "404 Project Not Found");
    check(&["users", "show", "nobody"], 4, "there is no user nobody");
    check(&["groups", "create", "--path", "gear"], 6, "taken");

    std::fs::write(server.folder.path().join("wrong"), "not-a-token").expect("a file");
    check(&["events", "list", "--token-file", "wrong"], 3, "401");

    let done = server
        .command(&["events", "list", "--server", "http://127.0.0.1:1"])
        .output();
    let done = done.expect("it runs");
    assert_eq!(done.status.code(), Some(5), "{}", output_of(&done));
}

pub(crate) fn a_secret_on_the_command_line_is_refused(engine: Engine) {
    let server = Server::new(&engine);
    for (command, option, way) in [
        ("gaps", "--token", "--token-file"),
        ("gaps", "--gitlab-token", "--gitlab-token-file"),
        ("listen", "--secret", "QUICKDRAW_LISTEN_SECRET"),
    ] {
        let done = server.command(&[command, option, TOKEN]).output().expect("it runs");
        assert_eq!(done.status.code(), Some(2), "{option}");

        let error = output_of(&done);
        assert!(error.contains(way) && error.contains("every user"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

pub(crate) fn a_followed_list_shows_new_events_and_no_token(engine: Engine) {
    let (server, _) = start(&engine);
    let url = format!("http://127.0.0.1:{}", server.port);
    let follower = Running::start(&server, "events.log", &["events", "list", "--follow", "--server", &url]);
    assert!(!follower.arguments().contains(TOKEN));

    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(server.report(number).expect("accepted"));
        let last = ids.last().expect("an id");
        eventually("the event is shown", || text_of(&server, "events.log").contains(last));
    }

    let log = text_of(&server, "events.log");
    for id in &ids {
        assert_eq!(log.matches(id).count(), 1, "each event is shown once: {log}");
    }
}

pub(crate) fn a_followed_list_shows_no_old_events_as_new(engine: Engine) {
    let (server, _) = start(&engine);
    for number in 0..5 {
        server.report(number).expect("accepted");
    }

    let url = format!("http://127.0.0.1:{}", server.port);
    let arguments = ["events", "list", "--follow", "--limit", "2", "--server", &url];
    let _follower = Running::start(&server, "events.log", &arguments);
    eventually("the newest events are shown", || {
        text_of(&server, "events.log").lines().count() >= 3
    });

    let new = server.report(5).expect("accepted");
    eventually("the new event is shown", || {
        text_of(&server, "events.log").contains(&new)
    });

    // The titles, the newest two of the old events, and the new one.
    let log = text_of(&server, "events.log");
    assert_eq!(log.lines().count(), 4, "{log}");
}

/// A delivered event that another webhook did not get. Returns the id of the delivery.
fn deliver(server: &Server, sink: &Sink) -> String {
    create(server, &sink.url(), &[]);
    create(server, "https://filtered.example", &["--branch-filter", "release/*"]);
    server.report(1).expect("accepted");

    let mut delivery = Value::Null;
    eventually("the event is delivered", || {
        let list = json_of(server, &["deliveries", "list", "--state", "delivered"]);
        delivery = list["items"][0]["id"].clone();
        delivery.is_string()
    });

    delivery.as_str().expect("an id").to_owned()
}

pub(crate) fn a_delivery_explains_each_webhook_and_each_attempt(engine: Engine) {
    let (server, sink) = start(&engine);
    let delivery = deliver(&server, &sink);

    let output = succeed(&server, &["deliveries", "show", &delivery, "--why"]);
    for part in ["delivered", "not called: branch_filter", "OUTCOME", "200"] {
        assert!(output.contains(part), "{part}: {output}");
    }

    let document = json_of(&server, &["deliveries", "show", &delivery, "--why"]);
    assert_eq!(
        document["delivery"],
        server.get(&format!("/api/v1/deliveries/{delivery}"))
    );
    assert_eq!(document["event"]["skipped"][0]["reason"], "branch_filter");
}

pub(crate) fn a_delivery_can_be_sent_again_by_its_id(engine: Engine) {
    let (server, sink) = start(&engine);
    let delivery = deliver(&server, &sink);

    succeed(&server, &["deliveries", "resend", &delivery]);
    let got = sink.got();
    assert_eq!(got.len(), 2);
    assert_eq!(got[0].body, got[1].body);
}

pub(crate) fn attempts_can_be_listed_and_shown(engine: Engine) {
    let (server, sink) = start(&engine);
    deliver(&server, &sink);

    let list = json_of(&server, &["attempts", "list"]);
    let id = list["items"][0]["id"].to_string();
    assert!(succeed(&server, &["attempts", "show", &id]).contains("delivered"));
    fail(&server, &["attempts", "show", "999999"], 4);
}

pub(crate) fn an_event_is_shown_with_its_body_and_its_deliveries(engine: Engine) {
    let (server, sink) = start(&engine);
    deliver(&server, &sink);

    let id = json_of(&server, &["events", "list"])["items"][0]["id"].take();
    let id = id.as_str().expect("an id");
    let output = succeed(&server, &["events", "show", id]);

    for part in ["push_hooks", "branch_filter", "delivered", "refs/heads/main"] {
        assert!(output.contains(part), "{part}: {output}");
    }
}

pub(crate) fn metrics_can_be_listed_and_queried(engine: Engine) {
    let (server, _) = start(&engine);
    let list = succeed(&server, &["insights", "metrics", "time_to_merge"]);
    assert!(list.starts_with("NAME") && list.contains("time_to_merge"), "{list}");

    let rows = json_of(&server, &["insights", "query", "commits", "issues_opened"]);
    let names: Vec<&Value> = rows["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| &row["metric"])
        .collect();
    assert_eq!(json!(names), json!(["commits", "issues_opened"]));

    let error = fail(&server, &["insights", "metric", "comits"], 4);
    assert!(error.contains("404"), "{error}");
}

pub(crate) fn colours_are_shown_only_if_they_are_wanted(engine: Engine) {
    let (server, sink) = start(&engine);
    deliver(&server, &sink);

    let list = |more: &[&str]| succeed(&server, &[&["deliveries", "list"], more].concat());
    assert!(!list(&[]).contains('\u{1b}'), "a pipe gets no colours");
    assert!(list(&["--color", "always"]).contains("\u{1b}[32m"));
}
