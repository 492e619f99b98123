//! `quickdraw backfill`: reports past events to a server. They count for insights and are not delivered to hooks. An
//! event that the server already has counts once, so a backfill may run repeatedly and while events arrive.

mod file;
mod from_gitlab;
#[cfg(feature = "git")]
mod git;
mod positions;
mod report;
mod timeline;

use std::path::PathBuf;

#[cfg(feature = "git")]
use anyhow::Context;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

#[cfg(feature = "git")]
use super::encoded;
use crate::client;

#[derive(Subcommand)]
pub(crate) enum From {
    #[cfg(feature = "git")]
    /// Backfill the commits of a local git repository, from all of its branches and tags.
    Git {
        /// Path of the repository, bare or not.
        repository: PathBuf,
        /// Full path of the project in GitLab that the commits belong to.
        #[arg(long)]
        project: String,
        /// Number of the project in GitLab. Required only if the server has no event of the project yet.
        #[arg(long)]
        project_id: Option<i64>,
        /// Default branch. Defaults to the branch that HEAD names.
        #[arg(long)]
        branch: Option<String>,
        #[command(flatten)]
        reporting: Reporting,
    },

    /// Backfill from GitLab's API: merge requests and issues with their history, pipelines with their jobs,
    /// deployments, pushes and commits.
    ///
    /// A run that was interrupted continues at its last position.
    Gitlab {
        /// Base URL of the GitLab server.
        #[arg(long)]
        gitlab: String,
        /// File with an access token for GitLab, with the scope read_api; - reads standard input. Defaults to the
        /// variable GITLAB_TOKEN.
        #[arg(long, value_name = "FILE")]
        gitlab_token_file: Option<PathBuf>,
        /// Full path or number of a project; may be repeated. Defaults to every project that the server has events of.
        #[arg(long)]
        project: Vec<String>,
        /// Skip objects whose last change was before this day, such as 2026-01-31.
        #[arg(long)]
        since: Option<jiff::civil::Date>,
        /// File that stores the position. If it does not exist, the backfill starts from the beginning.
        #[arg(long, default_value = "quickdraw-backfill.json")]
        position: PathBuf,
        #[command(flatten)]
        reporting: Reporting,
    },

    /// Backfill a file of past payloads.
    ///
    /// The file contains JSON values, in sequence or in an array. Each value is a body, an object {"trigger": …,
    /// "received_at": …, "payload": body}, or an entry of GitLab's list of hook events.
    File {
        /// Path of the file; - reads standard input.
        file: PathBuf,
        #[command(flatten)]
        reporting: Reporting,
    },
}

#[derive(Args)]
pub(crate) struct Command {
    #[command(subcommand)]
    from: From,
}

/// The options that all backfills have.
#[derive(Args)]
pub(crate) struct Reporting {
    /// Print the totals and failures as one JSON document. Progress goes to standard error.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: client::Server,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match command.from {
        #[cfg(feature = "git")]
        From::Git {
            repository,
            project,
            project_id,
            branch,
            reporting,
        } => {
            let reporter = report::Reporter::new(&reporting)?;
            let id = match project_id {
                Some(id) => id,
                None => number_of(&reporting.server, &project).await?,
            };

            git::run(
                &repository,
                &git::Home {
                    id,
                    path: &project,
                    branch,
                },
                reporter,
            )
            .await
        }

        From::Gitlab {
            gitlab,
            gitlab_token_file,
            project,
            since,
            position,
            reporting,
        } => {
            let token = client::gitlab_token(gitlab_token_file.as_deref())?;
            let gitlab = super::gitlab::GitLab::noting(&gitlab, &token, reporting.json)?;
            let projects = if project.is_empty() {
                all(&reporting.server).await?
            } else {
                project
            };

            let positions = positions::Positions::read(position)?;
            from_gitlab::run(&gitlab, &projects, since, positions, report::Reporter::new(&reporting)?).await
        }
        From::File { file, reporting } => file::run(&file, report::Reporter::new(&reporting)?).await,
    }
}

#[cfg(feature = "git")]
/// Finds the number of a project, as events have it, by its path.
async fn number_of(server: &client::Server, path: &str) -> anyhow::Result<i64> {
    let question = format!("insights/completeness?project={}", encoded(path));
    let found = client::ask(&server.url()?, &server.token()?, &question, None).await;
    let id = found
        .ok()
        .and_then(|page| page["items"][0]["source_project_id"].as_i64());
    id.with_context(|| format!("the server has no event of {path} yet: give its number in GitLab with --project-id"))
}

/// Returns the numbers of all projects that the server has events of.
async fn all(server: &client::Server) -> anyhow::Result<Vec<String>> {
    let (url, token) = (server.url()?, server.token()?);
    let (mut all, mut after) = (Vec::new(), String::new());

    loop {
        let page = client::ask(&url, &token, &format!("insights/completeness{after}"), None).await?;
        for item in page["items"].as_array().into_iter().flatten() {
            all.extend(item["source_project_id"].as_i64());
        }

        match page["next"].as_str() {
            Some(next) => after = format!("?after={next}"),
            None => break,
        }
    }

    all.sort_unstable();
    all.dedup();

    anyhow::ensure!(
        !all.is_empty(),
        "the server has no event of any project yet: name the projects with --project"
    );

    Ok(all.into_iter().map(|id| id.to_string()).collect())
}

fn bar(what: &str, total: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{msg:20} {bar:40} {pos}/{len}, {eta} left")?;
    Ok(ProgressBar::new(total).with_style(style).with_message(what.to_owned()))
}
