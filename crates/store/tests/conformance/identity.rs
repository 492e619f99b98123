//! Checks of the projects and groups that stand for those of other instances, and of their moves.

use quickdraw_domain::envelope::{Group, Project};
use quickdraw_domain::identity::PathSetBy;
use quickdraw_domain::{GroupId, ProjectId, SourceId};
use quickdraw_store::SharedStore;
use quickdraw_store::audit::AuditFilter;
use quickdraw_store::scopes::{GroupEdit, Name, ProjectEdit};

use crate::fixture::{Fixture, NOON};

const ONE: &str = "https://a.example";
const OTHER: &str = "https://b.example:8443";
const SOURCE: SourceId = SourceId(1);

fn seen(id: i64, path: &str) -> Project {
    Project {
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
    store
        .know_project(instance.to_owned(), seen(id, path), SOURCE, NOON)
        .await
        .expect("looked")
}

async fn know_group(store: &SharedStore, number: i64, path: &str, old_path: Option<&str>) -> Option<GroupId> {
    let seen = Group {
        number,
        path: path.to_owned(),
        old_path: old_path.map(str::to_owned),
    };
    store
        .know_group(ONE.to_owned(), seen, SOURCE, NOON)
        .await
        .expect("looked")
}

async fn path(store: &SharedStore, project: Option<ProjectId>) -> String {
    let id = project.expect("the project exists").0;
    store
        .find_project(Name::Id(id))
        .await
        .expect("read")
        .expect("the project exists")
        .path_with_namespace
}

async fn group_at(store: &SharedStore, path: &str) -> Option<GroupId> {
    store
        .find_group(Name::Path(path.to_owned()))
        .await
        .expect("read")
        .map(|group| group.id)
}

async fn rename(store: &SharedStore, project: ProjectId, path: &str, path_set_by: PathSetBy) {
    let edit = ProjectEdit {
        path: Some(path.to_owned()),
        path_set_by,
        ..ProjectEdit::default()
    };

    store
        .update_project(project, edit)
        .await
        .expect("written")
        .expect("the project exists");
}

async fn audited(store: &SharedStore) -> Vec<String> {
    let filter = AuditFilter {
        limit: 10,
        ..AuditFilter::default()
    };

    store
        .list_audit(filter)
        .await
        .expect("listed")
        .rows
        .into_iter()
        .map(|entry| entry.path)
        .collect()
}

pub(crate) async fn projects_of_other_instances_are_created_at_their_path(fixture: Fixture) {
    let store = &fixture.store;
    let rope = know(store, ONE, 7, "gear/soft/rope").await.expect("made");

    let project = store
        .find_project(Name::Path("gear/soft/rope".to_owned()))
        .await
        .expect("read")
        .expect("the project exists");
    assert_eq!(
        (project.id, project.name.as_str(), project.namespace.as_str()),
        (rope, "Rope", "Soft goods")
    );

    // A project that an administrator created at the path keeps its attributes.
    let own = fixture.project("p").await;
    assert_eq!(know(store, ONE, 8, "g-p/p").await, Some(own));

    let kept = store
        .find_project(Name::Id(own.0))
        .await
        .expect("read")
        .expect("the project exists");
    assert_eq!((kept.name.as_str(), kept.visibility_level), ("p", 0));

    // A project of another instance gets another path, if its path or a group above it is taken.
    let other = know(store, OTHER, 7, "gear/soft/rope").await;
    assert_eq!(path(store, other).await, "b.example-8443/gear/soft/rope");

    let tool = know(store, OTHER, 9, "gear/tool").await;
    assert_eq!(path(store, tool).await, "b.example-8443/gear/tool");

    // The path of a group cannot be used for a project.
    let group = know(store, ONE, 10, "gear/soft").await;
    assert_eq!(path(store, group).await, "gear/soft-10");

    let directory = store.directory().await.expect("read");
    let known = directory
        .known
        .iter()
        .find(|known| known.project == rope)
        .expect("the project is known");
    assert_eq!(
        (known.instance.as_str(), known.number, known.path.as_str()),
        (ONE, 7, "gear/soft/rope")
    );

    store.delete_project(rope).await.expect("deleted");

    let again = know(store, ONE, 7, "gear/soft/rope").await;
    assert_ne!(again, Some(rope), "the deleted project is not restored");
    assert_eq!(path(store, again).await, "gear/soft/rope");
}

pub(crate) async fn a_new_project_at_an_old_path_is_another_project(fixture: Fixture) {
    let store = &fixture.store;
    let first = know(store, ONE, 15, "gear/rope").await;
    let second = know(store, ONE, 99, "gear/rope").await;
    assert_ne!(first, second);

    assert_eq!(
        (path(store, first).await, path(store, second).await),
        ("gear/rope".into(), "gear/rope-99".into())
    );

    assert_eq!(
        know(store, ONE, 99, "gear/rope").await,
        second,
        "the project stays there"
    );

    // The first project is renamed. Its old path does not matter for later projects.
    assert_eq!(know(store, ONE, 15, "gear/cord").await, first);
    assert_eq!(path(store, first).await, "gear/cord");

    assert_eq!(
        know(store, ONE, 16, "gear/cord").await.map(|id| Some(id) == first),
        Some(false)
    );
}

pub(crate) async fn a_path_chosen_by_a_member_matches_no_received_project(fixture: Fixture) {
    let store = &fixture.store;
    let own = fixture.project("p").await;
    rename(store, own, "payroll", PathSetBy::Member).await;

    let payroll = know(store, ONE, 500, "g-p/payroll").await;
    assert_ne!(payroll, Some(own));
    assert_eq!(path(store, payroll).await, "g-p/payroll-500");
    rename(store, own, "ledger", PathSetBy::Administrator).await;

    assert_eq!(
        know(store, ONE, 501, "g-p/ledger").await,
        Some(own),
        "an administrator chose the path"
    );

    let group = group_at(store, "g-p").await.expect("the group exists");
    let edit = GroupEdit {
        path: Some("finance".to_owned()),
        path_set_by: PathSetBy::Member,
        ..GroupEdit::default()
    };

    store
        .update_group(group, edit)
        .await
        .expect("written")
        .expect("the group exists");

    let secret = know(store, ONE, 502, "finance/secret").await;
    assert_eq!(path(store, secret).await, "a.example/finance/secret");

    let apart = group_at(store, "a.example/finance").await;
    assert_eq!(
        know_group(store, 3, "finance", None).await,
        apart,
        "the renamed group does not match"
    );

    assert_eq!(store.directory().await.expect("read").named_by_members, [group]);
}

pub(crate) async fn a_project_follows_its_path_in_gitlab_unless_an_administrator_moved_it(fixture: Fixture) {
    let store = &fixture.store;
    let rope = know(store, ONE, 15, "gear/rope").await;
    let id = rope.expect("made");
    rename(store, id, "mine", PathSetBy::Member).await;
    know(store, ONE, 15, "gear/rope").await;

    assert_eq!(
        path(store, rope).await,
        "gear/mine",
        "the path in GitLab did not change"
    );

    let version = store.directory_version().await.expect("a version");
    assert_eq!(know(store, ONE, 15, "ropes/rope").await, rope);
    assert_eq!(path(store, rope).await, "ropes/rope");

    assert!(
        store.directory_version().await.expect("a version") > version,
        "other nodes read the directory again"
    );

    let project = store
        .find_project(Name::Id(id.0))
        .await
        .expect("read")
        .expect("the project exists");
    assert_eq!(Some(project.group), group_at(store, "ropes").await);
    assert_eq!(audited(store).await, [format!("project {id}: gear/mine -> ropes/rope")]);
    rename(store, id, "pinned", PathSetBy::Administrator).await;
    know(store, ONE, 15, "gear/rope").await;
    assert_eq!(path(store, rope).await, "ropes/pinned");
    assert_eq!(audited(store).await.len(), 1);

    // A rename without an earlier event finds the project by its old path.
    let own = fixture.project("p").await;
    let renamed = Project {
        old_path: Some("g-p/p".to_owned()),
        ..seen(30, "g-p/q")
    };
    let found = store
        .know_project(ONE.to_owned(), renamed, SOURCE, NOON)
        .await
        .expect("looked");
    assert_eq!((found, path(store, found).await.as_str()), (Some(own), "g-p/q"));
}

pub(crate) async fn a_group_moves_with_its_projects(fixture: Fixture) {
    let store = &fixture.store;
    let rope = know(store, ONE, 15, "gear/soft/rope").await;
    let gear = group_at(store, "gear").await;
    assert_eq!(know_group(store, 5, "gear", None).await, gear);

    assert_eq!(
        know_group(store, 6, "gear", None).await,
        None,
        "the group stands for number 5"
    );

    assert_eq!(
        know_group(store, 7, "nowhere", None).await,
        None,
        "events of groups create no group"
    );

    assert_eq!(know_group(store, 5, "tools/cord", Some("gear")).await, gear);
    assert_eq!(path(store, rope).await, "tools/cord/soft/rope");

    assert_eq!(
        (group_at(store, "tools/cord").await, group_at(store, "gear").await),
        (gear, None)
    );

    assert_eq!(know(store, ONE, 15, "tools/cord/soft/rope").await, rope);

    let number = gear.expect("the group exists");
    assert_eq!(audited(store).await, [format!("group {number}: gear -> tools/cord")]);

    // A new group at the old path is another group, and its projects are other projects.
    let other = know(store, ONE, 99, "gear/rope").await;
    assert_ne!(group_at(store, "gear").await, gear);
    assert_eq!(path(store, other).await, "gear/rope");

    // A group that an administrator moved keeps its path. A project of GitLab at that path is another project.
    let edit = GroupEdit {
        path: Some("own".to_owned()),
        path_set_by: PathSetBy::Administrator,
        ..GroupEdit::default()
    };

    store
        .update_group(number, edit)
        .await
        .expect("written")
        .expect("the group exists");

    assert_eq!(know_group(store, 5, "elsewhere", None).await, gear);
    assert_eq!(path(store, rope).await, "tools/own/soft/rope");

    let theirs = know(store, ONE, 100, "tools/own/rope").await;
    assert_eq!(path(store, theirs).await, "a.example/tools/own/rope");
}
