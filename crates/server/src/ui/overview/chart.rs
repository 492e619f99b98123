//! Bars of the last hour, one a minute, as SVG.

use serde::Deserialize;

use crate::ui::parts::Time;

/// Height of the tallest bar.
const HEIGHT: u64 = 64;
/// Distance of two bars.
const STEP: usize = 10;

/// A minute of the last hour, as the API answers. A number is absent if it was not counted.
#[derive(Deserialize)]
pub(super) struct Minute {
    at: String,
    pub(super) events: Option<u64>,
    pub(super) delivered: Option<u64>,
    pub(super) failed: Option<u64>,
}

impl Minute {
    pub(super) fn time(&self) -> Time {
        Time::new(&self.at)
    }

    /// Hour and minute, which a bar shows on hover.
    fn clock(&self) -> &str {
        self.at.get(11..16).unwrap_or(&self.at)
    }

    /// True if anything happened in this minute.
    pub(super) fn is_busy(&self) -> bool {
        [self.events, self.delivered, self.failed]
            .iter()
            .flatten()
            .any(|count| *count > 0)
    }
}

/// A bar: a part for what went well, and one above it for what failed.
pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) good_y: u64,
    pub(super) good: u64,
    pub(super) bad_y: u64,
    pub(super) bad: u64,
    pub(super) words: String,
}

/// The bars of an hour.
pub(super) struct Bars {
    pub(super) bars: Vec<Bar>,

    /// All that was counted.
    pub(super) good: u64,
    pub(super) bad: u64,
}

impl Bars {
    /// The events that arrived.
    pub(super) fn events(minutes: &[Minute]) -> Self {
        let counts = minutes.iter().map(|minute| {
            let count = minute.events.unwrap_or(0);
            let words = format!("{}: {count} events", minute.clock());
            (count, 0, words)
        });
        Self::of(counts.collect())
    }

    /// The attempts that receivers accepted, and those that failed.
    pub(super) fn calls(minutes: &[Minute]) -> Self {
        let counts = minutes.iter().map(|minute| {
            let (good, bad) = (minute.delivered.unwrap_or(0), minute.failed.unwrap_or(0));
            let words = format!("{}: {good} delivered, {bad} failed", minute.clock());
            (good, bad, words)
        });
        Self::of(counts.collect())
    }

    fn of(counts: Vec<(u64, u64, String)>) -> Self {
        let highest = counts.iter().map(|(good, bad, _)| good + bad).max().unwrap_or(0).max(1);
        let mut bars = Vec::new();
        let (mut all_good, mut all_bad) = (0, 0);

        for (index, (good, bad, words)) in counts.into_iter().enumerate() {
            all_good += good;
            all_bad += bad;

            // A bar is at least one pixel high, so that a single failure can be seen.
            let height = |count: u64| {
                if count == 0 {
                    0
                } else {
                    (count * HEIGHT / highest).max(1)
                }
            };
            let (good, bad) = (height(good), height(bad));
            bars.push(Bar {
                x: index * STEP,
                good_y: HEIGHT.saturating_sub(good),
                good,
                bad_y: HEIGHT.saturating_sub(good + bad),
                bad,
                words,
            });
        }

        Self {
            bars,
            good: all_good,
            bad: all_bad,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_stands_on_what_went_well() {
        let minute = |delivered, failed| Minute {
            at: "2026-12-01T10:07:00.000Z".to_owned(),
            events: None,
            delivered: Some(delivered),
            failed: Some(failed),
        };
        let bars = Bars::calls(&[minute(3, 1), minute(0, 0)]);

        let bar = &bars.bars[0];
        assert_eq!((bar.good, bar.good_y, bar.bad, bar.bad_y), (48, 16, 16, 0));
        assert_eq!(bar.words, "10:07: 3 delivered, 1 failed");
        assert_eq!((bars.good, bars.bad, bars.bars[1].good), (3, 1, 0));
    }
}
