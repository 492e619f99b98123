//! Streams of the journal: over Server-Sent Events, and with `quickdraw listen --from`.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::access::People;
use crate::http::{Sink, eventually, send};
use crate::server::{Engine, SECRET, Server, TOKEN};

/// An event of a stream.
#[derive(Debug)]
struct Came {
    id: String,
    event: String,
    data: Value,
}

/// An open stream.
struct Stream(BufReader<TcpStream>);

impl Stream {
    /// Opens a stream and returns the status. The stream has events only if the status is 200.
    fn open(server: &Server, token: &str, query: &str, last: Option<&str>) -> (u16, Self) {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a timeout");

        // HTTP/1.0 avoids a chunked answer.
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let head = format!(
            "GET /api/v1/stream{query} HTTP/1.0\r\nHost: x\r\nPRIVATE-TOKEN: {token}\r\nAccept: text/event-stream\r\n{last}\r\n"
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
    fn next(&mut self) -> Option<Came> {
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

    /// The number in the body of the next event. Positions are skipped.
    fn number(&mut self) -> (u64, String) {
        loop {
            let came = self.next().expect("an event");
            if came.event != "position" {
                return (number_in(&came), came.id);
            }
        }
    }
}

fn number_in(came: &Came) -> u64 {
    let body: Value = serde_json::from_str(came.data["body"].as_str().expect("a body")).expect("JSON");
    body["number"].as_u64().expect("a number")
}

fn report(server: &Server, project: i64, trigger: &str, git_ref: &str, number: u64) {
    let body = json!({ "trigger": trigger, "payload": { "object_kind": "push", "ref": git_ref, "number": number } });
    let reply = server.call("POST", &format!("/api/v1/projects/{project}/events"), &body.to_string());
    assert_eq!(reply.status, 202, "{}", reply.body);
}

/// Each bot of a project is a user, and all bots together may have as many streams as one project.
pub(crate) fn streams_of_all_bots_of_a_project_share_a_limit(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let bots: Vec<String> = (0..3)
        .map(|number| {
            let body = json!({ "name": format!("bot {number}"), "scopes": ["api"] }).to_string();
            let made = server.call("POST", "/api/v4/projects/1/access_tokens", &body);
            assert_eq!(made.status, 201, "{}", made.body);

            made.json()["token"].as_str().expect("a token").to_owned()
        })
        .collect();

    let mut open = Vec::new();
    for (bot, many) in bots.iter().zip([10, 10, 0]) {
        for number in 0..=many {
            let (status, stream) = Stream::open(&server, bot, "?project=1", None);
            assert_eq!(status, if number == many { 429 } else { 200 }, "{number}");
            open.push(stream);
        }
    }

    assert_eq!(
        Stream::open(&server, TOKEN, "?project=1", None).0,
        200,
        "administrators have a limit of their own"
    );
}

pub(crate) fn a_stream_continues_where_it_was_interrupted(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    server.make_project();

    let group = server.get("/api/v4/groups/gear")["id"].as_i64().expect("a number");
    let other = server
        .call("POST", "/api/v4/groups", r#"{"name":"Other","path":"other"}"#)
        .json()["id"]
        .clone();
    let body = json!({ "name": "Sling", "path": "sling", "namespace_id": other }).to_string();
    let sling = server.call("POST", "/api/v4/projects", &body).json()["id"]
        .as_i64()
        .expect("a number");
    let push = |server: &Server, number| report(server, 1, "push_hooks", "refs/heads/main", number);

    push(&server, 0);

    // On PostgreSQL a stream shows an event once no older transaction of the cluster is open. The test waits for that
    // here.
    assert_eq!(
        Stream::follow(&server, "?since=2020-01-01T00:00:00Z", None).number().0,
        0
    );

    let mut stream = Stream::follow(&server, "", None);
    for number in 1..=3 {
        push(&server, number);
    }

    let came = stream.next().expect("an event");
    assert_eq!(
        (came.event.as_str(), number_in(&came)),
        ("push_hooks", 1),
        "the stream starts with new events"
    );

    assert_eq!(came.data["headers"]["X-Gitlab-Event"], "Push Hook");
    assert_eq!(came.data["trigger"], "push_hooks");

    let key = came.data["headers"]["Idempotency-Key"].clone();
    let (second, at) = stream.number();
    assert_eq!(second, 2);
    drop(stream);

    // Events during an interruption and a crash of the server are not lost.
    push(&server, 4);
    server.kill();
    server.restart();
    push(&server, 5);

    let mut stream = Stream::follow(&server, "", Some(&at));
    let numbers: Vec<u64> = (0..3).map(|_| stream.number().0).collect();
    assert_eq!(numbers, [3, 4, 5]);

    let mut again = Stream::follow(&server, &format!("?after={at}"), Some(&came.id));
    assert_eq!(again.number().0, 2, "the header has precedence");

    let mut anew = Stream::follow(&server, "?since=2020-01-01T00:00:00Z", None);
    let (all, keys): (Vec<u64>, Vec<Value>) = (0..6)
        .map(|_| {
            let came = anew.next().expect("an event");
            (number_in(&came), came.data["headers"]["Idempotency-Key"].clone())
        })
        .unzip();

    assert_eq!(all, [0, 1, 2, 3, 4, 5], "all events from the given time");
    assert_eq!(
        keys[1], key,
        "each stream has the same keys, so that clients can detect repeated events"
    );

    // Filters by place, kind and content.
    let mut chosen = [
        ("?project=gear%2Frope", vec![11, 12, 13]),
        (&*format!("?project={sling}"), vec![14]),
        (&*format!("?group={group}"), vec![11, 12, 13]),
        ("?trigger=tag_push_hooks", vec![12]),
        ("?trigger=tag_push_hooks,push_hooks", vec![11, 12, 13, 14]),
        ("?filter=%7B%22branch%22%3A%22wip%2F%2A%22%7D", vec![13]),
    ]
    .map(|(query, expected)| (Stream::follow(&server, query, None), query.to_owned(), expected));

    push(&server, 11);
    report(&server, 1, "tag_push_hooks", "refs/tags/v1", 12);
    report(&server, 1, "push_hooks", "refs/heads/wip/x", 13);
    report(&server, sling, "push_hooks", "refs/heads/main", 14);

    for (stream, query, expected) in &mut chosen {
        let numbers: Vec<u64> = (0..expected.len()).map(|_| stream.number().0).collect();
        assert_eq!(&numbers, expected, "{query}");
    }

    // The position advances past events that do not match.
    assert_eq!(
        chosen[3].0.next().expect("a position").event,
        "position",
        "the stream has no other event"
    );

    // A received event has the exact bytes of its body. Its duplicate is not in the stream.
    let mut stream = Stream::follow(&server, "?trigger=push_hooks", None);
    let body = "{\"object_kind\":\"push\",  \"number\": 21, \"user_name\":\"\\u00e9 é\",\"project\":{\"path_with_namespace\":\"gear/rope\"}}";

    for key in ["from-project", "from-group"] {
        let headers = [
            ("X-Gitlab-Token", SECRET),
            ("X-Gitlab-Event", "Push Hook"),
            ("X-Gitlab-Instance", "https://gitlab.example.com"),
            ("Idempotency-Key", key),
        ];

        let reply = send(
            server.port,
            "POST",
            "/api/v1/webhooks/gitlab",
            &headers,
            body.as_bytes(),
        );
        assert_eq!(reply.expect("an answer").status, 200);
    }

    push(&server, 22);

    let came = stream.next().expect("an event");
    assert_eq!(came.data["body"], body, "the body is unchanged");
    assert_eq!(came.data["headers"]["X-Gitlab-Instance"], "https://gitlab.example.com");
    assert_eq!(stream.number().0, 22);

    let metrics = send(server.port, "GET", "/metrics", &[], b"").expect("an answer").body;
    assert!(metrics.contains("quickdraw_stream_events_total"), "{metrics}");

    // A stop does not wait for open streams.
    let asked = Instant::now();
    assert_eq!(server.terminate(), Some(0), "{}", server.output());

    assert!(
        asked.elapsed() < Duration::from_secs(8),
        "it took {:?}",
        asked.elapsed()
    );

    while stream.next().is_some() {}
}

/// Many events arrive at once and share commits. A stream that is interrupted within a commit continues within it.
pub(crate) fn a_stream_continues_within_a_commit(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let mut empty = Stream::follow(&server, "?since=2020-01-01T00:00:00Z", None);
    std::thread::scope(|scope| {
        for sender in 0..16 {
            let server = &server;
            scope.spawn(move || {
                for number in 0..8 {
                    report(server, 1, "push_hooks", "refs/heads/main", sender * 8 + number);
                }
            });
        }
    });

    let all: Vec<(u64, String)> = (0..128).map(|_| empty.number()).collect();
    let mut numbers: Vec<u64> = all.iter().map(|(number, _)| *number).collect();

    assert!(
        all.iter().any(|(_, id)| !id.ends_with("-0")),
        "some commits have several events"
    );

    for (index, (_, id)) in all.iter().enumerate().step_by(9) {
        let mut again = Stream::follow(&server, "", Some(id));
        let rest: Vec<u64> = (index + 1..all.len()).map(|_| again.number().0).collect();
        assert_eq!(rest, numbers[index + 1..], "after {id}");
    }

    numbers.sort_unstable();
    assert_eq!(numbers, (0..128).collect::<Vec<u64>>(), "each event arrives once");
}

pub(crate) fn only_users_who_manage_hooks_may_follow_the_journal(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let people = People { server: &server };
    let member = |name: &str, level: i64| {
        let (id, token) = people.make(name, "api");
        let body = json!({ "user_id": id, "access_level": level }).to_string();
        assert_eq!(server.call("POST", "/api/v4/groups/gear/members", &body).status, 201);

        (id, token)
    };
    let (_, developer) = member("developer", 30);
    let (maintainers_id, maintainer) = member("maintainer", 40);
    let (_, owner) = member("owner", 50);
    let (_, stranger) = people.make("stranger", "api");
    let status = |token: &str, query: &str| Stream::open(&server, token, query, None).0;

    for (query, of_maintainer, of_owner) in [("", 403, 403), ("?project=1", 200, 200), ("?group=gear", 403, 200)] {
        let of_stranger = if query.is_empty() { 403 } else { 404 };
        let tried = [TOKEN, &developer, &maintainer, &owner, &stranger].map(|token| status(token, query));
        assert_eq!(tried, [200, 403, of_maintainer, of_owner, of_stranger], "{query}");
    }

    assert_eq!(status("nonsense", ""), 401);

    for (query, last, why) in [
        ("?project=1&group=gear", None, "cannot be combined"),
        ("?trigger=nonsense", None, "trigger does not have a valid value"),
        ("?filter=%5B1%5D", None, "filter"),
        ("?since=nonsense", None, "since"),
        ("?after=nonsense", None, "is not a position"),
        ("", Some("x-y"), "is not a position"),
        ("", Some("4611686018427387904-0"), "after the end of the journal"),
    ] {
        let headers: Vec<_> = [("PRIVATE-TOKEN", TOKEN), ("Accept", "text/event-stream")]
            .into_iter()
            .chain(last.map(|last| ("Last-Event-ID", last)))
            .collect();

        let reply = send(server.port, "GET", &format!("/api/v1/stream{query}"), &headers, b"").expect("an answer");
        assert!(
            reply.status == 400 && reply.body.contains(why),
            "{query}: {} {}",
            reply.status,
            reply.body
        );
    }

    let reply = server.call("GET", "/api/v1/stream", "");
    assert!(
        reply.status == 406 && reply.body.contains("text/event-stream"),
        "{} {}",
        reply.status,
        reply.body
    );

    // One user cannot use all permits of streams.
    let taken: Vec<_> = (0..10)
        .map(|_| Stream::open(&server, &owner, "?project=1", None))
        .collect();
    assert!(taken.iter().all(|(status, _)| *status == 200));

    assert_eq!(
        (status(&owner, "?project=1"), status(&maintainer, "?project=1")),
        (429, 200)
    );

    drop(taken);
    eventually("the permits are released", || status(&owner, "?project=1") == 200);

    // A stream ends when its user loses the right to follow.
    let (status, mut stream) = Stream::open(&server, &maintainer, "?project=1", None);
    assert_eq!(
        (status, stream.next().expect("a position").event),
        (200, "position".to_owned())
    );

    assert_eq!(
        server
            .call("DELETE", &format!("/api/v4/groups/gear/members/{maintainers_id}"), "")
            .status,
        204
    );

    let asked = Instant::now();
    while stream.next().is_some() {}

    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "it ended after {:?}",
        asked.elapsed()
    );
}

/// Starts `quickdraw listen --from` with `--forward`.
fn listen(server: &Server, sink: &Sink, log: &str) -> Child {
    let from = format!("http://127.0.0.1:{}", server.port);
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(server.folder.path().join(log))
        .expect("a file");

    let url = sink.url();
    let words = [
        "listen",
        "--from",
        &from,
        "--project",
        "gear/rope",
        "--forward",
        &url,
        "--secret",
        "local-secret",
    ];

    let more = ["--since", "1h", "--position", "taken.txt", "--token", TOKEN];
    let errors = log.try_clone().expect("a file");
    let mut command = server.command(&[&words[..], &more].concat());

    command
        .stdout(Stdio::from(log))
        .stderr(Stdio::from(errors))
        .spawn()
        .expect("it starts")
}

pub(crate) fn events_of_a_stream_are_forwarded_at_least_once(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    server.make_project();

    // The receiver fails from time to time.
    let sink = Sink::start(|number| Some(if number % 7 == 3 { 503 } else { 200 }));
    let push = |server: &Server, number| report(server, 1, "push_hooks", "refs/heads/main", number);

    let numbers = |sink: &Sink| -> HashSet<u64> {
        let got = sink.got();
        got.iter()
            .filter_map(|got| serde_json::from_slice::<Value>(&got.body).ok()?["number"].as_u64())
            .collect()
    };

    push(&server, 0);

    let mut listener = listen(&server, &sink, "listen.log");
    eventually("the earlier event arrives", || numbers(&sink).contains(&0));

    for round in 0..3 {
        for number in 1..=20 {
            push(&server, round * 20 + number);

            match (round, number) {
                (0, 10) => {
                    listener.kill().expect("it runs");
                    listener.wait().expect("it ended");
                    listener = listen(&server, &sink, "listen.log");
                }
                (1, 10) => {
                    // The listener must follow again before the server is killed, so that its stream is interrupted.
                    eventually("the listener follows again", || numbers(&sink).contains(&29));
                    server.kill();
                    server.restart();
                }
                _ => {}
            }
        }
    }

    let log = |server: &Server| std::fs::read_to_string(server.folder.path().join("listen.log")).unwrap_or_default();
    eventually("all events arrive", || numbers(&sink).len() == 61);

    let got = sink.got();
    assert!(got.iter().all(|got| got.headers["X-Gitlab-Token"] == "local-secret"));
    assert!(got.iter().all(|got| got.headers["X-Gitlab-Event"] == "Push Hook"));

    let keys: HashSet<&String> = got.iter().map(|got| &got.headers["Idempotency-Key"]).collect();
    assert_eq!(keys.len(), 61, "a repeated request has the same key");
    assert!(log(&server).contains("the stream was interrupted"), "{}", log(&server));

    // The position is stored: a new listener gets only the events since then.
    let end = Stream::open(&server, TOKEN, "?project=1", None)
        .1
        .next()
        .expect("a position")
        .id;
    eventually("the last position is stored", || {
        let kept = std::fs::read_to_string(server.folder.path().join("taken.txt")).unwrap_or_default();
        kept.starts_with(&format!("{end} "))
    });

    listener.kill().expect("it runs");
    listener.wait().expect("it ended");

    let before = sink.got().len();
    push(&server, 100);

    let mut listener = listen(&server, &sink, "listen.log");
    eventually("the event of the meantime arrives", || numbers(&sink).contains(&100));

    let after: HashSet<u64> = sink.got()[before..]
        .iter()
        .filter_map(|got| serde_json::from_slice::<Value>(&got.body).ok()?["number"].as_u64())
        .collect();

    assert_eq!(after, HashSet::from([100]), "{}", log(&server));
    listener.kill().expect("it runs");
    listener.wait().expect("it ended");

    // An event that the program refuses is logged and does not block later events for ever.
    let unwilling = Sink::start(|_| Some(404));
    push(&server, 101);

    let mut listener = listen(&server, &unwilling, "unwilling.log");
    eventually("the event is given up", || {
        let log = std::fs::read_to_string(server.folder.path().join("unwilling.log")).unwrap_or_default();
        assert!(!log.contains("forwarded: 404"));
        log.contains("GIVEN UP after 5 attempts: the answer was 404")
    });

    listener.kill().expect("it runs");
    listener.wait().expect("it ended");

    // An error that a retry cannot solve is printed and ends the command.
    let from = format!("http://127.0.0.1:{}", server.port);
    let done = server
        .command(&["listen", "--from", &from, "--token", "nonsense"])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && said.contains("401"), "{said}");
}

/// One `quickdraw listen` follows the journal and signs requests, and another one verifies them.
pub(crate) fn filtered_events_are_forwarded_with_a_signature(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    let run = |log: &str, words: &[&str]| {
        let file = std::fs::File::create(server.folder.path().join(log)).expect("a file");
        let errors = file.try_clone().expect("a file");
        let mut command = server.command(&[&["listen"], words].concat());

        command
            .stdout(Stdio::from(file))
            .stderr(Stdio::from(errors))
            .spawn()
            .expect("it starts")
    };

    let log = |name: &str| std::fs::read_to_string(server.folder.path().join(name)).unwrap_or_default();
    let mut program = run("program.log", &["0", "--secret", secret]);
    let mut at = String::new();

    eventually("the program listens", || {
        let said = log("program.log");
        at = said
            .lines()
            .find_map(|line| line.strip_prefix("listening on "))
            .unwrap_or_default()
            .to_owned();

        !at.is_empty()
    });

    report(&server, 1, "push_hooks", "refs/heads/main", 1);
    report(&server, 1, "push_hooks", "refs/heads/wip/x", 2);
    report(&server, 1, "tag_push_hooks", "refs/heads/wip/x", 3);
    report(&server, 1, "push_hooks", "refs/heads/wip/y", 4);

    let from = format!("http://127.0.0.1:{}", server.port);
    let chosen = [
        "--trigger",
        "push_hooks",
        "--filter",
        r#"{"branch":"wip/*"}"#,
        "--since",
        "1h",
    ];

    let base = ["--from", &from, "--token", TOKEN, "--forward", &at, "--secret", secret];
    let mut follower = run("follower.log", &[&base[..], &chosen].concat());
    eventually("the last event arrives", || {
        log("program.log").contains(r#""number": 4"#)
    });

    let said = log("program.log");
    let numbers: Vec<&str> = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("\"number\": "))
        .collect();

    let numbers: Vec<&str> = numbers.iter().map(|number| number.trim_end_matches(',')).collect();
    assert_eq!(numbers, ["2", "4"], "{said}");

    assert_eq!(
        (said.matches("signature ok").count(), said.matches("REFUSED").count()),
        (2, 0),
        "{said}"
    );

    for child in [&mut follower, &mut program] {
        child.kill().expect("it runs");
        child.wait().expect("it ended");
    }
}
