//! The catalog of the kinds of events.

use crate::answers::items;
use crate::http::{check_parts, send};
use crate::server::{Engine, Server};
use serde_json::{Value, json};

/// Calls the API without a token.
fn get(server: &Server, path: &str) -> Value {
    let reply = send(server.port, "GET", path, &[], b"").expect("an answer");
    reply.check(200).json()
}

pub(crate) fn the_catalog_has_every_kind_with_its_meaning(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let catalog = get(&server, "/api/v1/triggers");
    let kinds = items(&catalog["items"]);
    assert_eq!(kinds.len(), 50);
    assert!(
        kinds
            .iter()
            .all(|kind| kind["meaning"].as_str().is_some_and(|text| text.ends_with('.')))
    );

    let named = |name: &str| kinds.iter().find(|kind| kind["name"] == name).expect("the kind");
    let push = json!({ "attribute": "push_events", "header": "Push Hook", "object_kinds": ["push"],
        "has_branch_filter": true, "schema_path": "/api/v1/schemas/push_hooks", "/levels/0/can_be_tested": true });
    check_parts(named("push_hooks"), push);

    let deployment = &named("deployment_hooks")["levels"][0];
    check_parts(
        deployment,
        json!({ "level": "project", "can_be_tested": false,
        "reason": "Testing not available for this hook" }),
    );
}

pub(crate) fn a_kind_of_the_catalog_has_a_sample(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let shown = get(&server, "/api/v1/triggers/issue_hooks");
    check_parts(&shown, json!({ "name": "issue_hooks", "/sample/object_kind": "issue" }));

    let shown = get(&server, "/api/v1/triggers/key_create");
    check_parts(&shown, json!({ "sample": null, "sample_path": null }));
    let reply = send(server.port, "GET", "/api/v1/triggers/nothing", &[], b"").expect("an answer");
    reply.check(404);
}
