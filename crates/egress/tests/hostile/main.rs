//! Tests the client against misbehaving receivers. Each case has a scripted server on loopback.

mod certificates;
mod destinations;
mod mail;
mod proxy;
mod server;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quickdraw_egress::{Answer, Call, Client, Failure, Limits, Method, Report, Resolve, ResolveError, Stage, Trust};
use server::{Script, Server};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A resolver that answers each look-up with the next list. The last list repeats.
struct Scripted(Vec<Vec<IpAddr>>, AtomicUsize);

impl Resolve for Scripted {
    fn resolve<'a>(
        &'a self,
        _name: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, ResolveError>> + Send + 'a>> {
        let turn = self.1.fetch_add(1, Ordering::Relaxed).min(self.0.len() - 1);
        Box::pin(async move { Ok(self.0[turn].clone()) })
    }
}

fn resolver(answers: &[&[&str]]) -> Arc<Scripted> {
    let parse = |list: &&[&str]| list.iter().map(|text| text.parse().expect("an address")).collect();
    Arc::new(Scripted(answers.iter().map(parse).collect(), AtomicUsize::new(0)))
}

fn limits() -> Limits {
    Limits {
        deadline: Duration::from_millis(600),
        connect: Duration::from_millis(300),
        ..Limits::default()
    }
}

fn client() -> Client {
    Client::new(limits(), resolver(&[&["127.0.0.1"]]), Trust::default()).expect("TLS can be set up")
}

fn anything(_: &[IpAddr]) -> Result<(), &'static str> {
    Ok(())
}

async fn post(client: &Client, port: u16, body: Bytes) -> Report<&'static str> {
    let headers = [
        ("Content-Type".into(), "application/json".to_owned()),
        ("X-Gitlab-Token".into(), "s".to_owned()),
        ("webhook-id".into(), "1".to_owned()),
    ];

    let authority = format!("hooks.example.com:{port}");
    let call = Call {
        method: Method::POST,
        https: false,
        host: "hooks.example.com",
        literal: None,
        port,
        authority: &authority,
        path: "/in?x={y}",
        headers: &headers,
        body,
        verify_tls: true,
        certificate: None,
    };
    client.call(call, anything).await
}

async fn get_answer(script: Script) -> Result<Answer, Failure<&'static str>> {
    let server = Server::start(script).await;
    post(&client(), server.port, Bytes::from_static(b"{}")).await.result
}

#[tokio::test]
async fn the_bytes_on_the_wire_are_the_ones_we_promise() {
    let server = Server::start(Script::answers(&[OK])).await;
    let report = post(&client(), server.port, Bytes::from_static(b"{\"a\":1}")).await;
    let answer = report.result.expect("an answer");
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));

    let expected = format!(
        "POST /in?x={{y}} HTTP/1.1\r\nHost: hooks.example.com:{}\r\nContent-Type: application/json\r\n\
         X-Gitlab-Token: s\r\nWebhook-Id: 1\r\nContent-Length: 7\r\n\r\n{{\"a\":1}}",
        server.port
    );
    assert_eq!(server.received(), expected);
    assert_eq!(report.address.map(|address| address.port()), Some(server.port));
}

#[tokio::test]
async fn a_kept_connection_is_used_again_only_while_it_is_clean() {
    let server = Server::start(Script::answers(&[OK, OK])).await;
    let client = client();
    for _ in 0..2 {
        assert!(post(&client, server.port, Bytes::new()).await.result.is_ok());
    }

    assert_eq!(server.connections(), 1);

    // Bytes after an answer must never be read as the next answer.
    let chatty = format!("{OK}HTTP/1.1 500 Unrequested\r\nContent-Length: 0\r\n\r\n");
    let server = Server::start(Script::answers(&[&chatty])).await;

    for _ in 0..3 {
        assert_eq!(
            post(&client, server.port, Bytes::new())
                .await
                .result
                .expect("an answer")
                .status,
            200
        );
    }

    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_attempt() {
    let server = Server::start(Script::answers(&[OK]).then_close()).await;
    let client = client();

    for _ in 0..20 {
        assert_eq!(
            post(&client, server.port, Bytes::new())
                .await
                .result
                .expect("an answer")
                .status,
            200
        );
    }

    assert_eq!(server.requests(), 20, "each request arrived once");

    // The peer closes the kept connection without an answer. The request may have been read, so it is repeated once.
    let server = Server::start(Script::answers(&[OK, ""]).then_close()).await;
    for _ in 0..2 {
        assert_eq!(
            post(&client, server.port, Bytes::new())
                .await
                .result
                .expect("an answer")
                .status,
            200
        );
    }

    assert_eq!((server.requests(), server.connections()), (3, 2));

    // A new connection that breaks counts as a failure of the receiver.
    let server = Server::start(Script::answers(&[""]).then_close()).await;
    assert!(matches!(
        post(&client, server.port, Bytes::new()).await.result,
        Err(Failure::Broken(_))
    ));

    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn the_time_of_each_phase_is_known_even_when_the_deadline_ends_it() {
    let server = Server::start(Script::answers(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"; 2])).await;
    let client = client();
    let first = post(&client, server.port, Bytes::new()).await.timing;
    assert!(first.resolve.is_some() && first.connect.is_some() && first.wait.is_some() && first.read.is_some());
    assert_eq!((first.tls, first.tls_version), (None, None));

    let kept = post(&client, server.port, Bytes::new()).await.timing;
    assert!(
        kept.connect.is_none() && kept.wait.is_some(),
        "a kept connection needs no connecting"
    );

    let silent = Server::start(Script::silent()).await;
    let report = post(&client, silent.port, Bytes::new()).await;
    assert!(matches!(report.result, Err(Failure::TimedOut(Stage::Waiting))));

    let waited = report.timing.wait.expect("it waited");
    assert!(
        waited > limits().deadline / 2 && report.timing.read.is_none(),
        "{:?}",
        report.timing
    );
}

#[tokio::test]
async fn one_deadline_covers_every_way_of_being_slow() {
    let (head, body) = (
        "HTTP/1.1 200 OK\r\nX-Slow: ",
        "HTTP/1.1 500 Oops\r\nContent-Length: 900\r\n\r\n",
    );

    for (script, stage) in [
        (Script::silent(), Stage::Waiting),
        (Script::drips("", "HTTP/1.1 200 OK\r\n"), Stage::Waiting),
        (
            Script::drips(head, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            Stage::Waiting,
        ),
        (
            Script::drips(body, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
            Stage::Reading,
        ),
    ] {
        let started = Instant::now();
        let failure = get_answer(script).await.expect_err("it is too slow");
        assert!(matches!(failure, Failure::TimedOut(at) if at == stage), "{failure}");
        assert!(started.elapsed() < limits().deadline * 3);
    }
}

#[tokio::test]
async fn answers_are_read_and_kept_within_bounds() {
    let endless = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{}",
        "x".repeat(200_000)
    );
    let answer = get_answer(Script::answers(&[&endless]))
        .await
        .expect("2xx is a success with any body");
    assert_eq!((answer.status, answer.body.len()), (200, 8 << 10));

    let chunks = format!(
        "HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "5\r\nhello\r\n".repeat(40_000)
    );

    assert_eq!(
        get_answer(Script::answers(&[&chunks]))
            .await
            .expect("an answer")
            .body
            .len(),
        8 << 10
    );

    let fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(100_000));
    let long = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "b".repeat(10_000_000));
    for bomb in [fields, long] {
        let failure = get_answer(Script::answers(&[&bomb])).await.expect_err("over the limit");
        assert!(matches!(failure, Failure::InvalidAnswer(_)), "{failure:?}");
    }
}

#[tokio::test]
async fn a_few_interim_answers_are_passed_over_and_many_are_not() {
    let after = |interim: &str, count| format!("{}{OK}", format!("{interim}\r\n\r\n").repeat(count));
    for few in [
        after("HTTP/1.1 103 Early Hints\r\nLink: x", 3),
        after("HTTP/1.1 100 Continue", 10),
    ] {
        assert_eq!(
            get_answer(Script::answers(&[&few])).await.expect("an answer").status,
            200
        );
    }

    for count in [11, 1000, 1_000_000] {
        let many = after("HTTP/1.1 100 Continue", count);
        let failure = get_answer(Script::answers(&[&many])).await.expect_err("too many");
        assert!(matches!(failure, Failure::InvalidAnswer(_)), "{failure:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_not_http_are_an_invalid_answer() {
    for answer in [
        "hello\r\n\r\n",
        "HTTP/0.9\r\n\r\n",
        "HTTP/1.1 99 Odd\r\n\r\n",
        "HTTP/1.1 1000 Odd\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n",
    ] {
        let failure = get_answer(Script::answers(&[answer]).then_close())
            .await
            .expect_err(answer);
        assert!(matches!(failure, Failure::InvalidAnswer(_)), "{answer:?}: {failure:?}");
    }

    let broken = "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc\r\n";
    assert!(get_answer(Script::answers(&[broken]).then_close()).await.is_err());
}

#[tokio::test]
async fn resets_and_refusals_are_different_failures() {
    let failure = get_answer(Script::answers(&[]).then_close())
        .await
        .expect_err("closed without an answer");
    assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");

    let failure = get_answer(Script::answers(&["HTTP/1.1 50"]).then_close())
        .await
        .expect_err("cut in its head");
    assert!(
        matches!(failure, Failure::Broken(_) | Failure::InvalidAnswer(_)),
        "{failure:?}"
    );

    let cut = "HTTP/1.1 204 OK\r\nContent-Length: 50\r\n\r\nabc";
    assert!(
        get_answer(Script::answers(&[cut]).then_close()).await.is_ok(),
        "the status was a success"
    );

    let nobody = Server::start(Script::silent()).await.into_closed_port();
    let report = post(&client(), nobody, Bytes::new()).await;
    assert!(matches!(report.result, Err(Failure::Connect(_))));
}

#[tokio::test]
async fn an_answer_before_the_body_is_read_counts() {
    let server = Server::start(Script::answers_at_once(OK)).await;
    let report = post(&client(), server.port, Bytes::from(vec![b'x'; 20 << 20])).await;
    assert_eq!(report.result.expect("an answer").status, 200);
}

#[tokio::test]
async fn header_values_with_line_breaks_are_refused_at_the_last_gate() {
    let server = Server::start(Script::answers(&[OK])).await;
    let headers = [("X-Gitlab-Token".into(), "a\r\nX-Injected: 1".to_owned())];

    let call = Call {
        method: Method::POST,
        https: false,
        host: "127.0.0.1",
        literal: Some(IpAddr::from([127, 0, 0, 1])),
        port: server.port,
        authority: "127.0.0.1",
        path: "/",
        headers: &headers,
        body: Bytes::new(),
        verify_tls: true,
        certificate: None,
    };
    let report = client().call(call, anything).await;
    assert!(matches!(report.result, Err(Failure::Request(_))));
    assert_eq!(server.received(), "");
}
