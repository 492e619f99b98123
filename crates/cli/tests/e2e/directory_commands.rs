//! The commands for projects, groups, users, members and tokens, and the profile.

use std::os::unix::fs::PermissionsExt;

use crate::commands::{output_of, succeed};
use crate::daily::{fail, json_of};
use crate::server::{Engine, Server, TOKEN};

fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();
    server
}

pub(crate) fn a_project_can_be_created_and_transferred(engine: Engine) {
    let server = start(&engine);
    succeed(&server, &["groups", "create", "--path", "soft", "--parent", "gear"]);
    succeed(&server, &["projects", "create", "--group", "gear", "--path", "knot"]);
    succeed(&server, &["projects", "transfer", "gear/knot", "--to", "gear/soft"]);

    let project = json_of(&server, &["projects", "show", "gear/soft/knot"]);
    assert_eq!(project, server.get("/api/v4/projects/gear%2Fsoft%2Fknot"));

    let list = succeed(&server, &["projects", "list", "--group", "gear/soft"]);
    assert!(list.contains("gear/soft/knot") && !list.contains("gear/rope"), "{list}");
}

pub(crate) fn a_group_can_be_changed_moved_and_deleted(engine: Engine) {
    let server = start(&engine);
    succeed(&server, &["groups", "create", "--path", "soft"]);
    succeed(
        &server,
        &["groups", "edit", "soft", "--set", "description=Ropes and slings"],
    );
    succeed(&server, &["groups", "transfer", "soft", "--to", "gear"]);

    let group = json_of(&server, &["groups", "show", "gear/soft"]);
    assert_eq!(group["description"], "Ropes and slings");

    succeed(&server, &["groups", "delete", "gear/soft"]);
    fail(&server, &["groups", "show", "gear/soft"], 4);
    fail(&server, &["groups", "edit", "gear"], 2);
}

pub(crate) fn a_user_can_be_created_blocked_and_deleted(engine: Engine) {
    let server = start(&engine);
    succeed(&server, &["users", "create", "ada", "--email", "ada@climb.example"]);
    succeed(&server, &["users", "block", "ada"]);
    assert_eq!(json_of(&server, &["users", "show", "ada"])["state"], "blocked");

    succeed(&server, &["users", "unblock", "ada"]);
    let list = succeed(&server, &["users", "list"]);
    assert!(list.contains("ada") && list.contains("active"), "{list}");

    succeed(&server, &["users", "delete", "ada"]);
    fail(&server, &["users", "show", "ada"], 4);
}

pub(crate) fn a_member_can_be_added_changed_and_removed(engine: Engine) {
    let server = start(&engine);
    succeed(&server, &["users", "create", "ada", "--email", "ada@climb.example"]);
    let run = |words: &[&str]| succeed(&server, &[&["members"], words, &["--group", "gear"]].concat());

    run(&["add", "ada", "--role", "developer"]);
    run(&["edit", "ada", "--role", "maintainer", "--expires", "2035-01-01"]);
    let list = run(&["list"]);
    assert!(list.contains("maintainer") && list.contains("2035-01-01"), "{list}");

    run(&["remove", "ada"]);
    fail(&server, &["members", "remove", "ada", "--group", "gear"], 4);
}

/// A token in a pipe could end in a log, so the token is not even created.
pub(crate) fn a_new_token_is_written_into_a_private_file(engine: Engine) {
    let server = start(&engine);
    let create = [
        "tokens",
        "create",
        "ci",
        "--scope",
        "read_api",
        "--project",
        "gear/rope",
    ];
    let error = fail(&server, &create, 2);
    assert!(error.contains("--output"), "{error}");
    assert!(json_of(&server, &["tokens", "list", "--project", "gear/rope"]) == serde_json::json!([]));

    let output = succeed(&server, &[&create[..], &["--output", "ci-token"]].concat());
    let file = server.folder.path().join("ci-token");
    let token = std::fs::read_to_string(&file).expect("a file");
    let mode = std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777;

    assert!(
        token.starts_with("qdprat-") && !output.contains(token.trim()),
        "{output}"
    );
    assert_eq!(mode, 0o600);
    succeed(&server, &["projects", "show", "gear/rope", "--token-file", "ci-token"]);
}

pub(crate) fn a_token_can_be_rotated_and_revoked(engine: Engine) {
    let server = start(&engine);
    let create = [
        "tokens", "create", "ci", "--scope", "read_api", "--user", "root", "--output", "old", "--json",
    ];
    let made = succeed(&server, &create);
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    assert!(made["token"].is_null(), "the file has the token: {made}");

    let id = made["id"].to_string();
    succeed(&server, &["tokens", "rotate", &id, "--output", "new"]);
    fail(&server, &["projects", "list", "--token-file", "old"], 3);

    succeed(&server, &["tokens", "revoke", "self", "--token-file", "new"]);
    fail(&server, &["projects", "list", "--token-file", "new"], 3);
}

/// Runs a command without a token in its environment.
fn without_token(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = server.command(arguments);
    command.env_remove("QUICKDRAW_TOKEN");
    let done = command.output().expect("it runs");
    (done.status.code(), output_of(&done))
}

pub(crate) fn a_login_is_saved_in_a_private_file(engine: Engine) {
    let server = start(&engine);
    std::fs::write(server.folder.path().join("given"), TOKEN).expect("a file");
    let url = format!("http://127.0.0.1:{}", server.port);

    let (code, output) = without_token(&server, &["login", "--server", &url, "--token-file", "given"]);
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("as root") && !output.contains(TOKEN), "{output}");

    let profile = server.folder.path().join("config/quickdraw/profile.json");
    let mode = std::fs::metadata(profile).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);

    let (code, output) = without_token(&server, &["projects", "list"]);
    assert_eq!(code, Some(0), "{output}");

    without_token(&server, &["logout"]);
    let (code, output) = without_token(&server, &["projects", "list", "--server", &url]);
    assert_eq!(code, Some(3), "{output}");
}

pub(crate) fn the_token_of_a_login_is_sent_to_its_server_only(engine: Engine) {
    let server = start(&engine);
    let other = Server::start(&engine, &[]);
    std::fs::write(server.folder.path().join("given"), TOKEN).expect("a file");
    let url = |server: &Server| format!("http://127.0.0.1:{}", server.port);

    without_token(&server, &["login", "--server", &url(&server), "--token-file", "given"]);
    let (code, output) = without_token(&server, &["projects", "list", "--server", &url(&other)]);
    assert_eq!(code, Some(3), "{output}");
    assert!(output.contains("no token"), "{output}");
}

pub(crate) fn a_wrong_token_is_not_saved(engine: Engine) {
    let server = start(&engine);
    std::fs::write(server.folder.path().join("given"), "qdpat-wrong-0123456789").expect("a file");
    fail(&server, &["login", "--token-file", "given"], 3);
    assert!(!server.folder.path().join("config").exists());
}
