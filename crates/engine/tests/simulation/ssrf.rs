//! Every case of `fixtures/guard/cases.jsonl` through the real client. Addresses are judged when a request is sent,
//! with a resolver whose answers change. Listeners on forbidden ports must never be called.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use quickdraw_domain::guard::{Question, Settings, judge_resolved, judge_url};
use quickdraw_domain::hook::{HookUrl, NamedValues};
use quickdraw_domain::outcome::{Outcome, Unreachable};
use quickdraw_domain::request::Request;
use quickdraw_domain::{Secret, Timestamp};
use quickdraw_egress::{Call, Client, Failure, Limits, Method, Resolve, ResolveError, Trust};
use quickdraw_engine::Transport;
use quickdraw_engine::delivery::transport::Guarded;
use serde::Deserialize;
use serde_json::Value;

/// A resolver that gives one answer after the other and then repeats the last one.
struct Script(Mutex<Vec<Vec<IpAddr>>>);

impl Resolve for Script {
    fn resolve<'a>(
        &'a self,
        _: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, ResolveError>> + Send + 'a>> {
        let mut answers = self.0.lock().expect("no panic");
        let answer = if answers.len() > 1 {
            answers.remove(0)
        } else {
            answers.first().cloned().unwrap_or_default()
        };

        Box::pin(async move {
            if answer.is_empty() {
                Err(ResolveError("no such name".to_owned()))
            } else {
                Ok(answer)
            }
        })
    }
}

#[derive(Deserialize)]
struct Case {
    id: String,
    expect: String,
    #[serde(default)]
    or: Vec<String>,
    why: String,
    #[serde(flatten)]
    question: Question,
}

fn url(question: &Question) -> Option<HookUrl> {
    let mut values = NamedValues::default();
    for (name, value) in &question.url_variables {
        // A value that is refused on saving is never sent.
        values.set(name, Secret::new(value.as_str())).ok()?;
    }

    HookUrl::parse_with(&question.url, &values).ok()
}

fn request(url: &HookUrl) -> Request {
    Request {
        url: url.clone(),
        headers: Vec::new(),
        body: Bytes::from_static(b"{}"),
        verify_tls: true,
        client_certificate: None,
    }
}

fn client(script: Vec<Vec<IpAddr>>) -> Client {
    let limits = Limits {
        deadline: Duration::from_secs(2),
        ..Limits::default()
    };
    Client::new(limits, Arc::new(Script(Mutex::new(script))), Trust::default()).expect("TLS works")
}

/// Listeners on the loopback ports that the cases name. They count their connections.
#[derive(Default)]
struct Forbidden {
    ports: HashMap<u16, ()>,
    received: Arc<AtomicUsize>,
}

impl Forbidden {
    fn listen(&mut self, port: u16) {
        if self.ports.insert(port, ()).is_some() {
            return;
        }

        // A port that is in use or needs privileges belongs to another program, so the bind may fail.
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else {
            return;
        };
        let received = self.received.clone();

        std::thread::spawn(move || {
            for _ in listener.incoming() {
                received.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

/// The verdict of the client for a case. No connection is opened: the judge function refuses each address after the
/// verdict.
async fn verdict(question: &Question, settings: &Settings) -> &'static str {
    let Some(url) = url(question) else { return "invalid" };
    let answers = [&question.resolves_to, &question.resolves_then];
    let script = answers.into_iter().flatten().cloned().collect();
    let client = client(script);

    if judge_url(&url, settings).is_err() {
        return "blocked";
    }

    let (host, authority, path) = (url.host().to_string(), url.authority(), url.path_and_query());
    let literal: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();

    // A later lookup follows the one on saving or the one of an earlier attempt.
    let looks = if question.is_later() { 2 } else { 1 };
    let mut last = "blocked";

    for _ in 0..looks {
        let call = Call {
            method: Method::POST,
            https: url.is_https(),
            host: &host,
            literal,
            port: url.port(),
            authority: &authority,
            path: &path,
            headers: &[],
            body: Bytes::new(),
            verify_tls: true,
            certificate: None,
        };

        let judge = |found: &[IpAddr]| Err::<(), _>(judge_resolved(&url, found, settings).is_ok());
        last = match client.call(call, judge).await.result {
            Err(Failure::Blocked(true)) => "allowed",
            Err(Failure::Blocked(false) | Failure::Dns(_)) => "blocked",
            other => panic!("{other:?}"),
        };
    }

    last
}

/// Runs all cases and checks that no forbidden address was called.
pub(crate) async fn the_client_follows_every_guard_case_and_calls_no_forbidden_address() {
    let mut forbidden = Forbidden::default();
    let (mut ran, mut refused, mut wrong) = (0, 0, Vec::new());

    for line in include_str!("../../../../fixtures/guard/cases.jsonl").lines() {
        let Case {
            id,
            expect,
            or,
            why,
            question,
        } = serde_json::from_str(line).expect("a case");

        let Ok(settings) = question.settings(&Settings::default()) else {
            continue;
        };
        ran += 1;

        if let Some(answer) = &question.redirect {
            redirect(&id, answer, &mut forbidden).await;
            continue;
        }

        let word = verdict(&question, &settings).await;
        if expect != word && !or.iter().any(|other| other == word) {
            wrong.push(format!("{id} {}: {word}, expected {expect}: {why}", question.url));
        }

        // A blocked URL goes through a whole delivery, which must refuse it.
        if word == "blocked"
            && let Some(url) = url(&question)
        {
            forbidden.listen(url.port());

            let script = vec![question.answer().unwrap_or_default().to_vec()];
            let guarded = Guarded::new(client(script), Arc::new(settings));
            let sent = guarded.send(request(&url), Timestamp::from_seconds(0)).await;
            let unreachable = matches!(
                sent.outcome,
                Outcome::Unreachable(Unreachable::Blocked(_) | Unreachable::Dns)
            );

            assert!(unreachable && sent.address.is_none(), "{id}: {:?}", sent.outcome);
            refused += 1;
        }
    }

    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        ran >= 300 && refused > 100,
        "{ran} cases, {refused} of them refused on delivery"
    );

    assert_eq!(
        forbidden.received.load(Ordering::Relaxed),
        0,
        "a forbidden address was called"
    );

    println!(
        "{ran} cases, {refused} refused on delivery, {} listeners without a connection",
        forbidden.ports.len()
    );
}

/// A receiver answers with a redirect. The redirect is the result, and its target is not called.
async fn redirect(id: &str, answer: &Value, forbidden: &mut Forbidden) {
    let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .expect("a port")
        .local_addr()
        .expect("bound")
        .port();
    forbidden.listen(second);

    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let status = answer["status"].as_u64().expect("a status");

    let receiver = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let (mut stream, _) = listener.accept().await.expect("a call");
        let _ = stream.read(&mut [0; 4096]).await.expect("a request");
        let answer =
            format!("HTTP/1.1 {status} Elsewhere\r\nLocation: http://127.0.0.1:{second}/\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("sent");
    };

    let settings = Settings {
        allow_local_networks: true,
        ..Settings::default()
    };
    let guarded = Guarded::new(client(vec![vec![Ipv4Addr::LOCALHOST.into()]]), Arc::new(settings));
    let url = HookUrl::parse(&format!("http://hooks.example.com:{port}/")).expect("a URL");
    let (sent, ()) = tokio::join!(guarded.send(request(&url), Timestamp::from_seconds(0)), receiver);

    let expected = Outcome::Failed {
        status: u16::try_from(status).expect("small"),
        retry_after: None,
    };
    assert_eq!(sent.outcome, expected, "{id}");
}
