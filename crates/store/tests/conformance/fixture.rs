//! A new store, and helpers that put objects into it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quickdraw_domain::delivery::Tally;
use quickdraw_domain::event::{DedupeKey, Event, Origin};
use quickdraw_domain::health::DisablePolicy;
use quickdraw_domain::hook::{Hook, HookUrl};
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::phases::Phases;
use quickdraw_domain::retry::{Chance, RetryPolicy};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::settle::{Occasion, Policies};
use quickdraw_domain::{EventId, GroupId, HookId, NodeId, ProjectId, Secret, Timestamp, Trigger};
use quickdraw_store::deliveries::{Claim, Claimed, Finished, Record};
use quickdraw_store::events::{Decide, FannedOut, NewEvent};
use quickdraw_store::lists::{Page, Start};
use quickdraw_store::scopes::{NewGroup, NewProject};
use quickdraw_store::{Packed, Ring, SharedStore};
use uuid::Uuid;

/// The time at which checks start.
pub(crate) const NOON: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// The first hundred rows of a list.
pub(crate) const ALL: Page = Page {
    start: Start::Offset(0),
    limit: 100,
};

static NEXT: AtomicU64 = AtomicU64::new(1);

#[derive(Clone)]
pub(crate) struct Fixture {
    pub(crate) store: SharedStore,
    pub(crate) url: String,

    /// PostgreSQL only: the server and the schema.
    server: Option<(String, String)>,
    folder: Arc<tempfile::TempDir>,
}

pub(crate) fn ring(byte: u8) -> Ring {
    Ring::new(vec![[byte; 32]]).expect("there is a key")
}

pub(crate) fn at(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}

pub(crate) fn policies() -> Arc<Policies> {
    Arc::new(Policies {
        retry: RetryPolicy::standard(),
        disable: DisablePolicy::Published,
    })
}

/// A group whose name is its path.
pub(crate) fn group(parent: Option<GroupId>, path: &str) -> NewGroup {
    NewGroup {
        parent,
        name: path.to_owned(),
        path: path.to_owned(),
        description: None,
        visibility_level: 20,
    }
}

impl Fixture {
    pub(crate) async fn open(postgres: Option<String>) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let (url, server) = match postgres {
            None => (format!("sqlite:{}", folder.path().join("store.db").display()), None),
            Some(server) => {
                let schema = format!("check_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
                execute(&server, &format!("CREATE SCHEMA {schema}")).await;

                let glue = if server.contains('?') { '&' } else { '?' };
                (
                    format!("{server}{glue}options=-csearch_path%3D{schema}"),
                    Some((server, schema)),
                )
            }
        };

        let store = quickdraw_store::open(&url, ring(1)).await.expect("the store opens");
        store.prepare_partitions(NOON).await.expect("partitions");

        Self {
            store,
            url,
            server,
            folder,
        }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.server.is_none()
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) async fn close(self) {
        self.store.close().await;
        if let Some((server, schema)) = &self.server {
            execute(server, &format!("DROP SCHEMA {schema} CASCADE")).await;
        }
    }

    pub(crate) async fn project(&self, path: &str) -> ProjectId {
        let group = NewGroup {
            parent: None,
            name: format!("Group of {path}"),
            path: format!("g-{path}"),
            description: None,
            visibility_level: 0,
        };
        let group = self.store.create_group(group, NOON).await.expect("a group").id;

        let project = NewProject {
            group,
            name: path.to_owned(),
            path: path.to_owned(),
            description: None,
            default_branch: Some("main".to_owned()),
            visibility_level: 0,
        };
        self.store.create_project(project, NOON).await.expect("a project").id
    }

    pub(crate) async fn hook(&self, project: ProjectId) -> HookId {
        let hook = hook(Scope::Project(project));
        self.store.create_hook(hook, 100).await.expect("a hook").hook.id
    }

    /// Appends an event and fans it out to the hooks.
    pub(crate) async fn owe(&self, hooks: &[HookId], now: Timestamp) -> EventId {
        let new = event(Place::Instance, b"{\"object_kind\":\"push\"}");
        let id = self.store.append_events(vec![new]).await.expect("appended")[0].id();
        self.fan_out(now, to(hooks)).await;

        id
    }

    pub(crate) async fn fan_out(&self, now: Timestamp, decide: Decide) -> quickdraw_store::events::FanOutCount {
        let version = self.store.directory_version().await.expect("a version");
        self.store.fan_out(100, now, version, decide).await.expect("fanned out")
    }

    pub(crate) async fn claim(&self, now: Timestamp) -> Vec<Claimed> {
        self.store.claim_deliveries(claim(now)).await.expect("claimed")
    }

    pub(crate) async fn finish(
        &self,
        claimed: &Claimed,
        outcome: Outcome,
        now: Timestamp,
    ) -> quickdraw_store::deliveries::Settlement {
        let batch = vec![finished(claimed, outcome, now)];
        self.store
            .finish_attempts(batch, now, policies())
            .await
            .expect("settled")[0]
    }
}

async fn execute(server: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(server, tokio_postgres::NoTls)
        .await
        .expect("the server answers");
    let connection = tokio::spawn(connection);
    client.batch_execute(sql).await.expect("the statement runs");
    drop(client);
    connection.await.expect("no panic").expect("the connection ends well");
}

/// Event ids in the order of time, as the engine creates them. `prune` and cursors rely on this order.
pub(crate) fn event_id(now: Timestamp) -> EventId {
    let counter = NEXT.fetch_add(1, Ordering::Relaxed);
    let milliseconds = u64::try_from(now.as_micros() / 1000).expect("after 1970");
    EventId(Uuid::from_u64_pair(
        (milliseconds << 16) | 0x7000,
        0x8000_0000_0000_0000 | counter,
    ))
}

pub(crate) fn event(place: Place, body: &[u8]) -> NewEvent {
    event_at(place, body, NOON)
}

pub(crate) fn event_at(place: Place, body: &[u8], now: Timestamp) -> NewEvent {
    let event = Event {
        chain: Some(Uuid::from_u128(9)),
        git_ref: Some("refs/heads/main".to_owned()),
        ..Event::new(event_id(now), place, Trigger::PUSH, Origin::Api, now)
    };

    NewEvent {
        event,
        payload: Packed::pack(body),
        dedupe: None,
        decided: None,
        counts: false,
    }
}

pub(crate) fn keyed(origin: Origin, key: &str) -> NewEvent {
    let mut new = event(Place::Elsewhere, b"{}");
    new.event.origin = origin;

    new.dedupe = Some(DedupeKey {
        origin,
        place: Place::Elsewhere,
        key: key.to_owned(),
    });

    new
}

pub(crate) fn to(hooks: &[HookId]) -> Decide {
    let deliver = hooks.to_vec();
    Arc::new(move |_, _| {
        Some(FannedOut {
            deliver: deliver.clone(),
            ..FannedOut::default()
        })
    })
}

pub(crate) fn claim(now: Timestamp) -> Claim {
    Claim {
        node: NodeId(Uuid::from_u128(1)),
        now,
        lease_until: now.plus(Duration::from_secs(30)),
        first: 100,
        retries: 100,
        per_hook: 10,
        hook_limits: HashMap::new(),
    }
}

pub(crate) fn finished(claimed: &Claimed, outcome: Outcome, now: Timestamp) -> Finished {
    Finished {
        delivery: claimed.delivery,
        hook: claimed.hook,
        is_system: false,
        fence: claimed.fence,
        tally: claimed.tally,
        outcome,
        occasion: Occasion::Usual,
        chance: Chance(0.5),
        retry: None,
        record: Record {
            started_at: now,
            duration_micros: 1500,
            address: Some("127.0.0.1:80".to_owned()),
            error: None,
            phases: Some(Phases {
                took: [None, None, None, Some(Duration::from_millis(5)), None],
                tls_minor: Some(3),
            }),
            hook_version: Some(NOON),
            response_headers: Some("Content-Type: text/plain".to_owned()),
            response_body: Some(b"ok\0\xff".to_vec()),
        },
    }
}

pub(crate) fn hook(scope: Scope) -> Hook {
    let uuid = Uuid::from_u128(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)));
    let url = HookUrl::parse("https://user:canary-url@hooks.example.com/canary-path").expect("a URL");
    let mut hook = Hook::new(scope, url, uuid, NOON);
    hook.token = Some(Secret::new("canary-token"));
    hook.triggers = [Trigger::PUSH].into_iter().collect();
    hook.name = Some("a name".to_owned());
    hook.custom_headers
        .set("X-Key", Secret::new("canary-header"))
        .expect("a header");

    hook
}

pub(crate) const NEW: Tally = Tally {
    attempts: 0,
    unknown: 0,
};
