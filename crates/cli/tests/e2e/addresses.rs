//! Addresses and users that depend on the machine: URLs of a server that listens everywhere, and the user of a push
//! without a login name.

use std::process::Command;

use serde_json::json;

use crate::commands::{administer, run, succeed};
use crate::git::{commit, git};
use crate::http::{eventually, send};
use crate::server::{Engine, Server, TOKEN};

/// Starts a server that listens on all addresses.
fn start_everywhere(engine: &Engine) -> Server {
    let mut server = Server::new(engine);
    server.set("QUICKDRAW_LISTEN", &format!("0.0.0.0:{}", server.port));
    server.set("QUICKDRAW_ROOT_TOKEN", TOKEN);
    server.set("QUICKDRAW_TOKEN", TOKEN);
    server.restart();

    server
}

pub(crate) fn printed_urls_can_be_called(engine: Engine) {
    let server = start_everywhere(&engine);
    let base = format!("http://127.0.0.1:{}", server.port);

    let source = server.create("/api/v1/sources", &json!({ "name": "x" }));
    let url = source["url"].as_str().expect("a URL");
    assert!(url.starts_with(&format!("{base}/")), "{url}");

    let health = send(server.port, "GET", "/api/v1/health", &[], b"");
    health.expect("an answer").check(200);
}

pub(crate) fn a_server_on_all_addresses_warns_and_prints_no_url_for_gitlab(engine: Engine) {
    let server = start_everywhere(&engine);
    let output = server.output();

    assert!(
        output.contains("warning: server.listen names all addresses"),
        "{output}"
    );

    assert!(output.contains("QUICKDRAW_EXTERNAL_URL"), "{output}");
    assert!(!output.contains("0.0.0.0"), "{output}");
    assert!(!output.contains("GitLab posts to"), "{output}");

    let made = succeed(&server, &["sources", "add", "--name", "x"]);
    assert!(made.contains("works on the machine of the server only"), "{made}");
}

pub(crate) fn config_check_and_doctor_warn_about_a_missing_external_url(engine: Engine) {
    let mut server = Server::new(&engine);
    server.set("QUICKDRAW_LISTEN", &format!("0.0.0.0:{}", server.port));

    for arguments in [&["config", "check"][..], &["doctor"]] {
        let (code, said) = run(&server, arguments);
        assert!(
            code == Some(0) && said.contains("server.external_url is not set"),
            "{said}"
        );
    }
}

/// Creates a repository with the git hook, and a clone of it with a commit. Returns the folder of the clone.
fn clone_with_a_commit(server: &Server) -> std::path::PathBuf {
    let folder = server.folder.path();
    let (bare, work) = (folder.join("rope.git"), folder.join("rope"));
    git(folder, &["init", "-q", "--bare", "rope.git"]);

    let bare = bare.to_str().expect("UTF-8");
    let installed = administer(server, &["git-hook", "install", bare, "--project", "gear/rope"]);
    assert!(installed.status.success(), "{installed:?}");
    git(folder, &["clone", "-q", "rope.git", "rope"]);
    git(&work, &["checkout", "-q", "-B", "main"]);
    commit(&work, "file", "text\n", "Add a file");

    work
}

pub(crate) fn a_push_without_a_login_name_has_the_user_of_the_process(engine: Engine) {
    let server = start_everywhere(&engine);
    server.make_project();

    let mut push = Command::new("git");
    push.args(["push", "-q", "origin", "main"])
        .current_dir(clone_with_a_commit(&server))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", server.folder.path())
        .env("USER", "");

    push.env_remove("REMOTE_USER").env_remove("LOGNAME");
    assert!(push.status().expect("git runs").success());

    let name = Command::new("id").arg("-un").output().expect("id runs");
    let name = String::from_utf8_lossy(&name.stdout).trim().to_owned();
    let id = || server.get("/api/v1/events?trigger=push_hooks")["items"][0]["id"].clone();
    eventually("the push is reported", || id().is_string());

    let id = id().as_str().expect("an id").to_owned();
    let event = server.get(&format!("/api/v1/events/{id}"));
    assert_eq!(event["payload"]["user_username"], json!(name), "{event}");
}
