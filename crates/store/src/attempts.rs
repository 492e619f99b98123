//! Attempts: what was tried and what came back. Written by [`crate::deliveries`], read here.

use async_trait::async_trait;
use quickdraw_domain::guard::Rule;
use quickdraw_domain::outcome::{Outcome, Unreachable};
use quickdraw_domain::{AttemptId, DeliveryId, HookId};

use crate::deliveries::Record;
use crate::error::Result;

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

/// What to list, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AttemptFilter {
    /// Only of this delivery.
    pub delivery: Option<DeliveryId>,
    /// Only for this hook.
    pub hook: Option<HookId>,
    /// Only older than this one: the cursor.
    pub before: Option<AttemptId>,
    /// Most rows.
    pub limit: usize,
}

/// Attempts: what can be asked.
#[async_trait]
pub trait Attempts {
    /// Attempts by filter.
    async fn list_attempts(&self, filter: AttemptFilter) -> Result<Vec<Attempt>>;
}

/// What the databases store of an outcome. Never change a number.
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
        },
    }
}

/// The word that a stored outcome shows.
pub(crate) fn outcome_word(code: i16) -> String {
    let all = [
        Outcome::Delivered { status: 0 },
        Outcome::Rejected { status: 0, retry_after: None },
        Outcome::Failed { status: 0, retry_after: None },
        Outcome::Unknown,
        Outcome::Unreachable(Unreachable::TimedOut),
        Outcome::Unreachable(Unreachable::Dns),
        Outcome::Unreachable(Unreachable::Blocked(Rule::Loopback)),
        Outcome::Unreachable(Unreachable::Connect),
        Outcome::Unreachable(Unreachable::Tls),
        Outcome::Unreachable(Unreachable::Broken),
        Outcome::Unreachable(Unreachable::InvalidAnswer),
        Outcome::Unreachable(Unreachable::Request),
    ];
    all.into_iter().find(|outcome| outcome_code(*outcome) == code).unwrap_or(Outcome::Unknown).word().to_owned()
}
