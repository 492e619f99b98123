//! The invariants, checked at the end of a world.

use std::collections::HashSet;

use jiff::tz::TimeZone;
use quickdraw_domain::delivery::State;
use quickdraw_domain::{DeliveryId, Timestamp};
use quickdraw_insights::report::report;
use quickdraw_store::attempts::AttemptFilter;
use quickdraw_store::insights::CommitFilter;

use super::World;

impl World {
    /// Checks that every acknowledged event was delivered to each of its hooks, or has a visible final state.
    pub(crate) async fn check(&mut self) {
        let store = self.engine.context.store();
        let seen = self.seen.lock().expect("no panic").keys.clone();

        assert_eq!(
            self.seen.lock().expect("no panic").overlaps,
            0,
            "seed {}: two attempts at once",
            self.seed
        );

        let disorder = self.seen.lock().expect("no panic").disorder.clone();
        assert!(disorder.is_empty(), "seed {}: out of order: {disorder:?}", self.seed);
        self.figures.lines += self.seen.lock().expect("no panic").lines.len();

        let mut expected = HashSet::new();
        for acknowledged in &self.ledger {
            assert!(
                store.find_event(acknowledged.event).await.expect("read").is_some(),
                "seed {}: lost",
                self.seed
            );

            expected.extend(
                acknowledged
                    .perhaps
                    .iter()
                    .map(|hook| DeliveryId::of(acknowledged.event, *hook).to_string()),
            );

            for hook in &acknowledged.hooks {
                let id = DeliveryId::of(acknowledged.event, *hook);
                expected.insert(id.to_string());

                let delivery = store.find_delivery(id).await.expect("read");
                let Some(delivery) = delivery else {
                    // A hook may be deleted before its events are fanned out.
                    assert!(
                        self.deleted.contains(hook),
                        "seed {}: {id} was never created",
                        self.seed
                    );

                    continue;
                };

                let (arrived, accepted) = seen.get(&id.to_string()).copied().unwrap_or_default();
                let attempts = store
                    .list_attempts(AttemptFilter {
                        delivery: Some(id),
                        limit: 1000,
                        ..AttemptFilter::default()
                    })
                    .await
                    .expect("read");
                let unknown = attempts.iter().filter(|attempt| attempt.outcome == "unknown").count();

                match delivery.state {
                    State::Delivered => assert!(accepted, "seed {}: {id} was never accepted", self.seed),
                    State::GivenUp => {
                        assert_eq!(
                            delivery.tally.counted(),
                            5,
                            "seed {}: {id} was given up early",
                            self.seed
                        );

                        self.figures.given_up += 1;
                    }
                    State::Cancelled => assert!(self.deleted.contains(hook), "seed {}: {id}", self.seed),
                    other => panic!("seed {}: {id} is still {other:?}", self.seed),
                }

                assert_eq!(
                    delivery.tally.attempts as usize,
                    attempts.len(),
                    "seed {}: {id}",
                    self.seed
                );

                if !self.deleted.contains(hook) {
                    assert!(
                        attempts.len() >= arrived as usize,
                        "seed {}: {id} arrived {arrived} times and has {} records",
                        self.seed,
                        attempts.len()
                    );
                }

                self.figures.unknown += unknown;
                self.figures.deliveries += 1;
            }
        }

        for key in seen.keys() {
            assert!(
                expected.contains(key),
                "seed {}: {key} was sent but not owed to a hook",
                self.seed
            );
        }

        self.check_insights().await;
        self.figures.events += self.ledger.len();
        self.figures.failures += self.seen.lock().expect("no panic").failures as usize;
    }

    /// Checks that each acknowledged push counts its commit once.
    async fn check_insights(&self) {
        let store = self.engine.context.store();
        let everything = CommitFilter {
            from: Timestamp::from_seconds(0),
            to: Timestamp::from_seconds(9_000_000_000),
            projects: Some(vec![1]),
            identities: None,
        };
        let rows = store.commit_rows(everything.clone()).await.expect("read");
        let cells = store.commit_cells(everything).await.expect("read");

        let distinct: HashSet<&str> = self
            .ledger
            .iter()
            .map(|acknowledged| acknowledged.sha.as_str())
            .collect();

        let counted = report(&cells, &rows, &TimeZone::UTC);
        assert_eq!(
            (counted.commits, rows.len()),
            (distinct.len() as i64, distinct.len()),
            "seed {}",
            self.seed
        );
    }
}
