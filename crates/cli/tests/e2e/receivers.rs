//! Receivers that are down or hang.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::http::{Sink, eventually};
use crate::server::{Engine, Server};

pub(crate) fn a_receiver_that_is_down_gets_its_event_later(engine: Engine) {
    let sink = Sink::start(|number| Some(if number <= 3 { 503 } else { 200 }));
    let server = Server::start(
        &engine,
        &[("QUICKDRAW__DELIVERY__RETRY", "[\"50ms\", \"50ms\", \"50ms\", \"50ms\"]")],
    );
    server.make_project();
    server.make_hook(&sink.url(), "");

    let event = server.report(1).expect("accepted");
    let path = format!("/api/v1/deliveries?event={event}");
    eventually("the fourth attempt delivers it", || {
        server.get(&path)["items"][0]["state"] == "delivered"
    });

    let keys: HashSet<String> = sink
        .got()
        .iter()
        .map(|got| got.headers["Idempotency-Key"].clone())
        .collect();

    assert_eq!((sink.got().len(), keys.len()), (4, 1), "four attempts with one key");
    assert_eq!(server.get(&path)["items"][0]["attempts"], 4);
}

pub(crate) fn a_receiver_that_hangs_does_not_delay_another(engine: Engine) {
    let (stuck, well) = (Sink::start(|_| None), Sink::start(|_| Some(200)));
    let server = Server::start(&engine, &[]);
    server.make_project();
    server.make_hook(&stuck.url(), "");
    server.make_hook(&well.url(), "");

    let started = Instant::now();
    for number in 0..60 {
        server.report(number).expect("accepted");
    }

    eventually("the other hook got all events", || well.got().len() == 60);

    // The hanging receiver is still within its first time limit of ten seconds.
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "it took {:?}",
        started.elapsed()
    );

    assert!(stuck.got().len() < 60, "a hanging receiver holds only its own permits");
}
