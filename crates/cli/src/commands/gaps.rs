//! `quickdraw gaps`: lists events that never arrived, which the received events reveal. With a token for GitLab, it
//! checks whether GitLab still has them, and can have GitLab resend them or fetch and report them.

mod compare;
mod findings;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use compare::{Compare, Tally};
use findings::Findings;
use quickdraw_domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gitlab::GitLab;
use super::{encoded, plain};
use crate::client;

/// Number of gaps in one page of the server.
const PAGE: usize = 1_000;
/// Maximum number of gaps of one project that are read.
const MAX_GAPS: usize = 20_000;

#[derive(Args)]
pub(crate) struct Gaps {
    /// Only this project: its full path, or its number in GitLab. Defaults to every project that the server has events
    /// of.
    #[arg(long)]
    project: Option<String>,

    /// Only gaps of this kind: push, merge_request, issue or pipeline. May be repeated.
    #[arg(long)]
    kind: Vec<String>,

    /// Base URL of a GitLab server to compare with.
    #[arg(long)]
    gitlab: Option<String>,

    /// File with an access token for GitLab; - reads standard input. Defaults to the variable GITLAB_TOKEN. The scope
    /// read_api suffices for a comparison; a resend by GitLab requires the scope api.
    #[arg(long, value_name = "FILE")]
    gitlab_token_file: Option<PathBuf>,

    /// Fill the gaps: GitLab resends the requests that failed, and events that are still missing are fetched and
    /// reported, so that they reach hooks and insights.
    #[arg(long, requires = "gitlab")]
    repair: bool,

    /// Number of the webhook in GitLab that posts to Quickdraw. Defaults to each webhook with /webhooks/gitlab in its
    /// URL.
    #[arg(long, requires = "gitlab")]
    hook: Option<i64>,

    /// Maximum number of events and objects to look up in GitLab. The next run continues with the rest.
    #[arg(long, requires = "gitlab", default_value_t = 1_000)]
    limit: usize,

    /// Print one JSON document. Notes about waiting for GitLab go to standard error.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: client::Server,
}

/// A gap as `/api/v1/insights/gaps` returns it.
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
        kind: String,
        first_iid: i64,
        last_iid: i64,
    },
}

/// The completeness of one sequence, as `/api/v1/insights/completeness` returns it.
#[derive(Deserialize, Serialize)]
struct Completeness {
    source_project_id: i64,
    path_with_namespace: Option<String>,
    kind: String,
    known: i64,
    missing: i64,
    completeness: f64,
    first_iid: Option<i64>,
    last_iid: Option<i64>,
    coverage_starts: String,
}

pub(crate) async fn run(command: Gaps) -> anyhow::Result<()> {
    let (url, token) = (command.server.url()?, command.server.token()?);
    let findings = Findings::new(command.json);
    let ours = OurServer {
        url: &url,
        token: &token,
        kinds: command.kind.join(","),
        wanted: command.project.as_deref(),
        findings: &findings,
    };

    let gitlab = match &command.gitlab {
        Some(url) => {
            let token = client::gitlab_token(command.gitlab_token_file.as_deref())?;
            Some(GitLab::noting(url, &token, command.json)?)
        }
        None => None,
    };

    let projects = ours.projects().await?;
    if projects.is_empty() {
        findings.remark("the server has no events yet, so it cannot know of gaps");
    }

    let compare = gitlab
        .as_ref()
        .map(|gitlab| Compare::new(&ours, gitlab, command.repair, command.hook));
    let (mut tally, mut failed, mut missing) = (Tally::new(command.limit), 0, 0_i64);

    for (id, kinds) in &projects {
        let path = kinds.iter().find_map(|measured| measured.path_with_namespace.clone());
        findings.project(*id, path.as_deref(), kinds);

        match (&compare, path) {
            (Some(compare), Some(path)) => {
                if let Err(error) = compare.project(*id, &path, kinds, &mut tally).await {
                    // A failure of one project does not affect the others.
                    findings.error(&format!("{error:#}"));
                    failed += 1;
                }
            }
            (Some(_), None) => {
                findings.note("not compared: no event named the project's path");
                tally.not_compared += 1;
            }
            (None, _) => missing += ours.list(*id).await?,
        }
    }

    let is_compared = compare.is_some();
    let (summary, words) = if is_compared {
        (tally.json(), Some(tally.words(command.repair)))
    } else {
        (json!({ "missing": missing }), None)
    };
    findings.end(&summary, words);

    anyhow::ensure!(
        failed == 0,
        "{failed} of {} projects were not compared completely",
        projects.len()
    );

    anyhow::ensure!(
        missing == 0,
        "missing events: {missing}; --gitlab URL looks for them in GitLab, and --repair fetches them"
    );

    let open = tally.open(command.repair);
    let remedy = if command.repair {
        "run the command again"
    } else {
        "--repair closes them"
    };
    anyhow::ensure!(open == 0, "gaps that need attention: {open}; {remedy}");

    Ok(())
}

/// The Quickdraw server, with the gaps that are wanted.
struct OurServer<'a> {
    url: &'a str,
    token: &'a str,
    kinds: String,

    /// Only this project: its full path, or its number in GitLab.
    wanted: Option<&'a str>,
    findings: &'a Findings,
}

/// The parameter that names a project, by its number in GitLab or by its full path.
fn parameter(project: &str) -> String {
    match project.parse::<i64>() {
        Ok(number) => format!("source_project_id={number}"),
        Err(_) => format!("project={}", encoded(project)),
    }
}

impl OurServer<'_> {
    async fn projects(&self) -> anyhow::Result<BTreeMap<i64, Vec<Completeness>>> {
        let mut projects: BTreeMap<i64, Vec<Completeness>> = BTreeMap::new();
        let only = self.wanted.map(parameter);
        let mut query = only.as_ref().map(|only| format!("?{only}")).unwrap_or_default();

        loop {
            let mut page = client::ask(self.url, self.token, &format!("insights/completeness{query}"), None).await?;
            let items: Vec<Completeness> = serde_json::from_value(page["items"].take())
                .context("failed to read the server's list of completeness")?;

            for item in items {
                projects.entry(item.source_project_id).or_default().push(item);
            }

            match page["next"].as_str() {
                Some(next) => {
                    let only = only.as_ref().map(|only| format!("&{only}")).unwrap_or_default();
                    query = format!("?after={next}{only}");
                }
                None => return Ok(projects),
            }
        }
    }

    /// Lists the gaps of a project, and returns the number of missing events.
    async fn list(&self, project: i64) -> anyhow::Result<i64> {
        let mut missing = 0;
        for gap in self.gaps(project).await? {
            missing += gap.events();

            let event = gap.to_string();
            self.findings.finding("missing", &event, &format!("missing: {event}"));
        }

        Ok(missing)
    }

    async fn gaps(&self, project: i64) -> anyhow::Result<Vec<Gap>> {
        let (mut gaps, mut after) = (Vec::new(), String::new());
        // Maintainers have to name their project, too.
        let only = match self.wanted.filter(|wanted| wanted.parse::<i64>().is_err()) {
            Some(wanted) => format!("&{}", parameter(wanted)),
            None => String::new(),
        };

        loop {
            let kinds = match self.kinds.as_str() {
                "" => String::new(),
                kinds => format!("&kind={}", encoded(kinds)),
            };
            let path = format!("insights/gaps?source_project_id={project}{only}&limit={PAGE}{kinds}{after}");
            let mut page = client::ask(self.url, self.token, &path, None).await?;
            let items: Vec<Gap> =
                serde_json::from_value(page["items"].take()).context("failed to read the server's list of gaps")?;

            gaps.extend(items);

            match &page["next"] {
                Value::String(_) if gaps.len() >= MAX_GAPS => {
                    self.findings.note(&format!("only the first {MAX_GAPS} gaps are read"));
                    return Ok(gaps);
                }
                Value::String(next) => after = format!("&after={}", encoded(next)),
                _ => return Ok(gaps),
            }
        }
    }
}

impl Completeness {
    fn coverage_starts(&self) -> Option<Timestamp> {
        let time: jiff::Timestamp = self.coverage_starts.parse().ok()?;
        Some(Timestamp::from_micros(time.as_microsecond()))
    }
}

impl fmt::Display for Completeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            known,
            missing,
            completeness,
            coverage_starts,
            ..
        } = self;

        // Rounded down, so that only a complete sequence shows 100 %.
        let percent = (completeness * 1_000.0).floor() / 10.0;

        // `commit` is not a value of `--kind`.
        if kind == "commit" {
            return write!(
                f,
                "commits in pushes: {known} listed, {missing} not listed ({percent} %) since {coverage_starts}"
            );
        }

        write!(
            f,
            "{kind:<14} {known} known, {missing} missing ({percent} %) since {coverage_starts}"
        )?;

        match (self.first_iid, self.last_iid) {
            (Some(first), Some(last)) => write!(f, ", numbers {first} to {last}"),
            _ => Ok(()),
        }
    }
}

impl Gap {
    /// Number of missing events. Every push of a gap may contain others, so it counts as one.
    fn events(&self) -> i64 {
        match self {
            Self::Pushes { .. } => 1,
            Self::Objects {
                first_iid, last_iid, ..
            } => last_iid - first_iid + 1,
        }
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pushes { git_ref, before, after } => {
                let before = before.as_deref().unwrap_or("an unknown commit");
                write!(
                    f,
                    "push of {} from {} to {}",
                    plain(git_ref),
                    plain(before),
                    plain(after)
                )
            }

            Self::Objects {
                kind,
                first_iid,
                last_iid,
            } if first_iid == last_iid => {
                write!(f, "{kind} {first_iid}")
            }

            Self::Objects {
                kind,
                first_iid,
                last_iid,
            } => write!(f, "{kind} {first_iid} to {last_iid}"),
        }
    }
}
