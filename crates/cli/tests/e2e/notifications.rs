//! Notifications: news about webhooks and sources that people get by mail and in chats.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::Check;
use crate::answers::check_shows;
use crate::health::Rejected;
use crate::http::{Sink, eventually, stays};
use crate::mailbox::Mailbox;
use crate::server::{Engine, Server};

pub(crate) const CHECKS: &[(&str, Check)] = checks![
    self::a_mail_says_why_a_webhook_is_disabled,
    self::a_mail_says_that_a_webhook_is_called_again,
    self::a_chat_gets_a_message_in_its_own_form,
    self::a_rule_of_a_group_covers_its_projects,
    self::news_is_sent_once_despite_a_crash,
    self::news_is_sent_by_one_of_two_nodes,
    self::a_message_that_fails_is_tried_again,
    self::a_digest_waits_for_its_time,
    self::a_large_backlog_is_news,
    self::a_silent_source_is_news,
    self::silent_mode_is_news,
    self::a_test_shows_its_result,
    self::a_refused_recipient_does_not_keep_the_mail_from_others,
    self::impossible_rules_are_refused,
    self::a_change_keeps_the_url_of_the_chat,
    self::a_project_has_at_most_fifty_rules,
];

const RULES: &str = "/api/v1/notifications";

/// The settings of a server with a mailbox, and further ones.
fn settings<'a>(mailbox: &'a [(&'static str, String)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut settings: Vec<(&str, &str)> = mailbox.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.extend(more);
    settings
}

/// A server with a project, whose mails go to a mailbox.
fn server(engine: &Engine, mailbox: &Mailbox) -> Server {
    let server = Server::start(engine, &settings(&mailbox.settings(), &[]));
    server.make_project();
    server
}

/// A project with a hook whose receiver rejects requests, and a mailbox.
fn rejected(engine: &Engine) -> (Rejected, Mailbox) {
    let mailbox = Mailbox::start();
    let rejected = Rejected::start(engine, &settings(&mailbox.settings(), &[]), r#","name":"rope hook""#);
    (rejected, mailbox)
}

/// Creates a mail rule with some kinds of news, and returns its path.
fn make_rule(server: &Server, kinds: &[&str], more: &Value) -> String {
    let mut rule = json!({ "name": "on call", "kinds": kinds, "channel": "mail", "to": ["ida@example.com"] });
    for (name, value) in more.as_object().into_iter().flatten() {
        rule[name] = value.clone();
    }

    let made = server.create(RULES, &rule);
    format!("{RULES}/{}", made["id"])
}

pub(crate) fn a_mail_says_why_a_webhook_is_disabled(engine: Engine) {
    let (rejected, mailbox) = rejected(&engine);
    make_rule(&rejected.server, &["hook_disabled"], &json!({ "project": "gear/rope" }));
    rejected.disable();
    eventually("the mail arrives", || mailbox.mails().len() == 1);

    let mail = &mailbox.mails()[0];
    let id = &rejected.hook["id"];
    assert_eq!(mail.to, ["ida@example.com"]);
    assert_eq!(mail.header("From"), "quickdraw@example.com");
    assert_eq!(
        mail.header("Subject"),
        format!("[Quickdraw] Webhook {id} of gear/rope is disabled")
    );
    assert_eq!(mail.header("Auto-Submitted"), "auto-generated");

    let port = rejected.server.port;
    for part in [
        "\"rope hook\" (127.0.0.1:".to_owned(),
        "4 failures in a row, the last: rejected (404)".to_owned(),
        format!("http://127.0.0.1:{port}/gear/rope/-/hooks/{id}"),
    ] {
        assert!(mail.text.replace("=\n", "").contains(&part), "{part}: {}", mail.text);
    }
}

pub(crate) fn a_mail_says_that_a_webhook_is_called_again(engine: Engine) {
    let (rejected, mailbox) = rejected(&engine);
    let rule = make_rule(&rejected.server, &["hook_disabled", "hook_enabled"], &json!({}));
    rejected.disable();
    eventually("the first mail arrives", || mailbox.mails().len() == 1);

    rejected.repair();
    rejected.test();
    eventually("the second mail arrives", || mailbox.mails().len() == 2);
    assert!(mailbox.mails()[1].header("Subject").ends_with("is called again"));
    stays("each change is one mail", || mailbox.mails().len() == 2);

    let messages = rejected.server.get(&format!("{rule}/messages"))["items"].clone();
    let results: Vec<&Value> = messages
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| &one["result"])
        .collect();
    assert_eq!(results, ["sent", "sent"]);
}

/// Checks the place of the text in the message that a chat gets.
fn check_chat(server: &Server, chat: &str, pointer: &str, text: &str) {
    let sink = Sink::start(|_| Some(200));
    let rule = json!({ "name": "chat", "kinds": ["silent_mode"], "channel": chat, "url": sink.url() });
    let rule = server.create(RULES, &rule);
    check_shows(&rule, &json!({ "channel": chat, "url_host": "127.0.0.1", "to": [] }));

    let test = format!("{RULES}/{}/test", rule["id"]);
    server.call("POST", &test, "").check(201);

    let got = sink.got().remove(0);
    let body: Value = serde_json::from_slice(&got.body).expect("JSON");
    let found = body.pointer(pointer).and_then(Value::as_str).expect("a text");
    assert!(found.contains(text), "{found}");
}

pub(crate) fn a_chat_gets_a_message_in_its_own_form(engine: Engine) {
    let server = Server::start(&engine, &[]);
    check_chat(&server, "slack", "/text", "This is a test.");
    check_chat(&server, "mattermost", "/text", "This is a test.");
    check_chat(
        &server,
        "teams",
        "/attachments/0/content/body/0/inlines/0/text",
        "This is a test.",
    );
}

pub(crate) fn a_rule_of_a_group_covers_its_projects(engine: Engine) {
    let (rejected, mailbox) = rejected(&engine);
    let server = &rejected.server;
    server.create("/api/v4/groups", &json!({ "name": "Other", "path": "other" }));
    make_rule(server, &["hook_disabled"], &json!({ "group": "gear" }));
    let other = make_rule(server, &["hook_disabled"], &json!({ "group": "other" }));

    rejected.disable();
    eventually("the mail arrives", || mailbox.mails().len() == 1);
    check_shows(&server.get(&other), &json!({ "pending": 0, "last_sent_at": null }));
}

/// A mail server that refuses mails until the flag is set.
fn absent_mailbox() -> (Mailbox, Arc<AtomicBool>) {
    let is_back = Arc::new(AtomicBool::new(false));
    let known = is_back.clone();
    let mailbox = Mailbox::scripted(move |line| {
        let refuses = line.starts_with("MAIL") && !known.load(Ordering::Relaxed);
        refuses.then(|| "451 try again later".to_owned())
    });

    (mailbox, is_back)
}

pub(crate) fn news_is_sent_once_despite_a_crash(engine: Engine) {
    let (mailbox, is_back) = absent_mailbox();
    let mut rejected = Rejected::start(&engine, &settings(&mailbox.settings(), &[]), "");
    let rule = make_rule(&rejected.server, &["hook_disabled"], &json!({}));

    rejected.disable();
    eventually("the news waits", || {
        rejected.server.get(&rule)["failures"].as_u64() > Some(0)
    });
    rejected.server.kill();
    is_back.store(true, Ordering::Relaxed);
    rejected.server.restart();

    eventually("the mail arrives", || mailbox.mails().len() == 1);
    eventually("the result is recorded", || rejected.server.get(&rule)["pending"] == 0);
    stays("it arrives once", || mailbox.mails().len() == 1);
}

pub(crate) fn news_is_sent_by_one_of_two_nodes(engine: Engine) {
    let (rejected, mailbox) = rejected(&engine);
    if matches!(engine, Engine::Sqlite) {
        // A database of SQLite has one node.
        return;
    }

    let mut other = rejected.server.other_node(&engine);
    for (name, value) in mailbox.settings() {
        other.set(name, &value);
    }
    other.set("QUICKDRAW_ROOT_TOKEN", crate::server::TOKEN);
    other.restart();

    make_rule(&rejected.server, &["hook_disabled", "hook_enabled"], &json!({}));
    rejected.disable();
    eventually("the mail arrives", || mailbox.mails().len() == 1);

    rejected.repair();
    rejected.test();
    eventually("the second mail arrives", || mailbox.mails().len() == 2);
    stays("no node repeats it", || mailbox.mails().len() == 2);
}

pub(crate) fn a_message_that_fails_is_tried_again(engine: Engine) {
    let (mailbox, is_back) = absent_mailbox();
    let server = server(&engine, &mailbox);
    let rule = make_rule(&server, &["silent_mode"], &json!({}));
    server
        .call("PUT", "/api/v4/application/settings", r#"{"silent_mode_enabled":true}"#)
        .check(200);

    eventually("the failure is shown", || {
        let error = server.get(&rule)["last_error"].clone();
        error
            .as_str()
            .is_some_and(|error| error.contains("451") && error.contains("try again later"))
    });
    check_shows(&server.get(&rule), &json!({ "pending": 1, "last_sent_at": null }));
    assert!(server.get(&rule)["next_attempt_at"].is_string());

    is_back.store(true, Ordering::Relaxed);
    eventually("the mail arrives", || mailbox.mails().len() == 1);
    eventually("the error is gone", || server.get(&rule)["last_error"].is_null());

    let output = server.output();
    assert!(output.contains("failed to send a notification"), "{output}");
    assert!(!output.contains("ida@example.com"), "{output}");
}

pub(crate) fn a_digest_waits_for_its_time(engine: Engine) {
    let (rejected, mailbox) = rejected(&engine);
    let more = json!({ "digest": "daily", "hour": 3, "zone": "Europe/Berlin" });
    let rule = make_rule(&rejected.server, &["hook_disabled"], &more);
    check_shows(&rejected.server.get(&rule), &more);

    rejected.disable();
    eventually("the news waits", || rejected.server.get(&rule)["pending"] == 1);
    stays("nothing is sent", || mailbox.mails().is_empty());

    let quiet = rejected
        .server
        .call("PUT", &rule, r#"{"active":false}"#)
        .check(200)
        .json();
    check_shows(&quiet, &json!({ "active": false, "pending": 0 }));
}

pub(crate) fn a_large_backlog_is_news(engine: Engine) {
    let mailbox = Mailbox::start();
    let server = server(&engine, &mailbox);
    let sink = Sink::start(|_| Some(200));
    let hook = server.make_hook(&sink.url(), r#","paused":true"#);
    make_rule(&server, &["hook_backlog"], &json!({ "backlog_above": 3 }));

    for number in 0..5 {
        server.report(number).expect("accepted");
    }
    eventually("the mail arrives", || mailbox.mails().len() == 1);
    assert!(
        mailbox.mails()[0]
            .header("Subject")
            .contains("more than 3 waiting deliveries")
    );

    let path = format!("/api/v4/projects/1/hooks/{}", hook["id"]);
    server.call("PUT", &path, r#"{"paused":false}"#).check(200);
    eventually("the end of the backlog is news", || mailbox.mails().len() == 2);
}

/// Moves the requests that sources remember into the past, by about eleven days.
fn age_requests(engine: &Engine, server: &Server) {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    // The times are microseconds, whose first four digits stand for that time.
    let digits = now.as_secs() / 1_000_000;
    let statement = format!(
        "UPDATE source_requests SET requests = replace(requests, '\"at\":{digits}', '\"at\":{}')",
        digits - 1
    );

    let mut command = match engine {
        Engine::Sqlite => {
            let script = "import sqlite3, sys\nsqlite3.connect(sys.argv[1], isolation_level=None).execute(sys.argv[2])";
            let mut python = Command::new("python3");
            python.args(["-c", script]);
            python.arg(server.folder.path().join("quickdraw-data/quickdraw.db"));
            python.arg(statement);
            python
        }
        Engine::Postgres(url) => {
            let mut psql = Command::new("psql");
            psql.args([url, "-q", "-v", "ON_ERROR_STOP=1", "-c"]);
            psql.arg(format!("SET search_path TO {}; {statement}", server.schema));
            psql
        }
    };
    assert!(command.status().expect("it runs").success());
}

pub(crate) fn a_silent_source_is_news(engine: Engine) {
    let mailbox = Mailbox::start();
    let mut server = server(&engine, &mailbox);
    let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "project": { "id": 7, "path_with_namespace": "a/b" } });
    for number in 0..12 {
        server.receive("Push Hook", &format!("key-{number}"), &body);
    }

    // A stop writes the requests down.
    server.terminate();
    age_requests(&engine, &server);
    server.restart();

    make_rule(&server, &["source_silent"], &json!({ "silent_hours": 1 }));
    eventually("the mail arrives", || mailbox.mails().len() == 1);
    let mail = mailbox.mails().remove(0);
    assert!(
        mail.text
            .replace("=\n", "")
            .contains("The source \"default\" has accepted no request since"),
        "{mail:?}"
    );

    server.receive("Push Hook", "key-later", &body);
    eventually("the end of the silence is news", || mailbox.mails().len() == 2);
}

pub(crate) fn silent_mode_is_news(engine: Engine) {
    let mailbox = Mailbox::start();
    let server = server(&engine, &mailbox);
    make_rule(&server, &["silent_mode"], &json!({ "project": "gear/rope" }));

    server
        .call("PUT", "/api/v4/application/settings", r#"{"silent_mode_enabled":true}"#)
        .check(200);
    eventually("the mail arrives although silent mode is on", || {
        mailbox.mails().len() == 1
    });
    assert_eq!(mailbox.mails()[0].header("Subject"), "[Quickdraw] Silent mode is on");
}

pub(crate) fn a_test_shows_its_result(engine: Engine) {
    let mailbox = Mailbox::scripted(|line| line.contains("gone@").then(|| "550 no such user".to_owned()));
    let server = server(&engine, &mailbox);
    let rule = make_rule(&server, &["hook_failing"], &json!({}));
    let test = format!("{rule}/test");

    let sent = server.call("POST", &test, "").check(201).json();
    check_shows(
        &sent,
        &json!({ "result": "sent", "news": 0, "subject": "[Quickdraw] Test of a notification" }),
    );
    assert_eq!(mailbox.mails().len(), 1);

    server.call("PUT", &rule, r#"{"to":["gone@example.com"]}"#).check(200);
    server.call("POST", &test, "").check_says(422, "550 no such user");

    let messages = server.get(&format!("{rule}/messages"))["items"].clone();
    check_shows(&messages[0], &json!({ "result": "failed", "news": 0 }));
}

pub(crate) fn a_refused_recipient_does_not_keep_the_mail_from_others(engine: Engine) {
    let mailbox = Mailbox::scripted(|line| line.contains("gone@").then(|| "550 no such user".to_owned()));
    let server = server(&engine, &mailbox);
    let to = json!({ "to": ["gone@example.com", "ida@example.com"] });
    let rule = make_rule(&server, &["hook_failing"], &to);

    let sent = server.call("POST", &format!("{rule}/test"), "").check(201).json();
    let error = sent["error"].as_str().expect("a text");
    assert!(error.contains("gone@example.com: 550"), "{error}");
    assert_eq!(mailbox.mails()[0].to, ["ida@example.com"]);
}

/// Checks that a rule with another value of a field is refused, and that the field is named.
fn check_refused(server: &Server, field: &str, value: Value, status: u16, words: &str) {
    let mut rule = json!({ "name": "n", "kinds": ["hook_failing"], "channel": "mail", "to": ["ida@example.com"] });
    rule[field] = value;

    let reply = server.call("POST", RULES, &rule.to_string()).check(status).json();
    let detail = reply["errors"][0]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(words), "{words}: {reply}");
}

pub(crate) fn impossible_rules_are_refused(engine: Engine) {
    let mailbox = Mailbox::start();
    let domains = [("QUICKDRAW__MAIL__RECIPIENT_DOMAINS", "[\"example.com\"]")];
    let server = Server::start(&engine, &settings(&mailbox.settings(), &domains));
    server.make_project();

    check_refused(
        &server,
        "kinds",
        json!([]),
        422,
        "kinds is empty; choose at least one of",
    );
    check_refused(
        &server,
        "kinds",
        json!(["hook_failin"]),
        400,
        "did you mean hook_failing?",
    );
    check_refused(&server, "to", json!([]), 422, "to must have 1 to 10 mail addresses");
    check_refused(&server, "to", json!(["ida"]), 422, "which is not a mail address");
    check_refused(
        &server,
        "to",
        json!(["ida@example.org"]),
        422,
        "mails go to these domains only: example.com",
    );
    check_refused(
        &server,
        "url",
        json!("https://chat.example.com/x"),
        422,
        "url is for chats",
    );
    check_refused(&server, "hour", json!(8), 422, "hour needs the digest daily");
    check_refused(
        &server,
        "silent_hours",
        json!(0),
        400,
        "silent_hours must be a whole number from 1 to 720",
    );
    check_refused(&server, "backlog_above", json!(100_001), 400, "backlog_above must be");

    let of_project = json!({ "name": "n", "project": "gear/rope", "kinds": ["source_silent"], "channel": "slack",
        "url": "http://127.0.0.1/x" });
    let reply = server.call("POST", RULES, &of_project.to_string());
    reply.check_says(422, "only rules of the instance can have");

    let metadata =
        json!({ "name": "n", "kinds": ["hook_failing"], "channel": "slack", "url": "http://169.254.169.254/x" });
    server
        .call("POST", RULES, &metadata.to_string())
        .check_says(422, "url is blocked by rule metadata");

    let without = Server::start(&engine, &[]);
    check_refused(&without, "name", json!("n"), 422, "no mail server is set");
}

pub(crate) fn a_change_keeps_the_url_of_the_chat(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let sink = Sink::start(|_| Some(200));
    let rule = json!({ "name": "chat", "kinds": ["silent_mode"], "channel": "slack", "url": sink.url() });
    let path = format!("{RULES}/{}", server.create(RULES, &rule)["id"]);

    let changed = server
        .call("PUT", &path, r#"{"name":"nights","channel":"mattermost"}"#)
        .check(200)
        .json();
    check_shows(
        &changed,
        &json!({ "name": "nights", "channel": "mattermost", "url_host": "127.0.0.1" }),
    );
    assert!(!changed.to_string().contains("/in"), "{changed}");

    server.call("POST", &format!("{path}/test"), "").check(201);
    assert_eq!(sink.got().len(), 1);

    server.call("DELETE", &path, "").check(204);
    server
        .call("GET", &path, "")
        .check_says(404, "there is no notification rule with this id");
}

pub(crate) fn a_project_has_at_most_fifty_rules(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let rule = json!({ "name": "n", "project": "gear/rope", "kinds": ["hook_failing"], "channel": "slack",
        "url": "http://127.0.0.1/x" });
    for _ in 0..50 {
        server.create(RULES, &rule);
    }

    let reply = server.call("POST", RULES, &rule.to_string());
    reply.check_says(422, "the maximum of 50 notification rules is reached");

    let first = server.get(&format!("{RULES}?project=gear%2Frope&limit=30"));
    let next = first["next"].as_str().expect("there are more").to_owned();
    let last = server.get(&format!("{RULES}?project=gear%2Frope&limit=30&before={next}"));
    let count = |page: &Value| page["items"].as_array().map_or(0, Vec::len);
    assert_eq!((count(&first), count(&last), &last["next"]), (30, 20, &Value::Null));
}
