//! Checks of inspectors and the requests that they keep.

use std::time::Duration;

use quickdraw_domain::inspector::{
    Answer, Inspected, Inspector, LIFETIME, MAX_BYTES, MAX_OF_USER, MAX_REQUESTS, Verdict, Verdicts,
};
use quickdraw_domain::{Secret, Timestamp};
use quickdraw_store::access::NewUser;
use quickdraw_store::inspectors::InspectedPage;
use quickdraw_store::{Error, Packed};
use uuid::Uuid;

use crate::fixture::{Fixture, NOON, at};

const ROOT: i64 = 1;

/// The first rows of a list.
const FIRST: InspectedPage = InspectedPage {
    before: None,
    after: None,
    limit: 1000,
};

fn inspector(key: &str, owner: i64) -> Inspector {
    Inspector {
        key: key.to_owned(),
        owner,
        name: Some("lab".to_owned()),
        secret: Some(Secret::new("canary-secret")),
        signing_token: None,
        answer: Answer {
            headers: vec![("Retry-After".to_owned(), "5".to_owned())],
            delay: Duration::from_millis(1500),
            ..Answer::default()
        },
        created_at: NOON,
        updated_at: NOON,
        expires_at: NOON.plus(LIFETIME),
    }
}

fn request(number: u128) -> Inspected {
    Inspected {
        id: Uuid::from_u128(number),
        at: NOON,
        address: "192.0.2.1".to_owned(),
        method: "POST".to_owned(),
        path: "/i/a?x=1".to_owned(),
        headers: vec![
            ("X-Gitlab-Event".to_owned(), "Push Hook".to_owned()),
            ("X-Twice".to_owned(), "1".to_owned()),
            ("X-Twice".to_owned(), "2".to_owned()),
        ],
        size: 2,
        note: None,
        verdicts: Verdicts {
            token: Verdict::Right,
            signature: Verdict::NotChecked,
            hub_signature: Verdict::Missing,
        },
        status: 200,
    }
}

async fn keep(fixture: &Fixture, key: &str, number: u128, body: &[u8]) -> bool {
    let kept = fixture
        .store
        .keep_request(key.to_owned(), request(number), Packed::pack(body));
    kept.await.expect("kept")
}

async fn numbers(fixture: &Fixture, key: &str, page: InspectedPage) -> Vec<u128> {
    let listed = fixture
        .store
        .list_inspected(key.to_owned(), page)
        .await
        .expect("listed");
    listed.iter().map(|request| request.id.as_u128()).collect()
}

pub(crate) async fn an_inspector_is_read_with_its_secrets_and_changed_once(fixture: Fixture) {
    let store = &fixture.store;
    store.create_inspector(inspector("a", ROOT)).await.expect("made");

    let found = store
        .find_inspector("a".to_owned())
        .await
        .expect("read")
        .expect("there");
    assert_eq!((found.owner_name.as_str(), found.requests), ("root", 0));
    assert_eq!(found.last_request_at, None);

    let found = found.inspector;
    assert_eq!(found.secret.as_ref().map(Secret::expose), Some("canary-secret"));
    assert!(found.signing_token.is_none());
    assert_eq!(found.answer, inspector("a", ROOT).answer);
    assert_eq!(found.expires_at, NOON.plus(LIFETIME));

    let mut changed = found.clone();
    changed.secret = None;
    changed.answer.status = 503;
    changed.updated_at = at(1);
    let update = async |since: Timestamp| store.update_inspector(changed.clone(), since).await.expect("written");
    assert!(update(NOON).await);
    assert!(!update(NOON).await, "it has changed since");

    let found = store
        .find_inspector("a".to_owned())
        .await
        .expect("read")
        .expect("there");
    assert!(found.inspector.secret.is_none());
    assert_eq!(found.inspector.answer.status, 503);
}

pub(crate) async fn a_user_has_a_bounded_number_of_inspectors(fixture: Fixture) {
    let store = &fixture.store;
    let user = NewUser {
        username: "ida".to_owned(),
        name: "Ida".to_owned(),
        email: None,
        is_admin: false,
    };
    let other = store.create_user(user, NOON).await.expect("a user").id;

    for number in 0..MAX_OF_USER {
        let new = inspector(&format!("own-{number}"), ROOT);
        store.create_inspector(new).await.expect("made");
    }

    let full = store.create_inspector(inspector("more", ROOT)).await;
    assert!(matches!(full, Err(Error::Full(10))));
    store.create_inspector(inspector("other", other)).await.expect("made");

    let count = async |owner| store.list_inspectors(owner).await.expect("listed").len();
    assert_eq!((count(Some(ROOT)).await, count(Some(other)).await), (10, 1));
    assert_eq!(count(None).await, 11);

    assert!(store.delete_user(other).await.expect("deleted"));
    assert_eq!(count(None).await, 10, "the inspectors of a deleted user are deleted");
    assert!(store.delete_inspector("own-1".to_owned()).await.expect("deleted"));
    assert!(!store.delete_inspector("own-1".to_owned()).await.expect("looked"));
}

pub(crate) async fn an_inspector_keeps_the_newest_requests_with_their_bodies(fixture: Fixture) {
    let store = &fixture.store;
    store.create_inspector(inspector("a", ROOT)).await.expect("made");
    store.create_inspector(inspector("b", ROOT)).await.expect("made");
    assert!(!keep(&fixture, "gone", 1, b"{}").await);
    assert!(keep(&fixture, "b", 1000, b"{}").await);

    for number in 1..=3 {
        assert!(keep(&fixture, "a", number, b"{\"n\":1}").await);
    }

    let (found, body) = store
        .find_inspected("a".to_owned(), Uuid::from_u128(2))
        .await
        .expect("read")
        .expect("there");
    assert_eq!(found, request(2));
    assert_eq!(&body.unpack().expect("unpacked")[..], b"{\"n\":1}");
    let elsewhere = store.find_inspected("b".to_owned(), Uuid::from_u128(2)).await;
    assert_eq!(elsewhere.expect("read"), None, "it belongs to another inspector");

    let page = |before: Option<u128>, after: Option<u128>, limit| InspectedPage {
        before: before.map(Uuid::from_u128),
        after: after.map(Uuid::from_u128),
        limit,
    };
    assert_eq!(numbers(&fixture, "a", page(None, None, 2)).await, [3, 2]);
    assert_eq!(numbers(&fixture, "a", page(Some(2), None, 2)).await, [1]);
    assert_eq!(numbers(&fixture, "a", page(None, Some(1), 9)).await, [3, 2]);

    let most = u128::try_from(MAX_REQUESTS).expect("few");
    for number in 4..=most + 2 {
        keep(&fixture, "a", number, b"{}").await;
    }

    let kept = numbers(&fixture, "a", FIRST).await;
    assert_eq!((kept.len(), kept.last()), (MAX_REQUESTS, Some(&3)));

    store.clear_requests("a".to_owned()).await.expect("cleared");
    assert!(numbers(&fixture, "a", FIRST).await.is_empty());
    assert_eq!(numbers(&fixture, "b", FIRST).await, [1000]);
}

pub(crate) async fn an_inspector_keeps_a_bounded_number_of_bytes(fixture: Fixture) {
    let store = &fixture.store;
    store.create_inspector(inspector("a", ROOT)).await.expect("made");

    // Bytes that cannot be packed.
    let mut body = vec![0_u8; MAX_BYTES / 4];
    let mut state = 1_u32;
    for byte in &mut body {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = state.to_be_bytes()[0];
    }

    for number in 1..=5 {
        keep(&fixture, "a", number, &body).await;
    }

    assert_eq!(numbers(&fixture, "a", FIRST).await, [5, 4, 3]);

    let found = store
        .find_inspector("a".to_owned())
        .await
        .expect("read")
        .expect("there");
    assert_eq!((found.requests, found.last_request_at), (3, Some(NOON)));
}

pub(crate) async fn an_inspector_is_deleted_when_its_time_is_over(fixture: Fixture) {
    let store = &fixture.store;
    store.create_inspector(inspector("a", ROOT)).await.expect("made");
    keep(&fixture, "a", 1, b"{}").await;

    let end = NOON.plus(LIFETIME);
    let prune = async |now: Timestamp| store.prune_inspectors(now, 5).await.expect("pruned");
    assert_eq!(prune(end.minus(Duration::from_secs(1))).await, 0);
    assert_eq!(prune(end).await, 1);
    assert!(store.find_inspector("a".to_owned()).await.expect("read").is_none());
    assert!(numbers(&fixture, "a", FIRST).await.is_empty());
}
