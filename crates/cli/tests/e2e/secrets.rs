//! Secrets: no answer, history or database shows one, whatever a receiver echoes and whatever fails.

use serde_json::{Value, json};

use crate::commands::output_of;
use crate::gitlab::DEFAULT;
use crate::http::{Reply, Sink, check_parts, send};
use crate::server::{Engine, SECRET, Server, TOKEN};

/// A server with fixed secrets that does not run yet.
fn prepare(engine: &Engine) -> Server {
    let mut server = Server::new(engine);
    server.set("GITLAB_WEBHOOK_SECRET", SECRET);
    server.set("QUICKDRAW_ROOT_TOKEN", TOKEN);

    server
}

/// Checks that a command refuses a setting with these words, and does not print the value.
fn check_refused(server: &Server, arguments: &[&str], name: &str, value: &str, words: &str) {
    let output = server.command(arguments).env(name, value).output().expect("it ran");
    let said = output_of(&output);
    let refused = !output.status.success() && said.contains(words);
    assert!(refused, "{name} {arguments:?}: {said}");
    assert!(!said.contains("canary"), "{said}");
}

pub(crate) fn secrets_that_do_not_fit_into_a_header_are_refused_at_the_start(engine: Engine) {
    let server = prepare(&engine);
    for (name, value, words) in [
        (
            "GITLAB_WEBHOOK_SECRET",
            "canary-secret\n",
            "source.secret contains a line break",
        ),
        (
            "GITLAB_WEBHOOK_SECRET",
            " canary-secret ",
            "source.secret begins or ends with a blank",
        ),
        ("GITLAB_WEBHOOK_SIGNING_TOKEN", "canary-token", "source.signing_token"),
        (
            "QUICKDRAW_ROOT_TOKEN",
            "canary-of-the-administrator\n",
            "server.root_token contains a line break",
        ),
    ] {
        check_refused(&server, &["config", "check"], name, value, words);
        check_refused(&server, &["doctor"], name, value, words);
        check_refused(&server, &["serve"], name, value, words);
    }
}

/// Runs `config check` with another setting for the secret. Returns its success and its output.
fn check_config(server: &Server, name: &str, value: &str) -> (bool, String) {
    let mut command = server.command(&["config", "check"]);
    command.env_remove("GITLAB_WEBHOOK_SECRET").env(name, value);

    let output = command.output().expect("it ran");

    (output.status.success(), output_of(&output))
}

pub(crate) fn a_secret_in_a_file_is_checked_too(engine: Engine) {
    let server = prepare(&engine);
    let file = server.folder.path().join("secret");
    std::fs::write(&file, "canary-in-a-file \n").expect("written");

    let (accepted, said) = check_config(&server, "GITLAB_WEBHOOK_SECRET_FILE", &file.to_string_lossy());
    assert!(!accepted && said.contains("source.secret begins or ends"), "{said}");
}

pub(crate) fn a_secret_of_digits_is_text(engine: Engine) {
    let server = prepare(&engine);
    let (accepted, said) = check_config(&server, "QUICKDRAW__SOURCE__SECRET", "12345678");
    assert!(accepted, "{said}");
}

pub(crate) fn the_secret_and_the_body_limit_of_a_new_source_are_checked(engine: Engine) {
    let mut server = prepare(&engine);
    server.restart();

    let make = |body: &str| server.call("POST", "/api/v1/sources", body);

    make(r#"{"secret":" blank-at-the-ends"}"#).check_says(400, "begins or ends with a blank");
    make(r#"{"body_limit":26214401}"#).check_says(400, "body_limit");

    let usual = make(r#"{"name":"usual"}"#).check(201).json();
    check_parts(&usual, json!({ "body_limit": 26_214_400 }));
}

pub(crate) fn a_hook_cannot_call_its_own_server(engine: Engine) {
    let mut server = prepare(&engine);
    server.set("QUICKDRAW_LISTEN", &format!("0.0.0.0:{}", server.port));
    server.set("QUICKDRAW_ALLOW_LOCAL_NETWORKS", "false");
    server.restart();
    server.make_project();

    let make = |url: String| {
        let body = json!({ "url": url }).to_string();
        server.call("POST", "/api/v4/projects/1/hooks", &body)
    };

    let own = format!("http://127.0.0.1:{}{DEFAULT}", server.port);
    make(own).check_says(422, "rule own_address");

    let other = format!("http://127.0.0.1:{}/", server.port ^ 1);
    make(other).check_says(422, "rule loopback");
}

pub(crate) fn the_audit_log_lists_reads_of_bodies_with_the_client(engine: Engine) {
    let server = Server::start(&engine, &[("QUICKDRAW__SERVER__TRUSTED_PROXIES", r#"["127.0.0.1"]"#)]);
    server.make_project();

    let hook = server.make_hook("https://example.com/in", "");
    let event = format!("/api/v1/events/{}", server.report(1).expect("accepted"));
    let log = format!("/api/v4/projects/1/hooks/{}/events", hook["id"]);

    let headers = [("PRIVATE-TOKEN", TOKEN), ("X-Forwarded-For", "192.0.2.6, 203.0.113.9")];
    for path in [&event, &log, &event, &log] {
        let read = send(server.port, "GET", path, &headers, b"").expect("an answer");
        read.check(200);
    }

    let audit = server.get("/api/v1/audit?limit=2");
    for (at, path) in [&log, &event].into_iter().enumerate() {
        check_parts(
            &audit["items"][at],
            json!({ "path": path, "method": "GET", "status": 200, "address": "203.0.113.9" }),
        );
    }
}

/// Checks that the system writes no core file for the process, if it shows the limit.
fn check_limit_of_cores(server: &Server) {
    let Ok(limits) = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())) else {
        return;
    };

    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let limit = core.unwrap_or_default().split_whitespace().nth(4);
    assert_eq!(limit, Some("0"), "{limits}");
}

pub(crate) fn a_process_that_aborts_leaves_no_core(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    server.make_project();
    server.make_hook("https://example.com/in", r#","token":"canary-in-core""#);
    check_limit_of_cores(&server);
    server.abort();

    for file in std::fs::read_dir(server.folder.path()).expect("a folder").flatten() {
        let name = file.file_name();
        assert!(!name.to_string_lossy().starts_with("core"), "{name:?}");
    }
}

pub(crate) fn two_different_tokens_are_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let ask = |bearer: &str| {
        let headers = [("PRIVATE-TOKEN", TOKEN), ("Authorization", bearer)];
        send(server.port, "GET", "/api/v4/projects", &headers, b"").expect("an answer")
    };

    ask(&format!("Bearer {TOKEN}")).check(200);
    ask("Bearer another").check_says(401, "different tokens");
}

pub(crate) fn a_form_that_is_not_text_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let body = b"url=https://example.com/&name=%ff%fe";
    let headers = [("PRIVATE-TOKEN", TOKEN), form];
    let broken = send(server.port, "POST", "/api/v4/projects/1/hooks", &headers, body);
    let broken = broken.expect("an answer").check(400).json();

    assert_eq!(broken["error"], "name is not valid UTF-8");
}

pub(crate) fn a_header_with_two_different_values_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    for name in ["webhook-id", "webhook-timestamp", "X-Gitlab-Event", "X-Gitlab-Instance"] {
        let post = |one: &str, two: &str| -> Reply {
            let headers = [("X-Gitlab-Token", SECRET), (name, one), (name, two)];
            let reply = send(server.port, "POST", DEFAULT, &headers, br#"{"object_kind":"push"}"#);
            reply.expect("an answer")
        };

        post("1", "2").check_says(400, "twice");
        post("1", "1").check(200);
    }

    let report = br#"{"trigger":"push_hooks","payload":{"object_kind":"push"}}"#;
    let keys = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    let headers = [("PRIVATE-TOKEN", TOKEN), keys[0], keys[1]];
    let reply = send(server.port, "POST", "/api/v1/projects/1/events", &headers, report);

    reply.expect("an answer").check(400);
}

pub(crate) fn a_template_is_checked_when_it_is_saved(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let save = |template: &str| {
        let body = json!({ "url": "https://example.com/", "custom_webhook_template": template });
        server.call("POST", "/api/v4/projects/1/hooks", &body.to_string())
    };

    save("hello {{ref}}").check_says(422, "custom_webhook_template is not JSON");

    let odd = save(r#"{"a":"{{ ref }}"}"#).check(201).json();
    assert!(odd["warnings"][0].to_string().contains("write {{ref}}"), "{odd}");

    let usual = save(r#"{"a":"{{ref}}"}"#).check(201).json();
    assert!(usual["warnings"].is_null(), "{usual}");
}

/// A server with a hook that calls a masked host, and a hook whose receiver repeats its request in the answer.
struct Scene {
    server: Server,
    masked: Value,
    echoing: Value,
    _sink: Sink,
}

impl Scene {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[("QUICKDRAW__DELIVERY__TIMEOUT", "2s")]);
        server.make_project();

        let variable = r#","url_variables":[{"key":"v","value":"canary-in-host"}]"#;
        let masked = server.make_hook("http://{v}.nowhere.example/", variable);

        let sink = Sink::echo();
        let secrets = r#","token":"canary token","custom_headers":[{"key":"X-Api","value":"Bearer canary-bearer"}]"#;
        let url = format!("http://canary%2Fname:canary%21word@127.0.0.1:{}/in", sink.port);
        let echoing = server.make_hook(&url, secrets);

        Self {
            masked: masked["id"].clone(),
            echoing: echoing["id"].clone(),
            server,
            _sink: sink,
        }
    }

    /// Tests a hook and returns the answer.
    fn test(&self, hook: &Value) -> Reply {
        let path = format!("/api/v4/projects/1/hooks/{hook}/test/push_events");
        self.server.call("POST", &path, "")
    }

    fn attempts(&self, hook: &Value) -> Value {
        self.server.get(&format!("/api/v1/attempts?hook={hook}"))
    }
}

pub(crate) fn answers_logs_and_files_show_no_secret(engine: Engine) {
    let mut scene = Scene::start(&engine);
    for hook in [&scene.masked, &scene.echoing] {
        let test = scene.test(hook);
        assert!(!test.body.contains("canary"), "{}", test.body);

        let log = scene.server.get(&format!("/api/v4/projects/1/hooks/{hook}/events"));
        assert_eq!(log.as_array().map(Vec::len), Some(1), "{log}");
        assert!(!log.to_string().contains("canary"), "{log}");

        let attempts = scene.attempts(hook);
        assert!(!attempts.to_string().contains("canary"), "{attempts}");
    }

    let output = scene.server.output();
    assert!(!output.contains("canary"), "{output}");
    check_files(&mut scene.server);
}

/// Stops the server, and looks for secrets in the files of SQLite.
fn check_files(server: &mut Server) {
    server.terminate();
    let Ok(files) = std::fs::read_dir(server.folder.path().join("quickdraw-data")) else {
        return;
    };

    for file in files.flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        let found = bytes.windows(6).any(|window| window == b"canary");
        assert!(!found, "{:?} contains a secret in plain text", file.path());
    }
}

pub(crate) fn an_attempt_shows_its_error_and_its_answer_without_secrets(engine: Engine) {
    let scene = Scene::start(&engine);
    scene.test(&scene.masked);

    let attempts = scene.attempts(&scene.masked);
    assert!(attempts["items"][0]["error"].is_string(), "{attempts}");

    scene.test(&scene.echoing);

    let attempts = scene.attempts(&scene.echoing);
    let shown = attempts["items"][0]["response_body"].as_str().expect("a body");
    assert!(shown.contains("X-Gitlab-Token: [REDACTED]"), "{shown}");
    assert!(shown.contains("X-Api: [REDACTED]"), "{shown}");
}
