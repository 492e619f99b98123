//! The order of the moves of one branch, as their bodies tell it: each begins where the one before it ended. Times of receipt decide
//! nothing here, because pushes can be received in any order.

use std::collections::HashMap;

use super::is_zero;
use quickdraw_domain::Timestamp;

/// A move, as far as it decides over the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move<'a> {
    /// Where the branch was; zeros where it was made.
    pub(crate) before: &'a str,
    /// Where it is; zeros where it was deleted.
    pub(crate) after: &'a str,
    /// When the newest commit that the push listed was made. It decides only between moves that begin at one commit.
    pub(crate) made: Option<Timestamp>,
}

/// Trails of moves that follow one another, as positions in the list: each move is in exactly one, and no trail is empty. A trail
/// begins with the creation of the branch or where a push before it is missing, and ends with its deletion or where nothing follows.
/// The same moves give the same trails, in whatever order they are listed.
pub(crate) fn trails(moves: &[Move<'_>]) -> Vec<Vec<usize>> {
    let key = |index: usize| {
        let one = moves[index];
        (is_zero(one.after), one.made, one.before, one.after)
    };
    let mut sorted: Vec<usize> = (0..moves.len()).collect();
    sorted.sort_by(|one, other| key(*one).cmp(&key(*other)));
    let mut graph = Graph { moves, leaving: HashMap::new() };
    // Of each commit, how many moves begin at it, less those that end at it.
    let mut surplus: HashMap<&str, i64> = HashMap::new();
    // The last one is taken first.
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
    // More moves begin at these than end there: a push before them is missing.
    for index in &sorted {
        let before = moves[*index].before;
        let Some(left) = surplus.get_mut(before).filter(|left| **left > 0) else { continue };
        *left -= 1;
        if let Some(first) = graph.next(before) {
            trails.push(graph.walk(first));
        }
    }
    // The rest goes in circles: back to a commit, and on from there.
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

/// Moves that are in no trail yet.
struct Graph<'a> {
    moves: &'a [Move<'a>],
    /// By the commit at which they begin, the next one last. Creations are none of them.
    leaving: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Graph<'a> {
    /// Takes a move that begins at a commit.
    fn next(&mut self, commit: &str) -> Option<usize> {
        self.leaving.get_mut(commit)?.pop()
    }

    /// A move and all that follow it, until there is none.
    fn walk(&mut self, first: usize) -> Vec<usize> {
        let mut trail = vec![first];
        let mut at = self.moves[first].after;
        while let Some(next) = self.next(at) {
            trail.push(next);
            at = self.moves[next].after;
        }
        trail
    }

    /// A trail with the circles that touch it.
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

    /// Moves that lead from a commit back to it, as many as there are. Nothing leaves zeros.
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

    /// Moves as `a-b`, where `0` is nothing, in trails as texts.
    fn written(moves: &[&str]) -> Vec<String> {
        let moves: Vec<Move<'_>> = moves
            .iter()
            .map(|text| {
                let (before, after) = text.split_once('-').expect("two ends");
                Move { before, after, made: None }
            })
            .collect();
        let text = |trail: Vec<usize>| {
            let ends = trail.iter().map(|index| moves[*index].after);
            [moves[trail[0]].before].into_iter().chain(ends).collect::<Vec<_>>().join(" ")
        };
        trails(&moves).into_iter().map(text).collect()
    }

    fn check(moves: &[&str], expected: &[&str]) {
        let reversed: Vec<&str> = moves.iter().rev().copied().collect();
        assert_eq!(written(moves), expected, "{moves:?}");
        assert_eq!(written(&reversed), expected, "{reversed:?}");
    }

    #[test]
    fn moves_follow_where_the_one_before_ended() {
        check(&["0-a", "a-b", "b-0"], &["0 a b 0"]);
        check(&["a-b", "b-0", "0-c"], &["0 c", "a b 0"]);
        check(&["0-a", "a-b", "c-d", "d-0"], &["0 a b", "c d 0"]);
    }

    #[test]
    fn what_goes_back_goes_on_from_there() {
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
