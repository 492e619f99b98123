//! Pages of lists of `/api/v1`: every list has `items` and `next`, and `next` is null on the last page only.

use serde_json::{Value, json};

use crate::answers::items;
use crate::counted::Counted;
use crate::identities::{MARCH, push};
use crate::server::{Engine, Server};

/// Reads a list in pages of one row, and checks that it has so many rows.
#[track_caller]
fn check_pages(server: &Server, list: &str, cursor: &str, expected: usize) {
    let (mut rows, mut position) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/api/v1/{list}?limit=1{position}"));
        assert_eq!(items(&page["items"]).len(), 1, "{list}: {page}");
        rows.push(page["items"][0].clone());

        match &page["next"] {
            Value::String(next) => position = format!("&{cursor}={next}"),
            other => {
                assert_eq!(*other, Value::Null, "{list}");
                break;
            }
        }
    }

    assert_eq!(rows.len(), expected, "{list}");
    rows.dedup();
    assert_eq!(rows.len(), expected, "{list}: each row is on one page");
}

pub(crate) fn a_full_last_page_of_the_audit_log_has_no_next(engine: Engine) {
    let server = Server::start(&engine, &[]);
    server.make_project();

    // The group and the project.
    check_pages(&server, "audit", "before", 2);
}

pub(crate) fn a_full_last_page_of_replays_has_no_next(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for _ in 0..2 {
        server.create("/api/v1/replays", &json!({ "since": "2020-01-01" }));
    }

    check_pages(&server, "replays", "before", 2);
}

pub(crate) fn sources_are_listed_in_pages(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for name in ["one", "two"] {
        server.create("/api/v1/sources", &json!({ "name": name }));
    }

    check_pages(&server, "sources", "after", 3);

    let all = server.get("/api/v1/sources");
    assert_eq!((items(&all["items"]).len(), &all["next"]), (3, &Value::Null));
}

pub(crate) fn teams_members_and_alerts_are_listed_in_pages(engine: Engine) {
    let server = Server::start(&engine, &[]);
    for name in ["One", "Two"] {
        server.create("/api/v1/insights/teams", &json!({ "name": name }));
        server.create("/api/v1/insights/members", &json!({ "name": name, "handles": [] }));

        let alert = json!({ "name": name, "metric": "mr_open", "above": 1 });
        server.create("/api/v1/insights/alerts", &alert);
    }

    for list in ["teams", "members", "alerts"] {
        check_pages(&server, &format!("insights/{list}"), "after", 2);
    }
}

pub(crate) fn identities_are_listed_in_pages(engine: Engine) {
    let counted = Counted::start(&engine, MARCH);
    let commits = [(2, "Ann", "ann@a.example"), (3, "Bob", "bob@a.example")];
    counted.receive("push", &[("Push Hook", push(7, "gear/rope", &commits))]);
    counted.wait_for("commits", 2.0);

    check_pages(&counted.server, "insights/identities", "after", 2);
}
