//! Checks of users, tokens, members and roles.

use quickdraw_domain::access::{AccessLevel, TokenScope};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{Edit, GroupId, ProjectId};
use quickdraw_store::Error;
use quickdraw_store::access::{Holder, MemberFilter, NewToken, NewUser, TokenFilter, Tokens, UserEdit, UserFilter};
use quickdraw_store::lists::{Page, Start};
use quickdraw_store::scopes::{NewProject, ScopeFilter};

use crate::fixture::{ALL, Fixture, NOON, at, group};

pub(crate) async fn tokens_end_when_they_expire_or_are_revoked(fixture: Fixture) {
    let store = &fixture.store;
    let new = |username: &str| NewUser {
        username: username.to_owned(),
        name: "Ida".to_owned(),
        email: Some("ida@climb.example".to_owned()),
        is_admin: false,
    };
    let ida = store.create_user(new("ida"), NOON).await.expect("made");

    assert!(matches!(
        store.create_user(new("IDA"), NOON).await,
        Err(Error::Taken("username"))
    ));

    assert_eq!(store.find_user(ida.id).await.expect("read").as_ref(), Some(&ida));

    let named = UserFilter {
        username: Some("Ida".to_owned()),
        ..UserFilter::default()
    };
    assert_eq!(store.list_users(named, ALL).await.expect("listed").rows.len(), 1);

    let token = |digest: u8, expires_at| NewToken {
        digest: [digest; 32],
        holder: Holder::User(ida.id),
        name: "script".to_owned(),
        scopes: if digest == 7 {
            vec![TokenScope::ReadApi]
        } else {
            vec![TokenScope::Api, TokenScope::ReadApi]
        },
        expires_at,
    };
    let made = store.create_token(token(7, Some(at(100))), NOON).await.expect("made");

    let actor = store
        .find_actor([7; 32], at(99))
        .await
        .expect("read")
        .expect("the token is valid");
    assert_eq!(
        (actor.user_id, actor.token, actor.scopes, actor.is_admin),
        (ida.id, made.id, vec![TokenScope::ReadApi], false)
    );

    let used = store
        .find_token(made.id)
        .await
        .expect("read")
        .expect("the token exists")
        .last_used_at;
    assert_eq!(used, Some(at(99)));

    assert!(
        store.find_actor([7; 32], at(100)).await.expect("read").is_none(),
        "the token has expired"
    );

    let other = store.create_token(token(8, None), NOON).await.expect("made");
    assert_eq!(
        other.scopes,
        [TokenScope::Api, TokenScope::ReadApi],
        "in the requested order"
    );

    assert!(store.find_actor([8; 32], at(5000)).await.expect("read").is_some());
    assert!(store.revoke_token(other.id).await.expect("written"));

    assert!(
        store.find_actor([8; 32], NOON).await.expect("read").is_none(),
        "the token was revoked"
    );

    assert!(!store.revoke_token(999).await.expect("looked"));

    let nobody = NewToken {
        holder: Holder::User(999),
        ..token(9, None)
    };
    assert!(matches!(
        store.create_token(nobody, NOON).await,
        Err(Error::Missing("user"))
    ));
}

pub(crate) async fn the_token_of_a_project_is_a_member_and_can_be_rotated(fixture: Fixture) {
    let project = fixture.project("p").await;
    let store = &fixture.store;
    let scope = Scope::Project(project);

    let new = |digest: u8, scope| NewToken {
        digest: [digest; 32],
        holder: Holder::Bot {
            scope,
            level: AccessLevel::Maintainer,
            username: format!("bot_{digest}"),
        },
        name: "ci".to_owned(),
        scopes: vec![TokenScope::ReadApi],
        expires_at: Some(at(100)),
    };
    let made = store.create_token(new(1, scope), NOON).await.expect("made");
    assert_eq!(
        (made.scope, made.level, made.revoked),
        (Some(scope), Some(AccessLevel::Maintainer), false)
    );

    let actor = store
        .find_actor([1; 32], NOON)
        .await
        .expect("read")
        .expect("the token is valid");
    assert_eq!(
        (actor.bot_of, actor.scopes, actor.is_admin),
        (Some(scope), vec![TokenScope::ReadApi], false)
    );

    assert_eq!(
        store.role(scope, actor.user_id, NOON).await.expect("read"),
        Some(AccessLevel::Maintainer)
    );

    let nowhere = store.create_token(new(9, Scope::Group(GroupId(999))), NOON).await;
    assert!(matches!(nowhere, Err(Error::Missing("group"))));

    let fresh = store
        .rotate_token(made.id, [2; 32], Some(at(500)), NOON)
        .await
        .expect("written")
        .expect("the token was valid");
    assert_eq!((fresh.user_id, fresh.name.as_str()), (made.user_id, "ci"));
    assert_eq!(fresh.scopes, [TokenScope::ReadApi]);

    assert!(
        store.find_actor([1; 32], NOON).await.expect("read").is_none(),
        "the old token is revoked"
    );

    assert_eq!(
        store
            .find_actor([2; 32], at(499))
            .await
            .expect("read")
            .map(|actor| actor.user_id),
        Some(made.user_id)
    );

    let role = store.role(scope, made.user_id, at(499)).await.expect("read");
    assert_eq!(
        role,
        Some(AccessLevel::Maintainer),
        "the membership lasts as long as the token"
    );

    assert_eq!(
        store.rotate_token(made.id, [3; 32], None, NOON).await.expect("looked"),
        None,
        "a token is rotated only once"
    );

    let list = |which, active| {
        store.list_tokens(
            which,
            TokenFilter {
                active,
                ..TokenFilter::default()
            },
            ALL,
        )
    };

    let ids = |tokens: Vec<quickdraw_store::access::Token>| tokens.iter().map(|token| token.id).collect::<Vec<_>>();
    assert_eq!(
        ids(list(Tokens::In(scope), None).await.expect("listed").rows),
        [made.id, fresh.id]
    );

    assert_eq!(
        ids(list(Tokens::In(scope), Some((true, NOON))).await.expect("listed").rows),
        [fresh.id]
    );

    assert_eq!(
        ids(list(Tokens::In(scope), Some((false, NOON))).await.expect("listed").rows),
        [made.id]
    );

    let personal = list(Tokens::All, None).await.expect("listed").rows;
    assert!(personal.iter().all(|token| token.scope.is_none()));

    assert!(
        list(Tokens::Of(made.user_id), None)
            .await
            .expect("listed")
            .rows
            .is_empty(),
        "the token is not a personal one"
    );

    assert!(store.revoke_token(made.id).await.expect("written"));

    let role = store.role(scope, made.user_id, NOON).await.expect("read");
    assert_eq!(role, Some(AccessLevel::Maintainer), "the rotated token is still valid");
    assert!(store.revoke_token(fresh.id).await.expect("written"));

    assert_eq!(
        store.role(scope, made.user_id, NOON).await.expect("read"),
        None,
        "without a valid token, the bot is not a member"
    );

    assert!(store.delete_project(project).await.expect("deleted"));
    assert_eq!(
        store.find_user(made.user_id).await.expect("read"),
        None,
        "the bot is deleted with its project"
    );
}

pub(crate) async fn users_are_edited_and_deleted_with_their_tokens_and_memberships(fixture: Fixture) {
    let store = &fixture.store;
    let new = |username: &str| NewUser {
        username: username.to_owned(),
        name: "Ida".to_owned(),
        email: Some(format!("{username}@climb.example")),
        is_admin: false,
    };
    let ida = store.create_user(new("ida"), NOON).await.expect("made").id;

    store.create_user(new("uma"), NOON).await.expect("made");

    let rename = |username: &str| UserEdit {
        username: Some(username.to_owned()),
        ..UserEdit::default()
    };
    assert!(matches!(
        store.update_user(ida, rename("UMA")).await,
        Err(Error::Taken("username"))
    ));

    let address = |email: &str| UserEdit {
        email: Edit::Set(email.to_owned()),
        ..UserEdit::default()
    };
    assert!(matches!(
        store.update_user(ida, address("UMA@climb.example")).await,
        Err(Error::Taken("email"))
    ));

    let own = store
        .update_user(ida, address("Ida@climb.example"))
        .await
        .expect("written")
        .expect("the user exists");

    assert_eq!(
        own.email.as_deref(),
        Some("Ida@climb.example"),
        "their own address is not taken"
    );

    let other = NewUser {
        username: "other".to_owned(),
        ..new("IDA")
    };
    assert!(
        matches!(store.create_user(other, NOON).await, Err(Error::Taken("email"))),
        "addresses ignore case"
    );

    assert_eq!(store.update_user(999, rename("x")).await.expect("looked"), None);

    let edit = UserEdit {
        email: Edit::Clear,
        is_admin: Some(true),
        ..rename("Ida")
    };

    let changed = store
        .update_user(ida, edit)
        .await
        .expect("written")
        .expect("the user exists");

    assert_eq!(
        (
            changed.username.as_str(),
            changed.name.as_str(),
            changed.email,
            changed.is_admin
        ),
        ("Ida", "Ida", None, true)
    );

    let token = NewToken {
        digest: [1; 32],
        holder: Holder::User(ida),
        name: "t".to_owned(),
        scopes: vec![TokenScope::Api],
        expires_at: None,
    };
    store.create_token(token, NOON).await.expect("made");

    assert!(
        store
            .find_actor([1; 32], NOON)
            .await
            .expect("read")
            .is_some_and(|actor| actor.is_admin)
    );

    let found = |filter| store.list_users(filter, ALL);
    let with = UserFilter {
        search: Some("IDA".to_owned()),
        ..UserFilter::default()
    };
    assert_eq!(found(with).await.expect("listed").rows[0].id, ida);

    assert_eq!(
        found(UserFilter::default()).await.expect("listed").total,
        3,
        "including root"
    );

    let group = Scope::Group(store.create_group(group(None, "g"), NOON).await.expect("made").id);
    store
        .add_member(group, ida, AccessLevel::Guest, Some(at(9)))
        .await
        .expect("new");

    let again = store.add_member(group, ida, AccessLevel::Owner, None).await;
    assert!(matches!(again, Err(Error::Taken("member"))));

    let kept = store
        .find_member(group, ida)
        .await
        .expect("read")
        .expect("the user is a member");
    assert_eq!((kept.level, kept.expires_at), (AccessLevel::Guest, Some(at(9))));
    assert!(store.delete_user(ida).await.expect("deleted"));
    assert!(store.find_actor([1; 32], NOON).await.expect("read").is_none());
    assert!(!store.delete_user(ida).await.expect("looked"));
}

pub(crate) async fn the_highest_inherited_role_counts(fixture: Fixture) {
    let store = &fixture.store;
    let new = NewUser {
        username: "ida".to_owned(),
        name: "Ida".to_owned(),
        email: None,
        is_admin: false,
    };
    let ida = store.create_user(new, NOON).await.expect("made").id;
    let top = store.create_group(group(None, "top"), NOON).await.expect("made").id;

    let sub = store
        .create_group(group(Some(top), "sub"), NOON)
        .await
        .expect("made")
        .id;

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

    assert_eq!(
        (role(project).await, role(sub).await, role(top).await),
        (None, None, None)
    );

    store
        .set_member(sub, ida, AccessLevel::Reporter, None)
        .await
        .expect("set");

    assert_eq!(role(project).await, Some(AccessLevel::Reporter));
    assert_eq!((role(sub).await, role(top).await), (Some(AccessLevel::Reporter), None));

    store
        .set_member(project, ida, AccessLevel::Maintainer, Some(at(10)))
        .await
        .expect("set");

    assert_eq!(role(project).await, Some(AccessLevel::Maintainer));
    assert_eq!(
        store.role(project, ida, at(10)).await.expect("read"),
        Some(AccessLevel::Reporter),
        "the membership has expired"
    );

    store.set_member(top, ida, AccessLevel::Owner, None).await.expect("set");
    assert_eq!(
        (role(project).await, role(sub).await),
        (Some(AccessLevel::Owner), Some(AccessLevel::Owner))
    );

    store
        .set_member(top, ida, AccessLevel::Guest, None)
        .await
        .expect("changed");

    let uma = NewUser {
        username: "uma".to_owned(),
        name: "Uma".to_owned(),
        email: None,
        is_admin: false,
    };
    let uma = store.create_user(uma, NOON).await.expect("made").id;
    store
        .add_member(top, uma, AccessLevel::Developer, Some(at(50)))
        .await
        .expect("added");

    let all = async |now, page| {
        let list = store
            .list_all_members(project, now, MemberFilter::default(), page)
            .await
            .expect("listed");

        (
            list.rows
                .iter()
                .map(|m| (m.user.id, m.level, m.expires_at))
                .collect::<Vec<_>>(),
            list.total,
        )
    };

    let (ida_now, ida_later) = ((ida, AccessLevel::Maintainer, None), (ida, AccessLevel::Reporter, None));
    assert_eq!(
        all(NOON, ALL).await,
        (vec![ida_now, (uma, AccessLevel::Developer, Some(at(50)))], 2)
    );

    assert_eq!(
        all(at(50), ALL).await,
        (vec![ida_later], 1),
        "expired memberships do not count"
    );

    let behind = Page {
        start: Start::After(ida),
        limit: 9,
    };
    assert_eq!(all(NOON, behind).await.0, [(uma, AccessLevel::Developer, Some(at(50)))]);
    store.remove_member(top, uma).await.expect("removed");

    let members = store
        .list_members(top, MemberFilter::default(), ALL)
        .await
        .expect("listed");
    assert_eq!((members.total, members.rows[0].level), (1, AccessLevel::Guest));

    let visible = ScopeFilter {
        visible_to: Some((ida, NOON)),
        ..ScopeFilter::default()
    };
    let listed = store.list_projects(visible.clone(), ALL).await.expect("listed");
    assert_eq!((listed.total, listed.rows.len()), (1, 1), "through a group");
    assert_eq!(store.list_groups(visible.clone(), ALL).await.expect("listed").total, 2);

    let stranger = ScopeFilter {
        visible_to: Some((999, NOON)),
        ..ScopeFilter::default()
    };
    assert_eq!(store.list_groups(stranger.clone(), ALL).await.expect("listed").total, 0);
    assert_eq!(store.list_projects(stranger, ALL).await.expect("listed").total, 0);
    assert!(store.remove_member(sub, ida).await.expect("removed"));
    assert!(!store.remove_member(sub, ida).await.expect("looked"));
    assert_eq!(role(sub).await, Some(AccessLevel::Guest), "the inherited role remains");

    let nowhere = store
        .set_member(Scope::Project(ProjectId(999)), ida, AccessLevel::Guest, None)
        .await;
    assert!(matches!(nowhere, Err(Error::Missing("project"))));
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
