//! Gaps: missing events are found, resent by GitLab, or fetched from its API.

use std::collections::HashMap;
use std::io::Write;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::http::{Sink, eventually, read_request};
use crate::server::{Engine, SECRET, Server, TOKEN};

/// Runs `quickdraw gaps` and returns its output.
fn gaps(server: &Server, more: &[&str]) -> String {
    let (said, errors) = try_gaps(server, more);
    assert_eq!(errors, None, "{said}");
    said
}

/// Runs `quickdraw gaps`. Returns standard output, and standard error if the command failed.
fn try_gaps(server: &Server, more: &[&str]) -> (String, Option<String>) {
    let url = format!("http://127.0.0.1:{}", server.port);
    let done = server
        .command(&[&["gaps", "--url", &url, "--token", TOKEN], more].concat())
        .output()
        .expect("it runs");
    let errors = (!done.status.success()).then(|| String::from_utf8_lossy(&done.stderr).into_owned());
    (String::from_utf8(done.stdout).expect("UTF-8"), errors)
}

fn list(server: &Server, project: &str) -> Vec<Value> {
    server.get(&format!("/api/v1/insights/gaps?project={project}"))["items"]
        .as_array()
        .expect("a list")
        .clone()
}

fn sha(letter: char) -> String {
    letter.to_string().repeat(40)
}

/// A second Quickdraw plays GitLab, because it has the same API. Its deliveries failed.
pub(crate) fn failed_requests_are_resent_by_gitlab(engine: Engine) {
    let settings = [
        ("QUICKDRAW__DELIVERY__RETRY", "gitlab"),
        ("QUICKDRAW__DELIVERY__AUTO_DISABLE", "off"),
    ];
    let forge = Server::start(&engine, &settings);
    let mut server = Server::start(&engine, &[]);

    forge.make_project();

    let url = format!("http://127.0.0.1:{}/api/v1/webhooks/gitlab", server.port);
    let hook = forge.make_hook(&url, &format!(r#","token":"{SECRET}""#))["id"].clone();

    let push = |from: char, to: char| {
        let object = json!({ "ref": "refs/heads/main", "before": sha(from), "after": sha(to), "commits": [] });
        let body = json!({ "trigger": "push_hooks", "user": { "name": "Ida" }, "object": object }).to_string();
        let reply = forge.call("POST", "/api/v1/projects/gear%2Frope/events", &body);
        assert_eq!(reply.status, 202, "{}", reply.body);

        let event = reply.json()["id"].as_str().expect("an id").to_owned();
        eventually("the delivery has ended", || {
            let state = forge.get(&format!("/api/v1/deliveries?event_id={event}"))["items"][0]["state"].clone();
            ["delivered", "given_up"].iter().any(|settled| state == *settled)
        });
    };

    assert!(gaps(&server, &[]).contains("the server has no events yet"));
    push('a', 'b');
    server.kill();
    push('b', 'c');
    server.restart();
    push('c', 'd');
    eventually("the gap is found", || list(&server, "1").len() == 1);

    let gap = list(&server, "gear%2Frope").remove(0);
    assert_eq!((&gap["before"], &gap["after"]), (&json!(sha('b')), &json!(sha('c'))));

    let said = gaps(&server, &["--project", "gear/rope"]);
    assert!(said.contains("2 known, 1 missing (66.6 %)"), "{said}");

    assert!(
        said.contains(&format!(
            "missing: push of refs/heads/main from {} to {}",
            sha('b'),
            sha('c')
        )),
        "{said}"
    );

    let gitlab = format!("http://127.0.0.1:{}", forge.port);
    let compare = ["--gitlab", &gitlab, "--gitlab-token", TOKEN];
    let said = gaps(&server, &compare);
    assert!(
        said.contains(&format!("failed (internal error): push_hooks of hook {hook}")),
        "{said}"
    );

    assert_eq!(list(&server, "1").len(), 1, "a comparison changes nothing");

    let said = gaps(&server, &[&compare[..], &["--repair"]].concat());
    assert!(
        said.contains(&format!(
            "resent: push_hooks of hook {hook} of projects/1: answered 200"
        )),
        "{said}"
    );

    assert!(said.contains("1 resent, 0 fetched"), "{said}");
    assert_eq!(list(&server, "1"), [] as [Value; 0]);

    let said = gaps(&server, &[&compare[..], &["--repair"]].concat());
    assert!(
        said.contains("0 resent, 0 fetched and reported, 0 not found"),
        "nothing is resent twice: {said}"
    );
}

/// A GitLab whose answers come from a function. The first call gets 429. The function returns `Some(null)` for 401 and
/// `None` for 404.
pub(crate) struct Table {
    pub(crate) port: u16,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Table {
    pub(crate) fn start(answers: impl Fn(&str) -> Option<Value> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = asked.clone();

        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                while let Some(got) = read_request(&mut stream) {
                    let line = &got.headers["line"];
                    let path = line.split(' ').nth(1).expect("a path").to_owned();
                    let asked = match line.strip_prefix("POST ") {
                        Some(_) => format!("POST {}", path.trim_start_matches("/api/v4/")),
                        None => path.trim_start_matches("/api/v4/").to_owned(),
                    };

                    assert!(
                        got.headers
                            .iter()
                            .any(|(name, value)| name.eq_ignore_ascii_case("private-token") && value == "gitlab-token")
                    );

                    let mut kept = kept.lock().expect("no panic");
                    let (status, body) = match answers(&asked) {
                        _ if kept.is_empty() => ("429 Too Many Requests\r\nRetry-After: 1", json!({})),
                        Some(Value::Null) => ("401 Unauthorized", json!({ "message": "401 Unauthorized" })),
                        Some(body) => ("200 OK\r\nX-Next-Page: ", body),
                        None => ("404 Not Found", json!({ "message": "404 Not found" })),
                    };

                    kept.push(asked);

                    let body = body.to_string();
                    let length = body.len();
                    if write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").is_err() {
                        break;
                    }
                }
            }
        });

        Self { port, asked }
    }
}

/// Answers of GitLab's API for project 77.
fn answer(path: &str) -> Option<Value> {
    let ida = json!({ "id": 9, "name": "Ida", "username": "ida", "state": "active" });
    let commit = |sha: String, minute: u32| {
        json!({ "id": sha, "title": "Tie in", "message": "Tie in\n", "author_name": "Ida", "author_email": "ida@climb.example",
            "committed_date": format!("2026-11-20T10:{minute:02}:00.000+01:00"), "web_url": "https://git.example.com/c" })
    };

    let path = path.strip_prefix("projects/")?;
    let place = path.split('?').next().expect("a path");

    Some(match place {
        "77" => json!({ "id": 77, "name": "Rope", "path_with_namespace": "gear/rope", "default_branch": "main",
            "namespace": { "name": "Gear" }, "visibility": "internal", "description": null,
            "web_url": "https://git.example.com/gear/rope" }),
        "77/repository/compare" => {
            assert!(path.ends_with(&format!("?from={}&to={}", sha('a'), sha('b'))), "{path}");
            // The API lists the newest commit first, and events list the oldest first.
            json!({ "commits": [commit(sha('b'), 2), commit(sha('9'), 1)] })
        }
        _ if place.ends_with("/diff") => json!([
            { "new_path": "knots/eight", "new_file": true, "deleted_file": false },
            { "new_path": "knots/granny", "new_file": false, "deleted_file": true },
            { "new_path": "README", "new_file": false, "deleted_file": false },
        ]),
        "77/merge_requests/12" => {
            json!({ "id": 511, "iid": 12, "title": "Old rope", "created_at": "2020-01-01T00:00:00.000Z" })
        }
        "77/merge_requests/13" => json!({ "id": 512, "iid": 13, "title": "Longer rope", "state": "merged",
            "created_at": "2100-11-19T09:00:00.000Z", "updated_at": "2026-11-21T09:00:00.000Z",
            "merged_at": "2026-11-20T09:00:00.123Z", "merge_user": ida, "author": { "id": 4, "name": "Jo", "username": "jo" },
            "source_branch": "longer", "target_branch": "main", "source_project_id": 77, "target_project_id": 77,
            "labels": ["gear"], "assignees": [ida], "reviewers": [], "sha": sha('7'), "merge_commit_sha": sha('8'),
            "draft": false, "web_url": "https://git.example.com/gear/rope/-/merge_requests/12",
            "time_stats": { "time_estimate": 60 }, "references": { "short": "!12" } }),

        "77/issues/4" => json!({ "id": 604, "iid": 4, "title": "Worn", "state": "closed", "issue_type": "incident",
            "confidential": true, "created_at": "2100-11-19T09:00:00.000Z", "closed_at": "2026-11-20T07:00:00.000Z",
            "updated_at": "2026-11-21T09:00:00.000Z", "author": ida, "closed_by": ida, "labels": [], "assignees": [],
            "time_stats": {}, "web_url": "https://git.example.com/gear/rope/-/issues/4" }),
        "77/pipelines" if path.contains("parent_pipeline") => json!([]),
        "77/pipelines" => json!([{ "id": 902, "iid": 32 }, { "id": 901, "iid": 31 }, { "id": 900, "iid": 30 }]),
        "77/pipelines/901" => {
            json!({ "id": 901, "iid": 31, "ref": "main", "sha": sha('b'), "status": "failed", "user": ida,
            "source": "push", "created_at": "2100-11-20T09:05:00.000Z", "finished_at": "2026-11-20T09:09:00.000Z",
            "duration": 200, "detailed_status": { "text": "Failed" } })
        }
        "77/pipelines/901/jobs" => json!([{ "id": 2, "stage": "test", "name": "pull", "status": "failed", "user": ida,
            "failure_reason": "script_failure", "runner": { "id": 1, "description": "bench" } },
            { "id": 1, "stage": "build", "name": "braid", "status": "success", "user": ida, "runner": null }]),
        _ if place.starts_with("77/repository/commits/") => commit(sha('b'), 2),
        _ => return None,
    })
}

/// Sends an event of a project in the group `gear` to the source.
fn receive(server: &Server, project: i64, event: &str, key: &str, mut body: Value) {
    let path = if project == 77 {
        "gear/rope".to_owned()
    } else {
        format!("gear/{project}")
    };
    body["project"] = json!({ "id": project, "path_with_namespace": path, "default_branch": "main" });
    server.receive(event, key, &body);
}

fn push(from: char, to: char) -> Value {
    json!({ "object_kind": "push", "ref": "refs/heads/main", "before": sha(from), "after": sha(to) })
}

fn numbered(kind: &str, iid: i64) -> Value {
    json!({ "object_kind": kind, "object_attributes": { "iid": iid } })
}

pub(crate) fn missing_events_are_fetched_from_gitlab(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let table = Table::start(answer);
    let receive = |event: &str, key: &str, body: Value| receive(&server, 77, event, key, body);
    receive("Push Hook", "1", push('0', 'a'));
    receive("Push Hook", "2", push('b', 'c'));

    for iid in [10, 11, 14] {
        receive(
            "Merge Request Hook",
            &format!("mr{iid}"),
            numbered("merge_request", iid),
        );
    }

    for iid in [3, 6] {
        receive("Issue Hook", &format!("issue{iid}"), numbered("issue", iid));
    }

    for iid in [30, 32] {
        receive("Pipeline Hook", &format!("pipeline{iid}"), numbered("pipeline", iid));
    }

    eventually("all events are counted", || {
        let list = server.get("/api/v1/insights/completeness?project=77");
        let known: Option<Vec<i64>> = list["items"]
            .as_array()
            .map(|items| items.iter().filter_map(|item| item["known"].as_i64()).collect());
        known.is_some_and(|known| known == [2, 3, 2, 2])
    });

    let pages: Vec<usize> = (1..=5)
        .map(|limit| {
            let (mut count, mut after) = (0, String::new());
            loop {
                let page = server.get(&format!("/api/v1/insights/gaps?project=77&limit={limit}{after}"));
                count += page["items"].as_array().expect("a list").len();

                match page["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => return count,
                }
            }
        })
        .collect();

    assert_eq!(pages, [4; 5], "all page sizes list the same gaps");

    let only = server.get("/api/v1/insights/gaps?project=77&kind=issue");
    assert_eq!(
        only["items"],
        json!([{ "kind": "issue", "first_iid": 4, "last_iid": 5 }])
    );

    for query in [
        "",
        "?project=77&kind=x",
        "?project=77&after=push:x",
        "?project=77&limit=0",
    ] {
        let reply = server.call("GET", &format!("/api/v1/insights/gaps{query}"), "");
        assert_eq!(reply.status, 400, "{query}: {}", reply.body);
    }

    // A hook gets the events that fill the gaps.
    let sink = Sink::start(|_| Some(200));
    let events = ["push", "merge_requests", "issues", "confidential_issues", "pipeline"];
    let mut hook: HashMap<String, Value> = events
        .iter()
        .map(|event| (format!("{event}_events"), true.into()))
        .collect();

    hook.insert("url".to_owned(), sink.url().into());

    let made = server.call("POST", "/api/v4/projects/gear%2Frope/hooks", &json!(hook).to_string());
    assert_eq!(made.status, 201, "{}", made.body);

    let gitlab = format!("http://127.0.0.1:{}", table.port);
    let compare = ["--gitlab", &gitlab, "--gitlab-token", "gitlab-token"];
    let said = gaps(&server, &compare);

    for part in [
        "GitLab limits the rate of requests; next attempt in 1 s",
        "the token can see no webhook that posts to Quickdraw",
        "push of refs/heads/main from aaaa",
        "in GitLab: 2 commits",
        "merge_request 13: in GitLab: Longer rope (merged)",
        "merge_request: older than the first event, so not missing: 1",
        "issue 5: not found in GitLab",
        "issue 4: in GitLab: Worn (closed)",
        "pipeline 31: in GitLab: failed on main",
        "0 resent, 4 found in GitLab (--repair fetches them), 1 not found, 1 too old, 0 skipped by --limit",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }

    assert!(table.asked.lock().expect("no panic").len() > 10);

    let said = gaps(&server, &[&compare[..], &["--repair"]].concat());
    assert!(
        said.contains("4 fetched and reported, 1 not found, 1 too old"),
        "{said}"
    );

    eventually("the gaps that can be filled are filled", || {
        list(&server, "77").len() == 2
    });
    assert_eq!(
        list(&server, "77")[1],
        json!({ "kind": "issue", "first_iid": 5, "last_iid": 5 })
    );

    eventually("the fetched events are delivered", || sink.got().len() == 4);

    let bodies: HashMap<String, Value> = sink
        .got()
        .iter()
        .map(|got| {
            (
                got.headers["X-Gitlab-Event"].clone(),
                serde_json::from_slice(&got.body).expect("JSON"),
            )
        })
        .collect();

    let push = &bodies["Push Hook"];
    assert_eq!(
        (&push["project"]["id"], &push["total_commits_count"]),
        (&json!(77), &json!(2))
    );

    assert_eq!(push["project"]["web_url"], "https://git.example.com/gear/rope");
    assert_eq!(push["commits"][1]["id"], sha('b'), "the newest commit comes last");
    assert_eq!(push["commits"][0]["added"], json!(["knots/eight"]));

    assert_eq!(
        (&push["commits"][0]["modified"], &push["commits"][0]["removed"]),
        (&json!(["README"]), &json!(["knots/granny"]))
    );

    let merged = &bodies["Merge Request Hook"];
    assert_eq!(
        (&merged["user"]["username"], &merged["labels"][0]["title"]),
        (&json!("ida"), &json!("gear"))
    );

    let attributes = &merged["object_attributes"];
    assert_eq!(
        (&attributes["action"], &attributes["updated_at"]),
        (&json!("merge"), &json!("2026-11-20 09:00:00 UTC"))
    );

    assert_eq!(
        (&attributes["merge_commit_sha"], &attributes["references"]),
        (&json!(sha('8')), &Value::Null)
    );

    let closed = &bodies["Confidential Issue Hook"];
    assert_eq!(
        (&closed["object_kind"], &closed["object_attributes"]["type"]),
        (&json!("work_item"), &json!("Incident"))
    );

    assert_eq!(closed["object_attributes"]["updated_at"], "2026-11-20 07:00:00 UTC");

    let pipeline = &bodies["Pipeline Hook"];
    assert_eq!(
        (&pipeline["object_attributes"]["iid"], &pipeline["builds"][1]["name"]),
        (&json!(31), &json!("pull"))
    );

    assert_eq!(pipeline["object_attributes"]["stages"], json!(["build", "test"]));
    assert_eq!(pipeline["commit"]["title"], "Tie in");

    // Another GitLab with the same project number is not used.
    let elsewhere =
        Table::start(|path| (path == "projects/77").then(|| json!({ "id": 77, "path_with_namespace": "other/thing" })));
    let gitlab = format!("http://127.0.0.1:{}", elsewhere.port);
    let said = gaps(
        &server,
        &["--gitlab", &gitlab, "--gitlab-token", "gitlab-token", "--repair"],
    );
    assert!(
        said.contains("not compared: project 77 of this GitLab is other/thing"),
        "{said}"
    );
}

/// Covers `--limit`, the hook of a group, a push without commits in between, and a project that the token cannot read.
pub(crate) fn gaps_that_cannot_be_filled_are_explained(engine: Engine) {
    let server = Server::start(&engine, &[]);
    let table = Table::start(|path| {
        let events = json!([{ "id": 9, "trigger": "push_hooks", "response_status": "internal error",
            "request_headers": { "Idempotency-Key": "k" } }]);
        Some(match path.split('?').next().expect("a path") {
            "projects/76" => Value::Null,
            "projects/77" => json!({ "id": 77, "path_with_namespace": "gear/rope", "default_branch": "main" }),
            "projects/77/repository/compare" => json!({ "commits": [] }),
            "groups/gear/hooks" => json!([
                { "id": 5, "url": "https://quickdraw.example/api/v1/webhooks/gitlab", "alert_status": "disabled" },
                { "id": 6, "url": "https://elsewhere.example/" },
            ]),
            "groups/gear/hooks/5/events" if path.contains("successful") => json!([]),
            "groups/gear/hooks/5/events" => events,
            "POST groups/gear/hooks/5/events/9/resend" => json!({ "response_status": 200 }),
            _ => return None,
        })
    });

    for project in [76, 77] {
        receive(&server, project, "Push Hook", &format!("{project}-1"), push('0', 'a'));
        receive(&server, project, "Push Hook", &format!("{project}-2"), push('b', 'c'));

        for iid in [10, 14] {
            let body = numbered("merge_request", iid);
            receive(
                &server,
                project,
                "Merge Request Hook",
                &format!("{project}-mr{iid}"),
                body,
            );
        }
    }

    eventually("all gaps are found", || {
        ["76", "77"].iter().all(|project| list(&server, project).len() == 2)
    });

    let gitlab = format!("http://127.0.0.1:{}", table.port);
    let compare = ["--gitlab", &gitlab, "--gitlab-token", "gitlab-token"];
    let (said, errors) = try_gaps(&server, &[&compare[..], &["--limit", "2"]].concat());

    for part in [
        "FAILED: GitLab does not accept the token",
        "hook 5 is disabled in GitLab",
        "failed (internal error): push_hooks of hook 5 of groups/gear; --repair resends it",
        "GitLab lists no commits in between: events arrived out of order, or one was a test of the webhook",
        "merge_request 13: not found in GitLab, or the token cannot read it",
        "0 resent, 0 found in GitLab (--repair fetches them), 2 not found, 0 too old, 2 skipped by --limit",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }

    let failed = errors.is_some_and(|errors| errors.contains("1 of 2 projects were not compared completely"));
    assert!(failed, "{said}");

    assert!(
        !table
            .asked
            .lock()
            .expect("no panic")
            .iter()
            .any(|asked| asked.starts_with("POST")),
        "a comparison changes nothing"
    );

    let (said, _) = try_gaps(&server, &[&compare[..], &["--repair", "--project", "77"]].concat());
    assert!(
        said.contains("resent: push_hooks of hook 5 of groups/gear: answered 200"),
        "{said}"
    );

    assert!(
        said.contains("1 resent, 0 fetched and reported, 4 not found, 0 too old, 0 skipped"),
        "{said}"
    );

    assert_eq!(list(&server, "77").len(), 2, "no push was invented");
}
