//! The description of the API as a page: how its files are sent, and that its examples of errors are real.

use serde_json::Value;

use crate::http::{Reply, send};
use crate::server::{Engine, Server};

fn fetch(server: &Server, path: &str, headers: &[(&str, &str)]) -> Reply {
    send(server.port, "GET", path, headers, b"").expect("an answer")
}

/// Path of the first asset that the page loads, without a slash at the beginning.
fn asset(page: &str) -> &str {
    let at = page.find("docs/assets/").expect("an asset");
    page[at..].split('"').next().expect("a path")
}

pub(crate) fn the_page_of_the_api_is_compressed_and_cached(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let gzip = ("Accept-Encoding", "gzip");

    for path in ["/api/v1/docs", "/api/v1/docs/plain", "/api/v1/openapi.json"] {
        let reply = fetch(&server, path, &[gzip]).check(200);
        assert_eq!(reply.header("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-cache"), "{path}");

        let tag = reply.header("etag").expect("a tag").replace("w/", "W/");
        fetch(&server, path, &[gzip, ("If-None-Match", &tag)]).check(304);
    }
}

pub(crate) fn the_files_of_the_api_page_are_kept_by_browsers(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let page = fetch(&server, "/api/v1/docs", &[]).check(200).body;

    let path = format!("/api/v1/{}", asset(&page));
    let file = fetch(&server, &path, &[("Accept-Encoding", "gzip")]).check(200);
    assert!(
        file.header("cache-control")
            .is_some_and(|value| value.contains("immutable"))
    );

    fetch(&server, "/api/v1/docs/assets/swagger-ui-0.js", &[]).check_says(404, "reload /api/v1/docs");
}

pub(crate) fn the_page_of_the_api_has_no_inline_script_and_shows_operations_without_scripts(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let reply = fetch(&server, "/api/v1/docs", &[]).check(200);

    let policy = reply.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("script-src 'self';") && policy.contains("style-src 'self';"),
        "{policy}"
    );
    assert!(!reply.body.contains("<style") && !reply.body.contains("<script>"));

    let hidden = reply.body.split("<noscript>").nth(1).expect("a part without scripts");
    assert!(hidden.contains(r##"href="docs/plain#post_v1_events""##), "{hidden}");
}

pub(crate) fn the_errors_that_the_description_shows_are_real(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../server/examples/errors.json");
    let file = std::fs::read_to_string(path).expect("the file of errors");
    let all: Vec<Value> = serde_json::from_str(&file).expect("JSON");

    let mut compared = 0;
    for error in &all {
        for (name, example) in error["examples"].as_object().expect("examples") {
            let request = &example["request"];
            let Some(path) = request["path"].as_str() else { continue };
            let method = request["method"].as_str().expect("a method");
            let body = match &request["body"] {
                Value::Null => String::new(),
                body => body.to_string(),
            };

            let reply = if request["token"] == false {
                send(server.port, method, path, &[], body.as_bytes()).expect("an answer")
            } else {
                server.call(method, path, &body)
            };
            assert_eq!(reply.status.to_string(), error["status"], "{name}: {}", reply.body);
            assert_eq!(reply.json(), example["answer"], "{name}");
            compared += 1;
        }
    }

    assert!(compared >= 10, "only {compared} errors were compared");
}
