//! The period that `since` and `until` of a list select.

use quickdraw_domain::Timestamp;

use crate::error::ApiError;
use crate::params::When;

/// A period. The end is excluded.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Period {
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Period {
    /// Reads the period of a request at `now`.
    ///
    /// # Errors
    /// A period that ends before it begins.
    pub(super) fn read(since: Option<When>, until: Option<When>, now: Timestamp) -> Result<Self, ApiError> {
        let (since, until) = (since.map(|at| at.at(now)), until.map(|at| at.at(now)));
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(ApiError::field("since", "since must be before until"));
        }

        Ok(Self { since, until })
    }

    /// Checks whether a time is in the period.
    pub(super) fn contains(self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// True if the request gives no time.
    pub(super) fn is_any(self) -> bool {
        self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    #[test]
    fn a_period_contains_its_beginning_and_not_its_end() {
        let (since, until) = (Some(When::At(at(10))), Some(When::At(at(20))));
        let period = Period::read(since, until, at(100)).expect("a period");
        assert!(period.contains(at(10)) && period.contains(at(19)));
        assert!(!period.contains(at(9)) && !period.contains(at(20)));

        assert!(Period::default().contains(at(0)) && Period::default().is_any());
        assert!(Period::read(until, since, at(100)).is_err(), "it ends before it begins");
    }
}
