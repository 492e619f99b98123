//! Tests of filters by traits and of the options of a question.

use super::*;

#[test]
fn jobs_and_pipelines_are_filtered_by_their_traits() {
    let job = |id: i64, name: &str, status: &str, seconds: i64| {
        json!({ "id": id, "name": name, "stage": "test", "status": status, "created_at": "2026-03-02 08:00:00 UTC",
            "started_at": "2026-03-02 08:00:01 UTC", "finished_at": "2026-03-02 08:10:00 UTC", "duration": seconds })
    };

    let pipeline = |id: i64, status: &str, source: &str, builds: &[Value]| {
        let attributes =
            json!({ "id": id, "status": status, "source": source, "created_at": "2026-03-02 08:00:00 UTC" });
        (
            "pipeline_hooks",
            json!({ "project": { "id": 7 }, "object_attributes": attributes, "builds": builds }),
        )
    };

    let all = [
        pipeline(
            1,
            "failed",
            "push",
            &[job(1, "unit", "failed", 100), job(2, "lint", "success", 7)],
        ),
        // The job is retried and passes.
        pipeline(
            1,
            "success",
            "push",
            &[job(3, "unit", "success", 300), job(2, "lint", "success", 7)],
        ),
        pipeline(2, "failed", "schedule", &[job(4, "unit", "failed", 200)]),
    ];
    let of = |name: &str, only: &[(Trait, &str)]| measured_of(name, &all, only, People::default());
    assert_eq!(of("job_runs", &[(Trait::Job, "unit")]).value, Some(3.0));
    assert_eq!(of("jobs_failed", &[(Trait::Job, "unit")]).value, Some(2.0));
    assert_eq!(of("job_duration", &[(Trait::Job, "unit")]).percentiles[0], Some(200.0));

    assert_eq!(
        of("job_runs", &[(Trait::Job, "unit"), (Trait::Status, "failed")]).value,
        Some(2.0),
        "each run has its own status"
    );

    assert_eq!(of("pipelines", &[(Trait::Status, "success")]).value, Some(1.0));
    assert_eq!(of("pipelines", &[(Trait::Source, "schedule")]).value, Some(1.0));

    assert_eq!(
        of("pipelines", &[(Trait::Environment, "production")]).value,
        Some(0.0),
        "pipelines have no environment"
    );
}

#[test]
fn closed_issues_reduce_the_net_flow() {
    let closed = |iid: i64| {
        let mut one = issue(iid, "2026-03-03 09:00:00 UTC", &[]);
        one.1["object_attributes"]["action"] = json!("close");
        one.1["object_attributes"]["state"] = json!("closed");

        one
    };

    let all = [
        issue(1, "2026-03-02 09:00:00 UTC", &[]),
        issue(2, "2026-03-02 09:00:00 UTC", &[]),
        closed(2),
        issue(3, "2026-03-02 09:00:00 UTC", &[]),
    ];

    assert_eq!(
        measured("issues_net_flow", &all, None).value,
        Some(2.0),
        "three opened, one closed"
    );
}

/// A deployment is reported by its job and by its own event, and counts once. A job alone is enough.
#[test]
fn jobs_report_deployments_without_events() {
    let job = |id: i64, status: &str, action: &str, tier: &str| {
        json!({ "id": id, "name": "deploy", "stage": "deploy", "status": status, "created_at": "2026-03-02 08:00:00 UTC",
            "started_at": "2026-03-02 08:00:01 UTC", "finished_at": "2026-03-02 08:10:00 UTC",
            "environment": { "name": "eu", "action": action, "deployment_tier": tier } })
    };

    let pipeline = |builds: &[Value]| {
        let attributes =
            json!({ "id": 1, "status": "success", "created_at": "2026-03-02 08:00:00 UTC", "sha": "a".repeat(40) });
        (
            "pipeline_hooks",
            json!({ "project": { "id": 7 }, "object_attributes": attributes, "builds": builds }),
        )
    };

    let jobs = pipeline(&[
        job(1, "success", "start", "production"),
        job(2, "failed", "start", "production"),
        job(3, "success", "start", "staging"),
        job(4, "success", "stop", "production"),
    ]);

    let event = |id: i64, job: i64, status: &str, at: &str| {
        let body = json!({ "deployment_id": id, "deployable_id": job, "status": status, "status_changed_at": at,
            "environment": "eu", "environment_tier": "production", "project": { "id": 7 } });
        ("deployment_hooks", body)
    };

    let counted =
        |all: &[(&str, Value)]| ["deployments", "failed_deployments"].map(|name| measured(name, all, None).value);
    assert_eq!(
        counted(std::slice::from_ref(&jobs)),
        [Some(1.0), Some(1.0)],
        "jobs that deploy to production"
    );

    let own = event(15, 1, "success", "2026-03-02 08:10:01 UTC");
    assert_eq!(
        counted(&[jobs.clone(), own.clone()]),
        [Some(1.0), Some(1.0)],
        "the event reports it again"
    );

    assert_eq!(counted(&[own, jobs.clone()]), [Some(1.0), Some(1.0)], "in any order");
    assert_eq!(
        counted(&[jobs, event(16, 9, "success", "2026-03-02 09:00:00 UTC")]),
        [Some(2.0), Some(1.0)]
    );

    let build = json!({ "build_id": 1, "build_name": "deploy", "build_stage": "deploy", "build_status": "success", "pipeline_id": 1,
        "build_started_at": "2026-03-02 08:00:01 UTC", "build_finished_at": "2026-03-02 08:10:00 UTC", "sha": "a".repeat(40),
        "environment": { "name": "production", "action": "start" }, "project": { "id": 7 } });
    assert_eq!(
        counted(&[("job_hooks", build)]),
        [Some(1.0), Some(0.0)],
        "without a tier, the name of the environment decides"
    );
}

/// Tags and releases count as deployments only on request, but then for every metric of deployments.
#[test]
fn tags_and_releases_can_be_deployments() {
    let (a, b) = ("a".repeat(40), "b".repeat(40));
    let tag = |name: &str, after: &str, commit: &str| {
        (
            "tag_push_hooks",
            json!({ "ref": format!("refs/tags/{name}"), "before": "0".repeat(40), "after": after,
            "checkout_sha": commit, "project": { "id": 7 }, "user_id": 1 }),
        )
    };

    let release = |tag: &str, at: &str, action: &str| {
        (
            "release_hooks",
            json!({ "tag": tag, "released_at": at, "action": action, "commit": { "id": a }, "project": { "id": 7 } }),
        )
    };

    let all = [
        tag("v1", &b, &a),
        tag("v1", &b, &a),
        tag("v2", &a, &a),
        tag("v1", &"0".repeat(40), &a),
        release("v1", "2026-03-04 08:00:00 UTC", "create"),
        release("v1", "2026-03-04 08:00:00 UTC", "update"),
        release("v0", "2026-03-04 08:00:00 UTC", "delete"),
        (
            "deployment_hooks",
            json!({ "deployment_id": 1, "status": "success", "environment": "production",
            "status_changed_at": "2026-03-02 08:00:00 UTC", "project": { "id": 7 } }),
        ),
    ];

    let of = |deployed_by: Option<By>| {
        let (items, others): (Vec<Item>, Vec<Item>) = items_of(&all)
            .into_iter()
            .partition(|item| item.family() == Family::Deployments);
        let items = Items::new(
            items,
            others,
            People::default(),
            Choice {
                deployed_by,
                ..Choice::default()
            },
        );

        let from = Timestamp::from_seconds(1_772_319_600);
        let metric = Metric::by_name("deployments").expect("a metric");
        let mut names = Vec::new();

        items.each(
            metric,
            from,
            from.plus(Duration::from_secs(10 * 86_400)),
            |item, sample| {
                if !matches!(sample, Sample::Out(_)) {
                    names.push(item.name());
                }
            },
        );

        names.sort();
        names
    };
    assert_eq!(of(None), ["deployment 1 (production)"]);

    assert_eq!(
        of(Some(By::Tag)),
        ["tag v1", "tag v2"],
        "a repeated tag counts once, and a deleted one counts"
    );

    assert_eq!(of(Some(By::Release)), ["release v1"]);
}

#[test]
fn an_issue_that_an_alert_opens_is_an_incident() {
    let opened = |iid: i64, who: &str| {
        let mut one = issue(iid, "2026-03-02 09:00:00 UTC", &[]);
        one.1["object_attributes"]["action"] = json!("open");
        one.1["user"] = json!({ "id": 90, "username": who });

        one
    };

    let all = [
        opened(1, "alert-bot"),
        issue(1, "2026-03-02 10:00:00 UTC", &[]),
        opened(2, "ida"),
    ];
    assert_eq!(measured("incidents", &all, None).value, Some(1.0));
    assert_eq!(measured("issues_opened", &all, None).value, Some(1.0));
}

#[test]
fn the_result_of_a_job_belongs_to_its_last_run() {
    let job = |id: i64, status: &str| {
        json!({ "id": id, "name": "unit", "stage": "test", "status": status, "created_at": "2026-03-02 08:00:00 UTC",
            "started_at": "2026-03-02 08:00:01 UTC" })
    };

    let pipeline = |builds: &[Value]| {
        let attributes = json!({ "id": 1, "status": "success", "created_at": "2026-03-02 08:00:00 UTC" });
        (
            "pipeline_hooks",
            json!({ "project": { "id": 7 }, "object_attributes": attributes, "builds": builds }),
        )
    };
    let all = [pipeline(&[job(1, "failed")]), pipeline(&[job(2, "success")])];
    let of = |name: &str, status: &str| measured_of(name, &all, &[(Trait::Status, status)], People::default()).value;
    assert_eq!(
        (of("flaky_jobs", "success"), of("flaky_jobs", "failed")),
        (Some(1.0), Some(0.0))
    );

    assert_eq!(
        (of("retried_jobs", "success"), of("runs_unseen", "success")),
        (Some(1.0), Some(0.0))
    );

    assert_eq!(
        (of("job_runs", "success"), of("job_runs", "failed")),
        (Some(1.0), Some(1.0)),
        "each run counts for its own account"
    );
}

#[test]
fn child_pipelines_count_on_request() {
    let pipeline = |id: i64, source: &str| {
        let attributes = json!({ "id": id, "status": "success", "source": source, "created_at": "2026-03-02 08:00:00 UTC", "duration": 60 });
        (
            "pipeline_hooks",
            json!({ "project": { "id": 7 }, "object_attributes": attributes }),
        )
    };
    let all = [pipeline(1, "push"), pipeline(2, "parent_pipeline")];

    let of = |name: &str, children: bool| {
        measured_with(
            name,
            &all,
            Choice {
                children,
                ..Choice::default()
            },
            People::default(),
        )
        .samples
    };

    for name in [
        "pipelines",
        "pipeline_success_rate",
        "first_attempt_success_rate",
        "pipeline_duration",
    ] {
        assert_eq!((of(name, false), of(name, true)), (1, 2), "{name}");
    }
}

#[test]
fn commits_belong_to_the_branches_that_they_were_pushed_to() {
    let at = "2026-03-02T12:00:00Z";
    let (a, b) = (commit("a", at, &[]), commit("b", at, &[]));

    let all = [
        push("main", ("0", "a"), 1, std::slice::from_ref(&a)),
        push("wip", ("a", "b"), 2, &[a, b]),
    ];
    let of = |branch: &str| measured_of("commits", &all, &[(Trait::Branch, branch)], People::default()).value;
    assert_eq!((of("main"), of("wip"), of("gone")), (Some(1.0), Some(2.0), Some(0.0)));

    let (items, others) = items_of(&all)
        .into_iter()
        .partition(|item| item.family() == Family::Commits);
    let items = Items::new(items, others, People::default(), Choice::default());

    let (metric, to) = (
        Metric::by_name("commits").expect("a metric"),
        Timestamp::from_seconds(2_000_000_000),
    );

    let groups = items.groups(metric, Trait::Branch, Timestamp::default(), to);
    assert_eq!(groups.into_iter().collect::<Vec<_>>(), ["main", "wip"]);
}

#[test]
fn the_minimum_age_of_waiting_items_is_an_option() {
    let opened = merge_request(
        1,
        "2026-03-10 12:00:00 UTC",
        "2026-03-10 12:00:00 UTC",
        json!({ "action": "open", "state": "opened" }),
    );

    let of = |hours: Option<u64>| {
        let older_than = hours.map(|hours| Duration::from_secs(hours * 3_600));
        let choice = Choice {
            older_than,
            ..Choice::default()
        };
        measured_with("mr_waiting", std::slice::from_ref(&opened), choice, People::default()).value
    };
    // The window ends eleven hours later.
    assert_eq!((of(None), of(Some(8)), of(Some(12))), (Some(0.0), Some(1.0), Some(0.0)));
}

#[test]
fn a_merge_request_waits_from_when_it_became_ready_or_was_opened_again() {
    // The window ends at 23:00, 72 hours after the creation.
    let created = "2026-03-07 23:00:00 UTC";
    let event = |iid: i64, at: &str, action: &str, state: &str, is_draft: bool| {
        merge_request(
            iid,
            created,
            at,
            json!({ "action": action, "state": state, "draft": is_draft }),
        )
    };
    let drafted = [
        event(1, created, "open", "opened", true),
        event(1, "2026-03-10 22:00:00 UTC", "update", "opened", false),
    ];

    let reopened = [
        event(2, created, "open", "opened", false),
        event(2, "2026-03-08 00:00:00 UTC", "close", "closed", false),
        event(2, "2026-03-10 22:00:00 UTC", "reopen", "opened", false),
    ];

    // The hook was added later. The only event is that of marking as ready, which shows that it was a draft.
    let mut unseen = event(3, "2026-03-10 22:00:00 UTC", "update", "opened", false);
    unseen.1["changes"] = json!({ "draft": { "previous": true, "current": false } });

    let waiting = |events: &[(&'static str, Value)], minutes: u64| {
        let choice = Choice {
            older_than: Some(Duration::from_secs(minutes * 60)),
            ..Choice::default()
        };
        measured_with("mr_waiting", events, choice, People::default()).value
    };

    for events in [&drafted[..], &reopened[..], &[unseen]] {
        assert_eq!(
            (waiting(events, 24 * 60), waiting(events, 30)),
            (Some(0.0), Some(1.0)),
            "{events:?}"
        );

        let reversed: Vec<_> = events.iter().rev().cloned().collect();
        assert_eq!(
            (waiting(&reversed, 24 * 60), waiting(&reversed, 30)),
            (Some(0.0), Some(1.0)),
            "{reversed:?}"
        );
    }

    assert_eq!(
        (waiting(&drafted[..1], 30), waiting(&reopened[..2], 30)),
        (Some(0.0), Some(0.0))
    );

    assert_eq!(waiting(&reopened[..1], 24 * 60), Some(1.0), "no review for three days");
}

#[test]
fn labels_make_incidents_and_their_text_names_the_cause() {
    let deployed = |id: i64, at: &str, commit: &str| {
        let url = format!("https://git.example.com/-/commit/{}", commit.repeat(40));
        (
            "deployment_hooks",
            json!({ "deployment_id": id, "status": "success", "environment": "production", "commit_url": url,
            "status_changed_at": at, "project": { "id": 7 } }),
        )
    };

    let mut outage = issue(9, "2026-03-04 09:00:00 UTC", &["outage::major"]);
    outage.1["object_attributes"]["created_at"] = json!("2026-03-04 09:00:00 UTC");

    let deployments = [
        deployed(1, "2026-03-02 08:00:00 UTC", "a"),
        deployed(2, "2026-03-03 08:00:00 UTC", "b"),
    ];

    let of = |outage: &(&'static str, Value), name: &str, labels: &[&str]| {
        let incident_labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let all = [deployments[0].clone(), deployments[1].clone(), outage.clone()];
        let metric = Metric::by_name(name).expect("a metric");
        let (items, others) = items_of(&all)
            .into_iter()
            .partition(|item| item.family() == metric.family());

        let items = Items::new(
            items,
            others,
            People::default(),
            Choice {
                incident_labels,
                ..Choice::default()
            },
        );

        let mut given = Vec::new();
        items.each(
            metric,
            Timestamp::default(),
            Timestamp::from_seconds(2_000_000_000),
            |item, sample| {
                if let (Sample::In(_, 1), Item::Deployment(one)) = (&sample, item) {
                    given.push(one.id);
                }
            },
        );

        given
    };
    assert!(of(&outage, "change_failure_rate", &[]).is_empty());

    assert_eq!(
        of(&outage, "change_failure_rate", &["outage"]),
        [2],
        "the deployment before it"
    );

    for cause in ["caused-by: #1", "We know.\n  Caused-By: aaaaaaaa, sadly"] {
        outage.1["object_attributes"]["description"] = json!(cause.replace(',', " "));
        assert_eq!(of(&outage, "change_failure_rate", &["outage"]), [1], "{cause}");
    }

    outage.1["object_attributes"]["description"] = json!("caused-by: the moon");
    assert_eq!(of(&outage, "change_failure_rate", &["outage"]), [2], "an unknown cause");
}

#[test]
fn another_account_of_the_author_reviews_nothing() {
    let note = |id: i64, who: i64| {
        let on = json!({ "iid": 5, "target_project_id": 7, "author_id": 1, "created_at": "2026-03-02 08:00:00 UTC" });
        let note = json!({ "id": id, "author_id": who, "created_at": "2026-03-02 09:00:00 UTC", "system": false });
        let body = json!({ "user": { "id": who, "username": format!("u{who}") }, "project": { "id": 7 },
            "object_attributes": note, "merge_request": on });
        ("note_hooks", body)
    };

    let mut roster = Roster::default();
    let both = ["#1", "#77"].map(|one| Handle::try_from(one.to_owned()).expect("a handle"));
    roster.add_member("Ida", both.into_iter().collect()).expect("added");

    let people = || People::new(Resolver::new(&roster, &[]), &[], Whose::People, None);
    let of = |name: &str, who: i64| measured_of(name, &[note(1, who)], &[], people()).value;
    assert_eq!((of("mr_reviews", 77), of("mr_reviews", 78)), (Some(0.0), Some(1.0)));
    assert_eq!((of("mr_reviewed", 77), of("mr_reviewed", 78)), (Some(0.0), Some(1.0)));
}

#[test]
fn reviews_count_only_by_people_for_every_choice_of_whose() {
    const BOT: i64 = 9;

    let note = |id: i64, iid: i64, author: i64, who: i64, at: &str| {
        let on =
            json!({ "iid": iid, "target_project_id": 7, "author_id": author, "created_at": "2026-03-02 08:00:00 UTC" });
        let note = json!({ "id": id, "author_id": who, "created_at": at, "system": false });
        (
            "note_hooks",
            json!({ "project": { "id": 7 }, "object_attributes": note, "merge_request": on }),
        )
    };

    let push = |number: i64, who: i64| {
        let body = json!({ "ref": "refs/heads/x", "before": format!("a{number}"), "after": format!("b{number}"), "user_id": who,
            "project": { "id": 7 } });
        ("push_hooks", body)
    };

    let all = [
        // A person opened the first merge request and a bot the second. A bot commented on both after a minute, and a
        // person hours later.
        note(1, 1, 1, BOT, "2026-03-02 08:01:00 UTC"),
        note(2, 1, 1, 2, "2026-03-02 10:00:00 UTC"),
        note(3, 2, BOT, 8, "2026-03-02 08:01:00 UTC"),
        note(4, 2, BOT, 2, "2026-03-02 11:00:00 UTC"),
        push(1, 1),
        push(2, BOT),
    ];

    let mut roster = Roster::default();
    for bot in [8, BOT] {
        roster.mark(Handle::UserId(bot), Some(Mark::Bot)).expect("few");
    }

    let of = |name: &str, whose: Whose| {
        let people = People::new(Resolver::new(&roster, &[]), &[], whose, None);
        measured_of(name, &all, &[], people)
    };
    let median = |whose| of("time_to_first_review", whose).percentiles[0];
    let hours = |hours: f64| Some(hours * 3_600.0);
    assert_eq!(
        [Whose::People, Whose::Bots, Whose::All].map(median),
        [hours(2.0), hours(3.0), hours(2.5)]
    );

    for (name, expected) in [
        ("mr_opened", [1.0, 1.0, 2.0]),
        ("mr_reviews", [1.0, 1.0, 2.0]),
        ("mr_reviewers", [1.0, 1.0, 1.0]),
        ("pushes", [1.0, 1.0, 2.0]),
    ] {
        let found = [Whose::People, Whose::Bots, Whose::All].map(|whose| of(name, whose).value);
        assert_eq!(found, expected.map(Some), "{name}");
    }

    assert_eq!(
        of("branches_open", Whose::Bots).value,
        Some(0.0),
        "its creator is unknown"
    );
}
