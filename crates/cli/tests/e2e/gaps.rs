//! Gaps: missing events are found, resent by GitLab, or fetched from its API.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::forge::Forge;
use crate::http::{Sink, check_parts, eventually};
use crate::namespaces::column;
use crate::server::{Engine, SECRET, Server, TOKEN};

/// Runs `quickdraw gaps`, which finds gaps or none, and returns its output.
fn gaps(server: &Server, more: &[&str]) -> String {
    let (output, errors) = try_gaps(server, more);
    let is_result = errors
        .as_deref()
        .is_none_or(|errors| errors.contains("missing events: ") || errors.contains("gaps that need attention: "));

    assert!(is_result, "{output}{errors:?}");
    output
}

/// Runs `quickdraw gaps`. Returns standard output, and standard error if the command failed.
fn try_gaps(server: &Server, more: &[&str]) -> (String, Option<String>) {
    let url = format!("http://127.0.0.1:{}", server.port);
    let done = server
        .command(&[&["gaps", "--server", &url], more].concat())
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

/// A server that missed a push, because it was down. A second Quickdraw plays GitLab, because it has the same API.
pub(crate) struct Missed {
    pub(crate) server: Server,
    forge: Server,

    /// The id of the webhook of the forge.
    hook: Value,
}

impl Missed {
    pub(crate) fn start(engine: &Engine) -> Self {
        let settings = [
            ("QUICKDRAW__DELIVERY__RETRY", "gitlab"),
            ("QUICKDRAW__DELIVERY__AUTO_DISABLE", "off"),
        ];
        let forge = Server::start(engine, &settings);
        let server = Server::start(engine, &[]);

        forge.make_project();

        let url = format!("http://127.0.0.1:{}/api/v1/webhooks/gitlab", server.port);
        let hook = forge.make_hook(&url, &format!(r#","token":"{SECRET}""#));
        let hook = hook["id"].clone();

        let mut missed = Self { server, forge, hook };
        let output = gaps(&missed.server, &[]);
        assert!(output.contains("the server has no events yet"), "{output}");

        missed.push('a', 'b');
        missed.server.kill();
        missed.push('b', 'c');
        missed.server.restart();
        missed.push('c', 'd');
        eventually("the gap is found", || list(&missed.server, "1").len() == 1);

        missed
    }

    /// Reports a push to the forge, and waits until its delivery has ended.
    fn push(&self, from: char, to: char) {
        let object = json!({ "ref": "refs/heads/main", "before": sha(from), "after": sha(to), "commits": [] });
        let report = json!({ "trigger": "push_hooks", "user": { "name": "Ida" }, "object": object });
        let event = self.forge.report_event(&report)["id"].clone();
        let path = format!("/api/v1/deliveries?event={}", event.as_str().expect("an id"));

        eventually("the delivery has ended", || {
            let state = self.forge.get(&path)["items"][0]["state"].clone();
            state == "delivered" || state == "given_up"
        });
    }

    /// The options that compare the events with those of the forge.
    pub(crate) fn options(&self) -> [String; 4] {
        let url = format!("http://127.0.0.1:{}", self.forge.port);
        let file = self.server.folder.path().join("forge-token");
        std::fs::write(&file, TOKEN).expect("a file");

        ["--gitlab", &url, "--gitlab-token-file", "forge-token"].map(str::to_owned)
    }

    /// Compares the events with those of the forge.
    fn compare(&self, more: &[&str]) -> String {
        let options = self.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        gaps(&self.server, &[&options, more].concat())
    }
}

fn check_gap(missed: &Missed) {
    let gap = list(&missed.server, "gear%2Frope").remove(0);
    check_parts(&gap, json!({ "before": sha('b'), "after": sha('c') }));

    let output = gaps(&missed.server, &["--project", "gear/rope"]);
    assert!(output.contains("2 known, 1 missing (66.6 %)"), "{output}");

    let push = format!("missing: push of refs/heads/main from {} to {}", sha('b'), sha('c'));
    assert!(output.contains(&push), "{output}");
}

pub(crate) fn failed_requests_are_resent_by_gitlab(engine: Engine) {
    let missed = Missed::start(&engine);
    let hook = &missed.hook;
    check_gap(&missed);

    let output = missed.compare(&[]);
    let failed = format!("failed (internal error): push_hooks of hook {hook}");
    assert!(output.contains(&failed), "{output}");
    assert_eq!(list(&missed.server, "1").len(), 1, "a comparison changes nothing");

    let output = missed.compare(&["--repair"]);
    let resent = format!("resent: push_hooks of hook {hook} of projects/1: answered 200");
    assert!(output.contains(&resent), "{output}");
    assert!(output.contains("1 resent, 0 fetched"), "{output}");
    assert_eq!(list(&missed.server, "1"), [] as [Value; 0]);

    // Nothing is resent twice.
    let output = missed.compare(&["--repair"]);
    let none = "0 resent, 0 fetched and reported, 0 not found";
    assert!(output.contains(none), "{output}");
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

/// A server that missed events of project 77, and a GitLab that has most of them.
struct Missing {
    server: Server,
    forge: Forge,
}

impl Missing {
    fn start(engine: &Engine) -> Self {
        Self::receiving(engine, Forge::start(answer))
    }

    fn receiving(engine: &Engine, forge: Forge) -> Self {
        let server = Server::start(engine, &[]);
        receive(&server, 77, "Push Hook", "1", push('0', 'a'));
        receive(&server, 77, "Push Hook", "2", push('b', 'c'));

        for (event, kind, iids) in [
            ("Merge Request Hook", "merge_request", &[10, 11, 14][..]),
            ("Issue Hook", "issue", &[3, 6]),
            ("Pipeline Hook", "pipeline", &[30, 32]),
        ] {
            for iid in iids {
                receive(&server, 77, event, &format!("{kind}{iid}"), numbered(kind, *iid));
            }
        }

        eventually("all events are counted", || {
            let list = server.get("/api/v1/insights/completeness?project=gear%2Frope");
            list["items"].is_array() && column(&list["items"], "known") == [2, 3, 2, 2].map(Value::from)
        });

        Self { server, forge }
    }

    /// Compares the events with those of the GitLab.
    fn compare(&self, more: &[&str]) -> String {
        let options = self.forge.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        gaps(&self.server, &[&options, more].concat())
    }

    /// The number of gaps that the pages of this size list.
    fn count_in_pages(&self, limit: usize) -> usize {
        let (mut count, mut after) = (0, String::new());
        loop {
            let path = format!("/api/v1/insights/gaps?project=gear%2Frope&limit={limit}{after}");
            let page = self.server.get(&path);
            count += page["items"].as_array().expect("a list").len();

            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return count,
            }
        }
    }

    /// Creates a webhook, fills the gaps, and returns the delivered bodies by the name of their event.
    fn repair(&self) -> HashMap<String, Value> {
        let sink = Sink::start(|_| Some(200));
        let mut hook = json!({ "url": sink.url() });
        for event in ["push", "merge_requests", "issues", "confidential_issues", "pipeline"] {
            hook[format!("{event}_events")] = json!(true);
        }

        self.server.create("/api/v4/projects/gear%2Frope/hooks", &hook);

        let output = self.compare(&["--repair"]);
        let counts = "4 fetched and reported, 1 not found, 1 too old";
        assert!(output.contains(counts), "{output}");
        eventually("the fetched events are delivered", || sink.got().len() == 4);

        let mut bodies = HashMap::new();
        for got in sink.got() {
            let event = got.headers["X-Gitlab-Event"].clone();
            bodies.insert(event, serde_json::from_slice(&got.body).expect("JSON"));
        }

        bodies
    }
}

pub(crate) fn gaps_are_listed_in_pages_and_by_kind(engine: Engine) {
    let missing = Missing::start(&engine);
    for limit in 1..=5 {
        assert_eq!(missing.count_in_pages(limit), 4, "pages of {limit}");
    }

    let only = missing
        .server
        .get("/api/v1/insights/gaps?project=gear%2Frope&kind=issue");
    let expected = json!([{ "kind": "issue", "first_iid": 4, "last_iid": 5 }]);
    assert_eq!(only["items"], expected);

    for query in [
        "",
        "?project=gear%2Frope&kind=x",
        "?project=gear%2Frope&after=push:x",
        "?project=gear%2Frope&limit=0",
    ] {
        let path = format!("/api/v1/insights/gaps{query}");
        missing.server.call("GET", &path, "").check(400);
    }
}

pub(crate) fn missing_events_are_found_in_gitlab(engine: Engine) {
    let missing = Missing::receiving(&engine, Forge::start_limited(answer));
    let output = missing.compare(&[]);

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
        assert!(output.contains(part), "{part}: {output}");
    }

    assert!(missing.forge.asked().len() > 10);
}

pub(crate) fn missing_events_are_fetched_from_gitlab(engine: Engine) {
    let missing = Missing::start(&engine);
    let bodies = missing.repair();
    check_push(&bodies["Push Hook"]);
    check_merge_request(&bodies["Merge Request Hook"]);
    check_issue(&bodies["Confidential Issue Hook"]);
    check_pipeline(&bodies["Pipeline Hook"]);

    eventually("the gaps that can be filled are filled", || {
        list(&missing.server, "gear%2Frope").len() == 2
    });

    let left = list(&missing.server, "gear%2Frope").remove(1);
    assert_eq!(left, json!({ "kind": "issue", "first_iid": 5, "last_iid": 5 }));
}

fn check_push(push: &Value) {
    check_parts(
        push,
        json!({ "/project/id": 77, "/project/web_url": "https://git.example.com/gear/rope", "total_commits_count": 2 }),
    );

    // The newest commit comes last.
    assert_eq!(push["commits"][1]["id"], sha('b'));
    check_parts(
        &push["commits"][0],
        json!({ "added": ["knots/eight"], "modified": ["README"], "removed": ["knots/granny"] }),
    );
}

fn check_merge_request(merged: &Value) {
    check_parts(merged, json!({ "/user/username": "ida", "/labels/0/title": "gear" }));
    check_parts(
        &merged["object_attributes"],
        json!({ "action": "merge", "updated_at": "2026-11-20 09:00:00 UTC", "merge_commit_sha": sha('8'),
            "references": null }),
    );
}

fn check_issue(closed: &Value) {
    assert_eq!(closed["object_kind"], "work_item");
    check_parts(
        &closed["object_attributes"],
        json!({ "type": "Incident", "updated_at": "2026-11-20 07:00:00 UTC" }),
    );
}

fn check_pipeline(pipeline: &Value) {
    check_parts(
        pipeline,
        json!({ "/object_attributes/iid": 31, "/object_attributes/stages": ["build", "test"],
            "/builds/1/name": "pull", "/commit/title": "Tie in" }),
    );
}

/// Another GitLab has a different project with the same number.
pub(crate) fn a_project_of_another_gitlab_is_not_compared(engine: Engine) {
    let elsewhere =
        Forge::start(|path| (path == "projects/77").then(|| json!({ "id": 77, "path_with_namespace": "other/thing" })));
    let missing = Missing::receiving(&engine, elsewhere);

    let output = missing.compare(&["--repair"]);
    let reason = "not compared: project 77 of this GitLab is other/thing";
    assert!(output.contains(reason), "{output}");
}

/// Answers for a GitLab with a disabled webhook of a group, a push without commits in between, and project 76, which
/// the token cannot read.
fn poor_answer(path: &str) -> Option<Value> {
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
}

/// A server that missed events of projects 76 and 77, and a GitLab that has none of them.
struct Lost {
    server: Server,
    forge: Forge,
}

impl Lost {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(engine, &[]);
        for project in [76, 77] {
            receive(&server, project, "Push Hook", &format!("{project}-1"), push('0', 'a'));
            receive(&server, project, "Push Hook", &format!("{project}-2"), push('b', 'c'));

            for iid in [10, 14] {
                let key = format!("{project}-mr{iid}");
                let body = numbered("merge_request", iid);
                receive(&server, project, "Merge Request Hook", &key, body);
            }
        }

        eventually("all gaps are found", || {
            ["gear%2F76", "gear%2Frope"]
                .iter()
                .all(|project| list(&server, project).len() == 2)
        });

        let forge = Forge::start(poor_answer);
        Self { server, forge }
    }

    fn compare(&self, more: &[&str]) -> (String, Option<String>) {
        let options = self.forge.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        try_gaps(&self.server, &[&options, more].concat())
    }
}

pub(crate) fn gaps_that_cannot_be_filled_are_explained(engine: Engine) {
    let lost = Lost::start(&engine);
    let (output, errors) = lost.compare(&["--limit", "2"]);

    for part in [
        "FAILED: GitLab does not accept the token",
        "hook 5 is disabled in GitLab",
        "failed (internal error): push_hooks of hook 5 of groups/gear; --repair resends it",
        "GitLab lists no commits in between: events arrived out of order, or one was a test of the webhook",
        "merge_request 13: not found in GitLab, or the token cannot read it",
        "0 resent, 0 found in GitLab (--repair fetches them), 2 not found, 0 too old, 2 skipped by --limit",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }

    let errors = errors.expect("it failed");
    assert!(
        errors.contains("1 of 2 projects were not compared completely"),
        "{errors}"
    );

    // A comparison changes nothing.
    assert!(!lost.forge.asked().iter().any(|asked| asked.starts_with("POST")));
    check_repair(&lost);
}

/// A repair resends the failed request, and invents no push.
fn check_repair(lost: &Lost) {
    let (output, _) = lost.compare(&["--repair", "--project", "77"]);
    for part in [
        "resent: push_hooks of hook 5 of groups/gear: answered 200",
        "1 resent, 0 fetched and reported, 4 not found, 0 too old, 0 skipped",
    ] {
        assert!(output.contains(part), "{part}: {output}");
    }

    assert_eq!(list(&lost.server, "gear%2Frope").len(), 2);
}
