//! Checks of what people configure, of access, and of the store's own life.

use std::time::Duration;

use quickdraw_domain::access::AccessLevel;
use quickdraw_domain::hook::{BranchFilter, Hook, HookUrl};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::{GroupId, NodeId, ProjectId, Secret, Trigger};
use quickdraw_store::Error;
use quickdraw_store::access::{Holder, NewToken, NewUser, Tokens, UserEdit, Users};
use quickdraw_store::lists::{Page, Start};
use quickdraw_store::scopes::{GroupEdit, Name, NewGroup, NewProject, ProjectEdit, ScopeFilter};
use uuid::Uuid;

use crate::fixture::{Fixture, NOON, at, hook, ring};

const ALL: Page = Page { start: Start::Offset(0), limit: 100 };

fn group(parent: Option<GroupId>, path: &str) -> NewGroup {
    NewGroup { parent, name: path.to_owned(), path: path.to_owned(), description: None, visibility_level: 20 }
}

pub(crate) async fn groups_and_projects_have_unique_paths(fixture: Fixture) {
    let store = &fixture.store;
    let top = store.create_group(group(None, "Climb"), NOON).await.expect("made");
    let sub = store.create_group(group(Some(top.id), "gear"), NOON).await.expect("made");
    assert_eq!(sub.full_path, "Climb/gear");
    assert!(matches!(store.create_group(group(None, "climb"), NOON).await, Err(Error::Taken("path"))));
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
    assert!(matches!(store.create_project(new("ROPE"), NOON).await, Err(Error::Taken("path"))));
    assert!(matches!(store.create_group(group(Some(sub.id), "rope"), NOON).await, Err(Error::Taken("path"))));
    assert_eq!((project.path_with_namespace.as_str(), project.namespace.as_str()), ("Climb/gear/rope", "gear"));
    for name in [Name::Id(project.id.0), Name::Path("climb/GEAR/rope".to_owned())] {
        assert_eq!(store.find_project(name).await.expect("read"), Some(project.clone()));
    }
    assert_eq!(store.find_group(Name::Path("CLIMB".to_owned())).await.expect("read"), Some(top));
    let page =
        store.list_groups(ScopeFilter::default(), Page { start: Start::Offset(1), limit: 1 }).await.expect("listed");
    assert_eq!((page.total, page.rows), (2, vec![sub]));
}

pub(crate) async fn deleting_a_group_takes_its_projects_and_hooks(fixture: Fixture) {
    let project = fixture.project("p").await;
    fixture.hook(project).await;
    let store = &fixture.store;
    let found = store.find_project(Name::Id(project.0)).await.expect("read").expect("it is there");
    assert!(store.delete_group(found.group).await.expect("deleted"));
    assert!(!store.delete_group(found.group).await.expect("nothing left"));
    assert_eq!(store.find_project(Name::Id(project.0)).await.expect("read"), None);
    assert_eq!(store.directory().await.expect("read").hooks.len(), 0);
    let again = fixture.project("p").await;
    assert!(again > project, "numbers are never used again");
}

pub(crate) async fn hooks_come_back_with_their_secrets_and_only_in_their_scope(fixture: Fixture) {
    let store = &fixture.store;
    let (one, other) = (fixture.project("one").await, fixture.project("other").await);
    let mut new = hook(Scope::Project(one));
    let key = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=";
    new.signing_token = Some(SigningToken::parse(key).expect("a token"));
    new.branch_filter = BranchFilter::parse("wildcard", Some("release/*")).expect("a filter");
    new.triggers = [Trigger::PUSH, Trigger::TAG_PUSH].into_iter().collect();
    let made = store.create_hook(new.clone(), 100).await.expect("made").hook;
    let found = store.find_hook(Scope::Project(one), made.id).await.expect("read").expect("it is there").hook;
    assert_eq!(found.url.as_typed(), new.url.as_typed());
    assert_eq!(found.token.as_ref().map(|token| token.expose().to_owned()).as_deref(), Some("canary-token"));
    assert_eq!(found.signing_token.map(|token| token.to_text().expose().to_owned()).as_deref(), Some(key));
    assert_eq!((found.triggers, found.branch_filter.text()), (new.triggers, Some("release/*")));
    assert_eq!(found.custom_headers.get("X-Key").map(Secret::expose), Some("canary-header"));
    let full = store.create_hook(hook(Scope::Project(one)), 1).await;
    assert!(matches!(full, Err(Error::Full(1))));
    assert!(store.find_hook(Scope::Project(other), made.id).await.expect("read").is_none());
    assert!(store.find_hook(Scope::Instance, made.id).await.expect("read").is_none());
    assert!(!store.delete_hook(Scope::Project(other), made.id, None).await.expect("nothing"));
    let system = store.create_hook(hook(Scope::Instance), 100).await.expect("made").hook;
    assert!(store.find_hook(Scope::Instance, system.id).await.expect("read").is_some());
    assert_eq!(store.list_hooks(Scope::Instance, ALL).await.expect("listed").total, 1);
    let nowhere = store.create_hook(hook(Scope::Project(ProjectId(999))), 100).await;
    assert!(matches!(nowhere, Err(Error::Missing("project"))));
    if fixture.is_sqlite() {
        for file in ["store.db", "store.db-wal"] {
            let bytes = std::fs::read(fixture.folder().join(file)).unwrap_or_default();
            assert!(!bytes.windows(7).any(|window| window == b"canary-"), "a secret lies open in {file}");
        }
    }
}

pub(crate) async fn an_update_replaces_a_hook_that_nobody_else_changed(fixture: Fixture) {
    let store = &fixture.store;
    let project = fixture.project("p").await;
    let made = store.create_hook(hook(Scope::Project(project)), 100).await.expect("made").hook;
    let before = store.directory_version().await.expect("a version");
    let mut changed = made.clone();
    changed.url_variables.set("part", Secret::new("canary-part")).expect("a variable");
    changed.url = HookUrl::parse_with("https://example.com/{part}", &changed.url_variables).expect("a URL");
    changed.custom_headers.remove("X-Key");
    changed.triggers = [Trigger::TAG_PUSH].into_iter().collect();
    changed.body_template = Some("{}".to_owned());
    changed.updated_at = at(5);
    let written = store.update_hook(changed.clone(), made.updated_at).await.expect("written").expect("unchanged").hook;
    assert_eq!((written.url.path_and_query().as_str(), written.triggers), ("/canary-part", changed.triggers));
    assert!(store.directory_version().await.expect("a version") > before);
    let found = store.find_hook(Scope::Project(project), made.id).await.expect("read").expect("it is there").hook;
    assert_eq!((found.url.as_typed(), found.updated_at), ("https://example.com/{part}", at(5)));
    assert_eq!((found.url.path_and_query().as_str(), found.custom_headers.is_empty()), ("/canary-part", true));
    assert_eq!((found.body_template.as_deref(), found.token.is_some()), (Some("{}"), true));
    assert!(store.update_hook(changed.clone(), made.updated_at).await.expect("looked").is_none(), "changed meanwhile");
    let elsewhere = Hook { scope: Scope::Instance, ..changed };
    assert!(store.update_hook(elsewhere, at(5)).await.expect("looked").is_none(), "another scope's hook");
}

pub(crate) async fn the_directory_version_rises_with_every_change(fixture: Fixture) {
    let store = &fixture.store;
    let mut last = store.directory_version().await.expect("a version");
    let mut rises = async |what: &str| {
        let now = store.directory_version().await.expect("a version");
        assert!(now > last, "{what}");
        last = now;
    };
    let project = fixture.project("p").await;
    rises("a project was made").await;
    let hook = fixture.hook(project).await;
    rises("a hook was made").await;
    let directory = store.directory().await.expect("read");
    assert_eq!((directory.hooks.len(), directory.projects.len(), directory.groups.len()), (1, 1, 1));
    store.delete_hook(Scope::Project(project), hook, None).await.expect("deleted");
    rises("a hook was deleted").await;
    assert_eq!(store.directory().await.expect("read").version, store.directory_version().await.expect("read"));
}

pub(crate) async fn the_root_token_is_found_by_its_digest_only(fixture: Fixture) {
    let store = &fixture.store;
    assert!(!store.has_root_token().await.expect("read"));
    store.set_root_token([1; 32], NOON).await.expect("set");
    store.set_root_token([2; 32], NOON).await.expect("set again");
    assert!(store.has_root_token().await.expect("read"));
    assert!(store.find_actor([1; 32], NOON).await.expect("read").is_none());
    let root = store.find_actor([2; 32], NOON).await.expect("read").expect("root");
    assert_eq!((root.user_id, root.username.as_str(), root.is_admin), (1, "root", true));
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
    assert!(matches!(quickdraw_store::open(&url, ring(2)).await.err(), Some(Error::Seal(_))));
    assert!(quickdraw_store::open(&url, ring(1)).await.is_ok());
}

pub(crate) async fn a_second_opening_is_refused_or_shares(fixture: Fixture) {
    let second = quickdraw_store::open(&fixture.url, ring(1)).await;
    match (fixture.is_sqlite(), second) {
        (true, Err(Error::InUse(_))) | (false, Ok(_)) => {}
        (_, other) => panic!("unexpected: {:?}", other.map(|_| "opened").map_err(|error| error.to_string())),
    }
}

pub(crate) async fn nodes_are_counted_while_they_live(fixture: Fixture) {
    let store = &fixture.store;
    let node = NodeId(Uuid::from_u128(77));
    store.heartbeat(node, NOON).await.expect("heard");
    store.heartbeat(node, at(5)).await.expect("heard");
    store.ping().await.expect("there");
    let condition = store.condition(at(5)).await.expect("looked");
    assert_eq!((condition.nodes, condition.schema_version), (1, 5));
    store.node_stopped(node).await.expect("stopped");
    assert_eq!(store.condition(at(5).plus(Duration::from_secs(1))).await.expect("looked").nodes, 0);
}

pub(crate) async fn another_node_is_woken_by_a_signal(url: String) {
    use quickdraw_domain::scope::Place;
    use quickdraw_store::Wakes;
    let fixture = Fixture::open(Some(url)).await;
    let other = quickdraw_store::open(&fixture.url, ring(1)).await.expect("it opens");
    let now = NOON;
    for (store, node) in [(&fixture.store, 1), (&other, 2), (&fixture.store, 1)] {
        store.heartbeat(NodeId(Uuid::from_u128(node)), now).await.expect("heard");
    }
    let wakes = std::sync::Arc::new(Wakes::default());
    let (listening, listener) = (wakes.clone(), other.clone());
    let task = tokio::spawn(async move { listener.listen(&listening).await });
    let patience = Duration::from_secs(20);
    // The first wake says that the other node listens now.
    tokio::time::timeout(patience, wakes.fan_out.notified()).await.expect("it listens");
    let new = crate::fixture::event(Place::Instance, b"{}");
    fixture.store.append_events(vec![new]).await.expect("appended");
    tokio::time::timeout(patience, wakes.fan_out.notified()).await.expect("it is woken");
    task.abort();
    other.close().await;
    fixture.close().await;
}

pub(crate) async fn tokens_end_when_they_expire_or_are_taken_back(fixture: Fixture) {
    let store = &fixture.store;
    let new = |username: &str| NewUser {
        username: username.to_owned(),
        name: "Ida".to_owned(),
        email: Some("ida@climb.example".to_owned()),
        is_admin: false,
    };
    let ida = store.create_user(new("ida"), NOON).await.expect("made");
    assert!(matches!(store.create_user(new("IDA"), NOON).await, Err(Error::Taken("username"))));
    assert_eq!(store.find_user(ida.id).await.expect("read").as_ref(), Some(&ida));
    assert_eq!(store.list_users(Users::Named("Ida".to_owned()), ALL).await.expect("listed").rows.len(), 1);
    let token = |digest: u8, expires_at| NewToken {
        digest: [digest; 32],
        holder: Holder::User(ida.id),
        name: "script".to_owned(),
        read_only: digest == 7,
        expires_at,
    };
    let made = store.create_token(token(7, Some(at(100))), NOON).await.expect("made");
    let actor = store.find_actor([7; 32], at(99)).await.expect("read").expect("it is valid");
    assert_eq!((actor.user_id, actor.token, actor.read_only, actor.is_admin), (ida.id, made.id, true, false));
    let used = store.find_token(made.id).await.expect("read").expect("it is there").last_used_at;
    assert_eq!(used, Some(at(99)));
    assert!(store.find_actor([7; 32], at(100)).await.expect("read").is_none(), "it has expired");
    let other = store.create_token(token(8, None), NOON).await.expect("made");
    assert!(store.find_actor([8; 32], at(5000)).await.expect("read").is_some());
    assert!(store.revoke_token(other.id).await.expect("written"));
    assert!(store.find_actor([8; 32], NOON).await.expect("read").is_none(), "it was taken back");
    assert!(!store.revoke_token(999).await.expect("looked"));
    let nobody = NewToken { holder: Holder::User(999), ..token(9, None) };
    assert!(matches!(store.create_token(nobody, NOON).await, Err(Error::Missing("user"))));
}

pub(crate) async fn a_projects_token_is_a_member_and_rotates(fixture: Fixture) {
    let project = fixture.project("p").await;
    let store = &fixture.store;
    let scope = Scope::Project(project);
    let new = |digest: u8, scope| NewToken {
        digest: [digest; 32],
        holder: Holder::Bot { scope, level: AccessLevel::Maintainer, username: format!("bot_{digest}") },
        name: "ci".to_owned(),
        read_only: true,
        expires_at: Some(at(100)),
    };
    let made = store.create_token(new(1, scope), NOON).await.expect("made");
    assert_eq!((made.scope, made.level, made.revoked), (Some(scope), Some(AccessLevel::Maintainer), false));
    let actor = store.find_actor([1; 32], NOON).await.expect("read").expect("it is good");
    assert_eq!((actor.bot_of, actor.read_only, actor.is_admin), (Some(scope), true, false));
    assert_eq!(store.role(scope, actor.user_id, NOON).await.expect("read"), Some(AccessLevel::Maintainer));
    let nowhere = store.create_token(new(9, Scope::Group(GroupId(999))), NOON).await;
    assert!(matches!(nowhere, Err(Error::Missing("group"))));

    let fresh = store.rotate_token(made.id, [2; 32], Some(at(500)), NOON).await.expect("written").expect("it was good");
    assert_eq!((fresh.user_id, fresh.name.as_str(), fresh.read_only), (made.user_id, "ci", true));
    assert!(store.find_actor([1; 32], NOON).await.expect("read").is_none(), "the old one has ended");
    assert_eq!(store.find_actor([2; 32], at(499)).await.expect("read").map(|actor| actor.user_id), Some(made.user_id));
    let role = store.role(scope, made.user_id, at(499)).await.expect("read");
    assert_eq!(role, Some(AccessLevel::Maintainer), "its membership lasts as long as the token");
    assert_eq!(store.rotate_token(made.id, [3; 32], None, NOON).await.expect("looked"), None, "not twice");

    let list = |which, active| store.list_tokens(which, active, ALL);
    let ids = |tokens: Vec<quickdraw_store::access::Token>| tokens.iter().map(|token| token.id).collect::<Vec<_>>();
    assert_eq!(ids(list(Tokens::In(scope), None).await.expect("listed").rows), [made.id, fresh.id]);
    assert_eq!(ids(list(Tokens::In(scope), Some((true, NOON))).await.expect("listed").rows), [fresh.id]);
    assert_eq!(ids(list(Tokens::In(scope), Some((false, NOON))).await.expect("listed").rows), [made.id]);
    let personal = list(Tokens::All, None).await.expect("listed").rows;
    assert!(personal.iter().all(|token| token.scope.is_none()));
    assert!(list(Tokens::Of(made.user_id), None).await.expect("listed").rows.is_empty(), "not a personal one");

    assert!(store.revoke_token(made.id).await.expect("written"));
    let role = store.role(scope, made.user_id, NOON).await.expect("read");
    assert_eq!(role, Some(AccessLevel::Maintainer), "the one that took its place is still good");
    assert!(store.revoke_token(fresh.id).await.expect("written"));
    assert_eq!(store.role(scope, made.user_id, NOON).await.expect("read"), None, "and is a member no longer");
    assert!(store.delete_project(project).await.expect("deleted"));
    assert_eq!(store.find_user(made.user_id).await.expect("read"), None, "the bot goes with its project");
}

pub(crate) async fn lists_go_on_behind_a_number(fixture: Fixture) {
    let store = &fixture.store;
    let mut made = Vec::new();
    for name in ["a", "b", "c"] {
        made.push(store.create_group(group(None, name), NOON).await.expect("made").id);
    }
    let page = |start| store.list_groups(ScopeFilter::default(), Page { start, limit: 2 });
    let first = page(Start::After(0)).await.expect("listed");
    assert_eq!(first.rows.iter().map(|group| group.id).collect::<Vec<_>>(), made[..2]);
    let rest = page(Start::After(made[1].0)).await.expect("listed");
    assert_eq!((rest.rows.len(), rest.rows[0].id, rest.total), (1, made[2], 0), "nothing is counted");
    assert_eq!(page(Start::Offset(2)).await.expect("listed").total, 3);
    let user = NewUser { username: "ida".to_owned(), name: "Ida".to_owned(), email: None, is_admin: false };
    let user = store.create_user(user, NOON).await.expect("made").id;
    let level = AccessLevel::Guest;
    store.set_member(Scope::Group(made[1]), user, level, None).await.expect("written");
    let seen = ScopeFilter { visible_to: Some((user, NOON)), search: Some("B".to_owned()), parent: None };
    let found = store.list_groups(seen, ALL).await.expect("listed");
    assert_eq!((found.rows.len(), found.rows[0].id, found.total), (1, made[1], 1));
}

pub(crate) async fn roles_are_inherited_from_the_groups_above_and_the_highest_counts(fixture: Fixture) {
    let store = &fixture.store;
    let new = NewUser { username: "ida".to_owned(), name: "Ida".to_owned(), email: None, is_admin: false };
    let ida = store.create_user(new, NOON).await.expect("made").id;
    let top = store.create_group(group(None, "top"), NOON).await.expect("made").id;
    let sub = store.create_group(group(Some(top), "sub"), NOON).await.expect("made").id;
    let project = NewProject {
        group: sub,
        name: "p".to_owned(),
        path: "p".to_owned(),
        description: None,
        default_branch: None,
        visibility_level: 0,
    };
    let project = Scope::Project(store.create_project(project, NOON).await.expect("made").id);
    let (top, sub) = (Scope::Group(top), Scope::Group(sub));
    let role = async |scope| store.role(scope, ida, NOON).await.expect("read");
    assert_eq!((role(project).await, role(sub).await, role(top).await), (None, None, None));
    store.set_member(sub, ida, AccessLevel::Reporter, None).await.expect("set");
    assert_eq!(role(project).await, Some(AccessLevel::Reporter));
    assert_eq!((role(sub).await, role(top).await), (Some(AccessLevel::Reporter), None));
    store.set_member(project, ida, AccessLevel::Maintainer, Some(at(10))).await.expect("set");
    assert_eq!(role(project).await, Some(AccessLevel::Maintainer));
    assert_eq!(store.role(project, ida, at(10)).await.expect("read"), Some(AccessLevel::Reporter), "it has expired");
    store.set_member(top, ida, AccessLevel::Owner, None).await.expect("set");
    assert_eq!((role(project).await, role(sub).await), (Some(AccessLevel::Owner), Some(AccessLevel::Owner)));
    store.set_member(top, ida, AccessLevel::Guest, None).await.expect("changed");
    let uma = NewUser { username: "uma".to_owned(), name: "Uma".to_owned(), email: None, is_admin: false };
    let uma = store.create_user(uma, NOON).await.expect("made").id;
    store.add_member(top, uma, AccessLevel::Developer, Some(at(50))).await.expect("added");
    let all = async |now, page| {
        let list = store.list_all_members(project, now, page).await.expect("listed");
        (list.rows.iter().map(|m| (m.user.id, m.level, m.expires_at)).collect::<Vec<_>>(), list.total)
    };
    let (ida_now, ida_later) = ((ida, AccessLevel::Maintainer, None), (ida, AccessLevel::Reporter, None));
    assert_eq!(all(NOON, ALL).await, (vec![ida_now, (uma, AccessLevel::Developer, Some(at(50)))], 2));
    assert_eq!(all(at(50), ALL).await, (vec![ida_later], 1), "what has ended counts no more");
    let behind = Page { start: Start::After(ida), limit: 9 };
    assert_eq!(all(NOON, behind).await.0, [(uma, AccessLevel::Developer, Some(at(50)))]);
    store.remove_member(top, uma).await.expect("removed");
    let members = store.list_members(top, ALL).await.expect("listed");
    assert_eq!((members.total, members.rows[0].level), (1, AccessLevel::Guest));
    let visible = ScopeFilter { visible_to: Some((ida, NOON)), ..ScopeFilter::default() };
    let listed = store.list_projects(visible.clone(), ALL).await.expect("listed");
    assert_eq!((listed.total, listed.rows.len()), (1, 1), "by way of a group");
    assert_eq!(store.list_groups(visible.clone(), ALL).await.expect("listed").total, 2);
    let stranger = ScopeFilter { visible_to: Some((999, NOON)), ..ScopeFilter::default() };
    assert_eq!(store.list_groups(stranger.clone(), ALL).await.expect("listed").total, 0);
    assert_eq!(store.list_projects(stranger, ALL).await.expect("listed").total, 0);
    assert!(store.remove_member(sub, ida).await.expect("removed"));
    assert!(!store.remove_member(sub, ida).await.expect("looked"));
    assert_eq!(role(sub).await, Some(AccessLevel::Guest), "what is left is inherited");
    let nowhere = store.set_member(Scope::Project(ProjectId(999)), ida, AccessLevel::Guest, None).await;
    assert!(matches!(nowhere, Err(Error::Missing("project"))));
}

pub(crate) async fn groups_and_projects_are_changed_searched_and_moved(fixture: Fixture) {
    let store = &fixture.store;
    let top = store.create_group(group(None, "top"), NOON).await.expect("made").id;
    let sub = store.create_group(group(Some(top), "sub"), NOON).await.expect("made").id;
    let new = |group, path: &str| NewProject {
        group,
        name: format!("The {path}"),
        path: path.to_owned(),
        description: None,
        default_branch: Some("main".to_owned()),
        visibility_level: 0,
    };
    let rope = store.create_project(new(top, "rope"), NOON).await.expect("made").id;
    store.create_project(new(sub, "rope"), NOON).await.expect("another path");
    let search = |text: &str| ScopeFilter { search: Some(text.to_owned()), ..ScopeFilter::default() };
    assert_eq!(store.list_projects(search("THE ROPE"), ALL).await.expect("listed").total, 2);
    assert_eq!(store.list_projects(search("sub/"), ALL).await.expect("listed").total, 1);
    assert_eq!(store.list_groups(search("100%"), ALL).await.expect("listed").total, 0);
    let inside = ScopeFilter { parent: Some(top), ..ScopeFilter::default() };
    assert_eq!(store.list_groups(inside.clone(), ALL).await.expect("listed").rows[0].id, sub);
    assert_eq!(store.list_projects(inside, ALL).await.expect("listed").rows[0].id, rope);
    let before = store.directory_version().await.expect("a version");
    let there = ProjectEdit { group: Some(sub), ..ProjectEdit::default() };
    assert!(matches!(store.update_project(rope, there.clone()).await, Err(Error::Taken("path"))));
    let other = store.create_project(new(top, "sling"), NOON).await.expect("made").id;
    let edit = ProjectEdit { description: Some(Some("d".to_owned())), name: Some("n".to_owned()), ..there };
    let moved = store.update_project(other, edit).await.expect("written").expect("it is there");
    assert_eq!((moved.path_with_namespace.as_str(), moved.group, moved.name.as_str()), ("top/sub/sling", sub, "n"));
    assert_eq!((moved.description.as_deref(), moved.default_branch.as_deref()), (Some("d"), Some("main")));
    assert!(store.directory_version().await.expect("a version") > before, "other hooks hear of it now");
    let nowhere = ProjectEdit { group: Some(GroupId(999)), ..ProjectEdit::default() };
    assert!(matches!(store.update_project(other, nowhere).await, Err(Error::Missing("group"))));
    assert!(store.update_project(ProjectId(999), ProjectEdit::default()).await.expect("looked").is_none());
    let edit = GroupEdit { visibility_level: Some(20), ..GroupEdit::default() };
    let changed = store.update_group(sub, edit).await.expect("written").expect("it is there");
    assert_eq!((changed.visibility_level, changed.full_path.as_str()), (20, "top/sub"));
    assert!(store.update_group(GroupId(999), GroupEdit::default()).await.expect("looked").is_none());
}

/// What one of them looked at before the other wrote must not be written back, and no path may keep an old beginning.
pub(crate) async fn changes_at_the_same_time_lose_nothing(fixture: Fixture) {
    let store = &fixture.store;
    for round in 0..8 {
        let top = store.create_group(group(None, &format!("top-{round}")), NOON).await.expect("made").id;
        let rename = GroupEdit { path: Some(format!("new-{round}")), ..GroupEdit::default() };
        let describe = GroupEdit { description: Some(Some("d".to_owned())), ..GroupEdit::default() };
        let (renamed, described, made) = tokio::join!(
            store.update_group(top, rename),
            store.update_group(top, describe),
            store.create_group(group(Some(top), "sub"), NOON),
        );
        renamed.expect("written");
        described.expect("written");
        let sub = made.expect("made").id;
        let top = store.find_group(Name::Id(top.0)).await.expect("read").expect("it is there");
        assert_eq!((top.full_path, top.description.as_deref()), (format!("new-{round}"), Some("d")));
        let sub = store.find_group(Name::Id(sub.0)).await.expect("read").expect("it is there");
        assert_eq!(sub.full_path, format!("new-{round}/sub"));
        let new = NewUser { username: format!("u{round}"), name: "u".to_owned(), email: None, is_admin: true };
        let user = store.create_user(new, NOON).await.expect("made").id;
        let (name, admin) = tokio::join!(
            store.update_user(user, UserEdit { name: Some("n".to_owned()), ..UserEdit::default() }),
            store.update_user(user, UserEdit { is_admin: Some(false), ..UserEdit::default() }),
        );
        assert!(name.is_ok() && admin.is_ok());
        let user = store.find_user(user).await.expect("read").expect("they are there");
        assert_eq!((user.name.as_str(), user.is_admin), ("n", false));
    }
}

pub(crate) async fn a_renamed_group_takes_the_paths_below_it_along(fixture: Fixture) {
    let store = &fixture.store;
    let top = store.create_group(group(None, "Top"), NOON).await.expect("made").id;
    let sub = store.create_group(group(Some(top), "sub"), NOON).await.expect("made").id;
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
    let to = |path: &str| GroupEdit { path: Some(path.to_owned()), ..GroupEdit::default() };
    assert!(matches!(store.update_group(top, to("TOPPER")).await, Err(Error::Taken("path"))));
    for (path, full) in [("wall", "wall/sub/p"), ("Wall", "Wall/sub/p")] {
        assert!(store.update_group(top, to(path)).await.expect("written").is_some());
        let found = store.find_project(Name::Id(project.0)).await.expect("read").expect("it is there");
        assert_eq!(found.path_with_namespace, full);
    }
    let found = store.find_group(Name::Path("wall/sub".to_owned())).await.expect("read").expect("it is there");
    assert_eq!((found.id, found.full_path.as_str()), (sub, "Wall/sub"));
    let other = store.find_group(Name::Id(beside.0)).await.expect("read").expect("it is there");
    assert_eq!(other.full_path, "topper", "only the beginning of its name is the same");
    let edit = ProjectEdit { path: Some("q".to_owned()), group: Some(beside), ..ProjectEdit::default() };
    let moved = store.update_project(project, edit).await.expect("written").expect("it is there");
    assert_eq!(moved.path_with_namespace, "topper/q");
}

pub(crate) async fn users_are_changed_and_deleted_with_all_that_is_theirs(fixture: Fixture) {
    let store = &fixture.store;
    let new = |username: &str| NewUser {
        username: username.to_owned(),
        name: "Ida".to_owned(),
        email: Some("ida@climb.example".to_owned()),
        is_admin: false,
    };
    let ida = store.create_user(new("ida"), NOON).await.expect("made").id;
    store.create_user(new("uma"), NOON).await.expect("made");
    let rename = |username: &str| UserEdit { username: Some(username.to_owned()), ..UserEdit::default() };
    assert!(matches!(store.update_user(ida, rename("UMA")).await, Err(Error::Taken("username"))));
    assert_eq!(store.update_user(999, rename("x")).await.expect("looked"), None);
    let edit = UserEdit { email: Some(None), is_admin: Some(true), ..rename("Ida") };
    let changed = store.update_user(ida, edit).await.expect("written").expect("they are there");
    assert_eq!(
        (changed.username.as_str(), changed.name.as_str(), changed.email, changed.is_admin),
        ("Ida", "Ida", None, true)
    );
    let token = NewToken {
        digest: [1; 32],
        holder: Holder::User(ida),
        name: "t".to_owned(),
        read_only: false,
        expires_at: None,
    };
    store.create_token(token, NOON).await.expect("made");
    assert!(store.find_actor([1; 32], NOON).await.expect("read").is_some_and(|actor| actor.is_admin));
    let found = |filter| store.list_users(filter, ALL);
    assert_eq!(found(Users::With("ID".to_owned())).await.expect("listed").rows[0].id, ida);
    assert_eq!(found(Users::All).await.expect("listed").total, 3, "root among them");
    let group = Scope::Group(store.create_group(group(None, "g"), NOON).await.expect("made").id);
    store.add_member(group, ida, AccessLevel::Guest, Some(at(9))).await.expect("new");
    let again = store.add_member(group, ida, AccessLevel::Owner, None).await;
    assert!(matches!(again, Err(Error::Taken("member"))));
    let kept = store.find_member(group, ida).await.expect("read").expect("they are one");
    assert_eq!((kept.level, kept.expires_at), (AccessLevel::Guest, Some(at(9))));
    assert!(store.delete_user(ida).await.expect("deleted"));
    assert!(store.find_actor([1; 32], NOON).await.expect("read").is_none());
    assert!(!store.delete_user(ida).await.expect("looked"));
}
