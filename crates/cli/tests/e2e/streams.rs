//! Streams of the journal over Server-Sent Events: positions, filters, access, and limits.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::access::People;
use crate::gitlab::{GITLAB, SENDER};
use crate::http::{Reply, eventually, send};
use crate::server::{Engine, Server, TOKEN};

const ALL: &str = "?since=2020-01-01T00:00:00Z";
const MAIN: &str = "refs/heads/main";

/// An event of a stream.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) data: Value,
}

/// An open stream.
pub(crate) struct Stream(BufReader<TcpStream>);

impl Stream {
    /// Opens the stream of the journal and returns the status. The stream has events only if the status is 200.
    pub(crate) fn open(server: &Server, token: &str, query: &str, last: Option<&str>) -> (u16, Self) {
        Self::open_at(server, token, &format!("/api/v1/stream{query}"), last)
    }

    /// Opens the stream at a path.
    pub(crate) fn open_at(server: &Server, token: &str, path: &str, last: Option<&str>) -> (u16, Self) {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a timeout");

        // HTTP/1.0 avoids a chunked answer.
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let head = format!(
            "GET {path} HTTP/1.0\r\nHost: x\r\nPRIVATE-TOKEN: {token}\r\nAccept: text/event-stream\r\n{last}\r\n"
        );
        stream.write_all(head.as_bytes()).expect("it listens");

        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).expect("a status");

        let status = line[9..12].parse().expect("a number");
        while line.trim_end() != "" {
            line.clear();
            lines.read_line(&mut line).expect("a head");
        }

        (status, Self(lines))
    }

    fn follow(server: &Server, query: &str, last: Option<&str>) -> Self {
        let (status, mut stream) = Self::open(server, TOKEN, query, last);
        assert_eq!(status, 200);

        if last.is_none() && !query.contains("since") {
            // The first event is the position at which the stream starts.
            let began = stream.next().expect("a position");
            assert_eq!((began.event.as_str(), began.data), ("position", json!({})));
        }

        stream
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<Came> {
        let (mut id, mut event, mut data) = (String::new(), String::new(), String::new());
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(read) if read > 0 => {}
                _ => return None,
            }

            match line.trim_end().split_once(": ") {
                None if line.trim_end() == "" && !event.is_empty() => {
                    return Some(Came {
                        id,
                        event,
                        data: serde_json::from_str(&data).expect("JSON"),
                    });
                }
                Some(("id", value)) => id = value.to_owned(),
                Some(("event", value)) => event = value.to_owned(),
                Some(("data", value)) => data = value.to_owned(),
                _ => {}
            }
        }
    }

    /// The number in the body of the next event that has one. Positions and events of changes in the API are skipped.
    fn number(&mut self) -> (u64, String) {
        loop {
            let came = self.next().expect("an event");
            if came.event == "position" {
                continue;
            }

            if let Some(number) = number_of(&came) {
                return (number, came.id);
            }
        }
    }

    /// The numbers in the bodies of the next events.
    fn numbers(&mut self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.number().0).collect()
    }
}

fn number_of(came: &Came) -> Option<u64> {
    let body: Value = serde_json::from_str(came.data["body"].as_str().expect("a body")).expect("JSON");
    body["number"].as_u64()
}

fn number_in(came: &Came) -> u64 {
    number_of(came).expect("a number")
}

pub(crate) fn report(server: &Server, project: i64, trigger: &str, git_ref: &str, number: u64) {
    let body = json!({ "trigger": trigger, "payload": { "object_kind": "push", "ref": git_ref, "number": number } });
    let reply = server.call("POST", &format!("/api/v1/projects/{project}/events"), &body.to_string());
    assert_eq!(reply.status, 202, "{}", reply.body);
}

/// Reports a push of project 1 with a number.
pub(crate) fn push(server: &Server, number: u64) {
    report(server, 1, "push_hooks", MAIN, number);
}

/// A server whose journal contains the push with number 0, which streams show already.
fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();
    push(&server, 0);

    // On PostgreSQL a stream shows an event once no older transaction of the cluster is open. The test waits for that
    // here.
    assert_eq!(Stream::follow(&server, ALL, None).number().0, 0);
    server
}

/// Creates a bot of project 1 and returns its token.
fn bot(server: &Server, number: usize) -> String {
    let body = json!({ "name": format!("bot {number}"), "scopes": ["api"] });
    let made = server.create("/api/v4/projects/1/access_tokens", &body);
    made["token"].as_str().expect("a token").to_owned()
}

/// Each bot of a project is a user, and all bots together may have as many streams as one project.
pub(crate) fn streams_of_all_bots_of_a_project_share_a_limit(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let mut open = Vec::new();
    for (number, many) in [10, 10, 0].into_iter().enumerate() {
        let bot = bot(&server, number);
        for number in 0..=many {
            let (status, stream) = Stream::open(&server, &bot, "?project=1", None);
            assert_eq!(status, if number == many { 429 } else { 200 }, "{number}");
            open.push(stream);
        }
    }

    let (status, _) = Stream::open(&server, TOKEN, "?project=1", None);
    assert_eq!(status, 200, "administrators have a limit of their own");
}

pub(crate) fn a_stream_starts_with_new_events(engine: Engine) {
    let server = start(&engine);
    let mut stream = Stream::follow(&server, "", None);
    push(&server, 1);

    let came = stream.next().expect("an event");
    assert_eq!((came.event.as_str(), number_in(&came)), ("push_hooks", 1));
    assert_eq!(came.data["headers"]["X-Gitlab-Event"], "Push Hook");
    assert_eq!(came.data["trigger"], "push_hooks");

    let metrics = send(server.port, "GET", "/metrics", &[], b"").expect("an answer").body;
    assert!(metrics.contains("quickdraw_stream_events_total"), "{metrics}");
}

/// Events during an interruption and a crash of the server are not lost.
pub(crate) fn a_stream_continues_where_it_was_interrupted(engine: Engine) {
    let mut server = start(&engine);
    let mut stream = Stream::follow(&server, "", None);

    for number in 1..=3 {
        push(&server, number);
    }

    let (_, first) = stream.number();
    let (second, at) = stream.number();
    assert_eq!(second, 2);
    drop(stream);

    push(&server, 4);
    server.kill();
    server.restart();
    push(&server, 5);
    assert_eq!(Stream::follow(&server, "", Some(&at)).numbers(3), [3, 4, 5]);

    let mut again = Stream::follow(&server, &format!("?after={at}"), Some(&first));
    assert_eq!(again.number().0, 2, "the header has precedence");
}

/// The number and the key of each of the next events.
fn keys(stream: &mut Stream, count: usize) -> Vec<(u64, Value)> {
    (0..count)
        .map(|_| {
            let came = stream.next().expect("an event");
            (number_in(&came), came.data["headers"]["Idempotency-Key"].clone())
        })
        .collect()
}

/// With the keys, clients can detect repeated events.
pub(crate) fn each_stream_has_the_same_events_with_the_same_keys(engine: Engine) {
    let server = start(&engine);
    let mut stream = Stream::follow(&server, "", None);

    for number in 1..=5 {
        push(&server, number);
    }

    let new = keys(&mut stream, 5);
    let all = format!("{ALL}&project=gear%2Frope");
    let all = keys(&mut Stream::follow(&server, &all, None), 6);
    let numbers: Vec<u64> = all.iter().map(|(number, _)| *number).collect();

    assert_eq!(numbers, [0, 1, 2, 3, 4, 5], "all events from the given time");
    assert!(new[0].1.is_string());
    assert_eq!(all[1..], new);
}

/// Creates the project `other/sling` and returns its id.
fn make_sling(server: &Server) -> i64 {
    let group = server.create("/api/v4/groups", &json!({ "name": "Other", "path": "other" }));
    let body = json!({ "name": "Sling", "path": "sling", "namespace_id": group["id"] });
    let project = server.create("/api/v4/projects", &body);
    project["id"].as_i64().expect("a number")
}

/// Reports four events that differ by project, kind and branch.
fn report_various(server: &Server, sling: i64) {
    push(server, 11);
    report(server, 1, "tag_push_hooks", "refs/tags/v1", 12);
    report(server, 1, "push_hooks", "refs/heads/wip/x", 13);
    report(server, sling, "push_hooks", MAIN, 14);
}

pub(crate) fn a_stream_can_be_filtered_by_place_kind_and_content(engine: Engine) {
    let server = start(&engine);
    let sling = make_sling(&server);
    let group = server.get("/api/v4/groups/gear")["id"].clone();

    let streams = [
        ("?project=gear%2Frope", vec![11, 12, 13]),
        (&*format!("?project={sling}"), vec![14]),
        (&*format!("?group={group}"), vec![11, 12, 13]),
        ("?trigger=tag_push_hooks", vec![12]),
        ("?trigger=tag_push_hooks,push_hooks", vec![11, 12, 13, 14]),
        ("?filter=%7B%22branch%22%3A%22wip%2F%2A%22%7D", vec![13]),
    ]
    .map(|(query, expected)| (Stream::follow(&server, query, None), query.to_owned(), expected));

    report_various(&server, sling);
    for (mut stream, query, expected) in streams {
        assert_eq!(stream.numbers(expected.len()), expected, "{query}");
    }
}

pub(crate) fn the_position_advances_past_events_that_do_not_match(engine: Engine) {
    let server = start(&engine);
    let mut stream = Stream::follow(&server, "?trigger=tag_push_hooks", None);
    report(&server, 1, "tag_push_hooks", "refs/tags/v1", 12);
    assert_eq!(stream.number().0, 12);

    push(&server, 13);
    assert_eq!(stream.next().expect("a position").event, "position");
}

pub(crate) fn a_received_event_is_in_a_stream_once_with_its_exact_body(engine: Engine) {
    let server = start(&engine);
    let mut stream = Stream::follow(&server, "?trigger=push_hooks", None);
    let body = "{\"object_kind\":\"push\",  \"number\": 21, \"user_name\":\"\\u00e9 é\",\"project\":{\"path_with_namespace\":\"gear/rope\"}}";

    for key in ["from-project", "from-group"] {
        SENDER.post(&server, "Push Hook", key, body).check(200);
    }

    push(&server, 22);

    let came = stream.next().expect("an event");
    assert_eq!(came.data["body"], body, "the body is unchanged");
    assert_eq!(came.data["headers"]["X-Gitlab-Instance"], GITLAB);
    assert_eq!(stream.number().0, 22, "the duplicate is not in the stream");
}

pub(crate) fn a_stop_does_not_wait_for_open_streams(engine: Engine) {
    let mut server = start(&engine);
    let mut stream = Stream::follow(&server, "", None);

    let asked = Instant::now();
    assert_eq!(server.terminate(), Some(0), "{}", server.output());

    let took = asked.elapsed();
    assert!(took < Duration::from_secs(8), "it took {took:?}");
    while stream.next().is_some() {}
}

/// Reports 128 pushes from 16 threads, so that many share a commit of the database.
fn report_at_once(server: &Server) {
    std::thread::scope(|scope| {
        for sender in 0..16 {
            scope.spawn(move || {
                for number in 0..8 {
                    push(server, sender * 8 + number);
                }
            });
        }
    });
}

/// Many events arrive at once and share commits. A stream that is interrupted within a commit continues within it.
pub(crate) fn a_stream_continues_within_a_commit(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let mut stream = Stream::follow(&server, ALL, None);
    report_at_once(&server);

    let (mut numbers, ids): (Vec<u64>, Vec<String>) = (0..128).map(|_| stream.number()).unzip();
    let shared = ids.iter().any(|id| !id.ends_with("-0"));
    assert!(shared, "some commits have several events");

    for (index, id) in ids.iter().enumerate().step_by(9) {
        let rest = &numbers[index + 1..];
        let mut again = Stream::follow(&server, "", Some(id));
        assert_eq!(again.numbers(rest.len()), rest, "after {id}");
    }

    numbers.sort_unstable();
    assert_eq!(numbers, (0..128).collect::<Vec<u64>>(), "each event arrives once");
}

/// Creates a member of the group `gear`. Returns the id and a token.
fn member(server: &Server, name: &str, level: i64) -> (i64, String) {
    let (id, token) = People { server }.make(name, "api");
    let body = json!({ "user_id": id, "access_level": level });
    server.create("/api/v4/groups/gear/members", &body);

    (id, token)
}

fn status(server: &Server, token: &str, query: &str) -> u16 {
    Stream::open(server, token, query, None).0
}

pub(crate) fn only_users_who_manage_hooks_may_follow_the_journal(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let (_, developer) = member(&server, "developer", 30);
    let (_, maintainer) = member(&server, "maintainer", 40);
    let (_, owner) = member(&server, "owner", 50);
    let (_, stranger) = People { server: &server }.make("stranger", "api");

    // The administrator, the developer, the maintainer, the owner and the stranger.
    for (query, expected) in [
        ("", [200, 403, 403, 403, 403]),
        ("?project=1", [200, 403, 200, 200, 404]),
        ("?group=gear", [200, 403, 403, 200, 404]),
    ] {
        let tokens = [TOKEN, &developer, &maintainer, &owner, &stranger];
        assert_eq!(tokens.map(|token| status(&server, token, query)), expected, "{query}");
    }

    assert_eq!(status(&server, "nonsense", ""), 401);
}

/// Asks for a stream and returns the whole answer, for requests that are refused.
fn ask(server: &Server, query: &str, last: Option<&str>) -> Reply {
    let mut headers = vec![("PRIVATE-TOKEN", TOKEN), ("Accept", "text/event-stream")];
    headers.extend(last.map(|last| ("Last-Event-ID", last)));

    let path = format!("/api/v1/stream{query}");
    send(server.port, "GET", &path, &headers, b"").expect("an answer")
}

pub(crate) fn invalid_parameters_of_a_stream_are_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    for (query, last, why) in [
        ("?project=1&group=gear", None, "cannot be combined"),
        ("?trigger=nonsense", None, "trigger does not have a valid value"),
        ("?filter=%5B1%5D", None, "filter"),
        ("?since=nonsense", None, "since"),
        ("?after=nonsense", None, "is not a position"),
        ("", Some("x-y"), "is not a position"),
        ("", Some("4611686018427387904-0"), "after the end of the journal"),
    ] {
        ask(&server, query, last).check_says(400, why);
    }

    let reply = server.call("GET", "/api/v1/stream", "");
    reply.check_says(406, "text/event-stream");
}

pub(crate) fn one_user_cannot_use_all_permits_of_streams(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let (_, maintainer) = member(&server, "maintainer", 40);
    let (_, owner) = member(&server, "owner", 50);
    let open = || status(&server, &owner, "?project=1");
    let taken: Vec<_> = (0..10)
        .map(|_| Stream::open(&server, &owner, "?project=1", None))
        .collect();

    assert!(taken.iter().all(|(status, _)| *status == 200));

    assert_eq!(open(), 429);
    assert_eq!(status(&server, &maintainer, "?project=1"), 200);

    drop(taken);
    eventually("the permits are released", || open() == 200);
}

pub(crate) fn a_stream_ends_when_its_user_loses_the_right_to_follow(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let (id, maintainer) = member(&server, "maintainer", 40);
    let (status, mut stream) = Stream::open(&server, &maintainer, "?project=1", None);
    assert_eq!(status, 200);
    assert_eq!(stream.next().expect("a position").event, "position");

    let path = format!("/api/v4/groups/gear/members/{id}");
    server.call("DELETE", &path, "").check(204);

    let asked = Instant::now();
    while stream.next().is_some() {}

    let took = asked.elapsed();
    assert!(took < Duration::from_secs(20), "it ended after {took:?}");
}
