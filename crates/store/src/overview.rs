//! How things stand, read in pieces: memory goes by the largest piece and not by how much happened.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_insights::branches::{Branch, Push};
use quickdraw_insights::commits::Metric;
use quickdraw_insights::entity::{Family, Item};
pub use quickdraw_insights::report::CommitCount;

use crate::error::Result;

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;
/// Largest number of moves of one branch that are read, newest first, of those received and of those reported later.
pub(crate) const MAX_MOVES: usize = 1_000;
/// Git's longest name for nothing.
pub(crate) const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A part of what can count: of one family, in a window, and of projects from one number to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Of this family.
    pub family: Family,

    /// Items that existed from this point …
    pub from: Timestamp,

    /// … to before this one.
    pub to: Timestamp,

    /// The first project, by its number in events.
    pub first: i64,

    /// The last project, which is in it.
    pub last: i64,
}

/// A branch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownBranch {
    /// The branch.
    pub branch: Branch,

    /// Its newest moves, if it was ever deleted; none of a branch that never was.
    pub moves: Vec<Push>,
}

/// How things stand: what can be read of it.
#[async_trait]
pub trait Overview {
    /// Commits without merges in the window of a piece, by project, author and hour. The family of the piece is not
    /// looked at.
    async fn commit_counts(&self, piece: Piece) -> Result<Vec<CommitCount>>;

    /// About how many bytes a piece takes, by project; in ascending order of projects.
    async fn bytes_by_project(&self, piece: Piece) -> Result<Vec<(i64, i64)>>;

    /// The items of a piece, those that have not ended first and then the latest to end, until so many bytes are read.
    /// Returns also whether some are left.
    async fn newest_items(&self, piece: Piece, bytes: usize) -> Result<(Vec<Item>, bool)>;

    /// Branches that were known before the end of a piece's window, in the order of project and number, after such a
    /// pair. The family of the piece is not looked at.
    async fn branches_after(&self, piece: Piece, after: (i64, i64), limit: usize) -> Result<Vec<KnownBranch>>;
}

/// The parameters that select the rows of a piece: hours of commits by their metric, or items by their family.
pub(crate) fn weighed(piece: Piece) -> (i64, i64, i16) {
    let (from, to) = (piece.from.as_micros(), piece.to.as_micros());
    match piece.family {
        // The hour in which the window begins counts too.
        Family::Commits => (from.saturating_sub(HOUR) + 1, to, Metric::Commits.code()),
        family => (from, to, family.code()),
    }
}

/// The beginning of the first whole hour of a window and the end of the last one; both are its end where it has none.
/// Before the first and after the last lie parts of hours.
pub(crate) fn whole_hours(from: i64, to: i64) -> (i64, i64) {
    let first = from.saturating_add(HOUR - 1).div_euclid(HOUR) * HOUR;
    let last = to.div_euclid(HOUR) * HOUR;
    if first <= last { (first, last) } else { (to, to) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_whole_hours_between_the_parts_at_its_ends() {
        assert_eq!(whole_hours(0, 2 * HOUR), (0, 2 * HOUR));
        assert_eq!(whole_hours(1, 2 * HOUR + 1), (HOUR, 2 * HOUR));

        assert_eq!(
            whole_hours(HOUR + 1, HOUR + 5),
            (HOUR + 5, HOUR + 5),
            "all of it is a part of an hour"
        );

        assert_eq!(whole_hours(1, HOUR + 5), (HOUR, HOUR), "two parts and no whole hour");
    }
}
