//! Every insight: what it is called and means, and what one thing gives to it. Help, units, explanations and the description
//! of the API come from these tables.

mod deployments;
mod issues;
mod items;
mod merge_requests;
mod pipelines;

pub use items::{Items, Part, Summary};

use super::deployments::Deployment;
use super::entity::{Family, seconds};
use super::issues::Issue;
use super::merge_requests::MergeRequest;
use super::pipelines::{Pipeline, Runs};
use crate::Timestamp;

/// How the samples of an insight become a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// How many there are.
    Count,
    /// How many there are at the end of the window.
    Gauge,
    /// The share of samples that are 1.
    Share,
    /// Seconds, with mean and percentiles.
    Duration,
    /// The mean.
    Mean,
    /// Seconds, all together.
    Sum,
    /// How many there are, divided by the days of the window.
    PerDay,
}

impl Kind {
    /// As the API names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Gauge => "gauge",
            Self::Share => "share",
            Self::Duration => "duration",
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::PerDay => "per_day",
        }
    }

    /// What its numbers are in.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Count | Self::Gauge => "count",
            Self::Share => "ratio from 0 to 1",
            Self::Duration | Self::Sum => "seconds",
            Self::Mean => "mean count",
            Self::PerDay => "count per day",
        }
    }
}

/// What one thing gives to an insight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sample {
    /// A value at a time.
    In(Timestamp, i64),
    /// Values at several times.
    Many(Vec<(Timestamp, i64)>),
    /// Nothing, for this reason.
    Out(&'static str),
}

/// From when to before when, and which actors are bots.
pub struct View<'a> {
    /// From here …
    pub from: Timestamp,
    /// … to before here.
    pub to: Timestamp,
    /// Whose doings do not count.
    pub is_bot: &'a dyn Fn(i64) -> bool,
}

/// An insight.
pub struct Measure {
    /// As the API names it.
    pub name: &'static str,
    /// How its samples become a number.
    pub kind: Kind,
    /// What it says.
    pub help: &'static str,
    /// Whom the definition follows.
    pub follows: &'static str,
    sample: Sampler,
}

/// What is measured, and how.
enum Sampler {
    MergeRequest(fn(&MergeRequest, &View<'_>) -> Sample),
    Issue(fn(&Issue, &View<'_>) -> Sample),
    Deployment(fn(&Deployment, &[&Issue], &View<'_>) -> Sample),
    Pipeline(fn(&Pipeline, &View<'_>) -> Sample),
    Runs(fn(&Runs<'_>, &View<'_>) -> Sample),
}

/// One thing that is measured.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A merge request.
    MergeRequest(&'a MergeRequest),
    /// An issue.
    Issue(&'a Issue),
    /// A deployment, with the incidents that followed it.
    Deployment(&'a Deployment, &'a [&'a Issue]),
    /// A pipeline.
    Pipeline(&'a Pipeline),
    /// The runs of one job of one pipeline, the first one first; never none.
    Runs(&'a Runs<'a>),
}

const NOT_CREATED: &str = "no event told when it was created";
const OUTSIDE: &str = "it lies outside the window";

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Measure> {
    let of_jobs = pipelines::MEASURES.iter().chain([&pipelines::CI_SECONDS]);
    merge_requests::MEASURES.iter().chain(&issues::MEASURES).chain(of_jobs).chain(&deployments::MEASURES)
}

impl Measure {
    /// By its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        all().find(|measure| measure.name == name)
    }

    /// What it measures.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.sample {
            Sampler::MergeRequest(_) => Family::MergeRequests,
            Sampler::Issue(_) => Family::Issues,
            Sampler::Deployment(_) => Family::Deployments,
            Sampler::Pipeline(_) => Family::Pipelines,
            Sampler::Runs(_) => Family::Jobs,
        }
    }

    /// What a thing gives to it in a window. Things of another family give nothing.
    #[must_use]
    pub fn sample(&self, subject: Subject<'_>, view: &View<'_>) -> Sample {
        let (author, sample) = match (&self.sample, subject) {
            (Sampler::MergeRequest(sample), Subject::MergeRequest(one)) => (one.author, sample(one, view)),
            // What an alert opened is an incident all the same.
            (Sampler::Issue(sample), Subject::Issue(one)) => {
                (one.author.filter(|_| !one.is_incident), sample(one, view))
            }
            // What runs, runs for the team, whoever started it.
            (Sampler::Deployment(sample), Subject::Deployment(one, incidents)) => (None, sample(one, incidents, view)),
            (Sampler::Pipeline(sample), Subject::Pipeline(one)) => (None, sample(one, view)),
            (Sampler::Runs(sample), Subject::Runs(runs)) => (None, sample(runs, view)),
            _ => return Sample::Out("it is of another kind"),
        };
        // What a bot opened is no work of the team; the switch for bots makes nobody a bot.
        if author.is_some_and(view.is_bot) {
            return Sample::Out("a bot opened it");
        }
        let is_inside = |at: Timestamp| self.kind == Kind::Gauge || (view.from <= at && at < view.to);
        match sample {
            Sample::In(at, _) if !is_inside(at) => Sample::Out(OUTSIDE),
            Sample::Many(all) if all.is_empty() => Sample::Out("nothing of it counts"),
            Sample::Many(mut all) => {
                all.retain(|(at, _)| is_inside(*at));
                if all.is_empty() { Sample::Out(OUTSIDE) } else { Sample::Many(all) }
            }
            sample => sample,
        }
    }
}

fn span(at: Timestamp, from: Timestamp, to: Timestamp) -> Sample {
    Sample::In(at, seconds(from, to))
}
