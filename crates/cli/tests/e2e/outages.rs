//! A database that hangs: requests get 503, nothing is lost, and the outage is logged once.

use std::process::Command;

use serde_json::{Value, json};

use crate::gitlab::{SENDER, Sender};
use crate::http::{Reply, check_parts, eventually, send};
use crate::server::{Engine, Server};

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

    fn release(mut self) {
        // Both processes end with their input, and psql rolls back its transaction.
        drop(self.0.stdin.take());
        self.0.wait().expect("it ends");
    }
}

/// A server whose database does not answer.
struct Outage {
    server: Server,
    holder: Holder,
}

impl Outage {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[("QUICKDRAW__DATABASE__ANSWER_WITHIN", "500ms")]);
        server.make_project();
        post(&server, "before").check(200);

        let holder = Holder::hold(engine, &server);
        Self { server, holder }
    }

    /// Waits until the server knows that the database does not answer.
    fn wait_until_noticed(&self) {
        eventually("the server is not ready", || ready(&self.server).status == 503);
    }

    fn end(self) -> Server {
        self.holder.release();
        eventually("the server is ready", || ready(&self.server).status == 200);
        self.server
    }
}

fn post(server: &Server, key: &str) -> Reply {
    let sender = Sender { instance: "", ..SENDER };
    sender.post(server, "Push Hook", key, br#"{"object_kind":"push"}"#)
}

fn ready(server: &Server) -> Reply {
    send(server.port, "GET", "/api/v1/ready", &[], b"").expect("an answer")
}

/// The database as a part of the server, with the status of the answer.
fn store(reply: &Reply) -> (u16, Value) {
    (reply.status, reply.json()["parts"][0].clone())
}

pub(crate) fn a_hanging_database_gives_503_and_loses_no_event(engine: Engine) {
    let outage = Outage::start(&engine);
    let refused = post(&outage.server, "meanwhile").check(503);
    assert_eq!(refused.header("retry-after"), Some("5"));
    post(&outage.server, "meanwhile").check(503);
    outage.wait_until_noticed();

    let server = outage.end();
    eventually("the request is accepted", || post(&server, "meanwhile").status == 200);

    // The repeated request is a duplicate of the one that was committed late.
    let events = server.get("/api/v1/events?trigger=push_hooks")["items"].clone();
    assert_eq!(events.as_array().map(Vec::len), Some(2), "{events}");
}

fn check_logged_once(server: &Server) {
    eventually("the end of the outage is logged", || {
        server.output().contains("the store answers again")
    });

    let output = server.output();
    let logged = output.matches("failures are counted from here on").count();
    assert_eq!(logged, 1, "{output}");
    assert!(!output.contains("a step failed"), "{output}");
    assert!(!output.contains("failed to commit"), "{output}");
}

/// The health endpoint does not wait for the database; it shows the result of the last periodic check.
pub(crate) fn an_outage_of_the_database_is_shown_and_logged_once(engine: Engine) {
    let outage = Outage::start(&engine);
    post(&outage.server, "meanwhile").check(503);
    post(&outage.server, "meanwhile").check(503);
    outage.wait_until_noticed();

    let (_, part) = store(&ready(&outage.server));
    check_parts(&part, json!({ "name": "store", "is_healthy": false }));
    assert!(part["failing_since"].is_string(), "{part}");
    assert!(part["last_error"].is_string(), "{part}");

    eventually("health shows the failure too", || {
        let health = send(outage.server.port, "GET", "/api/v1/health", &[], b"").expect("an answer");
        let (status, part) = store(&health);
        status == 200 && part["is_healthy"] == false
    });

    check_logged_once(&outage.end());
}
