//! Checks of what lists are narrowed to, and of what groups, projects and users are shown with.

use quickdraw_domain::GroupId;
use quickdraw_domain::scope::Place;
use quickdraw_store::scopes::{NewGroup, NewProject};

use crate::fixture::{Fixture, NOON, at, event_at};
use crate::rest::group;

fn named(parent: Option<GroupId>, path: &str, name: &str) -> NewGroup {
    NewGroup { name: name.to_owned(), ..group(parent, path) }
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

pub(crate) async fn groups_and_projects_are_shown_with_the_names_of_the_groups_above(fixture: Fixture) {
    let store = &fixture.store;
    let top = store.create_group(named(None, "gear", "Gear Works"), NOON).await.expect("made").id;
    let sub = store.create_group(named(Some(top), "sub", "Sub Unit"), NOON).await.expect("made").id;
    let deep = store.create_group(named(Some(sub), "deep", "Deep Down"), NOON).await.expect("made").id;
    let names = store.group_names(vec![deep, top, GroupId(999)]).await.expect("read");
    assert_eq!(names.len(), 2, "a group that does not exist has no name");
    assert_eq!(names[&deep], "Gear Works / Sub Unit / Deep Down");
    assert_eq!(names[&top], "Gear Works");
    assert!(store.group_names(Vec::new()).await.expect("read").is_empty());

    let project = store.create_project(rope(deep), NOON).await.expect("made").id;
    let details = store.project_details(vec![project]).await.expect("read")[&project].clone();
    assert_eq!(details.group_names, "Gear Works / Sub Unit / Deep Down");
    assert_eq!((details.group_parent, details.archived), (Some(sub), false));
    assert_eq!(details.last_activity_at, NOON, "nothing happened in it yet");
    for seconds in [60, 30] {
        let new = event_at(Place::Project(project), b"{}", at(seconds));
        store.append_events(vec![new]).await.expect("appended");
    }
    let details = store.project_details(vec![project]).await.expect("read")[&project].clone();
    assert_eq!(details.last_activity_at, at(60), "the newest event counts, in whatever order events came");
    assert!(store.project_details(Vec::new()).await.expect("read").is_empty());
}
