//! Secrets of hooks: no answer, history or database shows one, whatever a receiver echoes and whatever fails.

use crate::http::Sink;
use crate::server::{Engine, Server};

pub(crate) fn no_answer_and_no_error_shows_a_secret(engine: Engine) {
    let on_sqlite = matches!(engine, Engine::Sqlite);
    let mut server = Server::start(&engine, &[("QUICKDRAW__DELIVERY__TIMEOUT", "2s")]);
    server.make_project();
    let variable = r#","url_variables":[{"key":"v","value":"canary-in-host"}]"#;
    let named = server.make_hook("http://{v}.nowhere.example/", variable);
    let sink = Sink::echo();
    let echoed = r#","token":"canary token","custom_headers":[{"key":"X-Api","value":"Bearer canary-bearer"}]"#;
    let url = format!("http://canary%2Fname:canary%21word@127.0.0.1:{}/in", sink.port);
    let echoing = server.make_hook(&url, echoed);
    for hook in [&named, &echoing] {
        let hook = &hook["id"];
        let test = server.call("POST", &format!("/api/v4/projects/1/hooks/{hook}/test/push_events"), "");
        assert!(!test.body.contains("canary"), "{}", test.body);
        let log = server.get(&format!("/api/v4/projects/1/hooks/{hook}/events"));
        assert_eq!(log.as_array().map(Vec::len), Some(1), "{log}");
        let attempts = server.get(&format!("/api/v1/attempts?hook_id={hook}"));
        for shown in [&log, &attempts] {
            assert!(!shown.to_string().contains("canary"), "{shown}");
        }
    }
    let attempts = server.get(&format!("/api/v1/attempts?hook_id={}", named["id"]));
    assert!(attempts["items"][0]["error"].is_string(), "{attempts}");
    let attempts = server.get(&format!("/api/v1/attempts?hook_id={}", echoing["id"]));
    let shown = attempts["items"][0]["response_body"].as_str().unwrap_or_default();
    assert!(shown.contains("X-Gitlab-Token: [REDACTED]") && shown.contains("X-Api: [REDACTED]"), "{shown}");
    assert!(!server.output().contains("canary"), "{}", server.output());
    server.terminate();
    if on_sqlite {
        let folder = server.folder.path().join("quickdraw-data");
        for file in std::fs::read_dir(folder).expect("a folder").flatten() {
            let bytes = std::fs::read(file.path()).unwrap_or_default();
            let found = bytes.windows(6).any(|window| window == b"canary");
            assert!(!found, "{:?} has a secret in clear", file.path());
        }
    }
}
