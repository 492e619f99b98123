//! Orders the moves of one branch by their bodies: each move begins at the commit at which the one before ended. Times
//! of receipt are ignored, because pushes can be received in any order.

use std::collections::HashMap;

use super::is_zero;
use quickdraw_domain::Timestamp;

/// The properties of a push that determine its position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move<'a> {
    /// Commit before the push; zeros if the push created the branch.
    pub(crate) before: &'a str,

    /// Commit after the push; zeros if the push deleted the branch.
    pub(crate) after: &'a str,

    /// Time of the newest commit in the list. It only orders moves that begin at the same commit.
    pub(crate) made: Option<Timestamp>,
}

/// Groups moves that follow one another into trails of positions in `moves`. Each move is in exactly one trail, and no
/// trail is empty. A trail begins with the creation of the branch or after a missing push. It ends with the deletion of
/// the branch or with the last known move. The result does not depend on the order of `moves`.
pub(crate) fn trails(moves: &[Move<'_>]) -> Vec<Vec<usize>> {
    let key = |index: usize| {
        let one = moves[index];
        (is_zero(one.after), one.made, one.before, one.after)
    };

    let mut sorted: Vec<usize> = (0..moves.len()).collect();
    sorted.sort_by(|one, other| key(*one).cmp(&key(*other)));

    let mut graph = Graph {
        moves,
        leaving: HashMap::new(),
    };

    // For each commit, the number of moves that begin at it minus the number of moves that end at it.
    let mut surplus: HashMap<&str, i64> = HashMap::new();

    // The lists are used from their end, so they are filled in reverse.
    for index in sorted.iter().rev() {
        let Move { before, after, .. } = moves[*index];
        if !is_zero(after) {
            *surplus.entry(after).or_default() -= 1;
        }

        if !is_zero(before) {
            *surplus.entry(before).or_default() += 1;
            graph.leaving.entry(before).or_default().push(*index);
        }
    }

    let mut trails = Vec::new();
    for index in &sorted {
        if is_zero(moves[*index].before) {
            trails.push(graph.walk(*index));
        }
    }

    // More moves begin at these commits than end there, so a push before them is missing.
    for index in &sorted {
        let before = moves[*index].before;
        let Some(left) = surplus.get_mut(before).filter(|left| **left > 0) else {
            continue;
        };
        *left -= 1;

        if let Some(first) = graph.next(before) {
            trails.push(graph.walk(first));
        }
    }

    // The remaining moves form circles: they return to a commit that the branch had before.
    for trail in &mut trails {
        *trail = graph.with_circles(trail);
    }

    for index in &sorted {
        let circle = graph.circle(moves[*index].before);
        if !circle.is_empty() {
            trails.push(circle);
        }
    }

    trails
}

/// The moves that are not yet in a trail.
struct Graph<'a> {
    moves: &'a [Move<'a>],

    /// Moves by the commit at which they begin, the next one last. Creations are not in it.
    leaving: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Graph<'a> {
    /// Removes a move that begins at a commit.
    fn next(&mut self, commit: &str) -> Option<usize> {
        self.leaving.get_mut(commit)?.pop()
    }

    /// Follows the moves from one move to the last possible one.
    fn walk(&mut self, first: usize) -> Vec<usize> {
        let mut trail = vec![first];
        let mut at = self.moves[first].after;
        while let Some(next) = self.next(at) {
            trail.push(next);
            at = self.moves[next].after;
        }

        trail
    }

    /// Inserts the circles that touch a trail.
    fn with_circles(&mut self, trail: &[usize]) -> Vec<usize> {
        let mut whole = Vec::with_capacity(trail.len());
        for index in trail {
            let Move { before, .. } = self.moves[*index];
            whole.extend(self.circle(before));
            whole.push(*index);
        }

        let end = trail.last().map(|last| self.moves[*last].after);
        whole.extend(end.map(|end| self.circle(end)).unwrap_or_default());
        whole
    }

    /// Removes all moves that lead from a commit back to it. No move begins at zeros, because a deletion ends a trail.
    fn circle(&mut self, commit: &'a str) -> Vec<usize> {
        let mut stack: Vec<(&'a str, Option<usize>)> = vec![(commit, None)];
        let mut circle = Vec::new();

        while let Some((at, by)) = stack.last().copied() {
            if let Some(next) = self.next(at) {
                stack.push((self.moves[next].after, Some(next)));
            } else {
                stack.pop();
                circle.extend(by);
            }
        }

        circle.reverse();
        circle
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Moves as `a-b`, where `0` stands for zeros. Returns the trails as texts.
    fn written(moves: &[&str]) -> Vec<String> {
        let moves: Vec<Move<'_>> = moves
            .iter()
            .map(|text| {
                let (before, after) = text.split_once('-').expect("two commits");
                Move {
                    before,
                    after,
                    made: None,
                }
            })
            .collect();

        let text = |trail: Vec<usize>| {
            let ends = trail.iter().map(|index| moves[*index].after);
            [moves[trail[0]].before]
                .into_iter()
                .chain(ends)
                .collect::<Vec<_>>()
                .join(" ")
        };
        trails(&moves).into_iter().map(text).collect()
    }

    fn check(moves: &[&str], expected: &[&str]) {
        let reversed: Vec<&str> = moves.iter().rev().copied().collect();
        assert_eq!(written(moves), expected, "{moves:?}");
        assert_eq!(written(&reversed), expected, "{reversed:?}");
    }

    #[test]
    fn a_move_follows_the_one_that_ended_at_its_commit() {
        check(&["0-a", "a-b", "b-0"], &["0 a b 0"]);
        check(&["a-b", "b-0", "0-c"], &["0 c", "a b 0"]);
        check(&["0-a", "a-b", "c-d", "d-0"], &["0 a b", "c d 0"]);
    }

    #[test]
    fn circles_are_inserted_where_they_begin() {
        check(&["0-a", "a-b", "b-a", "a-c", "c-0"], &["0 a b a c 0"]);
        check(&["0-a", "a-b", "b-c", "c-b", "b-d"], &["0 a b c b d"]);
        check(&["a-b", "b-a"], &["a b a"]);
        check(&["a-a"], &["a a"]);
    }

    proptest! {
        #[test]
        fn every_move_is_in_one_trail_that_holds_together(ends in prop::collection::vec((0..6_usize, 0..6_usize), 0..40)) {
            let names = ["0", "a", "b", "c", "d", "e"];
            let moves: Vec<Move<'_>> =
                ends.iter().map(|(from, to)| Move { before: names[*from], after: names[*to], made: None }).collect();
            let trails = trails(&moves);
            let mut seen: Vec<usize> = trails.concat();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..moves.len()).collect::<Vec<_>>());
            for trail in trails {
                for pair in trail.windows(2) {
                    prop_assert_eq!(moves[pair[0]].after, moves[pair[1]].before);
                    prop_assert_ne!(moves[pair[0]].after, "0");
                }
            }
        }
    }
}
