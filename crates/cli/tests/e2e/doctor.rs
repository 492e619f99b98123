//! `quickdraw doctor --url`: examines a running server.

use crate::commands::{output_of, run, succeed};
use crate::http::{Sink, send};
use crate::server::{Engine, SECRET, Server, TOKEN};

/// The URL of the server.
fn url(server: &Server) -> String {
    format!("http://127.0.0.1:{}", server.port)
}

/// Runs the command, which must end with this code and print the parts.
fn check_doctor(server: &Server, arguments: &[&str], code: i32, parts: &[&str]) {
    let (found, said) = run(server, &[&["doctor"], arguments].concat());
    assert_eq!(found, Some(code), "{said}");

    for part in parts {
        assert!(said.contains(part), "{part}: {said}");
    }
}

pub(crate) fn a_running_server_is_examined(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let said = succeed(&server, &["doctor"]);

    for part in [
        "server: ready",
        "clock: differs",
        "version: 0.1.0",
        "answers",
        "no request yet",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }

    assert!(said.contains("workers: 17, none fails"), "{said}");
    assert!(said.contains("backlog: deliveries that have not ended: 0"), "{said}");
    assert!(!said.contains("warning"), "{said}");
}

pub(crate) fn only_public_checks_run_without_a_token(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let mut doctor = server.command(&["doctor", "--url", &url(&server)]);
    let done = doctor.env_remove("QUICKDRAW_TOKEN").output().expect("it runs");

    let said = output_of(&done);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("server: ready"), "{said}");
    assert!(said.contains("set QUICKDRAW_TOKEN"), "{said}");
}

pub(crate) fn an_invalid_token_is_a_problem(engine: Engine) {
    let server = Server::start(&engine, &[]);
    std::fs::write(server.folder.path().join("token"), "nonsense").expect("a file");

    let arguments = ["--url", &url(&server), "--token-file", "token"];
    check_doctor(&server, &arguments, 1, &["problem  version: the token is not valid"]);
}

pub(crate) fn a_server_that_is_no_quickdraw_is_a_problem(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let other = Sink::start(|_| Some(200));

    check_doctor(
        &server,
        &["--url", &other.url()],
        1,
        &["not as a Quickdraw server does"],
    );
}

pub(crate) fn a_server_that_does_not_answer_is_a_problem(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    server.kill();
    check_doctor(&server, &["--url", &url(&server)], 1, &["does not answer"]);
}

pub(crate) fn a_refused_request_and_a_wrong_external_url_are_shown(engine: Engine) {
    let other = Sink::start(|_| Some(404));
    let server = Server::start(
        &engine,
        &[("QUICKDRAW_EXTERNAL_URL", other.url().trim_end_matches('/'))],
    );

    let wrong = format!("{SECRET}-wrong");
    send(
        server.port,
        "POST",
        "/api/v1/webhooks/gitlab",
        &[("X-Gitlab-Token", &wrong)],
        b"{}",
    )
    .expect("an answer");

    std::fs::write(server.folder.path().join("token"), TOKEN).expect("a file");
    let arguments = ["--url", &url(&server), "--token-file", "token"];
    let parts = [
        "problem  external URL",
        "answered 404",
        "warning  source default",
        "401: wrong token",
    ];
    check_doctor(&server, &arguments, 1, &parts);
}
