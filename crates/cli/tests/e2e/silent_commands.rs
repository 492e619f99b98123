//! Commands in silent mode: their warnings, and replays that would wait.

use crate::commands::{administer, output_of, succeed};
use crate::daily::fail;
use crate::http::{Sink, eventually};
use crate::server::{Engine, Server};

const WARNING: &str = "warning: silent mode is on: no webhook is called";

/// A server with a webhook, in silent mode.
fn start(engine: &Engine) -> (Server, Sink) {
    let server = Server::start(engine, &[]);
    server.make_project();

    let sink = Sink::start(|_| Some(200));
    server.make_hook(&sink.url(), "");
    std::fs::write(server.folder.path().join("body.json"), "{}").expect("a file");
    succeed(&server, &["silent", "on"]);

    (server, sink)
}

/// The number of warnings that a command prints to standard error.
fn count_warnings(server: &Server, arguments: &[&str]) -> usize {
    let done = administer(server, arguments);
    assert!(done.status.success(), "{}", output_of(&done));
    String::from_utf8_lossy(&done.stderr).matches(WARNING).count()
}

pub(crate) fn commands_warn_once_while_silent_mode_is_on(engine: Engine) {
    let (server, _) = start(&engine);
    let commands = [
        &["hooks", "list", "--project", "gear/rope"][..],
        &["hooks", "show", "1", "--project", "gear/rope", "--json"],
        &["emit", "push_hooks", "--project", "gear/rope", "--payload", "body.json"],
        &["deliveries", "list"],
    ];

    for command in commands {
        assert_eq!(count_warnings(&server, command), 1, "{command:?}");
    }

    succeed(&server, &["silent", "off"]);
    for command in commands {
        assert_eq!(count_warnings(&server, command), 0, "{command:?}");
    }
}

pub(crate) fn a_replay_of_the_silent_time_does_not_start_before_its_end(engine: Engine) {
    let (server, sink) = start(&engine);
    server.report(1).expect("accepted");

    let replay = ["replay", "--since", "1h", "--skipped", "silent_mode"];
    let error = fail(&server, &replay, 1);
    assert!(error.contains("quickdraw silent off"), "{error}");
    assert_eq!(server.get("/api/v1/replays")["items"].as_array().map(Vec::len), Some(0));

    succeed(&server, &["silent", "off"]);
    succeed(&server, &replay);
    eventually("the event arrives", || sink.got().len() == 1);
}

pub(crate) fn a_replay_can_be_limited_to_a_group(engine: Engine) {
    let (server, _) = start(&engine);
    succeed(&server, &["silent", "off"]);
    server.report(1).expect("accepted");
    succeed(&server, &["groups", "create", "--path", "other"]);

    let count = |group: &str| succeed(&server, &["replay", "--since", "1h", "--group", group, "--dry-run"]);
    eventually("the delivery has ended", || count("gear") == "matching deliveries: 1\n");
    assert_eq!(count("other"), "matching deliveries: 0\n");
}
