//! Checks of what stands for the projects and groups of other instances, and of what moves with them.

use quickdraw_domain::event::{SeenGroup, SeenProject};
use quickdraw_domain::identity::ChosenBy;
use quickdraw_domain::{GroupId, ProjectId, SourceId};
use quickdraw_store::SharedStore;
use quickdraw_store::audit::AuditFilter;
use quickdraw_store::scopes::{GroupEdit, Name, ProjectEdit};

use crate::fixture::{Fixture, NOON};

const ONE: &str = "https://a.example";
const OTHER: &str = "https://b.example:8443";
const SOURCE: SourceId = SourceId(1);

fn seen(id: i64, path: &str) -> SeenProject {
    SeenProject {
        id,
        name: "Rope".to_owned(),
        path_with_namespace: path.to_owned(),
        namespace: "Soft goods".to_owned(),
        description: None,
        default_branch: Some("main".to_owned()),
        visibility_level: 10,
        old_path: None,
    }
}

async fn know(store: &SharedStore, instance: &str, id: i64, path: &str) -> Option<ProjectId> {
    store.know_project(instance.to_owned(), seen(id, path), SOURCE, NOON).await.expect("looked")
}

async fn know_group(store: &SharedStore, number: i64, path: &str, old_path: Option<&str>) -> Option<GroupId> {
    let seen = SeenGroup { number, path: path.to_owned(), old_path: old_path.map(str::to_owned) };
    store.know_group(ONE.to_owned(), seen, SOURCE, NOON).await.expect("looked")
}

async fn path(store: &SharedStore, project: Option<ProjectId>) -> String {
    let id = project.expect("it has a place").0;
    store.find_project(Name::Id(id)).await.expect("read").expect("it is there").path_with_namespace
}

async fn group_at(store: &SharedStore, path: &str) -> Option<GroupId> {
    store.find_group(Name::Path(path.to_owned())).await.expect("read").map(|group| group.id)
}

async fn rename(store: &SharedStore, project: ProjectId, path: &str, chosen_by: ChosenBy) {
    let edit = ProjectEdit { path: Some(path.to_owned()), chosen_by, ..ProjectEdit::default() };
    store.update_project(project, edit).await.expect("written").expect("it is there");
}

async fn audited(store: &SharedStore) -> Vec<String> {
    let filter = AuditFilter { limit: 10, ..AuditFilter::default() };
    store.list_audit(filter).await.expect("listed").into_iter().map(|entry| entry.path).collect()
}

pub(crate) async fn projects_of_other_instances_find_their_place(fixture: Fixture) {
    let store = &fixture.store;
    let rope = know(store, ONE, 7, "gear/soft/rope").await.expect("made");
    let project =
        store.find_project(Name::Path("gear/soft/rope".to_owned())).await.expect("read").expect("it is there");
    assert_eq!((project.id, project.name.as_str(), project.namespace.as_str()), (rope, "Rope", "Soft goods"));
    // A project that an administrator made for it stays as it is.
    let own = fixture.project("p").await;
    assert_eq!(know(store, ONE, 8, "g-p/p").await, Some(own));
    let kept = store.find_project(Name::Id(own.0)).await.expect("read").expect("it is there");
    assert_eq!((kept.name.as_str(), kept.visibility_level), ("p", 0));
    // Another instance's lies apart, whether the path is taken or only the group above.
    let other = know(store, OTHER, 7, "gear/soft/rope").await;
    assert_eq!(path(store, other).await, "b.example-8443/gear/soft/rope");
    let tool = know(store, OTHER, 9, "gear/tool").await;
    assert_eq!(path(store, tool).await, "b.example-8443/gear/tool");
    // A path that is a group's cannot be had.
    let group = know(store, ONE, 10, "gear/soft").await;
    assert_eq!(path(store, group).await, "gear/soft-10");
    let directory = store.directory().await.expect("read");
    let known = directory.known.iter().find(|known| known.project == rope).expect("it is known");
    assert_eq!((known.instance.as_str(), known.number, known.path.as_str()), (ONE, 7, "gear/soft/rope"));
    store.delete_project(rope).await.expect("deleted");
    let again = know(store, ONE, 7, "gear/soft/rope").await;
    assert_ne!(again, Some(rope), "it is another one");
    assert_eq!(path(store, again).await, "gear/soft/rope");
}

pub(crate) async fn a_new_project_at_a_path_that_was_anothers_is_another_project(fixture: Fixture) {
    let store = &fixture.store;
    let first = know(store, ONE, 15, "gear/rope").await;
    let second = know(store, ONE, 99, "gear/rope").await;
    assert_ne!(first, second);
    assert_eq!((path(store, first).await, path(store, second).await), ("gear/rope".into(), "gear/rope-99".into()));
    assert_eq!(know(store, ONE, 99, "gear/rope").await, second, "it stays there");
    // The first one moves on, and its place is free for the next move.
    assert_eq!(know(store, ONE, 15, "gear/cord").await, first);
    assert_eq!(path(store, first).await, "gear/cord");
    assert_eq!(know(store, ONE, 16, "gear/cord").await.map(|id| Some(id) == first), Some(false));
}

pub(crate) async fn a_path_that_a_member_chose_joins_nothing(fixture: Fixture) {
    let store = &fixture.store;
    let own = fixture.project("p").await;
    rename(store, own, "payroll", ChosenBy::Member).await;
    let payroll = know(store, ONE, 500, "g-p/payroll").await;
    assert_ne!(payroll, Some(own));
    assert_eq!(path(store, payroll).await, "g-p/payroll-500");
    rename(store, own, "ledger", ChosenBy::Administrator).await;
    assert_eq!(know(store, ONE, 501, "g-p/ledger").await, Some(own), "an administrator chose this one");
    let group = group_at(store, "g-p").await.expect("it is there");
    let edit = GroupEdit { path: Some("finance".to_owned()), chosen_by: ChosenBy::Member, ..GroupEdit::default() };
    store.update_group(group, edit).await.expect("written").expect("it is there");
    let secret = know(store, ONE, 502, "finance/secret").await;
    assert_eq!(path(store, secret).await, "a.example/finance/secret");
    let apart = group_at(store, "a.example/finance").await;
    assert_eq!(know_group(store, 3, "finance", None).await, apart, "the member's group is not it");
    assert_eq!(store.directory().await.expect("read").named_by_members, [group]);
}

pub(crate) async fn a_project_moves_with_its_path_there_unless_an_administrator_pinned_it(fixture: Fixture) {
    let store = &fixture.store;
    let rope = know(store, ONE, 15, "gear/rope").await;
    let id = rope.expect("made");
    rename(store, id, "mine", ChosenBy::Member).await;
    know(store, ONE, 15, "gear/rope").await;
    assert_eq!(path(store, rope).await, "gear/mine", "nothing changed there");
    let version = store.directory_version().await.expect("a version");
    assert_eq!(know(store, ONE, 15, "ropes/rope").await, rope);
    assert_eq!(path(store, rope).await, "ropes/rope");
    assert!(store.directory_version().await.expect("a version") > version, "others hear of it from now on");
    let project = store.find_project(Name::Id(id.0)).await.expect("read").expect("it is there");
    assert_eq!(Some(project.group), group_at(store, "ropes").await);
    assert_eq!(audited(store).await, [format!("project {id}: gear/mine -> ropes/rope")]);
    rename(store, id, "pinned", ChosenBy::Administrator).await;
    know(store, ONE, 15, "gear/rope").await;
    assert_eq!(path(store, rope).await, "ropes/pinned");
    assert_eq!(audited(store).await.len(), 1);
    // A rename that comes before any other event finds the project by its old path.
    let own = fixture.project("p").await;
    let renamed = SeenProject { old_path: Some("g-p/p".to_owned()), ..seen(30, "g-p/q") };
    let found = store.know_project(ONE.to_owned(), renamed, SOURCE, NOON).await.expect("looked");
    assert_eq!((found, path(store, found).await.as_str()), (Some(own), "g-p/q"));
}

pub(crate) async fn a_group_moves_with_all_that_lies_in_it(fixture: Fixture) {
    let store = &fixture.store;
    let rope = know(store, ONE, 15, "gear/soft/rope").await;
    let gear = group_at(store, "gear").await;
    assert_eq!(know_group(store, 5, "gear", None).await, gear);
    assert_eq!(know_group(store, 6, "gear", None).await, None, "it stands for number 5");
    assert_eq!(know_group(store, 7, "nowhere", None).await, None, "events of groups make none");
    assert_eq!(know_group(store, 5, "tools/cord", Some("gear")).await, gear);
    assert_eq!(path(store, rope).await, "tools/cord/soft/rope");
    assert_eq!((group_at(store, "tools/cord").await, group_at(store, "gear").await), (gear, None));
    assert_eq!(know(store, ONE, 15, "tools/cord/soft/rope").await, rope);
    let number = gear.expect("it is there");
    assert_eq!(audited(store).await, [format!("group {number}: gear -> tools/cord")]);
    // A new group at the old path is another one, and so is a project in it.
    let other = know(store, ONE, 99, "gear/rope").await;
    assert_ne!(group_at(store, "gear").await, gear);
    assert_eq!(path(store, other).await, "gear/rope");
    // A group that is pinned stays, and a project there is not taken for what GitLab has at that path.
    let edit = GroupEdit { path: Some("own".to_owned()), chosen_by: ChosenBy::Administrator, ..GroupEdit::default() };
    store.update_group(number, edit).await.expect("written").expect("it is there");
    assert_eq!(know_group(store, 5, "elsewhere", None).await, gear);
    assert_eq!(path(store, rope).await, "tools/own/soft/rope");
    let theirs = know(store, ONE, 100, "tools/own/rope").await;
    assert_eq!(path(store, theirs).await, "a.example/tools/own/rope");
}
