//! Bodies that are composed from what a forge reports.

use serde_json::{Value, json};

use crate::http::{Sink, eventually};
use crate::server::{Engine, Server};

pub(crate) fn images_in_composed_bodies_are_absolute(engine: Engine) {
    let base = "https://git.example.com";
    for (form, upload) in [
        ("project_path", format!("![a]({base}/gear/rope/uploads/1/a.png)")),
        ("project_id", format!("![a]({base}/-/project/1/uploads/1/a.png)")),
    ] {
        let sink = Sink::start(|_| Some(200));
        let settings = [("QUICKDRAW__SERVER__UPLOAD_LINKS", form), ("QUICKDRAW_EXTERNAL_URL", base)];
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
            eventually("it was delivered", || sink.got().len() == count);
            serde_json::from_slice::<Value>(&sink.got()[count - 1].body).expect("JSON")
        };
        let issue = report("issue_hooks", json!({ "iid": 1, "description": text }));
        assert_eq!(issue["object_attributes"]["description"], expected);
        let request = report("merge_request_hooks", json!({ "iid": 1, "description": text }));
        assert_eq!(request["object_attributes"]["description"], expected);
        let note = report("note_hooks", json!({ "note": text, "issue": { "iid": 1, "description": text } }));
        assert_eq!(note["object_attributes"]["description"], expected);
        assert_eq!(
            (&note["object_attributes"]["note"], &note["issue"]["description"]),
            (&text.into(), &expected.clone().into())
        );
        let page = report("wiki_page_hooks", json!({ "slug": "home", "content": text }));
        assert_eq!(page["object_attributes"]["content"], expected);
        assert_eq!(report("release_hooks", json!({ "tag": "v1", "description": text }))["description"], expected);
        // A complete body is sent as it is.
        let payload = json!({ "object_kind": "issue", "object_attributes": { "iid": 1, "description": text } });
        let body = json!({ "trigger": "issue_hooks", "payload": payload }).to_string();
        assert_eq!(server.call("POST", "/api/v1/projects/1/events", &body).status, 202);
        eventually("it was delivered", || sink.got().len() == count + 1);
        assert_eq!(String::from_utf8_lossy(&sink.got()[count].body), payload.to_string());
    }
}
