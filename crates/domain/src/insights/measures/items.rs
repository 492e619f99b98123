//! From things to numbers: what belongs together, what it gives to an insight, and what that makes, as one number and as a
//! series.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::{Kind, Measure, Sample, Subject, View};
use crate::Timestamp;
use crate::insights::deployments::{Deployment, incidents_of};
use crate::insights::entity::{Entity, Item};
use crate::insights::issues::Issue;
use crate::insights::pipelines::Job;

/// Things of one family, with what belongs to them.
#[derive(Default)]
pub struct Items {
    /// In an order in which the runs of one job lie together, the first one first.
    items: Vec<Item>,
    /// What followed deployments …
    incidents: Vec<Item>,
    /// … by position: which of those followed which deployment.
    followed: Vec<Vec<usize>>,
    /// Actors whose doings do not count.
    bots: HashSet<i64>,
}

/// Samples as a number.
#[derive(Clone, PartialEq, Debug)]
pub struct Summary {
    /// How many, the share, the mean, or the sum. Nothing for a share or a mean without a sample.
    pub value: Option<f64>,
    /// How many samples there are.
    pub samples: usize,
    /// Percentiles 50, 75, 90 and 95 of durations.
    pub percentiles: [Option<f64>; 4],
}

/// Where a part of a window begins, and how many days it has.
pub type Part = (Timestamp, f64);

impl Items {
    /// `items` are of one family, and `issues` may have incidents that followed them if they are deployments.
    #[must_use]
    pub fn new(mut items: Vec<Item>, issues: Vec<Item>, bots: HashSet<i64>) -> Self {
        items.sort_by(|one, other| match (one, other) {
            (Item::Job(one), Item::Job(other)) => {
                job(one).cmp(&job(other)).then((one.started_at, one.id).cmp(&(other.started_at, other.id)))
            }
            (Item::Deployment(one), Item::Deployment(other)) => {
                (one.project, one.at(), one.id).cmp(&(other.project, other.at(), other.id))
            }
            _ => Ordering::Equal,
        });
        let mut all = Self { items, incidents: issues, followed: Vec::new(), bots };
        let deployments: Vec<&Deployment> = all.items.iter().filter_map(deployment).collect();
        let issues: Vec<&Issue> = all.incidents.iter().filter_map(issue).collect();
        all.followed = incidents_of(&deployments, &issues);
        all
    }

    /// What each thing gives to an insight in a window, with the thing's project and number.
    pub fn each(&self, measure: &Measure, from: Timestamp, to: Timestamp, mut then: impl FnMut((i64, i64), Sample)) {
        let is_bot = |who: i64| self.bots.contains(&who);
        let view = View { from, to, is_bot: &is_bot };
        let mut followed = self.followed.iter();
        for together in
            self.items.chunk_by(|one, other| run(one).is_some_and(|one| run(other).map(job) == Some(job(one))))
        {
            let sample = match &together[0] {
                Item::MergeRequest(one) => measure.sample(Subject::MergeRequest(one), &view),
                Item::Issue(one) => measure.sample(Subject::Issue(one), &view),
                Item::Pipeline(one) => measure.sample(Subject::Pipeline(one), &view),
                Item::Job(_) => {
                    let runs: Vec<&Job> = together.iter().filter_map(run).collect();
                    measure.sample(Subject::Runs(&runs), &view)
                }
                Item::Deployment(one) => {
                    let behind = followed.next().into_iter().flatten();
                    let incidents: Vec<&Issue> =
                        behind.filter_map(|position| issue(&self.incidents[*position])).collect();
                    measure.sample(Subject::Deployment(one, &incidents), &view)
                }
            };
            then(together[together.len() - 1].key(), sample);
        }
    }

    fn samples(&self, measure: &Measure, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, i64)> {
        let mut samples = Vec::new();
        self.each(measure, from, to, |_, sample| match sample {
            Sample::In(at, value) => samples.push((at, value)),
            Sample::Many(all) => samples.extend(all),
            Sample::Out(_) => {}
        });
        samples
    }

    /// An insight in a window of so many days.
    #[must_use]
    pub fn measure(&self, measure: &Measure, from: Timestamp, to: Timestamp, days: f64) -> Summary {
        Summary::of(measure.kind, days, values(self.samples(measure, from, to)))
    }

    /// An insight in each part of a window, the last of which ends at a time.
    #[must_use]
    pub fn series(&self, measure: &Measure, parts: &[Part], to: Timestamp) -> Vec<Summary> {
        let mut of_parts: Vec<Vec<i64>> = vec![Vec::new(); parts.len()];
        if measure.kind == Kind::Gauge {
            let ends = parts.iter().skip(1).map(|(start, _)| *start).chain([to]);
            for ((of_part, (start, _)), end) in of_parts.iter_mut().zip(parts).zip(ends) {
                *of_part = values(self.samples(measure, *start, end));
            }
        } else if let Some((from, _)) = parts.first() {
            for (at, value) in self.samples(measure, *from, to) {
                let part = parts.partition_point(|(start, _)| *start <= at).saturating_sub(1);
                of_parts[part].push(value);
            }
        }
        parts.iter().zip(of_parts).map(|((_, days), values)| Summary::of(measure.kind, *days, values)).collect()
    }
}

impl Summary {
    #[expect(clippy::cast_precision_loss, reason = "counts and seconds fit 52 bits")]
    fn of(kind: Kind, days: f64, mut values: Vec<i64>) -> Self {
        values.sort_unstable();
        let samples = values.len();
        let sum: i64 = values.iter().sum();
        let mean = (samples > 0).then(|| sum as f64 / samples as f64);
        let value = match kind {
            Kind::Count | Kind::Gauge | Kind::Sum => Some(sum as f64),
            Kind::PerDay => Some(sum as f64 / days),
            Kind::Share | Kind::Duration | Kind::Mean => mean,
        };
        let percentiles = match kind {
            Kind::Duration => [50, 75, 90, 95].map(|percent| percentile(&values, percent)),
            _ => [None; 4],
        };
        Self { value, samples, percentiles }
    }
}

/// A percentile of the samples: what lies between two is interpolated, as `PERCENTILE_CONT` of SQL does. Nothing where there
/// is none. `sorted` is in ascending order.
#[expect(clippy::cast_precision_loss, reason = "seconds fit 52 bits")]
fn percentile(sorted: &[i64], percent: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = percent.min(100) * last;
    let (low, high) = (sorted[place / 100], sorted[(place / 100 + 1).min(last)]);
    let part = i64::try_from(place % 100).unwrap_or(0);
    Some(low as f64 + ((high - low) * part) as f64 / 100.0)
}

fn values(samples: Vec<(Timestamp, i64)>) -> Vec<i64> {
    samples.into_iter().map(|(_, value)| value).collect()
}

/// What makes runs those of one job.
fn job(run: &Job) -> (i64, i64, &str) {
    (run.project, run.pipeline, &run.name)
}

fn run(item: &Item) -> Option<&Job> {
    if let Item::Job(one) = item { Some(one) } else { None }
}

fn deployment(item: &Item) -> Option<&Deployment> {
    if let Item::Deployment(one) = item { Some(one) } else { None }
}

fn issue(item: &Item) -> Option<&Issue> {
    if let Item::Issue(one) = item { Some(one) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_interpolated() {
        let hours = [2 * 3_600, 10 * 3_600, 30 * 3_600];
        assert_eq!(percentile(&hours, 50), Some(36_000.0));
        assert_eq!(percentile(&[100, 200, 300, 400], 50), Some(250.0));
        assert_eq!(percentile(&[100, 200, 300, 400], 95), Some(385.0));
        assert_eq!((percentile(&[], 50), percentile(&[7], 90)), (None, Some(7.0)));
    }

    #[test]
    fn what_there_is_no_data_of_is_nothing_and_not_zero() {
        let none = |kind| Summary::of(kind, 7.0, Vec::new()).value;
        assert_eq!([Kind::Share, Kind::Mean, Kind::Duration].map(none), [None; 3]);
        assert_eq!([Kind::Count, Kind::Sum, Kind::PerDay].map(none), [Some(0.0); 3]);
        assert_eq!(Summary::of(Kind::PerDay, 7.0, vec![1, 1]).value, Some(2.0 / 7.0));
    }
}
