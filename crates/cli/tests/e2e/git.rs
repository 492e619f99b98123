//! Pushes to a real repository: from `git push` to a signed delivery, and through our own source to a counted commit.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::http::{Sink, eventually};
use crate::server::{BINARY, Engine, SECRET, Server, TOKEN};

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

pub(crate) fn a_git_push_becomes_a_signed_delivery_and_a_counted_commit(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let folder = server.folder.path();
    let signing = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=";

    let mut listen = Ends(
        Command::new(BINARY)
            .args(["listen", "0", "--secret", signing])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts"),
    );
    let mut output = BufReader::new(listen.0.stdout.take().expect("piped"));
    let mut first = String::new();
    output.read_line(&mut first).expect("a line");

    let url = first.trim().rsplit(' ').next().expect("a URL").to_owned();
    let heard = Arc::new(Mutex::new(String::new()));
    let kept = heard.clone();

    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            kept.lock().expect("no panic").push_str(&(line + "\n"));
        }
    });

    server.make_hook(&format!("{url}/in"), &format!(r#","signing_token":"{signing}""#));

    // The second hook posts the same bodies to our own source.
    let own = format!("http://127.0.0.1:{}/api/v1/webhooks/gitlab", server.port);
    server.make_hook(&own, &format!(r#","token":"{SECRET}""#));

    let (bare, work) = (folder.join("rope.git"), folder.join("work"));
    git(folder, &["init", "-q", "--bare", "rope.git"]);

    let base = format!("http://127.0.0.1:{}", server.port);
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
    git(folder, &["clone", "-q", "rope.git", "work"]);
    git(&work, &["checkout", "-q", "-B", "main"]);

    for n in 1..=3 {
        commit(
            &work,
            &format!("file-{n}"),
            "text\n",
            &format!("Add file {n}\n\nBecause."),
        );
    }

    git(&work, &["push", "-q", "origin", "main"]);
    git(&work, &["checkout", "-q", "-b", "feature"]);
    git(&work, &["mv", "file-1", "renamed"]);
    commit(&work, "file-2", "other\n", "Rename one and change another");
    git(&work, &["push", "-q", "origin", "feature"]);
    git(&work, &["tag", "-a", "v1", "-m", "First"]);
    git(&work, &["push", "-q", "origin", "v1"]);
    git(&work, &["commit", "-q", "--amend", "-m", "Say it better"]);
    git(&work, &["push", "-q", "--force", "origin", "feature"]);
    git(&work, &["push", "-q", "origin", ":feature"]);

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
        let text = heard.lock().expect("no panic");
        text.matches("signature ok").count() == 5 && parts.iter().all(|part| text.contains(part))
    });

    assert!(!heard.lock().expect("no panic").contains("REFUSED"));
    drop(listen);

    // Three commits on main, one on the branch, and one more after the amend. Each counts once, although each arrived
    // twice.
    eventually("the commits are counted once", || {
        let events = server.get("/api/v1/events?limit=100")["items"].as_array().map(Vec::len);
        let insights = server.get("/api/v1/insights/commits?project=gear/rope");
        events == Some(10) && insights["commits"] == 5
    });

    let insights = server.get("/api/v1/insights/commits?project=1");
    assert_eq!(
        (&insights["commits_landed"], &insights["commits_unlisted"]),
        (&3.into(), &0.into()),
        "{insights}"
    );

    // A renamed file is listed only under its new name. The five commits add five files and modify two.
    assert_eq!(
        (&insights["files_added"], &insights["files_modified"]),
        (&5.into(), &2.into()),
        "{insights}"
    );
}

/// An unreachable server neither fails nor delays a push for long, and no event is lost.
pub(crate) fn pushes_during_an_outage_are_reported_later(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let mut server = Server::start(&engine, &[]);
    server.make_project();
    server.make_hook(&sink.url(), r#","ordered":true"#);

    let folder = server.folder.path().to_owned();
    let (bare, work) = (folder.join("rope.git"), folder.join("work"));
    git(&folder, &["init", "-q", "--bare", "rope.git"]);

    let base = format!("http://127.0.0.1:{}", server.port);
    let repository = bare.to_str().expect("UTF-8").to_owned();
    let run = |arguments: &[&str]| Command::new(BINARY).args(arguments).output().expect("it runs");

    let installed = run(&[
        "git-hook",
        "install",
        &repository,
        "--project",
        "gear/rope",
        "--url",
        &base,
        "--token",
        TOKEN,
    ]);
    assert!(installed.status.success());
    git(&folder, &["clone", "-q", "rope.git", "work"]);
    git(&work, &["checkout", "-q", "-B", "main"]);
    server.kill();

    for n in 1..=2 {
        commit(&work, &format!("file-{n}"), "text\n", &format!("Add file {n}"));
        git(&work, &["push", "-q", "origin", "main"]);
    }

    let left = run(&["git-hook", "send", &repository]);
    assert!(
        !left.status.success() && String::from_utf8_lossy(&left.stdout).contains("sent: 0, left: 4"),
        "{left:?}"
    );

    assert!(
        bare.join("quickdraw-spool/away").exists(),
        "the next push waits only briefly"
    );

    // A report that the server never accepts is set aside and does not block the others.
    std::fs::write(bare.join("quickdraw-spool/00000000.json"), "no report").expect("written");
    server.restart();
    commit(&work, "file-3", "text\n", "Add file 3");
    git(&work, &["push", "-q", "origin", "main"]);
    eventually("the next push sends the earlier reports", || sink.got().len() == 3);

    let payloads: Vec<serde_json::Value> = sink
        .got()
        .iter()
        .map(|got| serde_json::from_slice(&got.body).expect("JSON"))
        .collect();

    assert!(
        payloads.windows(2).all(|two| two[0]["after"] == two[1]["before"]),
        "in the order of the pushes: {payloads:?}"
    );

    let spool: Vec<String> = std::fs::read_dir(bare.join("quickdraw-spool"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name != "lock")
        .collect();

    assert_eq!(spool, ["00000000.refused"]);

    let nothing = run(&["git-hook", "send", &repository]);
    assert!(
        nothing.status.success() && String::from_utf8_lossy(&nothing.stdout).contains("sent: 0, left: 0"),
        "{nothing:?}"
    );
}
