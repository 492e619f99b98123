//! Tests of the events that changes fire: the table, and the bodies.

use serde_json::value::to_raw_value;

use super::*;
use crate::ProjectId;
use crate::compose::{Happened, Instance, Scene, UploadLinks, User};
use crate::report::compose;

const AT: Timestamp = Timestamp::from_seconds(1_764_547_200);

fn a_project(path: &str) -> Project {
    Project {
        id: ProjectId(22),
        group: GroupId(5),
        name: "Rope".to_owned(),
        path_with_namespace: path.to_owned(),
        namespace: "Gear".to_owned(),
        description: None,
        default_branch: None,
        visibility_level: 10,
        created_at: AT,
    }
}

fn a_group(id: i64, parent: Option<i64>, path: &str) -> Group {
    Group {
        id: GroupId(id),
        parent: parent.map(GroupId),
        name: "Gear".to_owned(),
        full_path: path.to_owned(),
        description: None,
        visibility_level: 0,
        created_at: AT,
    }
}

fn of_project<'a>(project: &'a Project, owners: &'a [String]) -> ProjectChange<'a> {
    ProjectChange {
        project,
        owners,
        reported_to: Some(project.group),
    }
}

fn of_group<'a>(group: &'a Group, parent: Option<&'a Group>) -> GroupChange<'a> {
    GroupChange {
        group,
        parent,
        reported_to: group.parent,
    }
}

const JO: Account<'static> = Account {
    id: 6,
    name: "Jo Belay",
    username: "jo",
    created_at: AT,
};

const fn member(of: MemberOf<'_>) -> Membership<'_> {
    Membership {
        user: JO,
        of,
        level: AccessLevel::Maintainer,
        expires_at: None,
    }
}

/// Checks the kinds, names and audiences of the events of a change, and that each can be composed.
fn check(change: &Change<'_>, expected: &[(&str, Audience)]) {
    let scene_group = a_group(5, None, "gear");
    let mut names = Vec::new();
    for fired in change.fires() {
        let scene = match fired.audience {
            Audience::Instance => Scene::Instance,
            Audience::Group(_) => Scene::Group(&scene_group),
        };
        names.push((
            body(&fired, scene)["event_name"].as_str().expect("a name").to_owned(),
            fired.audience,
        ));
    }

    let expected: Vec<_> = expected.iter().map(|(name, to)| ((*name).to_owned(), *to)).collect();
    assert_eq!(names, expected);
}

fn body(fired: &Fired, scene: Scene<'_>) -> Value {
    let raw = |value: &Value| to_raw_value(value).expect("JSON");
    let (object, previous) = (raw(&fired.object), fired.previous.as_ref().map(raw));
    let happened = Happened {
        trigger: fired.trigger,
        scene,
        user: &User::default(),
        object: &object,
        previous: previous.as_deref(),
        instance: Instance {
            base_url: "https://gitlab.example.com",
            upload_links: UploadLinks::default(),
        },
        at: AT,
    };

    serde_json::from_slice(&compose(&happened).expect("a body")).expect("JSON")
}

const SYSTEM: Audience = Audience::Instance;
const GROUP: Audience = Audience::Group(GroupId(5));

#[test]
fn projects_that_come_and_go_are_reported_to_system_hooks_and_group_hooks() {
    let project = a_project("gear/rope");
    let change = of_project(&project, &[]);
    check(
        &Change::ProjectCreated(change),
        &[("project_create", SYSTEM), ("project_create", GROUP)],
    );
    check(
        &Change::ProjectRemoved(change),
        &[("project_destroy", SYSTEM), ("project_destroy", GROUP)],
    );
}

#[test]
fn an_edited_project_is_renamed_transferred_or_updated() {
    let before = a_project("gear/rope");
    let changed = |after: &Project, name: &str| {
        let change = Change::of_project(&before, of_project(after, &[])).expect("a change");
        check(&change, &[(name, SYSTEM)]);
    };

    changed(&a_project("gear/ropes"), "project_rename");
    changed(
        &Project {
            group: GroupId(7),
            ..a_project("other/rope")
        },
        "project_transfer",
    );
    changed(
        &Project {
            visibility_level: 20,
            ..before.clone()
        },
        "project_update",
    );
    assert!(Change::of_project(&before, of_project(&before, &[])).is_none());
}

#[test]
fn only_subgroups_are_reported_to_group_hooks() {
    let (top, sub) = (a_group(5, None, "gear"), a_group(6, Some(5), "gear/ropes"));
    check(&Change::GroupCreated(of_group(&top, None)), &[("group_create", SYSTEM)]);
    check(
        &Change::GroupCreated(of_group(&sub, Some(&top))),
        &[("group_create", SYSTEM), ("subgroup_create", GROUP)],
    );
    check(
        &Change::GroupRemoved(of_group(&sub, Some(&top))),
        &[("group_destroy", SYSTEM), ("subgroup_destroy", GROUP)],
    );

    let renamed = a_group(6, Some(5), "gear/lines");
    let change = Change::of_group(&sub, of_group(&renamed, Some(&top))).expect("a change");
    check(&change, &[("group_rename", SYSTEM)]);
    assert!(Change::of_group(&sub, of_group(&sub, Some(&top))).is_none());
}

#[test]
fn members_of_groups_are_reported_to_group_hooks_too() {
    let (project, group) = (a_project("gear/rope"), a_group(5, None, "gear"));
    let of = [member(MemberOf::Project(&project)), member(MemberOf::Group(&group))];
    check(
        &Change::Member(MemberChange::Added, of[0]),
        &[("user_add_to_team", SYSTEM)],
    );
    check(
        &Change::Member(MemberChange::Changed, of[0]),
        &[("user_update_for_team", SYSTEM)],
    );
    check(
        &Change::Member(MemberChange::Removed, of[0]),
        &[("user_remove_from_team", SYSTEM)],
    );

    for (change, name) in [
        (Change::Member(MemberChange::Added, of[1]), "user_add_to_group"),
        (Change::Member(MemberChange::Changed, of[1]), "user_update_for_group"),
        (Change::Member(MemberChange::Removed, of[1]), "user_remove_from_group"),
    ] {
        check(&change, &[(name, SYSTEM), (name, GROUP)]);
    }
}

#[test]
fn users_are_reported_to_system_hooks_without_their_addresses() {
    check(&Change::UserRemoved(JO), &[("user_destroy", SYSTEM)]);
    check(&Change::UserRenamed(JO, "joanna"), &[("user_rename", SYSTEM)]);

    let fired = &Change::UserCreated(JO).fires()[0];
    let expected = json!({
        "created_at": "2025-12-01T00:00:00Z",
        "updated_at": "2025-12-01T00:00:00Z",
        "email": "[REDACTED]",
        "event_name": "user_create",
        "name": "Jo Belay",
        "username": "jo",
        "user_id": 6,
    });
    assert_eq!(body(fired, Scene::Instance), expected);
}

#[test]
fn keys_are_reported_to_system_hooks() {
    let key = KeyChange {
        id: 4,
        key: "ssh-ed25519 AAAAC3Nz jo@rope",
        username: "jo",
        created_at: AT,
    };
    check(&Change::KeyRemoved(key), &[("key_destroy", SYSTEM)]);

    let fired = &Change::KeyAdded(key).fires()[0];
    let expected = json!({
        "event_name": "key_create",
        "created_at": "2025-12-01T00:00:00Z",
        "updated_at": "2025-12-01T00:00:00Z",
        "username": "jo",
        "key": "ssh-ed25519 AAAAC3Nz jo@rope",
        "id": 4,
    });
    assert_eq!(body(fired, Scene::Instance), expected);
}

#[test]
fn a_renamed_project_has_its_old_path_and_its_owners() {
    let project = a_project("gear/ropes");
    let owners = ["Jo Belay".to_owned()];
    let fired = &Change::ProjectRenamed(of_project(&project, &owners), "gear/rope").fires()[0];
    let body = body(fired, Scene::Instance);
    assert_eq!(body["old_path_with_namespace"], "gear/rope");
    assert_eq!(body["owners"], json!([{ "name": "Jo Belay", "email": "[REDACTED]" }]));
    assert_eq!(body["project_namespace_id"], 5);
    assert_eq!(body["project_visibility"], "internal");
}
