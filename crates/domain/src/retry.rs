//! When a delivery is tried again: a policy is a list of pauses, chance is an argument.

use std::time::Duration;

use crate::outcome::Outcome;

/// A fraction in `[0, 1)` drawn by the caller.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Chance(pub f64);

/// How often and how late a delivery is repeated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// The longest pause before the second, third, … attempt. Its length plus one is the number of attempts.
    pub pauses: Vec<Duration>,
    /// Longest `Retry-After` that is honoured; longer ones are cut to it.
    pub longest_retry_after: Duration,
}

impl RetryPolicy {
    /// The default: five attempts, the last one about 35 minutes after the first.
    #[must_use]
    pub fn standard() -> Self {
        Self::with_pauses(&[10, 60, 5 * 60, 30 * 60])
    }

    /// GitLab's own way: one attempt.
    #[must_use]
    pub fn gitlab() -> Self {
        Self::with_pauses(&[])
    }

    /// Up to three days.
    #[must_use]
    pub fn patient() -> Self {
        const H: u64 = 3600;
        Self::with_pauses(&[10, 60, 5 * 60, 30 * 60, 2 * H, 6 * H, 12 * H, 24 * H, 24 * H])
    }

    fn with_pauses(seconds: &[u64]) -> Self {
        Self {
            pauses: seconds.iter().copied().map(Duration::from_secs).collect(),
            longest_retry_after: Duration::from_secs(24 * 3600),
        }
    }

    /// By the name used in settings.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "standard" => Some(Self::standard()),
            "gitlab" => Some(Self::gitlab()),
            "patient" => Some(Self::patient()),
            _ => None,
        }
    }

    /// How long to wait after `failures` counted attempts, the last of which ended in `outcome`. `None`: give up.
    ///
    /// Full jitter: anything from nothing to the whole pause, so that receivers which failed together are not called
    /// together. A `Retry-After` is waited out in full, within bounds. 410 means the receiver is gone for good.
    #[must_use]
    pub fn next(&self, failures: u32, outcome: Outcome, chance: Chance) -> Option<Duration> {
        if matches!(outcome, Outcome::Rejected { status: 410, .. }) {
            return None;
        }
        let nth = usize::try_from(failures).ok()?.checked_sub(1)?;
        let pause = self.pauses.get(nth)?.mul_f64(chance.0.clamp(0.0, 1.0));
        let asked = match outcome {
            Outcome::Rejected { retry_after, .. } | Outcome::Failed { retry_after, .. } => retry_after,
            _ => None,
        };
        Some(asked.map_or(pause, |asked| pause.max(asked.min(self.longest_retry_after))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::Unreachable;

    const FAILED: Outcome = Outcome::Failed { status: 500, retry_after: None };

    fn asked(seconds: u64) -> Outcome {
        Outcome::Rejected { status: 429, retry_after: Some(Duration::from_secs(seconds)) }
    }

    #[test]
    fn the_presets_promise_what_the_guide_says() {
        assert_eq!(RetryPolicy::standard().pauses.len() + 1, 5);
        assert_eq!(RetryPolicy::gitlab().next(1, FAILED, Chance(0.5)), None);
        let patient: Duration = RetryPolicy::patient().pauses.iter().sum();
        assert!(patient < Duration::from_secs(3 * 86_400));
        assert!(patient > Duration::from_secs(2 * 86_400));
    }

    #[test]
    fn pauses_are_fully_jittered_and_end() {
        let policy = RetryPolicy::standard();
        assert_eq!(policy.next(1, FAILED, Chance(0.0)), Some(Duration::ZERO));
        assert_eq!(policy.next(2, FAILED, Chance(0.5)), Some(Duration::from_secs(30)));
        assert_eq!(policy.next(4, Outcome::Unreachable(Unreachable::Dns), Chance(0.1)), Some(Duration::from_secs(180)));
        assert_eq!(policy.next(5, FAILED, Chance(0.5)), None);
    }

    #[test]
    fn retry_after_is_honoured_within_bounds_and_410_stops() {
        let policy = RetryPolicy::standard();
        assert_eq!(policy.next(1, asked(120), Chance(0.9)), Some(Duration::from_secs(120)));
        assert_eq!(policy.next(1, asked(1), Chance(0.9)), Some(Duration::from_secs(9)));
        assert_eq!(policy.next(1, asked(u64::MAX), Chance(0.0)), Some(Duration::from_secs(86_400)));
        let gone = Outcome::Rejected { status: 410, retry_after: None };
        assert_eq!(policy.next(1, gone, Chance(0.5)), None);
    }

    proptest! {
        #[test]
        fn a_pause_never_exceeds_what_the_policy_and_the_receiver_allow(
            failures in 0_u32..20, chance in 0.0_f64..1.0, seconds in 0_u64..1_000_000,
        ) {
            let policy = RetryPolicy::patient();
            if let Some(pause) = policy.next(failures, asked(seconds), Chance(chance)) {
                prop_assert!(pause <= Duration::from_secs(86_400));
            }
        }
    }
}
