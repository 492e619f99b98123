//! Checks of the filters of lists of groups and projects, and of their details.

use quickdraw_domain::GroupId;
use quickdraw_domain::access::{AccessLevel, TokenScope};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_store::Error;
use quickdraw_store::access::{Holder, NewToken, NewUser, UserEdit, UserFilter};
use quickdraw_store::lists::{Numbers, Page, Start};
use quickdraw_store::scopes::{GroupEdit, GroupPlace, Name, NewGroup, NewProject, ProjectEdit, ScopeFilter};

use crate::fixture::{ALL, Fixture, NOON, at, event_at, group};

fn named(parent: Option<GroupId>, path: &str, name: &str) -> NewGroup {
    NewGroup {
        name: name.to_owned(),
        ..group(parent, path)
    }
}

fn rope(group: GroupId) -> NewProject {
    NewProject {
        group,
        name: "Rope".to_owned(),
        path: "rope".to_owned(),
        description: None,
        default_branch: None,
        visibility_level: 0,
    }
}

pub(crate) async fn details_contain_the_names_of_parent_groups(fixture: Fixture) {
    let store = &fixture.store;
    let top = store
        .create_group(named(None, "gear", "Gear Works"), NOON)
        .await
        .expect("made")
        .id;

    let sub = store
        .create_group(named(Some(top), "sub", "Sub Unit"), NOON)
        .await
        .expect("made")
        .id;

    let deep = store
        .create_group(named(Some(sub), "deep", "Deep Down"), NOON)
        .await
        .expect("made")
        .id;
    let names = store.group_names(vec![deep, top, GroupId(999)]).await.expect("read");
    assert_eq!(names.len(), 2, "a group that does not exist has no name");
    assert_eq!(names[&deep], "Gear Works / Sub Unit / Deep Down");
    assert_eq!(names[&top], "Gear Works");
    assert!(store.group_names(Vec::new()).await.expect("read").is_empty());

    let project = store.create_project(rope(deep), NOON).await.expect("made").id;
    let details = store.project_details(vec![project]).await.expect("read")[&project].clone();
    assert_eq!(details.group_names, "Gear Works / Sub Unit / Deep Down");
    assert_eq!((details.group_parent, details.archived), (Some(sub), false));
    assert_eq!(details.last_activity_at, NOON, "the project has no event yet");

    for seconds in [60, 30] {
        let new = event_at(Place::Project(project), b"{}", at(seconds));
        store.append_events(vec![new]).await.expect("appended");
    }

    let details = store.project_details(vec![project]).await.expect("read")[&project].clone();
    assert_eq!(
        details.last_activity_at,
        at(60),
        "the newest event counts, in any order of arrival"
    );

    assert!(store.project_details(Vec::new()).await.expect("read").is_empty());
}

pub(crate) async fn groups_and_projects_are_filtered_by_role_place_and_visibility(fixture: Fixture) {
    let store = &fixture.store;
    let top = store.create_group(group(None, "top"), NOON).await.expect("made").id;

    let sub = store
        .create_group(group(Some(top), "sub"), NOON)
        .await
        .expect("made")
        .id;

    let deep = store
        .create_group(group(Some(sub), "deep"), NOON)
        .await
        .expect("made")
        .id;

    let other = NewGroup {
        visibility_level: 0,
        ..group(None, "other")
    };
    let other = store.create_group(other, NOON).await.expect("made").id;
    let mut projects = Vec::new();

    for (group, visibility_level) in [(top, 0), (deep, 10), (other, 20)] {
        let new = NewProject {
            visibility_level,
            ..rope(group)
        };
        projects.push(store.create_project(new, NOON).await.expect("made").id);
    }

    let ida = NewUser {
        username: "ida".to_owned(),
        name: "Ida".to_owned(),
        email: None,
        is_admin: false,
    };
    let ida = store.create_user(ida, NOON).await.expect("made").id;
    store
        .add_member(Scope::Group(sub), ida, AccessLevel::Developer, Some(at(10)))
        .await
        .expect("added");

    store
        .add_member(Scope::Project(projects[2]), ida, AccessLevel::Owner, None)
        .await
        .expect("added");

    let all = ScopeFilter::default;
    let listed = async |filter: ScopeFilter| {
        let found = store.list_projects(filter, ALL).await.expect("listed");
        let ids: Vec<i64> = found.rows.iter().map(|project| project.id.0).collect();
        assert_eq!(found.total, i64::try_from(ids.len()).expect("few"));

        ids
    };

    let ids = |at: &[usize]| at.iter().map(|at| projects[*at].0).collect::<Vec<_>>();
    assert_eq!(
        listed(ScopeFilter {
            below: Some(top),
            ..all()
        })
        .await,
        ids(&[0, 1])
    );

    assert_eq!(
        listed(ScopeFilter {
            below: Some(deep),
            ..all()
        })
        .await,
        ids(&[1])
    );

    assert_eq!(
        listed(ScopeFilter {
            visibility_level: Some(20),
            ..all()
        })
        .await,
        ids(&[2])
    );

    assert_eq!(
        listed(ScopeFilter {
            without: vec![projects[1].0],
            ..all()
        })
        .await,
        ids(&[0, 2])
    );

    let numbers = Numbers {
        after: Some(projects[0].0),
        before: Some(projects[2].0),
    };
    assert_eq!(listed(ScopeFilter { numbers, ..all() }).await, ids(&[1]));

    assert_eq!(
        listed(ScopeFilter {
            archived: Some(true),
            ..all()
        })
        .await,
        ids(&[])
    );

    assert_eq!(
        listed(ScopeFilter {
            archived: Some(false),
            search: Some("rope".to_owned()),
            ..all()
        })
        .await,
        ids(&[0, 1, 2])
    );

    let with = |least_role, now| ScopeFilter {
        visible_to: Some((ida, now)),
        least_role,
        ..all()
    };
    assert_eq!(listed(with(None, NOON)).await, ids(&[1, 2]));

    assert_eq!(
        listed(with(Some(AccessLevel::Developer), NOON)).await,
        ids(&[1, 2]),
        "roles are inherited from groups"
    );

    assert_eq!(listed(with(Some(AccessLevel::Maintainer), NOON)).await, ids(&[2]));
    assert_eq!(
        listed(with(Some(AccessLevel::Developer), at(10))).await,
        ids(&[2]),
        "the membership has expired"
    );

    let groups = async |filter: ScopeFilter| {
        let found = store.list_groups(filter, ALL).await.expect("listed").rows;
        found.iter().map(|group| group.id).collect::<Vec<_>>()
    };

    assert_eq!(
        groups(ScopeFilter {
            top_level: true,
            ..all()
        })
        .await,
        [top, other]
    );

    assert_eq!(
        groups(ScopeFilter {
            below: Some(top),
            ..all()
        })
        .await,
        [sub, deep]
    );

    assert_eq!(
        groups(ScopeFilter {
            without: vec![top.0],
            visibility_level: Some(20),
            ..all()
        })
        .await,
        [sub, deep]
    );

    assert_eq!(groups(with(Some(AccessLevel::Developer), NOON)).await, [sub, deep]);
    assert!(
        groups(ScopeFilter {
            archived: Some(true),
            ..all()
        })
        .await
        .is_empty(),
        "groups are not archived"
    );

    assert_eq!(
        groups(ScopeFilter {
            archived: Some(false),
            ..all()
        })
        .await
        .len(),
        4
    );
}

pub(crate) async fn lists_can_be_read_in_descending_order(fixture: Fixture) {
    let store = &fixture.store;
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        made.push(store.create_group(group(None, name), NOON).await.expect("made").id);
    }

    let page = async |start| {
        let found = store
            .list_groups(ScopeFilter::default(), Page { start, limit: 2 })
            .await
            .expect("listed");
        (found.rows.iter().map(|group| group.id).collect::<Vec<_>>(), found.total)
    };
    assert_eq!(page(Start::OffsetDown(0)).await, (vec![made[2], made[1]], 3));
    assert_eq!(page(Start::OffsetDown(2)).await, (vec![made[0]], 3));
    assert_eq!(page(Start::Before(i64::MAX)).await, (vec![made[2], made[1]], 0));
    assert_eq!(page(Start::Before(made[1].0)).await, (vec![made[0]], 0));

    let users = store
        .list_users(
            UserFilter::default(),
            Page {
                start: Start::OffsetDown(0),
                limit: 1,
            },
        )
        .await;
    assert_eq!(users.expect("listed").rows[0].id, 1, "root is the only user");
}

pub(crate) async fn archiving_and_blocking_can_be_undone(fixture: Fixture) {
    let store = &fixture.store;
    let project = fixture.project("p").await;

    let archived = async |archived| {
        let edit = ProjectEdit {
            archived: Some(archived),
            ..ProjectEdit::default()
        };

        store
            .update_project(project, edit)
            .await
            .expect("written")
            .expect("the project exists");

        store
            .update_project(project, ProjectEdit::default())
            .await
            .expect("written")
            .expect("another change");

        let filter = ScopeFilter {
            archived: Some(true),
            ..ScopeFilter::default()
        };
        let listed = store.list_projects(filter, ALL).await.expect("listed").total == 1;
        assert_eq!(
            store.project_details(vec![project]).await.expect("read")[&project].archived,
            listed
        );

        listed
    };
    assert!(archived(true).await);
    assert!(!archived(false).await);

    let ida = NewUser {
        username: "ida".to_owned(),
        name: "Ida".to_owned(),
        email: None,
        is_admin: false,
    };
    let ida = store.create_user(ida, NOON).await.expect("made");
    assert!(!ida.blocked);

    let token = NewToken {
        digest: [1; 32],
        holder: Holder::User(ida.id),
        name: "t".to_owned(),
        scopes: vec![TokenScope::Api],
        expires_at: None,
    };
    store.create_token(token, NOON).await.expect("made");

    for blocked in [true, false] {
        let edit = UserEdit {
            blocked: Some(blocked),
            ..UserEdit::default()
        };

        let changed = store
            .update_user(ida.id, edit)
            .await
            .expect("written")
            .expect("the user exists");

        let renamed = UserEdit {
            name: Some("I.".to_owned()),
            ..UserEdit::default()
        };

        let later = store
            .update_user(ida.id, renamed)
            .await
            .expect("written")
            .expect("the user exists");

        assert_eq!(
            (changed.blocked, later.blocked),
            (blocked, blocked),
            "other changes keep the state"
        );

        let actor = store.find_actor([1; 32], NOON).await;
        assert_eq!(
            matches!(actor, Err(Error::Blocked)),
            blocked,
            "the token of a blocked user: {actor:?}"
        );

        assert_eq!(
            matches!(actor, Ok(Some(_))),
            !blocked,
            "the token of an active user: {actor:?}"
        );

        let filter = UserFilter {
            blocked: true,
            ..UserFilter::default()
        };
        assert_eq!(store.list_users(filter, ALL).await.expect("listed").total == 1, blocked);
    }
}

pub(crate) async fn a_moved_group_takes_its_projects_along(fixture: Fixture) {
    let store = &fixture.store;
    let top = store.create_group(group(None, "top"), NOON).await.expect("made").id;

    let sub = store
        .create_group(group(Some(top), "sub"), NOON)
        .await
        .expect("made")
        .id;

    let deep = store
        .create_group(group(Some(sub), "deep"), NOON)
        .await
        .expect("made")
        .id;

    let other = store.create_group(group(None, "other"), NOON).await.expect("made").id;
    let project = store.create_project(rope(deep), NOON).await.expect("made").id;

    let to = |place| GroupEdit {
        place: Some(place),
        ..GroupEdit::default()
    };

    let before = store.directory_version().await.expect("a version");
    let moved = store
        .update_group(sub, to(GroupPlace::In(other)))
        .await
        .expect("written")
        .expect("the group exists");
    assert_eq!((moved.full_path.as_str(), moved.parent), ("other/sub", Some(other)));

    assert!(
        store.directory_version().await.expect("a version") > before,
        "other nodes read the directory again"
    );

    let path = async || {
        let found = store
            .find_project(Name::Id(project.0))
            .await
            .expect("read")
            .expect("the project exists");
        found.path_with_namespace
    };
    assert_eq!(path().await, "other/sub/deep/rope");

    for inside in [sub, deep] {
        assert!(matches!(
            store.update_group(sub, to(GroupPlace::In(inside))).await,
            Err(Error::Circular)
        ));
    }

    let nowhere = store.update_group(sub, to(GroupPlace::In(GroupId(999)))).await;
    assert!(matches!(nowhere, Err(Error::Missing("group"))));
    store.create_group(group(Some(top), "sub"), NOON).await.expect("made");

    assert!(matches!(
        store.update_group(sub, to(GroupPlace::In(top))).await,
        Err(Error::Taken("path"))
    ));

    let moved = store
        .update_group(sub, to(GroupPlace::Top))
        .await
        .expect("written")
        .expect("the group exists");
    assert_eq!((moved.full_path.as_str(), moved.parent), ("sub", None));
    assert_eq!(path().await, "sub/deep/rope");
}
