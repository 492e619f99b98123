//! Secrets: no answer, history or database shows one, whatever a receiver echoes and whatever fails.

use serde_json::json;

use crate::http::{Sink, send};
use crate::server::{Engine, SECRET, Server, TOKEN};

pub(crate) fn secrets_that_do_not_fit_into_a_header_are_refused_at_the_start(engine: Engine) {
    let mut server = Server::new(&engine);
    server.set("GITLAB_WEBHOOK_SECRET", SECRET);
    server.set("QUICKDRAW_ROOT_TOKEN", TOKEN);

    let file = server.folder.path().join("secret");
    std::fs::write(&file, "canary-in-a-file \n").expect("written");

    let file = file.to_string_lossy().into_owned();
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
        for arguments in [&["config", "check"][..], &["doctor"], &["serve"]] {
            let output = server.command(arguments).env(name, value).output().expect("it ran");
            let said = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(
                !output.status.success() && said.contains(words),
                "{name} {arguments:?}: {said}"
            );

            assert!(!said.contains("canary"), "{said}");
        }
    }

    let mut command = server.command(&["config", "check"]);
    let output = command
        .env_remove("GITLAB_WEBHOOK_SECRET")
        .env("GITLAB_WEBHOOK_SECRET_FILE", file)
        .output();
    let output = output.expect("it ran");

    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        !output.status.success() && said.contains("source.secret begins or ends"),
        "{said}"
    );

    // A secret of digits is read as text and not as a number.
    let mut command = server.command(&["config", "check"]);
    let output = command
        .env_remove("GITLAB_WEBHOOK_SECRET")
        .env("QUICKDRAW__SOURCE__SECRET", "12345678")
        .output();
    let output = output.expect("it ran");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.restart();

    let made = server.call("POST", "/api/v1/sources", r#"{"secret":" blank-at-the-ends"}"#);
    assert!(
        made.status == 400 && made.body.contains("begins or ends with a blank"),
        "{}",
        made.body
    );

    let made = server.call("POST", "/api/v1/sources", r#"{"name":"usual"}"#);
    assert_eq!(
        (made.status, &made.json()["body_limit"]),
        (201, &json!(26_214_400)),
        "{}",
        made.body
    );

    let large = server.call("POST", "/api/v1/sources", r#"{"body_limit":26214401}"#);
    assert!(
        large.status == 400 && large.body.contains("body_limit"),
        "{}",
        large.body
    );
}

pub(crate) fn a_hook_cannot_call_its_own_server(engine: Engine) {
    let mut server = Server::new(&engine);
    let everywhere = format!("0.0.0.0:{}", server.port);

    for (name, value) in [
        ("QUICKDRAW_LISTEN", everywhere.as_str()),
        ("QUICKDRAW_ALLOW_LOCAL_NETWORKS", "false"),
        ("QUICKDRAW_ROOT_TOKEN", TOKEN),
        ("GITLAB_WEBHOOK_SECRET", SECRET),
    ] {
        server.set(name, value);
    }

    server.restart();
    server.make_project();

    let url = format!("http://127.0.0.1:{}/api/v1/webhooks/gitlab", server.port);
    let made = server.call("POST", "/api/v4/projects/1/hooks", &json!({ "url": url }).to_string());

    assert!(
        made.status == 422 && made.body.contains("rule own_address"),
        "{}",
        made.body
    );

    let other = json!({ "url": format!("http://127.0.0.1:{}/", server.port ^ 1) });
    let made = server.call("POST", "/api/v4/projects/1/hooks", &other.to_string());

    assert!(
        made.status == 422 && made.body.contains("rule loopback"),
        "{}",
        made.body
    );
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
        assert_eq!(read.status, 200, "{path}: {}", read.body);
    }

    let audit = server.get("/api/v1/audit?limit=2");
    for (at, path) in [&log, &event].into_iter().enumerate() {
        let entry = &audit["items"][at];
        let said = (&entry["path"], &entry["method"], &entry["status"], &entry["address"]);

        assert_eq!(
            said,
            (&json!(path), &json!("GET"), &json!(200), &json!("203.0.113.9")),
            "{audit}"
        );
    }
}

pub(crate) fn a_process_that_aborts_leaves_no_core(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    server.make_project();
    server.make_hook("https://example.com/in", r#","token":"canary-in-core""#);

    if let Ok(limits) = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())) {
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap_or_default();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{limits}");
    }

    server.abort();

    for file in std::fs::read_dir(server.folder.path()).expect("a folder").flatten() {
        assert!(
            !file.file_name().to_string_lossy().starts_with("core"),
            "{:?}",
            file.path()
        );
    }
}

pub(crate) fn contradictory_and_damaged_parameters_are_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let call = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        send(server.port, method, path, headers, body).expect("an answer")
    };
    let (token, bearer) = (("PRIVATE-TOKEN", TOKEN), format!("Bearer {TOKEN}"));
    let both = call("GET", "/api/v4/projects", &[token, ("Authorization", &bearer)], b"");
    assert_eq!(both.status, 200, "the same token in two headers: {}", both.body);

    let two = call(
        "GET",
        "/api/v4/projects",
        &[token, ("Authorization", "Bearer another")],
        b"",
    );

    assert!(
        two.status == 401 && two.body.contains("different tokens"),
        "{}",
        two.body
    );

    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let broken = call(
        "POST",
        "/api/v4/projects/1/hooks",
        &[token, form],
        b"url=https://example.com/&name=%ff%fe",
    );

    assert_eq!(
        (broken.status, &broken.json()["error"]),
        (400, &json!("name is not valid UTF-8")),
        "{}",
        broken.body
    );

    for name in ["webhook-id", "webhook-timestamp", "X-Gitlab-Event", "X-Gitlab-Instance"] {
        let headers = [("X-Gitlab-Token", SECRET), (name, "1"), (name, "2")];
        let twice = call(
            "POST",
            "/api/v1/webhooks/gitlab",
            &headers,
            br#"{"object_kind":"push"}"#,
        );

        assert!(
            twice.status == 400 && twice.body.contains("twice"),
            "{name}: {}",
            twice.body
        );

        let headers = [("X-Gitlab-Token", SECRET), (name, "1"), (name, "1")];
        let equal = call(
            "POST",
            "/api/v1/webhooks/gitlab",
            &headers,
            br#"{"object_kind":"push"}"#,
        );
        assert_eq!(equal.status, 200, "{name}: {}", equal.body);
    }

    let report = br#"{"trigger":"push_hooks","payload":{"object_kind":"push"}}"#;
    let headers = [token, ("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    assert_eq!(call("POST", "/api/v1/projects/1/events", &headers, report).status, 400);

    // Templates are checked when they are saved.
    let hook = |template: &str| {
        let body = json!({ "url": "https://example.com/", "custom_webhook_template": template });
        server.call("POST", "/api/v4/projects/1/hooks", &body.to_string())
    };
    let never = hook("hello {{ref}}");

    assert!(
        never.status == 422 && never.body.contains("custom_webhook_template is not JSON"),
        "{}",
        never.body
    );

    let odd = hook(r#"{"a":"{{ ref }}"}"#);
    assert!(
        odd.status == 201 && odd.json()["warnings"][0].to_string().contains("write {{ref}}"),
        "{}",
        odd.body
    );

    assert!(hook(r#"{"a":"{{ref}}"}"#).json()["warnings"].is_null());
}

pub(crate) fn answers_and_errors_show_no_secret(engine: Engine) {
    let on_sqlite = matches!(engine, Engine::Sqlite);
    let mut server = Server::start(&engine, &[("QUICKDRAW__DELIVERY__TIMEOUT", "2s")]);
    server.make_project();

    let variable = r#","url_variables":[{"key":"v","value":"canary-in-host"}]"#;
    let named = server.make_hook("http://{v}.nowhere.example/", variable);
    let sink = Sink::echo();
    let echoed = r#","token":"canary token","custom_headers":[{"key":"X-Api","value":"Bearer canary-bearer"}]"#;
    let url = format!("http://canary%2Fname:canary%21word@127.0.0.1:{}/in", sink.port);
    let echoing = server.make_hook(&url, echoed);

    for hook in [&named, &echoing] {
        let hook = &hook["id"];
        let test = server.call("POST", &format!("/api/v4/projects/1/hooks/{hook}/test/push_events"), "");
        assert!(!test.body.contains("canary"), "{}", test.body);

        let log = server.get(&format!("/api/v4/projects/1/hooks/{hook}/events"));
        assert_eq!(log.as_array().map(Vec::len), Some(1), "{log}");

        let attempts = server.get(&format!("/api/v1/attempts?hook_id={hook}"));
        for shown in [&log, &attempts] {
            assert!(!shown.to_string().contains("canary"), "{shown}");
        }
    }

    let attempts = server.get(&format!("/api/v1/attempts?hook_id={}", named["id"]));
    assert!(attempts["items"][0]["error"].is_string(), "{attempts}");

    let attempts = server.get(&format!("/api/v1/attempts?hook_id={}", echoing["id"]));
    let shown = attempts["items"][0]["response_body"].as_str().unwrap_or_default();
    assert!(
        shown.contains("X-Gitlab-Token: [REDACTED]") && shown.contains("X-Api: [REDACTED]"),
        "{shown}"
    );

    assert!(!server.output().contains("canary"), "{}", server.output());
    server.terminate();

    if on_sqlite {
        let folder = server.folder.path().join("quickdraw-data");
        for file in std::fs::read_dir(folder).expect("a folder").flatten() {
            let bytes = std::fs::read(file.path()).unwrap_or_default();
            let found = bytes.windows(6).any(|window| window == b"canary");
            assert!(!found, "{:?} contains a secret in plain text", file.path());
        }
    }
}
