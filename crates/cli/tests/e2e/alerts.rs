//! Alerts on insights: they are checked, and reported to system webhooks when they fire and when they resolve.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::http::{Sink, check_parts, eventually};
use crate::server::{Engine, Server};

const ALERTS: &str = "/api/v1/insights/alerts";

fn now_less(hours: i64) -> String {
    (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours))
        .strftime("%Y-%m-%d %H:%M:%S UTC")
        .to_string()
}

fn merge_request(iid: i64, project: i64, action: &str, hours: i64) -> Value {
    json!({ "object_kind": "merge_request", "user": { "id": 1, "username": "jo" },
        "project": { "id": project, "path_with_namespace": format!("gear/p{project}") },
        "object_attributes": { "iid": iid, "target_project_id": project, "author_id": 1, "created_at": now_less(48),
            "updated_at": now_less(hours), "action": action, "state": "opened", "draft": false } })
}

/// An approval by a user who is not the author.
fn approval(iid: i64, project: i64, hours: i64) -> Value {
    let mut approved = merge_request(iid, project, "approved", hours);
    approved["user"] = json!({ "id": 2, "username": "ida" });
    approved
}

/// A server with a system webhook for alerts. Two merge requests of project 7 wait for a review, and the one of
/// project 8 was reviewed.
struct Watch {
    server: Server,
    sink: Sink,
}

impl Watch {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[]);
        let sink = Sink::start(|_| Some(200));
        let hook = json!({ "url": sink.url(), "insight_alert_events": true, "repository_update_events": false,
            "token": "canary", "signing_token": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=" });
        let hook = server.create("/api/v4/hooks", &hook);

        assert_eq!(hook["insight_alert_events"], true, "{hook}");

        for (key, body) in [
            ("a", merge_request(1, 7, "open", 47)),
            ("b", merge_request(2, 7, "open", 47)),
            ("c", merge_request(1, 8, "open", 47)),
            ("d", approval(1, 8, 40)),
        ] {
            server.receive("Merge Request Hook", key, &body);
        }

        let watch = Self { server, sink };
        eventually("all events are counted", || {
            let values = ["mr_open", "mr_reviews", "mr_waiting"].map(|name| watch.metric(name));
            values == [json!(3.0), json!(1.0), json!(2.0)]
        });

        watch
    }

    fn metric(&self, name: &str) -> Value {
        let answer = self.server.get(&format!("/api/v1/insights/metrics/{name}"));
        answer["value"].clone()
    }

    /// Adds a rule and returns its id.
    fn add(&self, rule: &Value) -> i64 {
        self.server.create(ALERTS, rule)["id"].as_i64().expect("a number")
    }

    /// The results of a rule that is tried and not added.
    fn tried(&self, rule: &Value) -> Vec<Value> {
        let reply = self.server.call("POST", &format!("{ALERTS}/try"), &rule.to_string());
        let results = reply.check(200).json();
        results["items"].as_array().expect("a list").clone()
    }

    /// The first result of the rule with this number.
    fn standing(&self, rule: usize) -> Value {
        self.server.get(ALERTS)["items"][rule]["statuses"][0].clone()
    }

    /// The alerts that the webhook received, each once: a delivery can arrive twice after a crash.
    fn alerts(&self) -> Vec<Value> {
        let (mut keys, mut alerts) = (HashSet::new(), Vec::new());
        for got in self.sink.got() {
            assert!(got.headers.contains_key("Webhook-Signature"), "{:?}", got.headers);
            if !keys.insert(got.headers["Idempotency-Key"].clone()) {
                continue;
            }

            let body: Value = serde_json::from_slice(&got.body).expect("JSON");
            if body["object_kind"] == "insight_alert" {
                alerts.push(body);
            }
        }

        alerts
    }

    fn wait_for_alerts(&self, count: usize) {
        eventually("the alerts are reported", || self.alerts().len() == count);
    }

    /// The number of alerts of a rule with this state.
    fn count(&self, rule: i64, state: &str) -> usize {
        let mut count = 0;
        for alert in self.alerts() {
            if alert["alert"]["id"] == rule && alert["alert"]["state"] == state {
                count += 1;
            }
        }

        count
    }

    /// Kills and restarts the server while no look is under way: an interrupted look reserves the rules for a minute.
    fn crash_between_looks(&mut self) {
        eventually("the look has ended", || {
            let workers = self.server.get("/api/v1/workers")["items"].clone();
            let mut workers = workers.as_array().expect("a list").iter();
            let watch = workers.find(|worker| worker["name"] == "alerts").expect("it is listed");

            let time = |name: &str| {
                watch[name]
                    .as_str()
                    .and_then(|time| time.parse::<jiff::Timestamp>().ok())
            };

            time("last_success") >= time("last_run")
        });

        self.server.kill();
        self.server.restart();
    }

    /// Approves a merge request of project 7, and waits until the first rule was checked with the expected value.
    fn approve(&self, key: &str, iid: i64, expected: f64) {
        self.server.receive("Merge Request Hook", key, &approval(iid, 7, 1));
        eventually("the review is counted", || self.metric("mr_waiting") == expected);

        self.server.call("POST", &format!("{ALERTS}/look"), "").check(202);
        eventually("the rule was checked", || {
            let standing = self.standing(0);
            standing["value"] == expected || standing.is_null()
        });
    }
}

/// Fires for project 7.
fn waiting() -> Value {
    json!({ "name": "Waits for a review", "metric": "mr_waiting", "above": 0, "each_project": true })
}

/// Fires after an hour.
fn lasting() -> Value {
    json!({ "name": "Not yet", "metric": "mr_waiting", "above": 0, "for": 3600 })
}

/// Fires for projects 7 and 8.
fn open() -> Value {
    json!({ "name": "Open", "metric": "mr_open", "above": 0, "each_project": true, "project": null })
}

pub(crate) fn a_rule_can_be_tried_for_each_project(engine: Engine) {
    let watch = Watch::start(&engine);
    let found = watch.tried(&waiting());
    assert_eq!(found.len(), 2, "{found:?}");

    check_parts(
        &found[0],
        json!({ "project_path": "gear/p7", "value": 2.0, "is_violated": true }),
    );

    assert_eq!(found[1]["is_violated"], false);

    // Zero is below 1.
    let few = json!({ "name": "Few", "metric": "mr_merged", "below": 1, "each_project": true });
    let found = watch.tried(&few);
    assert_eq!(found.iter().filter(|one| one["is_violated"] == true).count(), 2);
}

pub(crate) fn a_rule_can_be_tried_with_each_kind_of_threshold(engine: Engine) {
    let watch = Watch::start(&engine);
    let silent = json!({ "name": "Silent", "metric": "silence", "above": 3600, "project": "gear/p7" });
    assert_eq!(watch.tried(&silent)[0]["is_violated"], false);

    let rising = json!({ "name": "Slower", "metric": "time_to_merge", "statistic": "p75", "times_previous": 1.5,
        "window": 604_800 });
    let expected = json!({ "value": null, "threshold": null });
    check_parts(&watch.tried(&rising)[0], expected);

    let pushes = json!({ "name": "Missing", "metric": "missing_pushes", "above": 0 });
    assert_eq!(watch.tried(&pushes)[0]["value"], 0.0);
}

pub(crate) fn an_invalid_rule_is_refused(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let unknown = json!({ "name": "x", "metric": "nonsense", "above": 1 });
    let endless = json!({ "name": "x", "metric": "mr_open" });
    let percentile = json!({ "name": "x", "metric": "mr_open", "above": 1, "statistic": "p75" });

    for (rule, reason) in [
        (unknown, "there is no metric"),
        (endless, "exactly one of above"),
        (percentile, "no percentiles"),
    ] {
        let reply = server.call("POST", ALERTS, &rule.to_string());
        reply.check_says(422, reason);
    }
}

/// Checks the body that reports an alert for project 7.
fn check_is_firing(body: &Value) {
    assert_eq!(body["project"], json!({ "id": 7, "path_with_namespace": "gear/p7" }));
    check_parts(
        &body["alert"],
        json!({ "state": "firing", "value": 2.0, "name": "Waits for a review", "unit": "count" }),
    );
}

/// The server crashes in between. The alert resolves after the second review, not after the first.
pub(crate) fn an_alert_is_reported_once_when_it_fires_and_once_when_it_resolves(engine: Engine) {
    let mut watch = Watch::start(&engine);
    watch.add(&waiting());
    watch.add(&lasting());
    watch.wait_for_alerts(1);
    check_is_firing(&watch.alerts()[0]);
    eventually("the second rule is bad, but not for an hour", || {
        watch.standing(0)["state"] == "firing" && watch.standing(1)["state"] == "pending"
    });

    watch.crash_between_looks();
    watch.approve("e", 1, 1.0);
    watch.approve("f", 2, 0.0);
    watch.wait_for_alerts(2);
    assert_eq!(watch.alerts()[1]["alert"]["state"], "resolved");
}

/// A new rule is independent of the deleted one.
pub(crate) fn the_alerts_of_a_deleted_rule_are_reported_as_resolved(engine: Engine) {
    let watch = Watch::start(&engine);
    let old = watch.add(&open());
    watch.wait_for_alerts(2);

    let deleted = watch.server.call("DELETE", &format!("{ALERTS}/{old}"), "");
    deleted.check(204);

    let new = watch.add(&open());
    assert_ne!(new, old);
    watch.wait_for_alerts(6);
    assert_eq!((watch.count(old, "firing"), watch.count(old, "resolved")), (2, 2));
    assert_eq!(watch.count(new, "firing"), 2);
}

pub(crate) fn a_rule_can_be_changed_and_deleted(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let rule = server.create(ALERTS, &waiting());
    server.create(ALERTS, &open());

    let path = format!("{ALERTS}/{}", rule["id"]);
    let changed = json!({ "name": "Waits", "metric": "mr_waiting", "above": 5 });
    let changed = server.call("PUT", &path, &changed.to_string());
    assert_eq!(changed.json()["above"], 5.0);

    server.call("DELETE", &path, "").check(204);
    server.call("DELETE", &path, "").check(404);
    assert_eq!(server.get(ALERTS)["items"].as_array().map(Vec::len), Some(1));
}
