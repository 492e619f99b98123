//! Regular expressions that users write: RE2's syntax with look-around, run by an engine that counts its steps.
//!
//! Libraries are linear in the length of the text, but with a factor that the author chooses: the size of the program.
//! No library limits the work of look-around. Here `regex-syntax` parses the expression, and all its states are
//! simulated together. Each state that is entered costs a step, so an expression costs what it does and not what it
//! could do. Each look-around is a separate pass over the text, before the pass of the expression itself. So the cost
//! is at most the size of the program times the length of the text, also for nested look-arounds.

mod compile;
mod run;
mod weigh;

use std::fmt;
use std::sync::{Arc, OnceLock};

use compile::Program;

use crate::work::{Exhausted, Work};

/// The maximum number of states of an expression. A letter is one state, a repetition counts for each of its copies,
/// and a class counts for each 16 ranges.
pub const MAX_STATES: usize = 2_000;
/// The maximum number of characters that may be examined when an expression, or all expressions of a filter, are
/// compiled: a few times the number of all characters.
pub(super) const MAX_WEIGHT: usize = 5_000_000;
/// The reason for refusing an expression that would take more.
pub(super) const TOO_WIDE: &str =
    "it is too large: its classes have too many characters, each of which is examined where case is ignored";
/// Steps of compiling: more than a filter may take while other events wait.
const COMPILING: usize = 20_000;

/// An expression. It is compiled once, when it is first needed, and all clones share the result.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    program: Arc<OnceLock<Result<Program, String>>>,
}

impl Expression {
    /// Parses and compiles an expression.
    ///
    /// # Errors
    /// The reason why the expression cannot be used: a syntax error, or its size.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expression = Self::stored(text);
        expression.check()?;
        Ok(expression)
    }

    /// Compiles the expression.
    ///
    /// # Errors
    /// The reason why the expression cannot be used.
    pub fn check(&self) -> Result<(), String> {
        match self.program() {
            Ok(_) => Ok(()),
            Err(reason) => Err(reason.clone()),
        }
    }

    /// The number of states. Zero if the expression cannot be used.
    #[must_use]
    pub fn states(&self) -> usize {
        self.program().as_ref().map_or(0, |program| program.size)
    }

    /// The maximum number of characters examined during compilation. Zero if the expression cannot be used.
    #[must_use]
    pub(super) fn weight(&self) -> usize {
        self.program().as_ref().map_or(0, |program| program.weight)
    }

    /// An expression from the store, which is compiled when it is needed. An expression that can no longer be used has
    /// no states, and [`Self::is_match`] gives up on it.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self {
            text: text.into(),
            program: Arc::default(),
        }
    }

    /// The text of the expression.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the expression matches anywhere in a text. Anchors are the author's choice.
    ///
    /// # Errors
    /// When this takes more work than is left.
    pub fn is_match(&self, text: &str, work: &mut Work) -> Result<bool, Exhausted> {
        if self.program.get().is_none() {
            work.spend(COMPILING)?;
        }

        match self.program() {
            Ok(program) => run::is_match(program, text, work),
            Err(_) => Err(Exhausted),
        }
    }

    fn program(&self) -> &Result<Program, String> {
        self.program.get_or_init(|| compile::compile(&self.text))
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(expression: &str, text: &str) -> bool {
        let mut work = Work::new(10_000_000);
        Expression::parse(expression)
            .expect(expression)
            .is_match(text, &mut work)
            .expect("it is cheap")
    }

    #[test]
    fn expressions_match_anywhere_in_a_text() {
        for (expression, text, found) in [
            ("feat", "my-feature", true),
            ("^feat", "my-feature", false),
            ("^release-[0-9]+$", "release-12", true),
            ("^release-[0-9]+$", "release-12x", false),
            ("(?i)MAIN", "main", true),
            ("a{2,3}b", "caab", true),
            ("^a{2,3}b", "ab", false),
            ("^(a|bc)*$", "abcbca", true),
            (r"\bfix\b", "to fix it", true),
            (r"\bfix\b", "prefixed", false),
            (r"(?m)^b$", "a\nb\nc", true),
            (r"^\w+$", "größe", true),
            (r"^(?-u:\w)+$", "größe", false),
            ("^.$", "é", true),
            ("", "", true),
            ("(?:a*)*b", "aab", true),
            (r"(?i)^[\s\S]*FIX[\s\S]*$", "to fix it", true),
            (r"(?i)^\p{Greek}+-[^\pN]$", "Σσς-x", true),
        ] {
            assert_eq!(matches(expression, text), found, "{expression} in {text:?}");
        }
    }

    #[test]
    fn look_around_works_in_both_directions_and_nests() {
        for (expression, text, found) in [
            ("^(?!main$)", "main", false),
            ("^(?!main$)", "mainly", true),
            ("^(?!main$)", "a/main", true),
            (r"(?<=release-)\d+$", "release-12", true),
            (r"(?<=release-)\d+$", "12", false),
            ("(?<!x)y", "xy", false),
            ("(?<!x)y", "xyy", true),
            ("^(?=.*a)(?=.*b)", "xbxa", true),
            ("^(?=.*a)(?=.*b)", "xbxb", false),
            ("^(?!(?!main$)m)", "main", true),
            ("^(?!(?!main$)m)", "maix", false),
            ("(?i)^(?!MAIN$)", "main", false),
            ("(?<=^a(?=b)).c", "abc", true),
            (r"[(?=](?!x)", "(y", true),
            (r"\(?=a", "=a", true),
            (r"^[](?=]+$", "](", true),
            ("(?<=^a)b", "ab", true),
            ("(?!^a)b", "cb", true),
        ] {
            assert_eq!(matches(expression, text), found, "{expression} in {text:?}");
        }
    }

    #[test]
    fn expressions_that_cannot_be_used_are_refused_with_the_reason() {
        for (expression, why) in [
            ("(a", "unclosed group"),
            (r"(a)\1", "backreferences are not supported"),
            ("(?!a", "unclosed group"),
            ("((a{100}){100}){100}", "too large"),
            ("(?:a?){10071}[^a]", "too large"),
            ("(?:(?=(?:a?){9000}[^b])a)*c(?!x)", "too large"),
            (r"(?-u:\xFF)", "match invalid UTF-8"),
            (&*format!("(?i){}", "[!-\u{10ffff}]".repeat(790)), "too many characters"),
            (&*format!("(?i){}", r"\p{any}".repeat(500)), "too many characters"),
            (
                &*format!("(?i){}a{}", "[".repeat(40), r"\P{Greek}b]".repeat(40)),
                "too many characters",
            ),
            (&*format!("[{}]", r"\pL".repeat(6_000)), "too many characters"),
        ] {
            let error = Expression::parse(expression).expect_err(expression);
            assert!(error.contains(why), "{expression}: {error}");
        }
    }

    #[test]
    fn an_expression_gives_up_when_its_work_is_used_up() {
        let costly = Expression::parse("(?:(?=(?:a?){300}[^b])a)*c(?!x)").expect("it is small enough");
        let mut work = Work::new(1_000_000);
        assert_eq!(costly.is_match(&"a".repeat(100_000), &mut work), Err(Exhausted));
        assert_eq!(work.left(), 0);

        let cheap = Expression::parse(r"(?i)jira-\d+").expect("it is small");
        let mut work = Work::new(1_000_000);

        assert_eq!(
            cheap.is_match(&"Some words about JIRA. ".repeat(4_000), &mut work),
            Ok(false),
            "92 kB"
        );
    }

    #[test]
    fn a_stored_expression_that_is_now_too_large_gives_up() {
        let mut work = Work::new(100_000);
        assert_eq!(
            Expression::stored("(?:a?){10071}[^a]").is_match("a", &mut work),
            Err(Exhausted)
        );

        assert_eq!(work.taken(), 20_000);
    }

    #[test]
    fn compiling_a_stored_expression_is_counted_once() {
        let stored = Expression::stored("a|b");
        let mut work = Work::new(10_000);

        assert_eq!(
            stored.is_match("b", &mut work),
            Err(Exhausted),
            "compiling takes more than this"
        );

        assert_eq!(work.left(), 0);

        let mut work = Work::new(100_000);
        assert_eq!(stored.is_match("b", &mut work), Ok(true));
        assert!(work.taken() > 20_000);

        let mut work = Work::new(1_000);
        assert_eq!(stored.is_match("b", &mut work), Ok(true));
    }

    proptest! {
        #[test]
        fn expressions_agree_with_a_library(
            expression in r"(\^)?([ab.]|[ab]\*|\(a\|b\)\+|\(a\|bc?\)\{1,3\}|\\b|\[\^a\]){0,5}(\$)?",
            text in "[abcé ]{0,8}",
        ) {
            let library = regex::Regex::new(&expression).expect("built from valid parts");
            prop_assert_eq!(matches(&expression, &text), library.is_match(&text), "{} in {:?}", expression, text);
        }

        #[test]
        fn look_around_agrees_with_a_library(
            before in "[ab]{0,2}", kind in r"\(\?=|\(\?!|\(\?<=|\(\?<!", inside in r"[ab]|ab|a\*b|\^a|b\$|a\|b",
            after in r"[ab]{0,2}\$?", text in "[ab]{0,6}",
        ) {
            let expression = format!("{before}{kind}{inside}){after}");
            // The library supports no repetition inside a look-behind.
            if let Ok(library) = fancy_regex::Regex::new(&expression) {
                prop_assert_eq!(matches(&expression, &text), library.is_match(&text).expect("it is short"));
            }
        }

        #[test]
        fn no_expression_takes_more_than_its_work(expression in r"([ab]|\(a\|\)|\(\?=a\*\)|\(a\?\)\{20\}|\.\*){1,8}", size in 0usize..20_000) {
            if let Ok(expression) = Expression::parse(&expression) {
                let mut work = Work::new(200_000);
                let _ = expression.is_match(&"ab".repeat(size), &mut work);
                prop_assert!(work.taken() <= 200_000);
            }
        }
    }
}
