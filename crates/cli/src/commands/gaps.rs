//! `quickdraw gaps`: what never came, told from what came; and with a token for GitLab, whether GitLab still has it. What it
//! has is sent again by GitLab, or fetched and reported.

mod bodies;
mod gitlab;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use gitlab::{GitLab, Home};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::say;
use crate::client;

/// Gaps of one request to the server.
const PAGE: usize = 200;
/// How long what GitLab sent again takes to be counted.
const COUNTED: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(crate) struct Gaps {
    /// Only this project: its path, or its number in GitLab; by default every project that events came from.
    #[arg(long)]
    project: Option<String>,
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
    /// Most objects that are fetched; another run goes on with what is left.
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
        measure: String,
        first_iid: i64,
        last_iid: i64,
    },
}

/// How much of something came, as the server lists it.
#[derive(Deserialize)]
struct Measured {
    project_id: i64,
    path_with_namespace: Option<String>,
    measure: String,
    known: i64,
    missing: i64,
    completeness: f64,
    first_iid: Option<i64>,
    last_iid: Option<i64>,
    coverage_starts: String,
}

/// What can be reported in place of an event that never came.
struct Found {
    /// What it is called in what is printed.
    name: String,
    trigger: &'static str,
    body: Vec<u8>,
}

/// What became of gaps.
#[derive(Default)]
struct Tally {
    sent_again: usize,
    fetched: usize,
    gone: usize,
    /// Beyond the limit, or of no kind that could be fetched.
    left: usize,
}

pub(crate) async fn run(command: Gaps) -> anyhow::Result<()> {
    let token = command.server.token()?;
    let ours = Ours { url: &command.server.url, token: &token };
    let gitlab = match (&command.gitlab, &command.gitlab_token) {
        (Some(url), Some(token)) => Some(GitLab::new(url, token)),
        _ => None,
    };
    let projects = ours.projects(command.project.as_deref()).await?;
    if projects.is_empty() {
        say("nothing came yet, so nothing is known to be missing");
    }
    let mut tally = Tally::default();
    for (id, measures) in &projects {
        let path = measures.iter().find_map(|measured| measured.path_with_namespace.clone());
        say(format!("{} (project {id})", path.as_deref().unwrap_or("no path")));
        for measured in measures {
            say(format!("  {measured}"));
        }
        match (&gitlab, path) {
            (Some(gitlab), Some(path)) => compare(&ours, gitlab, *id, &path, &command, &mut tally).await?,
            (Some(_), None) => say("    not compared: no event named the project's path"),
            (None, _) => ours.gaps(*id).await?.iter().for_each(|gap| say(format!("    missing: {gap}"))),
        }
    }
    if gitlab.is_some() {
        let done = if command.repair { "fetched and reported" } else { "there in GitLab (--repair fetches them)" };
        let Tally { sent_again, fetched, gone, left } = tally;
        say(format!("{sent_again} sent again, {fetched} {done}, {gone} not there any more, {left} left"));
    }
    Ok(())
}

/// Compares a project with GitLab's own, and fills its gaps if that is asked for.
async fn compare(
    ours: &Ours<'_>,
    gitlab: &GitLab,
    id: i64,
    path: &str,
    command: &Gaps,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let home = match gitlab.project(id, path).await? {
        Ok(home) => home,
        Err(why) => {
            say(format!("    not compared: {why}"));
            return Ok(());
        }
    };
    let again = gitlab.not_taken(id, command.hook).await?;
    for note in &again.notes {
        say(format!("    {note}"));
    }
    for event in &again.events {
        if !command.repair {
            say(format!(
                "    not taken ({}): {} of hook {}; --repair sends it again",
                event.status, event.trigger, event.hook
            ));
            continue;
        }
        let outcome = gitlab.send_again(id, event).await?;
        say(format!("    sent again: {} of hook {}: {outcome}", event.trigger, event.hook));
        tally.sent_again += usize::from(outcome.is_taken());
    }
    if command.repair && !again.events.is_empty() {
        tokio::time::sleep(COUNTED).await;
    }
    let mut pipelines = BTreeMap::new();
    let gaps = ours.gaps(id).await?;
    if let Some(span) = span_of_pipelines(&gaps) {
        pipelines = gitlab.pipelines(id, span).await?;
    }
    for gap in &gaps {
        match gap {
            Gap::Pushes { git_ref, before, after } => {
                if tally.fetched >= command.limit {
                    tally.left += 1;
                    continue;
                }
                let found = match before {
                    Some(before) => bodies::pushes(gitlab, &home, git_ref, before, after).await?,
                    None => None,
                };
                settle(ours, gitlab, &home, gap.to_string(), found, command.repair, tally).await?;
            }
            Gap::Objects { measure, first_iid, last_iid } => {
                for iid in *first_iid..=*last_iid {
                    if tally.fetched >= command.limit {
                        tally.left += usize::try_from(last_iid - iid + 1).unwrap_or(usize::MAX);
                        break;
                    }
                    let found = match measure.as_str() {
                        "merge_request" => bodies::merge_request(gitlab, &home, iid).await?,
                        "issue" => bodies::issue(gitlab, &home, iid).await?,
                        "pipeline" => match pipelines.get(&iid) {
                            Some(pipeline) => bodies::pipeline(gitlab, &home, *pipeline).await?,
                            None => None,
                        },
                        // A newer server counts what this program does not know.
                        _ => {
                            tally.left += 1;
                            continue;
                        }
                    };
                    settle(ours, gitlab, &home, format!("{measure} {iid}"), found, command.repair, tally).await?;
                }
            }
        }
    }
    Ok(())
}

/// Says whether GitLab has it, and reports it.
async fn settle(
    ours: &Ours<'_>,
    gitlab: &GitLab,
    home: &Home,
    name: String,
    found: Option<Found>,
    repair: bool,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let Some(found) = found else {
        say(format!("    {name}: not there any more, or not for this token"));
        tally.gone += 1;
        return Ok(());
    };
    tally.fetched += 1;
    if !repair {
        say(format!("    {name}: in GitLab: {}", found.name));
        return Ok(());
    }
    // The same gap has the same key, so that a run that was cut off does not report twice what it reported.
    let key = Sha256::new().chain_update(gitlab.url()).chain_update(home.project.id.to_string()).chain_update(&name);
    let payload = serde_json::value::RawValue::from_string(String::from_utf8(found.body)?)?;
    let report = Report { trigger: found.trigger, payload: &payload };
    let path = &home.project.path_with_namespace;
    let key = format!("gap-{}", hex::encode(key.finalize()));
    let id = client::report(ours.url, ours.token, path, &report, &key, PATIENCE).await;
    let id = id.with_context(|| format!("{name} could not be reported to the project {path}"))?;
    say(format!("    {name}: reported as {id}: {}", found.name));
    Ok(())
}

#[derive(serde::Serialize)]
struct Report<'a> {
    trigger: &'a str,
    payload: &'a serde_json::value::RawValue,
}

/// From the first to the last number of a pipeline that is missing: GitLab lists pipelines, and finds none by this number.
fn span_of_pipelines(gaps: &[Gap]) -> Option<(i64, i64)> {
    let spans = gaps.iter().filter_map(|gap| match gap {
        Gap::Objects { measure, first_iid, last_iid } if measure == "pipeline" => Some((*first_iid, *last_iid)),
        _ => None,
    });
    spans.reduce(|(first, last), span| (first.min(span.0), last.max(span.1)))
}

/// Our server.
struct Ours<'a> {
    url: &'a str,
    token: &'a str,
}

impl Ours<'_> {
    async fn projects(&self, wanted: Option<&str>) -> anyhow::Result<BTreeMap<i64, Vec<Measured>>> {
        let query = wanted.map(|project| format!("?project={}", encoded(project))).unwrap_or_default();
        let mut list = client::ask(self.url, self.token, &format!("insights/completeness{query}"), None).await?;
        let items: Vec<Measured> =
            serde_json::from_value(list["items"].take()).context("the server lists no measures")?;
        let mut projects: BTreeMap<i64, Vec<Measured>> = BTreeMap::new();
        for item in items {
            projects.entry(item.project_id).or_default().push(item);
        }
        Ok(projects)
    }

    async fn gaps(&self, project: i64) -> anyhow::Result<Vec<Gap>> {
        let (mut gaps, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("insights/gaps?project={project}&limit={PAGE}{after}");
            let mut page = client::ask(self.url, self.token, &path, None).await?;
            let items: Vec<Gap> = serde_json::from_value(page["items"].take()).context("the server lists no gaps")?;
            gaps.extend(items);
            match &page["next"] {
                Value::String(next) => after = format!("&after={}", encoded(next)),
                _ => return Ok(gaps),
            }
        }
    }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measure, known, missing, completeness, coverage_starts, .. } = self;
        // Rounded down: nothing that lacks something is 100 %.
        let percent = (completeness * 1_000.0).floor() / 10.0;
        write!(f, "{measure:<14} {known} known, {missing} missing ({percent} %) since {coverage_starts}")?;
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
                write!(f, "push of {git_ref} from {} to {after}", before.as_deref().unwrap_or("somewhere"))
            }
            Self::Objects { measure, first_iid, last_iid } if first_iid == last_iid => {
                write!(f, "{measure} {first_iid}")
            }
            Self::Objects { measure, first_iid, last_iid } => write!(f, "{measure} {first_iid} to {last_iid}"),
        }
    }
}
