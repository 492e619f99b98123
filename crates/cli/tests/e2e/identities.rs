//! Identities: matching of people as administrators use it. Changes apply without a new count.

use serde_json::{Value, json};

use crate::http::eventually;
use crate::server::{Engine, Server, TOKEN};

/// A push with commits of March 2026. Each commit has a day, a name and an e-mail address.
fn push(project: i64, path: &str, commits: &[(u32, &str, &str)]) -> Value {
    let commit = |(day, name, email): &(u32, &str, &str)| {
        json!({ "id": format!("{project}-{day}-{email}"), "message": format!("{day}"), "author": { "name": name, "email": email },
            "timestamp": format!("2026-03-{day:02}T10:00:00Z"), "modified": [format!("{day}")] })
    };
    json!({ "object_kind": "push", "ref": "refs/heads/main", "before": "a", "after": format!("{project}"), "user_id": 5,
        "user_username": "alee", "user_name": "Ann L.", "commits": commits.iter().map(commit).collect::<Vec<_>>(),
        "project": { "id": project, "path_with_namespace": path, "default_branch": "main" } })
}

pub(crate) fn changes_of_identities_apply_without_a_rebuild(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let of_rope = [
        (2, "Ann Lee", "ann@a.example"),
        (3, "Ann Lee", "ann@a.example"),
        (10, "Ann Old", "ann@x.example"),
        (11, "Bob", "bob@a.example"),
        (12, "Ann L.", "5-alee@users.noreply.gitlab.example.com"),
        (13, "Renovate", "project_7_bot@noreply.gitlab.example.com"),
        (14, "CI", "ci@build.example"),
    ];
    server.receive("Push Hook", "1", &push(7, "gear/rope", &of_rope));

    server.receive(
        "Push Hook",
        "2",
        &push(8, "gear/hooks/sling", &[(3, "Bob", "bob@a.example")]),
    );

    server.receive(
        "Push Hook",
        "3",
        &push(9, "other/thing", &[(4, "Bob", "bob@a.example")]),
    );

    let commits = |server: &Server, more: &str| {
        server.get(&format!("/api/v1/insights/commits?from=2026-03-01&to=2026-04-01{more}"))
    };
    let count = |server: &Server, more: &str| commits(server, more)["commits"].as_i64().expect("a number");
    eventually("all commits are counted", || count(&server, "&bots=true") == 9);
    assert_eq!(count(&server, ""), 8, "bots are left out");

    assert_eq!(
        (
            count(&server, "&group=gear"),
            count(&server, "&group=Gear/hooks"),
            count(&server, "&project=8")
        ),
        (7, 1, 1)
    );

    let post = |server: &Server, path: &str, body: Value| {
        let reply = server.call("POST", &format!("/api/v1/insights/{path}"), &body.to_string());
        assert!(
            (200..300).contains(&reply.status),
            "{path}: {} {}",
            reply.status,
            reply.body
        );

        reply.json()
    };

    let identities = |server: &Server| server.get("/api/v1/insights/identities?unmatched=true");
    let all = identities(&server);
    assert_eq!(
        (&all["commits"], &all["unmatched_commits"], &all["total"]),
        (&json!(8), &json!(8), &json!(5))
    );

    assert_eq!(
        (&all["items"][0]["email"], &all["items"][0]["projects"]),
        (&json!("bob@a.example"), &json!([7, 8, 9]))
    );

    assert_eq!(all["unmatched_accounts"][0]["username"], "alee");

    let of_account = |one: &&Value| one["emails"] == json!(["5-alee@users.noreply.gitlab.example.com"]);
    let account = all["items"]
        .as_array()
        .expect("a list")
        .iter()
        .find(of_account)
        .expect("a private address");

    assert_eq!(
        (&account["user_id"], &account["names"]),
        (&json!(5), &json!(["Ann L."])),
        "the number in the address is the account"
    );

    assert_eq!(
        commits(&server, "")["authors"].as_array().map(Vec::len),
        Some(5),
        "people who are not members are distinguished by address"
    );

    // A new member gets the earlier commits of its handles at once.
    let ann = post(
        &server,
        "members",
        json!({ "name": "Ann Lee", "handles": ["ANN@a.example", "#5"] }),
    )["id"]
        .clone();

    let bob = post(
        &server,
        "members",
        json!({ "name": "Bob", "handles": ["bob@a.example"] }),
    )["id"]
        .clone();

    assert_eq!(
        (
            count(&server, "&member=Ann%20Lee"),
            count(&server, &format!("&member={bob}"))
        ),
        (3, 3)
    );

    for spelling in ["ann%20lee", "ANN@a.example", "alee", "@ALee", "%235"] {
        assert_eq!(count(&server, &format!("&member={spelling}")), 3, "{spelling}");
    }

    assert_eq!(count(&server, "&members=true"), 6, "commits of all members");

    let nobody = server.call("GET", "/api/v1/insights/commits?member=nobody", "");
    assert_eq!(nobody.status, 404, "{}", nobody.body);

    assert_eq!(
        server
            .call("GET", "/api/v1/insights/commits?member=alee&members=true", "")
            .status,
        400
    );

    let left = identities(&server);
    assert_eq!(
        (left["unmatched_commits"].as_i64(), left["unmatched_share"].as_f64()),
        (Some(2), Some(0.25))
    );

    let taken = server.call(
        "POST",
        "/api/v1/insights/members",
        r#"{"name":"Cy","handles":["bob@a.example"]}"#,
    );

    assert!(
        taken.status == 422 && taken.body.contains("bob@a.example belongs to Bob"),
        "{}",
        taken.body
    );

    let by_name = |server: &Server, name: &str, more: &str| {
        let path = format!("/api/v1/insights/metrics/{name}?from=2026-03-01&to=2026-04-01{more}");
        server.get(&path)["value"].clone()
    };

    for (name, more, value) in [
        ("commits", "", 8.0),
        ("commits", "&bots=true", 9.0),
        ("commits", "&member=Ann%20Lee", 3.0),
        ("commits_landed", "&group=gear", 7.0),
        ("unique_changes", "", 8.0),
        ("files_modified", "&project=8", 1.0),
        ("files_touched", "&member=Bob", 3.0),
        ("pushes", "", 0.0),
    ] {
        assert_eq!(by_name(&server, name, more), value, "{name}{more}");
    }

    // A mailmap: first a dry run, then the import.
    let mailmap = "Ann Lee <ann@a.example> Ann Old <ann@x.example>\n";
    let dry = post(
        &server,
        "identities/mailmap",
        json!({ "text": mailmap, "dry_run": true }),
    );
    assert_eq!(
        (&dry["identities_changed"], &dry["commits_moved"], &dry["lines"]),
        (&json!(1), &json!(1), &json!(1))
    );

    assert_eq!(count(&server, "&member=Ann%20Lee"), 3, "a dry run changes nothing");
    post(&server, "identities/mailmap", json!({ "text": mailmap }));
    assert_eq!(count(&server, "&member=Ann%20Lee"), 4);

    let bad = server.call("POST", "/api/v1/insights/identities/mailmap", r#"{"text":"Ann\n"}"#);
    assert!(
        bad.status == 422 && bad.body.contains("line 1: the line cannot be read"),
        "{}",
        bad.body
    );

    // Teams with dates; a merge of members, and its undoing.
    let csv = "member,team,email,username,from,to\nAnn Lee,Ropes,,,2026-03-01,2026-03-10\nBob,Ropes,,,,\n";
    assert_eq!(post(&server, "identities/csv", json!({ "text": csv }))["new_teams"], 1);

    assert_eq!(
        commits(&server, "&team=rOPES")["commits"],
        5,
        "names of teams ignore case"
    );

    let of_team = commits(&server, "&team=Ropes");
    assert_eq!(of_team["commits"], 5, "Ann's commits of the first days, and Bob's");
    assert_eq!(of_team["authors"].as_array().map(Vec::len), Some(2));

    assert_eq!(
        of_team["authors"][0]["member_id"], bob,
        "authors are members, not addresses: {of_team}"
    );

    let balance = of_team["work_balance"].as_f64().expect("a number");
    assert!((balance - 0.1).abs() < 1e-9, "two and three commits: {balance}");
    post(&server, &format!("members/{bob}/merge"), json!({ "into": ann }));

    assert_eq!(
        (
            count(&server, "&member=Ann%20Lee"),
            commits(&server, "")["authors"].as_array().map(Vec::len)
        ),
        (7, Some(2))
    );

    assert_eq!(
        server
            .call("DELETE", &format!("/api/v1/insights/members/{bob}/merge"), "")
            .status,
        200
    );

    assert_eq!(count(&server, "&member=Ann%20Lee"), 4);

    // Marks for a domain and for a handle, and suggestions.
    let marked =
        |server: &Server, body: Value| server.call("PUT", "/api/v1/insights/identities/marks", &body.to_string());
    assert_eq!(
        marked(&server, json!({ "domain": "build.example", "mark": "bot" })).json()["handles"],
        json!(["ci@build.example"])
    );

    assert_eq!(
        (count(&server, ""), identities(&server)["unmatched_commits"].as_i64()),
        (7, Some(0))
    );

    assert_eq!(
        marked(&server, json!({ "handles": ["ci@build.example"], "mark": "none" })).status,
        200
    );

    server.receive(
        "Push Hook",
        "4",
        &push(7, "gear/rope", &[(20, "Ann Lee", "elsewhere@z.example")]),
    );

    eventually("a suggestion is made", || {
        let found = identities(&server);
        found["items"]
            .as_array()
            .is_some_and(|items| items.iter().any(|one| one["suggestions"][0]["member_id"] == ann))
    });

    // Merge requests count for the same people, through their accounts.
    let merge_request = |iid: i64, who: i64, reviewer: i64| {
        json!({ "object_kind": "merge_request", "user": { "id": reviewer, "username": format!("u{reviewer}") },
            "project": { "id": 7, "path_with_namespace": "gear/rope" }, "object_attributes": { "iid": iid, "author_id": who,
            "target_project_id": 7, "created_at": "2026-03-05 08:00:00 UTC", "updated_at": "2026-03-06 08:00:00 UTC",
            "action": "approved", "state": "opened", "target_branch": if iid == 1 { "main" } else { "next" } } })
    };

    for (iid, who, reviewer) in [(1, 5, 31), (2, 30, 5), (3, 30, 32)] {
        server.receive(
            "Merge Request Hook",
            &format!("mr{iid}"),
            &merge_request(iid, who, reviewer),
        );
    }

    let metric = |server: &Server, name: &str, more: &str| {
        server.get(&format!(
            "/api/v1/insights/metrics/{name}?from=2026-03-01&to=2026-04-01{more}"
        ))["value"]
            .clone()
    };
    eventually("the merge requests are counted", || {
        metric(&server, "mr_opened", "") == 3.0
    });
    assert_eq!(metric(&server, "mr_opened", &format!("&member={ann}")), 1.0);

    assert_eq!(
        (
            metric(&server, "mr_opened", "&branch=next"),
            metric(&server, "mr_opened", "&group=gear")
        ),
        (json!(2.0), json!(3.0))
    );

    assert_eq!(
        (
            metric(&server, "mr_opened", "&team=Ropes"),
            metric(&server, "mr_reviews", "&team=Ropes")
        ),
        (json!(1.0), json!(1.0))
    );

    assert_eq!(metric(&server, "mr_reviewers", ""), 3.0);

    let of_two = json!({ "name": "Dee", "handles": ["#31", "#32"] });
    post(&server, "members", of_two);

    assert_eq!(
        metric(&server, "mr_reviewers", ""),
        2.0,
        "two accounts of one person count once"
    );

    several_at_once(&server);

    // Identities survive a crash, and an export can be imported unchanged.
    server.kill();
    server.restart();
    assert_eq!(count(&server, "&member=Ann%20Lee"), 4);

    let exported = server.call("GET", "/api/v1/insights/identities/csv", "");
    assert_eq!(exported.content_type(), "text/csv; charset=utf-8");

    assert!(
        exported.body.contains("Ann Lee,Ropes,,,2026-03-01,2026-03-10"),
        "{}",
        exported.body
    );

    let again = post(
        &server,
        "identities/csv",
        json!({ "text": exported.body, "dry_run": true }),
    );
    assert_eq!(
        (&again["new_members"], &again["identities_changed"]),
        (&json!(0), &json!(0))
    );

    assert_eq!(
        server.call("GET", "/api/v1/insights/identities/mailmap", "").body,
        mailmap
    );

    for (path, status) in [
        ("commits?member=nobody", 404),
        ("commits?team=none", 404),
        ("commits?group=none", 404),
        ("commits?group=gear&project=7", 400),
        ("commits?team=Ropes&member=1", 400),
        ("identities?limit=0", 400),
    ] {
        assert_eq!(
            server.call("GET", &format!("/api/v1/insights/{path}"), "").status,
            status,
            "{path}"
        );
    }

    for (path, body, status) in [
        ("members", r#"{"name":" "}"#, 422),
        ("members", r#"{"name":"x","handles":["nonsense"]}"#, 422),
        ("members/999/merge", r#"{"into":1}"#, 404),
        ("teams", r#"{"name":"Ropes"}"#, 422),
        ("identities/csv", r#"{"text":"x\n"}"#, 422),
    ] {
        assert_eq!(
            server.call("POST", &format!("/api/v1/insights/{path}"), body).status,
            status,
            "{path}"
        );
    }

    let team = server.get("/api/v1/insights/teams")[0].clone();
    assert_eq!(team["people"].as_array().map(Vec::len), Some(2));

    let enrol = json!({ "member_id": ann, "from": "2026-03-10" }).to_string();
    let place = format!("/api/v1/insights/teams/{}", team["id"]);
    assert_eq!(server.call("POST", &format!("{place}/members"), &enrol).status, 201);

    assert_eq!(
        server
            .call("POST", &format!("{place}/members"), &enrol.replace("10", "09"))
            .status,
        422,
        "the periods overlap"
    );

    assert_eq!(count(&server, "&team=Ropes"), 7);
    assert_eq!(server.call("DELETE", &format!("{place}/members/{bob}"), "").status, 204);
    assert_eq!(server.call("DELETE", &place, "").status, 204);

    let renamed = server.call(
        "PUT",
        &format!("/api/v1/insights/members/{ann}"),
        r#"{"handles":["ann@a.example"]}"#,
    );
    assert_eq!((renamed.status, count(&server, "&member=Ann%20Lee")), (200, 3));

    assert_eq!(
        server
            .call("DELETE", &format!("/api/v1/insights/members/{ann}"), "")
            .status,
        204
    );

    assert_eq!(count(&server, ""), 9, "the commits of a deleted member stay");
}

/// Checks `/insights/query`, which returns flat rows for Grafana and spreadsheets.
fn several_at_once(server: &Server) {
    let query = |more: &str| format!("/api/v1/insights/query?from=2026-03-01&to=2026-03-15{more}");
    let rows = |more: &str| -> Vec<(String, String, Value)> {
        let found = server.get(&query(more));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let row = |row: &Value| (text(&row["time"]), text(&row["group"]), row["value"].clone());
        found["rows"].as_array().expect("rows").iter().map(row).collect()
    };
    let week = rows("&metric=mr_opened&interval=week");
    assert_eq!(
        week.iter().map(|row| row.2.as_f64()).collect::<Vec<_>>(),
        [Some(0.0), Some(3.0), Some(0.0)]
    );

    let at = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_millisecond();
    let millis = (at("2026-03-01T00:00:00Z"), at("2026-03-14T10:00:00Z"));
    let same = server.get(&format!(
        "/api/v1/insights/query?metric=mr_opened&interval=week&from={}&to={}",
        millis.0, millis.1
    ));

    assert_eq!(
        same["rows"].as_array().map(Vec::len),
        Some(3),
        "the millisecond times of Grafana are accepted: {same}"
    );

    let midnights = server
        .get("/api/v1/insights/query?metric=mr_opened&interval=day&from=2026-03-01T00:00:00Z&to=2026-03-15T00:00:00Z");
    assert_eq!(
        midnights["rows"].as_array().map(Vec::len),
        Some(14),
        "a window that ends at midnight excludes the next day"
    );

    let by = |by: &str| -> Vec<(String, Value)> {
        rows(&format!("&metric=mr_opened&interval=none&group_by={by}"))
            .into_iter()
            .map(|row| (row.1, row.2))
            .collect()
    };
    assert_eq!(by("project"), [("gear/rope".to_owned(), json!(3.0))]);

    let of_ann = [
        ("Ann Lee".to_owned(), json!(1.0)),
        ("Bob".to_owned(), json!(0.0)),
        ("Dee".to_owned(), json!(0.0)),
    ];
    assert_eq!(by("member"), of_ann);
    assert_eq!(by("team"), [("Ropes".to_owned(), json!(1.0))]);

    assert_eq!(
        rows("&metric=mr_opened,mr_reviews&interval=none&group_by=member&team=Ropes").len(),
        4,
        "members of the team only"
    );

    let whole = server.get(&query("&metric=mr_opened,mr_reviewers&interval=none"));
    assert_eq!(
        (whole["definitions"][1]["unit"].as_str(), &whole["rows"][1]["value"]),
        (Some("count"), &json!(2.0))
    );

    let csv = server.call(
        "GET",
        &query("&metric=mr_opened&interval=none&group_by=member&format=csv"),
        "",
    );
    assert_eq!(csv.content_type(), "text/csv; charset=utf-8");

    let lines: Vec<&str> = csv.body.lines().collect();
    assert_eq!(
        lines[0],
        "time,metric,group,value,samples,p50,p75,p90,p95,unit,as_of,definition_version,definition,partial"
    );

    assert!(
        lines[1].starts_with("2026-03-01T00:00:00.000Z,mr_opened,Ann Lee,1,1,,,,,count,"),
        "{}",
        lines[1]
    );

    let why = server.call(
        "GET",
        "/api/v1/insights/metrics/mr_merged/explain?from=2026-03-01&to=2026-04-01&format=csv",
        "",
    );
    assert_eq!(
        why.body.lines().nth(1),
        Some("7,gear/rope,1,!1,false,,,it is not merged,7/1")
    );

    for bad in [
        "",
        "&metric=nonsense",
        "&metric=mr_open&group_by=moon",
        "&metric=mr_open&format=xml",
        "&metric=mr_open&interval=year",
    ] {
        assert_eq!(server.call("GET", &query(bad), "").status, 400, "{bad}");
    }

    assert_eq!(
        server
            .call("GET", &query("&metric=mr_open&group_by=team&member=1"), "")
            .status,
        400
    );
}

/// Covers small groups, pseudonyms, erased people, and retention of a project's facts.
pub(crate) fn privacy_settings_hide_small_groups_and_names_and_erase_people(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let of_rope = [
        (2, "Ann Lee", "ann@a.example"),
        (3, "A. Lee", "5-alee@users.noreply.gitlab.example.com"),
        (4, "Bob", "bob@a.example"),
    ];
    server.receive("Push Hook", "1", &push(7, "gear/rope", &of_rope));
    server.receive("Push Hook", "2", &push(9, "other/thing", &[(4, "Cy", "cy@a.example")]));

    let window = "from=2026-03-01&to=2026-04-01";
    let of = |server: &Server, path: &str| server.call("GET", &format!("/api/v1/insights/{path}"), "");
    let commits = |server: &Server, more: &str| of(server, &format!("commits?{window}{more}")).json();
    eventually("all commits are counted", || commits(&server, "")["commits"] == 4);

    let put = |server: &Server, path: &str, body: Value| {
        let reply = server.call("PUT", &format!("/api/v1/insights/{path}"), &body.to_string());
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    };

    let post = |server: &Server, path: &str, body: Value| {
        let reply = server.call("POST", &format!("/api/v1/insights/{path}"), &body.to_string());
        assert!(
            (200..300).contains(&reply.status),
            "{path}: {} {}",
            reply.status,
            reply.body
        );

        reply.json()
    };

    let ann = post(
        &server,
        "members",
        json!({ "name": "Ann Lee", "handles": ["ann@a.example", "#5"] }),
    )["id"]
        .clone();

    let bob = post(
        &server,
        "members",
        json!({ "name": "Bob", "handles": ["bob@a.example"] }),
    )["id"]
        .clone();

    let team = post(&server, "teams", json!({ "name": "Ropes" }))["id"].clone();
    for member in [&ann, &bob] {
        post(
            &server,
            &format!("teams/{team}/members"),
            json!({ "member_id": member }),
        );
    }

    // Pseudonyms are stable and do not contain any part of a name or address.
    let hidden = of(&server, &format!("commits?{window}&pseudonyms=true")).body;
    assert!(
        !hidden.contains("example") && !hidden.contains("Ann") && hidden.contains("\"person "),
        "{hidden}"
    );

    let names = |body: &Value| -> Vec<Value> {
        body["authors"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["name"].clone())
            .collect()
    };
    assert_eq!(
        names(&commits(&server, "&pseudonyms=true")),
        names(&serde_json::from_str(&hidden).expect("JSON"))
    );

    assert_eq!(
        put(&server, "privacy", json!({ "pseudonyms": true }))["pseudonyms"],
        true
    );

    let rows = of(
        &server,
        &format!("query?metric=commits&{window}&interval=none&group_by=member"),
    )
    .body;
    assert!(!rows.contains("Ann") && rows.contains("\"person "), "{rows}");
    put(&server, "privacy", json!({ "pseudonyms": false }));

    // Results for fewer than three people are hidden.
    assert_eq!(put(&server, "privacy", json!({ "min_group": 3 }))["min_group"], 3);

    for path in [
        format!("commits?{window}&member=Bob"),
        format!("commits?{window}&author=bob@a.example"),
        format!("commits?{window}&team=Ropes"),
        format!("metrics/commits?{window}&member={bob}"),
        format!("metrics/commits/explain?{window}&team=Ropes"),
        format!("query?metric=commits&{window}&group_by=member"),
    ] {
        let reply = of(&server, &path);
        assert!(
            reply.status == 403 && reply.body.contains("fewer than 3 people"),
            "{path}: {} {}",
            reply.status,
            reply.body
        );
    }

    assert_eq!(
        (commits(&server, "")["commits"].clone(), names(&commits(&server, ""))),
        (json!(4), Vec::new())
    );

    let teams = format!("query?metric=commits&{window}&interval=none&group_by=team");
    assert_eq!(of(&server, &teams).json()["rows"], json!([]));
    put(&server, "privacy", json!({ "min_group": 2 }));
    assert_eq!(of(&server, &teams).json()["rows"][0]["value"], 3.0);
    put(&server, "privacy", json!({ "min_group": 0 }));

    // At first, the team has one member. The previous window and the days of one member are hidden.
    put(&server, "privacy", json!({ "min_group": 2 }));

    let late = post(&server, "teams", json!({ "name": "Late" }))["id"].clone();
    post(&server, &format!("teams/{late}/members"), json!({ "member_id": bob }));

    post(
        &server,
        &format!("teams/{late}/members"),
        json!({ "member_id": ann, "from": "2026-03-03" }),
    );

    let of_late = of(&server, "metrics/commits?from=2026-03-02&to=2026-03-06&team=Late").json();
    assert_eq!(
        (&of_late["value"], &of_late["previous"]["value"]),
        (&json!(2.0), &Value::Null),
        "{of_late}"
    );

    let days: Vec<&Value> = of_late["series"]
        .as_array()
        .expect("a series")
        .iter()
        .map(|part| &part["value"])
        .collect();

    assert_eq!(days, [&Value::Null, &json!(1.0), &json!(1.0), &json!(0.0)]);
    put(&server, "privacy", json!({ "min_group": 0 }));

    // After an erasure the counts stay, but without the person. This also holds for later events and after a rebuild.
    let erase = |more: Value| {
        let mut body = json!({ "member_id": ann });
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        server.call("POST", "/api/v1/insights/identities/erase", &body.to_string())
    };
    let refused = erase(json!({}));

    assert!(
        refused.status == 422 && refused.body.contains("dry_run"),
        "{}: {}",
        refused.status,
        refused.body
    );

    let looked = erase(json!({ "dry_run": true, "confirm": true })).json();
    assert_eq!(
        (&looked["identities"], &looked["accounts"]),
        (&json!(2), &json!(1)),
        "{looked}"
    );

    assert!(
        looked["people"].as_array().is_some_and(|people| people.len() == 3),
        "{looked}"
    );

    assert!(of(&server, "members").body.contains("Ann"), "a dry run changes nothing");

    let erased = erase(json!({ "confirm": true })).json();
    assert_eq!(erased, json!({ "identities": 2, "accounts": 1 }));

    let again = [
        (5, "Ann Lee", "ann@a.example"),
        (6, "Ann L.", "alee@users.noreply.gitlab.example.com"),
    ];
    let mut later = push(7, "gear/rope", &again);
    later["after"] = json!("later");
    server.receive("Push Hook", "3", &later);
    eventually("the later push is counted", || commits(&server, "")["commits"] == 6);

    let check = |server: &Server| {
        for path in [
            "identities",
            "members",
            "teams",
            &format!("commits?{window}"),
            "identities/mailmap",
        ] {
            let body = of(server, path).body;
            let names_her = ["ann@a", "Ann", "A. Lee", "alee"]
                .iter()
                .any(|part| body.contains(part));
            assert!(!names_her, "{path}: {body}");
        }

        assert_eq!(commits(server, "")["commits"], 6);
    };
    check(&server);

    for _ in 0..2 {
        let undone = server.call("POST", "/api/v1/insights/identities/undo", "");
        assert_eq!(
            undone.status, 204,
            "the last change can be undone, but an erasure cannot"
        );

        check(&server);
    }

    let dee = post(
        &server,
        "members",
        json!({ "name": "Dee", "handles": ["dee@a.example"] }),
    )["id"]
        .clone();

    let count = |server: &Server| of(server, "members").json().as_array().map(Vec::len);
    for expected in [1, 2, 1] {
        assert_eq!(server.call("POST", "/api/v1/insights/identities/undo", "").status, 204);
        assert_eq!(
            count(&server),
            Some(expected),
            "member {dee} is removed, restored and removed"
        );
    }

    server.kill();
    server.restart();

    let url = format!("http://127.0.0.1:{}", server.port);
    for words in [&["verify"][..], &["rebuild"]] {
        let all = [&["insights"], words, &["--url", &url, "--token", TOKEN]].concat();
        let done = server.command(&all).output().expect("it runs");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();

        assert!(
            done.status.success() && said.contains("equal"),
            "{said} {}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    check(&server);

    // Retention of the facts of a project.
    assert_eq!(
        put(
            &server,
            "privacy/kept",
            json!({ "project": "other/thing", "days": 1, "dry_run": true })
        )["kept_days"],
        json!({ "9": 1 })
    );

    assert_eq!(
        of(&server, "privacy").json()["kept_days"],
        json!({}),
        "a dry run changes nothing"
    );

    let refused = server.call(
        "PUT",
        "/api/v1/insights/privacy/kept",
        r#"{"project":"other/thing","days":1}"#,
    );

    assert!(
        refused.status == 422 && refused.body.contains("confirm"),
        "{}: {}",
        refused.status,
        refused.body
    );

    assert_eq!(
        put(
            &server,
            "privacy/kept",
            json!({ "project": "other/thing", "days": 1, "confirm": true })
        )["kept_days"],
        json!({ "9": 1 })
    );

    server.kill();
    server.restart();
    eventually("the facts are deleted", || commits(&server, "")["commits"] == 5);

    assert_eq!(
        of(&server, &format!("metrics/commits?{window}&project=9")).json()["value"],
        0.0
    );

    assert_eq!(commits(&server, "&project=7")["commits"], 5);
    assert_eq!(
        put(&server, "privacy/kept", json!({ "project": "9", "days": null }))["kept_days"],
        json!({})
    );

    let reply = server.call("POST", "/api/v1/insights/identities/erase", "{}");
    assert_eq!(reply.status, 400, "{}", reply.body);
}
