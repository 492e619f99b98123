//! The exit codes and the JSON document of `quickdraw gaps`.

use serde_json::{Value, json};

use crate::answers::check_shows;
use crate::commands::administer;
use crate::gaps::Missed;
use crate::server::{Engine, Server};

/// Runs `quickdraw gaps --json`, which must end with this code. Returns the document.
#[track_caller]
fn gaps(server: &Server, more: &[&str], code: i32) -> Value {
    let done = administer(server, &[&["gaps", "--json"], more].concat());
    let errors = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{errors}");

    serde_json::from_slice(&done.stdout).expect("JSON")
}

pub(crate) fn gaps_that_exist_have_exit_code_1(engine: Engine) {
    let missed = Missed::start(&engine);
    let found = gaps(&missed.server, &[], 1);
    check_shows(&found["summary"], &json!({ "missing": 1 }));

    let project = &found["projects"][0];
    assert_eq!(project["path_with_namespace"], "gear/rope");
    check_shows(&project["findings"][0], &json!({ "result": "missing" }));

    check_shows(
        &project["sequences"][0],
        &json!({ "kind": "push", "known": 2, "missing": 1 }),
    );
}

pub(crate) fn gaps_that_a_repair_closed_have_exit_code_0(engine: Engine) {
    let missed = Missed::start(&engine);
    let options = missed.options();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();

    let found = gaps(&missed.server, &options, 1);
    check_shows(&found["summary"], &json!({ "failed_requests": 1, "resent": 0 }));

    let repair = [&options[..], &["--repair"]].concat();
    let found = gaps(&missed.server, &repair, 0);
    check_shows(&found["summary"], &json!({ "resent": 1, "not_accepted": 0 }));

    let found = gaps(&missed.server, &[], 0);
    check_shows(&found["summary"], &json!({ "missing": 0 }));
}
