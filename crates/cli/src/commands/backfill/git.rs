//! `quickdraw backfill git`: reports the commits of a local repository.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use gix::{ObjectId, Repository};
use quickdraw_domain::Trigger;
use serde_json::{Value, json};

use super::report::{Reported, Reporter};
use crate::commands::git_hook::commits::{self, describe, walk};

/// Maximum number of commits in one event, and the size in bytes from which an event is sent.
const TOGETHER: usize = 50;
const LARGEST: usize = 2 << 20;
/// Size of the object cache in bytes. It avoids reading a tree again for each commit.
const CACHE: usize = 64 << 20;

/// The project that the commits belong to.
pub(super) struct Home<'a> {
    pub(super) id: i64,
    pub(super) path: &'a str,
    pub(super) branch: Option<String>,
}

pub(super) async fn run(path: &Path, home: &Home<'_>, mut reporter: Reporter) -> anyhow::Result<()> {
    let mut repository = commits::open(path)?;
    repository.object_cache_size_if_unset(CACHE);

    let (branch, tip) = default_branch(&repository, home.branch.as_deref())?;
    let mut landed = walk(&repository, vec![tip], None)?;
    let mut others = walk(&repository, tips(&repository)?, Some(tip))?;

    // Oldest first, so that a later run with more commits does not change the events of an earlier run.
    landed.reverse();
    others.reverse();

    reporter.note(&format!(
        "{} commits on {branch}, {} elsewhere",
        landed.len(),
        others.len()
    ));

    let bar = super::bar("commits", (landed.len() + others.len()) as u64)?;
    let name = home.path.rsplit('/').next();
    let project = json!({ "id": home.id, "name": name, "path_with_namespace": home.path, "default_branch": branch });
    let full_name = format!("refs/heads/{branch}");

    for (git_ref, ids) in [(Some(&full_name), &landed), (None, &others)] {
        // These bodies have no `before` and `after`: the time and the author of the push are unknown, so no branch
        // moves.
        let body = |commits: &[Value]| {
            json!({ "object_kind": "push", "event_name": "push", "ref": git_ref, "project_id": home.id,
                "project": project, "commits": commits })
        };

        let (mut commits, mut bytes) = (Vec::new(), 0);
        for id in ids {
            let commit = described(&repository, *id)?;
            bytes += commit.to_string().len();
            commits.push(commit);

            if commits.len() == TOGETHER || bytes > LARGEST {
                reporter
                    .report(Reported::of(Trigger::PUSH, None, &body(&commits))?)
                    .await?;
                (commits, bytes) = (Vec::new(), 0);
            }

            bar.inc(1);
        }

        if !commits.is_empty() {
            reporter
                .report(Reported::of(Trigger::PUSH, None, &body(&commits))?)
                .await?;
        }
    }

    bar.finish_and_clear();
    reporter.end().await
}

fn described(repository: &Repository, id: ObjectId) -> anyhow::Result<Value> {
    let mut commit = describe(repository, id, true)?;
    let parents = repository
        .find_commit(id)?
        .parent_ids()
        .map(|parent| parent.to_string())
        .collect::<Vec<_>>();
    commit["parent_ids"] = json!(parents);

    Ok(commit)
}

/// The name and the tip of the default branch.
fn default_branch(repository: &Repository, named: Option<&str>) -> anyhow::Result<(String, ObjectId)> {
    let branch = match named {
        Some(branch) => branch.to_owned(),
        None => {
            let head = repository.head_name().context("failed to read HEAD")?;
            head.context("HEAD does not name a branch: give the default branch with --branch")?
                .shorten()
                .to_string()
        }
    };

    for name in [format!("refs/heads/{branch}"), format!("refs/remotes/origin/{branch}")] {
        if let Some(mut reference) = repository.try_find_reference(&name)? {
            return Ok((branch, reference.peel_to_id()?.detach()));
        }
    }

    anyhow::bail!("the branch {branch} does not exist or has no commit: give the default branch with --branch")
}

/// The commits that branches, remote branches and tags point at.
fn tips(repository: &Repository) -> anyhow::Result<Vec<ObjectId>> {
    let mut tips = HashSet::new();
    for reference in repository.references()?.all()? {
        let mut reference = reference.map_err(|error| anyhow::anyhow!("failed to read a reference: {error}"))?;
        let name = reference.name().as_bstr().to_string();

        // Stashes and notes are not commits of the project.
        if !["refs/heads/", "refs/remotes/", "refs/tags/"]
            .iter()
            .any(|start| name.starts_with(start))
        {
            continue;
        }

        // A tag of a tree or a file has no commit.
        if let Ok(id) = reference.peel_to_id()
            && repository.find_commit(id).is_ok()
        {
            tips.insert(id.detach());
        }
    }

    Ok(tips.into_iter().collect())
}
