//! Operation: failed starts, missing files, checks without changes, and a hanging database.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::git::{commit, git};
use crate::http::{eventually, send};
use crate::server::{BINARY, Engine, Server, TOKEN};

/// Runs a command and returns its exit code and all output.
fn run(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let done = server.command(arguments).output().expect("it runs");
    let (said, complained) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );

    (done.status.code(), format!("{said}{complained}"))
}

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

pub(crate) fn doctor_and_config_check_change_nothing(engine: Engine) {
    let mut server = Server::new(&engine);
    for arguments in [["doctor", ""], ["config", "check"]] {
        let arguments: Vec<&str> = arguments.into_iter().filter(|part| !part.is_empty()).collect();
        let (code, said) = run(&server, &arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {said}");
    }

    assert!(files(server.folder.path()).is_empty(), "an empty folder stays empty");
    assert_eq!(tables(&engine, &server), 0, "an empty database stays empty");
    server.restart();
    server.kill();

    let before = (files(server.folder.path()), tables(&engine, &server));
    let (code, said) = run(&server, &["doctor"]);

    assert!(
        code == Some(0) && said.contains("it opens the sealed values") && said.contains("schema"),
        "{said}"
    );

    assert_eq!(
        (files(server.folder.path()), tables(&engine, &server)),
        before,
        "the files of a crash are not changed"
    );

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

pub(crate) fn a_start_logs_no_secret_and_a_failed_start_leaves_no_key(engine: Engine) {
    let mut server = Server::new(&engine);
    server.restart();

    let data = server.folder.path().join("quickdraw-data");
    let kept = |name: &str| {
        std::fs::read_to_string(data.join(name))
            .expect("it exists")
            .trim()
            .to_owned()
    };

    for name in ["root-token", "webhook-secret"] {
        assert!(!server.output().contains(&kept(name)), "{}", server.output());
        assert!(server.output().contains(name), "the file is named: {}", server.output());

        let mode = std::fs::metadata(data.join(name))
            .expect("it exists")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }

    assert_eq!(server.terminate(), Some(0), "{}", server.output());

    let secret = kept("webhook-secret");
    std::fs::remove_file(data.join("webhook-secret")).expect("it existed");
    server.restart();

    assert_eq!(
        kept("webhook-secret"),
        secret,
        "the store keeps the secret for all nodes"
    );

    assert_eq!(server.terminate(), Some(0), "{}", server.output());
    if matches!(engine, Engine::Postgres(_)) {
        return;
    }

    let moved = server.folder.path().join("copy-of-the-key");
    std::fs::rename(data.join("key"), &moved).expect("moved");

    for arguments in ["serve", "doctor", "migrate"] {
        let (code, said) = run(&server, &[arguments]);
        assert!(
            code == Some(1) && said.contains("restore its copy"),
            "{arguments}: {said}"
        );

        assert!(
            !data.join("key").exists(),
            "{arguments} generated a key that opens nothing"
        );
    }

    std::fs::rename(&moved, data.join("key")).expect("moved");
    server.restart();
    assert_eq!(server.terminate(), Some(0), "{}", server.output());

    // A database that cannot be created leaves no key either.
    let mut other = Server::new(&engine);
    other.set("QUICKDRAW_DATABASE_URL", "sqlite:no-such-folder/quickdraw.db");

    let (code, said) = run(&other, &["serve"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(!other.folder.path().join("quickdraw-data/key").exists(), "{said}");
}

pub(crate) fn a_missing_insights_file_is_reported_and_filled_from_the_journal(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let push = json!({
        "object_kind": "push", "ref": "refs/heads/main", "after": "a".repeat(40),
        "commits": [{ "id": "a".repeat(40), "message": "m", "author": { "name": "Ida", "email": "ida@climb.example" } }],
    });
    server.receive("Push Hook", "first", &push);

    let counted = |server: &Server| {
        eventually("the commit is counted", || {
            server.get("/api/v1/insights/commits")["commits"] == 1
        });
    };
    counted(&server);
    assert_eq!(server.terminate(), Some(0), "{}", server.output());

    if matches!(engine, Engine::Postgres(_)) {
        // On PostgreSQL, insights are in the same database.
        return;
    }

    let data = server.folder.path().join("quickdraw-data");
    std::fs::remove_file(data.join("quickdraw.db-insights")).expect("it existed");

    let (code, said) = run(&server, &["doctor"]);
    assert!(code == Some(1) && said.contains("file of insights"), "{said}");
    server.restart();

    assert!(
        server
            .output()
            .contains("the file of insights beside the database is missing"),
        "{}",
        server.output()
    );

    counted(&server);
    assert_eq!(server.terminate(), Some(0), "{}", server.output());

    // Insights without their database are refused, because their numbers could belong to other projects.
    std::fs::rename(data.join("quickdraw.db"), data.join("elsewhere.db")).expect("moved");

    let (code, said) = run(&server, &["serve"]);
    assert!(
        code == Some(1) && said.contains("does not: restore the copy of"),
        "{said}"
    );
}

pub(crate) fn a_source_for_signatures_gets_a_signing_token(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let run = |arguments: &[&str]| {
        let (url, words) = (
            format!("http://127.0.0.1:{}", server.port),
            [&["source"], arguments].concat(),
        );

        let done = server
            .command(&[&words[..], &["--url", &url, "--token", TOKEN]].concat())
            .output();
        let done = done.expect("it runs");

        assert!(
            done.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );

        String::from_utf8(done.stdout).expect("UTF-8")
    };

    let secret = |said: &str| {
        said.rsplit("secret, shown only once: ")
            .next()
            .expect("a secret")
            .trim()
            .to_owned()
    };
    let is_signing = |secret: &str| quickdraw_domain::signature::SigningToken::parse(secret).is_ok();

    for (mode, signs) in [("signature", true), ("both", true), ("token", false), ("any", false)] {
        let added = run(&["add", "--name", mode, "--mode", mode]);
        assert_eq!(is_signing(&secret(&added)), signs, "{mode}: {added}");
        assert_eq!(added.contains("Signing token"), signs, "{mode}: {added}");

        let id = added.split(' ').next().expect("an id").to_owned();
        assert_eq!(
            is_signing(&secret(&run(&["secret", &id]))),
            signs,
            "{mode}: the new secret has the same form"
        );
    }

    let body = r#"{"name":"x","mode":"signature","secret":"whsec_c2hvcnQ="}"#;
    let refused = server.call("POST", "/api/v1/sources", body);

    assert!(
        refused.status == 400 && refused.body.contains("whsec_"),
        "{}: {}",
        refused.status,
        refused.body
    );
}

/// A process that locks the database until it is released.
struct Holder(std::process::Child);

impl Holder {
    /// Locks the tables of events and heartbeats, as a hanging server does.
    fn hold(engine: &Engine, server: &Server) -> Self {
        use std::io::{BufRead, BufReader, Write};

        let mut command = match engine {
            Engine::Sqlite => {
                let file = server.folder.path().join("quickdraw-data/quickdraw.db");
                let mut python = Command::new("python3");
                python.arg("-c").arg(
                    "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                     c.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\nsys.stdin.readline()\nc.execute('ROLLBACK')",
                );

                python.arg(file);
                python
            }

            Engine::Postgres(url) => {
                let mut psql = Command::new("psql");
                psql.args([url, "-Atq"]);
                psql
            }
        };

        let piped = std::process::Stdio::piped;
        let mut child = command.stdin(piped()).stdout(piped()).spawn().expect("it starts");

        if matches!(engine, Engine::Postgres(_)) {
            let schema = &server.schema;
            let sql =
                format!("BEGIN; LOCK TABLE {schema}.events, {schema}.nodes IN ACCESS EXCLUSIVE MODE; SELECT 'held';\n");

            child
                .stdin
                .as_mut()
                .expect("piped")
                .write_all(sql.as_bytes())
                .expect("it reads its input");
        }

        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped"))
            .read_line(&mut said)
            .expect("a line");
        assert_eq!(said.trim(), "held");

        Self(child)
    }

    fn let_go(mut self) {
        // Both processes end with their input, and psql rolls back its transaction.
        drop(self.0.stdin.take());
        self.0.wait().expect("it ends");
    }
}

pub(crate) fn a_hanging_database_gives_503_and_is_logged_once(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__DATABASE__ANSWER_WITHIN", "500ms")]);
    server.make_project();

    let post = |key: &str| {
        let token = ("X-Gitlab-Token", crate::server::SECRET);
        let headers = [token, ("X-Gitlab-Event", "Push Hook"), ("Idempotency-Key", key)];

        send(
            server.port,
            "POST",
            "/api/v1/webhooks/gitlab",
            &headers,
            br#"{"object_kind":"push"}"#,
        )
        .expect("an answer")
    };

    let ready = || send(server.port, "GET", "/api/v1/ready", &[], b"").expect("an answer");
    assert_eq!(post("before").status, 200);

    let holder = Holder::hold(&engine, &server);
    let refused = post("meanwhile");

    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("5")),
        "{}",
        refused.body
    );

    assert_eq!(post("meanwhile").status, 503);
    eventually("the server is not ready", || ready().status == 503);

    let parts = ready().json()["parts"].clone();
    assert_eq!(
        (&parts[0]["name"], &parts[0]["is_healthy"]),
        (&json!("store"), &json!(false)),
        "{parts}"
    );

    assert!(
        parts[0]["failing_since"].is_string() && parts[0]["last_error"].is_string(),
        "{parts}"
    );

    // The health endpoint does not wait for the database; it shows the result of the last periodic check.
    let health = || send(server.port, "GET", "/api/v1/health", &[], b"").expect("an answer");
    eventually("health shows the failure too", || {
        health().status == 200 && health().json()["parts"][0]["is_healthy"] == false
    });
    holder.let_go();
    eventually("the server is ready", || ready().status == 200);
    eventually("the request is accepted", || post("meanwhile").status == 200);

    let events = server.get("/api/v1/events?trigger=push_hooks")["items"]
        .as_array()
        .expect("a list")
        .clone();

    assert_eq!(
        events.len(),
        2,
        "the repeated request is a duplicate of the one that was committed late: {events:?}"
    );

    eventually("the end of the outage is logged", || {
        server.output().contains("the store answers again")
    });

    let said = server.output();
    assert_eq!(said.matches("failures are counted from here on").count(), 1, "{said}");

    assert!(
        !said.contains("a step failed") && !said.contains("failed to commit"),
        "{said}"
    );
}

pub(crate) fn printed_urls_can_be_called_and_pushes_have_a_user(engine: Engine) {
    let mut server = Server::new(&engine);
    let port = server.port;
    server.set("QUICKDRAW_LISTEN", &format!("0.0.0.0:{port}"));
    server.set("QUICKDRAW_ROOT_TOKEN", TOKEN);
    server.restart();

    let output = server.output();
    assert!(
        output.contains(&format!(
            "GitLab posts to http://127.0.0.1:{port}/api/v1/webhooks/gitlab"
        )),
        "{output}"
    );

    assert!(
        output.contains("QUICKDRAW_EXTERNAL_URL") && !output.contains("0.0.0.0"),
        "{output}"
    );

    let source = server.call("POST", "/api/v1/sources", r#"{"name":"x"}"#).json();
    let url = source["url"].as_str().expect("a URL");
    assert!(url.starts_with(&format!("http://127.0.0.1:{port}/")), "{url}");

    assert_eq!(
        send(port, "GET", "/api/v1/health", &[], b"").expect("an answer").status,
        200
    );

    server.make_project();

    let folder = server.folder.path();
    let (bare, work) = (folder.join("rope.git"), folder.join("rope"));
    git(folder, &["init", "-q", "--bare", "rope.git"]);

    let installed = Command::new(BINARY)
        .args([
            "git-hook",
            "install",
            bare.to_str().expect("UTF-8"),
            "--project",
            "gear/rope",
        ])
        .args(["--url", &format!("http://127.0.0.1:{port}"), "--token", TOKEN])
        .status();
    assert!(installed.expect("it runs").success());
    git(folder, &["clone", "-q", "rope.git", "rope"]);
    git(&work, &["checkout", "-q", "-B", "main"]);
    commit(&work, "file", "text\n", "Add a file");

    let pushed = Command::new("git")
        .args(["push", "-q", "origin", "main"])
        .current_dir(&work)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", folder)
        .env_remove("REMOTE_USER")
        .env("USER", "")
        .env_remove("LOGNAME")
        .status();
    assert!(pushed.expect("git runs").success());

    let name = Command::new("id").arg("-un").output().expect("id runs");
    let name = String::from_utf8_lossy(&name.stdout).trim().to_owned();
    let events = || server.get("/api/v1/events?trigger=push_hooks")["items"].clone();
    eventually("the push is reported", || events()[0]["id"].is_string());

    let id = events()[0]["id"].as_str().expect("an id").to_owned();
    let event = server.get(&format!("/api/v1/events/{id}"));
    assert_eq!(event["payload"]["user_username"], json!(name), "{event}");
}
