//! The parts of every simulated world: a project, hooks, and the delivery pipeline.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quickdraw_domain::compose::UploadLinks;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::guard;
use quickdraw_domain::hook::{Hook, HookUrl};
use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::request::Request;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::settle::Policies;
use quickdraw_domain::{ProjectId, Timestamp, Trigger};
use quickdraw_engine::{Clock as _, Engine, PermitLimits, Sent, Settings, Transport, WhileDisabled};
use quickdraw_store::SharedStore;
use quickdraw_store::events::Appended;
use quickdraw_store::scopes::{NewGroup, NewProject};

use crate::chance::Manual;

/// A transport that is never used here.
pub(crate) struct Nobody;

#[async_trait]
impl Transport for Nobody {
    async fn send(&self, _: Request, _: Timestamp) -> Sent {
        let outcome = Outcome::Delivered { status: 200 };
        Sent {
            outcome,
            address: None,
            phases: None,
            error: None,
            response_headers: None,
            response_body: None,
        }
    }
}

/// Reports a push to main and commits it.
pub(crate) async fn push(engine: &Engine, project: ProjectId, key: Option<String>, body: &[u8]) -> Appended {
    arrive(engine, project, key, "main", body).await
}

/// Reports a push to a branch and commits it.
pub(crate) async fn push_to(engine: &Engine, project: ProjectId, branch: &str, body: &[u8]) -> Appended {
    arrive(engine, project, None, branch, body).await
}

async fn arrive(engine: &Engine, project: ProjectId, key: Option<String>, branch: &str, body: &[u8]) -> Appended {
    let journal = &engine.journal;
    let event = Event {
        git_ref: Some(format!("refs/heads/{branch}")),
        ..journal.new_event(Place::Project(project), Trigger::PUSH, Origin::Api)
    };
    let (appended, _) = tokio::join!(journal.ingest(event, key, body, None), journal.commit_arrivals());

    appended.expect("the store works")
}

/// A hook for pushes.
pub(crate) fn hook(scope: Scope, clock: &Manual) -> Hook {
    let url = HookUrl::parse("https://hooks.example.com/in").expect("a URL");
    let hook = Hook::new(scope, url, clock.uuid(), clock.now());
    Hook {
        triggers: [Trigger::PUSH].into_iter().collect(),
        ..hook
    }
}

pub(crate) async fn project(store: &SharedStore, now: Timestamp) -> ProjectId {
    let named = |name: &str| name.to_owned();
    let group = NewGroup {
        parent: None,
        name: named("g"),
        path: named("g"),
        description: None,
        visibility_level: 0,
    };
    let group = store.create_group(group, now).await.expect("a group").id;

    let project = NewProject {
        group,
        name: named("p"),
        path: named("p"),
        description: None,
        default_branch: None,
        visibility_level: 0,
    };
    store.create_project(project, now).await.expect("a project").id
}

pub(crate) async fn engine(
    store: SharedStore,
    receivers: Arc<dyn Transport>,
    clock: Arc<Manual>,
    policies: Arc<Policies>,
) -> Arc<Engine> {
    let settings = Settings {
        policies,
        guard: Arc::new(guard::Settings::default()),
        permits: PermitLimits {
            total: 12,
            reserved_for_first: 4,
            per_hook: 6,
            initial_per_hook: 2,
            per_host: 12,
        },
        deadline: Duration::from_secs(10),
        // This timeout uses the real clock and not the simulated one.
        answer_within: Duration::from_secs(600),
        lease: Duration::from_secs(30),
        instance: "http://sim".to_owned(),
        upload_links: UploadLinks::default(),
        retention: Duration::from_secs(14 * 86_400),
        silent: false,
        while_disabled: WhileDisabled::Hold {
            longest: Duration::from_secs(7 * 86_400),
            most: 1_000_000,
        },
        per_minute: 0,
        shown_refs: Vec::new(),
        incident_labels: Arc::default(),
        recipient_domains: Arc::default(),
    };
    Engine::new(store, receivers, clock, settings)
        .await
        .expect("a pipeline")
}
