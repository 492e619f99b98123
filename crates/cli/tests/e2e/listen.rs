//! `quickdraw listen`: events of a stream are forwarded to a program, at least once and with a signature.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::answers::check_shows;
use crate::commands::{Running, output_of, text_of};
use crate::http::{Sink, eventually, send};
use crate::server::{Engine, Server, TOKEN};
use crate::streams::{Stream, push, report};

const SIGNING: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Writes a secret into a file in the folder of the server, and returns the name of the file.
fn secret_file(server: &Server, secret: &str) -> &'static str {
    let name = "listen-secret";
    std::fs::write(server.folder.path().join(name), secret).expect("a file");
    name
}

/// Starts `quickdraw listen --from` with `--forward`.
fn listen(server: &Server, sink: &Sink) -> Running {
    let from = format!("http://127.0.0.1:{}", server.port);
    let url = sink.url();
    let journal = ["listen", "--from", &from, "--project", "gear/rope"];
    let secret = secret_file(server, "local-secret");
    let program = ["--forward", &url, "--secret-file", secret];
    let start = ["--since", "1h", "--position", "taken.txt"];

    Running::start(server, "listen.log", &[&journal[..], &program, &start].concat())
}

/// The numbers in the bodies that a receiver got, after the first ones.
fn numbers(sink: &Sink, skip: usize) -> HashSet<u64> {
    let bodies = sink.got().into_iter().skip(skip).map(|got| got.body);
    bodies
        .filter_map(|body| serde_json::from_slice::<Value>(&body).ok()?["number"].as_u64())
        .collect()
}

fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();
    server
}

/// Reports 60 pushes. The listener is killed after the tenth, and the server after the thirtieth.
fn push_with_kills(server: &mut Server, sink: &Sink, mut listener: Running) -> Running {
    for number in 1..=60 {
        push(server, number);

        if number == 10 {
            drop(listener);
            listener = listen(server, sink);
        }

        if number == 30 {
            // The listener must follow again before the server is killed, so that its stream is interrupted.
            eventually("the listener follows again", || numbers(sink, 0).contains(&29));
            server.kill();
            server.restart();
        }
    }

    listener
}

pub(crate) fn events_of_a_stream_are_forwarded_at_least_once(engine: Engine) {
    let mut server = start(&engine);
    // The receiver fails from time to time.
    let sink = Sink::start(|number| Some(if number % 7 == 3 { 503 } else { 200 }));
    push(&server, 0);

    let listener = listen(&server, &sink);
    eventually("the earlier event arrives", || numbers(&sink, 0).contains(&0));

    let _listener = push_with_kills(&mut server, &sink, listener);
    eventually("all events arrive", || numbers(&sink, 0).len() == 61);

    let got = sink.got();
    assert!(got.iter().all(|got| got.headers["X-Gitlab-Token"] == "local-secret"));
    assert!(got.iter().all(|got| got.headers["X-Gitlab-Event"] == "Push Hook"));

    let keys: HashSet<&String> = got.iter().map(|got| &got.headers["Idempotency-Key"]).collect();
    assert_eq!(keys.len(), 61, "a repeated request has the same key");

    let log = text_of(&server, "listen.log");
    assert!(log.contains("the stream was interrupted"), "{log}");
}

/// The position at the end of the journal.
fn end(server: &Server) -> String {
    let (_, mut stream) = Stream::open(server, TOKEN, "?project=1", None);
    stream.next().expect("a position").id
}

pub(crate) fn a_new_listener_continues_at_the_stored_position(engine: Engine) {
    let server = start(&engine);
    let sink = Sink::start(|_| Some(200));
    push(&server, 1);

    let listener = listen(&server, &sink);
    eventually("the event arrives", || numbers(&sink, 0).contains(&1));

    let end = format!("{} ", end(&server));
    eventually("the last position is stored", || {
        text_of(&server, "taken.txt").starts_with(&end)
    });
    drop(listener);

    let before = sink.got().len();
    push(&server, 100);

    let _listener = listen(&server, &sink);
    eventually("the event of the meantime arrives", || numbers(&sink, 0).contains(&100));

    let log = text_of(&server, "listen.log");
    assert_eq!(numbers(&sink, before), HashSet::from([100]), "{log}");
}

pub(crate) fn an_event_that_the_program_refuses_does_not_block_later_events(engine: Engine) {
    let server = start(&engine);
    let sink = Sink::start(|_| Some(404));
    push(&server, 101);

    let _listener = listen(&server, &sink);
    eventually("the event failed for good", || {
        let log = text_of(&server, "listen.log");
        assert!(!log.contains("forwarded: 404"));
        log.contains("GIVEN UP after 5 attempts: the answer was 404")
    });
}

pub(crate) fn a_listener_ends_with_an_error_that_no_retry_can_solve(engine: Engine) {
    let server = start(&engine);
    let from = format!("http://127.0.0.1:{}", server.port);
    let mut command = server.command(&["listen", "--from", &from]);
    command.env("QUICKDRAW_TOKEN", "nonsense");

    let done = command.output().expect("it runs");
    assert!(!done.status.success() && output_of(&done).contains("401"), "{done:?}");
}

/// Starts `quickdraw listen` as a program that verifies signatures. Returns its URL too.
fn start_program(server: &Server) -> (Running, String) {
    let secret = secret_file(server, SIGNING);
    let program = Running::start(server, "program.log", &["listen", "0", "--secret-file", secret]);
    let mut at = None;

    eventually("the program listens", || {
        let log = text_of(server, "program.log");
        let line = log.lines().find_map(|line| line.strip_prefix("listening on "));
        at = line.filter(|url| !url.is_empty()).map(str::to_owned);

        at.is_some()
    });

    (program, at.expect("it listens"))
}

/// Starts `quickdraw listen --from` for pushes to `wip/*`, signed.
fn follow_wip(server: &Server, at: &str) -> Running {
    let from = format!("http://127.0.0.1:{}", server.port);
    let program = ["listen", "--from", &from, "--forward", at];
    let filters = ["--trigger", "push_hooks", "--filter", r#"{"branch":"wip/*"}"#];
    let start = ["--secret-file", secret_file(server, SIGNING), "--since", "1h"];

    Running::start(server, "follower.log", &[&program[..], &filters, &start].concat())
}

/// The numbers of the events in the output of the program.
fn shown(log: &str) -> Vec<&str> {
    log.lines()
        .filter_map(|line| line.trim().strip_prefix("\"number\": "))
        .map(|number| number.trim_end_matches(','))
        .collect()
}

/// One `quickdraw listen` follows the journal and signs requests, and another one verifies them.
pub(crate) fn filtered_events_are_forwarded_with_a_signature(engine: Engine) {
    let server = start(&engine);
    let (_program, at) = start_program(&server);

    push(&server, 1);
    report(&server, 1, "push_hooks", "refs/heads/wip/x", 2);
    report(&server, 1, "tag_push_hooks", "refs/heads/wip/x", 3);
    report(&server, 1, "push_hooks", "refs/heads/wip/y", 4);

    let _follower = follow_wip(&server, &at);
    eventually("the last event arrives", || {
        text_of(&server, "program.log").contains(r#""number": 4"#)
    });

    let log = text_of(&server, "program.log");
    assert_eq!(shown(&log), ["2", "4"], "{log}");
    assert_eq!(log.matches("signature ok").count(), 2, "{log}");
    assert_eq!(log.matches("REFUSED").count(), 0, "{log}");
}

/// Sends a request with a wrong signature and a token to a listener, and returns what the listener prints.
fn send_wrong(server: &Server, log: &str, more: &[&str]) -> String {
    let start = ["listen", "0", "--secret-file", secret_file(server, SIGNING)];
    let listener = Running::start(server, log, &[&start[..], more].concat());
    let port = || {
        let text = text_of(server, log);
        text.lines().next()?.rsplit(':').next()?.parse::<u16>().ok()
    };
    eventually("the program listens", || port().is_some());

    let signature = [
        ("webhook-id", "1"),
        ("webhook-timestamp", "2"),
        ("webhook-signature", "v1,AAAA"),
    ];
    let headers = [&signature[..], &[("X-Api-Key", "k3y")]].concat();
    let port = port().expect("a port");
    send(port, "POST", "/", &headers, b"{}").expect("an answer").check(401);

    eventually("the request is printed", || text_of(server, log).contains("{}"));
    drop(listener);
    text_of(server, log)
}

pub(crate) fn a_listener_prints_headers_and_the_reason_for_a_refusal(engine: Engine) {
    let server = Server::new(&engine);
    let log = send_wrong(&server, "masked.log", &[]);

    assert!(log.contains("REFUSED: webhook-timestamp"), "{log}");
    assert!(log.contains("  webhook-signature: v1,AAAA"), "{log}");
    assert!(log.contains("  x-api-key: [masked"), "{log}");
}

pub(crate) fn a_listener_prints_secrets_on_request(engine: Engine) {
    let server = Server::new(&engine);
    let log = send_wrong(&server, "shown.log", &["--show-secrets"]);
    assert!(log.contains("  x-api-key: k3y"), "{log}");
}

/// Starts `quickdraw listen` with a secret in its environment, and returns its URL too.
fn listen_with_environment(server: &Server) -> (Child, BufReader<ChildStdout>, u16) {
    let mut command = server.command(&["listen", "0", "--json"]);
    command.env("QUICKDRAW_LISTEN_SECRET", "s3cret");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");

    let mut first = String::new();
    let mut errors = BufReader::new(child.stderr.take().expect("piped"));
    errors.read_line(&mut first).expect("a line");
    let port = first.trim().rsplit(':').next().and_then(|port| port.parse().ok());

    let lines = BufReader::new(child.stdout.take().expect("piped"));
    (child, lines, port.expect("a port"))
}

pub(crate) fn a_listener_prints_each_request_as_one_line_of_json(engine: Engine) {
    let server = Server::new(&engine);
    let (mut child, lines, port) = listen_with_environment(&server);

    let headers = [("X-Gitlab-Event", "Push Hook"), ("X-Gitlab-Token", "s3cret")];
    send(port, "POST", "/", &headers, br#"{"a":1}"#)
        .expect("an answer")
        .check(200);
    send(port, "POST", "/", &[("X-Gitlab-Token", "wrong")], b"no JSON")
        .expect("an answer")
        .check(401);

    let mut requests: Vec<Value> = Vec::new();
    for line in lines.lines().take(2) {
        requests.push(serde_json::from_str(&line.expect("a line")).expect("JSON"));
    }

    let _ = (child.kill(), child.wait());
    check_shows(
        &requests[0],
        &json!({ "event": "Push Hook", "verification": "token", "body": { "a": 1 }, "bytes": 7, "forwarded": null }),
    );
    check_shows(
        &requests[1],
        &json!({ "event": null, "verification": "refused", "reason": "wrong token", "body": "no JSON" }),
    );
    assert!(!requests[0].to_string().contains("s3cret"), "{}", requests[0]);
}

pub(crate) fn a_followed_event_is_one_line_of_json(engine: Engine) {
    let server = start(&engine);
    push(&server, 7);

    let from = format!("http://127.0.0.1:{}", server.port);
    let arguments = ["listen", "--from", &from, "--since", "1h", "--json"];
    let mut command = server.command(&arguments);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");

    let mut line = String::new();
    let mut lines = BufReader::new(child.stdout.take().expect("piped"));
    while !line.contains("Push Hook") {
        line.clear();
        lines.read_line(&mut line).expect("a line");
    }

    let _ = (child.kill(), child.wait());
    let event: Value = serde_json::from_str(&line).expect("JSON");
    check_shows(
        &event,
        &json!({ "event": "Push Hook", "forwarded": null, "body": { "number": 7 } }),
    );
    assert!(event["position"].is_string(), "{event}");
}
