//! `/api/v1/insights/measures`: every insight by its name, for a window, as one number and as a series, and why it is so.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use jiff::ToSpan;
use jiff::civil::Weekday;
use quickdraw_domain::Timestamp;
use quickdraw_domain::insights::DEFINITION_VERSION;
use quickdraw_domain::insights::deployments::{Deployment, incidents_of};
use quickdraw_domain::insights::entity::Entity;
use quickdraw_domain::insights::issues::Issue;
use quickdraw_domain::insights::measures::{self, Family, Kind, Measure, Sample, Subject, View, percentile};
use quickdraw_domain::insights::merge_requests::MergeRequest;
use quickdraw_domain::insights::people::is_bot;
use quickdraw_domain::insights::pipelines::{Job, Pipeline};
use quickdraw_store::insights::Lives;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::insights::{Window, project};
use super::invalid;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;

/// Most points of a series.
const MOST_POINTS: usize = 4_000;
/// Most points of a series for each of which everything is looked at anew.
const MOST_LOOKS: usize = 400;
/// How long before and behind a window runs of its jobs are looked for.
const AROUND: Duration = Duration::from_secs(7 * 86_400);
/// Items of an explanation.
const MOST_EXPLAINED: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(measure)).routes(routes!(explain))
}

/// An insight, and what it means.
#[derive(Serialize, ToSchema)]
struct MeasureView {
    /// Its name.
    name: &'static str,
    /// How its samples become a number: `count`, `gauge`, `share`, `duration`, `mean`, `sum` or `per_day`.
    kind: &'static str,
    /// What its numbers are in.
    unit: &'static str,
    /// What it says.
    help: &'static str,
    /// Whom the definition follows.
    follows: &'static str,
}

impl From<&Measure> for MeasureView {
    fn from(measure: &Measure) -> Self {
        let Measure { name, kind, help, follows, .. } = *measure;
        Self { name, kind: kind.name(), unit: kind.unit(), help, follows }
    }
}

/// List the insights that there are, with their definitions. Administrators.
#[utoipa::path(get, path = "/insights/measures", tag = "Insights", responses((status = 200, body = [MeasureView])))]
async fn list(_: Admin) -> Json<Vec<MeasureView>> {
    Json(measures::all().map(MeasureView::from).collect())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MeasureQuery {
    /// First day that is covered; by default 30 days before `to`.
    #[param(format = Date)]
    from: Option<String>,
    /// First day that is no longer covered; by default tomorrow.
    #[param(format = Date)]
    to: Option<String>,
    /// Where days begin: a name of the IANA time zone database; by default UTC.
    zone: Option<String>,
    /// Only this project: its number in events, or its path.
    project: Option<String>,
    /// Length of the parts of the series: `hour`, `day`, `week` or `month`; by default `day`.
    interval: Option<String>,
    /// What bots do counts too.
    #[serde(default)]
    bots: bool,
}

/// Samples as a number. Shares, means and durations without a sample are null, and not 0.
#[derive(Serialize, ToSchema)]
struct Number {
    /// The number: how many, the share, the mean, or the sum.
    value: Option<f64>,
    /// How many samples there are.
    samples: usize,
    /// Half are not above it. Of durations only, as those below.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<f64>,
    /// Three quarters are not above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    p75: Option<f64>,
    /// Nine tenths are not above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    p90: Option<f64>,
    /// Nineteen in twenty are not above it.
    #[serde(skip_serializing_if = "Option::is_none")]
    p95: Option<f64>,
}

/// A part of a series.
#[derive(Serialize, ToSchema)]
struct Part {
    /// When it begins.
    #[schema(format = DateTime)]
    start: String,
    #[serde(flatten)]
    number: Number,
}

/// An insight in a window.
#[derive(Serialize, ToSchema)]
struct Answer {
    #[serde(flatten)]
    measure: MeasureView,
    /// First day.
    from: String,
    /// How many days.
    days: i32,
    /// Where days begin.
    zone: String,
    /// Only of this project.
    project: Option<i64>,
    /// What bots did counts too.
    bots: bool,
    /// When this was so.
    #[schema(format = DateTime)]
    as_of: String,
    /// Version of the definitions.
    definition_version: u32,
    #[serde(flatten)]
    number: Number,
    /// The same in the window of the same length before it.
    previous: Number,
    /// The same for each part of the window.
    series: Vec<Part>,
}

/// Measure an insight in a window of days: as one number, beside the window before, and as a series. Administrators.
#[utoipa::path(get, path = "/insights/measures/{name}", tag = "Insights", params(MeasureQuery),
    responses((status = 200, body = Answer)))]
async fn measure(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Input(query): Input<MeasureQuery>,
) -> Result<Json<Answer>, ApiError> {
    let asked = Asked::read(&app, &name, query).await?;
    let Asked { measure, window, bots, project, .. } = &asked;
    let parts = asked.parts()?;
    let before =
        window.start_of(window.first.checked_sub(window.days.days()).map_err(|_| invalid("from is out of range"))?)?;
    let items =
        Items::load(&app, measure.family(), Lives { from: before, to: window.to, project: *project }, *bots).await?;
    let (measure, from, to, days) = (*measure, window.from, window.to, f64::from(window.days));
    // Off the threads that answer others: there can be many.
    let measured = tokio::task::spawn_blocking(move || {
        let values = |samples: Vec<(Timestamp, i64)>| samples.into_iter().map(|(_, value)| value).collect::<Vec<_>>();
        let previous = Number::of(measure.kind, days, values(items.samples(measure, before, from)));
        let samples = items.samples(measure, from, to);
        let mut of_parts: Vec<Vec<i64>> = vec![Vec::new(); parts.len()];
        if measure.kind == Kind::Gauge {
            let ends = parts.iter().skip(1).map(|(start, _)| *start).chain([to]);
            for ((of_part, (start, _)), end) in of_parts.iter_mut().zip(&parts).zip(ends) {
                *of_part = values(items.samples(measure, *start, end));
            }
        } else {
            for (at, value) in &samples {
                let part = parts.partition_point(|(start, _)| start <= at).saturating_sub(1);
                of_parts[part].push(*value);
            }
        }
        let part = |((start, days), values): (&(Timestamp, f64), Vec<i64>)| Part {
            start: start.to_iso(),
            number: Number::of(measure.kind, *days, values),
        };
        let series: Vec<Part> = parts.iter().zip(of_parts).map(part).collect();
        (Number::of(measure.kind, days, values(samples)), previous, series)
    });
    let (number, previous, series) = measured.await.map_err(|error| ApiError::internal(error.into()))?;
    Ok(Json(Answer {
        measure: MeasureView::from(measure),
        from: window.first.to_string(),
        days: window.days,
        zone: window.zone_name.clone(),
        project: *project,
        bots: *bots,
        as_of: app.belt.clock().now().to_iso(),
        definition_version: DEFINITION_VERSION,
        number,
        previous,
        series,
    }))
}

/// A merge request, an issue, a deployment, a pipeline or a job in an explanation.
#[derive(Serialize, ToSchema)]
struct Explained {
    /// The project's number in events.
    project_id: i64,
    /// Its number there; of deployments, pipelines and jobs, that in GitLab.
    iid: i64,
    /// It counts.
    counts: bool,
    /// When it counts.
    #[schema(format = DateTime)]
    at: Option<String>,
    /// What it gives.
    value: Option<i64>,
    /// Why it does not count.
    reason: Option<&'static str>,
}

/// Why an insight is what it is.
#[derive(Serialize, ToSchema)]
struct Explanation {
    #[serde(flatten)]
    measure: MeasureView,
    /// What counts, and then what does not, with the reason; at most 10,000.
    items: Vec<Explained>,
    /// How many there are for each reason.
    left_out: BTreeMap<&'static str, usize>,
}

/// Explain an insight: what counts for it in a window, and what does not and why. Administrators.
#[utoipa::path(get, path = "/insights/measures/{name}/explain", tag = "Insights", params(MeasureQuery),
    responses((status = 200, body = Explanation)))]
async fn explain(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Input(query): Input<MeasureQuery>,
) -> Result<Json<Explanation>, ApiError> {
    let Asked { measure, window, bots, project, .. } = Asked::read(&app, &name, query).await?;
    let items = Items::load(&app, measure.family(), Lives { from: window.from, to: window.to, project }, bots).await?;
    let is_bot = |who: i64| items.bots.contains(&who);
    let view = View { from: window.from, to: window.to, is_bot: &is_bot };
    let (mut explained, mut left_out) = (Vec::new(), BTreeMap::new());
    items.each(|subject| {
        let (project_id, iid) = match subject {
            Subject::MergeRequest(one) => one.key(),
            Subject::Issue(one) => one.key(),
            Subject::Deployment(one, _) => one.key(),
            Subject::Pipeline(one) => one.key(),
            Subject::Runs(runs) => runs.last().map_or((0, 0), |job| job.key()),
        };
        let counts = |(at, value): (Timestamp, i64)| Explained {
            project_id,
            iid,
            counts: true,
            at: Some(at.to_iso()),
            value: Some(value),
            reason: None,
        };
        match measure.sample(subject, &view) {
            Sample::In(at, value) => explained.push(counts((at, value))),
            Sample::Many(all) => explained.extend(all.into_iter().map(counts)),
            Sample::Out(reason) => {
                *left_out.entry(reason).or_default() += 1;
                let (at, value) = (None, None);
                explained.push(Explained { project_id, iid, counts: false, at, value, reason: Some(reason) });
            }
        }
    });
    explained.sort_by_key(|one| !one.counts);
    explained.truncate(MOST_EXPLAINED);
    Ok(Json(Explanation { measure: MeasureView::from(measure), items: explained, left_out }))
}

/// What was asked.
struct Asked {
    measure: &'static Measure,
    window: Window,
    interval: Interval,
    bots: bool,
    project: Option<i64>,
}

#[derive(Clone, Copy)]
enum Interval {
    Hour,
    Day,
    Week,
    Month,
}

impl Asked {
    async fn read(app: &App, name: &str, query: MeasureQuery) -> Result<Self, ApiError> {
        let measure = Measure::by_name(name).ok_or_else(|| ApiError::not_found("Measure"))?;
        let window = Window::read([&query.from, &query.to, &query.zone], app.belt.clock().now())?;
        let interval = match query.interval.as_deref() {
            None | Some("day") => Interval::Day,
            Some("hour") => Interval::Hour,
            Some("week") => Interval::Week,
            Some("month") => Interval::Month,
            Some(_) => return Err(invalid("interval must be hour, day, week or month")),
        };
        let project = project(app, query.project).await?;
        Ok(Self { measure, window, interval, bots: query.bots, project })
    }

    /// Where the parts of the window begin, in its zone, and how many days each has. The first can be shorter: weeks begin on
    /// Mondays.
    fn parts(&self) -> Result<Vec<(Timestamp, f64)>, ApiError> {
        let window = &self.window;
        let out_of_range = |_| invalid("from and to are out of range");
        let most = if self.measure.kind == Kind::Gauge { MOST_LOOKS } else { MOST_POINTS };
        let mut parts = Vec::new();
        let mut add = |start: Timestamp, days: f64| {
            parts.push((start, days));
            if parts.len() > most {
                return Err(invalid(format!("the series has more than {most} parts; ask for a longer interval")));
            }
            Ok(())
        };
        if let Interval::Hour = self.interval {
            let mut start = window.from;
            while start < window.to {
                add(start, 1.0 / 24.0)?;
                start = start.plus(Duration::from_secs(3_600));
            }
            return Ok(parts);
        }
        // By dates, because not every day of every zone has a midnight.
        let last = window.first.checked_add(window.days.days()).map_err(out_of_range)?;
        let mut date = window.first;
        while date < last {
            let next = match self.interval {
                Interval::Month => date.last_of_month().checked_add(1.day()),
                Interval::Week => date.checked_add((7 - i32::from(date.weekday().since(Weekday::Monday))).days()),
                Interval::Hour | Interval::Day => date.checked_add(1.day()),
            };
            let next = next.map_err(out_of_range)?.min(last);
            add(window.start_of(date)?, f64::from(date.until(next).map_err(out_of_range)?.get_days()))?;
            date = next;
        }
        Ok(parts)
    }
}

/// What can count.
struct Items {
    all: All,
    /// Whose doings do not count.
    bots: HashSet<i64>,
}

enum All {
    MergeRequests(Vec<MergeRequest>),
    Issues(Vec<Issue>),
    /// In their order, with the positions of the incidents that followed each.
    Deployments(Vec<Deployment>, Vec<Issue>, Vec<Vec<usize>>),
    Pipelines(Vec<Pipeline>),
    /// Ordered, so that the runs of one job of one pipeline lie together, the first one first.
    Jobs(Vec<Job>),
}

impl Items {
    async fn load(app: &App, family: Family, window: Lives, bots: bool) -> Result<Self, ApiError> {
        let all = match family {
            Family::MergeRequests => All::MergeRequests(app.store().merge_requests(window).await?),
            Family::Issues => All::Issues(app.store().issues(window).await?),
            Family::Deployments => {
                // Incidents of now belong to deployments of the window, unless others came between.
                let on = Lives { to: Timestamp::from_micros(i64::MAX), ..window };
                let mut deployments = app.store().deployments(on).await?;
                deployments.sort_by_key(|one| (one.project, one.at(), one.id));
                let issues = app.store().issues(on).await?;
                let followed = incidents_of(&deployments, &issues);
                All::Deployments(deployments, issues, followed)
            }
            Family::Pipelines => All::Pipelines(app.store().pipelines(window).await?),
            Family::Jobs => {
                // What else was run in the same pipeline tells what was a repetition, and which was the last.
                let around = Lives { from: window.from.minus(AROUND), to: window.to.plus(AROUND), ..window };
                let mut jobs = app.store().jobs(around).await?;
                jobs.sort_by(|a, b| group(a).cmp(&group(b)).then((a.started_at, a.id).cmp(&(b.started_at, b.id))));
                All::Jobs(jobs)
            }
        };
        let users = if bots { Vec::new() } else { app.store().insights_users().await? };
        let bots = users.into_iter().filter(|user| is_bot(&user.username)).map(|user| user.id).collect();
        Ok(Self { all, bots })
    }

    fn each(&self, mut then: impl FnMut(Subject<'_>)) {
        match &self.all {
            All::MergeRequests(all) => all.iter().map(Subject::MergeRequest).for_each(then),
            All::Issues(all) => all.iter().map(Subject::Issue).for_each(then),
            All::Deployments(all, issues, followed) => all.iter().zip(followed).for_each(|(one, incidents)| {
                let incidents: Vec<&Issue> = incidents.iter().map(|position| &issues[*position]).collect();
                then(Subject::Deployment(one, &incidents));
            }),
            All::Pipelines(all) => all.iter().map(Subject::Pipeline).for_each(then),
            All::Jobs(all) => all.chunk_by(|a, b| group(a) == group(b)).for_each(|runs| {
                let runs: Vec<&Job> = runs.iter().collect();
                then(Subject::Runs(&runs));
            }),
        }
    }

    fn samples(&self, measure: &Measure, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, i64)> {
        let is_bot = |who: i64| self.bots.contains(&who);
        let view = View { from, to, is_bot: &is_bot };
        let mut samples = Vec::new();
        self.each(|subject| match measure.sample(subject, &view) {
            Sample::In(at, value) => samples.push((at, value)),
            Sample::Many(all) => samples.extend(all),
            Sample::Out(_) => {}
        });
        samples
    }
}

/// What makes runs those of one job.
fn group(job: &Job) -> (i64, i64, &str) {
    (job.project, job.pipeline, &job.name)
}

impl Number {
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
        let percentile = |percent| (kind == Kind::Duration).then(|| percentile(&values, percent)).flatten();
        let [p50, p75, p90, p95] = [50, 75, 90, 95].map(percentile);
        Self { value, samples, p50, p75, p90, p95 }
    }
}
