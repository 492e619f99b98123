//! Checks of SSH keys.

use quickdraw_domain::ssh_key::{SshKey, Usage};
use quickdraw_store::Error;
use quickdraw_store::access::NewUser;
use quickdraw_store::ssh_keys::NewKey;

use crate::fixture::{ALL, Fixture, NOON, at};

const MANY: i64 = 100;

/// A key with a comment. Keys of different numbers differ in their last byte.
fn key(number: u8, comment: &str) -> SshKey {
    let last = char::from(b'A' + number);
    let text =
        format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscAAA{last} {comment}");
    SshKey::parse(&text).expect("a key")
}

fn new(user: i64, number: u8) -> NewKey {
    NewKey {
        user,
        title: "laptop".to_owned(),
        key: key(number, "ida@rope"),
        usage: Usage::Signing,
        expires_at: Some(at(100)),
    }
}

async fn user(fixture: &Fixture, username: &str) -> i64 {
    let new = NewUser {
        username: username.to_owned(),
        name: "Ida".to_owned(),
        email: None,
        is_admin: false,
    };

    fixture.store.create_user(new, NOON).await.expect("made").id
}

pub(crate) async fn keys_are_listed_by_user_and_deleted_with_the_user(fixture: Fixture) {
    let store = &fixture.store;
    let (ida, jo) = (user(&fixture, "ida").await, user(&fixture, "jo").await);
    let first = store.add_ssh_key(new(ida, 1), MANY, NOON).await.expect("added");
    let second = store.add_ssh_key(new(ida, 2), MANY, NOON).await.expect("added");
    let other = store.add_ssh_key(new(jo, 3), MANY, NOON).await.expect("added");
    assert_eq!((&first.key, first.created_at), (&key(1, "ida@rope"), NOON));

    let listed = store.list_ssh_keys(ida, ALL).await.expect("listed");
    assert_eq!((listed.rows, listed.total), (vec![first.clone(), second.clone()], 2));
    assert_eq!(store.find_ssh_key(ida, second.id).await.expect("read"), Some(second));
    assert_eq!(store.find_ssh_key(ida, other.id).await.expect("read"), None);

    assert_eq!(store.remove_ssh_key(jo, first.id).await.expect("read"), None);
    assert_eq!(
        store.remove_ssh_key(ida, first.id).await.expect("removed"),
        Some(first.clone())
    );
    assert_eq!(store.remove_ssh_key(ida, first.id).await.expect("read"), None);

    assert!(store.delete_user(ida).await.expect("deleted"));
    assert_eq!(store.list_ssh_keys(ida, ALL).await.expect("listed").total, 0);
    assert_eq!(store.list_ssh_keys(jo, ALL).await.expect("listed").rows, [other]);
}

pub(crate) async fn a_key_belongs_to_one_user(fixture: Fixture) {
    let store = &fixture.store;
    let (ida, jo) = (user(&fixture, "ida").await, user(&fixture, "jo").await);
    let added = store.add_ssh_key(new(ida, 1), MANY, NOON).await.expect("added");

    for user in [ida, jo] {
        let same = NewKey {
            key: key(1, "another comment"),
            ..new(user, 1)
        };
        let refused = store.add_ssh_key(same, MANY, NOON).await;
        assert!(matches!(refused, Err(Error::Taken("key"))), "{refused:?}");
    }

    let missing = store.add_ssh_key(new(999, 2), MANY, NOON).await;
    assert!(matches!(missing, Err(Error::Missing("user"))), "{missing:?}");

    store.remove_ssh_key(ida, added.id).await.expect("removed");
    store.add_ssh_key(new(jo, 1), MANY, NOON).await.expect("free again");
}

pub(crate) async fn a_user_has_a_bounded_number_of_keys(fixture: Fixture) {
    let store = &fixture.store;
    let (ida, jo) = (user(&fixture, "ida").await, user(&fixture, "jo").await);
    store.add_ssh_key(new(ida, 1), 1, NOON).await.expect("added");

    let full = store.add_ssh_key(new(ida, 2), 1, NOON).await;
    assert!(matches!(full, Err(Error::Full(1))), "{full:?}");
    store.add_ssh_key(new(jo, 2), 1, NOON).await.expect("added");
}

pub(crate) async fn two_users_who_add_the_same_key_at_once_get_it_once(fixture: Fixture) {
    let store = &fixture.store;
    let (ida, jo) = (user(&fixture, "ida").await, user(&fixture, "jo").await);
    let both = [ida, jo].map(|user| store.add_ssh_key(new(user, 1), MANY, NOON));

    let results = futures_util::future::join_all(both).await;
    let added = results.iter().filter(|result| result.is_ok()).count();
    let taken = results
        .iter()
        .filter(|result| matches!(result, Err(Error::Taken("key"))))
        .count();
    assert_eq!((added, taken), (1, 1), "{results:?}");
}
