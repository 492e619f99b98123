//! `kill -9` in the middle of a stream of events, several times, with an account of all events. `QUICKDRAW_KILL_ROUNDS`
//! and `QUICKDRAW_KILL_EVENTS` make the test longer, as `./test --long` does.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::http::{Sink, eventually, send};
use crate::server::{Engine, Server, TOKEN};

const PER_SECOND: u32 = 500;

/// The leases of a killed server end soon with these settings.
const SHORT: [(&str, &str); 2] = [
    ("QUICKDRAW__DELIVERY__LEASE", "2s"),
    ("QUICKDRAW__DELIVERY__TIMEOUT", "1s"),
];

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

/// The numbers of the events that were sent.
#[derive(Default)]
struct Account {
    /// With their ids.
    acknowledged: Mutex<HashMap<usize, String>>,

    /// There was no answer, so the event may be in the journal or not.
    unknown: Mutex<HashSet<usize>>,
}

impl Account {
    /// Reports an event and enters the result.
    fn report(&self, port: u16, number: usize) {
        match report(port, number) {
            Some(id) => drop(self.acknowledged.lock().expect("no panic").insert(number, id)),
            None => drop(self.unknown.lock().expect("no panic").insert(number)),
        }
    }

    /// Reports every fourth number of the range from the first one on, at a steady rate, until `ended` is true.
    fn report_every_fourth(&self, port: u16, numbers: Range<usize>, first: usize, ended: &AtomicBool) {
        let started = Instant::now();
        for n in (first..numbers.len()).step_by(4) {
            std::thread::park_timeout(length(n).saturating_sub(started.elapsed()));
            if ended.load(Ordering::Relaxed) {
                return;
            }

            self.report(port, numbers.start + n);
        }
    }
}

/// The time in which so many events are sent.
fn length(events: usize) -> Duration {
    Duration::from_secs(1) / PER_SECOND * u32::try_from(events).expect("small")
}

/// Sends events and kills the server in between, at a different point in each round.
fn send_and_kill(server: &mut Server, account: &Account, round: usize, events: usize) {
    let ended = AtomicBool::new(false);
    let port = server.port;
    let numbers = round * events..(round + 1) * events;

    std::thread::scope(|scope| {
        // Four senders, because one connection at a time would be slower than the rate.
        for first in 0..4 {
            let (numbers, ended) = (numbers.clone(), &ended);
            scope.spawn(move || account.report_every_fourth(port, numbers, first, ended));
        }

        let percent = 30 + (u32::try_from(round).expect("small") * 37) % 60;
        std::thread::park_timeout(length(events) * percent / 100);
        server.kill();
        ended.store(true, Ordering::Relaxed);
    });
}

/// The numbers of the events that arrived, with the keys of their requests.
fn arrived(sink: &Sink) -> HashMap<usize, HashSet<String>> {
    let mut numbers: HashMap<usize, HashSet<String>> = HashMap::new();
    for got in sink.got() {
        let body: serde_json::Value = serde_json::from_slice(&got.body).expect("JSON");
        let number = usize::try_from(body["number"].as_u64().expect("a number")).expect("small");
        let key = got.headers["Idempotency-Key"].clone();
        numbers.entry(number).or_default().insert(key);
    }

    numbers
}

/// Checks that all acknowledged events arrived, no others, and each with one key.
fn check_account(account: &Account, sink: &Sink, rounds: usize) {
    let acknowledged = account.acknowledged.lock().expect("no panic");
    let unknown = account.unknown.lock().expect("no panic");
    let numbers = arrived(sink);

    let is_sent = |number: &&usize| acknowledged.contains_key(*number) || unknown.contains(*number);
    let unexpected = numbers.keys().filter(|number| !is_sent(number)).count();

    let lost = acknowledged
        .keys()
        .filter(|number| !numbers.contains_key(number))
        .count();

    let duplicates = sink.got().len() - numbers.len();
    let (known, unanswered) = (acknowledged.len(), unknown.len());

    let _ = writeln!(
        std::io::stdout(),
        "acknowledged {known}, lost {lost}, duplicates {duplicates}, without an answer {unanswered}, kills {rounds}",
    );

    assert_eq!((lost, unexpected), (0, 0));
    for (number, keys) in &numbers {
        assert_eq!(keys.len(), 1, "event {number} arrived with several keys");
    }
}

pub(crate) fn kill_9_under_load_loses_no_acknowledged_event(engine: Engine) {
    let (rounds, events) = (number("QUICKDRAW_KILL_ROUNDS", 3), number("QUICKDRAW_KILL_EVENTS", 600));
    let sink = Sink::start(|_| Some(200));
    let mut server = Server::start(&engine, &SHORT);
    server.make_project();
    server.make_hook(&sink.url(), "");

    let account = Account::default();
    for round in 0..rounds {
        send_and_kill(&mut server, &account, round, events);
        server.restart();
    }

    let acknowledged = account.acknowledged.lock().expect("no panic").clone();
    assert!(acknowledged.len() > events / 4, "only {}", acknowledged.len());

    eventually("every acknowledged event is delivered", || {
        let arrived = arrived(&sink);
        acknowledged.keys().all(|number| arrived.contains_key(number))
    });

    check_account(&account, &sink, rounds);
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
