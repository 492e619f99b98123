//! Checks of the filters of lists of users, members and tokens.

use quickdraw_domain::access::{AccessLevel, TokenScope};
use quickdraw_domain::scope::Scope;
use quickdraw_store::access::{Between, Holder, MemberFilter, NewToken, NewUser, TokenFilter, Tokens, UserFilter};
use quickdraw_store::lists::{Page, Start};

use crate::fixture::{ALL, Fixture, NOON, at, group};

const NONE: [i64; 0] = [];

pub(crate) async fn users_members_and_tokens_are_filtered(fixture: Fixture) {
    let store = &fixture.store;
    let new = |username: &str, email: Option<&str>, is_admin| NewUser {
        username: username.to_owned(),
        name: format!("The {username}"),
        email: email.map(str::to_owned),
        is_admin,
    };

    let ida = store
        .create_user(new("ida", Some("Ida@climb.example"), false), at(10))
        .await
        .expect("made")
        .id;

    let uma = store
        .create_user(new("uma", None, true), at(20))
        .await
        .expect("made")
        .id;

    let top = Scope::Group(store.create_group(group(None, "top"), NOON).await.expect("made").id);
    let token = |digest, holder, name: &str| NewToken {
        digest: [digest; 32],
        holder,
        name: name.to_owned(),
        scopes: vec![TokenScope::Api],
        expires_at: Some(at(1000)),
    };

    let bot = Holder::Bot {
        scope: top,
        level: AccessLevel::Guest,
        username: "bot".to_owned(),
    };

    let bot = store
        .create_token(token(1, bot, "ci"), at(30))
        .await
        .expect("made")
        .user_id;

    let users = async |filter: UserFilter| {
        let found = store.list_users(filter, ALL).await.expect("listed");
        assert_eq!(found.total, i64::try_from(found.rows.len()).expect("few"));
        found.rows.iter().map(|user| user.id).collect::<Vec<_>>()
    };

    let all = UserFilter::default;
    assert_eq!(users(UserFilter { admins: true, ..all() }).await, [1, uma]);
    assert_eq!(users(UserFilter { humans: true, ..all() }).await, [1, ida, uma]);
    assert_eq!(users(UserFilter { bots: true, ..all() }).await, [bot]);
    assert_eq!(users(UserFilter { active: true, ..all() }).await, [1, ida, uma, bot]);
    assert_eq!(users(UserFilter { blocked: true, ..all() }).await, NONE);

    let created = Between {
        after: Some(at(10)),
        before: Some(at(20)),
    };
    assert_eq!(users(UserFilter { created, ..all() }).await, [ida, uma]);

    let search = |text: &str, by_email| UserFilter {
        search: Some(text.to_owned()),
        by_email,
        ..all()
    };
    assert_eq!(users(search("ida@CLIMB.example", true)).await, [ida]);

    assert_eq!(
        users(search("ida@climb.example", false)).await,
        NONE,
        "addresses are searched only on request"
    );

    assert_eq!(
        users(search("@climb.example", true)).await,
        NONE,
        "only whole addresses are found"
    );

    assert_eq!(
        users(UserFilter {
            username: Some("UMA".to_owned()),
            ..search("the", false)
        })
        .await,
        [uma]
    );

    store
        .add_member(top, ida, AccessLevel::Owner, None)
        .await
        .expect("added");

    store
        .add_member(top, uma, AccessLevel::Guest, None)
        .await
        .expect("added");

    let members = async |filter: MemberFilter| {
        let direct = store.list_members(top, filter.clone(), ALL).await.expect("listed");
        let every = store.list_all_members(top, NOON, filter, ALL).await.expect("listed");
        let ids = |rows: &[quickdraw_store::access::Member]| rows.iter().map(|one| one.user.id).collect::<Vec<_>>();
        assert_eq!((ids(&direct.rows), direct.total), (ids(&every.rows), every.total));

        ids(&direct.rows)
    };

    let any = MemberFilter::default;
    assert_eq!(members(any()).await, [ida, uma, bot]);

    assert_eq!(
        members(MemberFilter {
            users: Some(vec![uma, 999]),
            ..any()
        })
        .await,
        [uma]
    );

    assert_eq!(
        members(MemberFilter {
            users: Some(Vec::new()),
            ..any()
        })
        .await,
        NONE
    );

    assert_eq!(
        members(MemberFilter {
            without: vec![uma],
            ..any()
        })
        .await,
        [ida, bot]
    );

    assert_eq!(
        members(MemberFilter {
            search: Some("THE I".to_owned()),
            ..any()
        })
        .await,
        [ida]
    );

    let by_email = |by_email| MemberFilter {
        search: Some("climb.ex".to_owned()),
        by_email,
        ..any()
    };
    assert_eq!(
        (members(by_email(true)).await, members(by_email(false)).await),
        (vec![ida], vec![])
    );

    assert_eq!(
        members(MemberFilter {
            search: Some("_m_".to_owned()),
            ..any()
        })
        .await,
        NONE,
        "the search is for text and not for a pattern"
    );

    let first = store
        .create_token(token(2, Holder::User(ida), "50% done"), at(40))
        .await
        .expect("made")
        .id;

    let second = store
        .create_token(token(3, Holder::User(ida), "deploy"), at(50))
        .await
        .expect("made")
        .id;

    assert!(store.revoke_token(first).await.expect("written"));

    let tokens = async |filter: TokenFilter| {
        let found = store.list_tokens(Tokens::Of(ida), filter, ALL).await.expect("listed");
        assert_eq!(found.total, i64::try_from(found.rows.len()).expect("few"));
        found.rows.iter().map(|token| token.id).collect::<Vec<_>>()
    };

    let every = TokenFilter::default;
    assert_eq!(
        tokens(TokenFilter {
            revoked: Some(true),
            ..every()
        })
        .await,
        [first]
    );

    assert_eq!(
        tokens(TokenFilter {
            revoked: Some(false),
            ..every()
        })
        .await,
        [second]
    );

    assert_eq!(
        tokens(TokenFilter {
            search: Some("50%".to_owned()),
            ..every()
        })
        .await,
        [first]
    );

    let after = |seconds| Between {
        after: Some(at(seconds)),
        before: None,
    };

    assert_eq!(
        tokens(TokenFilter {
            created: after(45),
            ..every()
        })
        .await,
        [second]
    );

    assert_eq!(
        tokens(TokenFilter {
            expires: after(2000),
            ..every()
        })
        .await,
        NONE
    );

    assert_eq!(
        tokens(TokenFilter {
            last_used: after(0),
            ..every()
        })
        .await,
        NONE,
        "the tokens were never used"
    );

    let down = Page {
        start: Start::OffsetDown(0),
        limit: 1,
    };

    let newest = store
        .list_tokens(Tokens::Of(ida), every(), down)
        .await
        .expect("listed")
        .rows;
    assert_eq!(newest[0].id, second);
}
