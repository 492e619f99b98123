//! Checks of operations: saves that wait for the last save.

use quickdraw_domain::scope::Place;
use quickdraw_domain::{ProjectId, Timestamp};
use quickdraw_store::Packed;
use quickdraw_store::operations::Operation;
use uuid::Uuid;

use crate::fixture::Fixture;

fn operation(name: &str, saves: &str) -> Operation {
    Operation {
        id: Uuid::new_v4(),
        place: Place::Project(ProjectId(15)),
        name: name.to_owned(),
        version: 0,
        closed: false,
        due_at: Timestamp::from_seconds(60),
        chain: Some(Uuid::from_u128(7)),
        key: Some("key".to_owned()),
        saves: Packed::pack(saves.as_bytes()),
    }
}

pub(crate) async fn an_operation_is_replaced_only_at_its_current_version(fixture: Fixture) {
    let store = &fixture.store;
    let first = operation("issue 301 save-7", "one");
    let find = |key: Option<&str>| {
        let (name, key) = (first.name.clone(), key.map(str::to_owned));
        async { store.find_operation(first.place, name, key).await.expect("read") }
    };
    assert_eq!(find(None).await, None);
    assert!(store.put_operation(first.clone()).await.expect("written"));

    let kept = Operation {
        version: 1,
        ..first.clone()
    };
    assert_eq!(find(None).await, Some(kept.clone()));

    assert!(
        !store
            .put_operation(operation(&first.name, "other"))
            .await
            .expect("asked"),
        "an operation of that name is open"
    );

    let elsewhere = Operation {
        place: Place::Instance,
        ..operation(&first.name, "elsewhere")
    };
    assert!(
        store.put_operation(elsewhere.clone()).await.expect("written"),
        "each place has its own names"
    );

    let second = Operation {
        saves: Packed::pack(b"two"),
        due_at: Timestamp::from_seconds(70),
        ..kept.clone()
    };
    assert!(store.put_operation(second.clone()).await.expect("written"));

    assert!(
        !store.put_operation(kept).await.expect("asked"),
        "another writer was faster"
    );

    let closed = Operation {
        version: 2,
        closed: true,
        ..second.clone()
    };
    assert!(store.put_operation(closed.clone()).await.expect("written"));

    let late = Operation { version: 3, ..second };
    assert!(
        !store.put_operation(late).await.expect("asked"),
        "a closed operation accepts no save"
    );

    assert_eq!(find(None).await, None);

    let ended = Operation {
        version: 3,
        ..closed.clone()
    };
    assert_eq!(find(Some("key")).await, Some(ended.clone()));
    assert_eq!(find(Some("other")).await, None);

    let next = operation(&first.name, "next");
    assert!(
        store.put_operation(next.clone()).await.expect("written"),
        "the name can be used again"
    );

    assert_eq!(
        find(Some("key")).await,
        Some(ended),
        "a repeated last save finds the operation that it closed"
    );

    assert_eq!(find(Some("other")).await.map(|found| found.id), Some(next.id));

    let due = |seconds, limit| async move {
        store
            .due_operations(Timestamp::from_seconds(seconds), limit)
            .await
            .expect("read")
    };
    assert_eq!(due(59, 10).await, []);
    assert_eq!(due(60, 10).await.len(), 2);

    let all: Vec<Uuid> = due(70, 10).await.iter().map(|one| one.id).collect();
    assert_eq!((all.len(), all[2]), (3, closed.id));
    assert_eq!(due(70, 1).await.len(), 1);

    for id in all {
        store.end_operation(id).await.expect("forgotten");
        store.end_operation(id).await.expect("the second call changes nothing");
    }

    assert_eq!(due(70, 10).await, []);
}
