//! The data of projects that is shown, read piece by piece, so that what is in memory at once goes by the
//! largest project.

use std::collections::{BTreeMap, HashMap, HashSet};

use quickdraw_domain::Timestamp;
use quickdraw_insights::branches::Moves;
use quickdraw_insights::deployments::{self, Deployment};
use quickdraw_insights::entity::{Entity, Item};
use quickdraw_insights::pipelines::Job;
use quickdraw_insights::question::Overview;
use quickdraw_insights::report::CommitCount;
use quickdraw_store::overview::KnownBranch;

use super::WINDOW;
use crate::context::Context;
use crate::insights::ask::overview::{self, Projects};

/// About how many bytes of stored states are read at once, and most of one family of one project. In memory they take a
/// few times as much.
const PIECE: usize = 4 << 20;
/// Branches of one look into the store.
const PAGE: usize = 500;

/// The data of one project.
#[derive(Default)]
pub(super) struct Read {
    pub(super) merge_requests: Vec<Item>,
    pub(super) commits: Vec<CommitCount>,
    pub(super) pipelines: Vec<Item>,
    pub(super) deployments: Vec<Deployment>,
    pub(super) jobs: Vec<Job>,

    /// How many branches there are.
    pub(super) branches: usize,

    /// Those of them that had a pipeline.
    pub(super) open_branches: HashSet<String>,

    /// Branches that had a pipeline and a push, …
    pushed_branches: HashSet<String>,

    /// … and of these the protected ones.
    pub(super) protected: HashSet<String>,
    pub(super) open_merge_requests: HashSet<i64>,

    /// The one that was committed to last: it can have had another name before.
    pub(super) default_branch: Option<(Option<Timestamp>, Timestamp, String)>,
}

impl Read {
    fn add(&mut self, item: Item) {
        match item {
            Item::MergeRequest(ref merge_request) => {
                if merge_request.is_open() {
                    self.open_merge_requests.insert(merge_request.iid);
                }

                self.merge_requests.push(item);
            }
            Item::Pipeline(_) => self.pipelines.push(item),
            Item::Deployment(deployment) => self.deployments.push(deployment),
            Item::Job(job) => self.jobs.push(job),
            _ => {}
        }
    }

    /// Adds a branch that had a push. Names are kept of branches that had a pipeline: only those are shown by name.
    fn add_branch(&mut self, known: &KnownBranch, with_pipelines: &HashSet<String>, now: Timestamp) {
        let KnownBranch { branch, moves } = known;
        let name = branch.git_ref.strip_prefix("refs/heads/").unwrap_or(&branch.git_ref);
        if branch.is_default {
            let this = (branch.last_commit_at, branch.first_received_at, name.to_owned());
            self.default_branch = self.default_branch.take().max(Some(this));
        }

        let mut all = Moves::default();
        moves.iter().for_each(|push| all.add(push));
        all.sort();

        let is_open = all.deleted_at(now).is_none();
        self.branches += usize::from(is_open);

        if !with_pipelines.contains(name) {
            return;
        }

        if is_open {
            self.open_branches.insert(name.to_owned());
        }

        if branch.is_protected {
            self.protected.insert(name.to_owned());
        }

        self.pushed_branches.insert(name.to_owned());
    }

    /// Adds branches that are only known by pipelines: the default branch, and branches without a push. No event
    /// reports that such a branch was deleted, so it is shown while it had a pipeline in the window, as tags are.
    fn add_branches_of_pipelines(&mut self, now: Timestamp) {
        for item in &self.pipelines {
            let Item::Pipeline(one) = item else { continue };
            let Some(name) = one.branch() else { continue };

            if one.is_default {
                let this = (one.created_at, one.first_received_at, name.to_owned());
                self.default_branch = self.default_branch.take().max(Some(this));
            }

            let is_young = one.opened_at() >= Some(now.minus(WINDOW));
            if is_young && !self.pushed_branches.contains(name) && self.open_branches.insert(name.to_owned()) {
                self.branches += 1;
            }
        }
    }
}

/// The projects that are read together: as many as fit; a larger project by itself.
pub(super) fn pieces(bytes: &BTreeMap<i64, i64>) -> Vec<Projects> {
    let most = i64::try_from(PIECE).unwrap_or(i64::MAX);
    let mut pieces: Vec<Projects> = Vec::new();
    let mut together: i64 = 0;

    for (project, bytes) in bytes {
        together = together.saturating_add(*bytes);

        match pieces.last_mut() {
            Some(piece) if together <= most => piece.last = *project,
            _ => {
                pieces.push(Projects {
                    first: *project,
                    last: *project,
                });

                together = *bytes;
            }
        }
    }

    pieces
}

/// Reads some projects, and returns whether there is more of them than was read.
pub(super) async fn read_projects(
    context: &Context,
    projects: Projects,
    overview: Overview,
) -> anyhow::Result<(BTreeMap<i64, Read>, bool)> {
    let mut found = overview::read(&context.store, overview, projects, PIECE).await?;
    let mut all: BTreeMap<i64, Read> = BTreeMap::new();

    deployments::keep(&mut found.items, &mut Vec::new(), None);
    for item in found.items {
        all.entry(item.key().0).or_default().add(item);
    }

    for one in found.commits {
        all.entry(one.project).or_default().commits.push(one);
    }

    read_branches(context, &mut all, projects, overview).await?;
    for read in all.values_mut() {
        read.add_branches_of_pipelines(overview.now);
    }

    Ok((all, found.is_cut))
}

/// Adds the branches of some projects, of which the pipelines are known.
async fn read_branches(
    context: &Context,
    all: &mut BTreeMap<i64, Read>,
    projects: Projects,
    overview: Overview,
) -> anyhow::Result<()> {
    let mut with_pipelines: HashMap<i64, HashSet<String>> = HashMap::new();
    for (project, read) in all.iter() {
        let names = read.pipelines.iter().filter_map(|item| match item {
            Item::Pipeline(one) => one.git_ref.clone(),
            _ => None,
        });
        with_pipelines.insert(*project, names.collect());
    }

    let none = HashSet::new();
    let mut last = (projects.first, i64::MIN);

    loop {
        let page = overview::next_branches(&context.store, overview, projects, last, PAGE).await?;
        for known in &page {
            let project = known.branch.project;
            let names = with_pipelines.get(&project).unwrap_or(&none);
            all.entry(project).or_default().add_branch(known, names, overview.now);
        }

        match page.last() {
            Some(known) if page.len() == PAGE => last = known.branch.key(),
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_are_read_together_as_far_as_they_fit() {
        let most = i64::try_from(PIECE).expect("it fits");
        let bytes = [(-3, 0), (1, most), (2, 1), (5, most - 1), (7, 1), (8, most * 9), (9, 1)];
        let expected = [(-3, 1), (2, 5), (7, 7), (8, 8), (9, 9)].map(|(first, last)| Projects { first, last });
        assert_eq!(pieces(&bytes.into_iter().collect()), expected);

        assert_eq!(pieces(&BTreeMap::new()), []);
    }
}
