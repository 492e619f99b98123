//! The git hook in unusual repositories: merges of many parents, SHA-256, shallow history, other encodings; and pushes
//! of many refs. The expected values come from git itself.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::git::{commit, git};
use crate::http::{Sink, eventually};
use crate::server::{BINARY, Engine, Server, TOKEN};

/// A server with hooks for pushes of a project and for repository updates of the instance, and repositories that report
/// to it.
struct Scene {
    server: Server,
    sink: Sink,
    seen: usize,
}

impl Scene {
    fn new(engine: &Engine) -> Self {
        let sink = Sink::start(|_| Some(200));
        let server = Server::start(engine, &[]);
        server.make_project();
        server.make_hook(&sink.url(), r#","tag_push_events":true"#);

        let system = json!({"url": sink.url(), "push_events": false, "repository_update_events": true});
        assert_eq!(server.call("POST", "/api/v4/hooks", &system.to_string()).status, 201);
        Self { server, sink, seen: 0 }
    }

    /// Creates a bare repository with a git command, and a clone of it with `main` checked out.
    fn repository(&self, name: &str, make: &[&str]) -> (PathBuf, PathBuf) {
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
                "--url",
                &base,
                "--token",
                TOKEN,
            ])
            .status()
            .expect("it runs");
        assert!(installed.success());
        git(&bare, &["config", "receive.advertisePushOptions", "true"]);
        git(folder, &["clone", "-q", &format!("file://{repository}"), name]);
        git(&work, &["checkout", "-q", "-B", "main"]);

        (bare, work)
    }

    /// Pushes, and returns the push events in any order, the event for system hooks, and the output of git.
    fn push(&mut self, work: &Path, arguments: &[&str], refs: usize) -> (Vec<Value>, Value, String) {
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

fn asked(folder: &Path, arguments: &[&str]) -> String {
    let output = try_git(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Checks that a push event matches git's description of the same range.
fn check_push(work: &Path, event: &Value, range: &str) {
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
    let told = try_git(work, &arguments);
    assert!(told.status.success());

    let text = String::from_utf8_lossy(&told.stdout).into_owned();
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

pub(crate) fn unusual_repositories_are_reported_as_git_shows_them(engine: Engine) {
    let mut scene = Scene::new(&engine);
    merges_of_many(&mut scene);
    longer_ids(&mut scene);
    a_cut_history(&mut scene);
    a_long_history(&mut scene);
    many_renames(&mut scene);
}

/// Moving and changing hundreds of files at once must not compare each file with each other file.
fn many_renames(scene: &mut Scene) {
    let (_, work) = scene.repository("moved", &["init", "-q", "--bare", "moved.git"]);
    let lines: Vec<String> = (0..200)
        .map(|n| format!("line {n} of a text that is equal in all files\n"))
        .collect();

    for n in 0..300 {
        std::fs::write(work.join(format!("old-{n}")), format!("{n}\n{}", lines.concat())).expect("written");
    }

    std::fs::write(work.join("kept"), "as it is\n").expect("written");
    git(&work, &["add", "."]);
    git(&work, &["commit", "-q", "-m", "Begin"]);
    scene.push(&work, &["main"], 1);

    for n in 0..300 {
        std::fs::remove_file(work.join(format!("old-{n}"))).expect("removed");
        std::fs::write(work.join(format!("new-{n}")), format!("{n}\nmore\n{}", lines.concat())).expect("written");
    }

    git(&work, &["mv", "kept", "kept too"]);
    git(&work, &["add", "-A"]);
    git(&work, &["commit", "-q", "-m", "Move all"]);

    let (events, ..) = scene.push(&work, &["main"], 1);
    let commit = &events[0]["commits"][0];
    let count = |list: &str| commit[list].as_array().map(Vec::len);
    // An exact rename needs no comparison.
    assert_eq!(
        (count("added"), count("removed"), count("modified")),
        (Some(301), Some(300), Some(0))
    );

    assert!(
        commit["added"]
            .as_array()
            .is_some_and(|added| added.contains(&json!("kept too")))
    );
}

/// Thousands of commits on two branches that are merged from time to time, in one push.
fn a_long_history(scene: &mut Scene) {
    let (_, work) = scene.repository("long", &["init", "-q", "--bare", "long.git"]);
    let mut stream = String::new();

    for n in 1..=6_000 {
        // Every tenth commit is on a side branch, which the next commit merges.
        let (branch, time) = (if n % 10 == 0 { "side" } else { "main" }, 1_700_000_000 + n);
        let from = if n % 10 == 0 {
            format!("from :{}\n", n - 1)
        } else {
            String::new()
        };

        let merge = if n % 10 == 1 && n > 10 {
            format!("merge :{}\n", n - 1)
        } else {
            String::new()
        };

        stream.push_str(&format!(
            "commit refs/heads/{branch}\nmark :{n}\ncommitter Ida Ridge <ida@climb.example> {time} +0100\ndata 7\nn {n:05}\n\
             {from}{merge}M 100644 inline file-{}\ndata 5\n{n:05}\n",
            n % 700
        ));
    }

    let mut import = Command::new("git")
        .args(["fast-import", "--quiet", "--force"])
        .current_dir(&work)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("git runs");
    std::io::Write::write_all(&mut import.stdin.take().expect("piped"), stream.as_bytes()).expect("written");
    assert!(import.wait().expect("it ends").success());

    let (events, ..) = scene.push(&work, &["main"], 1);
    check_push(&work, &events[0], "main");
    assert_eq!(events[0]["total_commits_count"], 5_999);
}

fn merges_of_many(scene: &mut Scene) {
    let (_, work) = scene.repository("octopus", &["init", "-q", "--bare", "octopus.git"]);
    commit(&work, "base", "text\n", "Begin");

    let (events, update, _) = scene.push(&work, &["main"], 1);
    check_push(&work, &events[0], "main");
    assert_eq!(update["refs"], json!(["refs/heads/main"]));
    assert_eq!((&update["project_id"], &update["user_id"]), (&json!(1), &json!(0)));

    for branch in ["a", "b", "c"] {
        git(&work, &["checkout", "-q", "-b", branch, "main"]);
        commit(&work, &format!("of-{branch}"), "text\n", &format!("Add to {branch}"));
    }

    git(&work, &["checkout", "-q", "main"]);
    git(
        &work,
        &["merge", "-q", "--no-ff", "-m", "Bring three together", "a", "b", "c"],
    );

    assert_eq!(
        asked(&work, &["log", "-1", "--format=%P"]).split(' ').count(),
        4,
        "the tip and three branches"
    );

    let (events, ..) = scene.push(&work, &["main"], 1);
    check_push(&work, &events[0], "origin/main@{1}..main");

    let merge = events[0]["commits"]
        .as_array()
        .and_then(|commits| commits.last())
        .expect("the merge");

    assert_eq!(
        merge["added"],
        json!(["of-a", "of-b", "of-c"]),
        "all files of the merged branches"
    );

    // A name and a message in another encoding, and a path that is not valid text.
    std::fs::write(work.join(OsStr::from_bytes(b"caf\xe9")), "text\n").expect("written");
    git(&work, &["add", "."]);

    let message = work.with_extension("message");
    std::fs::write(&message, b"Caf\xe9 \xa9 bauen\n").expect("written");

    let latin: [(&str, &[u8]); 4] = [
        ("GIT_AUTHOR_NAME", b"Ren\xe9 M\xfcller"),
        ("GIT_AUTHOR_EMAIL", b"rene@climb.example"),
        ("GIT_COMMITTER_NAME", b"Ren\xe9 M\xfcller"),
        ("GIT_COMMITTER_EMAIL", b"rene@climb.example"),
    ];

    let made = Command::new("git")
        .args(["-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "-F"])
        .arg(&message)
        .current_dir(&work)
        .envs(latin.map(|(name, value)| (name, OsStr::from_bytes(value))))
        .status();
    assert!(made.expect("git runs").success());
    git(&work, &["mv", "base", "renamed"]);
    git(&work, &["commit", "-q", "-m", "Rename"]);

    let options = [
        "main",
        "-o",
        "ci.skip",
        "-o",
        "mr.title=Über uns",
        "-o",
        "ci.variable=A=1",
        "-o",
        "ci.variable=B=2",
    ];
    let (events, ..) = scene.push(&work, &options, 1);
    check_push(&work, &events[0], "origin/main@{1}..main");

    let commit_of = |n: usize| events[0]["commits"][n].clone();
    assert_eq!(commit_of(0)["author"]["name"], "René Müller");

    assert_eq!(
        (&commit_of(0)["title"], &commit_of(0)["added"]),
        (&json!("Café © bauen"), &json!(["caf\u{fffd}"]))
    );

    assert_eq!(
        (&commit_of(1)["added"], &commit_of(1)["removed"]),
        (&json!(["renamed"]), &json!([]))
    );

    let options =
        json!({"ci": {"skip": true, "variable": {"A=1": 1, "B=2": 1}}, "merge_request": {"title": "Über uns"}});
    assert_eq!(events[0]["push_options"], options);
}

fn longer_ids(scene: &mut Scene) {
    let (_, work) = scene.repository(
        "sha256",
        &["init", "-q", "--bare", "--object-format=sha256", "sha256.git"],
    );

    commit(&work, "first", "text\n", "Begin");

    let (events, ..) = scene.push(&work, &["main"], 1);
    check_push(&work, &events[0], "main");
    assert_eq!(events[0]["before"], "0".repeat(64));
    commit(&work, "second", "text\n", "Go on");
    git(&work, &["tag", "-a", "v1", "-m", "First"]);

    let (events, update, _) = scene.push(&work, &["main", "v1"], 2);
    let of = |kind: &str| {
        events
            .iter()
            .find(|event| event["object_kind"] == kind)
            .expect("the event exists")
    };
    check_push(&work, of("push"), "origin/main@{1}..main");

    let tip = asked(&work, &["rev-parse", "main"]);
    assert_eq!((tip.len(), &of("tag_push")["checkout_sha"]), (64, &json!(tip)));
    assert_eq!(update["changes"].as_array().map(Vec::len), Some(2));

    let (events, ..) = scene.push(&work, &[":v1"], 1);
    assert_eq!(
        (&events[0]["after"], &events[0]["checkout_sha"]),
        (&json!("0".repeat(64)), &Value::Null)
    );

    // A tag of an object that is not a commit has no commit to check out.
    git(&work, &["tag", "-a", "file", "-m", "A file", "main:first"]);

    let (events, ..) = scene.push(&work, &["file"], 1);
    assert_eq!(
        (&events[0]["checkout_sha"], &events[0]["message"]),
        (&Value::Null, &json!("A file"))
    );
}

/// The installer refuses a repository in which the hook would not run. In a shared repository, the group can use the
/// hook's files.
pub(crate) fn the_git_hook_is_installed_only_where_it_works(engine: Engine) {
    use std::os::unix::fs::PermissionsExt;

    let mut scene = Scene::new(&engine);
    let folder = scene.server.folder.path().to_owned();

    let install = |name: &str| {
        let mut command = Command::new(BINARY);
        command
            .args(["git-hook", "install", name, "--project", "gear/rope"])
            .current_dir(&folder);
        command
            .env("QUICKDRAW_URL", "http://127.0.0.1:1")
            .env("QUICKDRAW_TOKEN", TOKEN);

        let output = command.output().expect("it runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };

    git(&folder, &["init", "-q", "--bare", "elsewhere.git"]);
    git(
        &folder.join("elsewhere.git"),
        &["config", "core.hooksPath", "/etc/hooks"],
    );

    let (done, said) = install("elsewhere.git");
    assert!(!done && said.contains("core.hooksPath"), "{said}");

    git(
        &folder,
        &["init", "-q", "--bare", "--ref-format=reftable", "tables.git"],
    );

    let (done, said) = install("tables.git");
    assert!(!done && said.contains("reftable"), "{said}");

    let (bare, work) = scene.repository("ours", &["init", "-q", "--bare", "--shared=group", "ours.git"]);
    let mode = |file: &str| {
        let found = std::fs::metadata(bare.join(file)).expect("it exists");
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode("quickdraw.json"), 0o660);
    commit(&work, "base", "text\n", "Begin");
    scene.push(&work, &["main"], 1);

    assert_eq!(
        (mode("quickdraw-spool"), mode("quickdraw-spool/lock") & 0o600),
        (0o770, 0o600)
    );

    let (bare, _) = scene.repository("mine", &["init", "-q", "--bare", "mine.git"]);
    let file = bare.join("quickdraw.json");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("changed");

    let (done, said) = install("mine.git");
    assert!(
        done && said.contains("until this problem is solved"),
        "no server listens there: {said}"
    );

    let found = std::fs::metadata(&file).expect("it exists");
    assert_eq!(found.permissions().mode() & 0o777, 0o600, "the file contains a token");
}

fn a_cut_history(scene: &mut Scene) {
    let folder = scene.server.folder.path().to_owned();
    let (_, whole) = scene.repository("whole", &["init", "-q", "--bare", "whole.git"]);

    for n in 1..=5 {
        commit(&whole, &format!("file-{n}"), "text\n", &format!("Add {n}"));
    }

    scene.push(&whole, &["main"], 1);

    let url = format!("file://{}", folder.join("whole.git").display());
    let (bare, work) = scene.repository(
        "shallow",
        &["clone", "-q", "--bare", "--depth", "2", &url, "shallow.git"],
    );

    assert!(bare.join("shallow").exists(), "the repository is shallow");
    commit(&work, "file-6", "text\n", "Add 6");

    let (events, ..) = scene.push(&work, &["main"], 1);
    check_push(&work, &events[0], "origin/main@{1}..main");

    // A new branch from the oldest commit of the shallow history lists the commits that main lacks.
    git(&work, &["checkout", "-q", "-b", "other", "main~2"]);
    commit(&work, "file-7", "text\n", "Add 7");

    let (events, ..) = scene.push(&work, &["other"], 1);
    check_push(&work, &events[0], "main..other");
}

pub(crate) fn a_push_of_many_refs_is_reported_within_the_limits(engine: Engine) {
    let mut scene = Scene::new(&engine);
    let (bare, work) = scene.repository("rope", &["init", "-q", "--bare", "rope.git"]);
    commit(&work, "base", "text\n", "Begin");

    for name in ["one", "two"] {
        git(&work, &["branch", name]);
    }

    // Three refs of one kind and change are still reported. Each kind and each change is counted separately.
    let (events, update, _) = scene.push(&work, &["main", "one", "two"], 3);
    assert!(events.iter().all(|event| event["object_kind"] == "push"), "{events:?}");
    assert_eq!(update["changes"].as_array().map(Vec::len), Some(3));

    for n in 1..=4 {
        git(&work, &["tag", &format!("v{n}")]);
    }

    commit(&work, "next", "text\n", "Go on");
    git(&work, &["update-ref", "refs/notes/x", "main"]);

    let refs = ["main", "v1", "v2", "v3", "v4", ":one", "refs/notes/x"];
    let (events, update, said) = scene.push(&work, &refs, 2);

    let names = events
        .iter()
        .map(|event| event["ref"].as_str().expect("a ref"))
        .collect();
    assert_eq!(sorted::<&str>(names), ["refs/heads/main", "refs/heads/one"]);
    assert!(said.contains("this push created more than 3 tags"), "{said}");

    assert_eq!(
        update["changes"].as_array().map(Vec::len),
        Some(6),
        "the repository update lists the tags: {update}"
    );

    // Without a system hook for it, the repository update is not sent.
    let hooks = scene.server.get("/api/v4/hooks");
    let deleted = scene
        .server
        .call("DELETE", &format!("/api/v4/hooks/{}", hooks[0]["id"]), "");
    assert_eq!(deleted.status, 204);

    let count = || {
        scene.server.get("/api/v1/events?limit=100")["items"]
            .as_array()
            .map(Vec::len)
            .expect("a list")
    };
    let before = count();
    git(&work, &["push", "-q", "origin", "--delete", "two"]);
    assert_eq!(count(), before + 1);

    let waiting = std::fs::read_dir(bare.join("quickdraw-spool"))
        .expect("a folder")
        .count();
    assert_eq!(waiting, 1, "only the lock file");
}
