//! Attempts: what was tried and what came back. Written by [`crate::deliveries`], read here.

use async_trait::async_trait;
use quickdraw_domain::guard::Rule;
use quickdraw_domain::outcome::{Answers, Outcome, Unreachable};
use quickdraw_domain::{AttemptId, DeliveryId, HookId, Timestamp};

use crate::deliveries::Record;
use crate::error::Result;
use crate::lists::{Page, Paged};

/// An attempt as history shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// Which.
    pub id: AttemptId,

    /// Of which delivery.
    pub delivery: DeliveryId,

    /// For whom.
    pub hook: HookId,

    /// First, second, … of its delivery.
    pub number: u32,

    /// The verdict's stored word.
    pub outcome: String,

    /// HTTP status, if there was an answer.
    pub status: Option<u16>,

    /// The rest.
    pub record: Record,
}

/// A filter for attempts, which are listed newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AttemptFilter {
    /// Only of this delivery.
    pub delivery: Option<DeliveryId>,

    /// Only for this hook.
    pub hook: Option<HookId>,

    /// Only older than this one: the cursor.
    pub before: Option<AttemptId>,

    /// Maximum number of rows.
    pub limit: usize,
}

/// A filter for a hook's log, which is shown newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFilter {
    /// Whose.
    pub hook: HookId,

    /// Only begun since then.
    pub since: Timestamp,

    /// Only with one of these answers.
    pub answers: Answers,

    /// Which rows.
    pub page: Page,
}

/// Attempts: what can be asked.
#[async_trait]
pub trait Attempts {
    /// A page of a hook's log. It has no order by number, so it only goes by offset.
    async fn hook_log(&self, filter: LogFilter) -> Result<Paged<Attempt>>;

    /// One attempt for a hook.
    async fn find_attempt(&self, hook: HookId, id: AttemptId) -> Result<Option<Attempt>>;

    /// Attempts by filter.
    async fn list_attempts(&self, filter: AttemptFilter) -> Result<Vec<Attempt>>;
}

/// The number of an outcome in the databases. Never change a number.
pub(crate) const fn outcome_code(outcome: Outcome) -> i16 {
    match outcome {
        Outcome::Delivered { .. } => 1,
        Outcome::Rejected { .. } => 2,
        Outcome::Failed { .. } => 3,
        Outcome::Unknown => 4,
        Outcome::Unreachable(why) => match why {
            Unreachable::TimedOut => 10,
            Unreachable::Dns => 11,
            Unreachable::Blocked(_) => 12,
            Unreachable::Connect => 13,
            Unreachable::Tls => 14,
            Unreachable::Broken => 15,
            Unreachable::InvalidAnswer => 16,
            Unreachable::Request => 17,
            Unreachable::Proxy => 18,
        },
    }
}

/// Every outcome. Details that its word does not show have any value.
const OUTCOMES: [Outcome; 13] = [
    Outcome::Delivered { status: 0 },
    Outcome::Rejected {
        status: 0,
        retry_after: None,
    },
    Outcome::Failed {
        status: 0,
        retry_after: None,
    },
    Outcome::Unknown,
    Outcome::Unreachable(Unreachable::TimedOut),
    Outcome::Unreachable(Unreachable::Dns),
    Outcome::Unreachable(Unreachable::Blocked(Rule::Loopback)),
    Outcome::Unreachable(Unreachable::Connect),
    Outcome::Unreachable(Unreachable::Tls),
    Outcome::Unreachable(Unreachable::Broken),
    Outcome::Unreachable(Unreachable::InvalidAnswer),
    Outcome::Unreachable(Unreachable::Request),
    Outcome::Unreachable(Unreachable::Proxy),
];

/// The words of all outcomes.
#[must_use]
pub fn outcome_words() -> Vec<&'static str> {
    OUTCOMES.iter().map(|outcome| outcome.word()).collect()
}

/// The numbers of outcomes with these words. Other words have none.
pub(crate) fn outcome_codes(words: &[String]) -> Vec<i16> {
    let named = |outcome: &&Outcome| words.iter().any(|word| word == outcome.word());
    OUTCOMES
        .iter()
        .filter(named)
        .map(|outcome| outcome_code(*outcome))
        .collect()
}

/// The outcome with a number. Details that its word does not show have any value.
pub(crate) fn outcome_of(code: i16) -> Outcome {
    OUTCOMES
        .into_iter()
        .find(|outcome| outcome_code(*outcome) == code)
        .unwrap_or(Outcome::Unknown)
}

/// The word that a stored outcome shows.
pub(crate) fn outcome_word(code: i16) -> String {
    outcome_of(code).word().to_owned()
}

impl LogFilter {
    /// The condition on the status. Only numbers of ours are put into the text.
    pub(crate) fn condition(&self) -> String {
        let mut any: Vec<String> = self
            .answers
            .ranges
            .iter()
            .map(|(low, high)| format!("status BETWEEN {low} AND {high}"))
            .collect();

        if self.answers.unanswered {
            any.push("status IS NULL".to_owned());
        }

        if any.is_empty() {
            "1 = 1".to_owned()
        } else {
            format!("({})", any.join(" OR "))
        }
    }
}

/// The columns of an attempt, in the order in which both engines read them.
pub(crate) const COLUMNS: &str =
    "id, delivery_id, hook_id, number, outcome, status, started_at, duration, address, error,
    response_headers, response_body, phases, hook_version";
