//! Checks of sources, and of the projects and users of received events.

use std::time::Duration;

use quickdraw_domain::envelope::{Project, User};
use quickdraw_domain::source::{ActiveSecret, Addresses, BoundTo, Mode, Source, unnamed};
use quickdraw_domain::{NodeId, Secret, SourceId};
use quickdraw_store::Error;
use quickdraw_store::access::UserFilter;
use quickdraw_store::documents::Document;
use quickdraw_store::lists::{Page, Start};
use quickdraw_store::sources::SourceRequests;
use uuid::Uuid;

use crate::fixture::{Fixture, NOON, at};

fn source(key: &str) -> Source {
    Source {
        id: SourceId(0),
        key: key.to_owned(),
        name: "lab".to_owned(),
        mode: Mode::Both,
        secrets: vec![
            ActiveSecret {
                secret: Secret::new("new"),
                until: None,
            },
            ActiveSecret {
                secret: Secret::new("old"),
                until: Some(at(60)),
            },
        ],
        window: Duration::from_secs(10),
        addresses: Addresses::parse(["10.0.0.0/8", "2001:db8::1"]).expect("valid"),
        per_minute: Some(7),
        sender_per_minute: Some(70),
        body_limit: 1000,
        deduplicate: false,
        created_at: NOON,
        updated_at: NOON,
    }
}

pub(crate) async fn sources_are_read_with_their_secrets_and_listed_in_the_directory(fixture: Fixture) {
    let store = &fixture.store;
    let version = store.directory_version().await.expect("a version");
    let made = store.create_source(source("a"), 2).await.expect("made");
    assert!(made.id.0 >= 2, "id 1 is the default source");
    assert!(store.directory_version().await.expect("a version") > version);

    let found = store
        .find_source("a".to_owned())
        .await
        .expect("read")
        .expect("the source exists");

    let secrets: Vec<_> = found
        .secrets
        .iter()
        .map(|one| (one.secret.expose(), one.until))
        .collect();

    assert_eq!(secrets, [("new", None), ("old", Some(at(60)))]);
    assert_eq!(
        (found.id, found.mode, found.window),
        (made.id, Mode::Both, Duration::from_secs(10))
    );

    assert_eq!((found.per_minute, found.sender_per_minute), (Some(7), Some(70)));
    assert_eq!(found.addresses, source("a").addresses);
    assert!(store.find_source("b".to_owned()).await.expect("read").is_none());

    let changed = Source {
        name: "other".to_owned(),
        per_minute: None,
        sender_per_minute: None,
        updated_at: at(1),
        ..found.clone()
    };

    assert!(
        store
            .update_source(changed.clone(), at(5))
            .await
            .expect("looked")
            .is_none(),
        "the source has changed since"
    );

    assert!(store.update_source(changed, NOON).await.expect("written").is_some());
    store.create_source(source("b"), 2).await.expect("made");
    assert!(matches!(store.create_source(source("c"), 2).await, Err(Error::Full(2))));

    let directory = store.directory().await.expect("read");
    let names: Vec<_> = directory
        .sources
        .iter()
        .map(|one| {
            (
                one.key.as_str(),
                one.name.as_str(),
                one.per_minute,
                one.sender_per_minute,
            )
        })
        .collect();

    assert_eq!(names, [("a", "other", None, None), ("b", "lab", Some(7), Some(70))]);
    assert!(store.delete_source("a".to_owned()).await.expect("deleted"));
    assert!(!store.delete_source("a".to_owned()).await.expect("looked"));
    assert_eq!(store.list_sources().await.expect("listed").len(), 1);
}

pub(crate) async fn a_source_is_bound_to_an_instance_once_and_keeps_its_projects(fixture: Fixture) {
    let store = &fixture.store;
    let (id, bound) = (SourceId(1), |host: &str| {
        BoundTo::Instance(format!("https://{host}.example"))
    });

    let seen = |id: i64| Project {
        id,
        name: "Rope".to_owned(),
        path_with_namespace: format!("gear/rope{id}"),
        namespace: String::new(),
        description: None,
        default_branch: None,
        visibility_level: 0,
        old_path: None,
    };

    let know = async |instance: String, number| {
        store
            .know_project(instance, seen(number), id, NOON)
            .await
            .expect("looked")
    };
    let before = know(unnamed(id), 7).await;
    let version = store.directory_version().await.expect("a version");

    assert_eq!(
        store.learn_instance(id, bound("one")).await.expect("noted"),
        Some(bound("one"))
    );

    assert!(store.directory_version().await.expect("a version") > version);
    assert_eq!(
        store.learn_instance(id, bound("two")).await.expect("looked"),
        Some(bound("one")),
        "the binding does not change"
    );

    assert_eq!(
        store.learn_instance(SourceId(9), bound("one")).await.expect("looked"),
        None,
        "another source has the instance"
    );

    assert_eq!(store.directory().await.expect("read").instances, [(id, bound("one"))]);
    assert_eq!(know("https://one.example".to_owned(), 7).await, before);
    store.set_instance(id, Some(BoundTo::Any)).await.expect("noted");

    assert_eq!(
        store.learn_instance(id, bound("two")).await.expect("looked"),
        Some(BoundTo::Any)
    );

    // A project that the instance already has is not replaced.
    assert_ne!(know(unnamed(id), 7).await, before);
    store.set_instance(id, Some(bound("one"))).await.expect("noted");
    assert_eq!(know("https://one.example".to_owned(), 7).await, before);
    store.set_instance(id, None).await.expect("noted");
    assert!(store.directory().await.expect("read").instances.is_empty());

    let made = store.create_source(source("a"), 2).await.expect("made");
    store.set_instance(made.id, Some(bound("two"))).await.expect("noted");
    assert!(store.delete_source("a".to_owned()).await.expect("deleted"));
    assert!(store.directory().await.expect("read").instances.is_empty());
}

pub(crate) async fn the_last_requests_are_kept_for_each_node(fixture: Fixture) {
    let store = &fixture.store;
    let (one, other) = (NodeId(Uuid::from_u128(1)), NodeId(Uuid::from_u128(2)));

    let save = async |node, list: &str, now, forget| {
        let requests = SourceRequests {
            source: SourceId(1),
            requests: list.to_owned(),
            minutes: format!("[{list}]"),
        };
        store
            .save_requests(node, vec![requests], now, forget)
            .await
            .expect("saved");
    };
    save(one, "[1]", at(1), NOON).await;
    save(one, "[1,2]", at(2), NOON).await;
    save(other, "[3]", at(3), NOON).await;

    let elsewhere = async |node| store.requests_elsewhere(SourceId(1), node).await.expect("read");
    assert_eq!(
        (elsewhere(one).await, elsewhere(other).await),
        (vec!["[3]".to_owned()], vec!["[1,2]".to_owned()])
    );

    let minutes = store.minutes_elsewhere(one).await.expect("read");
    assert_eq!(minutes, [(SourceId(1), "[[3]]".to_owned())]);

    assert!(
        store
            .requests_elsewhere(SourceId(2), one)
            .await
            .expect("read")
            .is_empty()
    );

    save(other, "[4]", at(9), at(5)).await;
    assert!(
        elsewhere(other).await.is_empty(),
        "the list of a stopped node is deleted"
    );
}

pub(crate) async fn users_of_events_are_created_once_and_never_changed(fixture: Fixture) {
    let store = &fixture.store;
    let user = |username: &str, name: &str| User {
        username: username.to_owned(),
        name: name.to_owned(),
        email: None,
    };
    store
        .know_users(vec![user("ida", "Ida"), user("jo", "Jo")], NOON)
        .await
        .expect("made");

    store
        .know_users(vec![user("IDA", "Somebody"), user("root", "Mallory")], NOON)
        .await
        .expect("looked");

    let name = async |username: &str| {
        let page = Page {
            start: Start::Offset(0),
            limit: 10,
        };

        let filter = UserFilter {
            username: Some(username.to_owned()),
            ..UserFilter::default()
        };
        let found = store.list_users(filter, page).await.expect("listed");
        found.rows.first().map(|user| user.name.clone())
    };
    assert_eq!(name("ida").await.as_deref(), Some("Ida"));
    assert_eq!(name("root").await.as_deref(), Some("Administrator"));

    let mailed = |username: &str, email: &str| User {
        email: Some(email.to_owned()),
        ..user(username, "Somebody")
    };

    store
        .know_users(
            vec![mailed("ann", "Ann@x.example"), mailed("bot", "ann@X.example")],
            NOON,
        )
        .await
        .expect("made");

    store
        .know_users(vec![mailed("other", "ann@x.example")], NOON)
        .await
        .expect("made");

    for (username, email) in [("ann", Some("Ann@x.example")), ("bot", None), ("other", None)] {
        let filter = UserFilter {
            username: Some(username.to_owned()),
            ..UserFilter::default()
        };

        let found = store
            .list_users(
                filter,
                Page {
                    start: Start::Offset(0),
                    limit: 1,
                },
            )
            .await
            .expect("listed");

        assert_eq!(
            found.rows[0].email.as_deref(),
            email,
            "{username}: an address belongs to one user"
        );
    }
}

pub(crate) async fn the_default_secret_is_generated_once_and_sealed(fixture: Fixture) {
    let store = &fixture.store;
    let first = store
        .default_secret(Secret::new("made-by-the-first-node"))
        .await
        .expect("a secret");

    let second = store
        .default_secret(Secret::new("made-by-another-node"))
        .await
        .expect("a secret");
    assert_eq!(
        (first.expose(), second.expose()),
        ("made-by-the-first-node", "made-by-the-first-node")
    );

    let (_, stored) = store
        .document(Document::DefaultSecret)
        .await
        .expect("read")
        .expect("a document");

    assert!(
        !stored.windows(10).any(|part| part == b"first-node"),
        "the secret is sealed"
    );
}
