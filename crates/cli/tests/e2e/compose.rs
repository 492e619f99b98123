//! Bodies that the server composes from the reports of a forge.

use std::path::{Path, PathBuf};

use gitlab::hooktypes::HookKind;
use serde_json::{Value, json};

use crate::http::{Sink, eventually};
use crate::server::{Engine, Server};

const EVENTS: &str = "/api/v1/projects/1/events";

/// A server whose webhook gets all composed bodies with text.
struct Texts {
    server: Server,
    sink: Sink,
}

const BASE: &str = "https://git.example.com";
const TEXT: &str = "![a](/uploads/1/a.png) ![b](b.png)\n```\n![c](/uploads/c.png)\n```";

impl Texts {
    fn start(engine: &Engine, upload_links: &str) -> Self {
        let sink = Sink::start(|_| Some(200));
        let settings = [
            ("QUICKDRAW__SERVER__UPLOAD_LINKS", upload_links),
            ("QUICKDRAW_EXTERNAL_URL", BASE),
        ];
        let server = Server::start(engine, &settings);
        server.make_project();

        let all = r#","issues_events":true,"merge_requests_events":true,"note_events":true,"wiki_page_events":true,
            "releases_events":true"#;
        server.make_hook(&sink.url(), all);
        Self { server, sink }
    }

    /// Reports an event and returns the delivered body.
    fn deliver(&self, report: &Value) -> Vec<u8> {
        let before = self.sink.got().len();
        self.server.report_event(report);
        eventually("the event is delivered", || self.sink.got().len() > before);

        self.sink.got()[before].body.clone()
    }

    fn compose(&self, trigger: &str, object: Value) -> Value {
        let body = self.deliver(&json!({ "trigger": trigger, "object": object }));
        serde_json::from_slice(&body).expect("JSON")
    }

    /// Checks the text of each kind that has one, with this link of an upload.
    fn check(&self, upload: &str) {
        let expected = format!("![a]({upload}) ![b]({BASE}/b.png)\n```\n![c](/uploads/c.png)\n```");
        let described = json!({ "iid": 1, "description": TEXT });

        for trigger in ["issue_hooks", "merge_request_hooks"] {
            let body = self.compose(trigger, described.clone());
            assert_eq!(body["object_attributes"]["description"], expected, "{trigger}");
        }

        let note = self.compose("note_hooks", json!({ "note": TEXT, "issue": described }));
        assert_eq!(note["object_attributes"]["description"], expected);
        assert_eq!(note["object_attributes"]["note"], TEXT);
        assert_eq!(note["issue"]["description"], expected);

        let page = self.compose("wiki_page_hooks", json!({ "slug": "home", "content": TEXT }));
        assert_eq!(page["object_attributes"]["content"], expected);

        let release = self.compose("release_hooks", json!({ "tag": "v1", "description": TEXT }));
        assert_eq!(release["description"], expected);
    }

    fn check_that_a_complete_body_is_unchanged(&self) {
        let payload = json!({ "object_kind": "issue", "object_attributes": { "iid": 1, "description": TEXT } });
        let body = self.deliver(&json!({ "trigger": "issue_hooks", "payload": payload }));
        assert_eq!(String::from_utf8_lossy(&body), payload.to_string());
    }
}

pub(crate) fn image_links_with_the_path_of_the_project_are_absolute(engine: Engine) {
    let texts = Texts::start(&engine, "project_path");
    texts.check(&format!("{BASE}/gear/rope/uploads/1/a.png"));
    texts.check_that_a_complete_body_is_unchanged();
}

pub(crate) fn image_links_with_the_id_of_the_project_are_absolute(engine: Engine) {
    let texts = Texts::start(&engine, "project_id");
    texts.check(&format!("{BASE}/-/project/1/uploads/1/a.png"));
    texts.check_that_a_complete_body_is_unchanged();
}

/// A comment on a confidential issue. The comment itself is marked as public.
fn comment_on_a_confidential_issue() -> Value {
    json!({ "object_kind": "note", "object_attributes": { "id": 2 }, "issue": { "confidential": true } })
}

/// Reports or receives four confidential events.
fn report_confidential_events(server: &Server) {
    let issue = json!({ "object_kind": "issue", "object_attributes": { "iid": 1, "confidential": true } });
    let note = json!({ "object_kind": "note", "object_attributes": { "id": 1, "internal": true } });

    for (trigger, payload) in [
        ("issue_hooks", issue),
        ("note_hooks", note),
        ("note_hooks", comment_on_a_confidential_issue()),
    ] {
        server.report_event(&json!({ "trigger": trigger, "payload": payload }));
    }

    let mut received = comment_on_a_confidential_issue();
    received["event_type"] = json!("note");
    received["project"] = json!({ "id": 15, "path_with_namespace": "gear/rope" });
    server.receive("Note Hook", "internal", &received);
}

pub(crate) fn a_confidential_body_reaches_only_hooks_for_confidential_events(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let (public, confidential) = (Sink::start(|_| Some(200)), Sink::start(|_| Some(200)));
    server.make_hook(&public.url(), r#","issues_events":true,"note_events":true"#);

    let more = r#","confidential_issues_events":true,"confidential_note_events":true"#;
    server.make_hook(&confidential.url(), more);
    report_confidential_events(&server);

    let open = json!({ "object_kind": "issue", "object_attributes": { "iid": 2, "confidential": false } });
    server.report_event(&json!({ "trigger": "issue_hooks", "payload": open }));
    eventually("the confidential bodies are delivered", || {
        confidential.got().len() == 4
    });
    eventually("the public body is delivered", || !public.got().is_empty());

    let got = public.got();
    assert_eq!(got.len(), 1, "no confidential body reaches a hook for public events");
    assert_eq!(String::from_utf8_lossy(&got[0].body), open.to_string());
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

/// A kind of event with its fixtures.
struct Kind {
    name: String,
    report: Value,
    sample: Value,
}

/// The kinds that have a report to compose from.
fn kinds() -> Vec<Kind> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/gitlab");
    let read = |file: PathBuf| -> Option<Value> {
        let bytes = std::fs::read(file).ok()?;
        Some(serde_json::from_slice(&bytes).expect("JSON"))
    };

    let mut kinds = Vec::new();

    for entry in std::fs::read_dir(&root).expect("fixtures") {
        let folder = entry.expect("an entry").path();
        let Some(report) = read(folder.join("report.json")) else {
            continue;
        };

        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let sample = read(folder.join("sample.json")).expect("a sample");
        kinds.push(Kind { name, report, sample });
    }

    assert_eq!(kinds.len(), 48);
    kinds
}

impl Kind {
    /// Reports the event at its level.
    fn report(&self, server: &Server) {
        let place = match self.report["scene"].as_str() {
            Some("group") => "groups/1/",
            Some("instance") => "",
            _ => "projects/1/",
        };

        let mut report = self.report.clone();
        report["trigger"] = json!(self.name);
        report.as_object_mut().expect("an object").remove("scene");

        let reply = server.call("POST", &format!("/api/v1/{place}events"), &report.to_string());
        assert_eq!(reply.status, 202, "{}: {}", self.name, reply.body);
    }

    /// Waits for the body. Most events reach several webhooks, so a delivery of the previous kind may still arrive.
    fn wait_for_body(&self, sink: &Sink, before: usize) -> Value {
        let words = |body: &Value| ["object_kind", "event_name", "event_type"].map(|word| body[word].clone());
        let mut found = None;

        eventually("the event is delivered", || {
            for got in sink.got().iter().skip(before) {
                let body: Value = serde_json::from_slice(&got.body).expect("JSON");
                if words(&body) == words(&self.sample) {
                    found = Some(body);
                }
            }

            found.is_some()
        });

        found.expect("it was delivered")
    }

    /// The crate does not know all kinds, above all not the newer ones.
    fn check_with_the_gitlab_crate(&self, body: &Value) {
        let known = HookKind::kind_of(body);
        let is_known = matches!(known, Some(HookKind::Web(Some(_)) | HookKind::System(Some(_))));
        let name = &self.name;
        assert!(
            is_known || NOT_IN_THE_CRATE.contains(&name.as_str()),
            "{name} is {known:?} to the gitlab crate"
        );
    }
}

/// Creates a webhook with all triggers of a level. A level refuses triggers that it does not have, so they are removed
/// one by one.
fn make_hook_for_all(server: &Server, level: &str, url: &str) {
    let description = server.get("/api/v1/openapi.json");
    let triggers = &description["components"]["schemas"]["HookTriggers"]["properties"];
    let mut body = json!({ "url": format!("{url}{level}") });
    for name in triggers.as_object().expect("triggers").keys() {
        body[name] = json!(true);
    }

    loop {
        let made = server.call("POST", &format!("/api/v4{level}hooks"), &body.to_string());
        if made.status == 201 {
            return;
        }

        made.check_says(400, " is not a trigger of ");

        let error = made.json()["error"].as_str().unwrap_or_default().to_owned();
        let refused = error.split(' ').next().unwrap_or_default();
        let removed = body.as_object_mut().expect("an object").remove(refused);
        assert!(removed.is_some(), "{level}: {error}");
    }
}

/// An event of each kind is composed, delivered to the subscribed webhooks, and recognised by the source.
pub(crate) fn every_kind_is_composed_and_delivered(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();

    for level in ["/projects/1/", "/groups/1/", "/"] {
        make_hook_for_all(&server, level, &sink.url());
    }

    for kind in kinds() {
        let before = sink.got().len();
        kind.report(&server);

        let body = kind.wait_for_body(&sink, before);
        kind.check_with_the_gitlab_crate(&body);
        server.receive("System Hook", &kind.name, &body);
    }

    let unknown = server.get("/api/v1/events?limit=100&trigger=unknown");
    assert_eq!(unknown["items"], json!([]), "every kind is recognised");
}

pub(crate) fn every_kind_has_a_schema(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let schemas = server.get("/api/v1/schemas");
    let schemas = schemas["items"].as_array().expect("a list");
    for Kind { name, .. } in kinds() {
        assert!(schemas.contains(&json!(name)), "{name} has a schema");
    }

    let schema = server.get("/api/v1/schemas/feature_flag_hooks");
    assert_eq!(schema["properties"]["object_kind"]["enum"], json!(["feature_flag"]));
    server.call("GET", "/api/v1/schemas/moon_hooks", "").check(404);
}

/// Saves an issue as a part of an operation, and returns the answer.
fn save(server: &Server, object: &Value, previous: &Value, more: bool) -> Value {
    let mut report =
        json!({ "trigger": "issue_hooks", "object": object, "previous": previous, "operation": "request-17" });
    if more {
        report["more"] = json!(true);
    }

    server.report_event(&report)
}

/// A forge saves an issue several times during one request: it renames the issue, labels it and closes it. The server
/// crashes in between. Returns the answer to the last save.
fn save_three_times(server: &mut Server) -> Value {
    let mut issue = json!({ "id": 301, "iid": 23, "title": "Gate jams", "action": "update" });
    let held = save(server, &issue, &json!({ "title": "Gate sticks" }), true);
    assert_eq!(held, json!({ "operation": "request-17" }));
    server.kill();
    server.restart();

    issue["labels"] = json!([{ "id": 1, "title": "bug" }]);
    save(server, &issue, &json!({ "labels": [] }), true);

    let events = server.events_of_projects();
    assert!(events.is_empty(), "there is no event before the last save");

    issue["state"] = json!("closed");
    issue["action"] = json!("close");
    save(server, &issue, &json!({ "state_id": 1 }), false)
}

pub(crate) fn saves_of_one_operation_are_one_event(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let mut server = Server::start(&engine, &[]);
    server.make_project();
    server.make_hook(&sink.url(), r#","issues_events":true"#);

    let reported = save_three_times(&mut server);
    eventually("the event is delivered", || !sink.got().is_empty());

    let body: Value = serde_json::from_slice(&sink.got()[0].body).expect("JSON");
    let title = json!({ "previous": "Gate sticks", "current": "Gate jams" });
    assert_eq!(body["changes"]["title"], title);
    assert_eq!(body["changes"]["labels"]["previous"], json!([]));
    assert_eq!(body["changes"]["labels"]["current"][0]["title"], "bug");
    assert_eq!(body["changes"]["state_id"], json!({ "previous": 1, "current": 2 }));
    assert_eq!(body["object_attributes"]["action"], "close");

    let events = server.events_of_projects();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["id"], reported["id"]);
}

/// A test of confidential issues shows the newest issue, even if that is public.
pub(crate) fn a_test_shows_the_newest_issue(engine: Engine) {
    let sink = Sink::start(|_| Some(200));
    let server = Server::start(&engine, &[]);
    server.make_project();

    let issue = json!({ "id": 301, "iid": 23, "title": "Gate jams", "action": "close" });
    save(&server, &issue, &json!({ "state_id": 1 }), false);

    let more = r#","push_events":false,"confidential_issues_events":true"#;
    let hook = server.make_hook(&sink.url(), more);
    let test = format!(
        "/api/v4/projects/1/hooks/{}/test/confidential_issues_events",
        hook["id"]
    );
    server.call("POST", &test, "").check(201);

    eventually("the test shows the newest issue", || {
        let shown = |body: &[u8]| String::from_utf8_lossy(body).contains("Gate jams");
        sink.got().iter().any(|got| shown(&got.body))
    });
}

/// Runs `quickdraw emit` with a report and returns its output.
fn emit(server: &Server, arguments: &[&str], report: &Value) -> String {
    let file = server.folder.path().join("report.json");
    std::fs::write(&file, report.to_string()).expect("written");

    let url = format!("http://127.0.0.1:{}", server.port);
    let output = std::process::Command::new(crate::server::BINARY)
        .arg("emit")
        .args(arguments)
        .args(["--report", "report.json", "--server", &url])
        .env("QUICKDRAW_TOKEN", crate::server::TOKEN)
        .current_dir(server.folder.path())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn emit_reports_for_a_project_a_group_and_the_instance(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    let saved = json!({ "object": { "iid": 9 }, "operation": "shell", "more": true });
    let project = ["issue_hooks", "--project", "gear/rope"];
    assert_eq!(emit(&server, &project, &saved), "shell");

    let epic = json!({ "object": { "iid": 2, "type": "Epic" } });
    let epic = emit(&server, &["issue_hooks", "--group", "gear"], &epic);

    let user = json!({ "object": { "user": { "id": 5, "username": "jo", "name": "Jo" } } });
    let user = emit(&server, &["user_create"], &user);

    let events = server.get("/api/v1/events")["items"].clone();
    assert_eq!((&events[0]["id"], &events[1]["id"]), (&json!(user), &json!(epic)));
    assert_eq!(events[1]["group_id"], 1);

    // Reports do not depend on subscribed webhooks.
    let active = server.get("/api/v1/active_hooks?trigger=user_create");
    assert_eq!(active["active"], false);
}

/// Contradictory reports, and a part of the error.
const CONTRADICTORY: [(&str, &str); 7] = [
    (
        r#"{"trigger":"issue_hooks","object":{"iid":1},"more":true}"#,
        "needs an",
    ),
    (
        r#"{"trigger":"issue_hooks","object":{"iid":1},"operation":""}"#,
        "is empty",
    ),
    (
        r#"{"trigger":"issue_hooks","object":{"iid":1},"payload":{"object_kind":"issue"}}"#,
        "both",
    ),
    (
        r#"{"trigger":"issue_hooks","object":{"iid":1},"user":{"login":"ida"}}"#,
        "no username and no name",
    ),
    (
        r#"{"trigger":"issue_hooks","payload":{"object_kind":"issue"},"operation":"x"}"#,
        "complete",
    ),
    (
        r#"{"trigger":"issue_hooks","object":{"title":"x"},"operation":"x","more":true}"#,
        "no iid",
    ),
    (
        r#"{"trigger":"push_hooks","object":{"before":"a","after":"b","ref":"refs/heads/x"},"operation":"x"}"#,
        "of no object",
    ),
];

pub(crate) fn a_contradictory_report_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    for (report, part) in CONTRADICTORY {
        server.call("POST", EVENTS, report).check_says(422, part);
    }

    let misspelt = r#"{"trigger":"issue_hooks","object":{"iid":1},"previuos":{"title":"x"}}"#;
    server.call("POST", EVENTS, misspelt).check_says(400, "previuos");

    let misplaced = r#"{"trigger":"issue_hooks","object":{"iid":1}}"#;
    let reply = server.call("POST", "/api/v1/events", misplaced);
    reply.check_says(422, "a project or a group knows");
}
