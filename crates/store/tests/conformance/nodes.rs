//! Checks of opening a store, and of several nodes at one store.

use std::time::Duration;

use quickdraw_domain::NodeId;
use quickdraw_store::Error;
use uuid::Uuid;

use crate::fixture::{Fixture, NOON, at, ring};

pub(crate) async fn a_wrong_key_is_refused_at_the_start(fixture: Fixture) {
    fixture.store.close().await;

    let url = if fixture.is_sqlite() {
        let copy = fixture.folder().join("copy.db");
        std::fs::copy(fixture.folder().join("store.db"), &copy).expect("copied");

        let wal = fixture.folder().join("store.db-wal");
        if wal.exists() {
            std::fs::copy(wal, fixture.folder().join("copy.db-wal")).expect("copied");
        }

        format!("sqlite:{}", copy.display())
    } else {
        fixture.url.clone()
    };
    assert!(matches!(
        quickdraw_store::open(&url, ring(2)).await.err(),
        Some(Error::Seal(_))
    ));

    assert!(quickdraw_store::open(&url, ring(1)).await.is_ok());
}

pub(crate) async fn a_second_process_is_refused_on_sqlite_and_allowed_on_postgres(fixture: Fixture) {
    let second = quickdraw_store::open(&fixture.url, ring(1)).await;
    match (fixture.is_sqlite(), second) {
        (true, Err(Error::InUse(_))) | (false, Ok(_)) => {}
        (_, other) => panic!(
            "unexpected: {:?}",
            other.map(|_| "opened").map_err(|error| error.to_string())
        ),
    }
}

pub(crate) async fn only_running_nodes_are_counted(fixture: Fixture) {
    let store = &fixture.store;
    let node = NodeId(Uuid::from_u128(77));
    store.heartbeat(node, NOON).await.expect("recorded");
    store.heartbeat(node, at(5)).await.expect("recorded");
    store.ping().await.expect("reachable");

    let condition = store.condition(at(5)).await.expect("looked");
    assert_eq!((condition.nodes, condition.schema_version), (1, 37));
    store.node_stopped(node).await.expect("stopped");

    assert_eq!(
        store
            .condition(at(5).plus(Duration::from_secs(1)))
            .await
            .expect("looked")
            .nodes,
        0
    );
}

pub(crate) async fn the_state_shows_nodes_space_and_keys(fixture: Fixture) {
    let store = &fixture.store;
    let node = NodeId(Uuid::from_u128(77));
    let project = fixture.project("rope").await;
    fixture.hook(project).await;
    store.heartbeat(node, NOON).await.expect("recorded");
    store.heartbeat(node, at(5)).await.expect("recorded");

    let state = store.state(at(5)).await.expect("read");
    assert_eq!(state.schema_version, 37);
    assert!(state.space.database_bytes > 0);
    assert_eq!(state.space.free_bytes.is_some(), fixture.is_sqlite());

    let [found] = state.nodes.as_slice() else {
        panic!("one node: {:?}", state.nodes)
    };
    assert_eq!((found.node, found.started_at, found.seen_at), (node, NOON, at(5)));
    assert_eq!(found.ahead_micros.is_some(), !fixture.is_sqlite());

    let [key] = state.keys.as_slice() else {
        panic!("one key: {:?}", state.keys)
    };
    assert!(key.is_known && key.seals, "{key:?}");
    // The check of the key, and the URL, token and header of the hook.
    assert!(key.values >= 4, "{key:?}");
}

pub(crate) async fn another_node_is_woken_by_a_signal(url: String) {
    use quickdraw_domain::scope::Place;
    use quickdraw_store::Wakes;

    let fixture = Fixture::open(Some(url)).await;
    let other = quickdraw_store::open(&fixture.url, ring(1))
        .await
        .expect("the store opens");
    let now = NOON;

    for (store, node) in [(&fixture.store, 1), (&other, 2), (&fixture.store, 1)] {
        store
            .heartbeat(NodeId(Uuid::from_u128(node)), now)
            .await
            .expect("recorded");
    }

    let wakes = std::sync::Arc::new(Wakes::default());
    let (listening, listener) = (wakes.clone(), other.clone());
    let task = tokio::spawn(async move { listener.listen(&listening).await });
    let patience = Duration::from_secs(20);

    // The first wake shows that the other node listens.
    tokio::time::timeout(patience, wakes.fan_out.notified())
        .await
        .expect("the other node listens");

    let new = crate::fixture::event(Place::Instance, b"{}");
    fixture.store.append_events(vec![new]).await.expect("appended");
    tokio::time::timeout(patience, wakes.fan_out.notified())
        .await
        .expect("the other node is woken");
    task.abort();
    other.close().await;
    fixture.close().await;
}
