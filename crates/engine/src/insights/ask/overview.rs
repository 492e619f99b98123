//! Reads the current state of projects, as [`Overview`] decides. There can be many projects, so they are read piece by
//! piece.

use std::collections::BTreeMap;

use quickdraw_insights::entity::{Family, Item};
use quickdraw_insights::question::{FamilyRead, Overview};
use quickdraw_insights::report::CommitCount;
use quickdraw_store::SharedStore;
use quickdraw_store::overview::{KnownBranch, Piece};

/// Projects that are read together, by their ids in events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Projects {
    /// The first project.
    pub(crate) first: i64,

    /// The last project, which is included.
    pub(crate) last: i64,
}

/// The items and commits of some projects.
pub(crate) struct FoundProjects {
    /// The items of all families.
    pub(crate) items: Vec<Item>,

    /// The counts of commits by hour.
    pub(crate) commits: Vec<CommitCount>,

    /// True if a family has more items than were read.
    pub(crate) is_cut: bool,
}

/// The projects with any data, and about how many bytes their items take.
pub(crate) async fn weigh(store: &SharedStore, overview: Overview) -> quickdraw_store::Result<BTreeMap<i64, i64>> {
    let all = Projects {
        first: i64::MIN,
        last: i64::MAX,
    };

    let mut bytes: BTreeMap<i64, i64> = BTreeMap::new();

    for read in overview.reads().all() {
        for (project, of_family) in store.bytes_by_project(piece(read, all)).await? {
            let sum = bytes.entry(project).or_default();

            // Branches are read page by page and not kept.
            if read.family != Family::Branches {
                *sum = sum.saturating_add(of_family);
            }
        }
    }

    Ok(bytes)
}

/// Reads the items and commits of some projects, at most about `most` bytes of each family.
pub(crate) async fn read(
    store: &SharedStore,
    overview: Overview,
    projects: Projects,
    most: usize,
) -> quickdraw_store::Result<FoundProjects> {
    let reads = overview.reads();
    let (mut items, mut is_cut) = (Vec::new(), false);

    for read in reads.items {
        let (found, has_more) = store.newest_items(piece(read, projects), most).await?;
        items.extend(found);
        is_cut |= has_more;
    }

    let commits = store.commit_counts(piece(reads.commits, projects)).await?;
    Ok(FoundProjects { items, commits, is_cut })
}

/// Reads the branches after the one with a key, in the order of their keys.
pub(crate) async fn next_branches(
    store: &SharedStore,
    overview: Overview,
    projects: Projects,
    after: (i64, i64),
    limit: usize,
) -> quickdraw_store::Result<Vec<KnownBranch>> {
    let branches = piece(overview.reads().branches, projects);
    store.branches_after(branches, after, limit).await
}

/// A read that is limited to some projects.
const fn piece(read: FamilyRead, projects: Projects) -> Piece {
    Piece {
        family: read.family,
        from: read.from,
        to: read.to,
        first: projects.first,
        last: projects.last,
    }
}
