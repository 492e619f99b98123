//! Nineteen kinds of misbehaving receivers beside a healthy one, called by the whole binary. Each attempt must end as
//! expected, within its limits, and without harm to other hooks.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{Sink, eventually, read_request};
use crate::server::{Engine, Server};

const DEADLINE: Duration = Duration::from_secs(2);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Starts a receiver. `play` handles each connection, and may count in the returned number.
fn rogue(play: impl Fn(TcpStream, &AtomicUsize) + Send + Sync + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (play, figure) = (Arc::new(play), Arc::new(AtomicUsize::new(0)));
    let counted = figure.clone();

    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (play, counted) = (play.clone(), counted.clone());
            std::thread::spawn(move || play(stream, &counted));
        }
    });

    (port, figure)
}

/// Answers every request with these bytes and closes.
fn answers(answer: impl Into<Vec<u8>>) -> u16 {
    let answer = answer.into();
    rogue(move |mut stream, _| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(&answer);
        }
    })
    .0
}

/// Sends the beginning at once, and then one byte after the other without end.
fn drips(beginning: &'static str) -> u16 {
    rogue(move |mut stream, _| {
        if read_request(&mut stream).is_none() || stream.write_all(beginning.as_bytes()).is_err() {
            return;
        }

        while stream.write_all(b"a").is_ok() {
            std::thread::sleep(DEADLINE / 10);
        }
    })
    .0
}

/// Hangs until the client closes the connection.
fn hangs(mut stream: TcpStream, _: &AtomicUsize) {
    let mut chunk = [0; 1024];
    while stream.read(&mut chunk).is_ok_and(|n| n > 0) {}
}

/// A port whose backlog is full, so that further connections are not answered. It stays so while the returned values
/// live.
fn full_backlog() -> (u16, TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address: SocketAddr = listener.local_addr().expect("an address");
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
        assert!(waiting.len() < 10_000, "the backlog has no limit");
    }

    (address.port(), listener, waiting)
}

struct Rogue {
    name: &'static str,

    /// The allowed outcomes of the first attempt.
    outcomes: &'static [&'static str],

    /// The longest duration of the first attempt.
    within: Duration,
}

#[expect(clippy::print_stdout, reason = "the durations are the purpose of the output")]
pub(crate) fn nineteen_misbehaving_receivers_do_no_harm(engine: Engine) {
    let settings = [
        ("QUICKDRAW__DELIVERY__TIMEOUT", "2s"),
        ("QUICKDRAW__DELIVERY__RETRY", "gitlab"),
    ];
    let server = Server::start(&engine, &settings);
    server.make_project();

    let well = Sink::start(|_| Some(200));
    server.make_hook(&well.url(), r#","name":"well""#);

    let mut rogues: HashMap<i64, Rogue> = HashMap::new();
    let mut add = |name, url: String, more: &str, outcomes, within| {
        let id = server.make_hook(&url, more)["id"].as_i64().expect("a number");
        rogues.insert(id, Rogue { name, outcomes, within });
        id
    };

    let at = |port: u16| format!("http://127.0.0.1:{port}/in");
    let (slow, soon) = (DEADLINE + Duration::from_millis(500), DEADLINE);

    add(
        "R1 accepts and never answers",
        at(rogue(hangs).0),
        "",
        &["timed_out"],
        slow,
    );

    let (full, _listener, _waiting) = full_backlog();
    add("R2 never accepts", at(full), "", &["timed_out"], slow);

    add(
        "R3 drips in the status line",
        at(drips("HTTP/1.1 200 O")),
        "",
        &["timed_out"],
        slow,
    );

    add(
        "R3 drips in a header",
        at(drips("HTTP/1.1 200 OK\r\nX-Drip: ")),
        "",
        &["timed_out"],
        slow,
    );

    add(
        "R3 drips in the body",
        at(drips("HTTP/1.1 500 No\r\nContent-Length: 9999\r\n\r\n")),
        "",
        &["timed_out"],
        slow,
    );

    let broken: &[&str] = &["broken", "connect"];
    add("R4 closes at once", at(rogue(|_, _| {}).0), "", broken, soon);

    let half = rogue(|mut stream, _| drop(stream.read(&mut [0; 64]))).0;
    add("R4 resets in our body", at(half), "", broken, soon);

    let whole = rogue(|mut stream, _| {
        let _ = read_request(&mut stream);
    })
    .0;
    add("R4 closes after our body", at(whole), "", broken, soon);

    add(
        "R4 breaks off its head",
        at(answers(*b"HTTP/1.1 200 O")),
        "",
        &["broken", "invalid_answer"],
        soon,
    );

    let body = answers(*b"HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nabc");
    add("R4 breaks off its body", at(body), "", broken, soon);

    let early = rogue(|mut stream, _| {
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        std::thread::sleep(Duration::from_millis(200));
    });

    add(
        "R5 answers before it has read our body",
        at(early.0),
        "",
        &["delivered"],
        soon,
    );

    let (endless, sent) = rogue(|mut stream, sent| {
        let _ = read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");

        while stream
            .write_all(b"400\r\n")
            .and_then(|()| stream.write_all(&[b'x'; 0x400]))
            .and_then(|()| stream.write_all(b"\r\n"))
            .is_ok()
        {
            sent.fetch_add(0x400, Ordering::Relaxed);
        }
    });

    add("R6 answers without end", at(endless), "", &["delivered"], soon);

    let zipped = [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n".as_slice(),
        &[0x1f; 100_000],
    ];

    let zipped = add(
        "R7 answers compressed",
        at(answers(zipped.concat())),
        "",
        &["delivered"],
        soon,
    );

    let fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(100_000));
    add(
        "R8 a hundred thousand fields",
        at(answers(fields)),
        "",
        &["invalid_answer"],
        soon,
    );

    let long = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "b".repeat(10_000_000));
    add(
        "R8 one field of ten megabytes",
        at(answers(long)),
        "",
        &["invalid_answer"],
        soon,
    );

    for (name, answer) in [
        ("R9 no status line", "hello\r\n\r\n"),
        ("R9 status 000", "HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n"),
        ("R9 status 1000", "HTTP/1.1 1000 No\r\nContent-Length: 0\r\n\r\n"),
        ("R9 HTTP/0.9", "<html>"),
        (
            "R9 two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ),
        ("R9 NUL in a header", "HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n"),
        ("R19 speaks HTTP/2", "\0\0\u{6}\u{4}\0\0\0\0\0\0\u{3}\0\0\0d"),
    ] {
        add(name, at(answers(answer)), "", &["invalid_answer", "broken"], soon);
    }

    let continues = format!(
        "{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000)
    );

    add(
        "R10 a thousand interim answers",
        at(answers(continues)),
        "",
        &["invalid_answer"],
        soon,
    );

    add(
        "R10 switches protocols",
        at(answers(
            *b"HTTP/1.1 101 Up\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        )),
        "",
        &["failed", "invalid_answer"],
        soon,
    );

    // Sends two answers to each request on one connection.
    let (twice, crosstalk) = rogue(|mut stream, served| {
        while read_request(&mut stream).is_some() {
            let number = served.fetch_add(1, Ordering::Relaxed);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-Number: {number}\r\n\r\na{}",
                String::from_utf8_lossy(OK)
            );
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });

    let twice = add("R11 answers twice", at(twice), "", &["delivered"], soon);
    let (inside, second_hops) = rogue(|stream, hops| {
        hops.fetch_add(1, Ordering::Relaxed);
        hangs(stream, hops);
    });

    let redirect = format!("HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:{inside}/\r\nContent-Length: 0\r\n\r\n");
    add("R12 redirects inside", at(answers(redirect)), "", &["failed"], soon);

    let plain = format!(
        "https://127.0.0.1:{}/in",
        answers(*b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    );
    add("R13 plain text on the TLS port", plain, "", &["tls", "timed_out"], slow);

    add(
        "R13 never agrees on TLS",
        format!("https://127.0.0.1:{}/in", rogue(hangs).0),
        "",
        &["timed_out"],
        slow,
    );

    // Answers as if the connection stayed open, and closes it.
    let (closes, requests) = rogue(|mut stream, requests| {
        if read_request(&mut stream).is_some() {
            requests.fetch_add(1, Ordering::Relaxed);

            let _ = stream.write_all(OK);
        }
    });

    add("R14 closes idle connections", at(closes), "", &["delivered"], soon);

    let mut asking = Vec::new();
    for after in ["0", "-1", "999999999999", "Fri, 01 Jan 2100 00:00:00 GMT", "soon"] {
        let answer = format!("HTTP/1.1 503 Later\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n");
        asking.push(add(
            "R15 sends Retry-After",
            at(answers(answer)),
            r#","retry":"1h,1h""#,
            &["failed"],
            soon,
        ));
    }

    let gone = answers(*b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n");
    let gone = add("R16 is gone", at(gone), r#","retry":"1h,1h""#, &["rejected"], soon);

    add(
        "R18 has no address",
        "http://no-such-name.example/in".to_owned(),
        "",
        &["dns", "timed_out", "blocked"],
        slow,
    );

    let (flapping, answer) = Sink::switchable(200);
    let flaps = add("R17 flaps", flapping.url(), "", &["delivered"], soon);

    let started = Instant::now();
    let event = server.report(1).expect("accepted");

    let attempted = || {
        let view = server.get(&format!("/api/v1/events/{event}"));
        let deliveries = view["deliveries"].as_array().cloned().unwrap_or_default();
        (
            deliveries.len() == rogues.len() + 1 && deliveries.iter().all(|one| one["attempts"].as_u64() > Some(0)),
            deliveries,
        )
    };

    eventually("the healthy receiver got the event", || !well.got().is_empty());

    let first = started.elapsed();
    eventually("all deliveries were attempted", || attempted().0);

    let mut figures = Vec::new();
    for delivery in attempted().1 {
        let hook = delivery["hook_id"].as_i64().expect("a number");
        let Some(rogue) = rogues.get(&hook) else { continue };

        let history = server.get(&format!(
            "/api/v1/deliveries/{}",
            delivery["id"].as_str().expect("an id")
        ));
        let attempt = &history["history"][0];
        let took = Duration::from_micros(attempt["duration_us"].as_u64().expect("a duration"));
        let outcome = attempt["outcome"].as_str().unwrap_or_default().to_owned();

        assert!(rogue.outcomes.contains(&outcome.as_str()), "{}: {attempt}", rogue.name);
        assert!(took <= rogue.within, "{} took {took:?}", rogue.name);

        let kept = attempt["response_body"].as_str().map_or(0, str::len);
        assert!(kept <= 3 * (8 << 10), "{} left {kept} bytes in the history", rogue.name);

        if hook == zipped {
            assert_eq!(
                attempt["response_body"].as_str().map(|body| body.chars().count()),
                Some(8 << 10),
                "the body is stored without decompression"
            );
        }

        if hook == gone {
            assert_eq!(
                (&delivery["state"], &delivery["attempts"]),
                (&Value::from("given_up"), &Value::from(1))
            );
        }

        if asking.contains(&hook) {
            let next = delivery["next_attempt_at"].as_str().expect("there is a next attempt");
            let next: jiff::Timestamp = next.parse().expect("a time");
            let wait = next.duration_since(jiff::Timestamp::now());
            assert!(wait <= jiff::SignedDuration::from_hours(24), "{wait:?}");
        }

        figures.push(format!(
            "{:<34} {outcome:<15} {:>8.1} ms",
            rogue.name,
            took.as_secs_f64() * 1000.0
        ));
    }

    for number in 2..30 {
        server.report(number).expect("accepted");
    }

    eventually("R11, R14 and the healthy receiver got all events", || {
        let all = well.got().len() == 29;
        all && crosstalk.load(Ordering::Relaxed) >= 29 && requests.load(Ordering::Relaxed) >= 29
    });

    assert_eq!(
        requests.load(Ordering::Relaxed),
        29,
        "R14: a closed connection causes no second request"
    );

    let log = server.get(&format!("/api/v4/projects/1/hooks/{twice}/events"));
    for entry in log.as_array().into_iter().flatten() {
        assert_eq!(
            (
                entry["response_body"].as_str(),
                entry["response_headers"]["X-Number"].is_string()
            ),
            (Some("a"), true),
            "R11: {entry}"
        );
    }

    let status = || server.get(&format!("/api/v4/projects/1/hooks/{flaps}"))["alert_status"].clone();
    for (number, answered) in [500, 503, 500, 200].repeat(4).into_iter().chain([500; 4]).enumerate() {
        assert_eq!(
            status(),
            "executable",
            "R17: three failures in a row never disable the hook"
        );

        answer.store(answered, Ordering::Relaxed);

        let event = server.report(100 + number).expect("accepted");
        let path = format!("/api/v1/deliveries?event_id={event}&hook_id={flaps}");
        eventually("the attempt is recorded", || {
            server.get(&path)["items"][0]["attempts"] == 1
        });
    }

    assert_eq!(
        status(),
        "temporarily_disabled",
        "R17: the fourth failure in a row disables the hook"
    );

    assert_eq!(second_hops.load(Ordering::Relaxed), 0, "R12: a redirect was followed");

    // This includes the bytes in the buffers of the kernel.
    let read = sent.load(Ordering::Relaxed) / 29;
    assert!(read < 8 << 20, "R6: {read} bytes of an endless answer");
    assert_eq!(server.call("GET", "/api/v1/health", "").status, 200);
    assert!(!server.output().contains("panicked"), "{}", server.output());
    figures.sort();

    println!(
        "{}\nthe healthy receiver got the event after {first:?}; R6 sent {read} bytes per request",
        figures.join("\n")
    );
}
