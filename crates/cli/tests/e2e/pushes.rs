//! Pushes to repositories with the git hook, and the comparison of their events with git itself; pushes of many refs;
//! and the installation of the hook.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::git::{commit, git};
use crate::http::{Sink, eventually};
use crate::server::{BINARY, Engine, Server, TOKEN};

/// A server with hooks for pushes of a project and for repository updates of the instance, and repositories that report
/// to it.
pub(crate) struct Scene {
    pub(crate) server: Server,
    sink: Sink,
    seen: usize,
}

impl Scene {
    pub(crate) fn new(engine: &Engine) -> Self {
        let sink = Sink::start(|_| Some(200));
        let server = Server::start(engine, &[]);
        server.make_project();
        server.make_hook(&sink.url(), r#","tag_push_events":true"#);

        let system = json!({"url": sink.url(), "push_events": false, "repository_update_events": true});
        assert_eq!(server.call("POST", "/api/v4/hooks", &system.to_string()).status, 201);
        Self { server, sink, seen: 0 }
    }

    /// Creates a bare repository with a git command, and a clone of it with `main` checked out.
    pub(crate) fn repository(&self, name: &str, make: &[&str]) -> (PathBuf, PathBuf) {
        let folder = self.server.folder.path();
        git(folder, make);

        let (bare, work) = (folder.join(format!("{name}.git")), folder.join(name));
        let base = format!("http://127.0.0.1:{}", self.server.port);
        let repository = bare.to_str().expect("UTF-8");

        let installed = Command::new(BINARY)
            .args([
                "git-hook",
                "install",
                repository,
                "--project",
                "gear/rope",
                "--server",
                &base,
            ])
            .env("QUICKDRAW_TOKEN", TOKEN)
            .status()
            .expect("it runs");
        assert!(installed.success());
        git(&bare, &["config", "receive.advertisePushOptions", "true"]);
        git(folder, &["clone", "-q", &format!("file://{repository}"), name]);
        git(&work, &["checkout", "-q", "-B", "main"]);

        (bare, work)
    }

    /// Pushes, and returns the push events in any order, the event for system hooks, and the output of git.
    pub(crate) fn push(&mut self, work: &Path, arguments: &[&str], refs: usize) -> (Vec<Value>, Value, String) {
        let output = try_git(work, &[&["push", "origin"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");

        let new = || -> Vec<Value> {
            let bodies = self.sink.got().into_iter().skip(self.seen).map(|got| got.body);
            bodies
                .map(|body| serde_json::from_slice(&body).expect("JSON"))
                .collect()
        };
        eventually("all events are delivered", || new().len() > refs);

        let (updates, events): (Vec<Value>, Vec<Value>) = new()
            .into_iter()
            .partition(|body| body["event_name"] == "repository_update");
        assert_eq!((updates.len(), events.len()), (1, refs), "{events:?} {said}");
        self.seen += refs + 1;

        (events, updates[0].clone(), said)
    }
}

fn try_git(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", folder);

    command.output().expect("git runs")
}

pub(crate) fn asked(folder: &Path, arguments: &[&str]) -> String {
    let output = try_git(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Checks that a push event matches git's description of the same range.
pub(crate) fn check_push(work: &Path, event: &Value, range: &str) {
    let ids = asked(work, &["log", "--reverse", "--format=%H", range]);
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(event["total_commits_count"], json!(ids.len()), "{range}");

    let commits = event["commits"].as_array().expect("commits");
    let listed: Vec<&str> = commits
        .iter()
        .map(|commit| commit["id"].as_str().expect("an id"))
        .collect();

    let newest = ids.len().saturating_sub(20);
    assert_eq!(sorted(listed), sorted(ids[newest..].to_vec()), "{range}");

    for commit in commits {
        let id = commit["id"].as_str().expect("an id");
        let of = |format: &str| {
            asked(
                work,
                &["show", "-s", &format!("--format={format}"), "--encoding=UTF-8", id],
            )
        };

        assert_eq!(
            commit["message"].as_str().expect("a message").trim_end(),
            of("%B"),
            "{id}"
        );

        assert_eq!(commit["author"], json!({"name": of("%an"), "email": of("%ae")}), "{id}");

        let at = |text: &str| text.parse::<jiff::Timestamp>().expect("a time");
        assert_eq!(
            at(commit["timestamp"].as_str().expect("a time")),
            at(&of("%cI")),
            "{id}"
        );

        for (list, paths) in ["added", "modified", "removed"].into_iter().zip(paths(work, id)) {
            let found = commit[list]
                .as_array()
                .expect("paths")
                .iter()
                .map(|path| path.as_str().expect("a path").to_owned());
            assert_eq!(sorted(found.collect::<Vec<_>>()), sorted(paths), "{list} of {id}");
        }
    }
}

/// The paths that a commit added, modified and removed against its first parent. Bytes that are not UTF-8 become
/// U+FFFD.
fn paths(work: &Path, id: &str) -> [Vec<String>; 3] {
    let arguments = [
        "show",
        "-r",
        "-z",
        "-M",
        "-m",
        "--first-parent",
        "--format=",
        "--name-status",
        id,
    ];
    let shown = try_git(work, &arguments);
    assert!(shown.status.success());

    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let mut words = text.split_terminator('\0');
    let mut paths: [Vec<String>; 3] = Default::default();

    while let (Some(status), Some(path)) = (words.next(), words.next()) {
        let (list, path) = match status.trim().as_bytes()[0] {
            b'A' => (0, path),
            b'D' => (2, path),
            b'R' => (0, words.next().expect("the new name")),
            _ => (1, path),
        };

        paths[list].push(path.to_owned());
    }

    paths
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

/// The names of the refs of events, sorted.
fn refs(events: &[Value]) -> Vec<&str> {
    let names = events.iter().map(|event| event["ref"].as_str().expect("a ref"));
    sorted(names.collect())
}

/// The number of refs in a repository update.
fn changes(update: &Value) -> usize {
    update["changes"].as_array().map_or(0, Vec::len)
}

/// A scene with a repository that has three branches, which were not pushed yet. Returns the bare repository and its
/// clone too.
fn with_branches(engine: &Engine) -> (Scene, PathBuf, PathBuf) {
    let scene = Scene::new(engine);
    let (bare, work) = scene.repository("rope", &["init", "-q", "--bare", "rope.git"]);
    commit(&work, "base", "text\n", "Begin");
    git(&work, &["branch", "one"]);
    git(&work, &["branch", "two"]);

    (scene, bare, work)
}

/// The same, after the branches were pushed.
fn with_pushed_branches(engine: &Engine) -> (Scene, PathBuf, PathBuf) {
    let (mut scene, bare, work) = with_branches(engine);
    let (events, update, _) = scene.push(&work, &["main", "one", "two"], 3);
    assert!(events.iter().all(|event| event["object_kind"] == "push"), "{events:?}");
    assert_eq!(changes(&update), 3);

    (scene, bare, work)
}

/// Each kind and each change is counted separately.
pub(crate) fn more_than_three_refs_of_a_kind_are_only_in_the_repository_update(engine: Engine) {
    let (mut scene, _, work) = with_pushed_branches(&engine);
    for tag in ["v1", "v2", "v3", "v4"] {
        git(&work, &["tag", tag]);
    }

    commit(&work, "next", "text\n", "Go on");
    git(&work, &["update-ref", "refs/notes/x", "main"]);

    let pushed = ["main", "v1", "v2", "v3", "v4", ":one", "refs/notes/x"];
    let (events, update, said) = scene.push(&work, &pushed, 2);
    assert_eq!(refs(&events), ["refs/heads/main", "refs/heads/one"]);
    assert!(said.contains("this push created more than 3 tags"), "{said}");
    assert_eq!(changes(&update), 6, "{update}");
}

/// Only the lock file stays in the spool.
fn check_nothing_is_spooled(bare: &Path) {
    let waiting = std::fs::read_dir(bare.join("quickdraw-spool")).expect("a folder");
    assert_eq!(waiting.count(), 1);
}

pub(crate) fn a_repository_update_is_sent_only_if_a_system_hook_wants_it(engine: Engine) {
    let (scene, bare, work) = with_pushed_branches(&engine);
    let server = &scene.server;
    let hooks = server.get("/api/v4/hooks");
    let path = format!("/api/v4/hooks/{}", hooks[0]["id"]);

    server.call("DELETE", &path, "").check(204);

    let count = || {
        let events = server.get("/api/v1/events?limit=100");
        events["items"].as_array().map(Vec::len).expect("a list")
    };
    let before = count();
    git(&work, &["push", "-q", "origin", "--delete", "two"]);
    assert_eq!(count(), before + 1);
    check_nothing_is_spooled(&bare);
}

/// Installs the git hook for a server that does not listen. Returns the success and the errors.
fn install(scene: &Scene, repository: &str) -> (bool, String) {
    let output = Command::new(BINARY)
        .args(["git-hook", "install", repository, "--project", "gear/rope"])
        .current_dir(scene.server.folder.path())
        .env("QUICKDRAW_URL", "http://127.0.0.1:1")
        .env("QUICKDRAW_TOKEN", TOKEN)
        .output()
        .expect("it runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();

    (output.status.success(), errors)
}

/// The permissions of a file.
fn mode(file: &Path) -> u32 {
    let found = std::fs::metadata(file).expect("it exists");
    found.permissions().mode() & 0o777
}

pub(crate) fn the_git_hook_is_installed_only_where_it_runs(engine: Engine) {
    let scene = Scene::new(&engine);
    let folder = scene.server.folder.path();
    let elsewhere = folder.join("elsewhere.git");
    git(folder, &["init", "-q", "--bare", "elsewhere.git"]);
    git(&elsewhere, &["config", "core.hooksPath", "/etc/hooks"]);

    let tables = ["init", "-q", "--bare", "--ref-format=reftable", "tables.git"];
    git(folder, &tables);

    for (repository, why) in [("elsewhere.git", "core.hooksPath"), ("tables.git", "reftable")] {
        let (done, said) = install(&scene, repository);
        assert!(!done && said.contains(why), "{repository}: {said}");
    }
}

pub(crate) fn the_group_of_a_shared_repository_can_use_the_files_of_the_hook(engine: Engine) {
    let mut scene = Scene::new(&engine);
    let (bare, work) = scene.repository("ours", &["init", "-q", "--bare", "--shared=group", "ours.git"]);
    assert_eq!(mode(&bare.join("quickdraw.json")), 0o660);

    commit(&work, "base", "text\n", "Begin");
    scene.push(&work, &["main"], 1);
    assert_eq!(mode(&bare.join("quickdraw-spool")), 0o770);
    assert_eq!(mode(&bare.join("quickdraw-spool/lock")) & 0o600, 0o600);
}

pub(crate) fn an_installation_keeps_its_token_private(engine: Engine) {
    let scene = Scene::new(&engine);
    let (bare, _) = scene.repository("mine", &["init", "-q", "--bare", "mine.git"]);
    assert_eq!(mode(&bare.join("quickdraw.json")), 0o600, "the file contains a token");
}

pub(crate) fn an_installation_needs_a_server_that_knows_its_token(engine: Engine) {
    let scene = Scene::new(&engine);
    scene.repository("mine", &["init", "-q", "--bare", "mine.git"]);

    let (done, said) = install(&scene, "mine.git");
    assert!(!done && said.contains("could not connect"), "{said}");
}
