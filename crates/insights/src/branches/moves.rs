//! The moves of one branch: whether it is there at a time, and the lives that ended.

use std::collections::{HashMap, HashSet};

use super::{Move, Push, is_zero, trails};
use quickdraw_domain::Timestamp;

/// The moves of one branch, each by its first receipt: from where and to where.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Moves(Vec<(Timestamp, String, String)>);

/// A life of a branch that ended with its deletion, by times of receipt: a push has no time of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Life {
    /// When its first move was received.
    pub began_at: Timestamp,
    /// When its deletion was received.
    pub ended_at: Timestamp,
}

impl Moves {
    /// Adds a push of the branch.
    pub fn add(&mut self, push: &Push) {
        self.0.push((push.received_at, push.before.clone(), push.after.clone()));
    }

    /// Puts them in order, when all are there. A move that was added twice, as received and as told of afterwards, is one.
    pub fn sort(&mut self) {
        self.0.sort_unstable();
        let mut seen = HashSet::new();
        let is_first: Vec<bool> = self.0.iter().map(|(_, from, to)| seen.insert((from.clone(), to.clone()))).collect();
        let mut is_first = is_first.into_iter();
        self.0.retain(|_| is_first.next().unwrap_or(true));
    }

    /// When the branch was deleted, as far as was known before a time; nothing while it is there.
    ///
    /// Where the moves began and ended tells it. Only where pushes are missing, so that several orders are possible, their times of
    /// receipt decide: then a push is later than a deletion if it was received later and does not lead to what was deleted.
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
        // What led there, as far as it was received before; if that is all of it, what was received later is later.
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

    /// Whether the branch is there in the end, as far as where its moves began and ended tells it; nothing where several orders of them
    /// are possible.
    #[must_use]
    pub fn is_there(&self) -> Option<bool> {
        is_there(&self.0)
    }

    /// When it was moved last before a time.
    #[must_use]
    pub fn last_before(&self, before: Timestamp) -> Option<Timestamp> {
        self.0[..self.0.partition_point(|(at, ..)| *at < before)].last().map(|(at, ..)| *at)
    }

    /// The lives that ended, by when they did.
    #[must_use]
    pub fn lives(&self) -> Vec<Life> {
        let moves = as_moves(&self.0);
        let mut lives = Vec::new();
        for trail in trails(&moves) {
            let Some(last) = trail.last().filter(|last| is_zero(moves[**last].after)) else { continue };
            let ended_at = self.0[*last].0;
            let mut began_at = trail.iter().map(|index| self.0[*index].0).min().unwrap_or(ended_at);
            if !is_zero(moves[trail[0]].before) {
                // Pushes are missing after the creation: it is the last that was received before the end.
                let mut made = self.0.iter().filter(|(at, from, _)| is_zero(from) && *at < ended_at);
                began_at = made.next_back().map_or(began_at, |(at, ..)| *at);
            }
            lives.push(Life { began_at, ended_at });
        }
        lives.sort_unstable_by_key(|life| (life.ended_at, life.began_at));
        lives
    }

    /// When the first of them was received.
    #[must_use]
    pub fn first(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, ..)| *at)
    }
}

fn as_moves(all: &[(Timestamp, String, String)]) -> Vec<Move<'_>> {
    all.iter().map(|(_, before, after)| Move { before, after, made: None }).collect()
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
        // Every other life ended, so this is the last one.
        1 if trails.len() == 1 || broken == 0 => Some(true),
        _ => None,
    }
}

/// Where a branch was before it came to a commit, and whether that is known from its creation on.
fn leading_to<'a>(end: &'a str, moves: &'a [(Timestamp, String, String)]) -> (HashSet<&'a str>, bool) {
    let came_from: HashMap<&str, &str> = moves.iter().map(|(_, from, to)| (to.as_str(), from.as_str())).collect();
    let (mut passed, mut at) = (HashSet::from([end]), end);
    while let Some(from) = came_from.get(at).filter(|from| passed.insert(from)) {
        at = from;
        // Behind its creation there are other lives.
        if is_zero(at) {
            return (passed, true);
        }
    }
    (passed, false)
}
