//! Reports of a forge: saves that become one event, despite crashes at any point, and the store calls of a report.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use quickdraw_domain::Trigger;
use quickdraw_domain::compose::{Happened, Scene, User};
use quickdraw_domain::health::DisablePolicy;
use quickdraw_domain::retry::RetryPolicy;
use quickdraw_domain::scope::{Place, Project};
use quickdraw_domain::settle::Policies;
use quickdraw_engine::{Clock as _, Engine, Filing, ReportError, Reported, Step};
use quickdraw_store::events::EventFilter;
use quickdraw_store::scopes::{Name, ProjectEdit};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::chance::{Dice, Manual};
use crate::database::{Database, Home, open};
use crate::parts::{self, Nobody};

struct Forge {
    home: Home,
    clock: Arc<Manual>,
    engine: Arc<Engine>,
    project: Project,
}

impl Forge {
    async fn new(number: u64, database: &Database) -> Self {
        let clock = Manual::new(Dice(Arc::new(std::sync::Mutex::new(number))));
        let home = Home::new(2_000_000 + number, database).await;
        let store = open(&home.url).await;
        let id = parts::project(&store, clock.now()).await;

        let project = store
            .find_project(Name::Id(id.0))
            .await
            .expect("read")
            .expect("the project exists");

        let engine = Self::start(&home, &clock, Some(store)).await;
        Self {
            home,
            clock,
            engine,
            project,
        }
    }

    async fn start(home: &Home, clock: &Arc<Manual>, store: Option<quickdraw_store::SharedStore>) -> Arc<Engine> {
        let store = match store {
            Some(store) => store,
            None => open(&home.url).await,
        };

        let policies = Arc::new(Policies {
            retry: RetryPolicy::standard(),
            disable: DisablePolicy::Published,
        });
        parts::engine(store, Arc::new(Nobody), clock.clone(), policies).await
    }

    /// Restarts the process. Data in memory is lost.
    async fn restart(&mut self) {
        self.engine.context.store().close().await;
        self.engine = Self::start(&self.home, &self.clock, None).await;
    }

    async fn report(
        &self,
        trigger: &str,
        object: &Value,
        previous: &Value,
        step: Option<Step<'_>>,
        key: Option<&str>,
    ) -> Result<Reported, ReportError> {
        let (object, previous) = (
            to_raw_value(object).expect("JSON"),
            to_raw_value(previous).expect("JSON"),
        );

        let user = User {
            id: 4,
            username: "ida".to_owned(),
            ..User::default()
        };
        let trigger = Trigger::by_name(trigger).expect("a trigger");
        let scene = Scene::Project(&self.project);
        let happened = Happened {
            previous: Some(&previous),
            ..self.engine.context.happened(scene, trigger, &user, &object)
        };
        let filing = Filing {
            key: key.map(str::to_owned),
            operation: step,
            ..Filing::default()
        };
        self.committing(self.engine.journal.report(&happened, filing)).await
    }

    /// Commits arrivals while a step waits for its commit.
    async fn committing<T>(&self, step: impl Future<Output = T>) -> T {
        tokio::pin!(step);

        loop {
            tokio::select! {
                biased;
                done = &mut step => return done,
                _ = self.engine.journal.commit_arrivals() => {}
            }
        }
    }

    /// Saves a new title of an issue in operation `op`.
    async fn save(&self, issue: u32, title: (&str, &str), more: bool, key: Option<&str>) -> Reported {
        let object = json!({"id": issue, "iid": issue, "title": title.1, "action": "update"});
        let step = Step { operation: "op", more };
        let saved = self
            .report("issue_hooks", &object, &json!({"title": title.0}), Some(step), key)
            .await;
        saved.expect("the save is accepted")
    }

    /// The changes of all events, oldest first.
    async fn changes(&self) -> Vec<Value> {
        let store = self.engine.context.store();
        let filter = EventFilter {
            limit: 100,
            ..EventFilter::default()
        };

        let mut found = Vec::new();
        for event in store.list_events(filter).await.expect("read").rows.iter().rev() {
            let (_, body) = store
                .find_event(event.id)
                .await
                .expect("read")
                .expect("the event exists");

            let body: Value = serde_json::from_slice(&body.unpack().expect("unpacked")).expect("JSON");
            found.push(body["changes"].clone());
        }

        found
    }

    async fn end(self) {
        self.engine.context.store().close().await;
        self.home.end().await;
    }
}

fn title(previous: &str, current: &str) -> Value {
    json!({"title": {"previous": previous, "current": current}})
}

pub(crate) async fn several_saves_are_one_event(database: Database) {
    let mut forge = Forge::new(1, &database).await;
    assert_eq!(forge.save(7, ("a", "b"), true, None).await, Reported::Saved);

    // Another object of the same operation becomes another event.
    assert_eq!(forge.save(8, ("x", "y"), true, None).await, Reported::Saved);
    forge.restart().await;
    assert_eq!(forge.save(7, ("b", "c"), true, None).await, Reported::Saved);
    assert_eq!(forge.changes().await, Vec::<Value>::new());

    let ended = forge.save(7, ("c", "d"), false, Some("end of 7")).await;
    assert!(matches!(ended, Reported::Event(_)), "{ended:?}");
    assert_eq!(forge.changes().await, [title("a", "d")]);

    assert_eq!(
        forge.save(7, ("c", "d"), false, Some("end of 7")).await,
        ended,
        "a repeated last save returns the same event"
    );

    // The operation of the other object has no last save. It ends after a minute.
    forge.clock.advance(Duration::from_secs(59));
    forge
        .committing(forge.engine.journal.operations().end_due())
        .await
        .expect("nothing is due");

    assert_eq!(forge.changes().await.len(), 1);
    forge.clock.advance(Duration::from_secs(2));

    forge
        .committing(forge.engine.journal.operations().end_due())
        .await
        .expect("the operation becomes an event");

    assert_eq!(forge.changes().await, [title("a", "d"), title("x", "y")]);
    // A later save is not lost.
    forge.save(8, ("y", "z"), false, None).await;

    forge
        .committing(forge.engine.journal.operations().end_due())
        .await
        .expect("nothing is due");

    assert_eq!(forge.changes().await[2], title("y", "z"));

    // An operation was closed, and the process died before there was an event.
    forge.save(9, ("1", "2"), true, None).await;

    let store = forge.engine.context.store().clone();
    let (place, name) = (Place::Project(forge.project.id), "issue 9 op".to_owned());

    let mut kept = store
        .find_operation(place, name, None)
        .await
        .expect("read")
        .expect("the operation is open");
    (kept.closed, kept.key) = (true, Some("end of 9".to_owned()));
    assert!(store.put_operation(kept).await.expect("written"));
    forge.restart().await;

    let ended = forge.save(9, ("2", "3"), false, Some("end of 9")).await;
    assert_eq!(
        forge.changes().await[3],
        title("1", "2"),
        "the closed operation is not changed"
    );

    forge.clock.advance(Duration::from_secs(120));
    forge
        .committing(forge.engine.journal.operations().end_due())
        .await
        .expect("nothing is left");

    assert_eq!(
        (
            forge.changes().await.len(),
            forge.save(9, ("2", "3"), false, Some("end of 9")).await
        ),
        (4, ended)
    );

    // A save that would make the body too large is refused. The earlier saves stay.
    forge.save(11, ("1", "2"), true, None).await;

    let long = json!({"id": 11, "iid": 11, "description": "x".repeat(3 << 20)});
    let step = |more| Some(Step { operation: "op", more });
    forge
        .report("issue_hooks", &long, &json!({}), step(true), None)
        .await
        .expect("the save is accepted");

    let before = json!({"description": "y".repeat(3 << 20)});
    let refused = forge
        .report("issue_hooks", &json!({"id": 11, "iid": 11}), &before, step(false), None)
        .await;
    assert!(matches!(refused, Err(ReportError::Compose(_))), "{refused:?}");
    forge.save(11, ("2", "3"), false, None).await;
    assert_eq!(forge.changes().await[4], title("1", "3"));

    // The operations of a deleted project are dropped.
    forge.save(10, ("1", "2"), true, None).await;
    forge
        .engine
        .context
        .store()
        .delete_project(forge.project.id)
        .await
        .expect("deleted");

    forge.clock.advance(Duration::from_secs(61));
    forge
        .committing(forge.engine.journal.operations().end_due())
        .await
        .expect("the operation is dropped");

    assert_eq!(
        forge
            .engine
            .context
            .store()
            .due_operations(forge.clock.now(), 10)
            .await
            .expect("read"),
        []
    );

    assert_eq!(forge.changes().await.len(), 5);
    forge.end().await;
}

/// Later edits of the project or the user never change a stored body.
pub(crate) async fn later_edits_do_not_change_a_body(database: Database) {
    let forge = Forge::new(2, &database).await;
    let object = json!({"iid": 1, "title": "t"});
    let reported = forge
        .report("issue_hooks", &object, &json!({}), None, None)
        .await
        .expect("taken");
    let Reported::Event(id) = reported else {
        panic!("{reported:?}")
    };
    let store = forge.engine.context.store();

    let body = || async {
        store
            .find_event(id)
            .await
            .expect("read")
            .expect("the event exists")
            .1
            .unpack()
            .expect("unpacked")
    };
    let before = body().await;

    let edit = ProjectEdit {
        name: Some("renamed".to_owned()),
        path: Some("moved".to_owned()),
        ..ProjectEdit::default()
    };
    store.update_project(forge.project.id, edit).await.expect("written");
    assert_eq!(body().await, before);
    assert!(String::from_utf8_lossy(&before).contains(r#""path_with_namespace":"g/p""#));
    forge.end().await;
}

/// Counts the store calls of this thread.
#[derive(Default)]
struct Calls(Arc<AtomicU64>);

impl metrics::Recorder for Calls {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if key.name() == quickdraw_store::telemetry::CALLS {
            Counter::from_arc(self.0.clone())
        } else {
            Counter::noop()
        }
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

pub(crate) async fn the_store_calls_of_a_report_do_not_depend_on_its_size(database: Database) {
    let forge = Forge::new(3, &database).await;
    let counted = Calls::default();
    let calls = counted.0.clone();
    let _guard = metrics::set_default_local_recorder(&counted);
    let many = |count: usize, one: Value| Value::Array(vec![one; count]);
    let person = json!({"id": 4, "name": "Ida", "username": "ida"});

    for size in [0, 1, 1000] {
        let commit = json!({"id": "c".repeat(40), "message": "m", "author": {"name": "n", "email": "e"}});
        let labels = many(size, json!({"id": 1, "title": "bug"}));

        let reports = [
            (
                "push_hooks",
                json!({"before": "a", "after": "b", "ref": "refs/heads/main", "commits": many(size, commit)}),
            ),
            (
                "merge_request_hooks",
                json!({"iid": 1, "labels": labels, "assignees": many(size, person.clone()), "reviewers": many(size, person.clone())}),
            ),
            (
                "issue_hooks",
                json!({"iid": 1, "labels": labels, "assignees": many(size, person.clone())}),
            ),
            (
                "pipeline_hooks",
                json!({"id": 1, "builds": many(size, json!({"id": 1, "stage": "test", "user": person}))}),
            ),
            (
                "note_hooks",
                json!({"id": 1, "note": "n".repeat(size), "issue": {"iid": 1, "labels": labels}}),
            ),
            (
                "release_hooks",
                json!({"tag": "v1", "assets": {"links": many(size, json!({"id": 1, "name": "n"}))}}),
            ),
            (
                "repository_update_hooks",
                json!({"changes": many(size, json!({"before": "a", "after": "b", "ref": "refs/heads/x"}))}),
            ),
        ];

        for (trigger, object) in &reports {
            calls.store(0, Ordering::Relaxed);

            let place = Place::Project(forge.project.id);
            let received = forge
                .engine
                .context
                .is_subscribed(place, Trigger::by_name(trigger).expect("a trigger"));

            assert_eq!(
                (received, calls.load(Ordering::Relaxed)),
                (false, 0),
                "the answer comes from memory"
            );

            forge
                .report(trigger, object, &json!({"title": "before"}), None, None)
                .await
                .expect("taken");

            // The one call is the commit, which events share.
            assert_eq!(calls.swap(0, Ordering::Relaxed), 1, "{trigger} of {size}");
        }

        let save = |more| {
            forge.report(
                "issue_hooks",
                &reports[2].1,
                &reports[0].1,
                Some(Step { operation: "op", more }),
                None,
            )
        };
        save(true).await.expect("taken");

        // The save is looked up and written.
        assert_eq!(calls.swap(0, Ordering::Relaxed), 2, "a save of {size}");
        save(false).await.expect("taken");

        // In addition to the two calls: the commit and the end of the operation.
        assert_eq!(calls.swap(0, Ordering::Relaxed), 4, "the end of {size}");
    }

    forge.end().await;
}
