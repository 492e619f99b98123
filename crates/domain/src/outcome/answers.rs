//! Sets of answers: what a log is filtered by, and a replay.

/// Answers to choose by: GitLab's words for classes, and numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answers {
    /// Ranges of HTTP statuses, both ends included.
    pub ranges: Vec<(u16, u16)>,
    /// Also what got no HTTP answer.
    pub unanswered: bool,
}

impl Answers {
    /// Most words of one set: each becomes a condition of a statement.
    pub const MOST: usize = 100;

    /// Reads `successful`, `client_failure`, `server_failure` (no answer among them, as GitLab has it) and numbers. `None`
    /// when a word is something else, or there are more than [`Answers::MOST`] words.
    #[must_use]
    pub fn parse<S: AsRef<str>>(words: &[S]) -> Option<Self> {
        if words.len() > Self::MOST {
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

    /// Whether they name nothing, which is to say everything.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.ranges.is_empty() && !self.unanswered
    }

    /// Whether an answer is among them.
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
        assert_eq!(read(&["200", "client_failure"]), Some((vec![(200, 200), (400, 499)], false)));
        assert_eq!(read(&["server_failure"]), Some((vec![(500, 599)], true)));
        assert_eq!(read(&[]), Some((vec![], false)));
        assert_eq!((read(&["sometimes"]), read(&["7"])), (None, None));
    }

    #[test]
    fn a_set_of_answers_has_at_most_a_hundred_words() {
        let words = |many: usize| vec!["404"; many];
        assert_eq!(Answers::parse(&words(Answers::MOST)).map(|answers| answers.ranges.len()), Some(Answers::MOST));
        assert_eq!(Answers::parse(&words(Answers::MOST + 1)), None);
    }
}
