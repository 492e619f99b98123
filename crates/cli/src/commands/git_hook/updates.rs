//! The ref updates of a push. Git passes them to a hook as lines of `<old> <new> <ref>`.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context;

/// Maximum number of refs of one kind with the same change that GitLab reports for one push (`push_event_hooks_limit`).
/// If there are more, it reports none of them.
pub(super) const LIMIT: usize = 3;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    Branch,
    Tag,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Change {
    Created,
    Updated,
    Removed,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Branch => "branches",
            Self::Tag => "tags",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Removed => "removed",
        })
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Update {
    pub(super) kind: Kind,
    pub(super) change: Change,
    pub(super) old: String,
    pub(super) new: String,
    pub(super) name: String,
}

/// Parses updates of branches and tags. Other refs are ignored.
pub(super) fn parse(input: &str) -> anyhow::Result<Vec<Update>> {
    let mut updates = Vec::new();
    for line in input.lines().filter(|line| !line.is_empty()) {
        let mut parts = line.splitn(3, ' ');
        let (Some(old), Some(new), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            return None.with_context(|| format!("{line:?} is not a ref update"));
        };

        let kind = if name.starts_with("refs/heads/") {
            Kind::Branch
        } else if name.starts_with("refs/tags/") {
            Kind::Tag
        } else {
            continue;
        };

        let change = match (is_zero(old), is_zero(new)) {
            (true, _) => Change::Created,
            (false, true) => Change::Removed,
            (false, false) => Change::Updated,
        };

        updates.push(Update {
            kind,
            change,
            old: old.to_owned(),
            new: new.to_owned(),
            name: name.to_owned(),
        });
    }

    Ok(updates)
}

pub(super) fn is_zero(id: &str) -> bool {
    id.bytes().all(|digit| digit == b'0')
}

pub(super) fn over_the_limit(updates: &[Update]) -> Vec<(Kind, Change)> {
    let mut counts: BTreeMap<(Kind, Change), usize> = BTreeMap::new();
    for update in updates {
        *counts.entry((update.kind, update.change)).or_default() += 1;
    }

    counts
        .into_iter()
        .filter(|(_, count)| *count > LIMIT)
        .map(|(key, _)| key)
        .collect()
}

pub(super) fn within_the_limit(updates: &[Update]) -> impl Iterator<Item = &Update> {
    let over = over_the_limit(updates);
    updates
        .iter()
        .filter(move |update| !over.contains(&(update.kind, update.change)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_read_and_counted_by_kind_and_change() {
        let (zero, a, b) = ("0".repeat(40), "a".repeat(40), "b".repeat(40));
        let mut input = format!("{a} {b} refs/heads/main\n{a} {zero} refs/heads/old\n{zero} {a} refs/notes/x\n");
        for n in 0..4 {
            input.push_str(&format!("{zero} {a} refs/tags/v{n}\n"));
        }

        let updates = parse(&input).expect("legal");
        assert_eq!(updates.len(), 6);
        assert_eq!(over_the_limit(&updates), [(Kind::Tag, Change::Created)]);

        let names: Vec<&str> = within_the_limit(&updates).map(|update| update.name.as_str()).collect();
        assert_eq!(names, ["refs/heads/main", "refs/heads/old"]);
        assert_eq!(updates[1].change, Change::Removed);
        assert!(parse("nonsense").is_err());
    }
}
