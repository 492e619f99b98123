//! `kill -9` in the middle of a stream of events, several times, with an account of all events. `QUICKDRAW_KILL_ROUNDS`
//! and `QUICKDRAW_KILL_EVENTS` make the test longer, as `./test --long` does.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::http::{Sink, eventually, send};
use crate::server::{Engine, Server, TOKEN};

const PER_SECOND: u32 = 500;

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

pub(crate) fn kill_9_under_load_loses_no_acknowledged_event(engine: Engine) {
    let (rounds, events) = (number("QUICKDRAW_KILL_ROUNDS", 3), number("QUICKDRAW_KILL_EVENTS", 600));
    let sink = Sink::start(|_| Some(200));

    let mut server = Server::start(
        &engine,
        &[
            ("QUICKDRAW__DELIVERY__LEASE", "2s"),
            ("QUICKDRAW__DELIVERY__TIMEOUT", "1s"),
        ],
    );
    server.make_project();
    server.make_hook(&sink.url(), "");

    let acknowledged: Arc<Mutex<HashMap<usize, String>>> = Arc::default();
    let unknown: Arc<Mutex<HashSet<usize>>> = Arc::default();

    for round in 0..rounds {
        let done = Arc::new(AtomicBool::new(false));
        let (port, finished) = (server.port, done.clone());
        let (acks, lost_sight) = (acknowledged.clone(), unknown.clone());

        // Four senders, because one connection at a time would be slower than the rate.
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let (acks, lost_sight, finished) = (acks.clone(), lost_sight.clone(), finished.clone());
                std::thread::spawn(move || {
                    let started = Instant::now();
                    for n in (sender..events).step_by(4) {
                        let due = Duration::from_secs(1) / PER_SECOND * u32::try_from(n).expect("small");
                        std::thread::park_timeout(due.saturating_sub(started.elapsed()));

                        if finished.load(Ordering::Relaxed) {
                            return;
                        }

                        let number = round * events + n;
                        match report(port, number) {
                            Some(id) => drop(acks.lock().expect("no panic").insert(number, id)),
                            // There was no answer, so the event may be in the journal or not.
                            None => drop(lost_sight.lock().expect("no panic").insert(number)),
                        }
                    }
                })
            })
            .collect();

        // The kill comes at a different point in each round.
        let length = Duration::from_secs(1) / PER_SECOND * u32::try_from(events).expect("small");
        std::thread::park_timeout(length * (30 + (u32::try_from(round).expect("small") * 37) % 60) / 100);
        server.kill();
        done.store(true, Ordering::Relaxed);

        for sender in senders {
            sender.join().expect("no panic");
        }

        server.restart();
    }

    let acknowledged = acknowledged.lock().expect("no panic").clone();
    let arrived = || {
        let mut numbers: HashMap<usize, HashSet<String>> = HashMap::new();
        for got in sink.got() {
            let body: serde_json::Value = serde_json::from_slice(&got.body).expect("JSON");
            let number = usize::try_from(body["number"].as_u64().expect("a number")).expect("small");
            numbers
                .entry(number)
                .or_default()
                .insert(got.headers["Idempotency-Key"].clone());
        }

        numbers
    };
    eventually("every acknowledged event is delivered", || {
        let arrived = arrived();
        acknowledged.keys().all(|number| arrived.contains_key(number))
    });

    let numbers = arrived();
    let unknown = unknown.lock().expect("no panic");

    let lost = acknowledged
        .keys()
        .filter(|number| !numbers.contains_key(number))
        .count();

    let unexpected = numbers
        .keys()
        .filter(|n| !acknowledged.contains_key(n) && !unknown.contains(n))
        .count();

    let duplicates = sink.got().len() - numbers.len();
    let _ = writeln!(
        std::io::stdout(),
        "acknowledged {}, lost {lost}, duplicates {duplicates}, without an answer {}, kills {rounds}",
        acknowledged.len(),
        unknown.len()
    );

    assert_eq!((lost, unexpected), (0, 0));
    assert!(
        acknowledged.len() > events / 4,
        "only {} were acknowledged",
        acknowledged.len()
    );

    for (number, keys) in &numbers {
        assert_eq!(keys.len(), 1, "event {number} arrived with several keys");
    }
}

fn report(port: u16, number: usize) -> Option<String> {
    let key = format!("report-{number}");
    let headers = [("PRIVATE-TOKEN", TOKEN), ("Idempotency-Key", key.as_str())];
    let body = format!(
        r#"{{"trigger":"push_hooks","payload":{{"object_kind":"push","ref":"refs/heads/main","number":{number}}}}}"#
    );
    let reply = send(port, "POST", "/api/v1/projects/1/events", &headers, body.as_bytes()).ok()?;

    (reply.status == 202).then(|| reply.json()["id"].as_str().expect("an id").to_owned())
}
