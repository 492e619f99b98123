//! Names that were probably meant instead of an unknown one.

/// Longest name, in bytes, that is compared with known names and shown in an error.
pub(super) const LONGEST: usize = 64;

/// Names of parameters that other lists of this API once had, or that other APIs have, with their names here.
const ALIASES: [(&str, &str); 24] = [
    ("created_after", "since"),
    ("created_before", "until"),
    ("cursor", "before"),
    ("endpoint", "hook"),
    ("from", "since"),
    ("after", "since"),
    ("iid", "object"),
    ("kind", "trigger"),
    ("event_type", "trigger"),
    ("outcome", "class"),
    ("page", "before"),
    ("page_token", "before"),
    ("per_page", "limit"),
    ("project_path", "path"),
    ("q", "text"),
    ("query", "text"),
    ("receiver", "source"),
    ("search", "text"),
    ("response_status", "status"),
    ("since", "from"),
    ("status", "state"),
    ("to", "until"),
    ("until", "to"),
    ("url", "hook"),
];

/// Finds the known name that an unknown name probably means.
pub(super) fn find<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }

    for (alias, meant) in ALIASES {
        if alias == name
            && let Some(found) = known.clone().find(|known| *known == meant)
        {
            return Some(found);
        }
    }

    nearest(name, known)
}

/// Finds the known name or value of which an unknown one is probably a misspelling or a part.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }

    let slip = known.clone().find(|known| is_slip(name, known));

    // `project` instead of `project_id` counts as misspelled too.
    let starts = |known: &&str| name.len() >= 3 && (known.starts_with(name) || name.starts_with(*known));
    slip.or_else(|| known.clone().find(starts))
}

/// The part of an unknown name that an error shows.
pub(crate) fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

/// Checks whether a name is a misspelling of another one, by one or two letters depending on its length.
pub(super) fn is_slip(name: &str, known: &str) -> bool {
    let most = match name.len() {
        0..4 => return false,
        4..10 => 1,
        10..=LONGEST => 2,
        _ => return false,
    };
    name.len().abs_diff(known.len()) <= most && distance(name.as_bytes(), known.as_bytes()) <= most
}

/// Number of letters to insert, delete, replace or swap to turn one name into the other.
fn distance(one: &[u8], other: &[u8]) -> usize {
    // The last three rows of the usual table.
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();

    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before_last[j - 1] + 1);
            }

            row.push(least);
        }

        before_last = std::mem::replace(&mut last, row);
    }

    last.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_another_list_or_api_means_its_name_here() {
        let known = ["before", "limit", "project", "since", "until"];
        for (name, meant) in [
            ("from", Some("since")),
            ("project_id", Some("project")),
            ("projcet", Some("project")),
            ("per_page", Some("limit")),
            ("search", None),
            ("x", None),
        ] {
            assert_eq!(find(name, known.iter().copied()), meant, "{name}");
        }
    }

    #[test]
    fn the_period_of_insights_has_other_names_than_the_period_of_lists() {
        let known = ["from", "project", "to"];
        assert_eq!(find("since", known.iter().copied()), Some("from"));
        assert_eq!(find("until", known.iter().copied()), Some("to"));
    }

    #[test]
    fn letters_are_added_taken_away_replaced_and_exchanged() {
        for (one, other, expected) in [
            ("abc", "abc", 0),
            ("abc", "abxc", 1),
            ("abc", "ac", 1),
            ("abc", "axc", 1),
            ("abc", "acb", 1),
            ("", "ab", 2),
        ] {
            assert_eq!(distance(one.as_bytes(), other.as_bytes()), expected, "{one} {other}");
        }
    }
}
