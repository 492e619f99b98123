//! Examples of projects and groups that are matched by path, are not matched, or move.

use std::slice::from_ref;

use super::*;

const INSTANCE: &str = "https://a.example";

fn seen(id: i64, path: &str) -> Project {
    Project {
        id,
        name: "Rope".to_owned(),
        path_with_namespace: path.to_owned(),
        namespace: String::new(),
        description: None,
        default_branch: None,
        visibility_level: 0,
        old_path: None,
    }
}

fn local(id: i64, path: &str, path_set_by: PathSetBy) -> Local {
    Local {
        id,
        path: path.to_owned(),
        path_set_by,
        stands_for: None,
    }
}

fn known(local: Local, number: i64, path: &str) -> Local {
    let stands_for = Foreign {
        instance: INSTANCE.to_owned(),
        number,
        path: path.to_owned(),
    };
    Local {
        stands_for: Some(stands_for),
        ..local
    }
}

fn context(groups: &[Local], projects: &[Local]) -> Context {
    Context {
        groups: groups.to_vec(),
        projects: projects.to_vec(),
        others: Vec::new(),
    }
}

fn path_of(placed: Placement) -> String {
    match placed {
        Placement::Create(free_path) => free_path.path,
        Placement::Join(id) => format!("joined {id}"),
        Placement::NoFreePath => "nowhere".to_owned(),
    }
}

#[test]
fn a_path_matches_only_projects_without_a_number_whose_path_no_member_chose() {
    use PathSetBy::{Administrator, Creator, Member};

    let check = |group: Local, project: Local, expected: &str| {
        let context = context(from_ref(&group), from_ref(&project));
        assert_eq!(
            path_of(place(INSTANCE, &seen(99, "gear/rope"), &context)),
            expected,
            "{group:?} {project:?}"
        );
    };

    let gear = |path_set_by| local(1, "gear", path_set_by);
    let rope = |path_set_by| local(1, "Gear/Rope", path_set_by);
    check(gear(Creator), rope(Creator), "joined 1");
    check(gear(Administrator), rope(Administrator), "joined 1");
    check(gear(Creator), known(rope(Creator), 15, "gear/rope"), "gear/rope-99");
    check(gear(Creator), rope(Member), "gear/rope-99");
    check(gear(Member), rope(Creator), "a.example/gear/rope");

    // The group stands for one that has moved on its instance since.
    check(known(gear(Creator), 5, "cord"), rope(Creator), "a.example/gear/rope");
    check(known(gear(Creator), 5, "gear"), rope(Creator), "joined 1");
}

#[test]
fn a_taken_path_is_replaced_by_another_and_groups_are_created_from_the_top_down() {
    let others = Context {
        others: vec!["gear".to_owned()],
        ..Context::default()
    };
    assert_eq!(
        path_of(place(INSTANCE, &seen(7, "gear/rope"), &others)),
        "a.example/gear/rope"
    );

    let squatted = context(
        &[
            local(1, "gear", PathSetBy::Member),
            local(2, "a.example", PathSetBy::Member),
        ],
        &[],
    );
    assert_eq!(place(INSTANCE, &seen(7, "gear/rope"), &squatted), Placement::NoFreePath);

    let is_group = context(
        &[
            local(1, "gear", PathSetBy::Creator),
            local(2, "gear/rope", PathSetBy::Creator),
        ],
        &[],
    );
    assert_eq!(
        path_of(place(INSTANCE, &seen(7, "gear/rope"), &is_group)),
        "gear/rope-7"
    );

    let seen = Project {
        namespace: "Sub group".to_owned(),
        ..seen(7, "gear/sub/rope")
    };
    let Placement::Create(free_path) = place(INSTANCE, &seen, &Context::default()) else {
        panic!("it is created")
    };

    let missing = |path: &str, name: &str| MissingGroup {
        path: path.to_owned(),
        name: name.to_owned(),
    };
    assert_eq!(
        free_path.missing,
        [missing("gear", "gear"), missing("gear/sub", "Sub group")]
    );

    assert_eq!(
        apart("https://git.example.com:8443/x", "gear/rope"),
        "git.example.com-8443/gear/rope"
    );

    assert_eq!(apart("", "gear/rope"), "elsewhere/gear/rope");
}

#[test]
fn a_known_project_follows_its_path_unless_an_administrator_pinned_it() {
    use PathSetBy::{Administrator, Creator, Member};

    let check = |groups: &[Local], project: &Local, path: &str, expected: Option<&str>| {
        let context = context(groups, from_ref(project));
        let free_path = follow(INSTANCE, &seen(15, path), project, &context);

        assert_eq!(
            free_path.as_ref().map(|free_path| free_path.path.as_str()),
            expected,
            "{groups:?} {project:?} {path}"
        );
    };

    let gear = local(1, "gear", Creator);
    let rope = known(local(1, "gear/rope", Creator), 15, "gear/rope");
    check(from_ref(&gear), &rope, "ropes/rope", Some("ropes/rope"));
    check(from_ref(&gear), &rope, "gear/rope", None);

    let own_name = known(local(1, "gear/mine", Member), 15, "gear/rope");
    check(from_ref(&gear), &own_name, "ropes/rope", Some("ropes/rope"));

    let pinned = known(local(1, "tools/rope", Administrator), 15, "gear/rope");
    check(from_ref(&gear), &pinned, "ropes/rope", None);

    let in_pinned = known(local(1, "tools/rope", Creator), 15, "gear/rope");
    check(&[local(2, "tools", Administrator)], &in_pinned, "ropes/rope", None);

    let as_there = known(local(1, "gear/rope", Administrator), 15, "gear/rope");
    check(from_ref(&gear), &as_there, "ropes/rope", Some("ropes/rope"));

    check(
        &[gear, local(3, "ropes", Member)],
        &rope,
        "ropes/rope",
        Some("a.example/ropes/rope"),
    );
}

#[test]
fn a_project_that_was_renamed_before_its_first_event_is_found_by_its_old_path() {
    let renamed = Project {
        old_path: Some("gear/rope".to_owned()),
        ..seen(15, "ropes/rope")
    };

    let gear = local(1, "gear", PathSetBy::Creator);
    let free = context(from_ref(&gear), &[local(4, "gear/rope", PathSetBy::Creator)]);
    assert_eq!(find_renamed(INSTANCE, &renamed, &free), Some((4, "gear/rope")));

    let others = context(
        &[gear],
        &[known(local(4, "gear/rope", PathSetBy::Creator), 9, "gear/rope")],
    );
    assert_eq!(find_renamed(INSTANCE, &renamed, &others), None);
}

#[test]
fn a_group_is_found_by_its_path_once_and_follows_it_but_never_into_itself() {
    let group = |path: &str, old: Option<&str>| Group {
        number: 5,
        path: path.to_owned(),
        old_path: old.map(str::to_owned),
    };

    let gear = local(1, "gear", PathSetBy::Creator);
    let free = context(from_ref(&gear), &[]);
    assert_eq!(find_group(INSTANCE, &group("gear", None), &free), Some((1, "gear")));

    assert_eq!(
        find_group(INSTANCE, &group("cord", Some("gear")), &free),
        Some((1, "gear"))
    );

    for taken in [local(1, "gear", PathSetBy::Member), known(gear.clone(), 6, "gear")] {
        assert_eq!(
            find_group(INSTANCE, &group("gear", None), &context(&[taken], &[])),
            None
        );
    }

    let gear = known(gear, 5, "gear");
    let path = |seen: &Group, group: &Local| {
        follow_group(INSTANCE, seen, group, &context(from_ref(group), &[])).map(|free_path| free_path.path)
    };
    assert_eq!(path(&group("cord", None), &gear).as_deref(), Some("cord"));
    assert_eq!(path(&group("gear", None), &gear), None);

    assert_eq!(
        path(&group("gear/sub/gear", None), &gear).as_deref(),
        Some("a.example/gear/sub/gear")
    );

    let pinned = known(local(1, "tools", PathSetBy::Administrator), 5, "gear");
    assert_eq!(path(&group("cord", None), &pinned), None);
}

#[test]
fn paths_lists_every_path_that_a_decision_needs() {
    let paths = paths(INSTANCE, &["Gear/sub/Rope"], 7, Some("tools/rope"));
    for path in [
        "gear",
        "gear/sub",
        "gear/sub/rope",
        "gear/sub/rope-7",
        "a.example",
        "a.example/gear/sub/rope-7",
        "tools",
    ] {
        assert!(paths.contains(path), "{path}: {paths:?}");
    }
}
