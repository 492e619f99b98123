//! Signing in at an OpenID Connect provider.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::http::Reply;
use crate::oidc_provider::{CODE, Provider};
use crate::server::{Engine, Server};
use crate::visitor::Visitor;

/// A provider, and a server whose people sign in there.
struct Scene {
    provider: Provider,
    server: Server,
}

/// A sign-in that began.
struct Begun {
    cookie: String,
    state: String,
}

impl Scene {
    fn start(engine: &Engine, settings: &[(&str, &str)]) -> Self {
        let provider = Provider::start();
        let issuer = provider.issuer.clone();

        let mut all = vec![
            ("QUICKDRAW__OIDC__ISSUER", issuer.as_str()),
            ("QUICKDRAW__OIDC__CLIENT_ID", "quickdraw"),
            ("QUICKDRAW__OIDC__CLIENT_SECRET", "oidc-secret-canary"),
            ("QUICKDRAW__OIDC__NAME", "Example ID"),
        ];
        all.extend(settings);

        let server = Server::start(engine, &all);
        Self { provider, server }
    }

    /// Goes to the provider, which remembers the nonce.
    fn begin(&self) -> Begun {
        let reply = Visitor::stranger(&self.server)
            .open("/-/sign_in/oidc?return_to=%2F-%2Fprofile")
            .checked(303);
        let location = reply.header_as_sent("location").expect("an address");
        let address = url::Url::parse(&location).expect("an address");
        let query: HashMap<String, String> = address.query_pairs().into_owned().collect();

        assert_eq!(query["response_type"], "code");
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(query["redirect_uri"].ends_with("/-/sign_in/oidc/callback"));

        let cookie = reply.header_as_sent("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        self.provider.set(|script| script.nonce.clone_from(&query["nonce"]));

        Begun {
            cookie,
            state: query["state"].clone(),
        }
    }

    fn come_back(&self, begun: &Begun, code: &str, state: &str) -> Reply {
        let path = format!("/-/sign_in/oidc/callback?code={code}&state={state}");
        let headers = [("Cookie", begun.cookie.as_str())];
        crate::http::send(self.server.port, "GET", &path, &headers, b"").expect("an answer")
    }

    /// Signs in with these claims.
    fn sign_in(&self, claims: Value, user_info: Value) -> Reply {
        self.provider.set(|script| {
            script.claims = claims;
            script.user_info = user_info;
        });

        let begun = self.begin();
        self.come_back(&begun, CODE, &begun.state)
    }

    fn user(&self, username: &str) -> Value {
        self.server.get(&format!("/api/v4/users?username={username}"))[0].clone()
    }
}

fn ida() -> Value {
    json!({ "preferred_username": "ida", "name": "Ida", "email": "ida@climb.example", "email_verified": true })
}

pub(crate) fn the_first_sign_in_creates_a_user_and_the_second_finds_it(engine: Engine) {
    let scene = Scene::start(&engine, &[]);
    let page = Visitor::stranger(&scene.server).page("/-/sign_in");
    assert!(page.contains("Sign in with Example ID"), "{page}");

    let reply = scene.sign_in(json!({}), ida()).checked(303);
    assert_eq!(reply.header("location"), Some("/-/profile"));

    let page = Visitor::with_cookie_of(&scene.server, &reply).page("/-/profile");
    assert!(page.contains("ida@climb.example"), "{page}");

    // The provider may rename an account. Its subject stays.
    scene
        .sign_in(json!({ "preferred_username": "renamed" }), json!({}))
        .checked(303);
    assert_eq!(scene.user("renamed"), Value::Null);
    assert_eq!(scene.user("ida")["name"], "Ida");
}

pub(crate) fn a_sign_in_needs_its_own_state_and_cookie(engine: Engine) {
    let scene = Scene::start(&engine, &[]);
    let (one, other) = (scene.begin(), scene.begin());
    scene
        .come_back(&one, CODE, &other.state)
        .check_refusal(400, "begin again");

    let without = Begun {
        cookie: String::new(),
        state: one.state.clone(),
    };
    scene
        .come_back(&without, CODE, &one.state)
        .check_refusal(400, "begin again");
    assert!(scene.provider.token_requests().is_empty(), "no code was exchanged");
}

pub(crate) fn a_token_that_cannot_be_trusted_is_refused(engine: Engine) {
    let scene = Scene::start(&engine, &[]);
    for claims in [
        json!({ "nonce": "another" }),
        json!({ "aud": "another" }),
        json!({ "iss": "https://evil.example" }),
        json!({ "exp": 1_000_000_000 }),
    ] {
        let refused = scene.sign_in(claims, ida());
        refused.check_refusal(403, "cannot be trusted");
        assert!(refused.header("set-cookie").is_none());
    }

    // The user info must be about the same account.
    scene
        .sign_in(json!({}), json!({ "sub": "s2" }))
        .check_refusal(403, "cannot be trusted");

    scene.provider.set(|script| script.is_forged = true);
    scene.sign_in(json!({}), ida()).check_refusal(403, "cannot be trusted");
    assert_eq!(scene.user("ida"), Value::Null);
}

pub(crate) fn a_wrong_code_is_refused(engine: Engine) {
    let scene = Scene::start(&engine, &[]);
    let begun = scene.begin();
    scene
        .come_back(&begun, "wrong", &begun.state)
        .check_refusal(403, "cannot be trusted");
    assert!(!scene.server.output().contains("oidc-secret-canary"));
}

pub(crate) fn groups_decide_about_the_role(engine: Engine) {
    let scene = Scene::start(&engine, &[("QUICKDRAW__OIDC__ADMIN_GROUPS", r#"["owners"]"#)]);
    for (groups, is_admin) in [(json!(["owners"]), true), (json!(["climbers"]), false)] {
        let mut claims = ida();
        claims["groups"] = groups;
        scene.sign_in(claims, json!({})).checked(303);
        assert_eq!(scene.user("ida")["is_admin"], is_admin);
    }
}

pub(crate) fn only_allowed_groups_sign_in(engine: Engine) {
    let scene = Scene::start(&engine, &[("QUICKDRAW__OIDC__ALLOWED_GROUPS", r#"["climbers"]"#)]);
    scene.sign_in(json!({}), ida()).check_refusal(403, "none of the groups");
    scene.sign_in(json!({ "groups": ["climbers"] }), ida()).checked(303);
}

pub(crate) fn a_user_with_the_same_address_is_linked_only_if_the_settings_allow_it(engine: Engine) {
    let user = json!({ "username": "uma", "name": "Uma", "email": "ida@climb.example" });
    for (allowed, expected) in [("false", "ida"), ("true", "uma")] {
        let scene = Scene::start(&engine, &[("QUICKDRAW__OIDC__LINK_BY_EMAIL", allowed)]);
        scene.server.create("/api/v4/users", &user);

        let reply = scene.sign_in(json!({}), ida()).checked(303);
        let page = Visitor::with_cookie_of(&scene.server, &reply).page("/");
        assert!(
            page.contains(&format!("Signed in as <strong>{expected}</strong>")),
            "{page}"
        );
    }
}

pub(crate) fn an_address_that_is_not_verified_links_nobody(engine: Engine) {
    let scene = Scene::start(&engine, &[("QUICKDRAW__OIDC__LINK_BY_EMAIL", "true")]);
    let user = json!({ "username": "uma", "name": "Uma", "email": "ida@climb.example" });
    scene.server.create("/api/v4/users", &user);

    let mut claims = ida();
    claims["email_verified"] = json!(false);

    let reply = scene.sign_in(claims, json!({})).checked(303);
    let page = Visitor::with_cookie_of(&scene.server, &reply).page("/");
    assert!(page.contains("Signed in as <strong>ida</strong>"), "{page}");
}

pub(crate) fn a_blocked_user_is_refused_at_the_provider_too(engine: Engine) {
    let scene = Scene::start(&engine, &[]);
    scene.sign_in(json!({}), ida()).checked(303);

    let id = &scene.user("ida")["id"];
    scene
        .server
        .call("POST", &format!("/api/v4/users/{id}/block"), "")
        .checked(201);

    scene
        .sign_in(json!({}), ida())
        .check_refusal(403, "Your account is blocked");
}

pub(crate) fn without_a_provider_there_is_no_button(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let stranger = Visitor::stranger(&server);
    assert!(!stranger.page("/-/sign_in").contains("Sign in with Example"));
    stranger.open("/-/sign_in/oidc").checked(404);
    stranger.open("/-/sign_in/oidc/callback?code=x&state=y").checked(404);
}
