//! Projects in insights: their names in requests, and the gaps of a maintainer's own projects.

use serde_json::{Value, json};

use crate::access::People;
use crate::answers::items;
use crate::http::{Reply, eventually};
use crate::namespaces::column;
use crate::server::{Engine, Server};

/// A server that has received events of the projects `gear/rope` and `cave/lamp`, with gaps in both. Their ids in
/// Quickdraw are 1 and 2, and 77 and 1 in GitLab.
fn start(engine: &Engine) -> Server {
    let server = Server::start(engine, &[]);
    for (project, path) in [(77, "gear/rope"), (1, "cave/lamp")] {
        let project = json!({ "id": project, "path_with_namespace": path, "default_branch": "main" });
        for iid in [1, 3] {
            let body = json!({ "object_kind": "issue", "project": project, "object_attributes": { "iid": iid } });
            server.receive("Issue Hook", &format!("{path}{iid}"), &body);
        }

        for (from, to) in [("0", "a"), ("b", "c")] {
            let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "project": project,
                "before": from.repeat(40), "after": to.repeat(40) });
            server.receive("Push Hook", &format!("{path}{from}"), &body);
        }
    }

    eventually("all events are counted", || {
        let list = server.get("/api/v1/insights/completeness");
        items(&list["items"]).len() == 4 && items(&list["items"]).iter().all(|row| row["known"] == 2)
    });

    server
}

fn ask(server: &Server, path: &str) -> Reply {
    server.call("GET", &format!("/api/v1/{path}"), "")
}

/// The ids in GitLab of the projects that an answer is about.
fn source_ids(answer: &Value) -> Vec<Value> {
    let mut ids = column(&answer["items"], "source_project_id");
    ids.dedup();
    ids
}

pub(crate) fn a_project_is_named_by_its_id_in_quickdraw_or_by_its_path(engine: Engine) {
    let server = start(&engine);
    for (name, expected) in [
        ("project=1", 77),
        ("project=gear/rope", 77),
        ("project=2", 1),
        ("source_project_id=1", 1),
        ("group=cave", 1),
    ] {
        let answer = ask(&server, &format!("insights/completeness?{name}")).check(200).json();
        assert_eq!(source_ids(&answer), [json!(expected)], "{name}");
    }

    // The same name means the same project in metrics and in history.
    for name in ["1", "gear/rope"] {
        let pushes = ask(&server, &format!("insights/metrics/pushes?project={name}&wait=20s"));
        assert_eq!(pushes.check(200).json()["value"], 2.0, "{name}");

        let events = ask(&server, &format!("events?project={name}&trigger=push_hooks"));
        assert_eq!(items(&events.check(200).json()["items"]).len(), 2, "{name}");
    }
}

pub(crate) fn an_unknown_project_is_not_found_and_the_near_path_is_named(engine: Engine) {
    let server = start(&engine);
    for list in [
        "insights/completeness",
        "insights/gaps",
        "insights/commits",
        "insights/metrics/pushes",
    ] {
        for name in ["77", "gear/rpoe"] {
            let refused = ask(&server, &format!("{list}?project={name}")).check(404).json();
            assert_eq!(refused["type"], "/problems/not-found", "{list}");
            assert_eq!(refused["errors"][0]["did_you_mean"], "gear/rope", "{list}: {refused}");
        }
    }

    ask(&server, "insights/completeness?source_project_id=5").check(404);
    ask(&server, "insights/metrics/pushes?since=2026-01-01").check_says(400, "did you mean from?");
}

pub(crate) fn an_unknown_project_of_history_is_not_found_and_the_near_path_is_named(engine: Engine) {
    let server = start(&engine);
    for list in ["events", "deliveries", "attempts", "skips", "replays"] {
        ask(&server, &format!("{list}?project=gear/rpoe")).check_says(404, "did you mean gear/rope?");
    }

    // Other users do not learn paths.
    let (_, token) = People { server: &server }.make("ida", "api");
    let refused = server.call_as(&token, "GET", "/api/v1/events?project=gear/rpoe", "");
    assert!(!refused.check(404).body.contains("gear/rope"));
}

pub(crate) fn a_maintainer_reads_gaps_and_completeness_of_own_projects(engine: Engine) {
    let server = start(&engine);
    let people = People { server: &server };
    let (id, token) = people.make("ida", "api");

    people.add("projects/gear%2Frope", id, 40);

    let ask = |path: &str| server.call_as(&token, "GET", &format!("/api/v1/insights/{path}"), "");

    let complete = ask("completeness?project=gear/rope").check(200).json();
    assert_eq!(source_ids(&complete), [json!(77)]);

    let gaps = ask("gaps?project=1").check(200).json();
    assert_eq!(items(&gaps["items"]).len(), 2, "{gaps}");
    ask("gaps?project=1&source_project_id=77").check(200);

    ask("completeness").check_says(403, "name a project or group that you maintain");
    for foreign in ["project=cave/lamp", "source_project_id=1&project=1"] {
        ask(&format!("completeness?{foreign}")).check(404);
        ask(&format!("gaps?{foreign}")).check(404);
    }

    ask("gaps?source_project_id=1").check(403);
}

pub(crate) fn gaps_are_filtered_by_kind_and_time(engine: Engine) {
    let server = start(&engine);
    for (filter, expected) in [
        ("", 2),
        ("kind=issue", 1),
        ("since=1h", 1),
        ("kind=push&since=1h", 1),
        ("until=1h", 0),
    ] {
        let gaps = ask(&server, &format!("insights/gaps?project=1&{filter}"))
            .check(200)
            .json();
        assert_eq!(items(&gaps["items"]).len(), expected, "{filter}: {gaps}");
    }

    let refused = ask(&server, "insights/gaps?project=1&kind=isue").check(400).json();
    assert_eq!(refused["errors"][0]["did_you_mean"], "issue", "{refused}");
    ask(&server, "insights/gaps?project=1&kind=issue&since=1h").check_says(400, "since applies to pushes only");
}
