//! Calculates metrics from items: groups them, takes their samples, and summarises these as one number or as a series.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::{Context, Kind, Metric, Sample, Trait, View, known_since};
use crate::deployments::{self, By};
use crate::entity::{Entity, Item};
use crate::people::People;
use crate::report::{Week, work_balance};
use quickdraw_domain::Timestamp;

/// Items of one family, with their context.
pub struct Items {
    /// Sorted so that the items of a group follow one another, the first one first.
    items: Vec<Item>,
    context: Context,
    people: People,
    choice: Choice,
}

/// The filters and options of a question.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The required traits. For metrics of label times, the label to measure.
    pub only: BTreeMap<Trait, String>,

    /// Counts tags or releases as deployments, instead of deployment events and jobs.
    pub deployed_by: Option<By>,

    /// Counts child pipelines too.
    pub children: bool,

    /// Minimum age for metrics of waiting or stale items, instead of the default.
    pub older_than: Option<Duration>,

    /// Additional labels that make an issue an incident.
    pub incident_labels: Arc<[String]>,

    /// Time zone that determines where days begin.
    pub zone: TimeZone,

    /// Minimum number of people; numbers of smaller groups are not shown.
    pub least: u32,
}

impl Default for Choice {
    /// Counts everything, in UTC.
    fn default() -> Self {
        Self {
            only: BTreeMap::new(),
            deployed_by: None,
            children: false,
            older_than: None,
            incident_labels: Arc::default(),
            zone: TimeZone::UTC,
            least: 0,
        }
    }
}

/// A summary of samples.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Summary {
    /// The count, share, mean or sum. None for a share or mean without samples.
    pub value: Option<f64>,

    /// Number of samples.
    pub samples: usize,

    /// The percentiles 50, 75, 90 and 95 of durations.
    pub percentiles: [Option<f64>; 4],

    /// Number of samples in each hour of the week, for weekly patterns.
    pub week: Option<Box<Week>>,
}

/// The properties of a window that a summary needs.
#[derive(Clone, Copy, Debug)]
struct Span {
    days: f64,

    /// Days from Monday to Friday. None if the window is shorter than a day.
    working_days: Option<f64>,

    /// Number of selected members. None if all people count.
    people: Option<usize>,
}

/// An interval of a series. It ends where the next one begins.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Part {
    /// Start.
    pub start: Timestamp,

    /// Number of days.
    pub days: f64,

    /// True if the window cuts the week or month that the interval stands for.
    pub is_cut: bool,
}

impl Items {
    /// `items` must be of one family, and `others` is their context. Only the work of `people` counts.
    #[must_use]
    pub fn new(mut items: Vec<Item>, mut others: Vec<Item>, people: People, choice: Choice) -> Self {
        deployments::keep(&mut items, &mut others, choice.deployed_by);
        for item in items.iter_mut().chain(&mut others) {
            if let Item::Issue(one) = item {
                one.is_incident |= one.has_ever_had(&choice.incident_labels);
            }
        }

        items.sort_by(|one, other| {
            group(one)
                .cmp(&group(other))
                .then_with(|| first(one).cmp(&first(other)))
        });

        let context = Context::of(&items.iter().chain(&others).collect::<Vec<_>>());
        Self {
            items,
            context,
            people,
            choice,
        }
    }

    /// The properties of an interval. None if its numbers must not be shown.
    fn span(&self, from: Timestamp, days: f64, to: Timestamp) -> Option<Span> {
        let least = usize::try_from(self.choice.least).unwrap_or(usize::MAX);
        let people = self.people.count_in(from, to);

        people.is_none_or(|people| people >= least).then(|| {
            let working_days = (days >= 1.0).then(|| self.working_days(from, to));
            Span {
                days,
                working_days,
                people,
            }
        })
    }

    /// Number of days from Monday to Friday between two times.
    fn working_days(&self, from: Timestamp, to: Timestamp) -> f64 {
        let zone = &self.choice.zone;
        let local = |at: Timestamp| {
            zone.to_datetime(jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default())
                .date()
        };
        let (from, to) = (local(from), local(to));
        let days = from.series(jiff::Span::new().days(1)).take_while(|day| *day < to);
        let days = days.filter(|day| !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday));

        count(days.count())
    }

    /// The items, without their context.
    pub fn all(&self) -> impl Iterator<Item = &Item> {
        self.items.iter()
    }

    /// Start of coverage. None without items.
    #[must_use]
    pub fn known_since(&self) -> Option<Timestamp> {
        self.items.iter().filter_map(known_since).min()
    }

    /// Adds a filter.
    pub fn look_for(&mut self, of: Trait, wanted: String) {
        self.choice.only.insert(of, wanted);
    }

    /// Replaces the people whose work counts.
    pub fn look_at(&mut self, people: People) {
        self.people = people;
    }

    /// Calls `then` with each item and its sample in a window. For groups, it gets the last item.
    pub fn each(&self, metric: &Metric, from: Timestamp, to: Timestamp, mut then: impl FnMut(&Item, Sample)) {
        self.each_together(metric, from, to, |together, sample| {
            then(&together[together.len() - 1], sample)
        });
    }

    /// The same with all items of a group. A group is never empty.
    pub fn each_together(
        &self,
        metric: &Metric,
        from: Timestamp,
        to: Timestamp,
        mut then: impl FnMut(&[Item], Sample),
    ) {
        let view = self.view(from, to);
        let belong = |one: &Item, other: &Item| metric.is_of_groups() && group(one) == group(other);
        for together in self.items.chunk_by(belong) {
            then(together, metric.sample(together, &view));
        }
    }

    fn view(&self, from: Timestamp, to: Timestamp) -> View<'_> {
        let Self {
            choice,
            people,
            context,
            ..
        } = self;

        View {
            from,
            to,
            choice,
            zone: &choice.zone,
            people,
            context,
        }
    }

    /// The values of a trait among the items with a sample. For metrics of label times, all labels that the items ever
    /// had.
    #[must_use]
    pub fn groups(&self, metric: &Metric, of: Trait, from: Timestamp, to: Timestamp) -> BTreeSet<String> {
        let is_of_labels = metric.is_of_labels() && of == Trait::Label;
        let view = self.view(from, to);
        let belong = |one: &Item, other: &Item| metric.is_of_groups() && group(one) == group(other);
        let mut groups = BTreeSet::new();

        for together in self.items.chunk_by(belong) {
            if !is_of_labels && matches!(metric.sample(together, &view), Sample::Out(_)) {
                continue;
            }

            for item in together {
                match item {
                    item if is_of_labels => groups.extend(item.labels_ever().into_iter().flatten().map(str::to_owned)),
                    Item::Commit(commit) if of == Trait::Branch => {
                        groups.extend(self.context.branches_of(commit).iter().cloned());
                    }
                    item => groups.extend(of.of(item).into_iter().map(str::to_owned)),
                }
            }
        }

        groups
    }

    fn samples(&self, metric: &Metric, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, i64)> {
        let mut samples = Vec::new();
        self.each(metric, from, to, |_, sample| match sample {
            Sample::In(at, value) => samples.push((at, value)),
            Sample::Many(all) | Sample::About(all, _) => samples.extend(all),
            Sample::Out(_) => {}
        });

        samples
    }

    /// The value of a metric in a window of `days` days.
    #[must_use]
    pub fn metric(&self, metric: &Metric, from: Timestamp, to: Timestamp, days: f64) -> Summary {
        let Some(span) = self.span(from, days, to) else {
            return Summary::default();
        };
        Summary::of(metric.kind, &span, values(self.samples(metric, from, to)))
    }

    /// The values of a metric in the intervals of a window that ends at `to`.
    #[must_use]
    pub fn series(&self, metric: &Metric, parts: &[Part], to: Timestamp) -> Vec<Summary> {
        let ends = parts.iter().skip(1).map(|part| part.start).chain([to]);
        let mut of_parts: Vec<Vec<i64>> = vec![Vec::new(); parts.len()];

        if metric.kind == Kind::Gauge {
            for ((of_part, part), end) in of_parts.iter_mut().zip(parts).zip(ends.clone()) {
                *of_part = values(self.samples(metric, part.start, end));
            }
        } else if let Some(first) = parts.first() {
            for (at, value) in self.samples(metric, first.start, to) {
                let part = parts.partition_point(|part| part.start <= at).saturating_sub(1);
                of_parts[part].push(value);
            }
        }

        let mut series = Vec::with_capacity(parts.len());
        for ((part, values), end) in parts.iter().zip(of_parts).zip(ends) {
            let span = self.span(part.start, part.days, end);
            series.push(
                span.map(|span| Summary::of(metric.kind, &span, values))
                    .unwrap_or_default(),
            );
        }

        series
    }
}

impl Summary {
    #[expect(clippy::cast_precision_loss, reason = "counts and seconds fit 52 bits")]
    fn of(kind: Kind, span: &Span, mut values: Vec<i64>) -> Self {
        values.sort_unstable();

        let samples = values.len();

        // Distinct values identify objects, so they have no sum.
        let is_of_things = matches!(
            kind,
            Kind::Distinct
                | Kind::People
                | Kind::DistinctPerDay
                | Kind::DistinctPerWorkingDay
                | Kind::ShareOfPeople
                | Kind::Balance
                | Kind::Week
        );
        let sum: i64 = if is_of_things { 0 } else { values.iter().sum() };
        let mean = (samples > 0).then(|| sum as f64 / samples as f64);

        let value = match kind {
            Kind::Count | Kind::Gauge | Kind::Sum => Some(sum as f64),
            Kind::Distinct | Kind::People => Some(distinct(&values)),
            Kind::PerDay => Some(sum as f64 / span.days),
            Kind::DistinctPerDay => Some(distinct(&values) / span.days),
            Kind::DistinctPerWorkingDay => share(distinct(&values), span.working_days),
            Kind::ShareOfPeople => share(distinct(&values), span.people.map(count)),
            Kind::Balance => balance(&values, span.people),
            Kind::Week => Some(samples as f64),
            Kind::Ratio => ratio(&values),
            Kind::Share | Kind::Duration | Kind::DurationBelow | Kind::Mean => mean,
        };

        let percentiles = match kind {
            Kind::Duration => [50, 75, 90, 95].map(|percent| percentile(&values, percent)),
            Kind::DurationBelow => [50, 75, 90, 95].map(|percent| percentile_below(&values, percent)),
            _ => [None; 4],
        };

        let week = (kind == Kind::Week).then(|| week(&values));
        Self {
            value,
            samples,
            percentiles,
            week,
        }
    }
}

/// The number of samples 1 for each sample 0. None without a sample 0.
fn ratio(samples: &[i64]) -> Option<f64> {
    let others = samples.iter().filter(|sample| **sample == 0).count();
    share(count(samples.len() - others), Some(count(others)))
}

/// A share. None if the total is missing or 0.
fn share(of: f64, all: Option<f64>) -> Option<f64> {
    all.filter(|all| *all > 0.0).map(|all| of / all)
}

/// The Gini coefficient of samples that identify people. Selected people without samples count with 0.
fn balance(sorted: &[i64], people: Option<usize>) -> Option<f64> {
    let mut counts: Vec<i64> = sorted
        .chunk_by(|one, other| one == other)
        .map(|all| i64::try_from(all.len()).unwrap_or(i64::MAX))
        .collect();

    counts.resize(counts.len().max(people.unwrap_or_default()), 0);
    work_balance(&counts)
}

/// A table of weekdays and hours from hours of the week.
fn week(hours: &[i64]) -> Box<Week> {
    let mut week = Box::<Week>::default();
    for hour in hours.iter().filter_map(|hour| usize::try_from(*hour).ok()) {
        week[(hour / 24) % 7][hour % 24] += 1;
    }

    week
}

#[expect(clippy::cast_precision_loss, reason = "counts of days and people")]
fn count(things: usize) -> f64 {
    things as f64
}

/// A percentile, interpolated between two samples as SQL's `PERCENTILE_CONT` does. None without samples. `sorted` is in
/// ascending order.
#[expect(clippy::cast_precision_loss, reason = "seconds fit 52 bits")]
fn percentile(sorted: &[i64], percent: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = percent.min(100) * last;
    let (low, high) = (sorted[place / 100], sorted[(place / 100 + 1).min(last)]);
    let part = i64::try_from(place % 100).unwrap_or(0);

    Some(low as f64 + ((high - low) * part) as f64 / 100.0)
}

/// A percentile in the way of DevLake: the largest sample whose rank, from 0 to 1, is at most the percentage.
#[expect(clippy::cast_precision_loss, reason = "seconds fit 52 bits")]
fn percentile_below(sorted: &[i64], percent: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some(sorted[percent.min(100) * last / 100] as f64)
}

#[expect(clippy::cast_precision_loss, reason = "counts fit 52 bits")]
fn distinct(sorted: &[i64]) -> f64 {
    sorted.chunk_by(|one, other| one == other).count() as f64
}

fn values(samples: Vec<(Timestamp, i64)>) -> Vec<i64> {
    samples.into_iter().map(|(_, value)| value).collect()
}

/// The key of a group: runs of one job in one pipeline, pushes to one branch.
fn group(item: &Item) -> (i64, i64, &str) {
    match item {
        Item::Job(run) => (run.project, run.pipeline, &run.name),
        Item::Push(push) => (push.project, 0, &push.git_ref),
        other => (other.key().0, other.key().1, ""),
    }
}

/// The order within a group.
fn first(item: &Item) -> (Option<Timestamp>, i64) {
    match item {
        Item::Job(run) => (run.started_at, run.id),
        other => (other.opened_at(), other.key().1),
    }
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

        assert_eq!(
            percentile_below(&[100, 200, 300, 400], 50),
            Some(200.0),
            "a lower median"
        );

        assert_eq!(
            (percentile_below(&hours, 50), percentile_below(&[], 50)),
            (Some(36_000.0), None)
        );
    }

    #[test]
    fn a_share_without_data_is_none_and_not_zero() {
        let week = Span {
            days: 7.0,
            working_days: Some(5.0),
            people: None,
        };
        let none = |kind| Summary::of(kind, &week, Vec::new()).value;
        assert_eq!([Kind::Share, Kind::Mean, Kind::Duration].map(none), [None; 3]);
        assert_eq!([Kind::Count, Kind::Sum, Kind::PerDay].map(none), [Some(0.0); 3]);
        assert_eq!(Summary::of(Kind::PerDay, &week, vec![1, 1]).value, Some(2.0 / 7.0));
    }
}
