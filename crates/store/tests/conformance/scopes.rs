//! Checks of groups and projects.

use quickdraw_domain::access::AccessLevel;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{Edit, GroupId, ProjectId};
use quickdraw_store::Error;
use quickdraw_store::access::{NewUser, UserEdit, UserFilter};
use quickdraw_store::lists::{Page, Start};
use quickdraw_store::scopes::{GroupEdit, Name, NewGroup, NewProject, ProjectEdit, ScopeFilter};

use crate::fixture::{ALL, Fixture, NOON, group};

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
