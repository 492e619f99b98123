//! The time until which all accepted events are counted, and requests that wait for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use quickdraw_domain::health::DisablePolicy;
use quickdraw_domain::retry::RetryPolicy;
use quickdraw_domain::settle::Policies;
use quickdraw_domain::{ProjectId, Timestamp};
use quickdraw_engine::{Clock as _, Engine, Waited};

use crate::chance::{BEGINNING, Dice, Manual};
use crate::database::{Database, Home, open};
use crate::parts::{self, Nobody};

/// Number of requests that can wait at once.
const MAX_WAITING: usize = 64;

struct Place {
    home: Home,
    clock: Arc<Manual>,
    engine: Arc<Engine>,
    project: ProjectId,
}

impl Place {
    async fn new(number: u64, database: &Database) -> Self {
        let clock = Manual::new(Dice(Arc::new(std::sync::Mutex::new(number))));
        let home = Home::new(4_000_000 + number, database).await;
        let store = open(&home.url).await;
        let project = parts::project(&store, clock.now()).await;

        let policies = Policies {
            retry: RetryPolicy::standard(),
            disable: DisablePolicy::Published,
        };
        let engine = parts::engine(store, Arc::new(Nobody), clock.clone(), Arc::new(policies)).await;

        Self {
            home,
            clock,
            engine,
            project,
        }
    }

    async fn push(&self) {
        parts::push(&self.engine, self.project, None, br#"{"object_kind":"push"}"#).await;
    }

    async fn counted_until(&self) -> Timestamp {
        self.engine.insights.counted_until().await.expect("read")
    }
}

pub(crate) async fn the_time_until_which_events_are_counted_never_goes_back(database: Database) {
    let place = Place::new(1, &database).await;
    place.clock.advance(Duration::from_secs(10));

    let shown = place.counted_until().await;
    assert_eq!(shown, BEGINNING.plus(Duration::from_secs(10)), "no event waits");

    // The clock is set back, so the next event is accepted with an earlier time.
    place.clock.jump_back(Duration::from_secs(60));
    place.push().await;
    assert_eq!(place.counted_until().await, shown, "an event waits");

    place.engine.insights.project().await.expect("projected");
    assert_eq!(place.counted_until().await, shown, "the clock is behind");

    place.clock.advance(Duration::from_secs(70));
    assert_eq!(place.counted_until().await, BEGINNING.plus(Duration::from_secs(20)));
    place.home.end().await;
}

pub(crate) async fn the_number_of_requests_that_wait_for_the_count_is_limited(database: Database) {
    let place = Place::new(2, &database).await;
    let insights = &place.engine.insights;
    place.push().await;

    let mut waiting = Vec::new();
    for _ in 0..MAX_WAITING {
        let mut wait = Box::pin(insights.wait_until_counted(Duration::from_secs(30)));
        assert!((&mut wait).now_or_never().is_none(), "the event is not counted");
        waiting.push(wait);
    }

    let next = insights.wait_until_counted(Duration::ZERO).await.expect("read");
    assert_eq!(next, Waited::Refused);

    drop(waiting);

    let next = insights.wait_until_counted(Duration::ZERO).await.expect("read");
    assert_eq!(next, Waited::TimedOut, "others can wait again");

    insights.project().await.expect("projected");

    let next = insights.wait_until_counted(Duration::ZERO).await.expect("read");
    assert_eq!(next, Waited::Counted);
    place.home.end().await;
}
