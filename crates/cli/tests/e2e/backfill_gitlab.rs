//! Backfills from a GitLab: what its API lists is counted.

use serde_json::{Value, json};

use crate::backfill::{backfill, counted, verified};
use crate::forge::Forge;
use crate::http::eventually;
use crate::server::{Engine, Server};

fn person(id: i64, username: &str) -> Value {
    json!({ "id": id, "name": username, "username": username })
}

/// A path of the API without `projects/`.
#[derive(Clone, Copy)]
struct Request<'a> {
    place: &'a str,
    query: &'a str,
}

impl Request<'_> {
    /// Returns the rows on the first page. A second run, which continues at its position, gets none.
    fn page(self, rows: Value) -> Value {
        let is_first = self.query.contains("&page=1") && !self.query.contains("updated_after=2026-03-0");
        if is_first { rows } else { json!([]) }
    }
}

/// Answers of GitLab's API for projects 77, 78 and 79.
fn answer(path: &str) -> Option<Value> {
    let path = path.strip_prefix("projects/")?;
    let (place, query) = path.split_once('?').unwrap_or((path, ""));
    let request = Request { place, query };

    rope(request).or_else(|| busy(request)).or_else(|| old(request))
}

/// Project 77 has a merge request with reviews, a reopened issue, a pipeline with a flaky job, a deployment and pushes.
fn rope(request: Request) -> Option<Value> {
    let found = match request.place {
        "77" | "gear%2Frope" => json!({ "id": 77, "name": "Rope", "path_with_namespace": "gear/rope",
            "default_branch": "main", "web_url": "https://git.example.com/gear/rope" }),
        "77/environments" => json!([{ "name": "live", "tier": "production" }]),
        place if place.starts_with("77/merge_requests") => return rope_merge_requests(request),
        place if place.starts_with("77/issues") => return rope_issues(request),
        place if place.starts_with("77/pipelines") => return rope_pipelines(request),
        _ => return rope_repository(request),
    };

    Some(found)
}

fn note(id: i64, at: &str, author: &Value, is_system: bool, body: &str) -> Value {
    json!({ "id": id, "body": body, "author": author, "system": is_system, "created_at": at, "updated_at": at })
}

fn rope_merge_requests(request: Request) -> Option<Value> {
    let (ada, xi, yo, zoe) = (person(1, "ada"), person(2, "xi"), person(3, "yo"), person(4, "zoe"));
    let bot = person(9, "project_77_bot_a1");

    let found = match request.place {
        "77/merge_requests" => request.page(
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
        _ => return None,
    };

    Some(found)
}

fn rope_issues(request: Request) -> Option<Value> {
    let ada = person(1, "ada");
    let found = match request.place {
        "77/issues" => request.page(
            json!([{ "id": 600, "iid": 3, "title": "Worn", "state": "opened", "issue_type": "issue",
            "created_at": "2026-03-01T12:00:00.000Z", "updated_at": "2026-03-03T12:00:00.000Z", "author": ada,
            "labels": [], "user_notes_count": 0 }]),
        ),
        "77/issues/3/resource_state_events" => json!([
            { "state": "closed", "created_at": "2026-03-01T15:00:00.000Z", "user": ada },
            { "state": "reopened", "created_at": "2026-03-03T12:00:00.000Z", "user": ada },
        ]),
        _ => return None,
    };

    Some(found)
}

fn rope_pipelines(request: Request) -> Option<Value> {
    let ada = person(1, "ada");
    let found = match request.place {
        "77/pipelines" => request.page(json!([{ "id": 901, "iid": 31, "updated_at": "2026-03-03T14:00:00.000Z" }])),
        "77/pipelines/901" => json!({ "id": 901, "iid": 31, "ref": "main", "sha": "a".repeat(40), "status": "success",
            "user": ada, "source": "push", "created_at": "2026-03-03T13:30:00.000Z", "updated_at": "2026-03-03T14:00:00.000Z",
            "finished_at": "2026-03-03T14:00:00.000Z", "duration": 200 }),
        "77/pipelines/901/jobs" => {
            assert!(request.query.contains("include_retried=true"), "{}", request.query);

            let job = |id: i64, status: &str, from: &str, to: &str| {
                json!({ "id": id, "stage": "test", "name": "pull", "status": status, "user": ada,
                    "created_at": from, "started_at": from, "finished_at": to, "duration": 60 })
            };
            json!([
                job(1, "failed", "2026-03-03T13:31:00.000Z", "2026-03-03T13:32:00.000Z"),
                job(2, "success", "2026-03-03T13:41:00.000Z", "2026-03-03T13:42:00.000Z"),
            ])
        }
        _ => return None,
    };

    Some(found)
}

fn rope_repository(request: Request) -> Option<Value> {
    let (ada, yo) = (person(1, "ada"), person(3, "yo"));
    let commit = |letter: char, parents: &[&str]| {
        json!({ "id": letter.to_string().repeat(40), "message": "Tie in", "author_name": "Ada",
            "author_email": "ada@climb.example", "committed_date": "2026-03-02T08:00:00.000+01:00", "parent_ids": parents })
    };

    let found = match request.place {
        "77/deployments" => request.page(
            json!([{ "id": 70, "iid": 1, "status": "success", "ref": "main", "sha": "e".repeat(40),
            "updated_at": "2026-03-03T18:00:00.000Z", "user": yo, "environment": { "name": "live" },
            "deployable": { "id": 2, "finished_at": "2026-03-03T15:00:00.000Z", "commit": { "title": "Tie in" } } }]),
        ),
        "77/events" => request.page(json!([
            { "created_at": "2026-03-02T08:30:00.000Z", "author": ada, "push_data": { "ref": "main", "ref_type": "branch",
                "commit_from": "0".repeat(40), "commit_to": "a".repeat(40), "commit_count": 1 } },
            { "created_at": "2026-03-03T13:00:00.000Z", "author": yo, "push_data": { "ref": "main", "ref_type": "branch",
                "commit_from": "a".repeat(40), "commit_to": "e".repeat(40), "commit_count": 2 } },
            { "created_at": "2026-03-03T13:01:00.000Z", "author": yo, "push_data": { "ref": "longer", "ref_type": "branch",
                "commit_from": "d".repeat(40), "commit_to": null, "commit_count": 0 } },
            { "created_at": "2026-03-03T13:02:00.000Z", "author": yo, "push_data": { "ref": "v1", "ref_type": "tag",
                "commit_from": null, "commit_to": "e".repeat(40), "commit_count": 1 } },
        ])),
        "77/repository/compare" if request.query.contains("from=aaaa") => {
            json!({ "commits": [commit('d', &["a"]), commit('e', &["a", "d"])] })
        }
        "77/repository/compare" => json!({ "commits": [commit('a', &[])] }),
        "77/repository/commits" => request.page(json!([commit('e', &["a", "d"]), commit('d', &["a"]), commit('a', &[])])),
        _ => return None,
    };

    Some(found)
}

/// Project 78 has more pushes within two days than fit on a page.
fn busy(request: Request) -> Option<Value> {
    let ada = person(1, "ada");
    let found = match request.place {
        "78" => {
            json!({ "id": 78, "name": "Busy", "path_with_namespace": "gear/busy", "web_url": "https://git.example.com/gear/busy" })
        }
        "78/events" => {
            let page: u32 = request.query.split("&page=").nth(1)?.split('&').next()?.parse().ok()?;
            let push = |number: u32| {
                json!({ "created_at": format!("2026-03-{:02}T10:00:00.000Z", 2 + number / 150), "author": ada, "push_data": {
                    "ref": "main", "ref_type": "branch", "commit_from": format!("{number:040}"),
                    "commit_to": format!("{:040}", number + 1), "commit_count": 1 } })
            };

            let rows = (100 * (page - 1) + 1..=100 * page).take_while(|number| *number <= 250);
            rows.map(push).collect()
        }
        _ => return None,
    };

    Some(found)
}

/// Project 79 has merged and closed merge requests without times. The time of one is in its state events.
fn old(request: Request) -> Option<Value> {
    let (ada, yo) = (person(1, "ada"), person(3, "yo"));
    let found = match request.place {
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

            request.page(json!([
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
        _ => return None,
    };

    Some(found)
}

/// The metrics of project 77.
const ROPE: [(&str, f64); 27] = [
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

/// A server, and a GitLab to read from.
struct Import {
    server: Server,
    forge: Forge,
}

impl Import {
    fn start(engine: &Engine) -> Self {
        Self {
            server: Server::start(engine, &[]),
            forge: Forge::start(answer),
        }
    }

    /// Runs `quickdraw backfill gitlab`. Returns standard output, and standard error if the command failed.
    fn run(&self, more: &[&str]) -> (String, Option<String>) {
        let options = self.forge.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        backfill(&self.server, &[&["gitlab"], &options[..], more].concat())
    }

    /// Reads a project and returns the output.
    #[track_caller]
    fn read(&self, project: &str, more: &[&str]) -> String {
        let (output, errors) = self.run(&[&["--project", project], more].concat());
        assert_eq!(errors, None, "{output}");
        output
    }

    /// The number of requests for paths that contain both parts.
    fn count_asked(&self, first: &str, second: &str) -> usize {
        let asked = self.forge.asked();
        asked
            .iter()
            .filter(|path| path.contains(first) && path.contains(second))
            .count()
    }
}

pub(crate) fn an_incomplete_backfill_from_gitlab_is_reported(engine: Engine) {
    let import = Import {
        server: Server::start(&engine, &[]),
        forge: Forge::start_limited(answer),
    };
    let (_, errors) = import.run(&[]);
    let errors = errors.expect("it failed");
    assert!(errors.contains("name the projects with --project"), "{errors}");

    let (output, errors) = import.run(&["--project", "gear/rope", "--project", "gear/none"]);

    for part in [
        "FAILED: gear/none: GitLab has no such project",
        "merge_requests: 1",
        "issues: 1",
        "pipelines: 1",
        "deployments: 1",
        "pushes: 4",
        "  commits: 3",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }

    let errors = errors.expect("it failed");
    assert!(errors.contains("1 of 2 projects are incomplete"), "{errors}");
}

pub(crate) fn a_backfill_from_gitlab_is_counted_and_continues_after_the_last_row(engine: Engine) {
    let import = Import::start(&engine);
    import.read("gear/rope", &[]);
    counted(&import.server, &ROPE);

    let output = import.read("77", &[]);
    assert!(output.contains("merge_requests: 0"), "{output}");
    assert!(output.contains("events reported: 0, "), "{output}");
    assert_eq!(import.count_asked("merge_requests?", "updated_after=2026-03-05"), 1);
    counted(&import.server, &ROPE);
}

/// Receives an approval and a close, as GitLab sent them at the time.
fn receive_known_events(server: &Server) {
    let approved = json!({ "object_kind": "merge_request", "user": { "id": 2, "username": "xi" }, "project": { "id": 77 },
        "object_attributes": { "iid": 5, "target_project_id": 77, "author_id": 1, "created_at": "2026-03-02 09:00:00 UTC",
            "updated_at": "2026-03-03 10:59:58 UTC", "action": "approval", "state": "opened" } });
    server.receive("Merge Request Hook", "seen", &approved);

    let closed = json!({ "object_kind": "issue", "user": { "id": 1 }, "project": { "id": 77 }, "object_attributes": { "iid": 3,
        "created_at": "2026-03-01 12:00:00 UTC", "updated_at": "2026-03-01 15:00:01 UTC", "closed_at": "2026-03-01 15:00:01 UTC",
        "action": "close", "state": "closed" } });
    server.receive("Issue Hook", "closed", &closed);
}

pub(crate) fn a_backfilled_event_that_is_also_received_counts_once(engine: Engine) {
    let import = Import::start(&engine);
    let server = &import.server;
    import.read("gear/rope", &[]);
    counted(server, &ROPE);
    receive_known_events(server);

    eventually("the received events are counted", || {
        let gaps = server.get("/api/v1/insights/gaps?project=gear%2Frope");
        let completeness = server.get("/api/v1/insights/completeness?project=gear%2Frope");
        let kinds = completeness["items"].as_array().map(Vec::len);
        gaps["items"] == json!([]) && kinds == Some(2)
    });

    counted(server, &ROPE);
    verified(server);
}

pub(crate) fn many_pushes_are_read_page_by_page(engine: Engine) {
    let import = Import::start(&engine);
    let output = import.read("78", &["--since", "2026-03-01"]);
    assert!(output.contains("pushes: 250"), "{output}");
    assert!(output.contains("issues: not available"), "{output}");

    counted(&import.server, &[("pushes", 250.0)]);
    assert_eq!(import.count_asked("78/events", ""), 3, "each page is read once");
}

pub(crate) fn a_state_without_a_time_is_counted_but_not_measured(engine: Engine) {
    let import = Import::start(&engine);
    import.read("79", &[]);

    let metric = |name: &str| {
        let window = "from=2026-09-01&to=2026-12-31&project=gear%2Fold";
        let path = format!("/api/v1/insights/metrics/{name}?{window}");
        // The project is unknown until its first event is counted.
        import.server.call("GET", &path, "").json()
    };
    eventually("merge requests without times are counted", || {
        metric("mr_closed_unmerged")["value"] == 1.0
    });

    for (name, number) in [
        ("mr_merged", 2.0),
        ("mr_closed_unmerged", 1.0),
        ("mr_open", 0.0),
        ("merges_unseen", 1.0),
        ("time_to_merge", 7_200.0),
    ] {
        assert_eq!(metric(name)["value"], number, "{name}");
    }

    let merge_rate = metric("merge_rate")["value"].as_f64().expect("a share");
    assert!((merge_rate - 2.0 / 3.0).abs() < 1e-9, "{merge_rate}");
    assert_eq!(metric("time_to_merge")["samples"], 1);
}
