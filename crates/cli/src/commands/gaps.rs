//! `quickdraw gaps`: what never came, told from what came; and with a token for GitLab, whether GitLab still has it. What it
//! has is sent again by GitLab, or fetched and reported.

mod compare;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context;
use clap::Args;
use compare::{Compare, Tally};
use quickdraw_domain::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::gitlab::GitLab;
use super::{encoded, plain, say};
use crate::client;

/// Gaps of one request to the server.
const PAGE: usize = 1_000;
/// Gaps of one project that are looked at.
const MOST: usize = 20_000;

#[derive(Args)]
pub(crate) struct Gaps {
    /// Only this project: its path, or its number in GitLab; by default every project that events came from.
    #[arg(long)]
    project: Option<String>,
    /// Only gaps of these: push, merge_request, issue, pipeline; can be given several times.
    #[arg(long)]
    metric: Vec<String>,
    /// Compare with this GitLab: its base URL.
    #[arg(long, requires = "gitlab_token")]
    gitlab: Option<String>,
    /// Token for GitLab: read_api is enough to compare; with api, GitLab can be made to send again.
    #[arg(long, env = "GITLAB_TOKEN", hide_env_values = true)]
    gitlab_token: Option<String>,
    /// Fill the gaps: have GitLab send again what was not taken, then fetch what is still missing and report it, so that it
    /// reaches hooks and insights.
    #[arg(long, requires = "gitlab")]
    repair: bool,
    /// The hook in GitLab that posts to Quickdraw, by its number; by default each with /webhooks/gitlab in its URL.
    #[arg(long, requires = "gitlab")]
    hook: Option<i64>,
    /// Most events and objects that GitLab is asked about; another run goes on with what is left.
    #[arg(long, requires = "gitlab", default_value_t = 1_000)]
    limit: usize,
    #[command(flatten)]
    server: client::Server,
}

/// A gap, as the server lists it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Gap {
    Pushes {
        #[serde(rename = "ref")]
        git_ref: String,
        before: Option<String>,
        after: String,
    },
    Objects {
        metric: String,
        first_iid: i64,
        last_iid: i64,
    },
}

/// How much of something came, as the server lists it.
#[derive(Deserialize)]
struct Measured {
    source_project_id: i64,
    path_with_namespace: Option<String>,
    metric: String,
    known: i64,
    missing: i64,
    completeness: f64,
    first_iid: Option<i64>,
    last_iid: Option<i64>,
    coverage_starts: String,
}

pub(crate) async fn run(command: Gaps) -> anyhow::Result<()> {
    let token = command.server.token()?;
    let ours = Ours { url: &command.server.url, token: &token, metrics: command.metric.join(",") };
    let gitlab = match (&command.gitlab, &command.gitlab_token) {
        (Some(url), Some(token)) => Some(GitLab::new(url, token)),
        _ => None,
    };
    let projects = ours.projects(command.project.as_deref()).await?;
    if projects.is_empty() {
        say("nothing came yet, so nothing is known to be missing");
    }
    let compare = gitlab.as_ref().map(|gitlab| Compare::new(&ours, gitlab, command.repair, command.hook));
    let (mut tally, mut failed) = (Tally::new(command.limit), 0);
    for (id, metrics) in &projects {
        let path = metrics.iter().find_map(|measured| measured.path_with_namespace.clone());
        say(format!("{} (number {id} in GitLab)", plain(path.as_deref().unwrap_or("no path"))));
        for measured in metrics {
            say(format!("  {measured}"));
        }
        match (&compare, path) {
            (Some(compare), Some(path)) => {
                if let Err(error) = compare.project(*id, &path, metrics, &mut tally).await {
                    // The others have gaps of their own.
                    say(format!("    FAILED: {}", plain(&format!("{error:#}"))));
                    failed += 1;
                }
            }
            (Some(_), None) => say("    not compared: no event named the project's path"),
            (None, _) => ours.gaps(*id).await?.iter().for_each(|gap| say(format!("    missing: {gap}"))),
        }
    }
    if compare.is_some() {
        say(tally.words(command.repair));
    }
    anyhow::ensure!(failed == 0, "{failed} of {} projects could not be compared to their end", projects.len());
    Ok(())
}

/// Our server.
struct Ours<'a> {
    url: &'a str,
    token: &'a str,
    metrics: String,
}

impl Ours<'_> {
    async fn projects(&self, wanted: Option<&str>) -> anyhow::Result<BTreeMap<i64, Vec<Measured>>> {
        let mut projects: BTreeMap<i64, Vec<Measured>> = BTreeMap::new();
        let mut query = wanted.map(|project| format!("?project={}", encoded(project))).unwrap_or_default();
        loop {
            let mut page = client::ask(self.url, self.token, &format!("insights/completeness{query}"), None).await?;
            let items: Vec<Measured> =
                serde_json::from_value(page["items"].take()).context("the server lists no metrics")?;
            for item in items {
                projects.entry(item.source_project_id).or_default().push(item);
            }
            match page["next"].as_i64() {
                Some(next) => query = format!("?after={next}"),
                None => return Ok(projects),
            }
        }
    }

    async fn gaps(&self, project: i64) -> anyhow::Result<Vec<Gap>> {
        let (mut gaps, mut after) = (Vec::new(), String::new());
        loop {
            let metrics = match self.metrics.as_str() {
                "" => String::new(),
                metrics => format!("&metric={}", encoded(metrics)),
            };
            let path = format!("insights/gaps?project={project}&limit={PAGE}{metrics}{after}");
            let mut page = client::ask(self.url, self.token, &path, None).await?;
            let items: Vec<Gap> = serde_json::from_value(page["items"].take()).context("the server lists no gaps")?;
            gaps.extend(items);
            match &page["next"] {
                Value::String(_) if gaps.len() >= MOST => {
                    say(format!("    only the first {MOST} gaps are looked at"));
                    return Ok(gaps);
                }
                Value::String(next) => after = format!("&after={}", encoded(next)),
                _ => return Ok(gaps),
            }
        }
    }
}

impl Measured {
    fn coverage_starts(&self) -> Option<Timestamp> {
        let time: jiff::Timestamp = self.coverage_starts.parse().ok()?;
        Some(Timestamp::from_micros(time.as_microsecond()))
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, known, missing, completeness, coverage_starts, .. } = self;
        // Rounded down: nothing that lacks something is 100 %.
        let percent = (completeness * 1_000.0).floor() / 10.0;
        // Commits that pushes do not list have no name that `--metric` could ask for.
        if metric == "commit" {
            return write!(
                f,
                "commits in pushes: {known} listed, {missing} not listed ({percent} %) since {coverage_starts}"
            );
        }
        write!(f, "{metric:<14} {known} known, {missing} missing ({percent} %) since {coverage_starts}")?;
        match (self.first_iid, self.last_iid) {
            (Some(first), Some(last)) => write!(f, ", numbers {first} to {last}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pushes { git_ref, before, after } => {
                let before = before.as_deref().unwrap_or("somewhere");
                write!(f, "push of {} from {} to {}", plain(git_ref), plain(before), plain(after))
            }
            Self::Objects { metric, first_iid, last_iid } if first_iid == last_iid => {
                write!(f, "{metric} {first_iid}")
            }
            Self::Objects { metric, first_iid, last_iid } => write!(f, "{metric} {first_iid} to {last_iid}"),
        }
    }
}
