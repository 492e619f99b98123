//! Checks of groups, projects and hooks, and of opening the store.

use std::time::Duration;

use quickdraw_domain::access::AccessLevel;
use quickdraw_domain::hook::{BranchFilter, Hook, HookUrl, PastHook};
use quickdraw_domain::retry::OwnRetry;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::{Edit, GroupId, NodeId, ProjectId, Secret, Trigger};
use quickdraw_store::Error;
use quickdraw_store::access::{NewUser, UserEdit, UserFilter};
use quickdraw_store::lists::{Page, Start};
use quickdraw_store::scopes::{GroupEdit, Name, NewGroup, NewProject, ProjectEdit, ScopeFilter};
use uuid::Uuid;

use crate::fixture::{Fixture, NOON, at, hook, ring};

pub(crate) const ALL: Page = Page {
    start: Start::Offset(0),
    limit: 100,
};

pub(crate) fn group(parent: Option<GroupId>, path: &str) -> NewGroup {
    NewGroup {
        parent,
        name: path.to_owned(),
        path: path.to_owned(),
        description: None,
        visibility_level: 20,
    }
}

pub(crate) async fn groups_and_projects_have_unique_paths(fixture: Fixture) {
    let store = &fixture.store;
    let top = store.create_group(group(None, "Climb"), NOON).await.expect("made");
    let sub = store
        .create_group(group(Some(top.id), "gear"), NOON)
        .await
        .expect("made");
    assert_eq!(sub.full_path, "Climb/gear");

    assert!(matches!(
        store.create_group(group(None, "climb"), NOON).await,
        Err(Error::Taken("path"))
    ));

    let missing = store.create_group(group(Some(GroupId(999)), "x"), NOON).await;
    assert!(matches!(missing, Err(Error::Missing(_))));

    let new = |path: &str| NewProject {
        group: sub.id,
        name: "Rope".to_owned(),
        path: path.to_owned(),
        description: Some("d".to_owned()),
        default_branch: None,
        visibility_level: 10,
    };
    let project = store.create_project(new("rope"), NOON).await.expect("made");

    assert!(matches!(
        store.create_project(new("ROPE"), NOON).await,
        Err(Error::Taken("path"))
    ));

    assert!(matches!(
        store.create_group(group(Some(sub.id), "rope"), NOON).await,
        Err(Error::Taken("path"))
    ));

    assert_eq!(
        (project.path_with_namespace.as_str(), project.namespace.as_str()),
        ("Climb/gear/rope", "gear")
    );

    for name in [Name::Id(project.id.0), Name::Path("climb/GEAR/rope".to_owned())] {
        assert_eq!(store.find_project(name).await.expect("read"), Some(project.clone()));
    }

    assert_eq!(
        store.find_group(Name::Path("CLIMB".to_owned())).await.expect("read"),
        Some(top)
    );

    let page = store
        .list_groups(
            ScopeFilter::default(),
            Page {
                start: Start::Offset(1),
                limit: 1,
            },
        )
        .await
        .expect("listed");
    assert_eq!((page.total, page.rows), (2, vec![sub]));
}

pub(crate) async fn deleting_a_group_deletes_its_projects_and_hooks(fixture: Fixture) {
    let project = fixture.project("p").await;
    fixture.hook(project).await;

    let store = &fixture.store;
    let found = store
        .find_project(Name::Id(project.0))
        .await
        .expect("read")
        .expect("the project exists");
    assert!(store.delete_group(found.group).await.expect("deleted"));
    assert!(!store.delete_group(found.group).await.expect("nothing left"));
    assert_eq!(store.find_project(Name::Id(project.0)).await.expect("read"), None);
    assert_eq!(store.directory().await.expect("read").hooks.len(), 0);

    let again = fixture.project("p").await;
    assert!(again > project, "ids are never reused");
}

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
    assert_eq!((condition.nodes, condition.schema_version), (1, 29));
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

pub(crate) async fn lists_continue_after_an_id(fixture: Fixture) {
    let store = &fixture.store;
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        made.push(store.create_group(group(None, name), NOON).await.expect("made").id);
    }

    let page = |start| store.list_groups(ScopeFilter::default(), Page { start, limit: 2 });
    let first = page(Start::After(0)).await.expect("listed");
    assert_eq!(first.rows.iter().map(|group| group.id).collect::<Vec<_>>(), made[..2]);

    let rest = page(Start::After(made[1].0)).await.expect("listed");
    assert_eq!(
        (rest.rows.len(), rest.rows[0].id, rest.total),
        (1, made[2], 0),
        "this kind of page has no total"
    );

    assert_eq!(page(Start::Offset(2)).await.expect("listed").total, 3);

    let user = NewUser {
        username: "ida".to_owned(),
        name: "Ida".to_owned(),
        email: None,
        is_admin: false,
    };
    let user = store.create_user(user, NOON).await.expect("made").id;
    let level = AccessLevel::Guest;
    store
        .set_member(Scope::Group(made[1]), user, level, None)
        .await
        .expect("written");

    let search = Some("B".to_owned());
    let seen = ScopeFilter {
        visible_to: Some((user, NOON)),
        search,
        ..ScopeFilter::default()
    };
    let found = store.list_groups(seen, ALL).await.expect("listed");
    assert_eq!((found.rows.len(), found.rows[0].id, found.total), (1, made[1], 1));
}

pub(crate) async fn groups_and_projects_are_edited_searched_and_moved(fixture: Fixture) {
    let store = &fixture.store;
    let top = store.create_group(group(None, "top"), NOON).await.expect("made").id;

    let sub = store
        .create_group(group(Some(top), "sub"), NOON)
        .await
        .expect("made")
        .id;

    let new = |group, path: &str| NewProject {
        group,
        name: format!("The {path}"),
        path: path.to_owned(),
        description: None,
        default_branch: Some("main".to_owned()),
        visibility_level: 0,
    };
    let rope = store.create_project(new(top, "rope"), NOON).await.expect("made").id;
    store
        .create_project(new(sub, "rope"), NOON)
        .await
        .expect("another path");

    let search = |text: &str| ScopeFilter {
        search: Some(text.to_owned()),
        ..ScopeFilter::default()
    };

    assert_eq!(
        store
            .list_projects(search("THE ROPE"), ALL)
            .await
            .expect("listed")
            .total,
        2
    );

    assert_eq!(store.list_projects(search("sub/"), ALL).await.expect("listed").total, 1);
    assert_eq!(store.list_groups(search("100%"), ALL).await.expect("listed").total, 0);

    let inside = ScopeFilter {
        parent: Some(top),
        ..ScopeFilter::default()
    };
    assert_eq!(
        store.list_groups(inside.clone(), ALL).await.expect("listed").rows[0].id,
        sub
    );

    assert_eq!(store.list_projects(inside, ALL).await.expect("listed").rows[0].id, rope);

    let before = store.directory_version().await.expect("a version");
    let there = ProjectEdit {
        group: Some(sub),
        ..ProjectEdit::default()
    };
    assert!(matches!(
        store.update_project(rope, there.clone()).await,
        Err(Error::Taken("path"))
    ));

    let other = store.create_project(new(top, "sling"), NOON).await.expect("made").id;
    let edit = ProjectEdit {
        description: Edit::Set("d".to_owned()),
        name: Some("n".to_owned()),
        ..there
    };

    let moved = store
        .update_project(other, edit)
        .await
        .expect("written")
        .expect("the project exists");
    assert_eq!(
        (moved.path_with_namespace.as_str(), moved.group, moved.name.as_str()),
        ("top/sub/sling", sub, "n")
    );

    assert_eq!(
        (moved.description.as_deref(), moved.default_branch.as_deref()),
        (Some("d"), Some("main"))
    );

    assert!(
        store.directory_version().await.expect("a version") > before,
        "other nodes read the directory again"
    );

    let nowhere = ProjectEdit {
        group: Some(GroupId(999)),
        ..ProjectEdit::default()
    };
    assert!(matches!(
        store.update_project(other, nowhere).await,
        Err(Error::Missing("group"))
    ));

    assert!(
        store
            .update_project(ProjectId(999), ProjectEdit::default())
            .await
            .expect("looked")
            .is_none()
    );

    let edit = GroupEdit {
        visibility_level: Some(20),
        ..GroupEdit::default()
    };

    let changed = store
        .update_group(sub, edit)
        .await
        .expect("written")
        .expect("the group exists");
    assert_eq!((changed.visibility_level, changed.full_path.as_str()), (20, "top/sub"));

    assert!(
        store
            .update_group(GroupId(999), GroupEdit::default())
            .await
            .expect("looked")
            .is_none()
    );
}

/// Searches use an index of runs of three characters, which follows changes of names. A shorter text must be a whole
/// name or path.
pub(crate) async fn searches_find_text_in_names_and_paths(fixture: Fixture) {
    let store = &fixture.store;
    let groups = async |text: &str| {
        let filter = ScopeFilter {
            search: Some(text.to_owned()),
            ..ScopeFilter::default()
        };
        let found = store.list_groups(filter.clone(), ALL).await.expect("listed");

        let behind = Page {
            start: Start::After(0),
            limit: 100,
        };
        assert_eq!(
            store.list_groups(filter, behind).await.expect("listed").rows,
            found.rows
        );

        found.rows.into_iter().map(|group| group.full_path).collect::<Vec<_>>()
    };

    let top = store.create_group(group(None, "tools"), NOON).await.expect("made").id;
    store.create_group(group(Some(top), "x_y"), NOON).await.expect("made");

    let odd = NewGroup {
        name: "50% \"of\" C:\\ AND NOT é".to_owned(),
        ..group(None, "odd")
    };
    store.create_group(odd, NOON).await.expect("made");
    assert_eq!(groups("OOL").await, ["tools", "tools/x_y"]);
    assert_eq!(groups("x_y").await, ["tools/x_y"]);
    assert!(groups("x%y").await.is_empty() && groups("xyy").await.is_empty());

    for part in ["50%", "\"of\"", "C:\\", "AND NOT", "T é"] {
        assert_eq!(groups(part).await, ["odd"], "{part}");
    }

    assert!(groups("to").await.is_empty(), "two characters must be a whole name");
    assert!(groups("x\"").await.is_empty() && groups("_%").await.is_empty());

    let rename = GroupEdit {
        path: Some("io".to_owned()),
        name: Some("Øl".to_owned()),
        ..GroupEdit::default()
    };
    store.update_group(top, rename).await.expect("written");
    assert!(groups("tools").await.is_empty());
    assert_eq!(groups("IO").await, ["io"]);
    assert_eq!(groups("Øl").await, ["io"]);
    assert_eq!(groups("io/").await, ["io/x_y"]);
    store.delete_group(top).await.expect("deleted");

    assert!(
        groups("io/").await.is_empty(),
        "the subgroups are deleted with the group"
    );

    let users = async |text: &str| {
        let filter = UserFilter {
            search: Some(text.to_owned()),
            ..UserFilter::default()
        };
        let found = store.list_users(filter, ALL).await.expect("listed").rows;
        found.into_iter().map(|user| user.username).collect::<Vec<_>>()
    };
    assert_eq!(users("minist").await, ["root"], "the user existed before the index");

    let new = NewUser {
        username: "ida".to_owned(),
        name: "Ida Sling".to_owned(),
        email: None,
        is_admin: false,
    };
    let id = store.create_user(new, NOON).await.expect("made").id;
    assert_eq!(
        (users("A SLI").await, users("id").await.len()),
        (vec!["ida".to_owned()], 0)
    );

    let edit = UserEdit {
        username: Some("li".to_owned()),
        ..UserEdit::default()
    };
    store.update_user(id, edit).await.expect("written");

    assert_eq!(
        (users("ida").await, users("LI").await),
        (vec!["li".to_owned()], vec!["li".to_owned()])
    );

    store.delete_user(id).await.expect("deleted");
    assert!(users("ida").await.is_empty() && users("li").await.is_empty());
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

/// A change must not write back values that it read before another change, and every path must have the new name of its
/// group.
pub(crate) async fn simultaneous_changes_are_all_kept(fixture: Fixture) {
    let store = &fixture.store;
    for round in 0..8 {
        let top = store
            .create_group(group(None, &format!("top-{round}")), NOON)
            .await
            .expect("made")
            .id;

        let rename = GroupEdit {
            path: Some(format!("new-{round}")),
            ..GroupEdit::default()
        };

        let describe = GroupEdit {
            description: Edit::Set("d".to_owned()),
            ..GroupEdit::default()
        };

        let (renamed, described, made) = tokio::join!(
            store.update_group(top, rename),
            store.update_group(top, describe),
            store.create_group(group(Some(top), "sub"), NOON),
        );

        renamed.expect("written");
        described.expect("written");

        let sub = made.expect("made").id;
        let top = store
            .find_group(Name::Id(top.0))
            .await
            .expect("read")
            .expect("the group exists");
        assert_eq!(
            (top.full_path, top.description.as_deref()),
            (format!("new-{round}"), Some("d"))
        );

        let sub = store
            .find_group(Name::Id(sub.0))
            .await
            .expect("read")
            .expect("the group exists");
        assert_eq!(sub.full_path, format!("new-{round}/sub"));

        let new = NewUser {
            username: format!("u{round}"),
            name: "u".to_owned(),
            email: None,
            is_admin: true,
        };
        let user = store.create_user(new, NOON).await.expect("made").id;

        let (name, admin) = tokio::join!(
            store.update_user(
                user,
                UserEdit {
                    name: Some("n".to_owned()),
                    ..UserEdit::default()
                }
            ),
            store.update_user(
                user,
                UserEdit {
                    is_admin: Some(false),
                    ..UserEdit::default()
                }
            ),
        );

        assert!(name.is_ok() && admin.is_ok());

        let user = store.find_user(user).await.expect("read").expect("the user exists");
        assert_eq!((user.name.as_str(), user.is_admin), ("n", false));
    }
}

pub(crate) async fn renaming_a_group_changes_the_paths_below_it(fixture: Fixture) {
    let store = &fixture.store;
    let top = store.create_group(group(None, "Top"), NOON).await.expect("made").id;

    let sub = store
        .create_group(group(Some(top), "sub"), NOON)
        .await
        .expect("made")
        .id;

    let beside = store.create_group(group(None, "topper"), NOON).await.expect("made").id;
    let new = NewProject {
        group: sub,
        name: "p".to_owned(),
        path: "p".to_owned(),
        description: None,
        default_branch: None,
        visibility_level: 0,
    };
    let project = store.create_project(new, NOON).await.expect("made").id;

    let to = |path: &str| GroupEdit {
        path: Some(path.to_owned()),
        ..GroupEdit::default()
    };
    assert!(matches!(
        store.update_group(top, to("TOPPER")).await,
        Err(Error::Taken("path"))
    ));

    for (path, full) in [("wall", "wall/sub/p"), ("Wall", "Wall/sub/p")] {
        assert!(store.update_group(top, to(path)).await.expect("written").is_some());

        let found = store
            .find_project(Name::Id(project.0))
            .await
            .expect("read")
            .expect("the project exists");
        assert_eq!(found.path_with_namespace, full);
    }

    let found = store
        .find_group(Name::Path("wall/sub".to_owned()))
        .await
        .expect("read")
        .expect("the group exists");
    assert_eq!((found.id, found.full_path.as_str()), (sub, "Wall/sub"));

    let other = store
        .find_group(Name::Id(beside.0))
        .await
        .expect("read")
        .expect("the group exists");
    assert_eq!(other.full_path, "topper", "only the beginning of the name is the same");

    let edit = ProjectEdit {
        path: Some("q".to_owned()),
        group: Some(beside),
        ..ProjectEdit::default()
    };

    let moved = store
        .update_project(project, edit)
        .await
        .expect("written")
        .expect("the project exists");
    assert_eq!(moved.path_with_namespace, "topper/q");
}
