//! Insights: metrics, their explanations, rebuilds and the demo.

use std::collections::HashSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::http::{eventually, send};
use crate::server::{Engine, SECRET, Server, TOKEN};

/// An event of a merge request of project 7. The times are in March 2026.
fn merge_request(iid: i64, created: &str, action: &str, state: &str, updated: &str, who: (i64, &str)) -> Value {
    let time = |text: &str| format!("2026-03-{text}:00 UTC");
    json!({ "object_kind": "merge_request", "user": { "id": who.0, "username": who.1, "name": who.1 },
        "project": { "id": 7, "path_with_namespace": "gear/rope" },
        "object_attributes": { "iid": iid, "target_project_id": 7, "author_id": 1, "created_at": time(created),
            "updated_at": time(updated), "action": action, "state": state } })
}

pub(crate) fn metrics_are_counted_and_explained(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let jo = (1, "jo");
    let ida = (2, "ida");
    let bot = (9, "project_7_bot_0f");

    let events = [
        // The merge requests take 2, 10 and 30 hours: mean 50,400 s, median 36,000 s.
        merge_request(1, "02 08:00", "merge", "merged", "02 10:00", ida),
        merge_request(2, "02 08:00", "open", "opened", "02 08:00", jo),
        merge_request(2, "02 08:00", "approved", "opened", "02 09:00", bot),
        merge_request(2, "02 08:00", "approved", "opened", "02 12:00", ida),
        merge_request(2, "02 08:00", "merge", "merged", "02 18:00", jo),
        merge_request(3, "02 08:00", "merge", "merged", "03 14:00", ida),
        merge_request(4, "04 08:00", "open", "opened", "04 08:00", jo),
        merge_request(5, "04 08:00", "close", "closed", "05 08:00", jo),
        merge_request(6, "28 08:00", "open", "opened", "28 08:00", jo),
    ];
    for (number, event) in events.iter().enumerate().rev() {
        server.receive("Merge Request Hook", &format!("k{number}"), event);
    }

    let metric = |server: &Server, name: &str, more: &str| {
        server.get(&format!(
            "/api/v1/insights/metrics/{name}?from=2026-03-01&to=2026-03-08&project=7{more}"
        ))
    };
    eventually("all events are counted", || {
        metric(&server, "mr_opened", "")["value"] == 5.0
    });

    let merged = metric(&server, "time_to_merge", "");
    assert_eq!(
        (&merged["value"], &merged["p50"], &merged["samples"]),
        (&json!(50_400.0), &json!(36_000.0), &json!(3))
    );

    assert_eq!(
        (&merged["unit"], &merged["previous"]["value"]),
        (&json!("seconds"), &Value::Null),
        "no data is null"
    );

    let by_day: Vec<(String, Value)> = merged["series"]
        .as_array()
        .expect("a series")
        .iter()
        .map(|part| {
            (
                part["start"].as_str().unwrap_or_default()[..10].to_owned(),
                part["samples"].clone(),
            )
        })
        .collect();

    assert_eq!(
        by_day[1..3],
        [("2026-03-02".to_owned(), json!(2)), ("2026-03-03".to_owned(), json!(1))]
    );

    assert_eq!(by_day.len(), 7);

    for (name, value) in [
        ("mr_merged", 3.0),
        ("mr_closed_unmerged", 1.0),
        ("mr_open", 1.0),
        ("merge_rate", 0.6),
        ("acceptance_ratio", 0.75),
        ("self_merged", 1.0),
        ("time_to_first_review", 14_400.0),
    ] {
        assert_eq!(metric(&server, name, "")["value"], value, "{name}");
    }

    for (more, bots) in [("&bots=true", true), ("&whose=all", true), ("&whose=people", false)] {
        let first = metric(&server, "time_to_first_review", more);
        assert_eq!(
            (&first["value"], &first["bots"]),
            (&json!(14_400.0), &json!(bots)),
            "{more}"
        );
    }

    assert_eq!(metric(&server, "mr_opened", "&whose=bots")["value"], 0.0);

    // The previous window of the next week is this week.
    let later = server.get("/api/v1/insights/metrics/mr_merged?from=2026-03-08&to=2026-03-15&project=gear%2Frope");
    assert_eq!(
        (&later["value"], &later["previous"]["value"]),
        (&json!(0.0), &json!(3.0))
    );

    // Days start at midnight of the given zone, and weeks on Mondays.
    let weeks = server
        .get("/api/v1/insights/metrics/mr_open?from=2026-03-01&to=2026-04-01&zone=Europe/Bratislava&interval=week");
    let starts: Vec<&str> = weeks["series"]
        .as_array()
        .expect("a series")
        .iter()
        .filter_map(|part| part["start"].as_str())
        .collect();

    assert_eq!(
        (starts[0], starts[1]),
        ("2026-02-28T23:00:00.000Z", "2026-03-01T23:00:00.000Z")
    );

    assert_eq!(
        *starts.last().expect("a week"),
        "2026-03-29T22:00:00.000Z",
        "after the clocks went forward"
    );

    assert_eq!(weeks["value"], 2.0);

    // A day that has no midnight because of the change of clocks, and later days that have one.
    let days = server.get("/api/v1/insights/metrics/mr_merged?from=2026-04-23&to=2026-04-26&zone=Africa/Cairo");
    let starts: Vec<&str> = days["series"]
        .as_array()
        .expect("a series")
        .iter()
        .filter_map(|part| part["start"].as_str())
        .collect();

    assert_eq!(
        starts,
        [
            "2026-04-22T22:00:00.000Z",
            "2026-04-23T22:00:00.000Z",
            "2026-04-24T21:00:00.000Z"
        ]
    );

    let why = metric(&server, "time_to_merge/explain", "");
    assert_eq!(why["left_out"], json!({ "it is not merged": 2 }));

    let counted = &why["items"][1];
    assert_eq!(
        (&counted["iid"], &counted["counts"], &counted["value"]),
        (&json!(2), &json!(true), &json!(36_000))
    );

    assert_eq!(why["items"][4]["reason"], "it is not merged");

    // The events of an item, in the order of their receipt, in pages.
    let behind = |more: &str| {
        let page = server.get(&format!("/api/v1/insights/metrics/time_to_merge/events?item=7/2{more}"));
        let of = |event: &Value| server.get(&format!("/api/v1/events/{}", event["id"].as_str().expect("an id")));

        let at = |event: &Value| {
            of(event)["payload"]["object_attributes"]["updated_at"]
                .as_str()
                .map(str::to_owned)
        };

        let times: Vec<_> = page["items"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(at)
            .collect();

        (times, page["next"].as_str().map(str::to_owned))
    };
    let (times, next) = behind("");
    let all = ["02 18:00", "02 12:00", "02 09:00", "02 08:00"].map(|time| format!("2026-03-{time}:00 UTC"));
    assert_eq!((times.as_slice(), &next), (&all[..], &None), "in the order of receipt");

    let (first, next) = behind("&limit=3");
    let (rest, end) = behind(&format!("&limit=3&after={}", next.expect("there is a next page")));
    assert_eq!(([first, rest].concat(), end), (all.to_vec(), None));

    assert_eq!(
        server
            .call("GET", "/api/v1/insights/metrics/mr_open/events?item=1", "")
            .status,
        400
    );

    let list = server.get("/api/v1/insights/metrics");
    let names: HashSet<&str> = list
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|metric| metric["name"].as_str())
        .collect();

    assert_eq!(names.len(), list.as_array().expect("a list").len(), "names are unique");

    for (path, status) in [
        ("metrics/nonsense", 404),
        ("metrics/mr_open?definition=mine", 400),
        ("metrics/mr_open?whose=mine", 400),
        ("metrics/mr_open?whose=bots&bots=true", 400),
        ("metrics/branches_open?whose=bots", 400),
        ("query?metric=mr_open&whose=bots&group_by=member", 400),
        ("query?metric=mr_open&group_by=label&label=bug", 400),
        ("metrics/mr_open?interval=year", 400),
        ("metrics/mr_open?interval=hour", 400),
        ("metrics/mr_open?zone=Mars", 400),
        ("metrics/mr_open?from=2016-01-01&to=2026-01-01&interval=hour", 400),
    ] {
        assert_eq!(
            server.call("GET", &format!("/api/v1/insights/{path}"), "").status,
            status,
            "{path}"
        );
    }

    // An issue that is opened, closed and reopened, with its events in another order, and an issue that stays closed.
    let issue = |iid: i64, action: &str, updated: &str, closed: Option<&str>| {
        let time = |text: &str| format!("2026-03-{text}:00 UTC");
        json!({ "object_kind": "issue", "user": { "id": 1, "username": "jo" }, "project": { "id": 7 },
            "object_attributes": { "iid": iid, "author_id": 1, "created_at": time("01 12:00"), "updated_at": time(updated),
                "action": action, "state": if closed.is_some() { "closed" } else { "opened" }, "closed_at": closed.map(time) } })
    };

    let events = [
        issue(1, "open", "01 12:00", None),
        issue(1, "reopen", "03 09:00", None),
        issue(1, "close", "01 15:00", Some("01 15:00")),
        issue(2, "close", "02 12:00", Some("02 12:00")),
    ];
    for (number, event) in events.iter().enumerate() {
        server.receive("Issue Hook", &format!("i{number}"), event);
    }

    eventually("issues are counted", || {
        metric(&server, "issue_close_events", "")["value"] == 2.0
    });

    for (name, value) in [
        ("issues_opened", json!(2.0)),
        ("issues_closed", json!(1.0)),
        ("issues_open", json!(1.0)),
        ("issues_reopened", json!(1.0)),
        ("issue_lead_time", json!(86_400.0)),
        ("issue_first_response", Value::Null),
    ] {
        assert_eq!(metric(&server, name, "")["value"], value, "{name}");
    }

    assert_eq!(metric(&server, "time_to_first_close", "")["p50"], 48_600.0);

    // Labels filter, group and have durations. Other definitions can be queried by name or by parameter.
    let labelled = |iid: i64, updated: &str, titles: &[&str]| {
        let mut body = issue(iid, "update", updated, None);
        body["object_attributes"]["labels"] = titles.iter().map(|title| json!({ "title": title })).collect();
        body
    };

    for (number, (updated, titles)) in [
        ("04 09:00", &["bug", "doing"][..]),
        ("04 10:00", &["bug"]),
        ("04 12:00", &["doing"]),
        ("04 14:00", &["bug"]),
    ]
    .into_iter()
    .enumerate()
    {
        server.receive("Issue Hook", &format!("l{number}"), &labelled(1, updated, titles));
    }

    eventually("labels are counted", || {
        metric(&server, "label_time", "&label=doing")["value"] == 10_800.0
    });
    assert_eq!(metric(&server, "issues_opened", "&label=bug")["value"], 1.0);

    assert_eq!(
        metric(&server, "issues_opened", "&label=doing")["value"],
        0.0,
        "only the current labels count"
    );

    let grouped =
        "/api/v1/insights/query?metric=issues_opened&from=2026-03-01&to=2026-03-08&interval=none&group_by=label";
    let rows = server.get(grouped)["rows"].clone();
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    assert_eq!((&rows[0]["group"], &rows[0]["value"]), (&json!("bug"), &json!(1.0)));

    let read = metric(&server, "time_to_merge", "&definition=devlake");
    assert_eq!(
        (&read["name"], &read["p50"]),
        (&json!("time_to_merge.devlake"), &json!(36_000.0))
    );

    let beside =
        server.get("/api/v1/insights/query?metric=time_to_merge,time_to_merge.chaoss&from=2026-03-01&interval=none");
    assert_eq!(beside["definitions"].as_array().map(Vec::len), Some(2));

    // A pipeline that fails, is run again in part, and passes. Its events arrive in another order.
    let pipeline = |status: &str, finished: Option<&str>, job: (i64, &str, &str, Option<&str>)| {
        let time = |text: &str| format!("2026-03-05 {text}:00 UTC");
        let (id, job_status, started, ended) = job;

        json!({ "object_kind": "pipeline", "project": { "id": 7 },
            "object_attributes": { "id": 31, "iid": 3, "status": status, "created_at": time("12:00"),
                "finished_at": finished.map(time), "duration": 300, "queued_duration": 4 },
            "builds": [{ "id": id, "name": "pull", "status": job_status, "created_at": time("12:00"),
                "started_at": time(started), "finished_at": ended.map(time), "duration": 90.4, "allow_failure": false }] })
    };

    let events = [
        pipeline("success", Some("12:30"), (2, "success", "12:20", Some("12:30"))),
        pipeline("failed", Some("12:10"), (1, "failed", "12:01", Some("12:10"))),
        pipeline("running", None, (2, "running", "12:20", None)),
    ];
    for (number, event) in events.iter().enumerate() {
        server.receive("Pipeline Hook", &format!("p{number}"), event);
    }

    eventually("jobs are counted", || metric(&server, "job_runs", "")["value"] == 2.0);

    for (name, value) in [
        ("pipelines", 1.0),
        ("pipeline_success_rate", 1.0),
        ("first_attempt_success_rate", 0.0),
        ("pipeline_duration", 300.0),
        ("time_to_green", 1_200.0),
        ("retried_jobs", 1.0),
        ("flaky_jobs", 1.0),
        ("job_failure_rate", 0.5),
        ("ci_seconds", 180.0),
    ] {
        assert_eq!(metric(&server, name, "")["value"], value, "{name}");
    }

    // Two successful deployments, one failed deployment, and two incidents after the first one.
    let deployment = |id: i64, status: &str, at: &str| {
        json!({ "object_kind": "deployment", "deployment_id": id, "status": status, "environment_tier": "production",
            "status_changed_at": format!("2026-03-{at}:00 +0100"), "environment": "eu", "project": { "id": 7 } })
    };

    let incident = |iid: i64, created: &str, closed: Option<&str>| {
        let time = |text: &str| format!("2026-03-{text}:00 UTC");
        json!({ "object_kind": "work_item", "project": { "id": 7 }, "user": { "id": 8, "username": "alert-bot" },
            "object_attributes": { "iid": iid, "type": "Incident", "author_id": 8, "created_at": time(created),
                "updated_at": time(closed.unwrap_or(created)), "closed_at": closed.map(time), "action": "update",
                "state": if closed.is_some() { "closed" } else { "opened" } } })
    };

    server.receive("Deployment Hook", "d1", &deployment(3, "success", "04 12:00"));
    server.receive("Deployment Hook", "d2", &deployment(2, "failed", "04 11:00"));
    server.receive("Deployment Hook", "d3", &deployment(1, "success", "02 19:00"));
    server.receive("Issue Hook", "n1", &incident(8, "02 20:00", Some("02 22:00")));
    server.receive("Issue Hook", "n2", &incident(9, "03 08:00", None));
    eventually("incidents are counted", || {
        metric(&server, "incidents", "")["value"] == 2.0
    });

    for (name, value) in [
        ("deployments", 2.0),
        ("failed_deployments", 1.0),
        ("change_failure_rate", 0.5),
        ("incidents_per_deployment", 1.0),
        ("time_to_restore", 7_200.0),
        ("failed_deployment_recovery_time", 14_400.0),
        ("incidents_open", 1.0),
        ("issues_opened", 2.0),
    ] {
        assert_eq!(metric(&server, name, "")["value"], value, "{name}");
    }

    let often = metric(&server, "deployment_frequency", "");
    assert_eq!(
        (&often["value"], &often["series"][1]["value"]),
        (&json!(2.0 / 7.0), &json!(1.0))
    );

    // A crash loses no data, and repeated events change no value.
    server.kill();
    server.restart();

    for (number, event) in events.iter().enumerate() {
        server.receive("Merge Request Hook", &format!("again{number}"), event);
    }

    server.receive(
        "Merge Request Hook",
        "last",
        &merge_request(7, "06 08:00", "open", "opened", "06 08:00", jo),
    );

    eventually("the last event is counted", || {
        metric(&server, "mr_opened", "")["value"] == 6.0
    });

    let again = metric(&server, "time_to_merge", "");
    assert_eq!(
        (&again["value"], &again["p50"], &again["p90"]),
        (&merged["value"], &merged["p50"], &merged["p90"])
    );
}

/// The example of the definitions. The branch main moves s → a → b → c. Merge requests !1 (a), !2 (b) and !3 (c) are
/// merged. b is deployed; the deployment of c fails and then succeeds. Two incidents follow the first deployment.
pub(crate) fn lead_times_follow_merge_requests_to_their_deployment(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    let time = |text: &str| format!("2026-03-{text}:00 UTC");
    let project = || json!({ "id": 7, "path_with_namespace": "gear/rope", "default_branch": "main" });
    let sha = |letter: &str| letter.repeat(40);

    let push = |before: &str, after: &str, at: &str| {
        let commit = json!({ "id": sha(after), "message": format!("Tie {after}"), "timestamp": format!("{}Z", at.replace(' ', "T")) });
        json!({ "object_kind": "push", "ref": "refs/heads/main", "before": sha(before), "after": sha(after),
            "commits": [commit], "project": project() })
    };

    let deployment = |id: i64, letter: &str, status: &str, at: &str| {
        json!({ "object_kind": "deployment", "deployment_id": id, "status": status, "status_changed_at": time(at),
            "environment": "production", "environment_tier": "production", "project": project(),
            "commit_url": format!("https://gitlab.example.com/gear/rope/-/commit/{}", sha(letter)) })
    };

    let merged = |iid: i64, letter: &str, at: &str| {
        let mut body = merge_request(iid, "01 08:00", "merge", "merged", at, (2, "ida"));
        body["object_attributes"]["last_commit"] = json!({ "id": sha(letter) });
        body
    };

    let incident = |iid: i64, created: &str, closed: Option<&str>| {
        json!({ "object_kind": "work_item", "project": project(), "object_attributes": { "iid": iid, "type": "Incident",
            "created_at": time(created), "updated_at": time(closed.unwrap_or(created)), "closed_at": closed.map(time),
            "action": if closed.is_some() { "close" } else { "open" },
            "state": if closed.is_some() { "closed" } else { "opened" } } })
    };

    let events = [
        ("Push Hook", push("5", "a", "2026-03-01 09:00:00")),
        ("Push Hook", push("a", "b", "2026-03-01 11:00:00")),
        ("Push Hook", push("b", "c", "2026-03-03 08:00:00")),
        ("Merge Request Hook", merged(1, "a", "01 10:00")),
        ("Merge Request Hook", merged(2, "b", "01 12:00")),
        ("Merge Request Hook", merged(3, "c", "03 09:00")),
        ("Deployment Hook", deployment(1, "b", "success", "01 18:00")),
        ("Deployment Hook", deployment(2, "c", "failed", "03 10:00")),
        ("Deployment Hook", deployment(3, "c", "success", "03 11:00")),
        ("Issue Hook", incident(1, "01 20:00", Some("01 22:00"))),
        ("Issue Hook", incident(2, "02 08:00", None)),
    ];

    let get = |server: &Server, name: &str| {
        server.get(&format!(
            "/api/v1/insights/metrics/{name}?from=2026-03-01&to=2026-03-08&project=gear%2Frope"
        ))
    };

    let check = |server: &Server| {
        let lead_time = get(server, "lead_time_for_changes");
        assert_eq!(
            (&lead_time["p50"], &lead_time["samples"]),
            (&json!(21_600.0), &json!(3))
        );

        for (name, value) in [
            ("deployments", 2.0),
            ("failed_deployments", 1.0),
            ("change_failure_rate", 0.5),
            ("incidents_per_deployment", 1.0),
            ("time_to_restore", 7_200.0),
            ("failed_deployment_recovery_time", 14_400.0),
            ("deployment_rework_rate", 0.5),
        ] {
            assert_eq!(get(server, name)["value"], value, "{name}");
        }

        let frequency = get(server, "deployment_frequency")["value"].as_f64().expect("a number");
        assert!((frequency - 0.285_714).abs() < 1e-6);

        // From commit to deployment: 9, 7 and 3 hours.
        assert_eq!(get(server, "commit_lead_time")["p50"], 25_200.0);

        let explained = get(server, "lead_time_for_changes/explain");
        let items = explained["items"].as_array().expect("a list");
        assert!(
            items.iter().all(|item| item["counts"] == item["reason"].is_null()),
            "all items count: {items:?}"
        );
    };

    // The events arrive in reverse order with a crash in between, and then again with other keys.
    for (number, (event, body)) in events.iter().enumerate().rev() {
        if number == 6 {
            server.kill();
            server.restart();
        }

        server.receive(event, &format!("k{number}"), body);
    }

    eventually("all events are counted", || {
        get(&server, "lead_time_for_changes")["samples"] == 3
    });
    check(&server);

    for (number, (event, body)) in events.iter().enumerate() {
        server.receive(event, &format!("again{number}"), body);
    }

    server.receive("Merge Request Hook", "last", &merged(4, "z", "03 09:30"));
    eventually("the last event is counted", || {
        get(&server, "mr_merged")["value"] == 4.0
    });

    let explained = get(&server, "lead_time_for_changes/explain");
    assert_eq!(
        explained["left_out"],
        json!({ "it is older than the first known push to the default branch": 1 })
    );

    check(&server);
}

/// A verification counts in another order and with repetitions. A rebuild counts the whole journal again.
pub(crate) fn insights_can_be_verified_and_rebuilt(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let url = format!("http://127.0.0.1:{}", server.port);

    let run = |words: &[&str]| {
        let all = [&["insights"], words, &["--url", &url, "--token", TOKEN]].concat();
        let done = server.command(&all).output().expect("it runs");

        assert!(
            done.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );

        String::from_utf8(done.stdout).expect("UTF-8")
    };

    assert_eq!(server.call("GET", "/api/v1/insights/rebuild", "").status, 404);
    assert!(
        run(&["verify"]).contains("equal"),
        "an empty journal equals empty insights"
    );

    let commit = |n: usize| {
        json!({ "id": format!("{n:040}"), "message": format!("m {}", n % 30), "author": { "name": format!("A {}", n % 5),
            "email": format!("a{}@x.example", n % 5) }, "timestamp": "2026-03-02T10:00:00+02:00", "modified": [format!("f{}", n % 9)] })
    };

    for n in 0..60_usize {
        let push = json!({ "object_kind": "push", "ref": format!("refs/heads/b{}", n % 7), "before": format!("{n:040}"),
            "after": format!("{:040}", n + 7), "user_id": n % 5 + 1, "user_username": format!("u{}", n % 5), "user_name": format!("N {n}"),
            "commits": [commit(n), commit(n + 1)], "project": { "id": n % 3 + 1, "path_with_namespace": format!("g/p{}", n % 3) } });
        server.receive("Push Hook", &format!("p{n}"), &push);

        let day = n % 20 + 1;
        let (action, state) = [("open", "opened"), ("approved", "opened"), ("merge", "merged")][n % 3];

        let body = merge_request(
            n as i64 / 3,
            "01 08:00",
            action,
            state,
            &format!("{day:02} 09:00"),
            (n as i64 % 4, "ida"),
        );
        server.receive("Merge Request Hook", &format!("m{n}"), &body);
    }

    server.receive(
        "Push Hook",
        "unreadable",
        &json!({ "object_kind": "push", "ref": "refs/heads/x", "commits": "\u{fffd}" }),
    );

    let metric = |name: &str| {
        server.get(&format!(
            "/api/v1/insights/query?metric={name}&from=2026-03-01&to=2026-04-01"
        ))["rows"]
            .clone()
    };

    eventually("all events are counted", || {
        metric("mr_merged,commits")
            .as_array()
            .is_some_and(|rows| rows.len() == 62)
            && {
                let total = |name: &str| {
                    let path = format!("/api/v1/insights/metrics/{name}?from=2026-03-01&to=2026-04-01&bots=true");
                    server.get(&path)["value"].clone()
                };
                // The last merge arrives after the last commit.
                total("commits") == 120.0 && total("mr_merged") == 20.0
            }
    });

    let before = metric("mr_merged,commits,pushes,time_to_merge");
    for seed in ["1", "2", "3"] {
        let said = run(&["verify", "--seed", seed]);
        assert!(
            said.contains("equal: order and repetition make no difference"),
            "{said}"
        );

        assert!(
            [": 121, unreadable: 0", "repetitions"]
                .iter()
                .all(|one| said.contains(one)),
            "{said}"
        );
    }

    let said = run(&["rebuild", "--dry-run"]);
    assert!(
        said.contains(": 121, unreadable: 0") && said.contains("20  merge requests"),
        "{said}"
    );

    assert!(run(&["rebuild"]).contains("equal"));

    let counted = server.get("/api/v1/insights/metrics/mr_merged");
    assert_eq!(
        counted["counted_versions"],
        json!([counted["definition_version"]]),
        "all values use the current definitions"
    );

    assert_eq!(metric("mr_merged,commits,pushes,time_to_merge"), before);
    assert!(run(&["rebuild", "--add"]).contains("added to the stored data"));

    eventually("the events are counted again", || {
        let metrics = send(server.port, "GET", "/metrics", &[], b"").expect("an answer").body;
        metrics
            .lines()
            .any(|line| line.starts_with("quickdraw_projection_pending") && line.ends_with(" 0"))
    });

    assert!(run(&["verify"]).contains("equal"));
    assert_eq!(
        metric("mr_merged,commits,pushes,time_to_merge"),
        before,
        "counting events twice changes no value"
    );

    assert_eq!(
        server
            .call("POST", "/api/v1/insights/rebuild", r#"{"task":"nonsense"}"#)
            .status,
        400
    );

    let view = server.get("/api/v1/insights/rebuild");
    assert_eq!(
        (&view["task"], &view["is_identical"], &view["unreadable"]),
        (&json!("verify"), &json!(true), &json!(0))
    );
}

/// Three generated weeks of a team can be verified, and give a value for metrics that are hard to count.
pub(crate) fn the_demo_fills_every_metric_and_can_be_verified(engine: Engine) {
    // The folder has the settings of another server, which the demo must not use.
    let mut server = Server::new(&engine);
    server.set("GITLAB_WEBHOOK_SECRET", SECRET);

    let log = std::fs::File::create(server.folder.path().join("demo.log")).expect("a file");
    let errors = log.try_clone().expect("a file");

    let demo = |server: &Server| {
        let (log, errors) = (log.try_clone().expect("a file"), errors.try_clone().expect("a file"));
        server
            .command(&["demo", "--still", "--seed", "7", "--token", TOKEN])
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("it starts")
    };

    let is_ready = |server: &Server| {
        let port = server.port;
        eventually("the demo is ready", || {
            send(port, "GET", "/api/v1/ready", &[], b"").is_ok_and(|reply| reply.status == 200)
        });
    };

    let mut child = demo(&server);
    is_ready(&server);

    let counted = |server: &Server| {
        eventually("all events are counted", || {
            let metrics = send(server.port, "GET", "/metrics", &[], b"").expect("an answer").body;
            metrics
                .lines()
                .any(|line| line.starts_with("quickdraw_projection_pending") && line.ends_with(" 0"))
                && server.get("/api/v1/insights/metrics/pushes")["value"].as_f64() > Some(50.0)
        });
    };
    counted(&server);

    let url = format!("http://127.0.0.1:{}", server.port);
    let done = server
        .command(&["insights", "verify", "--url", &url, "--token", TOKEN])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success() && said.contains("equal: order and repetition make no difference"),
        "{said}"
    );

    for name in [
        "commits",
        "mr_merged",
        "mr_reopened",
        "mr_closed_unmerged",
        "mr_reviewers",
        "history_rewrites",
        "flaky_jobs",
        "deployments",
        "incidents",
        "issues_reopened",
        "lead_time_for_changes",
    ] {
        let value = server.get(&format!("/api/v1/insights/metrics/{name}"))["value"].as_f64();
        assert!(value > Some(0.0), "{name}: {value:?}");
    }

    let (with, without) = (
        "/api/v1/insights/metrics/mr_opened?bots=true",
        "/api/v1/insights/metrics/mr_opened",
    );

    assert!(
        server.get(with)["value"].as_f64() > server.get(without)["value"].as_f64(),
        "bots open some too"
    );

    let before = server.get("/api/v1/insights/metrics/commits")["value"].clone();
    child.kill().expect("it runs");
    child.wait().expect("it ended");

    // A second start continues with the existing data.
    let mut child = demo(&server);
    is_ready(&server);
    assert_eq!(server.get("/api/v1/insights/metrics/commits")["value"], before);
    child.kill().expect("it runs");
    child.wait().expect("it ended");

    let data = server.folder.path().join("quickdraw-demo");
    assert!(data.join("quickdraw.db").exists() && !server.folder.path().join("quickdraw-data").exists());

    if let Engine::Postgres(url) = &engine {
        let schema = &server.schema;
        let sql = format!("SELECT count(*) FROM information_schema.tables WHERE table_schema = '{schema}'");
        let counted = Command::new("psql")
            .args([url, "-Atqc", &sql])
            .output()
            .expect("psql runs");

        assert_eq!(
            String::from_utf8_lossy(&counted.stdout).trim(),
            "0",
            "the demo does not use this database"
        );
    }

    // Data of another server is not changed.
    std::fs::remove_file(data.join("this-is-a-demo")).expect("the file exists");

    let refused = server.command(&["demo", "--still"]).output().expect("it runs");
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("not a demo"),
        "{refused:?}"
    );
}
