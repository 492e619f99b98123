//! A forge with webhooks: what Quickdraw does, inside of another program.
//!
//! `cargo run -p quickdraw-engine --example forge` keeps a journal in a temporary folder, has one project with one
//! hook, reports a merge request, and shows what a receiver on this machine gets.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use quickdraw_domain::Trigger;
use quickdraw_domain::compose::{Scene, UploadLinks, User};
use quickdraw_domain::guard;
use quickdraw_domain::health::DisablePolicy;
use quickdraw_domain::hook::{Hook, HookUrl};
use quickdraw_domain::retry::RetryPolicy;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::settle::Policies;
use quickdraw_egress::{Client, Hickory, Limits, Trust};
use quickdraw_engine::delivery::transport::Guarded;
use quickdraw_engine::{Clock, Engine, Filing, Lifecycle, PermitLimits, Settings, System, WhileDisabled};
use quickdraw_store::Ring;
use quickdraw_store::scopes::{NewGroup, NewProject};

const BASE: &str = "https://forge.example.com";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let receiver = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/in", receiver.local_addr()?);
    let got = std::thread::spawn(move || receive_one(&receiver));

    // The journal: SQLite in a file, or PostgreSQL by its URL. The key seals what is secret in it.
    let folder = tempfile::tempdir()?;
    let store = quickdraw_store::open(
        &format!("sqlite:{}", folder.path().join("forge.db").display()),
        Ring::new(vec![[7; 32]])?,
    )
    .await?;

    // The way out. A forge keeps the guard as it is; only this example calls its own machine.
    let guard = Arc::new(guard::Settings {
        allow_local_networks: true,
        ..guard::Settings::default()
    });

    let client = Client::new(Limits::default(), Arc::new(Hickory::from_system()?), Trust::default())?;
    let settings = Settings {
        policies: Arc::new(Policies {
            retry: RetryPolicy::standard(),
            disable: DisablePolicy::Published,
        }),
        guard: guard.clone(),
        permits: PermitLimits {
            total: 96,
            reserved_for_first: 32,
            per_hook: 8,
            initial_per_hook: 4,
            per_host: 16,
        },
        deadline: Duration::from_secs(10),
        answer_within: Duration::from_secs(5),
        lease: Duration::from_secs(30),
        instance: BASE.to_owned(),
        upload_links: UploadLinks::default(),
        retention: Duration::from_secs(14 * 86_400),
        silent: false,
        while_disabled: WhileDisabled::Drop,
        per_minute: 0,
        shown_refs: Vec::new(),
        incident_labels: Arc::default(),
        recipient_domains: Arc::default(),
    };

    let clock = Arc::new(System::default());
    let now = clock.now();

    let group = store
        .create_group(
            NewGroup {
                parent: None,
                name: "Gear".into(),
                path: "gear".into(),
                description: None,
                visibility_level: 0,
            },
            now,
        )
        .await?;

    let project = store
        .create_project(
            NewProject {
                group: group.id,
                name: "Rope".into(),
                path: "rope".into(),
                description: None,
                default_branch: Some("main".into()),
                visibility_level: 0,
            },
            now,
        )
        .await?;
    let hook = Hook::new(Scope::Project(project.id), HookUrl::parse(&url)?, clock.uuid(), now);

    store
        .create_hook(
            Hook {
                triggers: [Trigger::MERGE_REQUEST].into_iter().collect(),
                ..hook
            },
            100,
        )
        .await?;

    // The engine, and its workers.
    let engine = Engine::new(
        store.clone(),
        Arc::new(Guarded::new(client, guard)),
        clock.clone(),
        settings,
    )
    .await?;
    let lifecycle = Lifecycle::start(engine.clone());

    // An event happened. Its body is only composed if a hook subscribes to it, which is answered from memory.
    let place = Place::Project(project.id);
    if engine.context.is_subscribed(place, Trigger::MERGE_REQUEST) {
        let user = User {
            id: 4,
            name: "Ida Ridge".into(),
            username: "ida".into(),
            ..User::default()
        };

        let object = serde_json::value::to_raw_value(&serde_json::json!({
            "id": 99, "iid": 5, "title": "Grease the gate", "action": "open", "source_branch": "grease", "target_branch": "main" }))?;
        let scene = Scene::Project(&project);
        let happened = engine.context.happened(scene, Trigger::MERGE_REQUEST, &user, &object);
        let filing = Filing {
            key: Some("merge-request-5-opened".to_owned()),
            ..Filing::default()
        };

        // When this returns it is on the disk; the same key is taken once.
        engine.journal.report(&happened, filing).await?;
    }

    let got = tokio::task::spawn_blocking(move || got.join())
        .await?
        .map_err(|_| anyhow::anyhow!("the receiver failed"))??;
    anyhow::ensure!(
        got.contains("X-Gitlab-Event: Merge Request Hook") && got.contains("Grease the gate"),
        "{got}"
    );

    writeln!(std::io::stdout(), "{got}")?;
    lifecycle.stop().await;
    store.close().await;

    Ok(())
}

/// A receiver that takes one request.
fn receive_one(listener: &TcpListener) -> std::io::Result<String> {
    let (mut stream, _) = listener.accept()?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;

    let (mut got, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut part) {
        got.extend_from_slice(&part[..read]);
    }

    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(String::from_utf8_lossy(&got).into_owned())
}
