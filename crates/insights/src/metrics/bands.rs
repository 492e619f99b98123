//! Bands of DORA's reports. The bands differ between years, so answers contain the number, and the band with the year
//! of its report.

use super::{Metric, Summary};

const DAY: f64 = 86_400.0;
const WEEK: f64 = 7.0 * DAY;
const MONTH: f64 = 30.0 * DAY;

/// Minimum number of samples for a band.
const LEAST: usize = 5;

/// The band in the report of 2019. None for other metrics, for too few samples, and for windows that are not fully
/// covered. The bands for times to restore and change failure rates are left out: several of them are the same, and
/// there are gaps between others.
#[must_use]
pub fn band(metric: &Metric, summary: &Summary, is_covered: bool) -> Option<&'static str> {
    if !is_covered || summary.samples < LEAST {
        return None;
    }

    let median = summary.percentiles[0];
    let below = |value: f64, bounds: [f64; 3]| {
        let names = ["elite", "high", "medium"].into_iter().zip(bounds);
        names
            .into_iter()
            .find(|(_, bound)| value < *bound)
            .map_or("low", |(name, _)| name)
    };

    match metric.name {
        // Elite: several a day. High: up to one a week. Medium: up to one a month. Low: fewer.
        "deployment_frequency" => summary
            .value
            .map(|a_day| below(1.0 / a_day, [1.0, 7.0 + 1e-9, 30.0 + 1e-9])),
        "lead_time_for_changes" | "commit_lead_time" => median.map(|time| below(time, [DAY, WEEK, MONTH])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bands() {
        let band_of = |name: &str, value: Option<f64>, median: Option<f64>| {
            let percentiles = [median, None, None, None];
            let summary = Summary {
                value,
                samples: 5,
                percentiles,
                week: None,
            };
            band(Metric::by_name(name).expect("a metric"), &summary, true)
        };
        let frequency = |a_day| band_of("deployment_frequency", Some(a_day), None).expect("a band");
        assert_eq!(
            [2.0, 1.0, 1.0 / 7.0, 0.1, 0.01].map(frequency),
            ["elite", "high", "high", "medium", "low"]
        );

        let lead_time = |seconds| band_of("lead_time_for_changes", None, Some(seconds)).expect("a band");
        assert_eq!(
            [21_600.0, DAY, WEEK, MONTH].map(lead_time),
            ["elite", "high", "medium", "low"]
        );

        assert_eq!(
            (
                band_of("lead_time_for_changes", None, None),
                band_of("commits", Some(1.0), None)
            ),
            (None, None)
        );
    }

    #[test]
    fn few_samples_and_times_that_are_not_covered_have_no_band() {
        let metric = Metric::by_name("deployment_frequency").expect("a metric");
        let of = |samples: usize, is_covered: bool| {
            band(
                metric,
                &Summary {
                    value: Some(2.0),
                    samples,
                    percentiles: [None; 4],
                    week: None,
                },
                is_covered,
            )
        };
        assert_eq!((of(5, true), of(4, true), of(60, false)), (Some("elite"), None, None));
    }
}
