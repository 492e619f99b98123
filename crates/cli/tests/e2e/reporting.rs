//! Reports of users who are no administrators: only for projects and groups that they manage.

use serde_json::{Value, json};

use crate::access::People;
use crate::http::{Reply, send};
use crate::server::{Engine, Server};

/// A server with the projects `gear/rope` and `cave/lamp`, and a maintainer of the first.
struct Forge {
    server: Server,
    maintainer: String,
}

impl Forge {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[]);
        server.make_project();
        let group = server.create("/api/v4/groups", &json!({ "name": "Cave", "path": "cave" }));
        let lamp = json!({ "name": "Lamp", "path": "lamp", "namespace_id": group["id"] });
        server.create("/api/v4/projects", &lamp);

        let people = People { server: &server };
        let (id, maintainer) = people.make("maintainer", "report");
        people.add("projects/1", id, 40);

        Self { server, maintainer }
    }

    fn report(&self, path: &str, report: &Value) -> Reply {
        let path = format!("/api/v1/{path}");
        self.server
            .call_as(&self.maintainer, "POST", &path, &report.to_string())
    }
}

/// A push whose body names a project.
fn push(project: i64) -> Value {
    let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "before": "a", "after": "b",
        "project": { "id": project, "path_with_namespace": "gear/rope" }, "commits": [] });
    json!({ "trigger": "push_hooks", "payload": body })
}

pub(crate) fn a_maintainer_reports_events_of_own_projects_only(engine: Engine) {
    let forge = Forge::start(&engine);
    forge.report("projects/gear%2Frope/events", &push(1)).check(202);

    for foreign in ["projects/2/events", "projects/cave%2Flamp/events", "groups/cave/events"] {
        forge.report(foreign, &push(1)).check(404);
    }

    forge.report("groups/gear/events", &push(1)).check(404);
    forge.report("events", &push(1)).check(403);
}

pub(crate) fn a_report_of_a_member_creates_no_project(engine: Engine) {
    let forge = Forge::start(&engine);
    forge.report("projects/gear%2Fnew/events", &push(1)).check(404);
    forge.server.call("GET", "/api/v4/projects/gear%2Fnew", "").check(404);
}

pub(crate) fn a_developer_cannot_report(engine: Engine) {
    let forge = Forge::start(&engine);
    let people = People { server: &forge.server };
    let (id, developer) = people.make("developer", "api");
    people.add("projects/1", id, 30);

    let body = push(1).to_string();
    let reply = forge
        .server
        .call_as(&developer, "POST", "/api/v1/projects/1/events", &body);
    reply.check(403);
}

/// Insights count a body for the project that it names, so a member could change the numbers of another project.
pub(crate) fn a_body_of_a_member_cannot_name_a_foreign_project(engine: Engine) {
    let forge = Forge::start(&engine);
    let foreign = forge.report("projects/1/events", &push(2));
    foreign.check_says(422, "the project with the id 2");

    let unknown = forge.report("projects/1/events", &push(77));
    unknown.check_says(422, "the project with the id 77");

    // An administrator may do so.
    let path = "/api/v1/projects/1/events";
    forge.server.call("POST", path, &push(2).to_string()).check(202);
}

pub(crate) fn a_member_reports_an_object_of_the_own_project(engine: Engine) {
    let forge = Forge::start(&engine);
    let object = json!({ "id": 9, "iid": 5, "title": "Grease", "action": "open" });
    let report = json!({ "trigger": "issue_hooks", "user": { "id": 4, "username": "ida" }, "object": object });
    forge.report("projects/1/events", &report).check(202);
}

pub(crate) fn equal_keys_of_two_projects_are_two_events(engine: Engine) {
    let forge = Forge::start(&engine);
    let post = |token: &str, project: i64| {
        let path = format!("/api/v1/projects/{project}/events");
        let headers = [("PRIVATE-TOKEN", token), ("Idempotency-Key", "build-7")];
        let body = push(project).to_string();
        let reply = send(forge.server.port, "POST", &path, &headers, body.as_bytes());
        reply.expect("an answer").check(202).json()["id"].clone()
    };

    let foreign = post(crate::server::TOKEN, 2);
    let own = post(&forge.maintainer, 1);
    assert_ne!(own, foreign);
    assert_eq!(post(&forge.maintainer, 1), own, "a repeated key");
}
