//! Bodies that the server composes from the reports of a forge.

use gitlab::hooktypes::HookKind;
use serde_json::{Value, json};

use crate::http::{Sink, eventually, send};
use crate::server::{Engine, SECRET, Server};

pub(crate) fn image_links_in_composed_bodies_are_absolute(engine: Engine) {
    let base = "https://git.example.com";
    for (form, upload) in [
        ("project_path", format!("![a]({base}/gear/rope/uploads/1/a.png)")),
        ("project_id", format!("![a]({base}/-/project/1/uploads/1/a.png)")),
    ] {
        let sink = Sink::start(|_| Some(200));
        let settings = [
            ("QUICKDRAW__SERVER__UPLOAD_LINKS", form),
            ("QUICKDRAW_EXTERNAL_URL", base),
        ];
        let server = Server::start(&engine, &settings);
        server.make_project();

        let all = r#","issues_events":true,"merge_requests_events":true,"note_events":true,"wiki_page_events":true,
            "releases_events":true"#;
        server.make_hook(&sink.url(), all);

        let text = "![a](/uploads/1/a.png) ![b](b.png)\n```\n![c](/uploads/c.png)\n```";
        let expected = format!("{upload} ![b]({base}/b.png)\n```\n![c](/uploads/c.png)\n```");
        let mut count = 0;

        let mut report = |trigger: &str, object: Value| {
            let body = json!({ "trigger": trigger, "object": object }).to_string();
            let reply = server.call("POST", "/api/v1/projects/1/events", &body);
            assert_eq!(reply.status, 202, "{}", reply.body);
            count += 1;
            eventually("the event is delivered", || sink.got().len() == count);

            serde_json::from_slice::<Value>(&sink.got()[count - 1].body).expect("JSON")
        };
        let issue = report("issue_hooks", json!({ "iid": 1, "description": text }));
        assert_eq!(issue["object_attributes"]["description"], expected);

        let request = report("merge_request_hooks", json!({ "iid": 1, "description": text }));
        assert_eq!(request["object_attributes"]["description"], expected);

        let note = report(
            "note_hooks",
            json!({ "note": text, "issue": { "iid": 1, "description": text } }),
        );
        assert_eq!(note["object_attributes"]["description"], expected);

        assert_eq!(
            (&note["object_attributes"]["note"], &note["issue"]["description"]),
            (&text.into(), &expected.clone().into())
        );

        let page = report("wiki_page_hooks", json!({ "slug": "home", "content": text }));
        assert_eq!(page["object_attributes"]["content"], expected);

        assert_eq!(
            report("release_hooks", json!({ "tag": "v1", "description": text }))["description"],
            expected
        );

        // A complete body is sent unchanged.
        let payload = json!({ "object_kind": "issue", "object_attributes": { "iid": 1, "description": text } });
        let body = json!({ "trigger": "issue_hooks", "payload": payload }).to_string();
        assert_eq!(server.call("POST", "/api/v1/projects/1/events", &body).status, 202);
        eventually("the complete body is delivered", || sink.got().len() == count + 1);
        assert_eq!(String::from_utf8_lossy(&sink.got()[count].body), payload.to_string());
    }
}

pub(crate) fn a_confidential_body_reaches_only_hooks_for_confidential_events(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let (public, confidential) = (Sink::start(|_| Some(200)), Sink::start(|_| Some(200)));
    server.make_hook(&public.url(), r#","issues_events":true,"note_events":true"#);

    server.make_hook(
        &confidential.url(),
        r#","confidential_issues_events":true,"confidential_note_events":true"#,
    );

    let issue = json!({ "object_kind": "issue", "object_attributes": { "iid": 1, "confidential": true } });
    let note = json!({ "object_kind": "note", "object_attributes": { "id": 1, "internal": true } });
    let on_issue =
        json!({ "object_kind": "note", "object_attributes": { "id": 2 }, "issue": { "confidential": true } });

    let reports = [
        ("issue_hooks", issue),
        ("note_hooks", note),
        ("note_hooks", on_issue.clone()),
    ];

    for (trigger, payload) in &reports {
        let body = json!({ "trigger": trigger, "payload": payload }).to_string();
        let reply = server.call("POST", "/api/v1/projects/1/events", &body);
        assert_eq!(reply.status, 202, "{}", reply.body);
    }

    // A received comment on a confidential issue that is marked as public.
    let mut received = on_issue;
    received["event_type"] = json!("note");
    received["project"] = json!({ "id": 15, "path_with_namespace": "gear/rope" });
    server.receive("Note Hook", "internal", &received);

    let open = json!({ "object_kind": "issue", "object_attributes": { "iid": 2, "confidential": false } });
    let body = json!({ "trigger": "issue_hooks", "payload": open }).to_string();
    assert_eq!(server.call("POST", "/api/v1/projects/1/events", &body).status, 202);
    eventually("the confidential bodies are delivered", || {
        confidential.got().len() == 4
    });
    eventually("the public body is delivered", || !public.got().is_empty());

    assert_eq!(
        public.got().len(),
        1,
        "no confidential body reaches a hook for public events"
    );

    assert_eq!(String::from_utf8_lossy(&public.got()[0].body), open.to_string());
}

/// Kinds of events for which the `gitlab` crate has no type.
const NOT_IN_THE_CRATE: [&str; 6] = [
    "gitlab_subscription_member_approval",
    "gitlab_subscription_member_approvals",
    "milestone_hooks",
    "resource_deploy_token_hooks",
    "subgroup_hooks",
    "vulnerability_hooks",
];

/// Reports an event of each kind. It must be composed, delivered to the subscribed hooks, and recognised by our own
/// source.
pub(crate) fn every_kind_is_composed_and_delivered(engine: Engine) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/gitlab");
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();

    let description = server.get("/api/v1/openapi.json");
    let all: Vec<String> = description["components"]["schemas"]["HookTriggers"]["properties"]
        .as_object()
        .expect("triggers")
        .keys()
        .cloned()
        .collect();

    let schemas = server.get("/api/v1/schemas");
    let hook = |place: &str| {
        let mut body = json!({ "url": format!("{}{place}", sink.url()) });
        for name in &all {
            body[name] = json!(true);
        }

        // A level refuses triggers that it does not have. They are removed one by one.
        loop {
            let made = server.call("POST", &format!("/api/v4{place}hooks"), &body.to_string());
            if made.status == 201 {
                return;
            }

            let error = made.json()["error"].as_str().unwrap_or_default().to_owned();
            assert!(
                made.status == 400 && error.contains(" is not a trigger of "),
                "{place}: {}",
                made.body
            );

            let refused = error.split(' ').next().unwrap_or_default();
            assert!(
                body.as_object_mut().expect("an object").remove(refused).is_some(),
                "{error}"
            );
        }
    };
    ["/projects/1/", "/groups/1/", "/"].into_iter().for_each(hook);

    let mut kinds = 0;
    for folder in std::fs::read_dir(&root)
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").path())
    {
        let Ok(report) = std::fs::read(folder.join("report.json")) else {
            continue;
        };
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let mut report: Value = serde_json::from_slice(&report).expect("JSON");

        report["trigger"] = json!(name);

        let place = match report["scene"].as_str() {
            Some("group") => "groups/1/",
            Some("instance") => "",
            _ => "projects/1/",
        };

        report.as_object_mut().expect("an object").remove("scene");

        let before = sink.got().len();
        let reply = server.call("POST", &format!("/api/v1/{place}events"), &report.to_string());
        assert_eq!(reply.status, 202, "{name}: {}", reply.body);

        let sample = std::fs::read(folder.join("sample.json")).expect("a sample");
        let sample: Value = serde_json::from_slice(&sample).expect("JSON");

        // Most events reach several hooks, so a delivery of the previous kind may still arrive.
        let delivered = || {
            let bodies = sink.got().into_iter().skip(before).map(|got| got.body);
            let mut bodies = bodies.map(|body| serde_json::from_slice::<Value>(&body).expect("JSON"));
            let says = |body: &Value| ["object_kind", "event_name", "event_type"].map(|word| body[word].clone());
            bodies.find(|body| says(body) == says(&sample))
        };
        eventually("the event is delivered", || delivered().is_some());

        let body = delivered().expect("it was delivered above");
        let received = send(
            server.port,
            "POST",
            "/api/v1/webhooks/gitlab",
            &[
                ("X-Gitlab-Token", SECRET),
                ("X-Gitlab-Event", "System Hook"),
                ("Idempotency-Key", &name),
            ],
            body.to_string().as_bytes(),
        );
        assert_eq!(received.expect("an answer").status, 200, "{name}");

        // The crate does not know all kinds, above all not the newer ones.
        let known = HookKind::kind_of(&body);
        let is_known = matches!(known, Some(HookKind::Web(Some(_)) | HookKind::System(Some(_))));
        assert!(
            is_known || NOT_IN_THE_CRATE.contains(&name.as_str()),
            "{name} is {known:?} to the gitlab crate"
        );

        assert!(
            schemas.as_array().expect("a list").contains(&json!(name)),
            "{name} has a schema"
        );

        kinds += 1;
    }

    assert_eq!(kinds, 48);

    let unknown = server.get("/api/v1/events?limit=100&trigger=unknown")["items"].clone();
    assert_eq!(unknown, json!([]), "every kind is recognised");

    let schema = server.get("/api/v1/schemas/feature_flag_hooks");
    assert_eq!(schema["properties"]["object_kind"]["enum"], json!(["feature_flag"]));
    assert_eq!(server.call("GET", "/api/v1/schemas/moon_hooks", "").status, 404);

    let misplaced = server.call(
        "POST",
        "/api/v1/events",
        r#"{"trigger":"issue_hooks","object":{"iid":1}}"#,
    );

    assert_eq!(
        (misplaced.status, misplaced.body.contains("a project or a group knows")),
        (422, true),
        "{}",
        misplaced.body
    );
}

/// A forge saves an issue several times during one request. The server crashes in between.
pub(crate) fn saves_of_one_operation_are_one_event(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let mut server = Server::start(&engine, &[]);
    server.make_project();
    server.make_hook(&sink.url(), r#","issues_events":true"#);

    let save = |server: &Server, object: Value, previous: Value, more: bool| {
        let mut report =
            json!({ "trigger": "issue_hooks", "object": object, "previous": previous, "operation": "request-17" });
        if more {
            report["more"] = json!(true);
        }

        let reply = server.call("POST", "/api/v1/projects/1/events", &report.to_string());
        assert_eq!(reply.status, 202, "{}", reply.body);
        serde_json::from_str::<Value>(&reply.body).expect("JSON")
    };

    let first = json!({"id": 301, "iid": 23, "title": "Gate jams", "action": "update"});
    let held = save(&server, first, json!({"title": "Gate sticks"}), true);
    assert_eq!(held, json!({ "operation": "request-17" }));
    server.kill();
    server.restart();

    let labelled =
        json!({"id": 301, "iid": 23, "title": "Gate jams", "labels": [{"id": 1, "title": "bug"}], "action": "update"});
    save(&server, labelled.clone(), json!({"labels": []}), true);

    assert_eq!(
        server.get("/api/v1/events")["items"],
        json!([]),
        "there is no event before the last save"
    );

    let mut last = labelled;
    last["state"] = json!("closed");
    last["action"] = json!("close");

    let reported = save(&server, last, json!({"state_id": 1}), false);
    eventually("the event is delivered", || !sink.got().is_empty());

    let body: Value = serde_json::from_slice(&sink.got()[0].body).expect("JSON");
    let changes = &body["changes"];
    assert_eq!(
        changes["title"],
        json!({"previous": "Gate sticks", "current": "Gate jams"})
    );

    assert_eq!(changes["labels"]["previous"], json!([]));
    assert_eq!(changes["labels"]["current"][0]["title"], "bug");
    assert_eq!(changes["state_id"], json!({"previous": 1, "current": 2}));
    assert_eq!(body["object_attributes"]["action"], "close");

    let events = server.get("/api/v1/events")["items"].clone();
    assert_eq!(
        (events.as_array().map(Vec::len), &events[0]["id"]),
        (Some(1), &reported["id"])
    );

    // A test of confidential issues shows the newest issue.
    let hook = server.make_hook(&sink.url(), r#","push_events":false,"confidential_issues_events":true"#);
    let tested = server.call(
        "POST",
        &format!(
            "/api/v4/projects/1/hooks/{}/test/confidential_issues_events",
            hook["id"]
        ),
        "",
    );
    assert_eq!(tested.status, 201, "{}", tested.body);

    let shown = |body: &[u8]| String::from_utf8_lossy(body).contains("Gate jams");
    eventually("the test shows the newest issue", || {
        sink.got().iter().skip(1).any(|got| shown(&got.body))
    });

    // `quickdraw emit` reports for a project, a group and the instance.
    let emit = |arguments: &[&str], report: Value| {
        let file = server.folder.path().join("report.json");
        std::fs::write(&file, report.to_string()).expect("written");

        let url = format!("http://127.0.0.1:{}", server.port);
        let mut command = std::process::Command::new(crate::server::BINARY);

        command.args(arguments).args([
            "--report",
            "report.json",
            "--url",
            &url,
            "--token",
            crate::server::TOKEN,
        ]);

        let output = command.current_dir(server.folder.path()).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };

    let saved = json!({"object": {"iid": 9}, "operation": "shell", "more": true});
    assert_eq!(emit(&["emit", "issue_hooks", "--project", "gear/rope"], saved), "shell");

    let epic = emit(
        &["emit", "issue_hooks", "--group", "gear"],
        json!({"object": {"iid": 2, "type": "Epic"}}),
    );

    let user = emit(
        &["emit", "user_create"],
        json!({"object": {"user": {"id": 5, "username": "jo", "name": "Jo"}}}),
    );

    let events = server.get("/api/v1/events")["items"].clone();
    assert_eq!((&events[0]["id"], &events[1]["id"]), (&json!(user), &json!(epic)));
    assert_eq!(events[1]["group_id"], 1);

    let refused = |body: &str, says: &str| {
        let reply = server.call("POST", "/api/v1/projects/1/events", body);
        assert_eq!(
            (reply.status, reply.body.contains(says)),
            (422, true),
            "{body}: {}",
            reply.body
        );
    };
    refused(
        r#"{"trigger":"issue_hooks","object":{"iid":1},"more":true}"#,
        "needs an",
    );

    refused(
        r#"{"trigger":"issue_hooks","object":{"iid":1},"operation":""}"#,
        "is empty",
    );

    refused(
        r#"{"trigger":"issue_hooks","object":{"iid":1},"payload":{"object_kind":"issue"}}"#,
        "both",
    );

    refused(
        r#"{"trigger":"issue_hooks","object":{"iid":1},"user":{"login":"ida"}}"#,
        "no username and no name",
    );

    let misspelt = r#"{"trigger":"issue_hooks","object":{"iid":1},"previuos":{"title":"x"}}"#;
    let reply = server.call("POST", "/api/v1/projects/1/events", misspelt);

    assert_eq!(
        (reply.status, reply.body.contains("previuos")),
        (400, true),
        "{}",
        reply.body
    );

    assert_eq!(server.get("/api/v1/active_hooks?trigger=user_create")["active"], false);
    refused(
        r#"{"trigger":"issue_hooks","payload":{"object_kind":"issue"},"operation":"x"}"#,
        "complete",
    );

    refused(
        r#"{"trigger":"issue_hooks","object":{"title":"x"},"operation":"x","more":true}"#,
        "no iid",
    );

    let push = r#"{"trigger":"push_hooks","object":{"before":"a","after":"b","ref":"refs/heads/x"},"operation":"x"}"#;
    refused(push, "of no object");
}
