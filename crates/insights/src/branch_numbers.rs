//! Numbers about branches that do not depend on when pushes were received. `verify` compares them.

use std::collections::BTreeMap;

use super::branches::{Moves, Push, rewrites};

/// Totals over all pushes of one project.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct BranchNumbers {
    /// Moves of branches.
    pub pushes: u64,

    /// Pushes that rewrote history.
    pub rewrites: u64,

    /// Branches that exist after all pushes, as their bodies show.
    pub open: u64,

    /// Branches that are deleted after all pushes, as their bodies show.
    pub deleted: u64,
}

impl BranchNumbers {
    /// Computes the numbers from all pushes of one project, in any order.
    #[must_use]
    pub fn of(pushes: &[Push]) -> Self {
        let mut by_branch: BTreeMap<&str, Vec<&Push>> = BTreeMap::new();
        for push in pushes {
            by_branch.entry(&push.git_ref).or_default().push(push);
        }

        let mut numbers = Self::default();
        for pushes in by_branch.values() {
            numbers.pushes += count(pushes.len());
            numbers.rewrites += count(rewrites(pushes).len());

            let mut moves = Moves::default();
            for push in pushes {
                moves.add(push);
            }

            moves.sort();

            match moves.is_there() {
                Some(true) => numbers.open += 1,
                Some(false) => numbers.deleted += 1,
                // Pushes are missing, so only the times of receipt could decide.
                None => {}
            }
        }

        numbers
    }

    /// The numbers with their names.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 4] {
        [
            ("pushes, received at other times", self.pushes),
            ("rewrites, received at other times", self.rewrites),
            ("open branches, received at other times", self.open),
            ("deleted branches, received at other times", self.deleted),
        ]
    }
}

fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}
