//! How one project stands, by our own names and by those of OpenTelemetry.

use std::collections::BTreeMap;

use quickdraw_domain::Timestamp;
use quickdraw_insights::entity::Item;
use quickdraw_insights::metrics::{Choice, Items, Summary};
use quickdraw_insights::people::People;
use quickdraw_insights::pipelines::Status;
use quickdraw_insights::question::Overview;
use quickdraw_insights::report::CommitCount;

use super::series::Series;
use super::{MAX_PER_PROJECT, Read, WINDOW, count};

/// The quantiles of a summary's percentiles.
const QUANTILES: [&str; 4] = ["0.5", "0.75", "0.9", "0.95"];

/// The items of a project, ready to be measured.
struct Measured {
    merge_requests: Items,
    pipelines: Items,
}

/// All of one project: what stands so now, and what was in the last seven days.
pub(super) fn of_project(
    series: &mut Series,
    path: &str,
    read: &Read,
    (people, teams): (&People, &[(String, People)]),
    now: Timestamp,
) {
    let items = |all: &Vec<Item>| Items::new(all.clone(), Vec::new(), people.clone(), Choice::default());
    let Read {
        merge_requests,
        pipelines,
        ..
    } = read;

    let measured = Measured {
        merge_requests: items(merge_requests),
        pipelines: items(pipelines),
    };
    by_open_telemetry(series, path, (read, &measured), people, now);
    commits_by_our_names(series, path, &read.commits, (people, teams), now);
    by_our_names(series, path, (read, &measured), now);
}

/// The number of a metric of commits, from the counts of the window.
fn of_commits(name: &str, all: &[CommitCount], people: &People, now: Timestamp) -> f64 {
    let question = Overview { now }.question(name);
    let number = question.map(|question| question.number_of_counts(all, people));
    number.and_then(|number| number.value).unwrap_or_default()
}

fn commits_by_our_names(
    series: &mut Series,
    path: &str,
    commits: &[CommitCount],
    (people, teams): (&People, &[(String, People)]),
    now: Timestamp,
) {
    let help = "Commits without merges: of all contributors, and of each team.";
    let (project, window) = (("project", path), ("window", "7d"));

    series.add(
        "pulse_commits",
        help,
        &[project, ("team", ""), window],
        of_commits("commits", commits, people, now),
    );

    for (team, members) in teams {
        let value = of_commits("commits", commits, members, now);
        if value > 0.0 {
            series.add("pulse_commits", help, &[project, ("team", team), window], value);
        }
    }
}

fn summary(items: &Items, name: &str, now: Timestamp) -> Option<Summary> {
    Some(Overview { now }.question(name)?.number(items))
}

fn by_our_names(series: &mut Series, path: &str, (read, measured): (&Read, &Measured), now: Timestamp) {
    let Measured {
        merge_requests,
        pipelines,
    } = measured;

    let deployments = &read.deployments;
    let summary = |items: &Items, name: &str| summary(items, name, now);
    let project = ("project", path);
    let window = ("window", "7d");

    for (state, name) in [
        ("opened", "mr_open"),
        ("merged", "mr_merged"),
        ("closed", "mr_closed_unmerged"),
    ] {
        if let Some(value) = summary(merge_requests, name).and_then(|one| one.value) {
            let help = "Merge requests that are open, and that were merged or closed within seven days.";
            series.add("pulse_merge_requests", help, &[project, ("state", state)], value);
        }
    }

    if let Some(value) = summary(merge_requests, "mr_waiting").and_then(|one| one.value) {
        let help =
            "Merge requests, no drafts, that wait for a first review for more than a day since they became ready.";
        series.add("pulse_mr_waiting_review", help, &[project], value);
    }

    let mut quantiles = |name, help, summary: Option<Summary>| {
        for (quantile, value) in QUANTILES
            .into_iter()
            .zip(summary.map(|one| one.percentiles).unwrap_or_default())
        {
            // A number without data has no series.
            if let Some(value) = value {
                series.add(name, help, &[project, ("quantile", quantile), window], value);
            }
        }
    };

    quantiles(
        "pulse_mr_time_to_merge_seconds",
        "From creation to merge, of merge requests merged within seven days.",
        summary(merge_requests, "time_to_merge"),
    );

    quantiles(
        "pulse_pipeline_duration_seconds",
        "How long pipelines took that passed or failed.",
        summary(pipelines, "pipeline_duration"),
    );

    for (status, name) in [
        ("success", "pipeline_success_share"),
        ("failed", "pipeline_failure_share"),
        ("other", "pipeline_other_share"),
    ] {
        if let Some((share, samples)) = summary(pipelines, name).and_then(|one| Some((one.value?, one.samples))) {
            let value = (share * count(samples)).round();
            series.add(
                "pulse_pipelines",
                "Pipelines that ended.",
                &[project, ("status", status), window],
                value,
            );
        }
    }

    let mut counts: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for one in deployments {
        let name = one.status().name();
        if one.at() >= now.minus(WINDOW) {
            *counts.entry((&one.environment, name)).or_default() += 1.0;
        }
    }

    for ((environment, status), count) in counts.into_iter().take(MAX_PER_PROJECT) {
        let labels = [
            ("project", path),
            ("environment", environment),
            ("status", status),
            ("window", "7d"),
        ];
        series.add("pulse_deployments", "Deployments by how they stand.", &labels, count);
    }
}

/// The same by the names that OpenTelemetry has for version control and pipelines. Its own are by change and run, which
/// are no labels here: what takes time is given by quantiles of seven days.
fn by_open_telemetry(
    series: &mut Series,
    path: &str,
    (read, measured): (&Read, &Measured),
    people: &People,
    now: Timestamp,
) {
    let Measured {
        merge_requests,
        pipelines,
    } = measured;

    let summary = |items: &Items, name: &str| summary(items, name, now);
    let (owner, name) = path.rsplit_once('/').unwrap_or(("", path));
    let (owner, name) = (("vcs_owner_name", owner), ("vcs_repository_name", name));

    for (state, metric) in [
        ("open", "mr_open"),
        ("merged", "mr_merged"),
        ("closed", "mr_closed_unmerged"),
    ] {
        if let Some(value) = summary(merge_requests, metric).and_then(|one| one.value) {
            let help =
                "vcs.change.count: merge requests that are open, and that were merged or closed within seven days.";
            series.add(
                "vcs_change_count",
                help,
                &[owner, name, ("vcs_change_state", state)],
                value,
            );
        }
    }

    let open_for = read.merge_requests.iter().filter_map(|item| match item {
        Item::MergeRequest(one) if one.is_open() && !one.author.is_some_and(|who| people.is_bot(who)) => {
            one.open_since(now).map(|at| now.since(at).as_secs_f64())
        }
        _ => None,
    });
    let open_for: Vec<f64> = open_for.collect();

    if !open_for.is_empty() {
        let help = "vcs.change.duration: how long the open merge requests have been open, on average.";
        let value = open_for.iter().sum::<f64>() / count(open_for.len());

        series.add(
            "vcs_change_duration_seconds",
            help,
            &[owner, name, ("vcs_change_state", "open")],
            value,
        );
    }

    let help = "vcs.contributor.count: people with commits within seven days.";
    series.add(
        "vcs_contributor_count",
        help,
        &[owner, name],
        of_commits("contributors", &read.commits, people, now),
    );

    if read.branches > 0 {
        let help = "vcs.ref.count: branches that there are.";
        series.add(
            "vcs_ref_count",
            help,
            &[owner, name, ("vcs_ref_type", "branch")],
            count(read.branches),
        );
    }

    let spans = [
        (
            "vcs_change_time_to_merge_seconds",
            "vcs.change.time_to_merge.",
            merge_requests,
            "time_to_merge",
        ),
        (
            "vcs_change_time_to_approval_seconds",
            "vcs.change.time_to_approval.",
            merge_requests,
            "time_to_first_approval",
        ),
        (
            "cicd_pipeline_run_duration_seconds",
            "cicd.pipeline.run.duration.",
            pipelines,
            "pipeline_duration",
        ),
    ];

    for (series_name, help, items, metric) in spans {
        let percentiles = summary(items, metric).map(|one| one.percentiles).unwrap_or_default();
        for (quantile, value) in QUANTILES.into_iter().zip(percentiles) {
            if let Some(value) = value {
                series.add(series_name, help, &[owner, name, ("quantile", quantile)], value);
            }
        }
    }

    let runs = read.pipelines.iter().filter_map(|item| match item {
        Item::Pipeline(one) if !one.is_child && one.created_at >= Some(now.minus(WINDOW)) => {
            one.last.map(|seen| seen.status)
        }
        _ => None,
    });
    let runs: Vec<Status> = runs.collect();
    let of = |wanted: Status| count(runs.iter().filter(|status| **status == wanted).count());

    for (state, status) in [("pending", Status::Waiting), ("executing", Status::Running)] {
        let help = "cicd.pipeline.run.active: pipelines of seven days that go on.";
        series.add(
            "cicd_pipeline_run_active",
            help,
            &[owner, name, ("cicd_pipeline_run_state", state)],
            of(status),
        );
    }

    let help = "cicd.pipeline.run.errors: pipelines of seven days that failed.";
    series.add(
        "cicd_pipeline_run_errors",
        help,
        &[owner, name, ("error_type", "failed")],
        of(Status::Failed),
    );
}
