//! `quickdraw backfill gitlab`: reports the history that GitLab's API still has. Lists are read in the order of their
//! last change, oldest first, and the position is saved after each page. A row that changes during the run appears
//! again at the end of its list. The server counts repeated events once.

use std::collections::BTreeMap;

use anyhow::Context;
use quickdraw_domain::Trigger;
use serde_json::{Value, json};

use super::positions::Positions;
use super::report::{Failed, Reported, Reporter};
use super::timeline::Thing;
use crate::commands::encoded;
use crate::commands::gitlab::bodies::{commit_of, ended_until, pipeline_with, spelled, text, user};
use crate::commands::gitlab::{GitLab, Home};

const PAGE: usize = 100;
const ZEROS: &str = "0000000000000000000000000000000000000000";

pub(super) async fn run(
    gitlab: &GitLab,
    projects: &[String],
    since: Option<jiff::civil::Date>,
    positions: Positions,
    reporter: Reporter,
) -> anyhow::Result<()> {
    let url = reporter.url().to_owned();
    let mut one = One {
        gitlab,
        url,
        since,
        positions,
        reporter,
        left_out: 0,
    };

    let mut failed = 0;
    for name in projects {
        let done = async {
            let home = gitlab.any_project(name).await?;
            let home = home.context("GitLab has no such project, or the token cannot read it")?;

            let path = &home.project.path_with_namespace;
            one.reporter.note(&format!("{path} (project {})", home.project.id));
            one.project(&home).await
        };

        if let Err(error) = done.await {
            // A failure of one project does not affect the others.
            one.reporter.fail(name, &format!("{error:#}"));
            failed += 1;
        }
    }

    let left_out = one.left_out;
    one.reporter.end().await?;

    anyhow::ensure!(
        left_out == 0,
        "{left_out} objects could not be reported; to try all of them again, give another --position"
    );

    anyhow::ensure!(
        failed == 0,
        "{failed} of {} projects are incomplete; run the command again",
        projects.len()
    );

    Ok(())
}

/// The state of one run.
struct One<'a> {
    gitlab: &'a GitLab,

    /// Base URL of the Quickdraw server.
    url: String,
    since: Option<jiff::civil::Date>,
    positions: Positions,
    reporter: Reporter,

    /// Number of objects that GitLab did not return or that the server refused.
    left_out: usize,
}

/// A kind of list that GitLab has for each project.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    MergeRequests,
    Issues,
    Pipelines,
    Deployments,
    Pushes,
}

impl List {
    /// Each list with its name for the user, its path in the API, and its query.
    const ALL: [(Self, &'static str, &'static str, &'static str); 6] = [
        (
            Self::MergeRequests,
            "merge_requests",
            "merge_requests",
            "&scope=all&state=all",
        ),
        (Self::Issues, "issues", "issues", "&scope=all&state=all"),
        (Self::Pipelines, "pipelines", "pipelines", ""),
        // GitLab lists child pipelines only if the query asks for them.
        (
            Self::Pipelines,
            "child pipelines",
            "pipelines",
            "&source=parent_pipeline",
        ),
        (Self::Deployments, "deployments", "deployments", ""),
        // GitLab keeps these for a limited time.
        (Self::Pushes, "pushes", "events", "&action=pushed"),
    ];

    /// The position at which a list starts if only changes since `day` are wanted.
    fn since(self, day: jiff::civil::Date) -> String {
        if self == Self::Pushes {
            before(day)
        } else {
            format!("{day}T00:00:00Z")
        }
    }

    /// The query for rows after a position, oldest first.
    fn after(self, position: Option<&str>) -> String {
        match (self, position) {
            (Self::Pushes, None) => "&sort=asc".to_owned(),
            (Self::Pushes, Some(day)) => format!("&sort=asc&after={day}"),
            // Some lists accept `order_by` only together with `updated_after`.
            (_, at) => {
                format!(
                    "&order_by=updated_at&sort=asc&updated_after={}",
                    encoded(at.unwrap_or("1970-01-01T00:00:00Z"))
                )
            }
        }
    }

    /// The position after a row.
    fn position(self, row: &Value) -> Option<String> {
        if self != Self::Pushes {
            return row["updated_at"].as_str().map(str::to_owned);
        }

        let at: jiff::Timestamp = row["created_at"].as_str()?.parse().ok()?;
        Some(before(at.to_zoned(jiff::tz::TimeZone::UTC).date()))
    }
}

impl One<'_> {
    async fn project(&mut self, home: &Home) -> anyhow::Result<()> {
        for list in List::ALL {
            self.list(home, list).await?;
        }

        self.commits(home).await
    }

    /// The key of a list in the file of positions.
    fn place(&self, home: &Home, name: &str) -> String {
        // Positions of another server or of another `--since` do not apply.
        let since = self.since.map(|day| format!(" since {day}")).unwrap_or_default();
        format!(
            "{} from {}, project {}: {name}{since}",
            self.url,
            self.gitlab.url(),
            home.project.id
        )
    }

    async fn list(
        &mut self,
        home: &Home,
        (list, name, place_there, query): (List, &'static str, &'static str, &'static str),
    ) -> anyhow::Result<()> {
        let tiers = if list == List::Deployments {
            self.tiers(home).await?
        } else {
            BTreeMap::new()
        };

        let place = self.place(home, name);
        let mut position = self
            .positions
            .get(&place)
            .map(str::to_owned)
            .or(self.since.map(|day| list.since(day)));

        let bar = super::bar(name, 0)?;
        let mut page = 1;

        loop {
            let after = list.after(position.as_deref());
            let path = format!(
                "projects/{}/{place_there}?per_page={PAGE}&page={page}{query}{after}",
                home.project.id
            );

            let Some(rows) = self.gitlab.rows(&path).await? else {
                bar.finish_and_clear();
                let text = format!("  {name}: not available, or the token cannot read it");
                self.reporter.note(&text);
                return Ok(());
            };

            bar.inc_length(rows.len() as u64);

            for row in &rows {
                let name = format!(
                    "{name} {}",
                    if row["iid"].is_null() {
                        &row["created_at"]
                    } else {
                        &row["iid"]
                    }
                );
                match self.events(home, list, row, &tiers).await {
                    Ok(events) => self.report(events, &name).await?,
                    Err(error) => self.leave_out(&name, &error),
                }

                bar.inc(1);
            }

            // The position is saved only after the server has the events.
            self.reporter.flush().await?;

            let last = rows.last().and_then(|row| list.position(row));
            if let Some(last) = &last {
                self.positions.set(&place, last)?;
            }

            if rows.len() < PAGE {
                break;
            }

            // A row that changes during the run moves to the end of its list. The next request therefore starts after
            // the last row, and uses a further page only if all rows of a page changed at the same time. Pushes do not
            // move, and their position is a day, so their pages are read in sequence.
            if list == List::Pushes || last.is_none() || last == position {
                page += 1;
            } else {
                (page, position) = (1, last);
            }
        }

        let count = bar.position();
        bar.finish_and_clear();
        self.reporter.note(&format!("  {name}: {count}"));

        Ok(())
    }

    async fn events(
        &self,
        home: &Home,
        list: List,
        row: &Value,
        tiers: &BTreeMap<String, String>,
    ) -> anyhow::Result<Vec<Reported>> {
        let project = home.project.id;
        let (notes, states);

        match list {
            List::MergeRequests => {
                let place = format!("projects/{project}/merge_requests/{}", row["iid"]);
                notes = self.all(&format!("{place}/notes?sort=asc&per_page={PAGE}")).await?;
                states = self
                    .all(&format!("{place}/resource_state_events?per_page={PAGE}"))
                    .await?;

                Thing {
                    home,
                    there: row,
                    notes: &notes,
                    states: &states,
                }
                .merge_request()
            }

            List::Issues => {
                let place = format!("projects/{project}/issues/{}", row["iid"]);
                // Only comments of users count for issues; system notes do not.
                let has_notes = row["user_notes_count"].as_i64() != Some(0);

                notes = if has_notes {
                    self.all(&format!("{place}/notes?sort=asc&per_page={PAGE}")).await?
                } else {
                    Vec::new()
                };

                states = self
                    .all(&format!("{place}/resource_state_events?per_page={PAGE}"))
                    .await?;
                Thing {
                    home,
                    there: row,
                    notes: &notes,
                    states: &states,
                }
                .issue()
            }

            List::Pipelines => {
                let Some(there) = self
                    .gitlab
                    .get(&format!("projects/{project}/pipelines/{}", row["id"]))
                    .await?
                else {
                    return Ok(Vec::new());
                };

                let received_at = text(&there["updated_at"]).to_owned();
                let place = format!("projects/{project}/pipelines/{}", row["id"]);
                let jobs = self
                    .all(&format!("{place}/jobs?per_page={PAGE}&include_retried=true"))
                    .await?;
                let mut events = Vec::new();

                if let Some(failed_at) = first_failure(&there, &jobs) {
                    // The pipeline failed and was then run again. The failure is reported as well.
                    let mut failed = there.clone();
                    failed["status"] = "failed".into();
                    failed["finished_at"] = failed_at.into();

                    let event = pipeline_with(self.gitlab, home, &failed, &ended_until(&jobs, failed_at)).await?;
                    events.push(Reported::new(event, Some(failed_at.to_owned()))?);
                }

                let event = pipeline_with(self.gitlab, home, &there, &jobs).await?;
                events.push(Reported::new(event, Some(received_at))?);
                Ok(events)
            }
            List::Deployments => Ok(vec![deployment(home, row, tiers)?]),
            List::Pushes => Ok(self.push(home, row).await?.into_iter().collect()),
        }
    }

    async fn report(&mut self, events: Vec<Reported>, name: &str) -> anyhow::Result<()> {
        for event in events {
            match self.reporter.report(event).await {
                Err(Failed::Refused(error)) => self.leave_out(name, &error),
                // The server is unreachable, so the position is not saved.
                reported => reported?,
            }
        }

        Ok(())
    }

    /// Records a failure and continues, because other objects may still succeed.
    fn leave_out(&mut self, name: &str, error: &anyhow::Error) {
        self.left_out += 1;
        self.reporter.fail(name, &format!("{error:#}"));
    }

    async fn all(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        Ok(self.gitlab.list(path, |_| true).await?.unwrap_or_default())
    }

    /// Tiers of environments, by name.
    async fn tiers(&self, home: &Home) -> anyhow::Result<BTreeMap<String, String>> {
        let all = self
            .all(&format!("projects/{}/environments?per_page={PAGE}", home.project.id))
            .await?;
        let tier = |one: &Value| Some((text(&one["name"]).to_owned(), one["tier"].as_str()?.to_owned()));

        Ok(all
            .iter()
            .filter_map(tier)
            .filter(|(_, tier)| !tier.is_empty())
            .collect())
    }

    /// Composes a push to a branch, with the commits that GitLab still has. Returns `None` for a tag.
    async fn push(&self, home: &Home, row: &Value) -> anyhow::Result<Option<Reported>> {
        let data = &row["push_data"];
        let (Some(name), Some("branch")) = (data["ref"].as_str(), data["ref_type"].as_str()) else {
            return Ok(None);
        };
        let (before, after) = (data["commit_from"].as_str(), data["commit_to"].as_str());
        let mut commits = Vec::new();

        if let Some(after) = after {
            let from = before.or(home.project.default_branch.as_deref()).unwrap_or(after);
            let path = format!(
                "projects/{}/repository/compare?from={}&to={after}",
                home.project.id,
                encoded(from)
            );
            // The push happened even if GitLab no longer has its commits.
            let compared = self.gitlab.get(&path).await.ok().flatten().unwrap_or_default();

            commits = compared["commits"]
                .as_array()
                .into_iter()
                .flatten()
                .map(with_parents)
                .collect();

            if commits.len() > 1 && commits[0]["id"] == after {
                commits.reverse();
            }
        }

        let who = user(&row["author"], &Value::Null);
        let body = json!({
            "object_kind": "push", "event_name": "push",
            "before": before.unwrap_or(ZEROS), "after": after.unwrap_or(ZEROS), "ref": format!("refs/heads/{name}"),
            "checkout_sha": after, "user_id": who.id, "user_name": who.name, "user_username": who.username,
            "project_id": home.project.id.0, "project": project(home),
            "total_commits_count": data["commit_count"].as_u64().unwrap_or(0).max(commits.len() as u64), "commits": commits,
        });
        Reported::of(Trigger::PUSH, row["created_at"].as_str().map(str::to_owned), &body).map(Some)
    }

    /// Reports all commits: first those of the default branch, then those of all branches.
    async fn commits(&mut self, home: &Home) -> anyhow::Result<()> {
        let Some(branch) = home.project.default_branch.as_deref() else {
            return Ok(());
        };
        let landed = format!("&ref_name={}", encoded(branch));
        let full_name = format!("refs/heads/{branch}");

        let since = self
            .since
            .map(|day| format!("&since={day}T00:00:00Z"))
            .unwrap_or_default();

        for (name, which, git_ref) in [
            ("landed commits", landed.as_str(), Some(&full_name)),
            ("commits", "&all=true", None),
        ] {
            let bar = super::bar(name, 0)?;

            // Rows come newest first and no position is saved. A commit that arrives during the run only shifts the
            // pages, and its neighbours are read twice.
            for page in 1_u32.. {
                let path = format!(
                    "projects/{}/repository/commits?per_page={PAGE}&page={page}{which}{since}",
                    home.project.id
                );
                let rows = self.gitlab.rows(&path).await?.unwrap_or_default();
                bar.inc_length(rows.len() as u64);

                if rows.is_empty() {
                    break;
                }

                let commits: Vec<Value> = rows.iter().map(with_parents).collect();
                let body = json!({ "object_kind": "push", "event_name": "push", "ref": git_ref,
                    "project_id": home.project.id.0, "project": project(home), "commits": commits });
                self.reporter.report(Reported::of(Trigger::PUSH, None, &body)?).await?;
                bar.inc(rows.len() as u64);

                if rows.len() < PAGE {
                    break;
                }
            }

            let count = bar.position();
            bar.finish_and_clear();
            self.reporter.note(&format!("  {name}: {count}"));
        }

        Ok(())
    }
}

fn with_parents(there: &Value) -> Value {
    let mut commit = commit_of(there);
    commit["parent_ids"] = there["parent_ids"].clone();
    commit
}

fn deployment(home: &Home, row: &Value, tiers: &BTreeMap<String, String>) -> anyhow::Result<Reported> {
    let (environment, job) = (text(&row["environment"]["name"]), &row["deployable"]);
    let finished_at = [&job["finished_at"], &row["updated_at"]]
        .into_iter()
        .find(|at| at.is_string());
    let at = finished_at.unwrap_or(&Value::Null);
    let web_url = format!("{}/{}", home.base_url, home.project.path_with_namespace);
    let sha = text(&row["sha"]);

    let body = json!({
        "object_kind": "deployment",
        "status": row["status"],
        "status_changed_at": spelled(at),
        "deployment_id": row["id"],
        "deployable_id": job["id"],
        "environment": environment,
        "environment_tier": tiers.get(environment),
        "ref": row["ref"],
        "short_sha": sha.get(..8),
        "commit_url": format!("{web_url}/-/commit/{sha}"),
        "commit_title": job["commit"]["title"],
        "user": row["user"],
        "project": project(home),
    });
    Reported::of(Trigger::DEPLOYMENT, at.as_str().map(str::to_owned), &body)
}

fn project(home: &Home) -> Value {
    let project = &home.project;
    json!({
        "id": project.id.0,
        "name": project.name,
        "path_with_namespace": project.path_with_namespace,
        "default_branch": project.default_branch,
        "web_url": format!("{}/{}", home.base_url, project.path_with_namespace),
    })
}

/// For a pipeline that passed in the end: the time of the first failure of a job that was then run again.
fn first_failure<'a>(there: &Value, jobs: &'a [Value]) -> Option<&'a str> {
    let is_again = |failed: &Value| {
        jobs.iter()
            .any(|job| job["name"] == failed["name"] && job["id"].as_i64() > failed["id"].as_i64())
    };
    let failed = jobs
        .iter()
        .filter(|job| job["status"] == "failed" && job["allow_failure"] != true && is_again(job));
    let first = failed.filter_map(|job| job["finished_at"].as_str()).min();
    first.filter(|_| there["status"] == "success")
}

/// The value of `after` for which GitLab lists the events of `day`. GitLab excludes the given day and uses its own time
/// zone, so this is two days earlier.
fn before(day: jiff::civil::Date) -> String {
    day.checked_sub(jiff::Span::new().days(2)).unwrap_or(day).to_string()
}
