//! Backfills from a repository, a file and a GitLab: they are counted and not delivered.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::gaps::Table;
use crate::git::{commit, git};
use crate::http::{Sink, eventually};
use crate::server::{Engine, Server, TOKEN};

/// Runs `quickdraw backfill`. Returns standard output, and standard error if the command failed.
fn backfill(server: &Server, arguments: &[&str]) -> (String, Option<String>) {
    let url = format!("http://127.0.0.1:{}", server.port);
    let arguments = [&["backfill"], arguments, &["--url", &url, "--token", TOKEN]].concat();
    let done = server.command(&arguments).output().expect("it runs");
    let errors = (!done.status.success()).then(|| String::from_utf8_lossy(&done.stderr).into_owned());

    (String::from_utf8(done.stdout).expect("UTF-8"), errors)
}

fn value(server: &Server, name: &str) -> Value {
    server.get(&format!(
        "/api/v1/insights/metrics/{name}?from=2020-01-01&to=2027-12-01"
    ))["value"]
        .clone()
}

/// Waits until each metric has the expected value.
fn counted(server: &Server, expected: &[(&str, f64)]) {
    for (name, number) in expected {
        let mut found = Value::Null;
        let is_so = || {
            found = value(server, name);
            found.as_f64() == Some(*number)
        };
        eventually(&format!("{name} is {number}"), is_so);
    }
}

fn count(folder: &Path, arguments: &[&str]) -> f64 {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("git runs");
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .expect("a number")
}

fn verified(server: &Server) {
    let url = format!("http://127.0.0.1:{}", server.port);
    let done = server
        .command(&["insights", "verify", "--url", &url, "--token", TOKEN])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.contains("equal"), "{said}");
}

pub(crate) fn backfills_of_a_repository_and_of_a_file_are_counted(engine: Engine) {
    let mut server = Server::start(&engine, &[]);
    server.make_project();

    let sink = Sink::start(|_| Some(200));
    server.make_hook(&sink.url(), "");

    let work = server.folder.path().join("work");
    git(server.folder.path(), &["init", "-q", "work"]);

    for number in 0..70 {
        commit(
            &work,
            &format!("file-{}", number % 40),
            &number.to_string(),
            &format!("Change {number}"),
        );
    }

    git(&work, &["checkout", "-q", "-b", "feature"]);
    commit(&work, "feature", "1", "Begin a feature");
    git(&work, &["mv", "file-1", "renamed"]);
    git(&work, &["commit", "-q", "-m", "Say it better"]);
    git(&work, &["checkout", "-q", "main"]);
    commit(&work, "file-2", "on main", "Go on");

    // The message does not look like a merge, so only the parents show that it is one.
    git(
        &work,
        &["merge", "-q", "--no-ff", "-m", "Bring the feature in", "feature"],
    );

    git(&work, &["checkout", "-q", "-b", "left"]);
    commit(&work, "left", "1", "Leave it");
    git(&work, &["tag", "v1"]);
    git(&work, &["checkout", "-q", "main"]);
    git(&work, &["branch", "-q", "-D", "left"]);

    let (said, errors) = backfill(&server, &["git", "work", "--project", "gear/rope"]);
    assert!(errors.is_some_and(|errors| errors.contains("--project-id")), "{said}");

    let (said, errors) = backfill(&server, &["git", "work", "--project", "gear/rope", "--project-id", "1"]);
    assert_eq!(errors, None, "{said}");
    assert!(said.contains("74 commits on main, 1 elsewhere"), "{said}");

    let all = [
        (
            "commits",
            count(&work, &["rev-list", "--all", "--no-merges", "--count"]),
        ),
        (
            "merge_commits",
            count(&work, &["rev-list", "--all", "--merges", "--count"]),
        ),
        (
            "commits_landed",
            count(&work, &["rev-list", "main", "--no-merges", "--count"]),
        ),
        ("files_added", 43.0),
        ("files_modified", 31.0),
        ("pushes", 0.0),
        ("branches_open", 0.0),
    ];
    assert_eq!((all[0].1, all[1].1, all[2].1), (74.0, 1.0, 73.0));
    counted(&server, &all);

    // An event that is also received counts once, in either order. It also gives the number of the project.
    let tip = Command::new("git")
        .args(["rev-parse", "main^1"])
        .current_dir(&work)
        .output()
        .expect("git runs");
    let tip = String::from_utf8_lossy(&tip.stdout).trim().to_owned();
    let listed = json!([{ "id": tip, "message": "Go on\n", "timestamp": "2026-11-20T10:00:00Z",
        "author": { "name": "Ida Brandt", "email": "ida@climb.example" }, "modified": ["file-2"] }]);
    let body = json!({ "object_kind": "push", "ref": "refs/heads/main", "before": "a".repeat(40), "after": tip,
        "project": { "id": 1, "path_with_namespace": "gear/rope", "default_branch": "main" }, "commits": listed });

    let reply = server.call(
        "POST",
        "/api/v1/projects/1/events",
        &json!({ "trigger": "push_hooks", "payload": body }).to_string(),
    );
    assert_eq!(reply.status, 202, "{}", reply.body);
    counted(&server, &[("pushes", 1.0)]);

    let (said, errors) = backfill(&server, &["git", "work", "--project", "gear/rope"]);
    assert_eq!(errors, None, "{said}");
    assert!(said.contains("events reported: 0, already known: 3"), "{said}");
    counted(&server, &all[..5]);

    // A file with wrapped records, bare bodies, and a list of hook events from GitLab. Damaged records are named, and
    // the others are reported.
    let issue = |iid: i64| {
        json!({ "object_kind": "issue", "project": { "id": 1 }, "object_attributes": { "iid": iid, "state": "opened",
            "created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-01-05T10:00:00Z", "action": "open" } })
    };

    let records = [
        json!({ "trigger": "push_hooks", "received_at": "2026-01-02T10:00:00Z", "payload": { "object_kind": "push",
            "ref": "refs/heads/old", "before": "0".repeat(40), "after": "b".repeat(40), "project": { "id": 1 }, "commits": [] } }),
        issue(1),
        json!({ "trigger": "issue_hooks", "request_headers": {}, "request_data": issue(2), "response_status": "200" }),
        json!({ "what": "is this" }),
        json!({ "received_at": "once", "payload": issue(3) }),
        json!({ "object_kind": "wiki_page", "object_attributes": { "slug": "home" }, "project": { "id": 1 } }),
        json!([issue(4), issue(5)]),
    ];
    let text: Vec<String> = records.iter().map(ToString::to_string).collect();
    std::fs::write(server.folder.path().join("past.jsonl"), text.join("\n")).expect("written");

    let (said, errors) = backfill(&server, &["file", "past.jsonl"]);
    assert!(said.contains("FAILED: record 4: unknown kind of event"), "{said}");
    assert!(said.contains("FAILED: record 5: received_at is not a time"), "{said}");

    assert!(
        said.contains("events reported: 5, already known: 0, of kinds that no metric uses: 1"),
        "{said}"
    );

    assert!(
        errors
            .expect("it failed")
            .contains("2 of 8 records could not be reported"),
        "{said}"
    );

    counted(&server, &[("issues_opened", 4.0), ("branches_created", 1.0)]);

    let pushed = server.get("/api/v1/insights/metrics/pushes?from=2026-01-02&to=2026-01-03")["value"].clone();
    assert_eq!(pushed, 1.0, "it counts on the day of received_at");

    // Only the reported event was delivered. Backfilled events are in the journal and survive a crash.
    let sources: Vec<Value> = server.get("/api/v1/events?limit=100")["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["origin"].clone())
        .collect();

    let told = sources.iter().filter(|source| **source == "backfill").count();
    assert_eq!((told, sources.len()), (3 + 5, 3 + 5 + 1), "{sources:?}");

    assert_eq!(
        server.get("/api/v1/deliveries")["items"].as_array().map(Vec::len),
        Some(1)
    );

    server.kill();
    server.restart();
    verified(&server);
    counted(&server, &all[..5]);

    // A request with one invalid event is refused as a whole, and the answer names the event.
    let wrong = json!({ "events": [{ "payload": issue(8) }, { "trigger": "nonsense", "payload": issue(9) }] });
    let reply = server.call("POST", "/api/v1/insights/backfill", &wrong.to_string());

    assert!(
        reply.status == 422 && reply.body.contains("events[1]"),
        "{} {}",
        reply.status,
        reply.body
    );

    let reply = server.call("POST", "/api/v1/insights/backfill", "[]");
    assert!(
        reply.status == 400 && reply.body.contains("send {"),
        "{} {}",
        reply.status,
        reply.body
    );
}

/// Answers of GitLab's API for projects 77, 78 and 79. Project 77 has a merge request with reviews, a reopened issue, a
/// pipeline with a flaky job, a deployment and pushes.
fn answer(path: &str) -> Option<Value> {
    let person = |id: i64, username: &str| json!({ "id": id, "name": username, "username": username });
    let note = |id: i64, at: &str, who: &Value, system: bool, body: &str| json!({ "id": id, "body": body, "author": who, "system": system, "created_at": at, "updated_at": at });
    let (ada, xi, yo, zoe) = (person(1, "ada"), person(2, "xi"), person(3, "yo"), person(4, "zoe"));
    let bot = person(9, "project_77_bot_a1");

    let commit = |letter: char, parents: &[&str]| {
        json!({ "id": letter.to_string().repeat(40), "message": "Tie in", "author_name": "Ada",
            "author_email": "ada@climb.example", "committed_date": "2026-03-02T08:00:00.000+01:00", "parent_ids": parents })
    };

    let is_first = path.contains("&page=1") && !path.contains("updated_after=2026-03-0");
    let page = |rows: Value| if is_first { rows } else { json!([]) };

    let (place, _) = path
        .strip_prefix("projects/")?
        .split_once('?')
        .unwrap_or((path.strip_prefix("projects/")?, ""));

    Some(match place {
        // Project 78 has more pushes within two days than fit on a page.
        "78" => {
            json!({ "id": 78, "name": "Busy", "path_with_namespace": "gear/busy", "web_url": "https://git.example.com/gear/busy" })
        }
        // Project 79 has merged and closed merge requests without times. The time of one is in its state events.
        "79" => {
            json!({ "id": 79, "name": "Old", "path_with_namespace": "gear/old", "web_url": "https://git.example.com/gear/old" })
        }
        "79/merge_requests" => {
            let merge_request = |iid: i64, state: &str| {
                json!({ "id": 700 + iid, "iid": iid, "title": "Old", "state": state, "draft": false, "merged_at": null,
                    "created_at": "2026-10-01T09:00:00.000Z", "updated_at": "2026-10-18T09:00:00.000Z", "author": ada,
                    "source_branch": "old", "target_branch": "main", "source_project_id": 79, "target_project_id": 79,
                    "labels": [], "sha": "d".repeat(40), "merge_commit_sha": "e".repeat(40) })
            };

            page(json!([
                merge_request(1, "merged"),
                merge_request(2, "merged"),
                merge_request(3, "closed")
            ]))
        }
        "79/merge_requests/1/notes" | "79/merge_requests/2/notes" | "79/merge_requests/3/notes" => json!([]),
        "79/merge_requests/2/resource_state_events" => {
            json!([{ "state": "merged", "created_at": "2026-10-01T11:00:00.000Z", "user": yo }])
        }
        "79/merge_requests/1/resource_state_events" | "79/merge_requests/3/resource_state_events" => json!([]),
        "78/events" => {
            let page: u32 = path.split("&page=").nth(1)?.split('&').next()?.parse().ok()?;
            let push = |number: u32| {
                json!({ "created_at": format!("2026-03-{:02}T10:00:00.000Z", 2 + number / 150), "author": ada, "push_data": {
                    "ref": "main", "ref_type": "branch", "commit_from": format!("{number:040}"),
                    "commit_to": format!("{:040}", number + 1), "commit_count": 1 } })
            };

            let rows = (100 * (page - 1) + 1..=100 * page).take_while(|number| *number <= 250);
            rows.map(push).collect()
        }
        "77" | "gear%2Frope" => json!({ "id": 77, "name": "Rope", "path_with_namespace": "gear/rope",
            "default_branch": "main", "web_url": "https://git.example.com/gear/rope" }),
        "77/merge_requests" => page(
            json!([{ "id": 500, "iid": 5, "title": "Rope", "state": "merged", "draft": false,
            "created_at": "2026-03-02T09:00:00.000Z", "updated_at": "2026-03-05T09:00:00.000Z",
            "merged_at": "2026-03-03T13:00:00.000Z", "merge_user": yo, "author": ada, "source_branch": "longer",
            "target_branch": "main", "source_project_id": 77, "target_project_id": 77, "labels": [], "sha": "d".repeat(40),
            "merge_commit_sha": "e".repeat(40), "web_url": "https://git.example.com/gear/rope/-/merge_requests/5" }]),
        ),

        "77/merge_requests/5/notes" => json!([
            note(51, "2026-03-02T09:01:00.000Z", &bot, false, "I am a bot"),
            note(52, "2026-03-03T10:00:00.000Z", &xi, false, "Why?"),
            note(53, "2026-03-03T11:00:00.000Z", &xi, true, "approved this merge request"),
            note(54, "2026-03-03T12:00:00.000Z", &yo, true, "approved this merge request"),
            note(55, "2026-03-03T15:00:00.000Z", &zoe, false, "Thanks"),
        ]),

        "77/merge_requests/5/resource_state_events" => json!([
            { "state": "closed", "created_at": "2026-03-02T12:00:00.000Z", "user": ada },
            { "state": "reopened", "created_at": "2026-03-03T09:00:00.000Z", "user": ada },
            { "state": "merged", "created_at": "2026-03-03T13:00:00.000Z", "user": yo },
        ]),
        "77/issues" => page(
            json!([{ "id": 600, "iid": 3, "title": "Worn", "state": "opened", "issue_type": "issue",
            "created_at": "2026-03-01T12:00:00.000Z", "updated_at": "2026-03-03T12:00:00.000Z", "author": ada,
            "labels": [], "user_notes_count": 0 }]),
        ),
        "77/issues/3/resource_state_events" => json!([
            { "state": "closed", "created_at": "2026-03-01T15:00:00.000Z", "user": ada },
            { "state": "reopened", "created_at": "2026-03-03T12:00:00.000Z", "user": ada },
        ]),
        "77/pipelines" => page(json!([{ "id": 901, "iid": 31, "updated_at": "2026-03-03T14:00:00.000Z" }])),
        "77/pipelines/901" => json!({ "id": 901, "iid": 31, "ref": "main", "sha": "a".repeat(40), "status": "success",
            "user": ada, "source": "push", "created_at": "2026-03-03T13:30:00.000Z", "updated_at": "2026-03-03T14:00:00.000Z",
            "finished_at": "2026-03-03T14:00:00.000Z", "duration": 200 }),
        "77/pipelines/901/jobs" => {
            assert!(path.contains("include_retried=true"), "{path}");

            let job = |id: i64, status: &str, from: &str, to: &str| {
                json!({ "id": id, "stage": "test", "name": "pull", "status": status, "user": ada,
                    "created_at": from, "started_at": from, "finished_at": to, "duration": 60 })
            };
            json!([
                job(1, "failed", "2026-03-03T13:31:00.000Z", "2026-03-03T13:32:00.000Z"),
                job(2, "success", "2026-03-03T13:41:00.000Z", "2026-03-03T13:42:00.000Z"),
            ])
        }
        "77/environments" => json!([{ "name": "live", "tier": "production" }]),
        "77/deployments" => page(
            json!([{ "id": 70, "iid": 1, "status": "success", "ref": "main", "sha": "e".repeat(40),
            "updated_at": "2026-03-03T18:00:00.000Z", "user": yo, "environment": { "name": "live" },
            "deployable": { "id": 2, "finished_at": "2026-03-03T15:00:00.000Z", "commit": { "title": "Tie in" } } }]),
        ),
        "77/events" => page(json!([
            { "created_at": "2026-03-02T08:30:00.000Z", "author": ada, "push_data": { "ref": "main", "ref_type": "branch",
                "commit_from": "0".repeat(40), "commit_to": "a".repeat(40), "commit_count": 1 } },
            { "created_at": "2026-03-03T13:00:00.000Z", "author": yo, "push_data": { "ref": "main", "ref_type": "branch",
                "commit_from": "a".repeat(40), "commit_to": "e".repeat(40), "commit_count": 2 } },
            { "created_at": "2026-03-03T13:01:00.000Z", "author": yo, "push_data": { "ref": "longer", "ref_type": "branch",
                "commit_from": "d".repeat(40), "commit_to": null, "commit_count": 0 } },
            { "created_at": "2026-03-03T13:02:00.000Z", "author": yo, "push_data": { "ref": "v1", "ref_type": "tag",
                "commit_from": null, "commit_to": "e".repeat(40), "commit_count": 1 } },
        ])),
        "77/repository/compare" if path.contains("from=aaaa") => {
            json!({ "commits": [commit('d', &["a"]), commit('e', &["a", "d"])] })
        }
        "77/repository/compare" => json!({ "commits": [commit('a', &[])] }),
        "77/repository/commits" => page(json!([commit('e', &["a", "d"]), commit('d', &["a"]), commit('a', &[])])),
        _ => return None,
    })
}

pub(crate) fn a_backfill_from_gitlab_is_counted(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let table = Table::start(answer);
    let gitlab = format!("http://127.0.0.1:{}", table.port);
    let from = ["gitlab", "--gitlab", &gitlab, "--gitlab-token", "gitlab-token"];
    let (said, errors) = backfill(&server, &from);

    assert!(
        errors.is_some_and(|errors| errors.contains("name the projects with --project")),
        "{said}"
    );

    let (said, errors) = backfill(
        &server,
        &[&from[..], &["--project", "gear/rope", "--project", "gear/none"]].concat(),
    );

    assert!(said.contains("FAILED: gear/none: GitLab has no such project"), "{said}");
    assert!(
        errors.is_some_and(|errors| errors.contains("1 of 2 projects are incomplete")),
        "{said}"
    );

    for part in [
        "merge_requests: 1",
        "issues: 1",
        "pipelines: 1",
        "deployments: 1",
        "pushes: 4",
        "  commits: 3",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }

    let expected = [
        // The merge request.
        ("mr_merged", 1.0),
        ("mr_closed_unmerged", 0.0),
        ("mr_reopened", 1.0),
        ("time_to_merge", 100_800.0),
        ("time_to_merge_active", 25_200.0),
        ("time_to_first_review", 90_000.0),
        ("time_to_first_review_active", 14_400.0),
        ("mr_reviewers", 2.0),
        ("review_depth", 1.0),
        ("self_merged", 0.0),
        // The issue.
        ("issues_closed", 0.0),
        ("issue_close_events", 1.0),
        ("issues_open", 1.0),
        ("time_to_first_close", 10_800.0),
        // CI, and a deployment two hours after the merge.
        ("flaky_jobs", 1.0),
        ("first_attempt_success_rate", 0.0),
        ("time_to_green", 1_680.0),
        ("mr_reviews", 3.0),
        ("rework_rounds", 0.0),
        ("ci_seconds", 120.0),
        ("deployments", 1.0),
        ("lead_time_for_changes", 7_200.0),
        ("commits", 2.0),
        ("merge_commits", 1.0),
        ("commits_landed", 2.0),
        ("pushes", 3.0),
        ("branches_deleted", 1.0),
    ];
    counted(&server, &expected);

    // A second run continues at its position, and nothing counts twice.
    let (said, errors) = backfill(&server, &[&from[..], &["--project", "77"]].concat());
    assert_eq!(errors, None, "{said}");

    assert!(
        said.contains("merge_requests: 0") && said.contains("events reported: 0, "),
        "{said}"
    );

    // Events that were also received count once: an approval and a close, as GitLab sent them at the time.
    let approved = json!({ "object_kind": "merge_request", "user": { "id": 2, "username": "xi" }, "project": { "id": 77 },
        "object_attributes": { "iid": 5, "target_project_id": 77, "author_id": 1, "created_at": "2026-03-02 09:00:00 UTC",
            "updated_at": "2026-03-03 10:59:58 UTC", "action": "approval", "state": "opened" } });
    server.receive("Merge Request Hook", "seen", &approved);

    let closed = json!({ "object_kind": "issue", "user": { "id": 1 }, "project": { "id": 77 }, "object_attributes": { "iid": 3,
        "created_at": "2026-03-01 12:00:00 UTC", "updated_at": "2026-03-01 15:00:01 UTC", "closed_at": "2026-03-01 15:00:01 UTC",
        "action": "close", "state": "closed" } });
    server.receive("Issue Hook", "closed", &closed);

    eventually("the received events are counted", || {
        server.get("/api/v1/insights/gaps?project=77")["items"] == json!([])
            && server.get("/api/v1/insights/completeness?project=77")["items"]
                .as_array()
                .map(Vec::len)
                == Some(2)
    });

    counted(&server, &expected);
    verified(&server);

    let asked = table.asked.lock().expect("no panic").clone();
    let behind = asked
        .iter()
        .filter(|path| path.contains("merge_requests?") && path.contains("updated_after=2026-03-05"));
    assert_eq!(behind.count(), 1, "it continued after the last row: {asked:?}");

    // Many pushes within a few days are read page by page to the end.
    let (said, errors) = backfill(
        &server,
        &[&from[..], &["--project", "78", "--since", "2026-03-01"]].concat(),
    );

    assert_eq!(errors, None, "{said}");
    assert!(
        said.contains("pushes: 250") && said.contains("issues: not available"),
        "{said}"
    );

    counted(&server, &[("pushes", 253.0)]);

    let pages = |table: &Table| {
        table
            .asked
            .lock()
            .expect("no panic")
            .iter()
            .filter(|path| path.contains("78/events"))
            .count()
    };
    assert_eq!(pages(&table), 3, "each page is read once");

    // A state without a time is counted, but left out of durations.
    let (said, errors) = backfill(&server, &[&from[..], &["--project", "79"]].concat());
    assert_eq!(errors, None, "{said}");

    let of_old = |name: &str| {
        server.get(&format!(
            "/api/v1/insights/metrics/{name}?from=2026-09-01&to=2026-12-31&project=79"
        ))
    };
    eventually("merge requests without times are counted", || {
        of_old("mr_closed_unmerged")["value"] == 1.0
    });

    for (name, number) in [
        ("mr_merged", 2.0),
        ("mr_closed_unmerged", 1.0),
        ("mr_open", 0.0),
        ("merges_unseen", 1.0),
        ("time_to_merge", 7_200.0),
    ] {
        assert_eq!(of_old(name)["value"], number, "{name}");
    }

    let merge_rate = of_old("merge_rate")["value"].as_f64().expect("a share");
    assert!((merge_rate - 2.0 / 3.0).abs() < 1e-9, "{merge_rate}");
    assert_eq!(of_old("time_to_merge")["samples"], 1);
}
