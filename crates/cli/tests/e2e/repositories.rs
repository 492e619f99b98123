//! Events of pushes to unusual repositories: merges of many parents, other encodings, SHA-256, shallow and long
//! history, and many renames. The expected values come from git itself.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::git::{commit, git};
use crate::http::check_parts;
use crate::pushes::{Scene, asked, check_push};
use crate::server::Engine;

/// The commits that the last push has added to `main`.
const NEW: &str = "origin/main@{1}..main";

/// A repository with one commit, which was pushed. Returns its clone and the event too.
fn with_a_commit(engine: &Engine, name: &str, options: &[&str]) -> (Scene, PathBuf, Value) {
    let mut scene = Scene::new(engine);
    let bare = format!("{name}.git");
    let make = [&["init", "-q", "--bare"], options, &[&*bare]].concat();
    let (_, work) = scene.repository(name, &make);

    commit(&work, "base", "text\n", "Begin");

    let (events, update, _) = scene.push(&work, &["main"], 1);
    check_push(&work, &events[0], "main");
    check_parts(
        &update,
        json!({ "refs": ["refs/heads/main"], "project_id": 1, "user_id": 0 }),
    );

    (scene, work, events[0].clone())
}

/// Merges three branches at once.
fn merge_three(work: &Path) {
    for branch in ["a", "b", "c"] {
        git(work, &["checkout", "-q", "-b", branch, "main"]);
        commit(work, &format!("of-{branch}"), "text\n", &format!("Add to {branch}"));
    }

    git(work, &["checkout", "-q", "main"]);

    let merge = ["merge", "-q", "--no-ff", "-m", "Bring three together", "a", "b", "c"];
    git(work, &merge);

    let parents = asked(work, &["log", "-1", "--format=%P"]);
    assert_eq!(parents.split(' ').count(), 4, "the tip and three branches");
}

pub(crate) fn a_merge_lists_the_files_of_all_merged_branches(engine: Engine) {
    let (mut scene, work, ..) = with_a_commit(&engine, "octopus", &[]);
    merge_three(&work);

    let (events, ..) = scene.push(&work, &["main"], 1);
    check_push(&work, &events[0], NEW);

    let commits = events[0]["commits"].as_array().expect("commits");
    let merge = commits.last().expect("the merge");
    assert_eq!(merge["added"], json!(["of-a", "of-b", "of-c"]));
}

/// Commits with a name, a message and a path in ISO-8859-1.
fn commit_in_latin_1(work: &Path) {
    std::fs::write(work.join(OsStr::from_bytes(b"caf\xe9")), "text\n").expect("written");
    git(work, &["add", "."]);

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
        .current_dir(work)
        .envs(latin.map(|(name, value)| (name, OsStr::from_bytes(value))))
        .status();
    assert!(made.expect("git runs").success());
}

pub(crate) fn text_in_another_encoding_is_reported_in_utf_8(engine: Engine) {
    let (mut scene, work, ..) = with_a_commit(&engine, "latin", &[]);
    commit_in_latin_1(&work);
    git(&work, &["mv", "base", "renamed"]);
    git(&work, &["commit", "-q", "-m", "Rename"]);

    let (events, ..) = scene.push(&work, &["main"], 1);
    check_push(&work, &events[0], NEW);

    let commits = &events[0]["commits"];
    assert_eq!(commits[0]["author"]["name"], "René Müller");

    // The path is not valid text.
    let expected = json!({ "title": "Café © bauen", "added": ["caf\u{fffd}"] });
    check_parts(&commits[0], expected);
    check_parts(&commits[1], json!({ "added": ["renamed"], "removed": [] }));
}

pub(crate) fn push_options_are_reported_as_gitlab_groups_them(engine: Engine) {
    let (mut scene, work, ..) = with_a_commit(&engine, "options", &[]);
    commit(&work, "next", "text\n", "Go on");

    let mut arguments = vec!["main"];
    for option in ["ci.skip", "mr.title=Über uns", "ci.variable=A=1", "ci.variable=B=2"] {
        arguments.extend(["-o", option]);
    }

    let (events, ..) = scene.push(&work, &arguments, 1);
    check_push(&work, &events[0], NEW);

    let ci = json!({ "skip": true, "variable": { "A=1": 1, "B=2": 1 } });
    let expected = json!({ "ci": ci, "merge_request": { "title": "Über uns" } });
    assert_eq!(events[0]["push_options"], expected);
}

pub(crate) fn a_repository_with_sha_256_has_longer_ids(engine: Engine) {
    let (mut scene, work, first) = with_a_commit(&engine, "sha256", &["--object-format=sha256"]);
    assert_eq!(first["before"], "0".repeat(64));
    commit(&work, "second", "text\n", "Go on");
    git(&work, &["tag", "-a", "v1", "-m", "First"]);

    let (events, update, _) = scene.push(&work, &["main", "v1"], 2);
    assert_eq!(update["changes"].as_array().map(Vec::len), Some(2));

    let of = |kind: &str| {
        let mut events = events.iter();
        events.find(|event| event["object_kind"] == kind).expect("it exists")
    };
    check_push(&work, of("push"), NEW);

    let tip = asked(&work, &["rev-parse", "main"]);
    assert_eq!(tip.len(), 64);
    assert_eq!(of("tag_push")["checkout_sha"], json!(tip));
}

pub(crate) fn a_deleted_tag_and_a_tag_of_a_file_have_no_commit_to_check_out(engine: Engine) {
    let (mut scene, work, ..) = with_a_commit(&engine, "tags", &["--object-format=sha256"]);
    git(&work, &["tag", "-a", "v1", "-m", "First"]);
    scene.push(&work, &["v1"], 1);

    let (events, ..) = scene.push(&work, &[":v1"], 1);
    check_parts(&events[0], json!({ "after": "0".repeat(64), "checkout_sha": null }));

    git(&work, &["tag", "-a", "file", "-m", "A file", "main:base"]);

    let (events, ..) = scene.push(&work, &["file"], 1);
    check_parts(&events[0], json!({ "checkout_sha": null, "message": "A file" }));
}

/// Clones the last two commits of a repository with five. Returns the clone of the clone.
fn shallow(scene: &mut Scene) -> PathBuf {
    let (bare, whole) = scene.repository("whole", &["init", "-q", "--bare", "whole.git"]);
    for n in 1..=5 {
        commit(&whole, &format!("file-{n}"), "text\n", &format!("Add {n}"));
    }

    scene.push(&whole, &["main"], 1);

    let url = format!("file://{}", bare.display());
    let clone = ["clone", "-q", "--bare", "--depth", "2", &*url, "shallow.git"];
    let (bare, work) = scene.repository("shallow", &clone);

    assert!(bare.join("shallow").exists(), "the repository is shallow");

    work
}

pub(crate) fn a_push_to_a_shallow_repository_lists_its_new_commits(engine: Engine) {
    let mut scene = Scene::new(&engine);
    let work = shallow(&mut scene);
    commit(&work, "file-6", "text\n", "Add 6");

    let (events, ..) = scene.push(&work, &["main"], 1);
    check_push(&work, &events[0], NEW);

    // A new branch from the oldest commit of the shallow history lists the commits that main lacks.
    git(&work, &["checkout", "-q", "-b", "other", "main~2"]);
    commit(&work, "file-7", "text\n", "Add 7");

    let (events, ..) = scene.push(&work, &["other"], 1);
    check_push(&work, &events[0], "main..other");
}

/// The stream of `git fast-import` for commits on two branches. Every tenth commit is on a side branch, which the next
/// commit merges.
fn long_history(commits: u32) -> String {
    let mut stream = String::new();
    for n in 1..=commits {
        let (branch, time) = (if n % 10 == 0 { "side" } else { "main" }, 1_700_000_000 + n);
        let parent = match n % 10 {
            0 => format!("from :{}\n", n - 1),
            1 if n > 10 => format!("merge :{}\n", n - 1),
            _ => String::new(),
        };

        stream.push_str(&format!(
            "commit refs/heads/{branch}\nmark :{n}\ncommitter Ida Ridge <ida@climb.example> {time} +0100\ndata 7\nn {n:05}\n\
             {parent}M 100644 inline file-{}\ndata 5\n{n:05}\n",
            n % 700
        ));
    }

    stream
}

fn import(work: &Path, stream: &str) {
    let mut import = Command::new("git")
        .args(["fast-import", "--quiet", "--force"])
        .current_dir(work)
        .stdin(Stdio::piped())
        .spawn()
        .expect("git runs");

    let mut input = import.stdin.take().expect("piped");
    input.write_all(stream.as_bytes()).expect("written");
    drop(input);
    assert!(import.wait().expect("it ends").success());
}

pub(crate) fn a_push_of_thousands_of_commits_is_counted(engine: Engine) {
    let mut scene = Scene::new(&engine);
    let (_, work) = scene.repository("long", &["init", "-q", "--bare", "long.git"]);
    import(&work, &long_history(6_000));

    let (events, ..) = scene.push(&work, &["main"], 1);
    check_push(&work, &events[0], "main");
    assert_eq!(events[0]["total_commits_count"], 5_999);
}

/// Writes 300 files whose texts are nearly equal.
fn write_files(work: &Path, name: &str, beginning: &str) {
    let lines: Vec<String> = (0..200)
        .map(|n| format!("line {n} of a text that is equal in all files\n"))
        .collect();
    let text = lines.concat();

    for n in 0..300 {
        let file = work.join(format!("{name}-{n}"));
        std::fs::write(file, format!("{n}\n{beginning}{text}")).expect("written");
    }
}

fn commit_all(work: &Path, message: &str) {
    git(work, &["add", "-A"]);
    git(work, &["commit", "-q", "-m", message]);
}

/// Moving and changing hundreds of files at once must not compare each file with each other file. An exact rename needs
/// no comparison.
pub(crate) fn hundreds_of_moved_files_are_added_and_removed(engine: Engine) {
    let (mut scene, work, ..) = with_a_commit(&engine, "moved", &[]);
    write_files(&work, "old", "");
    std::fs::write(work.join("kept"), "as it is\n").expect("written");
    commit_all(&work, "Add files");
    scene.push(&work, &["main"], 1);

    for n in 0..300 {
        std::fs::remove_file(work.join(format!("old-{n}"))).expect("removed");
    }

    write_files(&work, "new", "more\n");
    git(&work, &["mv", "kept", "kept too"]);
    commit_all(&work, "Move all");

    let (events, ..) = scene.push(&work, &["main"], 1);
    let commit = &events[0]["commits"][0];
    let counts = ["added", "removed", "modified"].map(|list| commit[list].as_array().map(Vec::len));
    assert_eq!(counts, [Some(301), Some(300), Some(0)]);

    let added = commit["added"].as_array().expect("paths");
    assert!(added.contains(&json!("kept too")));
}
