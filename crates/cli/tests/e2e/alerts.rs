//! Alerts on insights: they are checked, and reported to system hooks when they fire and when they resolve.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::http::{Sink, eventually};
use crate::server::{Engine, Server};

fn now_less(hours: i64) -> String {
    (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours))
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string()
}

fn merge_request(iid: i64, project: i64, action: &str, state: &str, hours: i64) -> Value {
    json!({ "object_kind": "merge_request", "user": { "id": 1, "username": "jo" },
        "project": { "id": project, "path_with_namespace": format!("gear/p{project}") },
        "object_attributes": { "iid": iid, "target_project_id": project, "author_id": 1, "created_at": now_less(48),
            "updated_at": now_less(hours), "action": action, "state": state, "draft": false } })
}

fn add(server: &Server, rule: &Value) -> Value {
    let reply = server.call("POST", "/api/v1/insights/alerts", &rule.to_string());
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()
}

fn tried(server: &Server, rule: &Value) -> Vec<Value> {
    let reply = server.call("POST", "/api/v1/insights/alerts/try", &rule.to_string());
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json().as_array().expect("a list").clone()
}

pub(crate) fn an_alert_is_reported_once_when_it_fires_and_once_when_it_resolves(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let sink = Sink::start(|_| Some(200));
    let body = json!({ "url": sink.url(), "insight_alert_events": true, "repository_update_events": false,
        "token": "canary", "signing_token": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" });
    let hook = server.call("POST", "/api/v4/hooks", &body.to_string());

    assert_eq!(
        (hook.status, &hook.json()["insight_alert_events"]),
        (201, &json!(true)),
        "{}",
        hook.body
    );

    let told = || -> Vec<Value> {
        let (mut keys, mut bodies) = (HashSet::new(), Vec::new());
        for got in sink.got() {
            assert!(got.headers.contains_key("Webhook-Signature"), "{:?}", got.headers);

            // After a crash, the same delivery can arrive twice.
            if keys.insert(got.headers["Idempotency-Key"].clone()) {
                bodies.push(serde_json::from_slice::<Value>(&got.body).expect("JSON"));
            }
        }

        bodies
            .into_iter()
            .filter(|body| body["object_kind"] == "insight_alert")
            .collect()
    };

    // Two merge requests of one project wait for a review. The one of another project was reviewed.
    server.receive("Merge Request Hook", "a", &merge_request(1, 7, "open", "opened", 47));
    server.receive("Merge Request Hook", "b", &merge_request(2, 7, "open", "opened", 47));
    server.receive("Merge Request Hook", "c", &merge_request(1, 8, "open", "opened", 47));

    let mut approved = merge_request(1, 8, "approved", "opened", 40);
    approved["user"] = json!({ "id": 2, "username": "ida" });
    server.receive("Merge Request Hook", "d", &approved);

    eventually("all events are counted", || {
        let value = |name: &str| server.get(&format!("/api/v1/insights/metrics/{name}"))["value"].clone();
        (value("mr_open"), value("mr_reviews"), value("mr_waiting")) == (json!(3.0), json!(1.0), json!(2.0))
    });

    let waiting = json!({ "name": "Waits for a review", "metric": "mr_waiting", "above": 0, "each_project": true });
    let found = tried(&server, &waiting);
    assert_eq!(found.len(), 2, "{found:?}");

    assert_eq!(
        (&found[0]["project_path"], &found[0]["value"]),
        (&json!("gear/p7"), &json!(2.0))
    );

    assert_eq!(
        (&found[0]["is_violated"], &found[1]["is_violated"]),
        (&json!(true), &json!(false))
    );

    let silent = json!({ "name": "Silent", "metric": "silence", "above": 3600, "project": "gear/p7" });
    assert_eq!(tried(&server, &silent)[0]["is_violated"], false);

    let rising = json!({ "name": "Slower", "metric": "time_to_merge", "statistic": "p75", "times_previous": 1.5, "window": 604_800 });
    assert_eq!(
        (
            &tried(&server, &rising)[0]["value"],
            &tried(&server, &rising)[0]["threshold"]
        ),
        (&Value::Null, &Value::Null)
    );

    let pushes = json!({ "name": "Missing", "metric": "missing_pushes", "above": 0 });
    assert_eq!(tried(&server, &pushes)[0]["value"], 0.0);

    for (rule, why) in [
        (
            json!({ "name": "x", "metric": "nonsense", "above": 1 }),
            "there is no metric",
        ),
        (json!({ "name": "x", "metric": "mr_open" }), "exactly one of above"),
        (
            json!({ "name": "x", "metric": "mr_open", "above": 1, "statistic": "p75" }),
            "no percentiles",
        ),
    ] {
        let reply = server.call("POST", "/api/v1/insights/alerts", &rule.to_string());
        assert!(
            reply.status == 422 && reply.body.contains(why),
            "{} {}",
            reply.status,
            reply.body
        );
    }

    let made = add(&server, &waiting);
    let lasting = json!({ "name": "Not yet", "metric": "mr_waiting", "above": 0, "for": 3600 });
    add(&server, &lasting);
    eventually("the alert is reported", || told().len() == 1);

    let alert = told().remove(0);
    assert_eq!(alert["project"], json!({ "id": 7, "path_with_namespace": "gear/p7" }));

    assert_eq!(
        (&alert["alert"]["state"], &alert["alert"]["value"]),
        (&json!("firing"), &json!(2.0))
    );

    assert_eq!(
        (&alert["alert"]["name"], &alert["alert"]["unit"]),
        (&json!("Waits for a review"), &json!("count"))
    );

    eventually("both rules are checked", || {
        let listed = server.get("/api/v1/insights/alerts");
        // The first rule is bad for long enough. The second one must be bad for an hour first.
        listed[0]["statuses"][0]["state"] == "firing" && listed[1]["statuses"][0]["state"] == "pending"
    });

    // A crash does not report an alert twice. The alert resolves after the second review, not after the first.
    server.kill();
    server.restart();

    for (key, iid, expected) in [("e", 1, 1.0), ("f", 2, 0.0)] {
        let mut approved = merge_request(iid, 7, "approved", "opened", 1);
        approved["user"] = json!({ "id": 2, "username": "ida" });
        server.receive("Merge Request Hook", key, &approved);
        eventually("the review is counted", || {
            server.get("/api/v1/insights/metrics/mr_waiting")["value"] == expected
        });
        assert_eq!(server.call("POST", "/api/v1/insights/alerts/look", "").status, 202);

        eventually("the rule was checked", || {
            let status = &server.get("/api/v1/insights/alerts")[0]["statuses"][0];
            status["value"] == expected || status.is_null()
        });
    }

    eventually("the resolved alert is reported", || told().len() == 2);
    assert_eq!(told()[1]["alert"]["state"], "resolved");

    // A rule that is deleted while it fires is reported as resolved. A new rule is independent of it.
    let many = json!({ "name": "Open", "metric": "mr_open", "above": 0, "each_project": true, "project": null });
    let few = json!({ "name": "Few", "metric": "mr_merged", "below": 1, "each_project": true });

    assert_eq!(
        tried(&server, &few)
            .iter()
            .filter(|one| one["is_violated"] == true)
            .count(),
        2,
        "zero is below 1"
    );

    let gone = add(&server, &many)["id"].clone();
    eventually("the alert is reported for both projects", || told().len() == 4);

    assert_eq!(
        server
            .call("DELETE", &format!("/api/v1/insights/alerts/{gone}"), "")
            .status,
        204
    );

    let next = add(&server, &many)["id"].clone();
    assert_ne!(next, gone);
    eventually("the end of the old rule and the new rule are reported", || {
        told().len() == 8
    });

    let of = |id: &Value, state: &str| {
        told()
            .iter()
            .filter(|body| body["alert"]["id"] == *id && body["alert"]["state"] == state)
            .count()
    };
    assert_eq!(
        (of(&gone, "firing"), of(&gone, "resolved"), of(&next, "firing")),
        (2, 2, 2)
    );

    let id = made["id"].as_i64().expect("a number");
    let changed = json!({ "name": "Waits", "metric": "mr_waiting", "above": 5 });
    let path = format!("/api/v1/insights/alerts/{id}");
    assert_eq!(server.call("PUT", &path, &changed.to_string()).json()["above"], 5.0);
    assert_eq!(server.call("DELETE", &path, "").status, 204);
    assert_eq!(server.call("DELETE", &path, "").status, 404);
    assert_eq!(server.get("/api/v1/insights/alerts").as_array().map(Vec::len), Some(2));
    assert_eq!(told().len(), 8, "each alert was reported once");
}
