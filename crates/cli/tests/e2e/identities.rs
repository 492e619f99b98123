//! Identities: matching of people as administrators use it. Changes apply without a rebuild.

use serde_json::{Value, json};

use crate::answers::{check_shows, items};
use crate::counted::{Counted, Event};
use crate::http::eventually;
use crate::server::Engine;

pub(crate) const MARCH: &str = "from=2026-03-01&to=2026-04-01";
const MAILMAP: &str = "Ann Lee <ann@a.example> Ann Old <ann@x.example>\n";

/// A push with commits of March 2026. Each commit has a day, a name and an e-mail address.
pub(crate) fn push(project: i64, path: &str, commits: &[(u32, &str, &str)]) -> Value {
    let commit = |(day, name, email): &(u32, &str, &str)| {
        json!({ "id": format!("{project}-{day}-{email}"), "message": format!("{day}"), "author": { "name": name, "email": email },
            "timestamp": format!("2026-03-{day:02}T10:00:00Z"), "modified": [format!("{day}")] })
    };
    json!({ "object_kind": "push", "ref": "refs/heads/main", "before": "a", "after": format!("{project}"), "user_id": 5,
        "user_username": "alee", "user_name": "Ann L.", "commits": commits.iter().map(commit).collect::<Vec<_>>(),
        "project": { "id": project, "path_with_namespace": path, "default_branch": "main" } })
}

fn pushes() -> [Event; 3] {
    let of_rope = [
        (2, "Ann Lee", "ann@a.example"),
        (3, "Ann Lee", "ann@a.example"),
        (10, "Ann Old", "ann@x.example"),
        (11, "Bob", "bob@a.example"),
        (12, "Ann L.", "5-alee@users.noreply.gitlab.example.com"),
        (13, "Renovate", "project_7_bot@noreply.gitlab.example.com"),
        (14, "CI", "ci@build.example"),
    ];

    [
        ("Push Hook", push(7, "gear/rope", &of_rope)),
        ("Push Hook", push(8, "gear/hooks/sling", &[(3, "Bob", "bob@a.example")])),
        ("Push Hook", push(9, "other/thing", &[(4, "Bob", "bob@a.example")])),
    ]
}

/// A merge request of March 5, which the reviewer approved.
fn merge_request(iid: i64, author: i64, reviewer: i64, branch: &str) -> Event {
    let body = json!({ "object_kind": "merge_request", "user": { "id": reviewer, "username": format!("u{reviewer}") },
        "project": { "id": 7, "path_with_namespace": "gear/rope" }, "object_attributes": { "iid": iid, "author_id": author,
        "target_project_id": 7, "created_at": "2026-03-05 08:00:00 UTC", "updated_at": "2026-03-06 08:00:00 UTC",
        "action": "approved", "state": "opened", "target_branch": branch } });

    ("Merge Request Hook", body)
}

/// Sends a change to insights, which must succeed, and returns the answer.
pub(crate) fn post(counted: &Counted, path: &str, body: &Value) -> Value {
    let reply = counted.call("POST", path, &body.to_string());
    assert!((200..300).contains(&reply.status), "{path}: {}", reply.body);
    reply.json()
}

pub(crate) fn make_member(counted: &Counted, name: &str, handles: &[&str]) -> Value {
    post(counted, "members", &json!({ "name": name, "handles": handles }))["id"].clone()
}

/// A server that has counted the pushes.
fn count_pushes(engine: &Engine) -> Counted {
    let counted = Counted::start(engine, MARCH);
    counted.receive("push", &pushes());
    eventually("all commits are counted", || count(&counted, "bots=true") == 9);

    counted
}

fn count(counted: &Counted, filter: &str) -> i64 {
    let commits = counted.get(&format!("commits?{filter}"));
    commits["commits"].as_i64().expect("a number")
}

fn check_counts(counted: &Counted, expected: &[(&str, i64)]) {
    for (filter, commits) in expected {
        assert_eq!(count(counted, filter), *commits, "{filter}");
    }
}

fn identities(counted: &Counted) -> Value {
    counted.server.get("/api/v1/insights/identities?unmatched=true")
}

/// The pushes are counted, and Ann and Bob are members.
pub(crate) struct Members {
    pub(crate) counted: Counted,
    ann: Value,
    bob: Value,
}

impl Members {
    fn make(engine: &Engine) -> Self {
        let counted = count_pushes(engine);
        let ann = make_member(&counted, "Ann Lee", &["ANN@a.example", "#5"]);
        let bob = make_member(&counted, "Bob", &["bob@a.example"]);

        Self { counted, ann, bob }
    }

    /// With a mailmap for Ann's old address, and the team Ropes: Ann until March 10, and Bob.
    fn make_with_team(engine: &Engine) -> Self {
        let members = Self::make(engine);
        post(&members.counted, "identities/mailmap", &json!({ "text": MAILMAP }));

        let csv = "member,team,email,username,from,to\nAnn Lee,Ropes,,,2026-03-01,2026-03-10\nBob,Ropes,,,,\n";
        let imported = post(&members.counted, "identities/csv", &json!({ "text": csv }));
        assert_eq!(imported["new_teams"], 1);

        members
    }

    /// With a team, and three merge requests: one of Ann, and one that she reviewed.
    pub(crate) fn make_with_merge_requests(engine: &Engine) -> Self {
        let members = Self::make_with_team(engine);
        let events = [
            merge_request(1, 5, 31, "main"),
            merge_request(2, 30, 5, "next"),
            merge_request(3, 30, 32, "next"),
        ];
        members.counted.receive("mr", &events);
        members.counted.wait_for("mr_opened", 3.0);

        members
    }
}

pub(crate) fn commits_are_counted_by_group_and_project_without_bots(engine: Engine) {
    let counted = count_pushes(&engine);
    let expected = [
        ("", 8),
        ("group=gear", 7),
        ("group=Gear/hooks", 1),
        ("project=gear/hooks/sling", 1),
    ];
    check_counts(&counted, &expected);

    // People who are not members are distinguished by address.
    let commits = counted.get("commits");
    assert_eq!(items(&commits["authors"]).len(), 5);
}

pub(crate) fn unmatched_identities_are_listed(engine: Engine) {
    let all = identities(&count_pushes(&engine));
    check_shows(&all, &json!({ "commits": 8, "unmatched_commits": 8, "total": 5 }));

    check_shows(
        &all["items"][0],
        &json!({ "email": "bob@a.example", "projects": [7, 8, 9] }),
    );

    assert_eq!(all["unmatched_accounts"][0]["username"], "alee");

    // The number in a private address is the account.
    let private = json!(["5-alee@users.noreply.gitlab.example.com"]);
    let account = items(&all["items"]).iter().find(|one| one["emails"] == private);
    let expected = json!({ "user_id": 5, "names": ["Ann L."] });
    check_shows(account.expect("a private address"), &expected);
}

pub(crate) fn a_new_member_gets_the_earlier_commits_of_its_handles(engine: Engine) {
    let Members { counted, bob, .. } = Members::make(&engine);
    let of_bob = format!("member={bob}");
    check_counts(&counted, &[(&of_bob, 3), ("members=true", 6)]);

    // A member is found by name and by each handle.
    for ann in ["Ann%20Lee", "ann%20lee", "ANN@a.example", "alee", "@ALee", "%235"] {
        check_counts(&counted, &[(&format!("member={ann}"), 3)]);
    }

    let left = identities(&counted);
    check_shows(&left, &json!({ "unmatched_commits": 2, "unmatched_share": 0.25 }));
}

pub(crate) fn metrics_of_commits_can_be_filtered_by_member(engine: Engine) {
    Members::make(&engine).counted.check_values(&[
        ("commits", 8.0),
        ("commits?bots=true", 9.0),
        ("commits?member=Ann%20Lee", 3.0),
        ("commits_landed?group=gear", 7.0),
        ("unique_changes", 8.0),
        ("files_modified?project=gear/hooks/sling", 1.0),
        ("files_touched?member=Bob", 3.0),
        ("pushes", 0.0),
    ]);
}

pub(crate) fn a_mailmap_can_be_tried_and_imported(engine: Engine) {
    let Members { counted, .. } = Members::make(&engine);
    let text = json!({ "text": MAILMAP, "dry_run": true });
    let dry = post(&counted, "identities/mailmap", &text);
    let expected = json!({ "identities_changed": 1, "commits_moved": 1, "lines": 1 });

    check_shows(&dry, &expected);
    check_counts(&counted, &[("member=Ann%20Lee", 3)]);

    post(&counted, "identities/mailmap", &json!({ "text": MAILMAP }));
    check_counts(&counted, &[("member=Ann%20Lee", 4)]);

    let bad = counted.call("POST", "identities/mailmap", r#"{"text":"Ann\n"}"#);
    bad.check_refusal(422, "line 1: the line cannot be read");
}

pub(crate) fn commits_of_a_team_are_those_of_its_members_at_their_time(engine: Engine) {
    let Members { counted, bob, .. } = Members::make_with_team(&engine);

    // Ann's commits of the first days, and Bob's. Names of teams ignore case.
    check_counts(&counted, &[("team=rOPES", 5)]);

    let of_team = counted.get("commits?team=Ropes");
    assert_eq!(of_team["commits"], 5);

    // Authors are members, not addresses.
    assert_eq!(items(&of_team["authors"]).len(), 2);
    assert_eq!(of_team["authors"][0]["member_id"], bob, "{of_team}");

    // Two and three commits.
    let balance = of_team["work_balance"].as_f64().expect("a number");
    assert!((balance - 0.1).abs() < 1e-9, "{balance}");
}

pub(crate) fn members_can_be_merged_and_parted(engine: Engine) {
    let Members { counted, ann, bob } = Members::make_with_team(&engine);
    let path = format!("members/{bob}/merge");
    post(&counted, &path, &json!({ "into": ann }));
    check_counts(&counted, &[("member=Ann%20Lee", 7)]);
    assert_eq!(items(&counted.get("commits")["authors"]).len(), 2);

    counted.call("DELETE", &path, "").checked(200);
    check_counts(&counted, &[("member=Ann%20Lee", 4)]);
}

pub(crate) fn a_domain_can_be_marked_as_that_of_bots(engine: Engine) {
    let Members { counted, .. } = Members::make_with_team(&engine);
    let mark = |body: Value| {
        let reply = counted.call("PUT", "identities/marks", &body.to_string());
        reply.checked(200).json()
    };

    let marked = mark(json!({ "domain": "build.example", "mark": "bot" }));
    assert_eq!(marked["handles"], json!(["ci@build.example"]));
    check_counts(&counted, &[("", 7)]);
    assert_eq!(identities(&counted)["unmatched_commits"], 0);

    mark(json!({ "handles": ["ci@build.example"], "mark": "none" }));
    check_counts(&counted, &[("", 8)]);
}

pub(crate) fn a_member_of_the_same_name_is_suggested(engine: Engine) {
    let Members { counted, ann, .. } = Members::make(&engine);
    let push = push(7, "gear/rope", &[(20, "Ann Lee", "elsewhere@z.example")]);
    counted.receive("other", &[("Push Hook", push)]);

    eventually("a suggestion is made", || {
        let found = identities(&counted);
        items(&found["items"])
            .iter()
            .any(|one| one["suggestions"][0]["member_id"] == ann)
    });
}

/// Merge requests name the accounts of people.
pub(crate) fn merge_requests_count_for_the_members_of_their_accounts(engine: Engine) {
    let Members { counted, ann, .. } = Members::make_with_merge_requests(&engine);
    counted.check_values(&[
        (&format!("mr_opened?member={ann}"), 1.0),
        ("mr_opened?branch=next", 2.0),
        ("mr_opened?group=gear", 3.0),
        ("mr_opened?team=Ropes", 1.0),
        ("mr_reviews?team=Ropes", 1.0),
        ("mr_reviewers", 3.0),
    ]);

    // Two accounts of one person count once.
    make_member(&counted, "Dee", &["#31", "#32"]);
    counted.check_values(&[("mr_reviewers", 2.0)]);
}

pub(crate) fn identities_survive_a_crash_and_can_be_exported(engine: Engine) {
    let Members { mut counted, .. } = Members::make_with_team(&engine);
    counted.server.kill();
    counted.server.restart();
    check_counts(&counted, &[("member=Ann%20Lee", 4)]);

    let exported = counted.call("GET", "identities/csv", "");
    assert_eq!(exported.content_type(), "text/csv; charset=utf-8");

    let line = "Ann Lee,Ropes,,,2026-03-01,2026-03-10";
    assert!(exported.body.contains(line), "{}", exported.body);

    let text = json!({ "text": exported.body, "dry_run": true });
    let again = post(&counted, "identities/csv", &text);
    check_shows(&again, &json!({ "new_members": 0, "identities_changed": 0 }));

    let mailmap = counted.call("GET", "identities/mailmap", "");
    assert_eq!(mailmap.body, MAILMAP);
}

pub(crate) fn unknown_people_are_not_found(engine: Engine) {
    let Members { counted, .. } = Members::make_with_team(&engine);
    counted.check_statuses(&[
        ("commits?member=nobody", 404),
        ("commits?team=none", 404),
        ("commits?group=none", 404),
        ("commits?group=gear&project=7", 400),
        ("commits?team=Ropes&member=1", 400),
        ("commits?member=alee&members=true", 400),
        ("identities?limit=0", 400),
    ]);
}

pub(crate) fn invalid_changes_of_identities_are_refused(engine: Engine) {
    let Members { counted, .. } = Members::make_with_team(&engine);
    for (path, body, status) in [
        ("members", r#"{"name":" "}"#, 422),
        ("members", r#"{"name":"x","handles":["nonsense"]}"#, 422),
        ("members/999/merge", r#"{"into":1}"#, 404),
        ("teams", r#"{"name":"Ropes"}"#, 422),
        ("identities/csv", r#"{"text":"x\n"}"#, 422),
    ] {
        assert_eq!(counted.call("POST", path, body).status, status, "{path}");
    }

    // A handle belongs to one member.
    let body = r#"{"name":"Cy","handles":["bob@a.example"]}"#;
    let taken = counted.call("POST", "members", body);
    taken.check_refusal(422, "bob@a.example belongs to Bob");
}

pub(crate) fn a_member_can_leave_a_team_and_return(engine: Engine) {
    let Members { counted, ann, bob } = Members::make_with_team(&engine);
    let team = counted.server.get("/api/v1/insights/teams")["items"][0].clone();
    assert_eq!(items(&team["people"]).len(), 2);

    let path = format!("teams/{}", team["id"]);
    let members = format!("{path}/members");
    let body = json!({ "member_id": ann, "from": "2026-03-10" }).to_string();
    counted.call("POST", &members, &body).checked(201);

    // The periods overlap.
    let overlapping = body.replace("10", "09");
    counted.call("POST", &members, &overlapping).checked(422);
    check_counts(&counted, &[("team=Ropes", 7)]);

    counted.call("DELETE", &format!("{members}/{bob}"), "").checked(204);
    counted.call("DELETE", &path, "").checked(204);
}

pub(crate) fn the_commits_of_a_deleted_member_stay(engine: Engine) {
    let Members { counted, ann, .. } = Members::make_with_team(&engine);
    let path = format!("members/{ann}");
    counted
        .call("PUT", &path, r#"{"handles":["ann@a.example"]}"#)
        .checked(200);
    check_counts(&counted, &[("member=Ann%20Lee", 3)]);

    counted.call("DELETE", &path, "").checked(204);
    check_counts(&counted, &[("", 8)]);
}
