//! `quickdraw backfill`: tells a server what happened before it received anything. It counts for insights and is delivered to
//! nobody; what was received as well counts once, so it can be done again, and while events come.

mod file;
mod from_gitlab;
mod git;
mod positions;
mod tell;
mod timeline;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::encoded;
use crate::client;

#[derive(Subcommand)]
pub(crate) enum From {
    /// From the commits of a git repository on this machine: all of its branches and tags.
    Git {
        /// The repository, bare or not.
        repository: PathBuf,
        /// The project that they belong to: its path, as in events.
        #[arg(long)]
        project: String,
        /// Its number in GitLab; only needed where no event of it came yet.
        #[arg(long)]
        project_id: Option<i64>,
        /// The default branch; by default the one that HEAD names.
        #[arg(long)]
        branch: Option<String>,
        #[command(flatten)]
        server: client::Server,
    },
    /// From GitLab's API: merge requests and issues with what was done to them, pipelines with their jobs, deployments, pushes,
    /// commits. A run that breaks off is gone on with.
    Gitlab {
        /// Base URL of the GitLab.
        #[arg(long)]
        gitlab: String,
        /// Token for it, with read_api.
        #[arg(long, env = "GITLAB_TOKEN", hide_env_values = true)]
        gitlab_token: String,
        /// Its path or number; can be given several times. By default every project that events came from.
        #[arg(long)]
        project: Vec<String>,
        /// Nothing that was last changed before this day, such as 2026-01-31.
        #[arg(long)]
        since: Option<jiff::civil::Date>,
        /// Where it is written down how far it came. Without this file, it begins anew.
        #[arg(long, default_value = "quickdraw-backfill.json")]
        position: PathBuf,
        #[command(flatten)]
        server: client::Server,
    },
    /// From a file of past payloads: JSON, one after the other or in an array. Each is a body, or {"trigger": …, "received_at": …,
    /// "payload": body}, or what GitLab lists as a hook's events.
    File {
        /// The file; - reads standard input.
        file: PathBuf,
        #[command(flatten)]
        server: client::Server,
    },
}

/// The options that all have.
#[derive(Args)]
pub(crate) struct Command {
    #[command(subcommand)]
    from: From,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match command.from {
        From::Git { repository, project, project_id, branch, server } => {
            let teller = tell::Teller::new(&server)?;
            let id = match project_id {
                Some(id) => id,
                None => number_of(&server, &project).await?,
            };
            git::run(&repository, &git::Home { id, path: &project, branch }, teller).await
        }
        From::Gitlab { gitlab, gitlab_token, project, since, position, server } => {
            let gitlab = super::gitlab::GitLab::new(&gitlab, &gitlab_token);
            let projects = if project.is_empty() { all(&server).await? } else { project };
            let positions = positions::Positions::read(position)?;
            from_gitlab::run(&gitlab, &projects, since, positions, &server).await
        }
        From::File { file, server } => file::run(&file, tell::Teller::new(&server)?).await,
    }
}

/// A project's number in events, by its path.
async fn number_of(server: &client::Server, path: &str) -> anyhow::Result<i64> {
    let question = format!("insights/completeness?project={}", encoded(path));
    let found = client::ask(&server.url, &server.token()?, &question, None).await;
    let id = found.ok().and_then(|page| page["items"][0]["source_project_id"].as_i64());
    id.with_context(|| format!("no event of {path} came yet: give its number in GitLab as --project-id"))
}

/// Numbers of all projects that events came from.
async fn all(server: &client::Server) -> anyhow::Result<Vec<String>> {
    let (token, mut all, mut after) = (server.token()?, Vec::new(), String::new());
    loop {
        let page = client::ask(&server.url, &token, &format!("insights/completeness{after}"), None).await?;
        for item in page["items"].as_array().into_iter().flatten() {
            all.extend(item["source_project_id"].as_i64());
        }
        match page["next"].as_i64() {
            Some(next) => after = format!("?after={next}"),
            None => break,
        }
    }
    all.sort_unstable();
    all.dedup();
    anyhow::ensure!(!all.is_empty(), "no event came from any project yet: name the projects with --project");
    Ok(all.into_iter().map(|id| id.to_string()).collect())
}

fn bar(what: &str, total: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg:20} {bar:40} {pos}/{len}, {eta} left")?;
    Ok(ProgressBar::new(total).with_style(style).with_message(what.to_owned()))
}
