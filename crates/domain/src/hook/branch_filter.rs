//! Which branches' pushes a hook wants. Source: GitLab's `app/models/hooks/active_hook_filter.rb` and
//! `app/models/ref_matcher.rb`. Only pushes to branches are filtered; tags and all other kinds pass.

use regex::{Regex, RegexBuilder};

/// What compiling may cost, in bytes.
const SIZE_LIMIT: usize = 1 << 20;
/// Longest filter that GitLab stores.
pub const MAX_LEN: usize = 4000;

/// A parsed filter. It keeps the text it came from, which the REST API shows again.
#[derive(Clone, Debug)]
pub enum BranchFilter {
    /// Everything passes, whatever the text.
    All,
    /// `*` stands for any run of characters, `/` included; nothing else is special. An empty one, the default of a new
    /// hook, passes everything.
    Wildcard(String),
    /// Found anywhere in the name: anchoring is up to the author. An empty one passes everything.
    Regex(Regex),
    /// The same with look-around, which RE2 does not have, and which the example in GitLab's documentation for leaving
    /// out `main` needs. It may have to try more ways than we let it.
    LookAround(Box<fancy_regex::Regex>),
}

/// What a filter says of a branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    /// Its pushes pass.
    Passes,
    /// They do not.
    Stopped,
    /// They do not, because the expression tries more ways than are allowed on this name.
    GaveUp,
}

/// Ways that an expression with look-around may try on one name.
const MOST_TRIES: usize = 10_000;

/// Why a filter is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BranchFilterError {
    /// Over [`MAX_LEN`].
    #[error("is longer than {MAX_LEN} characters")]
    TooLong,
    /// Could never match a branch.
    #[error("is no legal branch name with '*' as a wildcard")]
    NotABranch,
    /// The regular expression does not compile, or is too large to run in bounded memory.
    #[error("is no regular expression in RE2 syntax: {0}")]
    NotARegex(String),
    /// Not one of the three.
    #[error("is none of wildcard, regex, all_branches")]
    UnknownStrategy,
}

impl BranchFilter {
    /// From the two REST attributes, `branch_filter_strategy` and `push_events_branch_filter`.
    ///
    /// # Errors
    /// Every reason of [`BranchFilterError`].
    pub fn parse(strategy: &str, filter: Option<&str>) -> Result<Self, BranchFilterError> {
        let text = filter.unwrap_or_default();
        if text.chars().count() > MAX_LEN {
            return Err(BranchFilterError::TooLong);
        }
        match strategy {
            "all_branches" => Ok(Self::All),
            "wildcard" => {
                let pattern = text.split_whitespace().collect::<Vec<_>>().join(" ");
                if pattern.is_empty() || is_branch_name(&pattern.replace('*', "a")) {
                    Ok(Self::Wildcard(pattern))
                } else {
                    Err(BranchFilterError::NotABranch)
                }
            }
            // The engine is linear in the input. Only what it cannot do goes to one that is not.
            "regex" => match RegexBuilder::new(text).size_limit(SIZE_LIMIT).build() {
                Ok(regex) => Ok(Self::Regex(regex)),
                Err(_) if has_look_around(text) => fancy_regex::RegexBuilder::new(text)
                    .backtrack_limit(MOST_TRIES)
                    .delegate_size_limit(SIZE_LIMIT)
                    .build()
                    .map(|regex| Self::LookAround(Box::new(regex)))
                    .map_err(|error| BranchFilterError::NotARegex(error.to_string())),
                Err(error) => Err(BranchFilterError::NotARegex(error.to_string())),
            },
            _ => Err(BranchFilterError::UnknownStrategy),
        }
    }

    /// Whether pushes to a branch pass.
    #[must_use]
    pub fn judge(&self, branch: &str) -> Passage {
        let passes = match self {
            Self::All => true,
            Self::Wildcard(pattern) => pattern.is_empty() || matches_wildcard(pattern, branch),
            Self::Regex(regex) => regex.is_match(branch),
            Self::LookAround(regex) => match regex.is_match(branch) {
                Ok(found) => found,
                Err(_) => return Passage::GaveUp,
            },
        };
        if passes { Passage::Passes } else { Passage::Stopped }
    }

    /// `branch_filter_strategy`.
    #[must_use]
    pub const fn strategy(&self) -> &'static str {
        match self {
            Self::All => "all_branches",
            Self::Wildcard(_) => "wildcard",
            Self::Regex(_) | Self::LookAround(_) => "regex",
        }
    }

    /// `push_events_branch_filter`.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let text = match self {
            Self::All => return None,
            Self::Wildcard(pattern) => pattern,
            Self::Regex(regex) => regex.as_str(),
            Self::LookAround(regex) => regex.as_str(),
        };
        Some(text).filter(|text| !text.is_empty())
    }
}

impl Default for BranchFilter {
    fn default() -> Self {
        Self::Wildcard(String::new())
    }
}

/// Whether a pattern looks ahead or behind.
fn has_look_around(pattern: &str) -> bool {
    ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|mark| pattern.contains(mark))
}

/// Greedy matching with one point of return: linear in practice, at worst pattern times name, both short.
pub(super) fn matches_wildcard(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut after_star = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            after_star = Some((p + 1, n));
            p += 1;
        } else if pattern.get(p) == Some(&name[n]) {
            p += 1;
            n += 1;
        } else if let Some((star, taken)) = after_star {
            after_star = Some((star, taken + 1));
            p = star;
            n = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Git's rules for a branch name (`git check-ref-format --branch`).
fn is_branch_name(name: &str) -> bool {
    !name.is_empty()
        && name != "@"
        && !name.starts_with('-')
        && !name.starts_with('/')
        && !name.ends_with(['/', '.'])
        && !["..", "//", "@{"].iter().any(|bad| name.contains(bad))
        && !name.chars().any(|c| c.is_control() || " ~^:?*[\\\u{7f}".contains(c))
        && name.split('/').all(|part| !part.starts_with('.') && !part.ends_with(".lock"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(strategy: &str, filter: &str, passing: &[&str], stopped: &[&str]) {
        let filter = BranchFilter::parse(strategy, Some(filter)).expect("the filter is legal");
        for branch in passing {
            assert_eq!(filter.judge(branch), Passage::Passes, "{filter:?} should pass {branch}");
        }
        for branch in stopped {
            assert_eq!(filter.judge(branch), Passage::Stopped, "{filter:?} should stop {branch}");
        }
    }

    #[test]
    fn wildcards_match_whole_names_and_cross_slashes() {
        check("wildcard", "*-stable", &["a-stable", "x/y-stable", "-stable"], &["stable", "a-stable2", "A-STABLE"]);
        check("wildcard", "production/*", &["production/", "production/eu/1"], &["production", "a/production/x"]);
        check("wildcard", "main", &["main"], &["Main", "main2"]);
        check("wildcard", "a*b*c", &["abc", "a1b2c", "abcbc"], &["acb", "ab"]);
        check("wildcard", "a.b", &["a.b"], &["axb"]);
    }

    #[test]
    fn regular_expressions_are_searched_anywhere() {
        check("regex", "feat", &["feature/x", "my-feat"], &["main"]);
        check("regex", "^release-[0-9]+$", &["release-12"], &["release-12x"]);
    }

    #[test]
    fn look_around_works_and_is_bounded() {
        // The documented example for every branch but one.
        check("regex", "^(?!main$)", &["mainly", "develop", "a/main"], &["main"]);
        check("regex", r"(?<=release-)\d+$", &["release-12"], &["release-", "12"]);
        let evil = BranchFilter::parse("regex", Some("^(?=(a+)+$)(?!b)")).expect("it is legal");
        let name = "a".repeat(30) + "!";
        assert_ne!(evil.judge(&name), Passage::Passes);
        let worse = BranchFilter::parse("regex", Some(r"^(?!x)(?:(?=a)a|(?=a)aa)+$")).expect("it is legal");
        assert_eq!(worse.judge(&name), Passage::GaveUp);
        assert_eq!((worse.strategy(), worse.text()), ("regex", Some(r"^(?!x)(?:(?=a)a|(?=a)aa)+$")));
    }

    #[test]
    fn an_empty_filter_passes_everything_whatever_the_strategy() {
        for strategy in ["all_branches", "wildcard", "regex"] {
            check(strategy, "", &["main", "x"], &[]);
        }
        check("all_branches", "main", &["other"], &[]);
    }

    #[test]
    fn illegal_filters_are_refused_with_a_reason() {
        let error = |strategy, filter: &str| BranchFilter::parse(strategy, Some(filter)).err();
        assert_eq!(error("wildcard", "a..b"), Some(BranchFilterError::NotABranch));
        assert_eq!(error("wildcard", "a b"), Some(BranchFilterError::NotABranch));
        assert_eq!(error("wildcard", &"a".repeat(4001)), Some(BranchFilterError::TooLong));
        assert!(matches!(error("regex", "(?!a"), Some(BranchFilterError::NotARegex(_))));
        assert!(
            matches!(error("regex", r"(a)\1"), Some(BranchFilterError::NotARegex(_))),
            "RE2 has no references back"
        );
        assert!(matches!(error("regex", "(a"), Some(BranchFilterError::NotARegex(_))));
        assert!(matches!(error("regex", "((a{100}){100}){100}"), Some(BranchFilterError::NotARegex(_))));
        assert_eq!(error("sometimes", "a"), Some(BranchFilterError::UnknownStrategy));
    }

    proptest! {
        #[test]
        fn wildcards_agree_with_the_regular_expression_they_stand_for(p in "[ab*]{0,8}", n in "[ab]{0,10}") {
            let regex = format!("^{}$", p.replace('*', ".*"));
            let regex = Regex::new(&regex).expect("built from letters and stars");
            prop_assert_eq!(matches_wildcard(&p, &n), regex.is_match(&n));
        }
    }
}
