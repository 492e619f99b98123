//! Nineteen kinds of misbehaving receivers beside a healthy one, called by the whole binary. Each attempt must end as
//! expected, within its limits, and without harm to other hooks.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Sink, check_parts, eventually};
use crate::misbehaving::{
    DEADLINE, FullBacklog, answers, answers_compressed, answers_early, answers_twice, answers_without_end,
    asks_to_wait, closes_after_the_request, closes_at_once, closes_idle_connections, drips, hangs, is_gone,
    redirects_to, resets_in_the_request, rogue,
};
use crate::server::{Engine, Server};

/// The longest attempt of a receiver that does not answer.
const SLOW: Duration = Duration::from_millis(2500);

/// The retry policy of a receiver whose next attempt must not run during a test.
const RETRY: &str = r#","retry":"1h,1h""#;

/// A misbehaving receiver.
struct Rogue {
    name: &'static str,

    /// The allowed outcomes of the first attempt.
    outcomes: &'static [&'static str],

    /// The longest duration of the first attempt.
    within: Duration,
}

/// A server with hooks for misbehaving receivers and for a healthy one.
struct Scene {
    server: Server,
    healthy: Sink,
    rogues: HashMap<i64, Rogue>,
}

impl Scene {
    fn start(engine: &Engine) -> Self {
        let settings = [
            ("QUICKDRAW__DELIVERY__TIMEOUT", "2s"),
            ("QUICKDRAW__DELIVERY__RETRY", "gitlab"),
        ];
        let server = Server::start(engine, &settings);
        server.make_project();

        let healthy = Sink::start(|_| Some(200));
        server.make_hook(&healthy.url(), r#","name":"healthy""#);

        Self {
            server,
            healthy,
            rogues: HashMap::new(),
        }
    }

    /// Adds a hook for a receiver and returns its id.
    fn add_url(&mut self, name: &'static str, url: &str, more: &str, rogue: Rogue) -> i64 {
        let id = self.server.make_hook(url, more)["id"].as_i64().expect("a number");
        self.rogues.insert(id, Rogue { name, ..rogue });
        id
    }

    /// Adds a receiver whose attempts end within the time limit.
    fn add(&mut self, name: &'static str, port: u16, outcomes: &'static [&'static str]) -> i64 {
        self.add_with(name, port, "", outcomes)
    }

    fn add_with(&mut self, name: &'static str, port: u16, more: &str, outcomes: &'static [&'static str]) -> i64 {
        let url = format!("http://127.0.0.1:{port}/in");
        self.add_url(name, &url, more, within(DEADLINE, outcomes))
    }

    /// Adds a receiver whose attempts may use the whole time limit.
    fn add_slow(&mut self, name: &'static str, url: &str, outcomes: &'static [&'static str]) {
        self.add_url(name, url, "", within(SLOW, outcomes));
    }

    /// The deliveries of an event, after each hook was called. `None` until then.
    fn attempted(&self, event: &str) -> Option<Vec<Value>> {
        let deliveries = self.server.get(&format!("/api/v1/events/{event}"))["deliveries"].clone();
        let deliveries = deliveries.as_array()?.clone();
        let all = deliveries.len() == self.rogues.len() + 1;
        let called = deliveries.iter().all(|one| one["attempts"].as_u64() > Some(0));

        (all && called).then_some(deliveries)
    }

    /// Reports the first event and waits until each hook was called. Returns the deliveries.
    fn call_all(&self) -> Vec<Value> {
        let event = self.server.report(1).expect("accepted");
        eventually("the healthy receiver got the event", || !self.healthy.got().is_empty());

        let mut deliveries = None;
        eventually("all deliveries were attempted", || {
            deliveries = self.attempted(&event);
            deliveries.is_some()
        });

        deliveries.expect("all were attempted")
    }

    /// The first attempt of a delivery.
    fn first_attempt(&self, delivery: &Value) -> Value {
        let id = delivery["id"].as_str().expect("an id");
        self.server.get(&format!("/api/v1/deliveries/{id}"))["history"][0].clone()
    }

    /// Reports 28 more events, and waits until the healthy receiver has all 29.
    fn report_more(&self) {
        for number in 2..30 {
            self.server.report(number).expect("accepted");
        }

        eventually("the healthy receiver got all events", || self.healthy.got().len() == 29);
    }

    fn check_health(&self) {
        self.server.call("GET", "/api/v1/health", "").check(200);

        let output = self.server.output();
        assert!(!output.contains("panicked"), "{output}");
    }
}

fn within(within: Duration, outcomes: &'static [&'static str]) -> Rogue {
    Rogue {
        name: "",
        outcomes,
        within,
    }
}

fn at(port: u16) -> String {
    format!("http://127.0.0.1:{port}/in")
}

/// Checks the outcome, the duration and the stored answer of an attempt. Returns a line for the output.
fn check_attempt(rogue: &Rogue, attempt: &Value) -> String {
    let took = Duration::from_micros(attempt["duration_us"].as_u64().expect("a duration"));
    let outcome = attempt["outcome"].as_str().unwrap_or_default();
    assert!(rogue.outcomes.contains(&outcome), "{}: {attempt}", rogue.name);
    assert!(took <= rogue.within, "{} took {took:?}", rogue.name);

    let kept = attempt["response_body"].as_str().map_or(0, str::len);
    assert!(kept <= 3 * (8 << 10), "{} left {kept} bytes in the history", rogue.name);

    let milliseconds = took.as_secs_f64() * 1000.0;
    format!("{:<34} {outcome:<15} {milliseconds:>8.1} ms", rogue.name)
}

/// R1 to R3, R13 and R18: receivers that do not answer in time, or at all.
fn add_hanging(scene: &mut Scene, full: &FullBacklog) {
    let timed_out = &["timed_out"];
    scene.add_slow("R1 accepts and never answers", &at(rogue(hangs).0), timed_out);
    scene.add_slow("R2 never accepts", &at(full.port), timed_out);

    let status = drips("HTTP/1.1 200 O");
    scene.add_slow("R3 drips in the status line", &at(status), timed_out);

    let header = drips("HTTP/1.1 200 OK\r\nX-Drip: ");
    scene.add_slow("R3 drips in a header", &at(header), timed_out);

    let body = drips("HTTP/1.1 500 No\r\nContent-Length: 9999\r\n\r\n");
    scene.add_slow("R3 drips in the body", &at(body), timed_out);

    let plain = answers(*b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let url = format!("https://127.0.0.1:{plain}/in");
    scene.add_slow("R13 plain text on the TLS port", &url, &["tls", "timed_out"]);

    let url = format!("https://127.0.0.1:{}/in", rogue(hangs).0);
    scene.add_slow("R13 never agrees on TLS", &url, timed_out);

    let outcomes = &["dns", "timed_out", "blocked"];
    scene.add_slow("R18 has no address", "http://no-such-name.example/in", outcomes);
}

/// R4 and R5: receivers that close or answer too early.
fn add_closing(scene: &mut Scene) {
    let broken = &["broken", "connect"];
    scene.add("R4 closes at once", closes_at_once(), broken);
    scene.add("R4 resets in our body", resets_in_the_request(), broken);
    scene.add("R4 closes after our body", closes_after_the_request(), broken);

    let head = answers(*b"HTTP/1.1 200 O");
    scene.add("R4 breaks off its head", head, &["broken", "invalid_answer"]);

    let body = answers(*b"HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nabc");
    scene.add("R4 breaks off its body", body, broken);

    scene.add(
        "R5 answers before it has read our body",
        answers_early(),
        &["delivered"],
    );
}

/// R8 to R10 and R19: receivers whose answers break the rules of HTTP, or the limits.
fn add_invalid(scene: &mut Scene) {
    let fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(100_000));
    scene.add("R8 a hundred thousand fields", answers(fields), &["invalid_answer"]);

    let long = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "b".repeat(10_000_000));
    scene.add("R8 one field of ten megabytes", answers(long), &["invalid_answer"]);

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
        scene.add(name, answers(answer), &["invalid_answer", "broken"]);
    }

    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    let continues = answers(format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    scene.add("R10 a thousand interim answers", continues, &["invalid_answer"]);

    let switches = answers(*b"HTTP/1.1 101 Up\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    scene.add("R10 switches protocols", switches, &["failed", "invalid_answer"]);
}

/// The values of `Retry-After` that R15 sends.
const RETRY_AFTER: [&str; 5] = ["0", "-1", "999999999999", "Fri, 01 Jan 2100 00:00:00 GMT", "soon"];

/// R6, R7, R11, R12 and R14 to R17: receivers that also have a test of their own.
fn add_others(scene: &mut Scene) {
    let delivered = &["delivered"];
    scene.add("R6 answers without end", answers_without_end().0, delivered);
    scene.add("R7 answers compressed", answers_compressed(), delivered);
    scene.add("R11 answers twice", answers_twice().0, delivered);
    scene.add("R12 redirects inside", redirects_to(rogue(hangs).0), &["failed"]);
    scene.add("R14 closes idle connections", closes_idle_connections().0, delivered);

    for after in RETRY_AFTER {
        scene.add_with("R15 sends Retry-After", asks_to_wait(after), RETRY, &["failed"]);
    }

    scene.add_with("R16 is gone", is_gone(), RETRY, &["rejected"]);
    scene.add("R17 flaps", Sink::start(|_| Some(200)).port, delivered);
}

#[expect(clippy::print_stdout, reason = "the durations are the purpose of the output")]
pub(crate) fn nineteen_misbehaving_receivers_do_no_harm(engine: Engine) {
    let mut scene = Scene::start(&engine);
    let full = FullBacklog::new();
    add_hanging(&mut scene, &full);
    add_closing(&mut scene);
    add_invalid(&mut scene);
    add_others(&mut scene);

    let started = Instant::now();
    let mut figures = Vec::new();

    for delivery in scene.call_all() {
        let hook = delivery["hook_id"].as_i64().expect("a number");
        if let Some(rogue) = scene.rogues.get(&hook) {
            figures.push(check_attempt(rogue, &scene.first_attempt(&delivery)));
        }
    }

    figures.sort();
    println!("{}\nafter {:?}", figures.join("\n"), started.elapsed());
    scene.report_more();
    scene.check_health();
}

/// Calls one misbehaving receiver and returns its delivery.
fn call_one(scene: &Scene, hook: i64) -> Value {
    let mut deliveries = scene.call_all().into_iter();
    let delivery = deliveries.find(|one| one["hook_id"] == hook);
    delivery.expect("the hook has a delivery")
}

pub(crate) fn an_endless_answer_is_read_in_part(engine: Engine) {
    let mut scene = Scene::start(&engine);
    let (port, sent) = answers_without_end();
    let hook = scene.add("R6", port, &["delivered"]);
    call_one(&scene, hook);
    scene.report_more();

    eventually("all events were delivered", || {
        scene.server.get("/api/v1/deliveries?state=waiting")["items"] == json!([])
    });

    // This includes the bytes in the buffers of the kernel.
    let read = sent.load(Ordering::Relaxed) / 29;
    assert!(read < 8 << 20, "{read} bytes of an endless answer");
    scene.check_health();
}

pub(crate) fn a_compressed_answer_is_stored_without_decompression(engine: Engine) {
    let mut scene = Scene::start(&engine);
    let hook = scene.add("R7", answers_compressed(), &["delivered"]);

    let attempt = scene.first_attempt(&call_one(&scene, hook));
    let body = attempt["response_body"].as_str().expect("a body");
    assert_eq!(body.chars().count(), 8 << 10);
}

pub(crate) fn a_second_answer_is_not_taken_for_the_answer_to_the_next_request(engine: Engine) {
    let mut scene = Scene::start(&engine);
    let (port, served) = answers_twice();
    let hook = scene.add("R11", port, &["delivered"]);
    call_one(&scene, hook);
    scene.report_more();
    eventually("R11 got all events", || served.load(Ordering::Relaxed) >= 29);

    let log = scene.server.get(&format!("/api/v4/projects/1/hooks/{hook}/events"));
    for entry in log.as_array().into_iter().flatten() {
        assert_eq!(entry["response_body"], "a", "{entry}");
        assert!(entry["response_headers"]["X-Number"].is_string(), "{entry}");
    }
}

pub(crate) fn a_redirect_is_not_followed(engine: Engine) {
    let mut scene = Scene::start(&engine);
    let (inside, second_hops) = rogue(|stream, hops| {
        hops.fetch_add(1, Ordering::Relaxed);
        hangs(stream, hops);
    });

    let hook = scene.add("R12", redirects_to(inside), &["failed"]);
    let attempt = scene.first_attempt(&call_one(&scene, hook));
    assert_eq!(attempt["outcome"], "failed");
    scene.report_more();
    assert_eq!(second_hops.load(Ordering::Relaxed), 0);
}

pub(crate) fn a_closed_connection_causes_no_second_request(engine: Engine) {
    let mut scene = Scene::start(&engine);
    let (port, requests) = closes_idle_connections();
    let hook = scene.add("R14", port, &["delivered"]);
    call_one(&scene, hook);
    scene.report_more();

    eventually("R14 got all events", || requests.load(Ordering::Relaxed) >= 29);
    eventually("all attempts are recorded", || {
        scene.server.get("/api/v1/deliveries?state=waiting")["items"] == json!([])
    });
    assert_eq!(requests.load(Ordering::Relaxed), 29);
}

pub(crate) fn a_receiver_cannot_delay_the_next_attempt_by_more_than_a_day(engine: Engine) {
    let mut scene = Scene::start(&engine);
    let hooks = RETRY_AFTER.map(|after| scene.add_with("R15", asks_to_wait(after), RETRY, &["failed"]));

    let mut deliveries = scene.call_all();
    deliveries.retain(|one| hooks.iter().any(|hook| one["hook_id"] == *hook));
    assert_eq!(deliveries.len(), hooks.len());

    for delivery in deliveries {
        let next = delivery["next_attempt_at"].as_str().expect("there is a next attempt");
        let next: jiff::Timestamp = next.parse().expect("a time");
        let wait = next.duration_since(jiff::Timestamp::now());
        assert!(wait <= jiff::SignedDuration::from_hours(24), "{wait:?}");
    }
}

pub(crate) fn the_answer_410_ends_a_delivery(engine: Engine) {
    let mut scene = Scene::start(&engine);
    let hook = scene.add_with("R16", is_gone(), RETRY, &["rejected"]);

    let delivery = call_one(&scene, hook);
    check_parts(&delivery, json!({ "state": "given_up", "attempts": 1 }));
}

/// Lets a receiver answer one event with a status, and waits until the attempt is recorded.
fn answer_once(scene: &Scene, hook: i64, number: usize) {
    let event = scene.server.report(100 + number).expect("accepted");
    let path = format!("/api/v1/deliveries?event={event}&hook={hook}");
    eventually("the attempt is recorded", || {
        scene.server.get(&path)["items"][0]["attempts"] == 1
    });
}

pub(crate) fn four_failures_in_a_row_disable_a_hook(engine: Engine) {
    let mut scene = Scene::start(&engine);
    let (flapping, answer) = Sink::switchable(200);
    let hook = scene.add("R17", flapping.port, &["delivered"]);
    call_one(&scene, hook);

    let path = format!("/api/v4/projects/1/hooks/{hook}");
    let status = || scene.server.get(&path)["alert_status"].clone();
    let flaps = [500, 503, 500, 200].repeat(4);

    for (number, answered) in flaps.into_iter().chain([500; 4]).enumerate() {
        assert_eq!(status(), "executable", "three failures in a row never disable the hook");
        answer.store(answered, Ordering::Relaxed);
        answer_once(&scene, hook, number);
    }

    assert_eq!(status(), "temporarily_disabled");
}
