//! Retries: a policy is a list of pauses, and chance is an argument.

use std::sync::Arc;
use std::time::Duration;

use crate::outcome::Outcome;
use crate::time::parse_duration;

/// A random fraction in `[0, 1)`, drawn by the caller.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Chance(pub f64);

/// The maximum number of pauses, and the longest pause.
const MAX_PAUSES: usize = 30;
const LONGEST_PAUSE: Duration = Duration::from_secs(7 * 86_400);

/// The reason for refusing a retry policy.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RetryError {
    /// Neither a preset nor a duration.
    #[error("must be standard, gitlab, patient, or pauses such as 10s, 5m, 2h or 1d, not {0:?}")]
    Word(String),

    /// Over 30 pauses.
    #[error("has more than {MAX_PAUSES} pauses")]
    TooMany,

    /// A pause over seven days.
    #[error("has a pause of more than seven days")]
    TooLong,
}

/// A hook's own policy, with the words from which it was parsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnRetry {
    text: String,
    policy: Arc<RetryPolicy>,
}

impl OwnRetry {
    /// Parses the name of a preset, or the longest pause before each further attempt.
    ///
    /// # Errors
    /// Every reason of [`RetryError`].
    pub fn parse(words: &[&str]) -> Result<Self, RetryError> {
        let words: Vec<&str> = words
            .iter()
            .map(|word| word.trim())
            .filter(|word| !word.is_empty())
            .collect();

        let policy = match words.as_slice() {
            [name] if RetryPolicy::preset(name).is_some() => {
                RetryPolicy::preset(name).unwrap_or_else(RetryPolicy::standard)
            }
            _ if words.len() > MAX_PAUSES => return Err(RetryError::TooMany),
            _ => {
                let pauses = words.iter().map(|word| pause(word)).collect::<Result<_, _>>()?;
                RetryPolicy {
                    pauses,
                    ..RetryPolicy::standard()
                }
            }
        };
        Ok(Self {
            text: words.join(","),
            policy: Arc::new(policy),
        })
    }

    /// The words, with commas between pauses.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> Arc<RetryPolicy> {
        Arc::clone(&self.policy)
    }
}

fn pause(word: &str) -> Result<Duration, RetryError> {
    let pause = parse_duration(word).ok_or_else(|| RetryError::Word(word.to_owned()))?;
    if pause > LONGEST_PAUSE {
        Err(RetryError::TooLong)
    } else {
        Ok(pause)
    }
}

/// The number of attempts and the pauses between them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetryPolicy {
    /// The longest pauses before the second, third and later attempts. The number of attempts is the number of pauses
    /// plus one.
    pub pauses: Vec<Duration>,

    /// The longest `Retry-After` that is respected. Longer ones are shortened to it.
    pub longest_retry_after: Duration,
}

impl RetryPolicy {
    /// The default: five attempts, the last one about 35 minutes after the first.
    #[must_use]
    pub fn standard() -> Self {
        Self::with_pauses(&[10, 60, 5 * 60, 30 * 60])
    }

    /// GitLab's own policy: one attempt.
    #[must_use]
    pub fn gitlab() -> Self {
        Self::with_pauses(&[])
    }

    /// Ten attempts in up to three days.
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

    /// The policy with this name in the settings.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "standard" => Some(Self::standard()),
            "gitlab" => Some(Self::gitlab()),
            "patient" => Some(Self::patient()),
            _ => None,
        }
    }

    /// The pause after `failures` counted attempts, of which the last ended in `outcome`. `None` if the delivery failed
    /// for good.
    ///
    /// Full jitter: the pause is random between zero and its full length, so that receivers which failed together are
    /// not called together. `Retry-After` is a lower bound, up to its own limit. 410 means that the receiver is gone
    /// for good.
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

    #[test]
    fn a_hooks_own_policy_is_a_preset_or_a_list() {
        let seconds = |words: &[&str]| {
            let own = OwnRetry::parse(words).expect("valid");
            (
                own.text().to_owned(),
                own.policy().pauses.iter().map(Duration::as_secs).collect::<Vec<_>>(),
            )
        };
        assert_eq!(seconds(&["gitlab"]), ("gitlab".to_owned(), vec![]));

        assert_eq!(
            seconds(&["10s", " 5m ", "1d"]),
            ("10s,5m,1d".to_owned(), vec![10, 300, 86_400])
        );

        assert_eq!(OwnRetry::parse(&["patient"]).expect("valid").policy().pauses.len(), 9);

        let error = |words: &[&str]| OwnRetry::parse(words).err();
        assert_eq!(error(&["often"]), Some(RetryError::Word("often".to_owned())));
        assert_eq!(error(&["10s", "gitlab"]), Some(RetryError::Word("gitlab".to_owned())));
        assert_eq!(error(&["-10s"]), Some(RetryError::Word("-10s".to_owned())));
        assert_eq!(error(&["8d"]), Some(RetryError::TooLong));
        assert_eq!(error(&["1s"; 31]), Some(RetryError::TooMany));
    }

    const FAILED: Outcome = Outcome::Failed {
        status: 500,
        retry_after: None,
    };

    fn asked(seconds: u64) -> Outcome {
        Outcome::Rejected {
            status: 429,
            retry_after: Some(Duration::from_secs(seconds)),
        }
    }

    #[test]
    fn the_presets_have_the_documented_numbers_of_attempts() {
        assert_eq!(RetryPolicy::standard().pauses.len() + 1, 5);
        assert_eq!(RetryPolicy::gitlab().next(1, FAILED, Chance(0.5)), None);

        let patient: Duration = RetryPolicy::patient().pauses.iter().sum();
        assert!(patient < Duration::from_secs(3 * 86_400));
        assert!(patient > Duration::from_secs(2 * 86_400));
    }

    #[test]
    fn pauses_have_full_jitter_and_end() {
        let policy = RetryPolicy::standard();
        assert_eq!(policy.next(1, FAILED, Chance(0.0)), Some(Duration::ZERO));
        assert_eq!(policy.next(2, FAILED, Chance(0.5)), Some(Duration::from_secs(30)));

        assert_eq!(
            policy.next(4, Outcome::Unreachable(Unreachable::Dns), Chance(0.1)),
            Some(Duration::from_secs(180))
        );

        assert_eq!(policy.next(5, FAILED, Chance(0.5)), None);
    }

    #[test]
    fn retry_after_is_respected_up_to_its_limit_and_410_ends_the_retries() {
        let policy = RetryPolicy::standard();
        assert_eq!(policy.next(1, asked(120), Chance(0.9)), Some(Duration::from_secs(120)));
        assert_eq!(policy.next(1, asked(1), Chance(0.9)), Some(Duration::from_secs(9)));

        assert_eq!(
            policy.next(1, asked(u64::MAX), Chance(0.0)),
            Some(Duration::from_secs(86_400))
        );

        let gone = Outcome::Rejected {
            status: 410,
            retry_after: None,
        };
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
