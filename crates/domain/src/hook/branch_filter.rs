//! Branch filters: the branches whose pushes a hook gets. Source: GitLab's `app/models/hooks/active_hook_filter.rb` and
//! `app/models/ref_matcher.rb`. Only pushes to branches are filtered. Tags and all other kinds pass.

use super::expression::Expression;
use crate::work::{Exhausted, Work};

/// The longest filter that GitLab stores, in characters.
pub const MAX_LEN: usize = 4000;

/// Comparisons of a wildcard between two checks of the budget.
const STEPS_AT_ONCE: usize = 256;

/// A parsed filter. It keeps its text, which the REST API shows.
#[derive(Clone, Debug)]
pub enum BranchFilter {
    /// Every branch passes.
    All,

    /// `*` matches any characters, including `/`. No other character is special. An empty pattern, the default of a new
    /// hook, passes every branch.
    Wildcard(String),

    /// The expression may match anywhere in the name; anchors are the author's choice. An empty one passes every
    /// branch. In addition to RE2 it supports look-around, which the example in GitLab's documentation for excluding
    /// `main` needs.
    Regex(Expression),
}

/// The decision of a filter about a branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passage {
    /// Pushes to the branch pass.
    Passes,

    /// Pushes to the branch do not pass.
    Stopped,

    /// Pushes to the branch do not pass, because the filter takes more work on its name than is allowed.
    GaveUp,
}

/// The reason for refusing a filter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BranchFilterError {
    /// Longer than [`MAX_LEN`].
    #[error("is longer than {MAX_LEN} characters")]
    TooLong,

    /// The pattern can never match a branch.
    #[error("is not a valid branch name with '*' as a wildcard")]
    NotABranch,

    /// The regular expression does not compile, or is too large.
    #[error("is not a usable regular expression in RE2 syntax: {0}")]
    NotARegex(String),

    /// An unknown strategy.
    #[error("has a strategy other than wildcard, regex or all_branches")]
    UnknownStrategy,
}

impl BranchFilter {
    /// Parses the two REST attributes, `branch_filter_strategy` and `push_events_branch_filter`.
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
            "regex" => Expression::parse(text)
                .map(Self::Regex)
                .map_err(BranchFilterError::NotARegex),
            _ => Err(BranchFilterError::UnknownStrategy),
        }
    }

    /// A filter from the store. It was checked when it was saved, so an expression is compiled only when it is needed.
    #[must_use]
    pub fn stored(strategy: &str, filter: Option<&str>) -> Option<Self> {
        let text = filter.unwrap_or_default();
        match strategy {
            "all_branches" => Some(Self::All),
            "wildcard" => Some(Self::Wildcard(text.to_owned())),
            "regex" => Some(Self::Regex(Expression::stored(text))),
            _ => None,
        }
    }

    /// Whether every branch passes, whatever its name.
    #[must_use]
    pub fn passes_all(&self) -> bool {
        self.text().is_none()
    }

    /// Returns `known` if it is the same filter, because it may be compiled already.
    #[must_use]
    pub fn or_same(self, known: &Self) -> Self {
        let same = self.strategy() == known.strategy() && self.text() == known.text();
        if same { known.clone() } else { self }
    }

    /// Whether pushes to a branch pass.
    #[must_use]
    pub fn judge(&self, branch: &str, work: &mut Work) -> Passage {
        let passes = match self {
            Self::All => Ok(true),
            Self::Wildcard(pattern) => match pattern.is_empty() {
                true => Ok(true),
                false => matches_wildcard(pattern, branch, work),
            },
            Self::Regex(expression) => expression.is_match(branch, work),
        };

        match passes {
            Ok(true) => Passage::Passes,
            Ok(false) => Passage::Stopped,
            Err(Exhausted) => Passage::GaveUp,
        }
    }

    /// `branch_filter_strategy`.
    #[must_use]
    pub const fn strategy(&self) -> &'static str {
        match self {
            Self::All => "all_branches",
            Self::Wildcard(_) => "wildcard",
            Self::Regex(_) => "regex",
        }
    }

    /// `push_events_branch_filter`.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let text = match self {
            Self::All => return None,
            Self::Wildcard(pattern) => pattern,
            Self::Regex(expression) => expression.text(),
        };
        Some(text).filter(|text| !text.is_empty())
    }
}

impl Default for BranchFilter {
    fn default() -> Self {
        Self::Wildcard(String::new())
    }
}

/// Greedy matching with one point of return. The work is linear in practice, and at worst the product of both lengths.
/// Each comparison is a step.
pub(super) fn matches_wildcard(pattern: &str, name: &str, work: &mut Work) -> Result<bool, Exhausted> {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut after_star = None;
    let mut steps = 0;

    while n < name.len() {
        steps += 1;
        if steps == STEPS_AT_ONCE {
            work.spend(steps)?;
            steps = 0;
        }

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
            work.spend(steps)?;
            return Ok(false);
        }
    }

    work.spend(steps + pattern.len() - p)?;
    Ok(pattern[p..].iter().all(|byte| *byte == b'*'))
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
        && name
            .split('/')
            .all(|part| !part.starts_with('.') && !part.ends_with(".lock"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judge(filter: &BranchFilter, branch: &str) -> Passage {
        filter.judge(branch, &mut Work::new(1_000_000))
    }

    fn check(strategy: &str, filter: &str, passing: &[&str], stopped: &[&str]) {
        let filter = BranchFilter::parse(strategy, Some(filter)).expect("the filter is valid");
        let stored = BranchFilter::stored(filter.strategy(), filter.text()).expect("the filter can be read again");

        for filter in [filter, stored] {
            for branch in passing {
                assert_eq!(
                    judge(&filter, branch),
                    Passage::Passes,
                    "{filter:?} should pass {branch}"
                );
            }

            for branch in stopped {
                assert_eq!(
                    judge(&filter, branch),
                    Passage::Stopped,
                    "{filter:?} should stop {branch}"
                );
            }
        }
    }

    #[test]
    fn wildcards_match_whole_names_and_cross_slashes() {
        check(
            "wildcard",
            "*-stable",
            &["a-stable", "x/y-stable", "-stable"],
            &["stable", "a-stable2", "A-STABLE"],
        );

        check(
            "wildcard",
            "production/*",
            &["production/", "production/eu/1"],
            &["production", "a/production/x"],
        );

        check("wildcard", "main", &["main"], &["Main", "main2"]);
        check("wildcard", "a*b*c", &["abc", "a1b2c", "abcbc"], &["acb", "ab"]);
        check("wildcard", "a.b", &["a.b"], &["axb"]);
    }

    #[test]
    fn regular_expressions_match_anywhere_in_a_name() {
        check("regex", "feat", &["feature/x", "my-feat"], &["main"]);
        check("regex", "^release-[0-9]+$", &["release-12"], &["release-12x"]);
    }

    #[test]
    fn look_around_works_and_is_bounded() {
        // The documented example for every branch but one.
        check("regex", "^(?!main$)", &["mainly", "develop", "a/main"], &["main"]);
        check("regex", r"(?<=release-)\d+$", &["release-12"], &["release-", "12"]);

        // An expression that makes backtracking engines hang takes no more work than others.
        let evil = BranchFilter::parse("regex", Some("^(?=(a+)+$)(?!b)")).expect("a valid filter");
        let name = "a".repeat(30) + "!";
        assert_eq!(judge(&evil, &name), Passage::Stopped);

        let filter = BranchFilter::parse("regex", Some(r"^(?!x)(?:(?=a)a|(?=a)aa)+$")).expect("a valid filter");
        assert_eq!(judge(&filter, &name), Passage::Stopped);

        assert_eq!(
            (filter.strategy(), filter.text()),
            ("regex", Some(r"^(?!x)(?:(?=a)a|(?=a)aa)+$"))
        );
    }

    #[test]
    fn a_filter_gives_up_when_its_work_is_used_up() {
        for (strategy, text) in [("regex", "(?:a?){600}[^a]"), ("wildcard", &*"a*".repeat(1_000))] {
            let filter = BranchFilter::parse(strategy, Some(text)).expect("a valid filter");
            let mut work = Work::new(100_000);

            assert_eq!(
                filter.judge(&("a".repeat(990) + &"b".repeat(100_000)), &mut work),
                Passage::GaveUp,
                "{text}"
            );

            assert_eq!(work.left(), 0);
        }
    }

    #[test]
    fn an_empty_filter_passes_everything_whatever_the_strategy() {
        for strategy in ["all_branches", "wildcard", "regex"] {
            check(strategy, "", &["main", "x"], &[]);
            assert!(
                BranchFilter::parse(strategy, None)
                    .expect("a valid filter")
                    .passes_all()
            );
        }

        check("all_branches", "main", &["other"], &[]);
    }

    #[test]
    fn invalid_filters_are_refused_with_a_reason() {
        let error = |strategy, filter: &str| BranchFilter::parse(strategy, Some(filter)).err();
        assert_eq!(error("wildcard", "a..b"), Some(BranchFilterError::NotABranch));
        assert_eq!(error("wildcard", "a b"), Some(BranchFilterError::NotABranch));
        assert_eq!(error("wildcard", &"a".repeat(4001)), Some(BranchFilterError::TooLong));
        assert!(matches!(error("regex", "(?!a"), Some(BranchFilterError::NotARegex(_))));

        assert!(
            matches!(error("regex", r"(a)\1"), Some(BranchFilterError::NotARegex(_))),
            "RE2 has no backreferences"
        );

        assert!(matches!(error("regex", "(a"), Some(BranchFilterError::NotARegex(_))));

        for large in [
            "((a{100}){100}){100}",
            "(?:a?){10071}[^a]",
            "(?:(?=(?:a?){9000}[^b])a)*c(?!x)",
        ] {
            let reason = error("regex", large).expect(large).to_string();
            assert!(reason.contains("too large"), "{large}: {reason}");
        }

        assert_eq!(error("sometimes", "a"), Some(BranchFilterError::UnknownStrategy));
    }

    proptest! {
        #[test]
        fn wildcards_agree_with_the_regular_expression_they_stand_for(p in "[ab*]{0,8}", n in "[ab]{0,10}") {
            let regex = format!("^{}$", p.replace('*', ".*"));
            let regex = regex::Regex::new(&regex).expect("built from letters and stars");
            prop_assert_eq!(matches_wildcard(&p, &n, &mut Work::new(10_000)), Ok(regex.is_match(&n)));
        }
    }
}
