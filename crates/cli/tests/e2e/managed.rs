//! Insights and replays for maintainers and owners: those of their own projects, and nothing about others.

use serde_json::{Value, json};

use crate::access::People;
use crate::gitlab::SENDER;
use crate::http::{Reply, Sink, eventually};
use crate::server::{Engine, Server};

const WINDOW: &str = "from=2026-03-01&to=2026-03-15";

/// A server that has received merge requests and pushes of the projects `gear/rope` (7) and `cave/lamp` (8), with a
/// maintainer of the first and an owner of its group.
struct Shared {
    server: Server,
    maintainer: String,
    owner: String,
}

/// A merge request. All names contain the word.
fn merge_request(project: i64, path: &str, word: &str) -> Value {
    json!({ "object_kind": "merge_request",
        "user": { "id": project * 10, "username": format!("{word}-user"), "name": format!("{word}-name") },
        "project": { "id": project, "path_with_namespace": path },
        "object_attributes": { "iid": 1, "target_project_id": project, "author_id": project * 10,
            "created_at": "2026-03-02 08:00:00 UTC", "updated_at": "2026-03-02 10:00:00 UTC",
            "action": "merge", "state": "merged", "title": format!("{word}-title"),
            "target_branch": format!("{word}-branch"), "source_branch": "x" } })
}

/// A push of one commit. All names contain the word.
fn push(project: i64, path: &str, word: &str) -> Value {
    json!({ "object_kind": "push", "ref": format!("refs/heads/{word}-branch"), "before": "a", "after": "b",
        "user_username": format!("{word}-user"), "user_id": project * 10,
        "project": { "id": project, "path_with_namespace": path, "default_branch": format!("{word}-branch") },
        "commits": [{ "id": format!("{project}f"), "message": word, "timestamp": "2026-03-03T10:00:00Z",
            "author": { "name": format!("{word}-author"), "email": format!("{word}@mail.example") } }] })
}

impl Shared {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[]);
        for (project, path, word) in [(7, "gear/rope", "own"), (8, "cave/lamp", "canary")] {
            for (event, body) in [
                ("Merge Request Hook", merge_request(project, path, word)),
                ("Push Hook", push(project, path, word)),
            ] {
                let reply = SENDER.try_post(
                    server.port,
                    event,
                    &format!("{word}{event}"),
                    body.to_string().as_bytes(),
                );
                reply.expect("an answer").check(200);
            }
        }

        let merged = format!("/api/v1/insights/metrics/mr_merged?{WINDOW}");
        eventually("all events are counted", || server.get(&merged)["value"] == 2.0);

        let people = People { server: &server };
        let (maintainer, token) = people.make("maintainer", "api");
        people.add("projects/gear%2Frope", maintainer, 40);
        let (id, owner) = people.make("owner", "api");
        people.add("groups/gear", id, 50);

        Self {
            server,
            maintainer: token,
            owner,
        }
    }

    fn read(&self, path: &str) -> Reply {
        self.server
            .call_as(&self.maintainer, "GET", &format!("/api/v1/insights/{path}"), "")
    }
}

pub(crate) fn a_maintainer_reads_insights_of_own_projects(engine: Engine) {
    let shared = Shared::start(&engine);
    let path = format!("metrics/mr_merged?{WINDOW}&project=gear/rope");
    assert_eq!(shared.read(&path).check(200).json()["value"], 1.0);

    let of_group = format!("/api/v1/insights/metrics/mr_merged?{WINDOW}&group=gear");
    let read = shared.server.call_as(&shared.owner, "GET", &of_group, "");
    assert_eq!(read.check(200).json()["value"], 1.0);
}

pub(crate) fn insights_of_foreign_projects_do_not_exist(engine: Engine) {
    let shared = Shared::start(&engine);
    for (scope, status) in [
        ("project=cave/lamp", 404),
        ("project=cave/nothing", 404),
        ("group=cave", 404),
        ("group=gear", 404),
        ("", 403),
    ] {
        for path in ["metrics/mr_merged", "metrics/mr_merged/explain", "commits", "reviews"] {
            shared.read(&format!("{path}?{WINDOW}&{scope}")).check(status);
        }

        shared
            .read(&format!("query?metric=mr_merged&{WINDOW}&{scope}"))
            .check(status);
    }
}

pub(crate) fn insights_of_a_project_name_nothing_of_others(engine: Engine) {
    let shared = Shared::start(&engine);
    let of_project = format!("{WINDOW}&project=gear/rope");
    let mut paths: Vec<String> = ["commits", "reviews"].map(|path| format!("{path}?{of_project}")).into();

    let metrics = shared.server.get("/api/v1/insights/metrics");
    for metric in metrics["items"].as_array().expect("a list") {
        let name = metric["name"].as_str().expect("a name");
        paths.push(format!("metrics/{name}?{of_project}"));
        paths.push(format!("metrics/{name}/explain?{of_project}"));
    }

    for by in ["project", "member", "team", "branch"] {
        paths.push(format!("query?metric=mr_merged&group_by={by}&{of_project}"));
    }

    for path in paths {
        let reply = shared.read(&path).check(200);
        assert!(!reply.body.contains("canary"), "{path}: {}", reply.body);
        assert!(!reply.body.contains("cave"), "{path}: {}", reply.body);
    }
}

pub(crate) fn members_without_work_in_a_project_are_not_listed(engine: Engine) {
    let shared = Shared::start(&engine);
    for (name, account) in [("Own Ann", "#70"), ("Canary Bob", "#80")] {
        let member = json!({ "name": name, "handles": [account] });
        shared.server.create("/api/v1/insights/members", &member);
    }

    let path = format!("query?metric=mr_merged&interval=none&group_by=member&{WINDOW}&project=gear/rope");
    let rows = shared.read(&path).check(200).json();
    assert_eq!(rows["rows"].as_array().map(Vec::len), Some(1), "{rows}");
    assert_eq!(rows["rows"][0]["group"], "Own Ann");
}

pub(crate) fn evidence_of_a_foreign_item_does_not_exist(engine: Engine) {
    let shared = Shared::start(&engine);
    let evidence = |item: &str, scope: &str| shared.read(&format!("metrics/mr_merged/events?item={item}&{scope}"));

    let own = evidence("7/1", "project=gear/rope").check(200).json();
    assert_eq!(own["items"].as_array().map(Vec::len), Some(1), "{own}");
    evidence("8/1", "project=gear/rope").check(404);
    evidence("8/1", "project=cave/lamp").check(404);
    evidence("7/1", "").check(403);
}

/// A server whose project has two delivered events for a hook of the project and a hook of its group, and the token of
/// a maintainer.
fn deliver(engine: &Engine) -> (Server, String, [Sink; 2]) {
    let server = Server::start(engine, &[]);
    server.make_project();
    let sinks = [(); 2].map(|()| Sink::start(|_| Some(200)));
    for (scope, sink) in ["projects/1", "groups/gear"].into_iter().zip(&sinks) {
        let hook = json!({ "url": sink.url(), "push_events": true });
        server.create(&format!("/api/v4/{scope}/hooks"), &hook);
    }

    for number in 0..2 {
        server.report(number).expect("accepted");
    }

    eventually("all events arrive", || sinks.iter().all(|sink| sink.got().len() == 2));

    let all = json!({ "since": "2020-01-01", "dry_run": true }).to_string();
    eventually("all attempts are recorded", || {
        server.call("POST", "/api/v1/replays", &all).json()["matched"] == 4
    });

    let people = People { server: &server };
    let (id, token) = people.make("maintainer", "api");
    people.add("projects/1", id, 40);
    (server, token, sinks)
}

pub(crate) fn a_replay_of_a_maintainer_sends_only_to_hooks_of_the_project(engine: Engine) {
    let (server, token, [own, of_group]) = deliver(&engine);
    let body = json!({ "since": "2020-01-01", "project": "gear/rope" }).to_string();
    let made = server.call_as(&token, "POST", "/api/v1/replays", &body).check(201);
    let path = format!("/api/v1/replays/{}", made.id());

    eventually("the replay is finished", || {
        server.call_as(&token, "GET", &path, "").json()["state"] == "finished"
    });
    eventually("the events arrive again", || own.got().len() == 4);

    let shown = server.call_as(&token, "GET", &path, "").json();
    assert_eq!(shown["replayed"], 2, "{shown}");
    assert_eq!(shown["scanned"], json!(null), "{shown}");
    assert_eq!(of_group.got().len(), 2, "hooks of the group get nothing");
}

pub(crate) fn replays_of_others_do_not_exist_for_a_maintainer(engine: Engine) {
    let (server, token, _sinks) = deliver(&engine);
    let body = json!({ "since": "2020-01-01", "project": "gear/rope" }).to_string();
    let of_admin = server.call("POST", "/api/v1/replays", &body).check(201).id();

    for (method, end) in [
        ("GET", ""),
        ("POST", "/pause"),
        ("POST", "/resume"),
        ("POST", "/cancel"),
    ] {
        let path = format!("/api/v1/replays/{of_admin}{end}");
        server.call_as(&token, method, &path, "").check(404);
    }

    let list = server
        .call_as(&token, "GET", "/api/v1/replays?project=1", "")
        .check(200)
        .json();
    assert_eq!(list["items"], json!([]));
    server.call_as(&token, "GET", "/api/v1/replays", "").check(403);

    let wide = json!({ "since": "2020-01-01" }).to_string();
    server.call_as(&token, "POST", "/api/v1/replays", &wide).check(403);
}

pub(crate) fn a_project_has_two_running_replays_of_members(engine: Engine) {
    let (server, token, _sinks) = deliver(&engine);
    // A replay with a rate of one delivery per second runs for more than a second.
    let body = json!({ "since": "2020-01-01", "project": 1, "rate": 1 }).to_string();
    let start = || server.call_as(&token, "POST", "/api/v1/replays", &body);

    start().check(201);
    start().check(201);
    start().check_says(409, "wait for one to finish");
}
