//! The token that an installed git hook stores: it can only report events.

use serde_json::{Value, json};

use crate::access::People;
use crate::answers::check_shows;
use crate::commands::{output_of, run, text_of};
use crate::git::git;
use crate::server::{Engine, Server, TOKEN};

/// A server with a project, and a bare repository in its folder.
fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();
    git(server.folder.path(), &["init", "-q", "--bare", "rope.git"]);

    server
}

/// Installs the hook with a token, and returns the exit code and the output.
fn install(server: &Server, token: &str) -> (Option<i32>, String) {
    let url = format!("http://127.0.0.1:{}", server.port);
    let arguments = [
        "git-hook",
        "install",
        "rope.git",
        "--project",
        "gear/rope",
        "--server",
        &url,
        "--json",
    ];
    let mut command = server.command(&arguments);
    let done = command.env("QUICKDRAW_TOKEN", token).output().expect("it runs");

    (done.status.code(), output_of(&done))
}

/// Installs the hook with the token of the administrator, and returns the JSON document.
fn install_as_root(server: &Server) -> Value {
    let (code, output) = install(server, TOKEN);
    assert_eq!(code, Some(0), "{output}");
    serde_json::from_str(&output).expect("JSON")
}

/// The token that the hook stores.
fn stored(server: &Server) -> String {
    let settings: Value = serde_json::from_str(&text_of(server, "rope.git/quickdraw.json")).expect("JSON");
    settings["token"].as_str().expect("a token").to_owned()
}

pub(crate) fn an_installation_by_an_administrator_stores_a_report_token(engine: Engine) {
    let server = start(&engine);
    let shown = install_as_root(&server);

    check_shows(
        &shown,
        &json!({ "project": "gear/rope", "token_origin": "created", "problem": null,
            "token": { "scopes": ["report"], "token": null } }),
    );

    let token = stored(&server);
    assert!(token.starts_with("qdprat-"), "a token of the project");
    server.call_as(&token, "GET", "/api/v4/projects/1", "").check(403);

    let report = json!({ "trigger": "push_hooks", "payload": { "object_kind": "push" } });
    let reported = server.call_as(&token, "POST", "/api/v1/projects/1/events", &report.to_string());
    reported.check(202);
}

pub(crate) fn a_second_installation_keeps_the_token(engine: Engine) {
    let server = start(&engine);
    install_as_root(&server);

    let first = stored(&server);

    let shown = install_as_root(&server);
    assert_eq!(shown["token_origin"], "kept");
    assert_eq!(stored(&server), first);
}

pub(crate) fn a_given_report_token_is_stored_as_it_is(engine: Engine) {
    let server = start(&engine);
    let made = server.create(
        "/api/v4/projects/1/access_tokens",
        &json!({ "name": "git", "scopes": ["report"] }),
    );
    let token = made["token"].as_str().expect("shown once");

    let (code, output) = install(&server, token);
    assert_eq!(code, Some(0), "{output}");
    assert_eq!(stored(&server), token);
}

pub(crate) fn a_token_that_may_not_create_the_report_token_is_explained(engine: Engine) {
    let server = start(&engine);
    let people = People { server: &server };
    let (user, token) = people.make("jo", "api");

    people.add("projects/1", user, 30);

    let (code, output) = install(&server, &token);
    assert_eq!(code, Some(3), "{output}");

    assert!(
        output.contains("quickdraw tokens create git --scope report --project gear/rope"),
        "{output}"
    );

    assert!(!server.folder.path().join("rope.git/quickdraw.json").exists());
}

pub(crate) fn uninstalling_revokes_the_token_that_was_created(engine: Engine) {
    let server = start(&engine);
    install_as_root(&server);

    let token = stored(&server);

    let (code, output) = run(&server, &["git-hook", "uninstall", "rope.git"]);
    assert_eq!(code, Some(0), "{output}");

    let own = "/api/v4/personal_access_tokens/self";
    server.call_as(&token, "GET", own, "").check(401);
}
