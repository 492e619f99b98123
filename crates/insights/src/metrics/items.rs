//! From things to numbers: what belongs together, what it gives to an insight, and what that makes, as one number and as a
//! series.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::{Around, Kind, Metric, Sample, Trait, View, known_since};
use crate::deployments::{self, By};
use crate::entity::{Entity, Item};
use crate::people::People;
use crate::report::{Week, work_balance};
use quickdraw_domain::Timestamp;

/// Things of one family, with what lies around them.
pub struct Items {
    /// In an order in which those that belong together lie together, the first one first.
    items: Vec<Item>,
    around: Around,
    people: People,
    choice: Choice,
}

/// What of it counts, and how.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Only what has these traits; or of a label, whose time with it is asked for.
    pub only: BTreeMap<Trait, String>,
    /// Tags or releases are the deployments, and not what events of those and of jobs tell.
    pub deployed_by: Option<By>,
    /// Pipelines that others started count too, where they do not.
    pub children: bool,
    /// How long something must have been so, where that is not what it usually is.
    pub older_than: Option<Duration>,
    /// Labels that make an issue an incident, beside `incident`.
    pub incident_labels: Arc<[String]>,
    /// Where days begin.
    pub zone: TimeZone,
    /// Numbers of fewer people than that are none.
    pub least: u32,
}

impl Default for Choice {
    /// Everything, of everybody, in UTC.
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

/// Samples as a number.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Summary {
    /// How many, the share, the mean, or the sum. Nothing for a share or a mean without a sample.
    pub value: Option<f64>,
    /// How many samples there are.
    pub samples: usize,
    /// Percentiles 50, 75, 90 and 95 of durations.
    pub percentiles: [Option<f64>; 4],
    /// How many there are at each hour of a week, where that is asked for.
    pub week: Option<Box<Week>>,
}

/// What a number is made for, beside its samples.
#[derive(Clone, Copy, Debug)]
struct Span {
    days: f64,
    /// Those from Monday to Friday; nothing for what is shorter than a day.
    working_days: Option<f64>,
    /// How many people are asked for; nothing where everybody is.
    people: Option<usize>,
}

/// Where a part of a window begins, and how many days it has.
pub type Part = (Timestamp, f64);

impl Items {
    /// `items` are of one family; what else was read lies around them. Only what was done by some people counts, and what is chosen.
    #[must_use]
    pub fn new(mut items: Vec<Item>, mut others: Vec<Item>, people: People, choice: Choice) -> Self {
        deployments::keep(&mut items, &mut others, choice.deployed_by);
        for item in items.iter_mut().chain(&mut others) {
            if let Item::Issue(one) = item {
                one.is_incident |= one.has_ever_had(&choice.incident_labels);
            }
        }
        items.sort_by(|one, other| group(one).cmp(&group(other)).then_with(|| first(one).cmp(&first(other))));
        let around = Around::of(&items.iter().chain(&others).collect::<Vec<_>>());
        Self { items, around, people, choice }
    }

    /// What a time is; nothing where numbers of it may not be told.
    fn span(&self, (from, days): Part, to: Timestamp) -> Option<Span> {
        let least = usize::try_from(self.choice.least).unwrap_or(usize::MAX);
        let people = self.people.count_in(from, to);
        people.is_none_or(|people| people >= least).then(|| {
            let working_days = (days >= 1.0).then(|| self.working_days(from, to));
            Span { days, working_days, people }
        })
    }

    /// How many days from Monday to Friday begin at a time or behind it, and before another.
    fn working_days(&self, from: Timestamp, to: Timestamp) -> f64 {
        let zone = &self.choice.zone;
        let local = |at: Timestamp| {
            zone.to_datetime(jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default()).date()
        };
        let (from, to) = (local(from), local(to));
        let days = from.series(jiff::Span::new().days(1)).take_while(|day| *day < to);
        let days = days.filter(|day| !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday));
        count(days.count())
    }

    /// From when on any of these things is known; nothing where there is none.
    #[must_use]
    pub fn known_since(&self) -> Option<Timestamp> {
        self.items.iter().filter_map(known_since).min()
    }

    /// Only what has this counts from now on.
    pub fn look_for(&mut self, of: Trait, wanted: String) {
        self.choice.only.insert(of, wanted);
    }

    /// Only what these people did counts from now on.
    pub fn look_at(&mut self, people: People) {
        self.people = people;
    }

    /// What each thing gives to an insight in a window; of things that belong together, with the last.
    pub fn each(&self, metric: &Metric, from: Timestamp, to: Timestamp, mut then: impl FnMut(&Item, Sample)) {
        self.each_together(metric, from, to, |together, sample| then(&together[together.len() - 1], sample));
    }

    /// The same with all that belong together, never none.
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
        let Self { choice, people, around, .. } = self;
        View { from, to, choice, zone: &choice.zone, people, around }
    }

    /// What there is of a trait among what counts for an insight in a window; of label times, what ever was.
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
                        groups.extend(self.around.branches_of(commit).iter().cloned());
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

    /// An insight in a window of so many days.
    #[must_use]
    pub fn metric(&self, metric: &Metric, from: Timestamp, to: Timestamp, days: f64) -> Summary {
        let Some(span) = self.span((from, days), to) else { return Summary::default() };
        Summary::of(metric.kind, &span, values(self.samples(metric, from, to)))
    }

    /// An insight in each part of a window, the last of which ends at a time.
    #[must_use]
    pub fn series(&self, metric: &Metric, parts: &[Part], to: Timestamp) -> Vec<Summary> {
        let mut of_parts: Vec<Vec<i64>> = vec![Vec::new(); parts.len()];
        if metric.kind == Kind::Gauge {
            let ends = parts.iter().skip(1).map(|(start, _)| *start).chain([to]);
            for ((of_part, (start, _)), end) in of_parts.iter_mut().zip(parts).zip(ends) {
                *of_part = values(self.samples(metric, *start, end));
            }
        } else if let Some((from, _)) = parts.first() {
            for (at, value) in self.samples(metric, *from, to) {
                let part = parts.partition_point(|(start, _)| *start <= at).saturating_sub(1);
                of_parts[part].push(value);
            }
        }
        let ends = parts.iter().skip(1).map(|(start, _)| *start).chain([to]);
        let part = |((part, values), end): ((&Part, Vec<i64>), Timestamp)| {
            self.span(*part, end).map(|span| Summary::of(metric.kind, &span, values)).unwrap_or_default()
        };
        parts.iter().zip(of_parts).zip(ends).map(part).collect()
    }
}

impl Summary {
    #[expect(clippy::cast_precision_loss, reason = "counts and seconds fit 52 bits")]
    fn of(kind: Kind, span: &Span, mut values: Vec<i64>) -> Self {
        values.sort_unstable();
        let samples = values.len();
        // Distinct values stand for things, and have no sum.
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
        Self { value, samples, percentiles, week }
    }
}

/// How many samples are 1, for each that is 0; nothing where none is.
fn ratio(samples: &[i64]) -> Option<f64> {
    let others = samples.iter().filter(|sample| **sample == 0).count();
    share(count(samples.len() - others), Some(count(others)))
}

/// A share of a number; nothing of none.
fn share(of: f64, all: Option<f64>) -> Option<f64> {
    all.filter(|all| *all > 0.0).map(|all| of / all)
}

/// How unevenly samples, each of which is of somebody, are spread over those who gave some, and the others who were asked for.
fn balance(sorted: &[i64], people: Option<usize>) -> Option<f64> {
    let mut counts: Vec<i64> =
        sorted.chunk_by(|one, other| one == other).map(|all| i64::try_from(all.len()).unwrap_or(i64::MAX)).collect();
    counts.resize(counts.len().max(people.unwrap_or_default()), 0);
    work_balance(&counts)
}

/// Hours of the week as a table of weekdays and hours.
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

/// The same as DevLake takes it: the largest sample whose rank, from 0 to 1, is not above the percentage.
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

/// What belongs together: runs of one job of one pipeline, pushes of one branch.
fn group(item: &Item) -> (i64, i64, &str) {
    match item {
        Item::Job(run) => (run.project, run.pipeline, &run.name),
        Item::Push(push) => (push.project, 0, &push.git_ref),
        other => (other.key().0, other.key().1, ""),
    }
}

/// In which order.
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
        assert_eq!(percentile_below(&[100, 200, 300, 400], 50), Some(200.0), "a lower median");
        assert_eq!((percentile_below(&hours, 50), percentile_below(&[], 50)), (Some(36_000.0), None));
    }

    #[test]
    fn what_there_is_no_data_of_is_nothing_and_not_zero() {
        let week = Span { days: 7.0, working_days: Some(5.0), people: None };
        let none = |kind| Summary::of(kind, &week, Vec::new()).value;
        assert_eq!([Kind::Share, Kind::Mean, Kind::Duration].map(none), [None; 3]);
        assert_eq!([Kind::Count, Kind::Sum, Kind::PerDay].map(none), [Some(0.0); 3]);
        assert_eq!(Summary::of(Kind::PerDay, &week, vec![1, 1]).value, Some(2.0 / 7.0));
    }
}
