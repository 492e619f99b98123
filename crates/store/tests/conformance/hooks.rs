//! Checks of hooks and of the directory.

use quickdraw_domain::hook::{BranchFilter, Hook, HookUrl, PastHook, Pause, Restriction, Senders};
use quickdraw_domain::retry::OwnRetry;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::{ProjectId, Secret, Trigger};
use quickdraw_store::Error;

use crate::fixture::{ALL, Fixture, at, hook};

pub(crate) async fn hooks_are_read_with_their_secrets_and_only_in_their_scope(fixture: Fixture) {
    let store = &fixture.store;
    let (one, other) = (fixture.project("one").await, fixture.project("other").await);
    let mut new = hook(Scope::Project(one));
    let key = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=";

    new.signing_token = Some(SigningToken::parse(key).expect("a token"));
    new.retry = Some(OwnRetry::parse(&["10s", "1h"]).expect("a policy"));
    new.previous_signing_token = Some((SigningToken::from_key(&[7; 32]), at(60)));
    new.branch_filter = BranchFilter::parse("wildcard", Some("release/*")).expect("a filter");
    new.triggers = [Trigger::PUSH, Trigger::TAG_PUSH].into_iter().collect();

    let made = store.create_hook(new.clone(), 100).await.expect("made").hook;
    let found = store
        .find_hook(Scope::Project(one), made.id)
        .await
        .expect("read")
        .expect("the hook exists")
        .hook;
    assert_eq!(found.url.as_typed(), new.url.as_typed());

    assert_eq!(
        found.token.as_ref().map(|token| token.expose().to_owned()).as_deref(),
        Some("canary-token")
    );

    assert_eq!(
        found
            .signing_token
            .map(|token| token.to_text().expose().to_owned())
            .as_deref(),
        Some(key)
    );

    assert_eq!(found.retry, new.retry);

    let (before, until) = found.previous_signing_token.expect("the previous token is kept");
    assert_eq!(
        (before.to_text().expose(), until),
        (SigningToken::from_key(&[7; 32]).to_text().expose(), at(60))
    );

    assert_eq!(
        (found.triggers, found.branch_filter.text()),
        (new.triggers, Some("release/*"))
    );

    assert_eq!(
        found.custom_headers.get("X-Key").map(Secret::expose),
        Some("canary-header")
    );

    let full = store.create_hook(hook(Scope::Project(one)), 1).await;
    assert!(matches!(full, Err(Error::Full(1))));

    assert!(
        store
            .find_hook(Scope::Project(other), made.id)
            .await
            .expect("read")
            .is_none()
    );

    assert!(store.find_hook(Scope::Instance, made.id).await.expect("read").is_none());
    assert!(
        !store
            .delete_hook(Scope::Project(other), made.id, None)
            .await
            .expect("nothing")
    );

    let system = store.create_hook(hook(Scope::Instance), 100).await.expect("made").hook;
    assert!(
        store
            .find_hook(Scope::Instance, system.id)
            .await
            .expect("read")
            .is_some()
    );

    assert_eq!(store.list_hooks(Scope::Instance, ALL).await.expect("listed").total, 1);

    let nowhere = store.create_hook(hook(Scope::Project(ProjectId(999))), 100).await;
    assert!(matches!(nowhere, Err(Error::Missing("project"))));

    if fixture.is_sqlite() {
        for file in ["store.db", "store.db-wal"] {
            let bytes = std::fs::read(fixture.folder().join(file)).unwrap_or_default();
            assert!(
                !bytes.windows(7).any(|window| window == b"canary-"),
                "{file} contains a secret in plain text"
            );
        }
    }
}

pub(crate) async fn a_hook_is_replaced_only_at_its_current_version(fixture: Fixture) {
    let store = &fixture.store;
    let project = fixture.project("p").await;

    let made = store
        .create_hook(hook(Scope::Project(project)), 100)
        .await
        .expect("made")
        .hook;

    let before = store.directory_version().await.expect("a version");
    let mut changed = made.clone();
    changed
        .url_variables
        .set("part", Secret::new("canary-part"))
        .expect("a variable");

    changed.url = HookUrl::parse_with("https://example.com/{part}", &changed.url_variables).expect("a URL");
    changed.custom_headers.remove("X-Key");
    changed.triggers = [Trigger::TAG_PUSH].into_iter().collect();
    changed.body_template = Some("{}".to_owned());
    changed.updated_at = at(5);

    let written = store
        .update_hook(changed.clone(), made.updated_at)
        .await
        .expect("written")
        .expect("unchanged")
        .hook;
    assert_eq!(
        (written.url.path_and_query().as_str(), written.triggers),
        ("/canary-part", changed.triggers)
    );

    assert!(store.directory_version().await.expect("a version") > before);

    let found = store
        .find_hook(Scope::Project(project), made.id)
        .await
        .expect("read")
        .expect("the hook exists")
        .hook;
    assert_eq!(
        (found.url.as_typed(), found.updated_at),
        ("https://example.com/{part}", at(5))
    );

    assert_eq!(
        (found.url.path_and_query().as_str(), found.custom_headers.is_empty()),
        ("/canary-part", true)
    );

    assert_eq!(
        (found.body_template.as_deref(), found.token.is_some()),
        (Some("{}"), true)
    );

    assert!(
        store
            .update_hook(changed.clone(), made.updated_at)
            .await
            .expect("looked")
            .is_none(),
        "the hook has changed since"
    );

    let elsewhere = Hook {
        scope: Scope::Instance,
        ..changed
    };
    assert!(
        store.update_hook(elsewhere, at(5)).await.expect("looked").is_none(),
        "the hook has another scope"
    );
}

/// History shows a request with the settings of its time, as long as history is kept.
pub(crate) async fn past_settings_of_a_hook_are_kept_as_long_as_history(fixture: Fixture) {
    let store = &fixture.store;
    let project = fixture.project("rope").await;
    let mut made = hook(Scope::Project(project));
    made.custom_headers
        .set("X-Old", Secret::new("s3cret"))
        .expect("a header");

    let made = store.create_hook(made, 100).await.expect("made").hook;
    let old = PastHook::of(&made);

    let changed = |body: &str, now| Hook {
        body_template: Some(body.to_owned()),
        updated_at: now,
        ..made.clone()
    };
    let second = changed("{}", at(10));

    store
        .update_hook(second.clone(), made.updated_at)
        .await
        .expect("written")
        .expect("unchanged");

    let third = changed("[]", at(20));
    store
        .update_hook(third.clone(), second.updated_at)
        .await
        .expect("written")
        .expect("unchanged");

    let past = async |version| store.past_hook(&third, version).await.expect("read");
    assert_eq!(past(made.updated_at).await, Some(old));
    assert_eq!(past(at(10)).await, Some(PastHook::of(&second)));
    assert_eq!(past(at(11)).await, None);
    store.prune(at(15), 10).await.expect("pruned");

    assert_eq!(
        past(made.updated_at).await,
        None,
        "the following settings are older than history"
    );

    assert_eq!(
        past(at(10)).await,
        Some(PastHook::of(&second)),
        "these settings were in use within history"
    );

    assert_eq!(past(at(20)).await, Some(PastHook::of(&third)));
}

pub(crate) async fn a_hook_for_all_events_keeps_its_restriction_and_its_pause(fixture: Fixture) {
    let store = &fixture.store;
    let mut new = hook(Scope::Instance);
    new.all_events = true;
    new.only = Restriction {
        sources: Some(Senders {
            reports: true,
            sources: vec![1, 7],
        }),
        groups: Some(vec![3]),
        projects: None,
    };
    new.paused = Some(Pause {
        at: at(5),
        by: "ida".to_owned(),
    });

    let made = store.create_hook(new.clone(), 100).await.expect("made").hook;
    let found = store.find_hook(Scope::Instance, made.id).await.expect("read");
    let found = found.expect("the hook exists").hook;
    assert_eq!(
        (found.all_events, &found.only, &found.paused),
        (true, &new.only, &new.paused)
    );

    let resumed = found.with_pause(None, at(6));
    let written = store.update_hook(resumed, found.updated_at).await.expect("written");
    assert_eq!(written.expect("unchanged").hook.paused, None);

    let directory = store.directory().await.expect("read");
    assert_eq!(
        (&directory.hooks[0].hook.only, &directory.hooks[0].hook.paused),
        (&new.only, &None)
    );
}

pub(crate) async fn silent_mode_is_stored_with_a_new_version_of_the_directory(fixture: Fixture) {
    let store = &fixture.store;
    let before = store.directory().await.expect("read");
    assert_eq!(before.silent_since, None);

    assert!(store.set_silent(Some(at(5))).await.expect("written"));
    assert!(
        !store.set_silent(Some(at(6))).await.expect("written"),
        "it is on already"
    );
    let silent = store.directory().await.expect("read");
    assert_eq!((silent.silent_since, silent.version), (Some(at(5)), before.version + 1));

    assert!(store.set_silent(None).await.expect("written"));
    assert!(!store.set_silent(None).await.expect("written"), "it is off already");
    assert_eq!(store.directory().await.expect("read").silent_since, None);
}

pub(crate) async fn every_change_increases_the_directory_version(fixture: Fixture) {
    let store = &fixture.store;
    let mut last = store.directory_version().await.expect("a version");

    let mut rises = async |what: &str| {
        let now = store.directory_version().await.expect("a version");
        assert!(now > last, "{what}");
        last = now;
    };

    let project = fixture.project("p").await;
    rises("a project was created").await;

    let hook = fixture.hook(project).await;
    rises("a hook was created").await;

    let directory = store.directory().await.expect("read");
    assert_eq!(
        (directory.hooks.len(), directory.projects.len(), directory.groups.len()),
        (1, 1, 1)
    );

    store
        .delete_hook(Scope::Project(project), hook, None)
        .await
        .expect("deleted");

    rises("a hook was deleted").await;
    assert_eq!(
        store.directory().await.expect("read").version,
        store.directory_version().await.expect("read")
    );
}
