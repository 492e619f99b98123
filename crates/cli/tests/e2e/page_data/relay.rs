//! Gaps, streams, alerts, selected replays, and the contribution of an event to insights.

use serde_json::{Value, json};

use crate::access::People;
use crate::answers::items;
use crate::http::{Sink, check_parts, eventually};
use crate::server::{Engine, Server, TOKEN};
use crate::streams::Stream;

const GAPS: &str = "/api/v1/insights/gaps";
const COMPLETENESS: &str = "/api/v1/insights/completeness";

fn sha(letter: char) -> String {
    letter.to_string().repeat(40)
}

fn push(from: char, to: char) -> Value {
    let object = json!({ "ref": "refs/heads/main", "before": sha(from), "after": sha(to), "commits": [] });
    json!({ "trigger": "push_hooks", "user": { "name": "Ida" }, "object": object })
}

fn issue(iid: i64) -> Value {
    let object = json!({ "id": 300 + iid, "iid": iid, "title": "Rope", "state": "opened", "action": "open" });
    json!({ "trigger": "issue_hooks", "user": { "id": 4, "name": "Ida", "username": "ida" }, "object": object })
}

/// A server with a project of which a push is missing, and no issue.
fn with_a_gap(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    server.make_project();
    for report in [push('a', 'b'), push('c', 'd'), issue(1), issue(2)] {
        server.report_event(&report);
    }

    eventually("the gap is found", || {
        items(&server.get(&format!("{COMPLETENESS}?missing=true"))["items"]).len() == 1
    });
    server
}

pub(crate) fn completeness_can_be_limited_to_missing_events(engine: Engine) {
    let server = with_a_gap(&engine);
    let all = server.get(COMPLETENESS);
    assert!(items(&all["items"]).len() >= 2, "{all}");

    for filter in ["", "&project=gear%2Frope", "&group=gear&limit=5"] {
        let missing = server.get(&format!("{COMPLETENESS}?missing=true{filter}"));
        check_parts(&missing["items"][0], json!({ "kind": "push", "missing": 1 }));
        assert_eq!((items(&missing["items"]).len(), &missing["next"]), (1, &Value::Null));
    }

    let wrong = server.call("GET", &format!("{COMPLETENESS}?limit=4"), "");
    wrong.check_says(400, "from 5 to 1000");
}

pub(crate) fn an_owner_of_a_group_reads_the_gaps_of_its_projects(engine: Engine) {
    let server = with_a_gap(&engine);
    let people = People { server: &server };
    let (id, owner) = people.make("owner", "api");
    people.add("groups/1", id, 50);
    let (_, stranger) = people.make("stranger", "api");

    let list = server.get(&format!("{COMPLETENESS}?missing=true"));
    let number = &list["items"][0]["source_project_id"];
    let path = format!("{GAPS}?group=gear&source_project_id={number}");
    let gaps = server.call_as(&owner, "GET", &path, "").check(200).json();
    check_parts(&gaps["items"][0], json!({ "before": sha('b'), "after": sha('c') }));

    server.call_as(&stranger, "GET", &path, "").check(404);
    let unknown = format!("{GAPS}?group=gear&source_project_id=999");
    server.call_as(&owner, "GET", &unknown, "").check(404);
}

pub(crate) fn open_streams_are_listed_and_ended(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let people = People { server: &server };
    let (id, maintainer) = people.make("maintainer", "api");
    people.add("projects/1", id, 40);

    let (status, mut stream) = Stream::open(&server, &maintainer, "?project=gear%2Frope&trigger=push_hooks", None);
    assert_eq!(status, 200);
    let (_, mut of_admin) = Stream::open(&server, TOKEN, "", None);
    let started = stream.next().expect("a position");
    assert!(of_admin.next().is_some());

    let list = |token: &str, query: &str| {
        let reply = server.call_as(token, "GET", &format!("/api/v1/streams{query}"), "");
        items(&reply.check(200).json()["items"]).to_vec()
    };
    let own = list(&maintainer, "?project=gear%2Frope");
    let shown = json!({ "user": "maintainer", "project_id": 1, "triggers": ["push_hooks"], "has_filter": false,
        "sent": 0, "behind": 0, "position": started.id });
    check_parts(&own[0], shown);
    assert_eq!([own.len(), list(TOKEN, "").len()], [1, 2]);
    server.call_as(&maintainer, "GET", "/api/v1/streams", "").check(403);

    server.report(1).expect("reported");
    eventually("the event is counted", || {
        list(&maintainer, "?project=gear%2Frope")[0]["sent"] == 1
    });

    // The stream of the administrator does not exist for the maintainer.
    let path = |stream: &Value| format!("/api/v1/streams/{}", stream["id"]);
    let all = list(TOKEN, "");
    let other = all.iter().find(|stream| stream["user"] == "root").expect("a stream");
    server.call_as(&maintainer, "DELETE", &path(other), "").check(404);

    server.call_as(&maintainer, "DELETE", &path(&own[0]), "").check(204);
    while stream.next().is_some() {}
    eventually("the stream is gone", || list(TOKEN, "").len() == 1);
}

pub(crate) fn an_alert_is_shown_and_a_refusal_names_its_field(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let alerts = "/api/v1/insights/alerts";
    let rule = server.create(alerts, &json!({ "name": "Quiet", "metric": "silence", "above": 60 }));
    let path = format!("{alerts}/{}", rule["id"]);
    check_parts(&server.get(&path), json!({ "name": "Quiet", "above": 60.0 }));
    server.call("GET", &format!("{alerts}/999"), "").check(404);

    for (rule, field) in [
        (json!({ "name": "x", "metric": "nothing", "above": 1 }), "metric"),
        (json!({ "name": "x", "metric": "mr_open" }), "above"),
        (
            json!({ "name": "x", "metric": "mr_open", "above": 1, "window": 1 }),
            "window",
        ),
    ] {
        let refused = server.call("POST", alerts, &rule.to_string()).check(422).json();
        assert_eq!(refused["errors"][0]["field"], field, "{refused}");
    }
}

pub(crate) fn selected_deliveries_are_replayed(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let sink = Sink::start(|_| Some(200));
    server.make_hook(&sink.url(), "");
    for number in 0..3 {
        server.report(number).expect("reported");
    }

    let delivered = || items(&server.get("/api/v1/deliveries?state=delivered")["items"]).to_vec();
    eventually("all are delivered", || delivered().len() == 3);

    let ids: Vec<Value> = delivered()
        .iter()
        .take(2)
        .map(|delivery| delivery["id"].clone())
        .collect();
    let ask = |more: Value| {
        let mut body = json!({ "deliveries": ids, "project": "gear/rope", "rate": 100 });
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        server.call("POST", "/api/v1/replays", &body.to_string())
    };
    let counted = ask(json!({ "dry_run": true })).check(200).json();
    assert_eq!(counted, json!({ "matched": 2, "complete": true }));
    let none = ask(json!({ "dry_run": true, "state": "given_up" })).check(200).json();
    assert_eq!(none["matched"], 0);

    let replay = ask(json!({})).check(201).json();
    assert_eq!(items(&replay["filter"]["deliveries"]).len(), 2);
    let path = format!("/api/v1/replays/{}?results=true", replay["id"]);
    eventually("the replay has ended", || {
        let shown = server.get(&path);
        shown["state"] == "finished" && shown["results"]["delivered"] == 2
    });
    assert_eq!(sink.got().len(), 5);

    ask(json!({ "skipped": "silent_mode" })).check(400);
    let many = json!({ "deliveries": vec![&ids[0]; 101] });
    let many = server.call("POST", "/api/v1/replays", &many.to_string());
    many.check_says(400, "deliveries has at most 100 ids");
    server.call("POST", "/api/v1/replays", "{}").check_says(400, "since");
}

pub(crate) fn an_administrator_finds_own_replays_at_the_project(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let people = People { server: &server };
    let (id, maintainer) = people.make("maintainer", "api");
    people.add("projects/1", id, 40);
    server.create(
        "/api/v1/replays",
        &json!({ "since": "2020-01-01", "project": "gear/rope" }),
    );
    server.create("/api/v1/replays", &json!({ "since": "2020-01-01" }));

    let count = |token: &str, query: &str| {
        let reply = server.call_as(token, "GET", &format!("/api/v1/replays{query}"), "");
        items(&reply.check(200).json()["items"]).len()
    };
    assert_eq!(count(TOKEN, "?project=gear%2Frope"), 1);
    assert_eq!([count(TOKEN, "?group=gear"), count(TOKEN, "")], [1, 2]);
    assert_eq!(count(&maintainer, "?project=gear%2Frope"), 0);
}

pub(crate) fn an_event_names_the_items_that_it_counts_for(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();
    let event = server.report_event(&issue(7));
    let path = format!("/api/v1/events/{}/insights", event["id"].as_str().expect("an id"));

    let shown = server.get(&path);
    check_parts(&shown, json!({ "state": "counted", "has_more": false }));
    check_parts(&shown["items"][0], json!({ "kind": "issue", "name": "#7" }));
    let metrics = items(&shown["metrics"]["issue"]);
    assert!(metrics.contains(&json!("issues_opened")), "{shown}");

    let (_, stranger) = People { server: &server }.make("stranger", "api");
    server.call_as(&stranger, "GET", &path, "").check(404);

    let release = json!({ "trigger": "wiki_page_hooks", "payload": { "object_kind": "wiki_page" } });
    let event = server.report_event(&release);
    let path = format!("/api/v1/events/{}/insights", event["id"].as_str().expect("an id"));
    assert_eq!(server.get(&path)["state"], "not_counted");
}
