//! The data of projects that is shown, read piece by piece, so that what is in memory at once goes by the
//! largest project.

use std::collections::{BTreeMap, HashMap, HashSet};

use quickdraw_domain::Timestamp;
use quickdraw_insights::branches::Moves;
use quickdraw_insights::deployments::{self, Deployment};
use quickdraw_insights::entity::{Entity, Family, Item};
use quickdraw_insights::pipelines::Job;
use quickdraw_store::overview::{CommitCount, KnownBranch, Piece};

use super::{JOBS, LAST, WINDOW};
use crate::context::Context;

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

/// The families that are read, each with the beginning of its window: items that are open at its end, or ended in it.
fn windows(now: Timestamp) -> [(Family, Timestamp); 5] {
    [
        (Family::MergeRequests, now.minus(WINDOW)),
        // The last one of a branch can be old.
        (Family::Pipelines, now.minus(WINDOW).minus(LAST)),
        (Family::Deployments, now.minus(LAST)),
        (Family::Jobs, now.minus(JOBS)),
        (Family::Commits, now.minus(WINDOW)),
    ]
}

/// The projects that are read together, as the first and the last of each piece: as many as fit; a larger project by
/// itself.
pub(super) fn pieces(bytes: &BTreeMap<i64, i64>) -> Vec<(i64, i64)> {
    let most = i64::try_from(PIECE).unwrap_or(i64::MAX);
    let mut pieces: Vec<(i64, i64)> = Vec::new();
    let mut together: i64 = 0;

    for (project, bytes) in bytes {
        together = together.saturating_add(*bytes);

        match pieces.last_mut() {
            Some((_, last)) if together <= most => *last = *project,
            _ => {
                pieces.push((*project, *project));
                together = *bytes;
            }
        }
    }

    pieces
}

/// The projects that there is something of, and about how many bytes that takes.
pub(super) async fn weigh_projects(context: &Context, now: Timestamp) -> anyhow::Result<BTreeMap<i64, i64>> {
    let mut all: BTreeMap<i64, i64> = BTreeMap::new();
    let whole = |(family, from)| Piece {
        family,
        from,
        to: now,
        first: i64::MIN,
        last: i64::MAX,
    };

    for window in windows(now) {
        for (project, bytes) in context.store.bytes_by_project(whole(window)).await? {
            let sum = all.entry(project).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }

    // These are read page by page and not kept.
    for (project, _) in context.store.bytes_by_project(whole((Family::Branches, now))).await? {
        all.entry(project).or_default();
    }

    Ok(all)
}

/// Reads some projects, and returns whether there is more of them than was read.
pub(super) async fn read_projects(
    context: &Context,
    (first, last): (i64, i64),
    now: Timestamp,
) -> anyhow::Result<(BTreeMap<i64, Read>, bool)> {
    let mut all: BTreeMap<i64, Read> = BTreeMap::new();
    let (mut items, mut is_cut) = (Vec::new(), false);

    for (family, from) in windows(now) {
        let piece = Piece {
            family,
            from,
            to: now,
            first,
            last,
        };

        if family == Family::Commits {
            for one in context.store.commit_counts(piece).await? {
                all.entry(one.project).or_default().commits.push(one);
            }

            continue;
        }

        let (found, has_more) = context.store.newest_items(piece, PIECE).await?;
        items.extend(found);
        is_cut |= has_more;
    }

    deployments::keep(&mut items, &mut Vec::new(), None);
    for item in items {
        all.entry(item.key().0).or_default().add(item);
    }

    read_branches(context, &mut all, (first, last), now).await?;
    for read in all.values_mut() {
        read.add_branches_of_pipelines(now);
    }

    Ok((all, is_cut))
}

/// Adds the branches of some projects, of which the pipelines are known.
async fn read_branches(
    context: &Context,
    all: &mut BTreeMap<i64, Read>,
    (first, last): (i64, i64),
    now: Timestamp,
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
    let piece = Piece {
        family: Family::Branches,
        from: now,
        to: now,
        first,
        last,
    };

    let mut after = (first, i64::MIN);
    loop {
        let page = context.store.branches_after(piece, after, PAGE).await?;
        for known in &page {
            let project = known.branch.project;
            let names = with_pipelines.get(&project).unwrap_or(&none);
            all.entry(project).or_default().add_branch(known, names, now);
        }

        match page.last() {
            Some(known) if page.len() == PAGE => after = known.branch.key(),
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use quickdraw_insights::question::Wanted;

    use super::super::project::question;
    use super::*;

    #[test]
    fn the_windows_contain_what_each_shown_metric_reads() {
        let now = Timestamp::from_seconds(1_800_000_000);
        let of_merge_requests = [
            "mr_open",
            "mr_merged",
            "mr_closed_unmerged",
            "mr_waiting",
            "time_to_merge",
            "time_to_first_approval",
        ];

        let of_pipelines = [
            "pipeline_duration",
            "pipeline_success_share",
            "pipeline_failure_share",
            "pipeline_other_share",
        ];

        for name in of_merge_requests.into_iter().chain(of_pipelines) {
            let reads = question(name, now).expect("a metric").reads();
            let is_read = |(family, from): &(Family, Timestamp)| {
                reads.items.wanted == Wanted::Items(*family) && *from <= reads.items.from
            };
            assert!(windows(now).iter().any(is_read), "{name}");
            assert_eq!((reads.items.to, reads.context), (now, Vec::new()), "{name}");
        }
    }

    #[test]
    fn projects_are_read_together_as_far_as_they_fit() {
        let most = i64::try_from(PIECE).expect("it fits");
        let bytes = [(-3, 0), (1, most), (2, 1), (5, most - 1), (7, 1), (8, most * 9), (9, 1)];
        assert_eq!(
            pieces(&bytes.into_iter().collect()),
            [(-3, 1), (2, 5), (7, 7), (8, 8), (9, 9)]
        );

        assert_eq!(pieces(&BTreeMap::new()), []);
    }
}
