//! Checks of sessions of browsers.

use quickdraw_domain::access::TokenScope;
use quickdraw_store::Error;
use quickdraw_store::access::{Holder, NewToken, NewUser, UserEdit};
use quickdraw_store::sessions::{IDLE, LONGEST, MAX_OF_USER, NewSession};

use crate::fixture::{Fixture, NOON, at};

fn new(digest: u8, user_id: i64) -> NewSession {
    NewSession {
        digest: [digest; 32],
        user_id,
        token_id: None,
        address: Some("192.0.2.1".to_owned()),
        browser: "Netscape 4".to_owned(),
    }
}

async fn ida(fixture: &Fixture) -> i64 {
    let ida = NewUser {
        username: "ida".to_owned(),
        name: "Ida".to_owned(),
        email: None,
        is_admin: false,
    };
    fixture.store.create_user(ida, NOON).await.expect("made").id
}

pub(crate) async fn a_session_is_found_until_it_was_idle_for_too_long(fixture: Fixture) {
    let (store, ida) = (&fixture.store, ida(&fixture).await);
    let begun = store.begin_session(new(1, ida), NOON).await.expect("begun");

    let (found, actor) = store.find_session([1; 32], at(60)).await.expect("read").expect("alive");
    assert_eq!(
        (found.id, actor.user_id, actor.scopes),
        (begun.id, ida, vec![TokenScope::Api])
    );

    assert_eq!(store.find_session([2; 32], at(60)).await.expect("read"), None);

    // The look at 60 s counts as a use.
    let idle = 60 + IDLE.as_secs();
    assert!(store.find_session([1; 32], at(idle)).await.expect("read").is_none());
    assert!(store.list_sessions(ida, at(idle)).await.expect("read").is_empty());
    assert_eq!(store.list_sessions(ida, at(idle - 1)).await.expect("read").len(), 1);
}

pub(crate) async fn a_used_session_ends_after_its_longest_time(fixture: Fixture) {
    let (store, ida) = (&fixture.store, ida(&fixture).await);
    store.begin_session(new(1, ida), NOON).await.expect("begun");

    let step = IDLE.as_secs() - 1;
    let mut now = step;
    while now < LONGEST.as_secs() {
        assert!(store.find_session([1; 32], at(now)).await.expect("read").is_some());
        now += step;
    }

    assert!(
        store
            .find_session([1; 32], at(LONGEST.as_secs()))
            .await
            .expect("read")
            .is_none()
    );
}

pub(crate) async fn a_session_has_the_scopes_of_its_token_and_ends_with_it(fixture: Fixture) {
    let (store, ida) = (&fixture.store, ida(&fixture).await);
    let token = NewToken {
        digest: [9; 32],
        holder: Holder::User(ida),
        name: "reader".to_owned(),
        scopes: vec![TokenScope::ReadApi],
        expires_at: None,
    };
    let token = store.create_token(token, NOON).await.expect("made");
    let with_token = NewSession {
        token_id: Some(token.id),
        ..new(1, ida)
    };

    store.begin_session(with_token, NOON).await.expect("begun");

    let (_, actor) = store.find_session([1; 32], at(1)).await.expect("read").expect("alive");
    assert_eq!((actor.token, actor.scopes), (token.id, vec![TokenScope::ReadApi]));

    assert!(store.revoke_token(token.id).await.expect("revoked"));
    assert!(store.find_session([1; 32], at(2)).await.expect("read").is_none());
}

pub(crate) async fn a_blocked_user_has_no_session(fixture: Fixture) {
    let (store, ida) = (&fixture.store, ida(&fixture).await);
    store.begin_session(new(1, ida), NOON).await.expect("begun");

    let block = UserEdit {
        blocked: Some(true),
        ..UserEdit::default()
    };
    store.update_user(ida, block).await.expect("written");
    assert!(store.find_session([1; 32], at(1)).await.expect("read").is_none());

    assert!(matches!(
        store.begin_session(new(2, ida), at(1)).await,
        Err(Error::Blocked)
    ));
}

pub(crate) async fn a_block_ends_all_sessions_for_good(fixture: Fixture) {
    let (store, ida) = (&fixture.store, ida(&fixture).await);
    store.begin_session(new(1, ida), NOON).await.expect("begun");

    for is_blocked in [true, false] {
        let edit = UserEdit {
            blocked: Some(is_blocked),
            ..UserEdit::default()
        };
        store.update_user(ida, edit).await.expect("written");
    }

    assert!(store.find_session([1; 32], at(1)).await.expect("read").is_none());
}

pub(crate) async fn a_new_password_ends_all_sessions_but_one(fixture: Fixture) {
    let (store, ida) = (&fixture.store, ida(&fixture).await);
    store.begin_session(new(1, ida), NOON).await.expect("begun");

    let kept = store.begin_session(new(2, ida), NOON).await.expect("begun").id;

    let set = store.set_password(ida, "hash".to_owned(), Some(kept), at(1)).await;
    set.expect("written");

    let left = store.list_sessions(ida, at(1)).await.expect("read");
    assert_eq!(left.iter().map(|session| session.id).collect::<Vec<_>>(), [kept]);

    store
        .set_password(ida, "hash".to_owned(), None, at(1))
        .await
        .expect("written");

    assert!(store.list_sessions(ida, at(1)).await.expect("read").is_empty());
}

pub(crate) async fn sessions_are_ended_one_by_one_or_together(fixture: Fixture) {
    let (store, ida) = (&fixture.store, ida(&fixture).await);
    let mut ids = Vec::new();
    for digest in 1..=4 {
        ids.push(store.begin_session(new(digest, ida), NOON).await.expect("begun").id);
    }

    assert!(
        !store.end_session(ida + 1, ids[0]).await.expect("done"),
        "it is another user's"
    );

    assert!(store.end_session(ida, ids[0]).await.expect("done"));
    assert!(!store.end_session(ida, ids[0]).await.expect("done"), "it has ended");

    assert_eq!(store.end_sessions(ida, Some(ids[2])).await.expect("done"), 2);

    let left = store.list_sessions(ida, at(1)).await.expect("read");
    assert_eq!(left.iter().map(|session| session.id).collect::<Vec<_>>(), [ids[2]]);
    assert_eq!(store.end_sessions(ida, None).await.expect("done"), 1);
}

pub(crate) async fn a_further_session_ends_the_one_that_was_unused_for_the_longest_time(fixture: Fixture) {
    let (store, ida) = (&fixture.store, ida(&fixture).await);
    let count = u8::try_from(MAX_OF_USER).expect("small");
    for digest in 0..=count {
        let began = at(u64::from(digest));
        store.begin_session(new(digest, ida), began).await.expect("begun");
    }

    let now = at(u64::from(count));
    assert_eq!(
        store.list_sessions(ida, now).await.expect("read").len(),
        usize::from(count)
    );

    assert!(store.find_session([0; 32], now).await.expect("read").is_none());
    assert!(store.find_session([1; 32], now).await.expect("read").is_some());
}
