//! Sets of answers, by which a log or a replay is filtered.

/// A set of answers: HTTP statuses, and GitLab's words for classes of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answers {
    /// Ranges of HTTP statuses, including both ends.
    pub ranges: Vec<(u16, u16)>,

    /// Whether attempts without an HTTP answer are included.
    pub unanswered: bool,
}

impl Answers {
    /// The words that stand for several answers.
    pub const WORDS: [&'static str; 3] = ["successful", "client_failure", "server_failure"];
    /// The maximum number of words in a set: each becomes a condition of an SQL statement.
    pub const MAX_WORDS: usize = 100;

    /// Reads `successful`, `client_failure`, `server_failure` (which includes no answer, as in GitLab) and numbers.
    /// `None` if a word is not one of these, or there are more than [`Answers::MAX_WORDS`] words.
    #[must_use]
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Option<Self> {
        if words.len() > Self::MAX_WORDS {
            return None;
        }

        let mut answers = Self::default();
        for word in words.iter().map(AsRef::as_ref).filter(|word| !word.is_empty()) {
            match word {
                "successful" => answers.ranges.push((200, 299)),
                "client_failure" => answers.ranges.push((400, 499)),
                "server_failure" => {
                    answers.ranges.push((500, 599));
                    answers.unanswered = true;
                }
                _ => {
                    let status = word.parse().ok().filter(|status| (100..=599).contains(status))?;
                    answers.ranges.push((status, status));
                }
            }
        }

        Some(answers)
    }

    /// Whether the set is empty, which means that all answers match.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.ranges.is_empty() && !self.unanswered
    }

    /// Whether an answer is in the set.
    #[must_use]
    pub fn contain(&self, status: Option<u16>) -> bool {
        match status {
            _ if self.is_any() => true,
            Some(status) => self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&status)),
            None => self.unanswered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_numbers_and_classes() {
        let read = |words: &[&str]| Answers::parse(words).map(|answers| (answers.ranges, answers.unanswered));
        assert_eq!(
            read(&["200", "client_failure"]),
            Some((vec![(200, 200), (400, 499)], false))
        );

        assert_eq!(read(&["server_failure"]), Some((vec![(500, 599)], true)));
        assert_eq!(read(&[]), Some((vec![], false)));
        assert_eq!((read(&["sometimes"]), read(&["7"])), (None, None));
    }

    #[test]
    fn a_set_of_answers_has_at_most_a_hundred_words() {
        let words = |many: usize| vec!["404"; many];
        assert_eq!(
            Answers::parse(&words(Answers::MAX_WORDS)).map(|answers| answers.ranges.len()),
            Some(Answers::MAX_WORDS)
        );

        assert_eq!(Answers::parse(&words(Answers::MAX_WORDS + 1)), None);
    }
}
