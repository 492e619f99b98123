//! The relay under load, while receivers fail and the server is killed.

use std::collections::{HashMap, HashSet};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gitlab::{SENDER, push_of};
use crate::http::{Sink, eventually};
use crate::server::{Engine, Server};

/// Receivers, and their answers while they fail. `None` hangs.
const ANSWERS: [(&str, Option<u16>); 5] = [
    ("well", Some(200)),
    ("down", Some(503)),
    ("down too", Some(502)),
    ("hangs", None),
    ("limits the rate", Some(429)),
];

/// Receivers that fail until they are repaired.
struct Receivers {
    failing: Arc<AtomicBool>,
    sinks: [Sink; 5],
}

impl Receivers {
    fn start(server: &Server) -> Self {
        let failing = Arc::new(AtomicBool::new(true));
        let sinks = ANSWERS.map(|(_, answer)| {
            let failing = failing.clone();
            Sink::start(move |_| {
                if failing.load(Ordering::Relaxed) {
                    answer
                } else {
                    Some(200)
                }
            })
        });

        for sink in &sinks {
            let body = json!({ "url": sink.url(), "push_events": true });
            server.create("/api/v4/projects/gear%2Fsoft%2Frope/hooks", &body);
        }

        Self { failing, sinks }
    }

    fn repair(&self) {
        self.failing.store(false, Ordering::Relaxed);
    }

    /// The number of requests for each event that a receiver has.
    fn has(sink: &Sink) -> HashMap<u64, usize> {
        let mut has = HashMap::new();
        for got in sink.got() {
            let body: Value = serde_json::from_slice(&got.body).expect("JSON");
            *has.entry(body["number"].as_u64().expect("a number")).or_default() += 1;
        }

        has
    }

    /// Waits until every receiver has all events, for at most five minutes.
    fn wait_for(&self, events: &HashSet<u64>) {
        for (sink, (name, _)) in self.sinks.iter().zip(ANSWERS) {
            let deadline = Instant::now() + Duration::from_secs(300);
            loop {
                let has = Self::has(sink);
                if events.iter().all(|event| has.contains_key(event)) {
                    break;
                }

                let (some, all) = (has.len(), events.len());
                assert!(Instant::now() < deadline, "the receiver {name:?} has {some} of {all}");
                std::thread::park_timeout(Duration::from_millis(200));
            }
        }
    }
}

/// The senders of a GitLab. They post 500 events per second on average.
struct Load {
    events: usize,
    port: u16,
    started: Instant,
    next: AtomicUsize,
    acknowledged: Mutex<HashSet<u64>>,
    unanswered: AtomicUsize,
}

impl Load {
    fn new(events: usize, port: u16) -> Self {
        Self {
            events,
            port,
            started: Instant::now(),
            next: AtomicUsize::new(1),
            acknowledged: Mutex::default(),
            unanswered: AtomicUsize::new(0),
        }
    }

    /// Posts events until none is left.
    fn post(&self) {
        loop {
            let event = self.next.fetch_add(1, Ordering::Relaxed);
            if event > self.events {
                return;
            }

            let event = event as u64;
            std::thread::sleep(Duration::from_millis(event * 2).saturating_sub(self.started.elapsed()));

            // A sender waits until the server listens, so only events that a kill interrupts have no answer.
            eventually("the server listens", || {
                TcpStream::connect(("127.0.0.1", self.port)).is_ok()
            });

            let key = format!("event-{event}");
            let reply = SENDER.try_post(self.port, "Push Hook", &key, push_of(event).as_bytes());

            if reply.is_ok_and(|reply| reply.status == 200) {
                self.acknowledged.lock().expect("no panic").insert(event);
            } else {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Posts all events from eight threads, and kills the server after each quarter but the last.
    fn run(&self, server: &mut Server) {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| self.post());
            }

            for quarter in 1..=3 {
                eventually("the next quarter is sent", || {
                    self.next.load(Ordering::Relaxed) >= self.events * quarter / 4
                });
                server.kill();
                server.restart();
            }
        });
    }

    fn acknowledged(&self) -> HashSet<u64> {
        self.acknowledged.lock().expect("no panic").clone()
    }
}

fn count(server: &Server, state: &str) -> usize {
    let list = server.get(&format!("/api/v1/deliveries?state={state}"))["items"].clone();
    list.as_array().expect("a list").len()
}

#[expect(clippy::print_stdout, reason = "the figures are the purpose of a long run")]
fn print_figures(load: &Load, receivers: &Receivers, sent: Duration) {
    println!(
        "relay: {} acknowledged of {} in {sent:.1?}, {} without an answer, 3 kills; all receivers have all events after {:.1?}",
        load.acknowledged().len(),
        load.events,
        load.unanswered.load(Ordering::Relaxed),
        load.started.elapsed()
    );

    for (sink, (name, _)) in receivers.sinks.iter().zip(ANSWERS) {
        let has = Receivers::has(sink);
        let requests: usize = has.values().sum();
        println!("  {name:<18} {:>6} events, {requests:>6} requests", has.len());
    }
}

fn start(engine: &Engine) -> Server {
    let settings = [
        (
            "QUICKDRAW__DELIVERY__RETRY",
            r#"["1s", "1s", "2s", "2s", "5s", "5s", "5s", "5s", "5s", "5s", "5s", "5s"]"#,
        ),
        ("QUICKDRAW__DELIVERY__TIMEOUT", "2s"),
        ("QUICKDRAW__DELIVERY__LEASE", "5s"),
        ("QUICKDRAW__DELIVERY__AUTO_DISABLE", "off"),
    ];
    let server = Server::start(engine, &settings);
    SENDER.post(&server, "Push Hook", "first", push_of(0)).check(200);

    server
}

/// The number of events. `QUICKDRAW_RELAY_EVENTS=10000` makes a long run.
fn events() -> usize {
    let number = std::env::var("QUICKDRAW_RELAY_EVENTS").ok();
    number.and_then(|text| text.parse().ok()).unwrap_or(1500)
}

/// Meanwhile two of five receivers are down, one hangs, one answers 429, and the server is killed three times.
pub(crate) fn a_relay_loses_no_event_despite_kills_and_failing_receivers(engine: Engine) {
    let mut server = start(&engine);
    let receivers = Receivers::start(&server);
    let load = Load::new(events(), server.port);

    load.run(&mut server);

    let sent = load.started.elapsed();
    let acknowledged = load.acknowledged();
    assert!(acknowledged.len() * 2 > load.events, "the run is not meaningful");

    receivers.repair();
    receivers.wait_for(&acknowledged);
    eventually("no delivery is owed", || {
        count(&server, "waiting") + count(&server, "retrying") == 0
    });

    assert_eq!(count(&server, "given_up"), 0);
    print_figures(&load, &receivers, sent);
}
