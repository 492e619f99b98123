//! Pairs of authors and reviewers. They show people who review alone, and people who review each other in circles.

use std::collections::BTreeMap;

use super::merge_requests::MergeRequest;
use super::people::People;
use quickdraw_domain::Timestamp;

/// The reviews of one person for one author in a window.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Pair {
    /// Number of the author; see [`People::person`].
    pub author: i64,

    /// Number of the reviewer.
    pub reviewer: i64,

    /// Number of reviewed merge requests.
    pub merge_requests: usize,

    /// Number of comments.
    pub comments: usize,

    /// Number of approved merge requests.
    pub approvals: usize,
}

/// The pairs of a window, most merge requests first. Reviewers count if they are selected at the time of the review,
/// and bots never count. Authors count if their work does.
#[must_use]
pub fn pairs(all: &[&MergeRequest], people: &People, from: Timestamp, to: Timestamp) -> Vec<Pair> {
    let mut pairs: BTreeMap<(i64, i64), Pair> = BTreeMap::new();
    for one in all {
        let Some(author) = one.author.filter(|author| !people.leaves_out(Some(*author))) else {
            continue;
        };
        let author = people.person(author);
        let is_out = |who: i64| people.is_bot(who) || people.person(who) == author;

        // For each reviewer of one merge request: number of comments, and whether they approved.
        let mut of_one: BTreeMap<i64, (usize, bool)> = BTreeMap::new();
        let counts = |(at, who): &(Timestamp, i64)| from <= *at && *at < to && people.is_wanted(people.user(*who), *at);
        for (_, who) in one.comments(&is_out).filter(counts) {
            of_one.entry(people.person(who)).or_default().0 += 1;
        }

        for (_, who) in one.approvals(&is_out).filter(counts) {
            of_one.entry(people.person(who)).or_default().1 = true;
        }

        for (reviewer, (comments, has_approved)) in of_one {
            let empty = Pair {
                author,
                reviewer,
                merge_requests: 0,
                comments: 0,
                approvals: 0,
            };
            let pair = pairs.entry((author, reviewer)).or_insert(empty);
            pair.merge_requests += 1;
            pair.comments += comments;
            pair.approvals += usize::from(has_approved);
        }
    }

    let mut pairs: Vec<Pair> = pairs.into_values().collect();
    pairs.sort_by_key(|pair| (std::cmp::Reverse(pair.merge_requests), pair.author, pair.reviewer));
    pairs
}
