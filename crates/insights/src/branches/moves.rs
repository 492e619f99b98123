//! The moves of one branch. They show whether the branch exists at a time, and its lives that have ended.

use std::collections::{HashMap, HashSet};

use super::{Move, Push, is_zero, trails};
use quickdraw_domain::Timestamp;

/// The moves of one branch: time of the first receipt, commit before, commit after.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Moves(Vec<(Timestamp, String, String)>);

/// A life of a branch that ended with its deletion. Its times are those of receipt, because a push has no time of its
/// own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Life {
    /// Receipt of its first move.
    pub began_at: Timestamp,

    /// Receipt of its deletion.
    pub ended_at: Timestamp,
}

impl Moves {
    /// Adds a push of the branch.
    pub fn add(&mut self, push: &Push) {
        self.0.push((push.received_at, push.before.clone(), push.after.clone()));
    }

    /// Sorts the moves and removes duplicates. Call it when all moves are added. A move can be added twice, from a
    /// received event and from a backfill.
    pub fn sort(&mut self) {
        self.0.sort_unstable();

        let mut seen = HashSet::new();
        let is_first: Vec<bool> = self
            .0
            .iter()
            .map(|(_, from, to)| seen.insert((from.clone(), to.clone())))
            .collect();

        let mut is_first = is_first.into_iter();
        self.0.retain(|_| is_first.next().unwrap_or(true));
    }

    /// The time at which the branch was deleted, using only the moves received before a time. None while the branch
    /// exists.
    ///
    /// The commits of the moves decide. If pushes are missing and several orders are possible, the times of receipt
    /// decide: a push follows a deletion if it was received later and does not lead to the deleted commit.
    #[must_use]
    pub fn deleted_at(&self, before: Timestamp) -> Option<Timestamp> {
        let known = &self.0[..self.0.partition_point(|(at, ..)| *at < before)];
        let deletion = known.iter().rposition(|(_, _, to)| is_zero(to))?;
        let (deleted_at, last, _) = &known[deletion];

        if let Some(is_there) = is_there(known) {
            return (!is_there).then_some(*deleted_at);
        }

        let later = &known[deletion + 1..];
        if later.is_empty() {
            return Some(*deleted_at);
        }

        // The commits that led to the deletion, among those received before it. If they reach back to the creation,
        // every push that was received later also happened later.
        let (led_there, is_whole) = leading_to(last, &known[..deletion]);
        if is_whole {
            return None;
        }

        let (late, _) = leading_to(last, known);
        later
            .iter()
            .all(|(_, _, to)| led_there.contains(to.as_str()) || late.contains(to.as_str()))
            .then_some(*deleted_at)
    }

    /// True if the branch exists after all moves, according to their commits. None if several orders are possible.
    #[must_use]
    pub fn is_there(&self) -> Option<bool> {
        is_there(&self.0)
    }

    /// The last receipt of a move before a time.
    #[must_use]
    pub fn last_before(&self, before: Timestamp) -> Option<Timestamp> {
        self.0[..self.0.partition_point(|(at, ..)| *at < before)]
            .last()
            .map(|(at, ..)| *at)
    }

    /// The lives that have ended, by the time of their end.
    #[must_use]
    pub fn lives(&self) -> Vec<Life> {
        let moves = as_moves(&self.0);
        let mut lives = Vec::new();

        for trail in trails(&moves) {
            let Some(last) = trail.last().filter(|last| is_zero(moves[**last].after)) else {
                continue;
            };
            let ended_at = self.0[*last].0;
            let mut began_at = trail.iter().map(|index| self.0[*index].0).min().unwrap_or(ended_at);

            if !is_zero(moves[trail[0]].before) {
                // Pushes after the creation are missing. The creation is the last one that was received before the end.
                let mut made = self.0.iter().filter(|(at, from, _)| is_zero(from) && *at < ended_at);
                began_at = made.next_back().map_or(began_at, |(at, ..)| *at);
            }

            lives.push(Life { began_at, ended_at });
        }

        lives.sort_unstable_by_key(|life| (life.ended_at, life.began_at));
        lives
    }

    /// Receipt of the first move.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, ..)| *at)
    }
}

fn as_moves(all: &[(Timestamp, String, String)]) -> Vec<Move<'_>> {
    all.iter()
        .map(|(_, before, after)| Move {
            before,
            after,
            made: None,
        })
        .collect()
}

fn is_there(known: &[(Timestamp, String, String)]) -> Option<bool> {
    let moves = as_moves(known);
    let trails = trails(&moves);
    let (mut open, mut broken) = (0, 0);

    for trail in &trails {
        let (first, last) = (moves[trail[0]], moves[trail[trail.len() - 1]]);
        open += usize::from(!is_zero(last.after));
        broken += usize::from(!is_zero(first.before));
    }

    match open {
        0 => Some(false),
        // All other lives have ended, so the open one is the last.
        1 if trails.len() == 1 || broken == 0 => Some(true),
        _ => None,
    }
}

/// The commits that the branch had before a commit, and true if they reach back to the creation of the branch.
fn leading_to<'a>(end: &'a str, moves: &'a [(Timestamp, String, String)]) -> (HashSet<&'a str>, bool) {
    let came_from: HashMap<&str, &str> = moves.iter().map(|(_, from, to)| (to.as_str(), from.as_str())).collect();
    let (mut passed, mut at) = (HashSet::from([end]), end);

    while let Some(from) = came_from.get(at).filter(|from| passed.insert(from)) {
        at = from;

        // The moves before a creation belong to other lives.
        if is_zero(at) {
            return (passed, true);
        }
    }

    (passed, false)
}
