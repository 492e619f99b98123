//! All metrics: name, meaning, and the sample that each item gives. Help texts, units, explanations and the description
//! of the API come from these tables.

mod bands;
mod branches;
mod commits;
mod context;
mod counts;
mod coverage;
mod deployments;
mod files;
mod incidents;
mod issues;
mod items;
mod kind;
mod merge_requests;
mod pipelines;
mod readings;
mod squashes;
mod traits;

use std::borrow::Cow;
use std::time::Duration;

use jiff::tz::TimeZone;

pub use bands::band;
pub use context::{Context, Outcome};
pub use coverage::known_since;
pub use items::{Choice, Items, Part, Summary};
pub use kind::Kind;
pub use traits::Trait;

use super::branches::{Act, Branch, Push};
use super::commits::Commit;
use super::deployments::{By, Deployment};
use super::entity::{Family, Item, seconds};
use super::issues::Issue;
use super::merge_requests::MergeRequest;
use super::people::People;
#[cfg(test)]
use super::people::Whose;
use super::pipelines::{Job, Pipeline, Runs};
use quickdraw_domain::Timestamp;

/// The contribution of an item to a metric.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sample {
    /// A value with its time.
    In(Timestamp, i64),

    /// Values with their times.
    Many(Vec<(Timestamp, i64)>),

    /// Values that are not exact, with the reason.
    About(Vec<(Timestamp, i64)>, &'static str),

    /// The item does not count, for this reason.
    Out(&'static str),
}

/// The scope of a question: window, filters, people and context.
pub struct View<'a> {
    /// Start of the window.
    pub from: Timestamp,

    /// End of the window, exclusive.
    pub to: Timestamp,

    /// Filters and options.
    pub choice: &'a Choice,

    /// Time zone of the question.
    pub zone: &'a TimeZone,

    /// People whose work counts.
    pub people: &'a People,

    /// Context of the items.
    pub context: &'a Context,
}

impl View<'_> {
    /// The hour of the week, counted from Monday 00:00. `minutes` is the offset from UTC; without it, the zone of the
    /// question is used.
    fn hour_of_week(&self, at: Timestamp, minutes: Option<i16>) -> i64 {
        let shifted = |minutes: i16| Timestamp::from_micros(at.as_micros() + i64::from(minutes) * 60_000_000);
        let read = |at: Timestamp| jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default();
        let local = match minutes {
            None => self.zone.to_datetime(read(at)),
            Some(minutes) => TimeZone::UTC.to_datetime(read(shifted(minutes))),
        };
        i64::from(local.weekday().to_monday_zero_offset()) * 24 + i64::from(local.hour())
    }

    /// True if `who` cannot review the work of `author`: the same person or a bot.
    fn is_own_or_bots(&self, author: Option<i64>, who: i64) -> bool {
        let people = self.people;
        people.is_bot(who) || author.is_some_and(|author| people.person(author) == people.person(who))
    }

    /// The minimum age of waiting or stale items: the option of the question, or the default.
    fn older_than(&self, usually: Duration) -> Duration {
        self.choice.older_than.unwrap_or(usually)
    }

    /// Start of the last fifth of the days.
    fn last_fifth(&self) -> Timestamp {
        let local = |at: Timestamp| {
            let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default();
            self.zone.to_datetime(at).date()
        };
        let (first, end) = (local(self.from), local(self.to));
        let days = first.until(end).map_or(0, |span| span.get_days());
        let start = end.checked_sub(jiff::Span::new().days((days + 4) / 5)).ok();
        let start = start.and_then(|date| date.to_zoned(self.zone.clone()).ok());

        start.map_or(self.from, |start| {
            Timestamp::from_micros(start.timestamp().as_microsecond())
        })
    }

    /// A number that identifies the day of a time in the zone of the question.
    fn day_of(&self, at: Timestamp) -> i64 {
        let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default();
        let date = self.zone.to_datetime(at).date();
        (i64::from(date.year()) * 12 + i64::from(date.month())) * 31 + i64::from(date.day())
    }
}

/// A metric.
pub struct Metric {
    /// Name in the API.
    pub name: &'static str,

    /// The way in which its samples become a number.
    pub kind: Kind,

    /// The meaning, as shown to users.
    pub help: &'static str,

    /// The tool or publication whose definition this metric uses.
    pub defined_by: &'static str,
    sample: Sampler,
}

/// The function that takes the samples, by the items that it needs.
enum Sampler {
    MergeRequest(fn(&MergeRequest, &View<'_>) -> Sample),

    /// The actions of others on a merge request, with time and account.
    Acts(fn(&MergeRequest, &View<'_>) -> Vec<(Timestamp, i64)>),
    Issue(fn(&Issue, &View<'_>) -> Sample),

    /// A merge request, with the deployments of its project as context.
    Delivered(fn(&MergeRequest, &View<'_>) -> Sample),

    /// A merge request, with its commits as context.
    Changed(fn(&MergeRequest, &View<'_>) -> Sample),

    /// An issue. The label of the question does not filter by current labels.
    Labelled(fn(&Issue, &View<'_>) -> Sample),
    Deployment(fn(&Deployment, &Outcome, &View<'_>) -> Sample),

    /// A tag, even if tags do not count as deployments.
    Tag(fn(&Deployment, &View<'_>) -> Sample),
    Pipeline(fn(&Pipeline, &View<'_>) -> Sample),

    /// All runs of one job in one pipeline, oldest first. There is at least one.
    Runs(fn(&Runs<'_>, &View<'_>) -> Sample),

    /// The same, but each run belongs to the account that started it.
    EachRun(fn(&Runs<'_>, &View<'_>) -> Sample),
    Push(fn(&Push, &View<'_>) -> Sample),

    /// A push, with the deployments of its project as context.
    Landed(fn(&Push, &View<'_>) -> Sample),

    /// All pushes to one branch, oldest first. There is at least one. Returns actions with time and account.
    Pushes(fn(&[&Push]) -> Vec<Act>),
    Branch(fn(&Branch, &View<'_>) -> Sample),
    Commit(fn(&Commit, &View<'_>) -> Sample),

    /// A commit, with the merge requests that squashed commits as context.
    Once(fn(&Commit, &View<'_>) -> Sample),
}

const NOT_CREATED: &str = "its time of creation is unknown";
const OF_BOT: &str = "a bot did it";
const OF_PERSON: &str = "no bot did it";
const OF_NOBODY: &str = "the person who did it is unknown";
const OF_OTHERS: &str = "another person did it, or it was done at another time";
const OUTSIDE: &str = "it is outside the window";

/// All metrics.
pub fn all() -> impl Iterator<Item = &'static Metric> + Clone {
    let of_jobs = pipelines::METRICS.iter().chain([&pipelines::CI_SECONDS]);
    let of_deployments = deployments::METRICS.iter().chain([&branches::LEAD_TIME]);

    let of_things = merge_requests::METRICS
        .iter()
        .chain(&issues::METRICS)
        .chain(of_jobs)
        .chain(of_deployments);

    commits::METRICS
        .iter()
        .chain(&branches::METRICS)
        .chain(of_things)
        .chain(&counts::METRICS)
        .chain(&readings::METRICS)
}

impl Metric {
    /// Finds a metric by its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        all().find(|metric| metric.name == name)
    }

    /// The family of the items that the metric counts.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.sample {
            Sampler::MergeRequest(_) | Sampler::Delivered(_) | Sampler::Changed(_) | Sampler::Acts(_) => {
                Family::MergeRequests
            }
            Sampler::Issue(_) | Sampler::Labelled(_) => Family::Issues,
            Sampler::Deployment(_) | Sampler::Tag(_) => Family::Deployments,
            Sampler::Pipeline(_) => Family::Pipelines,
            Sampler::Runs(_) | Sampler::EachRun(_) => Family::Jobs,
            Sampler::Push(_) | Sampler::Landed(_) | Sampler::Pushes(_) => Family::Pushes,
            Sampler::Branch(_) => Family::Branches,
            Sampler::Commit(_) | Sampler::Once(_) => Family::Commits,
        }
    }

    /// Finds a metric in the definition of another tool: `gitlab`, `devlake` or `chaoss`. If there is no such
    /// definition, it returns the plain metric.
    #[must_use]
    pub fn reading(name: &str, definition: Option<&str>) -> Option<&'static Self> {
        let plain = || Self::by_name(name);
        definition
            .and_then(|definition| Self::by_name(&format!("{name}.{definition}")))
            .or_else(plain)
    }

    /// True if the metric counts items that ever had the label, and not only those that have it now.
    #[must_use]
    pub const fn is_of_labels(&self) -> bool {
        matches!(self.sample, Sampler::Labelled(_))
    }

    /// True if the items of the metric can have a trait.
    #[must_use]
    pub const fn can_have(&self, of: Trait) -> bool {
        let family = self.family();
        match of {
            Trait::Branch => !matches!(family, Family::Issues),
            Trait::Label => matches!(family, Family::MergeRequests | Family::Issues),
            Trait::Job => matches!(family, Family::Jobs),
            Trait::Status => matches!(family, Family::Pipelines | Family::Jobs | Family::Deployments),
            Trait::Environment => matches!(family, Family::Deployments),
            Trait::Source => matches!(family, Family::Pipelines),
        }
    }

    /// True if the people behind the items are known, so that the metric can be filtered by member and team.
    #[must_use]
    pub const fn can_be_of_members(&self) -> bool {
        !matches!(self.sample, Sampler::Branch(_) | Sampler::Landed(_))
    }

    /// True if the metric counts actions of people who need not be the authors of the items.
    #[must_use]
    pub const fn is_of_acts(&self) -> bool {
        matches!(self.sample, Sampler::Acts(_))
    }

    /// True if the metric uses deployments.
    #[must_use]
    pub fn is_of_deployments(&self) -> bool {
        self.family() == Family::Deployments || self.context().contains(&Family::Deployments)
    }

    /// The kind of deployments that the metric counts, if the question does not choose one.
    #[must_use]
    pub const fn deployed_by(&self) -> Option<By> {
        if let Sampler::Tag(_) = self.sample {
            Some(By::Tag)
        } else {
            None
        }
    }

    /// The families that the metric needs as context.
    #[must_use]
    pub const fn context(&self) -> &'static [Family] {
        match self.sample {
            Sampler::Deployment(_) => &[Family::Issues],
            Sampler::Delivered(_) => &[Family::Deployments, Family::Pushes],
            Sampler::Changed(_) => &[Family::Pushes, Family::Commits],
            Sampler::Landed(_) => &[Family::Deployments, Family::MergeRequests],
            Sampler::Once(_) => &[Family::Pushes, Family::MergeRequests],
            _ => &[],
        }
    }

    /// True if items are measured in groups: runs of one job, pushes to one branch.
    #[must_use]
    pub const fn is_of_groups(&self) -> bool {
        matches!(self.sample, Sampler::Runs(_) | Sampler::EachRun(_) | Sampler::Pushes(_))
    }

    /// Takes the sample of an item or a group in a window. Items of another family have no sample.
    #[must_use]
    pub fn sample(&self, together: &[Item], view: &View<'_>) -> Sample {
        let mut together = Cow::Borrowed(together);
        for (of, wanted) in &view.choice.only {
            if *of == Trait::Label && self.is_of_labels() {
                continue;
            }

            let has_it = |item: &Item| match item {
                Item::Commit(commit) if *of == Trait::Branch => view.context.branches_of(commit).contains(wanted),
                item => of.is(item, wanted),
            };

            if let Sampler::EachRun(_) = self.sample {
                // Each run of a job has its own values.
                if !together.iter().all(has_it) {
                    together.to_mut().retain(has_it);
                }

                if together.is_empty() {
                    return Sample::Out(of.lacks());
                }
            } else if !together.last().is_some_and(has_it) {
                return Sample::Out(of.lacks());
            }
        }

        let together = together.as_ref();
        let account = |id: Option<i64>| id.map(|id| view.people.user(id));

        // `by` did the work. `is_work` is false if the item counts even when a bot started it: pipelines, jobs and
        // deployments run for the team.
        let (by, is_work, sample) = match (&self.sample, together) {
            (
                Sampler::MergeRequest(sample) | Sampler::Delivered(sample) | Sampler::Changed(sample),
                [Item::MergeRequest(one)],
            ) => (account(one.author), true, sample(one, view)),
            (Sampler::Acts(_), [Item::MergeRequest(one)]) if view.people.leaves_out(one.author) => {
                return Sample::Out(left_out(view));
            }
            (Sampler::Acts(acts), [Item::MergeRequest(one)]) => return self.acts(acts(one, view), view),
            // An incident counts even if GitLab's account for alerts opened it.
            (Sampler::Issue(sample) | Sampler::Labelled(sample), [Item::Issue(one)]) => {
                (account(one.author), !one.is_incident, sample(one, view))
            }
            (Sampler::Deployment(sample), [Item::Deployment(one)]) => {
                (account(one.user), false, sample(one, &view.context.outcome(one), view))
            }
            (Sampler::Tag(sample), [Item::Deployment(one)]) => (account(one.user), true, sample(one, view)),
            (Sampler::Pipeline(sample), [Item::Pipeline(one)]) => (account(one.user), false, sample(one, view)),
            (Sampler::Runs(sample), [Item::Job(_), ..]) => {
                let runs: Vec<&Job> = together.iter().filter_map(run).collect();

                // The result of a job belongs to the account that ran it last.
                (
                    account(runs.last().and_then(|run| run.user)),
                    false,
                    sample(&runs, view),
                )
            }

            (Sampler::EachRun(sample), [Item::Job(_), ..]) => {
                let is_wanted = |run: &&Job| {
                    let at = run.started_at.or(run.created_at).unwrap_or_default();
                    let is_of_them = !view.people.is_limited()
                        || account(run.user).is_some_and(|who| view.people.is_wanted(who, at));
                    is_of_them && !(view.people.is_of_bots() && view.people.leaves_out(run.user))
                };
                let runs: Vec<&Job> = together.iter().filter_map(run).filter(is_wanted).collect();

                return if runs.is_empty() {
                    Sample::Out(OF_OTHERS)
                } else {
                    self.inside(sample(&runs, view), view)
                };
            }
            (Sampler::Push(sample), [Item::Push(one)]) => (account(one.pusher), true, sample(one, view)),
            // The person who pushed need not be the author, and the author is not stored with the push.
            (Sampler::Landed(_), _) if view.people.is_limited() || view.people.is_of_bots() => {
                return Sample::Out(OF_NOBODY);
            }
            (Sampler::Landed(sample), [Item::Push(one)]) => (None, false, sample(one, view)),
            (Sampler::Pushes(sample), [Item::Push(_), ..]) => {
                let pushes = together
                    .iter()
                    .filter_map(|item| if let Item::Push(one) = item { Some(one) } else { None });
                let mut acts = sample(&pushes.collect::<Vec<_>>());
                acts.retain(|(at, who)| match account(*who) {
                    Some(who) => !view.people.is_left_out(who) && view.people.is_wanted(who, *at),
                    None => !view.people.is_limited() && !view.people.is_of_bots(),
                });

                return self.inside(Sample::Many(acts.into_iter().map(|(at, _)| (at, 1)).collect()), view);
            }
            (Sampler::Branch(_), _) if view.people.is_limited() || view.people.is_of_bots() => {
                return Sample::Out(OF_NOBODY);
            }
            (Sampler::Branch(sample), [Item::Branch(one)]) => (None, false, sample(one, view)),
            (Sampler::Commit(sample) | Sampler::Once(sample), [Item::Commit(one)]) => {
                (Some(view.people.author(&one.details.author)), true, sample(one, view))
            }
            _ => return Sample::Out("the metric does not count items of this kind"),
        };

        // Pipelines, jobs and deployments also count if a bot started them. If only bots are selected, others do not.
        let leaves_out = match by {
            Some(who) => view.people.is_left_out(who) && (is_work || view.people.is_of_bots()),
            None => view.people.is_of_bots(),
        };
        if leaves_out {
            return Sample::Out(left_out(view));
        }

        if !view.people.is_limited() {
            return self.inside(sample, view);
        }

        let Some(who) = by else { return Sample::Out(OF_NOBODY) };

        // A state at the end of the window is assigned to its last moment.
        let last = |at: Timestamp| {
            if self.kind == Kind::Gauge {
                at.minus(Duration::from_micros(1))
            } else {
                at
            }
        };

        match self.inside(sample, view) {
            Sample::In(at, _) if !view.people.is_wanted(who, last(at)) => Sample::Out(OF_OTHERS),
            Sample::Many(mut all) => {
                all.retain(|(at, _)| view.people.is_wanted(who, *at));
                if all.is_empty() {
                    Sample::Out(OF_OTHERS)
                } else {
                    Sample::Many(all)
                }
            }

            Sample::About(mut all, why) => {
                all.retain(|(at, _)| view.people.is_wanted(who, *at));
                if all.is_empty() {
                    Sample::Out(OF_OTHERS)
                } else {
                    Sample::About(all, why)
                }
            }
            sample => sample,
        }
    }

    /// Keeps the actions of the selected people. Each action becomes the person's number, or 1.
    fn acts(&self, mut acts: Vec<(Timestamp, i64)>, view: &View<'_>) -> Sample {
        let people = view.people;
        acts.retain(|(at, who)| !people.is_limited() || people.is_wanted(people.user(*who), *at));

        for (_, who) in &mut acts {
            *who = if self.kind.is_of_people() {
                people.person(*who)
            } else {
                1
            };
        }

        self.inside(Sample::Many(acts), view)
    }

    /// Keeps the values inside the window.
    fn inside(&self, sample: Sample, view: &View<'_>) -> Sample {
        let is_inside = |at: Timestamp| self.kind == Kind::Gauge || (view.from <= at && at < view.to);
        match sample {
            Sample::In(at, _) if !is_inside(at) => Sample::Out(OUTSIDE),
            Sample::Many(all) | Sample::About(all, _) if all.is_empty() => Sample::Out("it has no values"),
            Sample::Many(mut all) => {
                all.retain(|(at, _)| is_inside(*at));
                if all.is_empty() {
                    Sample::Out(OUTSIDE)
                } else {
                    Sample::Many(all)
                }
            }

            Sample::About(mut all, why) => {
                all.retain(|(at, _)| is_inside(*at));
                if all.is_empty() {
                    Sample::Out(OUTSIDE)
                } else {
                    Sample::About(all, why)
                }
            }
            sample => sample,
        }
    }
}

/// The reason for which an item of an excluded account does not count.
fn left_out(view: &View<'_>) -> &'static str {
    if view.people.is_of_bots() { OF_PERSON } else { OF_BOT }
}

fn run(item: &Item) -> Option<&Job> {
    if let Item::Job(run) = item { Some(run) } else { None }
}

fn span(at: Timestamp, from: Timestamp, to: Timestamp) -> Sample {
    Sample::In(at, seconds(from, to))
}

/// The values of a metric from 1970 to 2033, for tests.
#[cfg(test)]
pub(super) fn given(name: &str, items: &[Item], bots: &[i64]) -> Result<Vec<i64>, &'static str> {
    let mut roster = super::roster::Roster::default();
    for bot in bots {
        roster
            .mark(super::roster::Handle::UserId(*bot), Some(super::roster::Mark::Bot))
            .expect("few");
    }

    let people = People::new(super::roster::Resolver::new(&roster, &[]), &[], Whose::People, None);
    values_of(name, &Items::new(items.to_vec(), Vec::new(), people, Choice::default()))
}

/// The same, with context.
#[cfg(test)]
pub(super) fn given_among(name: &str, items: Vec<Item>, others: Vec<Item>) -> Result<Vec<i64>, &'static str> {
    values_of(name, &Items::new(items, others, People::default(), Choice::default()))
}

#[cfg(test)]
fn values_of(name: &str, items: &Items) -> Result<Vec<i64>, &'static str> {
    let (from, to) = (Timestamp::from_seconds(0), Timestamp::from_seconds(2_000_000_000));
    let (mut values, mut left_out) = (Vec::new(), None);

    items.each(
        Metric::by_name(name).expect("a metric"),
        from,
        to,
        |_, sample| match sample {
            Sample::In(_, value) => values.push(value),
            Sample::Many(all) | Sample::About(all, _) => values.extend(all.iter().map(|(_, value)| value)),
            Sample::Out(why) => left_out = left_out.or(Some(why)),
        },
    );

    match left_out {
        Some(why) if values.is_empty() => Err(why),
        _ => Ok(values),
    }
}

#[cfg(test)]
mod tests;
