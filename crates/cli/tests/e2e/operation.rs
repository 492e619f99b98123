//! Operation: failed starts, missing files, and checks without changes.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::commands::run;
use crate::gitlab::DEFAULT;
use crate::http::{eventually, send};
use crate::server::{Engine, Server};

/// Every file below a folder, with its length and modification time.
fn files(folder: &Path) -> Vec<(String, u64, std::time::SystemTime)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];

    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("listed") {
            let entry = entry.expect("an entry");
            let about = entry.metadata().expect("it exists");

            if about.is_dir() {
                folders.push(entry.path());
            } else {
                let modified = about.modified().expect("a time");
                found.push((entry.path().display().to_string(), about.len(), modified));
            }
        }
    }

    found.sort();
    found
}

/// Number of tables in the server's schema on PostgreSQL; 0 on SQLite.
fn tables(engine: &Engine, server: &Server) -> usize {
    let Engine::Postgres(url) = engine else { return 0 };
    let sql = format!(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = '{}'",
        server.schema
    );
    let counted = Command::new("psql")
        .args([url, "-Atqc", &sql])
        .output()
        .expect("psql runs");
    String::from_utf8_lossy(&counted.stdout)
        .trim()
        .parse()
        .expect("a number")
}

/// The number of tables and the files of a server.
fn state(engine: &Engine, server: &Server) -> (usize, Vec<(String, u64, std::time::SystemTime)>) {
    (tables(engine, server), files(server.folder.path()))
}

pub(crate) fn doctor_and_config_check_create_nothing(engine: Engine) {
    let server = Server::new(&engine);
    for arguments in [&["doctor"][..], &["config", "check"]] {
        let (code, said) = run(&server, arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }

    assert_eq!(state(&engine, &server), (0, Vec::new()));
}

pub(crate) fn doctor_does_not_change_the_files_of_a_crash(engine: Engine) {
    let mut server = Server::new(&engine);
    server.restart();
    server.kill();

    let before = state(&engine, &server);
    let (code, said) = run(&server, &["doctor"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("it opens the sealed values"), "{said}");
    assert!(said.contains("schema"), "{said}");

    assert_eq!(state(&engine, &server), before);
    server.restart();
}

pub(crate) fn config_check_and_doctor_refuse_what_serve_refuses(engine: Engine) {
    let mut server = Server::new(&engine);
    server.set("QUICKDRAW_LISTEN", "nonsense");
    server.set("QUICKDRAW_DATABASE_URL", "mysql://x");
    server.set("QUICKDRAW__DELIVERY__LEASE", "5s");

    for arguments in [&["serve"][..], &["doctor"], &["config", "check"]] {
        let (code, said) = run(&server, arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {said}");

        for part in ["server.listen", "database.url", "delivery.lease"] {
            assert!(said.contains(part), "{arguments:?}, {part}: {said}");
        }
    }

    assert!(files(server.folder.path()).is_empty(), "no file was created");
}

fn data(server: &Server) -> PathBuf {
    server.folder.path().join("quickdraw-data")
}

/// The text of a file that a start creates.
fn kept(server: &Server, name: &str) -> String {
    let text = std::fs::read_to_string(data(server).join(name));
    text.expect("it exists").trim().to_owned()
}

/// Starts a server that generates its secrets.
fn start_without_secrets(engine: &Engine) -> Server {
    let mut server = Server::new(engine);
    server.restart();

    server
}

#[track_caller]
fn stop(server: &mut Server) {
    assert_eq!(server.terminate(), Some(0), "{}", server.output());
}

pub(crate) fn a_start_logs_the_files_of_secrets_and_no_secret(engine: Engine) {
    let server = start_without_secrets(&engine);
    let output = server.output();

    for name in ["root-token", "webhook-secret"] {
        assert!(!output.contains(&kept(&server, name)), "{output}");
        assert!(output.contains(name), "the file is named: {output}");

        let about = std::fs::metadata(data(&server).join(name)).expect("it exists");
        assert_eq!(about.permissions().mode() & 0o077, 0, "{name}");
    }
}

pub(crate) fn the_store_keeps_the_generated_secret_for_all_nodes(engine: Engine) {
    let mut server = start_without_secrets(&engine);
    let secret = kept(&server, "webhook-secret");
    stop(&mut server);

    std::fs::remove_file(data(&server).join("webhook-secret")).expect("it existed");
    server.restart();
    assert_eq!(kept(&server, "webhook-secret"), secret);
    stop(&mut server);
}

pub(crate) fn nodes_with_folders_of_their_own_accept_the_same_secret(engine: Engine) {
    if !matches!(engine, Engine::Postgres(_)) {
        // SQLite has one node.
        return;
    }

    let first = start_without_secrets(&engine);
    let mut second = first.other_node(&engine);
    second.restart();

    let secret = kept(&first, "webhook-secret");
    assert_eq!(kept(&second, "webhook-secret"), secret);
    for port in [first.port, second.port] {
        let headers = [("X-Gitlab-Token", &*secret)];
        let reply = send(port, "POST", DEFAULT, &headers, br#"{"object_kind":"push"}"#);
        reply.expect("an answer").check(200);
    }
}

/// Shows the default source with its secret.
fn show_secret(server: &Server) -> String {
    let url = format!("http://127.0.0.1:{}", server.port);
    let (code, output) = run(server, &["sources", "show", "default", "--secret", "--server", &url]);
    assert_eq!(code, Some(0), "{output}");

    output
}

pub(crate) fn the_generated_secret_is_shown_to_administrators(engine: Engine) {
    let server = start_without_secrets(&engine);
    let shown = show_secret(&server);
    assert!(shown.contains(&kept(&server, "webhook-secret")), "{shown}");
    assert!(shown.contains("all nodes"), "{shown}");
}

pub(crate) fn a_setting_determines_the_secret_that_is_shown(engine: Engine) {
    let mut server = Server::new(&engine);
    server.set("GITLAB_WEBHOOK_SECRET", "secret-of-the-setting");
    server.restart();

    let shown = show_secret(&server);
    assert!(
        shown.contains("secret-of-the-setting") && shown.contains("source.secret"),
        "{shown}"
    );
}

pub(crate) fn a_start_without_the_key_of_the_database_creates_no_other_key(engine: Engine) {
    let mut server = start_without_secrets(&engine);
    stop(&mut server);

    if matches!(engine, Engine::Postgres(_)) {
        // On PostgreSQL, the key is a setting.
        return;
    }

    let (key, moved) = (data(&server).join("key"), server.folder.path().join("copy-of-the-key"));
    std::fs::rename(&key, &moved).expect("moved");

    for command in ["serve", "doctor", "migrate"] {
        let (code, said) = run(&server, &[command]);
        assert_eq!(code, Some(1), "{command}: {said}");
        assert!(said.contains("restore its copy"), "{command}: {said}");
        assert!(!key.exists(), "{command} generated a key that opens nothing");
    }

    std::fs::rename(&moved, &key).expect("moved");
    server.restart();
    stop(&mut server);
}

pub(crate) fn a_start_that_cannot_create_the_database_leaves_no_key(engine: Engine) {
    let mut server = Server::new(&engine);
    server.set("QUICKDRAW_DATABASE_URL", "sqlite:no-such-folder/quickdraw.db");

    let (code, said) = run(&server, &["serve"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(!data(&server).join("key").exists(), "{said}");
}

fn wait_for_the_commit(server: &Server) {
    eventually("the commit is counted", || {
        server.get("/api/v1/insights/commits")["commits"] == 1
    });
}

/// Starts a server, lets it count a commit, and stops it.
fn stopped_with_a_commit(engine: &Engine) -> Server {
    let mut server = Server::start(engine, &[]);
    let author = json!({ "name": "Ida", "email": "ida@climb.example" });
    let push = json!({ "object_kind": "push", "ref": "refs/heads/main", "after": "a".repeat(40),
        "commits": [{ "id": "a".repeat(40), "message": "m", "author": author }] });
    server.receive("Push Hook", "first", &push);
    wait_for_the_commit(&server);
    stop(&mut server);

    server
}

pub(crate) fn a_missing_insights_file_is_reported_and_filled_from_the_journal(engine: Engine) {
    let mut server = stopped_with_a_commit(&engine);
    if matches!(engine, Engine::Postgres(_)) {
        // On PostgreSQL, insights are in the same database.
        return;
    }

    std::fs::remove_file(data(&server).join("quickdraw.db-insights")).expect("it existed");

    let (code, said) = run(&server, &["doctor"]);
    assert!(code == Some(1) && said.contains("file of insights"), "{said}");

    server.restart();

    let (output, words) = (server.output(), "the file of insights beside the database is missing");
    assert!(output.contains(words), "{output}");
    wait_for_the_commit(&server);
    stop(&mut server);
}

/// The numbers of insights could belong to other projects.
pub(crate) fn insights_without_their_database_are_refused(engine: Engine) {
    let server = stopped_with_a_commit(&engine);
    if matches!(engine, Engine::Postgres(_)) {
        return;
    }

    let database = data(&server).join("quickdraw.db");
    std::fs::rename(&database, data(&server).join("elsewhere.db")).expect("moved");

    let (code, said) = run(&server, &["serve"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("does not: restore the copy of"), "{said}");
}
