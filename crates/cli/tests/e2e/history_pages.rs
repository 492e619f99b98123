//! Pages of history: events, deliveries, replays, the catalog and the report console.

use serde_json::json;

use crate::Check;
use crate::access::People;
use crate::answers::items;
use crate::http::{Sink, eventually};
use crate::server::{Engine, Server};
use crate::visitor::Visitor;

pub(crate) const CHECKS: &[(&str, Check)] = checks![
    self::events_of_all_levels_are_listed_with_their_project,
    self::a_wrong_filter_of_events_is_shown_beside_the_list,
    self::an_event_shows_every_webhook_with_its_verdict,
    self::an_event_shows_hostile_texts_as_text,
    self::a_foreign_event_has_no_page,
    self::the_names_behind_ids_are_for_those_who_manage_them,
    self::deliveries_lead_to_their_event_webhook_and_attempts,
    self::the_list_of_events_updates_by_itself,
    self::a_replay_is_counted_and_started_in_the_browser,
    self::the_form_of_a_replay_takes_over_the_filters_of_deliveries,
    self::a_refused_replay_names_the_wrong_field,
    self::the_catalog_shows_each_kind_with_its_fields,
    self::a_sample_is_sent_from_the_catalog,
    self::the_console_shows_the_body_and_reports_the_event,
    self::a_dry_run_of_a_report_stores_nothing,
];

/// A server with a project, a webhook for pushes, and a receiver that answers with a status.
struct Scene {
    server: Server,
    sink: Sink,
}

impl Scene {
    fn start(engine: &Engine, status: u16) -> Self {
        let server = Server::start(engine, &[]);
        server.make_project();
        let sink = Sink::start(move |_| Some(status));
        server.make_hook(&sink.url(), r#","name":"<b>CI</b>""#);
        Self { server, sink }
    }

    /// Reports a push, and waits until it is delivered.
    fn push(&self) -> String {
        let event = self.server.report(1).expect("reported");
        eventually("the push is delivered", || {
            let found = self.server.get("/api/v1/attempts?limit=1");
            !items(&found["items"]).is_empty()
        });
        event
    }

    fn events(&self) -> usize {
        items(&self.server.get("/api/v1/events?trigger=push_hooks")["items"]).len()
    }
}

pub(crate) fn events_of_all_levels_are_listed_with_their_project(engine: Engine) {
    let scene = Scene::start(&engine, 200);
    let event = scene.push();
    let admin = Visitor::admin(&scene.server);

    for base in ["/gear/rope/-/events", "/groups/gear/-/events", "/admin/events"] {
        let page = admin.page(base);
        assert!(page.contains(&format!("{base}/{event}")), "{page}");
        assert!(page.len() < 60_000, "{}", page.len());
    }

    assert!(
        admin
            .page("/admin/events")
            .contains(r#"href="/gear/rope/-/events">gear/rope"#)
    );
    let none = admin.page("/gear/rope/-/events?object=%21999");
    assert!(none.contains("No event matches these filters"), "{none}");
}

pub(crate) fn a_wrong_filter_of_events_is_shown_beside_the_list(engine: Engine) {
    let scene = Scene::start(&engine, 200);
    let reply = Visitor::admin(&scene.server).open("/gear/rope/-/events?since=%3Cscript%3E");
    reply.check_refusal(422, "since");
    assert!(!reply.body.contains("<script>") && reply.body.contains("&#60;script&#62;"));
}

pub(crate) fn an_event_shows_every_webhook_with_its_verdict(engine: Engine) {
    let scene = Scene::start(&engine, 404);
    let filtered = r#","name":"Filtered","branch_filter_strategy":"wildcard","push_events_branch_filter":"none-*""#;
    scene.server.make_hook("https://a.example.com/", filtered);
    let quiet = json!({ "url": "https://b.example.com/", "name": "Quiet", "push_events": false });
    scene.server.create("/api/v4/projects/1/hooks", &quiet);
    let event = scene.push();

    let page = Visitor::admin(&scene.server).page(&format!("/gear/rope/-/events/{event}"));
    assert!(page.contains("1 attempt.") && page.contains("404"), "{page}");
    assert!(
        page.contains("The branch filter of the webhook does not match."),
        "{page}"
    );
    assert!(page.contains("The webhook does not have this trigger."), "{page}");
    assert!(page.contains(r#"href="/gear/rope/-/hooks/1/events/1""#), "{page}");
}

pub(crate) fn an_event_shows_hostile_texts_as_text(engine: Engine) {
    let scene = Scene::start(&engine, 200);
    let text = "<script>alert(\"1\")</script>";
    let reported = scene.server.report_event(&json!({
        "trigger": "push_hooks",
        "payload": { "object_kind": "push", "ref": format!("refs/heads/{text}"), text: { "a": text } },
    }));
    let event = reported["id"].as_str().expect("an id");

    let admin = Visitor::admin(&scene.server);
    for path in [
        format!("events/{event}"),
        format!("events/{event}?view=raw"),
        "events".to_owned(),
    ] {
        let page = admin.page(&format!("/gear/rope/-/{path}"));
        assert!(
            page.contains("&#60;script&#62;alert") && !page.contains("<script>alert"),
            "{path}: {page}"
        );
        assert!(!page.contains("<b>CI</b>"), "{path}");
    }
}

pub(crate) fn a_foreign_event_has_no_page(engine: Engine) {
    let scene = Scene::start(&engine, 200);
    let event = scene.push();
    let people = People { server: &scene.server };
    let (user, token) = people.make("ida", "api");
    people.add("projects/1", user, 30);

    let developer = Visitor::signed_in(&scene.server, &token);
    developer.open(&format!("/gear/rope/-/events/{event}")).checked(404);
    developer.open("/gear/rope/-/events").checked(403);
    Visitor::admin(&scene.server)
        .open("/gear/rope/-/events/nothing")
        .checked(404);
}

pub(crate) fn the_names_behind_ids_are_for_those_who_manage_them(engine: Engine) {
    let scene = Scene::start(&engine, 200);
    let event = scene.push();
    let people = People { server: &scene.server };
    let (user, maintainer) = people.make("mae", "api");
    people.add("projects/1", user, 40);
    let (_, stranger) = people.make("ida", "api");

    let path = format!("/api/v1/names?hooks=1,99&projects=1&groups=2&events={event}&users={user},99");
    let count = |token: &str| {
        let found = scene.server.call_as(token, "GET", &path, "").check(200).json();
        ["hooks", "projects", "groups", "events", "users"].map(|kind| items(&found[kind]).len())
    };
    assert_eq!(
        [count(&maintainer), count(&stranger)],
        [[1, 1, 0, 1, 1], [0, 0, 0, 0, 1]]
    );

    let many: Vec<String> = (0..101).map(|id| id.to_string()).collect();
    let reply = scene
        .server
        .call("GET", &format!("/api/v1/names?hooks={}", many.join(",")), "");
    reply.check_refusal(400, "ask for at most 100 at once");
}

pub(crate) fn deliveries_lead_to_their_event_webhook_and_attempts(engine: Engine) {
    let scene = Scene::start(&engine, 404);
    let event = scene.push();
    let admin = Visitor::admin(&scene.server);
    let delivery = scene.server.get("/api/v1/deliveries")["items"][0]["id"].clone();
    let delivery = delivery.as_str().expect("an id");

    let page = admin.page("/gear/rope/-/deliveries?class=rejected&hook=1");
    for link in [
        format!("events/{event}"),
        "hooks/1".to_owned(),
        format!("deliveries/{delivery}"),
    ] {
        assert!(
            page.contains(&format!(r#"href="/gear/rope/-/{link}""#)),
            "{link}: {page}"
        );
    }

    let page = admin.page(&format!("/gear/rope/-/deliveries/{delivery}"));
    assert!(
        page.contains(r#"href="/gear/rope/-/hooks/1/events/1""#) && page.contains("Rejected (4xx)"),
        "{page}"
    );
    assert!(admin.page("/admin/deliveries").contains("&#60;b&#62;CI"));
}

pub(crate) fn the_list_of_events_updates_by_itself(engine: Engine) {
    use std::io::{BufRead, BufReader, Write};

    let scene = Scene::start(&engine, 200);
    let admin = Visitor::admin(&scene.server);
    let port = scene.server.port;
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("connected");
    let head = format!(
        "GET /gear/rope/-/events/live? HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {}\r\n\r\n",
        admin.cookie()
    );
    stream.write_all(head.as_bytes()).expect("sent");

    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("No event has arrived yet")));

    let event = scene.push();
    assert!(lines.any(|line| line.contains(&format!("/gear/rope/-/events/{event}"))));
}

pub(crate) fn a_replay_is_counted_and_started_in_the_browser(engine: Engine) {
    let scene = Scene::start(&engine, 200);
    scene.push();
    let admin = Visitor::admin(&scene.server);
    let send = |step| {
        let fields = [
            ("since", "1h"),
            ("state", "delivered"),
            ("rate", "1"),
            ("of", "1"),
            ("do", step),
        ];
        admin.submit("/gear/rope/-/replays", &fields)
    };

    eventually("the delivery has ended", || {
        send("count").body.contains("1 delivery would be sent again.")
    });
    assert_eq!(scene.server.get("/api/v1/replays")["items"], json!([]));

    let reply = send("start").checked(303);
    assert_eq!(
        reply.header("location"),
        Some("/gear/rope/-/replays/1?done=started&of=1")
    );
    let page = admin.page("/gear/rope/-/replays/1?done=started&of=1");
    assert!(
        page.contains("The replay runs in the background") && page.contains("of 1 deliveries"),
        "{page}"
    );
    assert!(admin.page("/admin/replays").contains("Replay 1"));

    eventually("it is sent again", || scene.sink.got().len() == 2);
}

pub(crate) fn the_form_of_a_replay_takes_over_the_filters_of_deliveries(engine: Engine) {
    let scene = Scene::start(&engine, 200);
    let page = Visitor::admin(&scene.server)
        .page("/gear/rope/-/replays/new?hook=1&state=delivered&class=rejected&text=%3Cb%3E&since=2h");
    assert!(page.contains(r#"<option value="1" selected>"#), "{page}");
    assert!(page.contains(r#"<option value="delivered" selected>"#), "{page}");
    assert!(
        page.contains("this filter was left out") && page.contains(r#"value="2h""#),
        "{page}"
    );
    assert!(page.contains("&#60;b&#62;") && !page.contains("<b>"), "{page}");
}

pub(crate) fn a_refused_replay_names_the_wrong_field(engine: Engine) {
    let scene = Scene::start(&engine, 200);
    let admin = Visitor::admin(&scene.server);
    let reply = admin.submit(
        "/gear/rope/-/replays",
        &[("since", ""), ("rate", "many"), ("do", "start")],
    );
    reply.check_refusal(422, "Choose the beginning of the period");
    assert!(reply.body.contains("The rate is a whole number"));
    assert_eq!(scene.server.get("/api/v1/replays")["items"], json!([]));
}

pub(crate) fn the_catalog_shows_each_kind_with_its_fields(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let admin = Visitor::admin(&server);
    let list = admin.page("/-/catalog");
    for kind in items(&server.get("/api/v1/triggers")["items"]) {
        let path = format!("/-/catalog/{}", kind["name"].as_str().expect("a name"));
        assert!(list.contains(&path), "{path}");
        let size = admin.page(&path).len();
        assert!(size < 60_000, "{path} has {size} bytes");
    }

    let page = admin.page("/-/catalog/push_hooks");
    assert!(
        page.contains("commits[].author.name") && page.contains("X-Gitlab-Event: Push Hook"),
        "{page}"
    );
    admin.open("/-/catalog/nothing").checked(404);
    Visitor::stranger(&server).open("/-/catalog").checked(303);
}

pub(crate) fn a_sample_is_sent_from_the_catalog(engine: Engine) {
    let scene = Scene::start(&engine, 200);
    let admin = Visitor::admin(&scene.server);
    let page = admin.page("/-/catalog/push_hooks?webhook=ci");
    assert!(
        page.contains("/api/v4/projects/1/hooks/1") && !page.contains("<b>CI"),
        "{page}"
    );

    let reply = admin
        .submit("/-/catalog/push_hooks", &[("hook", "/api/v4/projects/1/hooks/1")])
        .checked(303);
    assert_eq!(reply.header("location"), Some("/-/catalog/push_hooks?done=sent"));
    assert_eq!(scene.sink.got().len(), 1);
    admin
        .submit("/-/catalog/push_hooks", &[("hook", "/api/v4/projects/1")])
        .checked(404);
}

pub(crate) fn the_console_shows_the_body_and_reports_the_event(engine: Engine) {
    let scene = Scene::start(&engine, 200);
    let admin = Visitor::admin(&scene.server);
    let console = "/gear/rope/-/report";
    assert!(
        admin
            .page(&format!("{console}?trigger=push_hooks"))
            .contains("&#34;commits&#34;")
    );

    let object = r#"{"ref": "refs/heads/<b>", "before": "95790bf891e76fee5e1747ab589903a6a1f80f22",
        "after": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7", "commits": []}"#;
    let send = |step, object| admin.submit(console, &[("trigger", "push_hooks"), ("object", object), ("do", step)]);

    let page = send("preview", object).checked(200).body;
    assert!(
        page.contains("The body of the Push event") && page.contains("gear/rope"),
        "{page}"
    );
    assert!(!page.contains("<b>"), "{page}");
    assert_eq!(scene.events(), 0);

    send("preview", "{").check_refusal(422, "This is no JSON");
    let reply = send("report", object).checked(303);
    let event = reply.header("location").expect("an address");
    assert!(admin.page(event).contains("The event is reported."));
    assert_eq!(scene.events(), 1);
}

pub(crate) fn a_dry_run_of_a_report_stores_nothing(engine: Engine) {
    let scene = Scene::start(&engine, 200);
    let payload = json!({ "object_kind": "issue", "object_attributes": { "iid": 7, "confidential": true } });
    let report = |more: (&str, serde_json::Value)| {
        let mut body = json!({ "trigger": "issue_hooks", "dry_run": true });
        body[more.0] = more.1;
        scene
            .server
            .call("POST", "/api/v1/projects/1/events", &body.to_string())
    };

    let shown = report(("payload", payload.clone())).check(200).json();
    assert_eq!(
        shown,
        json!({ "trigger": "confidential_issue_hooks", "payload": payload })
    );

    let composed = report(("object", json!({ "iid": 7, "title": "Rope" })))
        .check(200)
        .json();
    assert_eq!(composed["payload"]["object_attributes"]["title"], "Rope");
    report(("object", json!(7))).check_refusal(422, "object");
    let stored = scene.server.get("/api/v1/events?trigger=issue_hooks");
    assert!(items(&stored["items"]).is_empty(), "{stored}");
}
