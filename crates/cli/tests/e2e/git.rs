//! Pushes to a real repository: from `git push` to a signed delivery, and through our own source to a counted commit.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::http::{Sink, check_parts, eventually};
use crate::server::{BINARY, Engine, SECRET, Server};

/// A child process that is killed when its handle is dropped, also when a check fails.
struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn git(folder: &Path, arguments: &[&str]) {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=Ida Brandt",
            "-c",
            "user.email=ida@climb.example",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", folder)
        .output()
        .expect("git runs");

    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub(crate) fn commit(folder: &Path, file: &str, text: &str, message: &str) {
    std::fs::write(folder.join(file), text).expect("written");
    git(folder, &["add", "."]);
    git(folder, &["commit", "-q", "-m", message]);
}

const SIGNING_TOKEN: &str = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=";

/// `quickdraw listen`, and its output so far.
struct Listener {
    url: String,
    output: Arc<Mutex<String>>,
    _process: Ends,
}

impl Listener {
    fn start(folder: &Path) -> Self {
        std::fs::write(folder.join("signing-token"), SIGNING_TOKEN).expect("a file");
        let mut process = Ends(
            Command::new(BINARY)
                .args(["listen", "0", "--secret-file", "signing-token"])
                .current_dir(folder)
                .stdout(Stdio::piped())
                .spawn()
                .expect("it starts"),
        );

        let mut stdout = BufReader::new(process.0.stdout.take().expect("piped"));
        let mut first = String::new();
        stdout.read_line(&mut first).expect("a line");

        let url = first.trim().rsplit(' ').next().expect("a URL").to_owned();
        let output = Arc::new(Mutex::new(String::new()));
        let kept = output.clone();

        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                kept.lock().expect("no panic").push_str(&(line + "\n"));
            }
        });

        Self {
            url,
            output,
            _process: process,
        }
    }

    fn output(&self) -> String {
        self.output.lock().expect("no panic").clone()
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().expect("it runs")
}

/// The project of a server, and a bare repository that reports pushes to it.
struct Repository {
    server: Server,
    bare: PathBuf,

    /// A clone with the branch `main`.
    work: PathBuf,
}

impl Repository {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[]);
        server.make_project();

        let folder = server.folder.path();
        git(folder, &["init", "-q", "--bare", "rope.git"]);

        let (bare, work) = (folder.join("rope.git"), folder.join("work"));

        let url = format!("http://127.0.0.1:{}", server.port);
        let path = bare.to_str().expect("UTF-8");
        let report = json!({ "name": "git", "scopes": ["report"] });
        let made = server.create("/api/v4/projects/1/access_tokens", &report);
        let token = made["token"].as_str().expect("shown once");

        let project = ["--project", "gear/rope", "--server", &url];
        let install = [&["git-hook", "install", path], &project[..]].concat();
        let installed = server.command(&install).env("QUICKDRAW_TOKEN", token).output();
        let installed = installed.expect("it runs");

        assert!(installed.status.success());

        git(folder, &["clone", "-q", "rope.git", "work"]);
        git(&work, &["checkout", "-q", "-B", "main"]);
        Self { server, bare, work }
    }

    fn git(&self, arguments: &[&str]) {
        git(&self.work, arguments);
    }

    /// Pushes three commits, a branch that is changed and deleted later, and a tag: five pushes with five commits.
    fn push_history(&self) {
        for number in 1..=3 {
            let message = format!("Add file {number}\n\nBecause.");
            commit(&self.work, &format!("file-{number}"), "text\n", &message);
        }

        self.git(&["push", "-q", "origin", "main"]);
        self.git(&["checkout", "-q", "-b", "feature"]);
        self.git(&["mv", "file-1", "renamed"]);
        commit(&self.work, "file-2", "other\n", "Rename one and change another");
        self.git(&["push", "-q", "origin", "feature"]);
        self.git(&["tag", "-a", "v1", "-m", "First"]);
        self.git(&["push", "-q", "origin", "v1"]);
        self.git(&["commit", "-q", "--amend", "-m", "Say it better"]);
        self.git(&["push", "-q", "--force", "origin", "feature"]);
        self.git(&["push", "-q", "origin", ":feature"]);
    }

    /// Pushes a commit to `main`.
    fn push(&self, number: usize) {
        let message = format!("Add file {number}");
        commit(&self.work, &format!("file-{number}"), "text\n", &message);
        self.git(&["push", "-q", "origin", "main"]);
    }

    /// Sends the reports that the server has not accepted yet.
    fn send(&self) -> (bool, String) {
        let output = run(&["git-hook", "send", self.bare.to_str().expect("UTF-8")]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text)
    }

    fn spool(&self) -> PathBuf {
        self.bare.join("quickdraw-spool")
    }

    /// Checks that the reports of two pushes wait. The next push waits only briefly for the server.
    fn check_are_kept(&self) {
        let (is_sent, output) = self.send();
        assert!(!is_sent && output.contains("sent: 0, left: 4"), "{output}");
        assert!(self.spool().join("away").exists());
    }

    /// Checks that a refused report does not block the others.
    fn check_is_set_aside(&self, file: &str) {
        assert_eq!(files(&self.spool()), [file]);

        let (is_sent, output) = self.send();
        assert!(is_sent && output.contains("sent: 0, left: 0"), "{output}");
    }
}

/// The exit code and the output of `quickdraw git-hook uninstall`.
fn uninstall(repository: &Repository) -> (Option<i32>, String) {
    let done = run(&["git-hook", "uninstall", repository.bare.to_str().expect("UTF-8")]);
    (done.status.code(), crate::commands::output_of(&done))
}

pub(crate) fn uninstalling_removes_the_hook_and_its_token(engine: Engine) {
    let repository = Repository::start(&engine);
    let (code, output) = uninstall(&repository);
    assert_eq!(code, Some(0), "{output}");

    for file in ["hooks/post-receive", "quickdraw.json", "quickdraw-spool"] {
        assert!(!repository.bare.join(file).exists(), "{file}");
    }
    repository.push(1);
}

pub(crate) fn a_hook_of_somebody_else_is_not_removed(engine: Engine) {
    let repository = Repository::start(&engine);
    let hook = repository.bare.join("hooks/post-receive");
    let text = std::fs::read_to_string(&hook).expect("a hook");
    std::fs::write(&hook, format!("{text}echo mine\n")).expect("written");

    let (code, output) = uninstall(&repository);
    assert!(code == Some(1) && output.contains("was changed"), "{output}");
    assert!(hook.exists() && repository.bare.join("quickdraw.json").exists());
}

pub(crate) fn a_git_push_becomes_a_signed_delivery(engine: Engine) {
    let repository = Repository::start(&engine);
    let listener = Listener::start(repository.server.folder.path());
    let url = format!("{}/in", listener.url);
    let signed = format!(r#","signing_token":"{SIGNING_TOKEN}""#);

    repository.server.make_hook(&url, &signed);
    repository.push_history();

    let parts = [
        r#""ref": "refs/heads/main""#,
        r#""ref": "refs/tags/v1""#,
        r#""message": "First""#,
        r#""after": "0000000000000000000000000000000000000000""#,
        r#""total_commits_count": 3"#,
        r#""title": "Add file 3""#,
        r#""email": "ida@climb.example""#,
    ];
    // The verdict is printed before the body, so the test waits for both.
    eventually("all five deliveries are printed", || {
        let text = listener.output();
        text.matches("signature ok").count() == 5 && parts.iter().all(|part| text.contains(part))
    });

    assert!(!listener.output().contains("REFUSED"));
}

/// A webhook posts the bodies to the source of the same server, so each event arrives twice.
pub(crate) fn a_pushed_commit_is_counted_once(engine: Engine) {
    let repository = Repository::start(&engine);
    let server = &repository.server;
    let own = format!("http://127.0.0.1:{}/api/v1/webhooks/gitlab", server.port);
    server.make_hook(&own, &format!(r#","token":"{SECRET}""#));
    repository.push_history();

    // Three commits on main, one on the branch, and one more after the amend.
    eventually("the commits are counted once", || {
        let events = server.events_of_projects().len();
        let insights = server.get("/api/v1/insights/commits?project=gear/rope");
        events == 10 && insights["commits"] == 5
    });

    let insights = server.get("/api/v1/insights/commits?project=1");
    check_parts(&insights, json!({ "commits_landed": 3, "commits_unlisted": 0 }));

    // A renamed file is listed only under its new name. The five commits add five files and modify two.
    check_parts(&insights, json!({ "files_added": 5, "files_modified": 2 }));
}

/// An unreachable server neither fails nor delays a push for long, and no event is lost.
pub(crate) fn pushes_during_an_outage_are_reported_later(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let mut repository = Repository::start(&engine);
    repository.server.make_hook(&sink.url(), r#","ordered":true"#);
    repository.server.kill();
    repository.push(1);
    repository.push(2);
    repository.check_are_kept();

    // The server never accepts this report.
    std::fs::write(repository.spool().join("00000000.json"), "no report").expect("written");
    repository.server.restart();
    repository.push(3);
    eventually("the next push sends the earlier reports", || sink.got().len() == 3);
    check_order(&sink);
    repository.check_is_set_aside("00000000.refused");
}

/// Checks that each push begins where the previous one ended.
fn check_order(sink: &Sink) {
    let mut payloads: Vec<Value> = Vec::new();
    for got in sink.got() {
        payloads.push(serde_json::from_slice(&got.body).expect("JSON"));
    }

    let is_next = |two: &[Value]| two[0]["after"] == two[1]["before"];
    assert!(payloads.windows(2).all(is_next), "{payloads:?}");
}

/// The files of the spool, without the lock.
fn files(spool: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(spool).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy().into_owned();
        if name != "lock" {
            names.push(name);
        }
    }

    names
}
