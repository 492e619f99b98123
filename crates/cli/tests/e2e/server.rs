//! The server under test: a process in its own folder.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::http::{Reply, eventually, send};

pub(crate) const TOKEN: &str = "e2e-root-token-0123456789";
pub(crate) const SECRET: &str = "e2e-webhook-secret";
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_quickdraw");

static NEXT: AtomicU64 = AtomicU64::new(1);

/// The database of the server.
#[derive(Clone)]
pub(crate) enum Engine {
    Sqlite,
    Postgres(String),
}

pub(crate) struct Server {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,

    /// The schema on PostgreSQL.
    pub(crate) schema: String,
    settings: Vec<(String, String)>,
    child: Option<Child>,
}

impl Server {
    /// Prepares a server without starting it.
    pub(crate) fn new(engine: &Engine) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // The port makes the name unique even if the system gives a number of a process again.
        let schema = format!("e2e_{}_{port}_{number}", std::process::id());

        let mut server = Self {
            folder,
            port,
            schema,
            settings: Vec::new(),
            child: None,
        };
        // Commands must not find a profile of the user who runs the tests.
        let config = server.folder.path().join("config");
        server.set("XDG_CONFIG_HOME", config.to_str().expect("UTF-8"));
        server.set("QUICKDRAW_LISTEN", &format!("127.0.0.1:{port}"));
        server.set("QUICKDRAW_ALLOW_LOCAL_NETWORKS", "true");
        server.set("QUICKDRAW__TELEMETRY__LOG", "warn");
        server.set("QUICKDRAW__SOURCE__RATE_LIMIT", "off");
        server.set("QUICKDRAW__SOURCE__SENDER_RATE_LIMIT", "off");

        if let Engine::Postgres(url) = engine {
            let schema = &server.schema;
            let made = Command::new("psql")
                .args([url, "-q", "-c", &format!("CREATE SCHEMA {schema}")])
                .status();
            assert!(made.expect("psql runs").success());

            let glue = if url.contains('?') { '&' } else { '?' };
            server.set(
                "QUICKDRAW_DATABASE_URL",
                &format!("{url}{glue}options=-csearch_path%3D{schema}"),
            );

            server.set("QUICKDRAW_KEY", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
        }

        server
    }

    /// Prepares another node of this server's database on PostgreSQL, with a data folder of its own.
    pub(crate) fn other_node(&self, engine: &Engine) -> Self {
        let mut other = Self::new(engine);
        for name in ["QUICKDRAW_DATABASE_URL", "QUICKDRAW_KEY"] {
            let known = self.settings.iter().find(|(known, _)| known == name);
            let (_, value) = known.expect("a server on PostgreSQL");
            other.set(name, value);
        }

        other
    }

    /// Starts a server with fixed secrets.
    pub(crate) fn start(engine: &Engine, settings: &[(&str, &str)]) -> Self {
        let mut server = Self::new(engine);
        server.set("QUICKDRAW_ROOT_TOKEN", TOKEN);
        server.set("QUICKDRAW_TOKEN", TOKEN);
        server.set("GITLAB_TOKEN", "gitlab-token");
        server.set("GITLAB_WEBHOOK_SECRET", SECRET);

        for (name, value) in settings {
            server.set(name, value);
        }

        server.restart();
        server
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("RUST_BACKTRACE");

        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the server and waits until it is ready. Its output goes to a file.
    pub(crate) fn restart(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("out.log")).expect("a file");
        let errors = log.try_clone().expect("a file");

        let child = self
            .command(&["serve"])
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(errors))
            .spawn();
        self.child = Some(child.expect("it starts"));

        let port = self.port;
        eventually("the server is ready", || {
            send(port, "GET", "/api/v1/ready", &[], b"").is_ok_and(|reply| reply.status == 200)
        });
    }

    /// Anonymous memory of the process, in bytes, as Linux reports it.
    pub(crate) fn memory(&self) -> u64 {
        let id = self.child.as_ref().expect("it runs").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .expect("a line");
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number");

        kib << 10
    }

    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("out.log")).unwrap_or_default()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it runs");
            child.wait().expect("it ended");
        }
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let asked = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(asked.success());

        child.wait().expect("it ended").code()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Ends the process with SIGABRT, after lifting the limit of core dumps if the system allows it.
    pub(crate) fn abort(&mut self) {
        let mut child = self.child.take().expect("it runs");
        let id = child.id().to_string();
        let _ = Command::new("prlimit")
            .args(["--pid", &id, "--core=unlimited"])
            .status();
        let asked = Command::new("kill").args(["-ABRT", &id]).status().expect("kill runs");

        assert!(asked.success());
        child.wait().expect("it ended");
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &str) -> Reply {
        let headers = [("PRIVATE-TOKEN", TOKEN), ("Content-Type", "application/json")];
        send(self.port, method, path, &headers, body.as_bytes()).expect("an answer")
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let reply = self.call("GET", path, "");
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        reply.json()
    }

    /// Posts an event to the default source, as a GitLab does.
    pub(crate) fn receive(&self, event: &str, key: &str, body: &Value) {
        let headers = [
            ("X-Gitlab-Token", SECRET),
            ("X-Gitlab-Event", event),
            ("Idempotency-Key", key),
        ];

        let body = body.to_string();
        let reply = send(self.port, "POST", "/api/v1/webhooks/gitlab", &headers, body.as_bytes()).expect("an answer");
        assert_eq!(reply.status, 200, "{}", reply.body);
    }

    /// Creates the group `gear` with the project `rope`, which has id 1.
    pub(crate) fn make_project(&self) {
        let group = self.call("POST", "/api/v4/groups", r#"{"name":"Gear","path":"gear"}"#);
        assert_eq!(group.status, 201, "{}", group.body);

        let id = group.json()["id"].clone();
        let body = format!(r#"{{"name":"Rope","path":"rope","namespace_id":{id}}}"#);
        let project = self.call("POST", "/api/v4/projects", &body);
        assert_eq!(project.status, 201, "{}", project.body);
    }

    pub(crate) fn make_hook(&self, url: &str, more: &str) -> Value {
        let body = format!(r#"{{"url":"{url}","push_events":true,"tag_push_events":true{more}}}"#);
        let hook = self.call("POST", "/api/v4/projects/gear%2Frope/hooks", &body);
        assert_eq!(hook.status, 201, "{}", hook.body);

        hook.json()
    }

    /// Reports a push and returns the id of the event.
    pub(crate) fn report(&self, number: usize) -> std::io::Result<String> {
        let key = format!("report-{number}");
        let headers = [("PRIVATE-TOKEN", TOKEN), ("Idempotency-Key", key.as_str())];
        let body = format!(
            r#"{{"trigger":"push_hooks","payload":{{"object_kind":"push","ref":"refs/heads/main","number":{number}}}}}"#
        );

        let reply = send(
            self.port,
            "POST",
            "/api/v1/projects/1/events",
            &headers,
            body.as_bytes(),
        )?;
        if reply.status == 202 {
            return Ok(reply.json()["id"].as_str().expect("an id").to_owned());
        }

        Err(std::io::Error::other(format!(
            "answered {}: {}",
            reply.status, reply.body
        )))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Server {
    /// Calls the API with the token of a user.
    pub(crate) fn call_as(&self, token: &str, method: &str, path: &str, body: &str) -> Reply {
        let headers = [("PRIVATE-TOKEN", token), ("Content-Type", "application/json")];
        send(self.port, method, path, &headers, body.as_bytes()).expect("an answer")
    }

    /// Creates an object and returns it.
    #[track_caller]
    pub(crate) fn create(&self, path: &str, body: &Value) -> Value {
        self.call("POST", path, &body.to_string()).check(201).json()
    }

    /// The newest events without those of the instance and of groups that changes in the API fire.
    pub(crate) fn events_of_projects(&self) -> Vec<Value> {
        let list = self.get("/api/v1/events?limit=100");
        let events = list["items"].as_array().expect("a list").iter();
        let is_change = |event: &&Value| event["project_id"].is_null() && event["origin"] == "api";
        events.filter(|event| !is_change(event)).cloned().collect()
    }

    /// Reports an event of project 1 and returns the answer.
    #[track_caller]
    pub(crate) fn report_event(&self, report: &Value) -> Value {
        let reply = self.call("POST", "/api/v1/projects/1/events", &report.to_string());
        reply.check(202).json()
    }
}
