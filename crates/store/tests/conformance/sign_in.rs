//! Checks of the ways to sign in: passwords, the set-up link, identities at a provider, and links of portals.

use quickdraw_domain::scope::Scope;
use quickdraw_domain::{ProjectId, Timestamp};
use quickdraw_store::Error;
use quickdraw_store::access::{
    FirstAdministrator, Identity, MAX_PORTAL_SESSIONS, NewPortalSession, NewUser, PortalCreated, Theme, User, UserEdit,
};

use crate::fixture::{Fixture, NOON, at};

fn new(username: &str) -> NewUser {
    NewUser {
        username: username.to_owned(),
        name: "Ida".to_owned(),
        email: Some(format!("{username}@climb.example")),
        is_admin: false,
    }
}

async fn ida(fixture: &Fixture) -> User {
    fixture.store.create_user(new("ida"), NOON).await.expect("made")
}

pub(crate) async fn a_password_is_found_by_the_username_in_any_case(fixture: Fixture) {
    let (store, ida) = (&fixture.store, ida(&fixture).await);
    assert!(!store.has_passwords().await.expect("read"));
    assert_eq!(store.password_of(ida.id).await.expect("read"), None);
    assert!(store.find_password("ida".to_owned()).await.expect("read").is_none());

    for hash in ["first", "second"] {
        let set = store.set_password(ida.id, hash.to_owned(), None, NOON).await;
        set.expect("written");
    }

    let found = store.find_password("IDA".to_owned()).await.expect("read").expect("set");
    assert_eq!((found.user.id, found.hash.as_str()), (ida.id, "second"));

    assert_eq!(
        store.password_of(ida.id).await.expect("read").as_deref(),
        Some("second")
    );

    assert!(store.has_passwords().await.expect("read"));

    let nobody = store.set_password(999, "hash".to_owned(), None, NOON).await;
    assert!(matches!(nobody, Err(Error::Missing("user"))));

    assert!(store.delete_user(ida.id).await.expect("deleted"));
    assert!(!store.has_passwords().await.expect("read"));
}

pub(crate) async fn a_user_is_created_with_a_password(fixture: Fixture) {
    let store = &fixture.store;
    let made = store
        .create_user_with_password(new("ida"), "hash".to_owned(), NOON)
        .await;
    let made = made.expect("made");
    assert_eq!(store.password_of(made.id).await.expect("read").as_deref(), Some("hash"));

    let again = store
        .create_user_with_password(new("Ida"), "other".to_owned(), NOON)
        .await;
    assert!(matches!(again, Err(Error::Taken("username"))));
}

fn administrator(username: &str) -> FirstAdministrator {
    FirstAdministrator {
        username: username.to_owned(),
        name: "Olga".to_owned(),
        hash: "hash".to_owned(),
    }
}

pub(crate) async fn the_setup_link_is_valid_once_and_until_its_end(fixture: Fixture) {
    let store = &fixture.store;
    store.put_setup_link([1; 32], at(60)).await.expect("written");
    store.put_setup_link([2; 32], at(60)).await.expect("written");

    let is_link = async |digest, now| store.is_setup_link(digest, now).await.expect("read");
    assert!(!is_link([1; 32], NOON).await, "the second link replaces the first");
    assert!(is_link([2; 32], at(59)).await);
    assert!(!is_link([2; 32], at(60)).await, "its time is over");

    let late = store.finish_setup([2; 32], administrator("olga"), at(60)).await;
    assert_eq!(late.expect("done"), None);

    let done = store.finish_setup([2; 32], administrator("olga"), at(59)).await;
    let done = done.expect("done").expect("the link is valid");
    assert_eq!(
        (done.id, done.username.as_str(), done.name.as_str(), done.is_admin),
        (1, "olga", "Olga", true)
    );

    assert_eq!(store.password_of(1).await.expect("read").as_deref(), Some("hash"));

    let twice = store.finish_setup([2; 32], administrator("olga"), at(59)).await;
    assert_eq!(twice.expect("done"), None);
}

pub(crate) async fn a_setup_with_a_taken_username_keeps_the_link(fixture: Fixture) {
    let (store, _) = (&fixture.store, ida(&fixture).await);
    store.put_setup_link([1; 32], at(60)).await.expect("written");

    let taken = store.finish_setup([1; 32], administrator("Ida"), NOON).await;
    assert!(matches!(taken, Err(Error::Taken("username"))));

    let done = store.finish_setup([1; 32], administrator("olga"), NOON).await;
    assert!(done.expect("done").is_some());
}

fn identity(subject: &str) -> Identity {
    Identity {
        issuer: "https://id.example".to_owned(),
        subject: subject.to_owned(),
    }
}

pub(crate) async fn an_identity_belongs_to_one_user(fixture: Fixture) {
    let (store, ida) = (&fixture.store, ida(&fixture).await);
    store.add_identity(identity("s1"), ida.id, NOON).await.expect("added");

    let found = store.find_identity(identity("s1")).await.expect("read");
    assert_eq!(found.map(|user| user.id), Some(ida.id));
    assert_eq!(store.find_identity(identity("S1")).await.expect("read"), None);

    let elsewhere = Identity {
        issuer: "https://other.example".to_owned(),
        ..identity("s1")
    };
    assert_eq!(store.find_identity(elsewhere).await.expect("read"), None);

    let taken = store.add_identity(identity("s1"), 1, NOON).await;
    assert!(matches!(taken, Err(Error::Taken("identity"))));

    let nobody = store.add_identity(identity("s2"), 999, NOON).await;
    assert!(matches!(nobody, Err(Error::Missing("user"))));

    store.delete_user(ida.id).await.expect("deleted");
    assert_eq!(store.find_identity(identity("s1")).await.expect("read"), None);
}

pub(crate) async fn a_user_and_an_identity_are_created_together(fixture: Fixture) {
    let store = &fixture.store;
    let made = store.create_user_with_identity(identity("s1"), new("ida"), NOON).await;
    let made = made.expect("made");
    let found = store.find_identity(identity("s1")).await.expect("read");

    assert_eq!(found, Some(made));

    let again = store.create_user_with_identity(identity("s1"), new("olga"), NOON).await;
    assert!(matches!(again, Err(Error::Taken("identity"))));

    assert!(
        store
            .users_by_email("olga@climb.example".to_owned())
            .await
            .expect("read")
            .is_empty()
    );

    let taken = store.create_user_with_identity(identity("s2"), new("IDA"), NOON).await;
    assert!(matches!(taken, Err(Error::Taken("username"))));
}

pub(crate) async fn users_are_found_by_their_address(fixture: Fixture) {
    let (store, ida) = (&fixture.store, ida(&fixture).await);
    let found = store
        .users_by_email("Ida@Climb.example".to_owned())
        .await
        .expect("read");
    assert_eq!(found, [ida]);

    assert!(
        store
            .users_by_email("olga@climb.example".to_owned())
            .await
            .expect("read")
            .is_empty()
    );
}

fn portal(digest: u8, user_id: i64, project: ProjectId) -> NewPortalSession {
    NewPortalSession {
        digest: [digest; 32],
        user_id,
        scope: Scope::Project(project),
        manages: true,
        theme: Theme::Dark,
        return_url: Some("https://app.example/".to_owned()),
        expires_at: at(60),
    }
}

async fn is_found(fixture: &Fixture, digest: u8, now: Timestamp) -> bool {
    let found = fixture.store.find_portal_session([digest; 32], now).await;
    found.expect("read").is_some()
}

pub(crate) async fn a_portal_session_is_found_until_its_end(fixture: Fixture) {
    let (project, ida) = (fixture.project("p").await, ida(&fixture).await);
    let made = fixture
        .store
        .create_portal_session(portal(1, ida.id, project), NOON)
        .await;
    assert_eq!(made.expect("made"), PortalCreated::Created);

    let found = fixture.store.find_portal_session([1; 32], at(59)).await;
    let found = found.expect("read").expect("valid");
    assert_eq!(
        (found.scope, found.manages, found.theme),
        (Scope::Project(project), true, Theme::Dark)
    );

    assert_eq!(found.return_url.as_deref(), Some("https://app.example/"));
    assert_eq!((found.user, found.expires_at), (ida, at(60)));

    assert!(!is_found(&fixture, 2, at(59)).await, "another secret");
    assert!(!is_found(&fixture, 1, at(60)).await, "its time is over");
}

pub(crate) async fn a_portal_session_ends_with_its_user_and_its_project(fixture: Fixture) {
    let (project, ida) = (fixture.project("p").await, ida(&fixture).await);
    let store = &fixture.store;
    store
        .create_portal_session(portal(1, ida.id, project), NOON)
        .await
        .expect("made");

    store
        .create_portal_session(portal(2, 1, project), NOON)
        .await
        .expect("made");

    for is_blocked in [true, false] {
        let edit = UserEdit {
            blocked: Some(is_blocked),
            ..UserEdit::default()
        };
        store.update_user(ida.id, edit).await.expect("written");
        assert_eq!(is_found(&fixture, 1, NOON).await, !is_blocked);
    }

    store.delete_user(ida.id).await.expect("deleted");
    assert!(!is_found(&fixture, 1, NOON).await, "the user was deleted");
    assert!(is_found(&fixture, 2, NOON).await);

    store.delete_project(project).await.expect("deleted");
    assert!(!is_found(&fixture, 2, NOON).await, "the project was deleted");
}

pub(crate) async fn a_project_has_a_bounded_number_of_portal_sessions(fixture: Fixture) {
    let (project, other) = (fixture.project("p").await, fixture.project("q").await);
    let create = async |number: i64, project, now| {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());

        let new = NewPortalSession {
            digest,
            ..portal(0, 1, project)
        };
        fixture.store.create_portal_session(new, now).await.expect("done")
    };

    // Together, because commits that wait for each other share a flush, and few enough for the pool of connections.
    let numbers: Vec<i64> = (0..MAX_PORTAL_SESSIONS).collect();
    for some in numbers.chunks(8) {
        let made = some.iter().map(|number| create(*number, project, NOON));
        let made = futures_util::future::join_all(made).await;
        assert!(made.iter().all(|made| *made == PortalCreated::Created));
    }

    assert_eq!(create(-1, project, NOON).await, PortalCreated::TooMany);
    assert_eq!(create(-2, other, NOON).await, PortalCreated::Created);

    assert_eq!(
        create(-3, project, at(60)).await,
        PortalCreated::Created,
        "the others have ended"
    );
}
