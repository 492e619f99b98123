//! The disk space of the database: sampled every minute, and kept in memory for a few hours, so that administrators see
//! how fast it is used up.

use std::collections::VecDeque;

use parking_lot::Mutex;
use quickdraw_domain::space::{Forecast, Sample, forecast};

use crate::context::Context;

/// Samples that are kept: one a minute for six hours.
const MAX_SAMPLES: usize = 360;

/// The samples of this node since its start, the oldest first.
#[derive(Default)]
pub(crate) struct Samples(Mutex<VecDeque<Sample>>);

/// The disk space as this node knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpaceStatus {
    /// The newest sample.
    pub newest: Sample,

    /// The growth since the oldest sample. `None` before ten minutes have passed.
    pub forecast: Option<Forecast>,
}

impl Samples {
    fn add(&self, sample: Sample) {
        let mut samples = self.0.lock();
        if samples.len() == MAX_SAMPLES {
            samples.pop_front();
        }

        samples.push_back(sample);
    }

    /// The newest sample with the growth. `None` before the first sample.
    pub(crate) fn status(&self) -> Option<SpaceStatus> {
        let samples = self.0.lock();
        let (oldest, newest) = (samples.front()?, samples.back()?);
        Some(SpaceStatus {
            newest: *newest,
            forecast: forecast(oldest, newest),
        })
    }
}

/// Takes a sample.
pub(crate) async fn sample(context: &Context, samples: &Samples) -> anyhow::Result<()> {
    let space = context.store.space().await?;
    samples.add(Sample {
        at: context.clock.now(),
        database_bytes: space.database_bytes,
        free_bytes: space.free_bytes,
    });

    Ok(())
}

#[cfg(test)]
mod tests {
    use quickdraw_domain::Timestamp;

    use super::*;

    #[test]
    fn the_growth_is_calculated_from_the_samples_of_six_hours() {
        let samples = Samples::default();
        assert_eq!(samples.status(), None);

        for minute in 0..400_u32 {
            samples.add(Sample {
                at: Timestamp::from_seconds(i64::from(minute) * 60),
                database_bytes: u64::from(minute) * 1000,
                free_bytes: None,
            });
        }

        let status = samples.status().expect("samples");
        assert_eq!(status.newest.database_bytes, 399_000);

        let forecast = status.forecast.expect("enough samples");
        assert_eq!(forecast.over.as_secs(), 359 * 60);
        assert_eq!(forecast.database_bytes_per_hour, 60_000);
    }
}
