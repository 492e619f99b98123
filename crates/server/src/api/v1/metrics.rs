//! `/api/v1/insights/metrics`: every insight by its name, for a window, as one number and as a series, and why it is so.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use quickdraw_domain::Timestamp;
use quickdraw_insights::DEFINITION_VERSION;
use quickdraw_insights::entity::{Entity, Item};
use quickdraw_insights::metrics::{self, Items, Metric, Sample, Summary, Trait};
use quickdraw_insights::people::Whose;
use quickdraw_store::insights::{Lives, things_of};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::chosen::{Chosen, Wanted};
use super::covered::{Covered, Interval, Scope, Window};
use super::{export, invalid};
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;

/// Items of an explanation.
const MOST_EXPLAINED: usize = 10_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(metric)).routes(routes!(explain))
}

/// An insight, and what it means.
#[derive(Serialize, ToSchema)]
pub(super) struct MetricView {
    /// Its name.
    pub(super) name: &'static str,
    /// How its samples become a number: `count`, `gauge`, `share`, `duration`, `mean`, `sum`, `distinct`, `per_day`, `per_working_day`,
    /// `share_of_people`, `balance`, `ratio` or `week`.
    kind: &'static str,
    /// What its numbers are in.
    pub(super) unit: &'static str,
    /// What it says.
    pub(super) help: &'static str,
    /// Whom the definition follows.
    follows: &'static str,
}

impl From<&Metric> for MetricView {
    fn from(metric: &Metric) -> Self {
        let Metric { name, kind, help, follows, .. } = *metric;
        Self { name, kind: kind.name(), unit: kind.unit(), help, follows }
    }
}

/// List the insights that there are, with their definitions. Administrators.
#[utoipa::path(get, path = "/insights/metrics", tag = "Insights", responses((status = 200, body = [MetricView])))]
async fn list(_: Admin) -> Json<Vec<MetricView>> {
    Json(metrics::all().map(MetricView::from).collect())
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct MetricQuery {
    /// Length of the parts of the series: `hour`, `day`, `week` or `month`; by default `day`, and of
    /// more than a year `month`.
    interval: Option<String>,
    /// Whose reading is wanted, where they differ from ours: `gitlab`, `devlake` or `chaoss`. `time_to_merge.devlake` names one too.
    definition: Option<String>,
    /// `json`, or for the explanation `csv`.
    format: Option<String>,
}

/// Samples as a number. Shares, means and durations without a sample are null, and not 0.
#[derive(Serialize, ToSchema)]
pub(super) struct Number {
    /// The number: how many, the share, the mean, or the sum.
    pub(super) value: Option<f64>,
    /// How many samples there are.
    pub(super) samples: usize,
    /// Half are not above it; null without a sample. Of durations only, as those below.
    #[serde(skip_serializing_if = "Percentile::is_absent")]
    #[schema(value_type = Option<f64>)]
    pub(super) p50: Percentile,
    /// Three quarters are not above it.
    #[serde(skip_serializing_if = "Percentile::is_absent")]
    #[schema(value_type = Option<f64>)]
    pub(super) p75: Percentile,
    /// Nine tenths are not above it.
    #[serde(skip_serializing_if = "Percentile::is_absent")]
    #[schema(value_type = Option<f64>)]
    pub(super) p90: Percentile,
    /// Nineteen in twenty are not above it.
    #[serde(skip_serializing_if = "Percentile::is_absent")]
    #[schema(value_type = Option<f64>)]
    pub(super) p95: Percentile,
    /// How many there are at each hour of a week: seven days from Monday on, of 24 hours each. Of time distributions only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) week: Option<Vec<Vec<u64>>>,
}

/// A percentile of samples.
#[derive(Clone, Copy)]
pub(super) enum Percentile {
    /// The metric has none: the metric has no durations.
    Absent,
    /// The number; nothing without a sample.
    Of(Option<f64>),
}

impl Percentile {
    const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The number, if there is one.
    pub(super) const fn value(self) -> Option<f64> {
        match self {
            Self::Absent => None,
            Self::Of(value) => value,
        }
    }
}

impl Serialize for Percentile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

/// A part of a series.
#[derive(Serialize, ToSchema)]
struct Part {
    /// When it begins.
    #[schema(format = DateTime)]
    start: String,
    /// It says less than others: the window cuts it, it begins before anything is known, or it has not ended.
    partial: bool,
    #[serde(flatten)]
    number: Number,
}

/// An insight in a window.
#[derive(Serialize, ToSchema)]
struct Answer {
    #[serde(flatten)]
    metric: MetricView,
    /// First day.
    from: String,
    /// How many days.
    days: i32,
    /// Where days begin.
    zone: String,
    /// Only of these: `project`, `group`, `team`, `member`, `branch`, `label`, `job` and so on, as they were asked for.
    only: BTreeMap<&'static str, String>,
    /// From when on anything is known of the projects that are asked for; null where nothing is. What was before is not 0, but unknown.
    #[schema(format = DateTime)]
    coverage_starts: Option<String>,
    /// The window begins before that, or has not ended.
    partial: bool,
    /// Where DORA's report of 2019 puts such a number: `elite`, `high`, `medium` or `low`; of frequency and lead times, of at least five
    /// samples and a window whose first day is covered.
    #[serde(skip_serializing_if = "Option::is_none")]
    band_2019: Option<&'static str>,
    /// Whose work counts: that of `people`, `bots` or `all`.
    whose: &'static str,
    /// What bots did counts too.
    bots: bool,
    /// Until when everything that was received is counted.
    #[schema(format = DateTime)]
    as_of: String,
    /// Version of the definitions.
    definition_version: u32,
    /// Versions by which the things were counted that it is measured from. Where there is an older one, `quickdraw insights rebuild` counts
    /// anew.
    counted_by: Vec<u32>,
    #[serde(flatten)]
    number: Number,
    /// The same in the window of the same length before it; null where nothing was known then.
    previous: Option<Number>,
    /// The same for each part of the window.
    series: Vec<Part>,
}

/// Metric an insight in a window of days: as one number, beside the window before, and as a series. Administrators.
#[utoipa::path(get, path = "/insights/metrics/{name}", tag = "Insights", params(Covered, Chosen, MetricQuery),
    responses((status = 200, body = Answer)))]
async fn metric(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Json<Answer>, ApiError> {
    let asked = Asked::read(&app, &name, &params).await?;
    let parts = asked.scope.window.parts(asked.interval, asked.metric)?;
    let Asked { metric, scope, only, chosen, interval, .. } = asked;
    let of_branches = chosen.only.contains_key(&Trait::Branch);
    let choice = scope.choice(chosen, metric);
    let Scope { window, projects, people, whose, .. } = scope;
    let turn = app.measuring.turn().await?;
    let before = window.before()?;
    let now = app.now();
    let as_of = app.engine.insights.counted_until().await?.to_iso();
    let received = app.store().first_received(projects.clone()).await?;
    let lives = Lives { from: before, to: window.to, projects };
    let (things, others) = things_of(app.store(), metric, lives, of_branches).await?;
    let (from, to, days) = (window.from, window.to, f64::from(window.days));
    // Off the threads that answer others: there can be many.
    let measured = turn.run(move || {
        let items = Items::new(things, others, people, choice);
        let since = received.into_iter().chain(items.known_since()).min();
        let partial = window.partial(Some(interval), &parts, since, now);
        let mut series = Vec::with_capacity(parts.len());
        for (((start, _), one), partial) in parts.iter().zip(items.series(metric, &parts, to)).zip(partial) {
            series.push(Part { start: start.to_iso(), partial, number: Number::of(metric, one) });
        }
        let number = items.metric(metric, from, to, days);
        let previous = items.metric(metric, before, from, days);
        (window, since, number, previous, series)
    });
    let measured = measured.await.map_err(|error| ApiError::internal(error.into()))?;
    let (window, since, number, previous, series) = measured;
    let begins_known = window.begins_known(since);
    Ok(Json(Answer {
        metric: MetricView::from(metric),
        from: window.first.to_string(),
        days: window.days,
        zone: window.zone_name.clone(),
        only,
        coverage_starts: since.map(Timestamp::to_iso),
        partial: !window.is_whole(since, now),
        band_2019: metrics::band(metric, &number, begins_known),
        whose: whose.name(),
        bots: whose != Whose::People,
        as_of,
        definition_version: DEFINITION_VERSION,
        counted_by: app.engine.insights.counted_by().await?,
        number: Number::of(metric, number),
        previous: (begins_known || previous.samples > 0).then(|| Number::of(metric, previous)),
        series,
    }))
}

/// A merge request, an issue, a deployment, a pipeline, a job, a push, a branch or a commit in an explanation.
#[derive(Serialize, ToSchema)]
struct Explained {
    /// The project's number in the source's bodies: GitLab's, and not ours.
    source_project_id: i64,
    /// The project's path, as last seen; null where no event named it.
    project_path: Option<String>,
    /// Its number there; of deployments, pipelines and jobs, that in GitLab; of pushes, branches and commits, one that stands
    /// for them.
    iid: i64,
    /// Both numbers as a text, for its events: those of pushes, branches and commits are larger than what many programs can hold.
    item: String,
    /// What people call it.
    name: String,
    /// It counts.
    counts: bool,
    /// When it counts.
    #[schema(format = DateTime)]
    at: Option<String>,
    /// What it gives; nothing where only distinct things or people count.
    value: Option<i64>,
    /// Why it does not count; or, if it does, why its value is not exact.
    reason: Option<&'static str>,
}

impl Explained {
    /// A thing that does not count, with the path of its project among those of all projects.
    fn of(item: &Item, paths: &HashMap<i64, String>) -> Self {
        let (source_project_id, iid) = item.key();
        let (item, name) = (format!("{source_project_id}/{iid}"), item.name());
        let project_path = paths.get(&source_project_id).cloned();
        Self { source_project_id, project_path, iid, item, name, counts: false, at: None, value: None, reason: None }
    }
}

/// Why an insight is what it is.
#[derive(Serialize, ToSchema)]
struct Explanation {
    #[serde(flatten)]
    metric: MetricView,
    /// What counts, and then what does not, with the reason; at most 10,000.
    items: Vec<Explained>,
    /// How many there are for each reason.
    left_out: BTreeMap<&'static str, usize>,
}

/// Explain an insight: what counts for it in a window, and what does not and why. Administrators.
#[utoipa::path(get, path = "/insights/metrics/{name}/explain", tag = "Insights", params(Covered, Chosen, MetricQuery),
    responses((status = 200, body = Explanation)))]
async fn explain(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let Asked { metric, scope, chosen, format, .. } = Asked::read(&app, &name, &params).await?;
    let of_branches = chosen.only.contains_key(&Trait::Branch);
    let choice = scope.choice(chosen, metric);
    let Scope { window, projects, people, .. } = scope;
    let is_csv = export::is_csv(format.as_deref())?;
    let turn = app.measuring.turn().await?;
    let lives = Lives { from: window.before()?, to: window.to, projects };
    let (things, others) = things_of(app.store(), metric, lives, of_branches).await?;
    let named = app.store().insights_projects().await?;
    let paths: HashMap<i64, String> = named.into_iter().map(|project| (project.id, project.path)).collect();
    // Off the threads that answer others: there can be many.
    let explained = turn.run(move || {
        let items = Items::new(things, others, people, choice);
        explanation(&items, metric, &window, &paths)
    });
    let (explained, left_out) = explained.await.map_err(|error| ApiError::internal(error.into()))?;
    if is_csv {
        let text = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
        let columns = ["source_project_id", "project_path", "iid", "name", "counts", "at", "value", "reason", "item"];
        return export::csv(
            &columns,
            explained.iter().map(|one| {
                let (at, reason) = (one.at.clone().unwrap_or_default(), one.reason.unwrap_or_default().to_owned());
                let counts = one.counts.to_string();
                vec![
                    one.source_project_id.to_string(),
                    one.project_path.clone().unwrap_or_default(),
                    one.iid.to_string(),
                    one.name.clone(),
                    counts,
                    at,
                    text(one.value),
                    reason,
                    one.item.clone(),
                ]
            }),
        );
    }
    Ok(Json(Explanation { metric: MetricView::from(metric), items: explained, left_out }).into_response())
}

/// What counts, and then what does not; and how often which reason was given.
fn explanation(
    items: &Items,
    metric: &Metric,
    window: &Window,
    paths: &HashMap<i64, String>,
) -> (Vec<Explained>, BTreeMap<&'static str, usize>) {
    let (mut counting, mut others, mut left_out) = (Vec::new(), Vec::new(), BTreeMap::new());
    items.each_together(metric, window.from, window.to, |together, sample| {
        let item = &together[together.len() - 1];
        let (all, why) = match sample {
            Sample::In(at, value) => (vec![(at, value)], None),
            Sample::Many(all) => (all, None),
            Sample::About(all, why) => (all, Some(why)),
            Sample::Out(reason) => {
                *left_out.entry(reason).or_default() += 1;
                if others.len() < MOST_EXPLAINED {
                    others.push(Explained { reason: Some(reason), ..Explained::of(item, paths) });
                }
                return;
            }
        };
        let room = MOST_EXPLAINED.saturating_sub(counting.len());
        counting.extend(all.into_iter().take(room).map(|(at, value)| {
            // Of those that belong together, the one that it happened to then.
            let item = together.iter().find(|item| item.happened_at(at)).unwrap_or(item);
            // What stands for something is no number; and who did it would tell of groups that are too small.
            let value = (!metric.kind.is_distinct()).then_some(value);
            Explained { counts: true, at: Some(at.to_iso()), value, reason: why, ..Explained::of(item, paths) }
        }));
    });
    counting.extend(others);
    counting.truncate(MOST_EXPLAINED);
    (counting, left_out)
}

/// What was asked.
struct Asked {
    metric: &'static Metric,
    scope: Scope,
    interval: Interval,
    chosen: Wanted,
    format: Option<String>,
    only: BTreeMap<&'static str, String>,
}

impl Asked {
    async fn read(app: &App, name: &str, params: &Params) -> Result<Self, ApiError> {
        let (covered, query): (Covered, MetricQuery) = (params.read()?, params.read()?);
        let chosen = params.read::<Chosen>()?.read()?;
        let definition = reading(query.definition.as_deref())?;
        let metric = Metric::reading(name, definition).ok_or_else(|| ApiError::not_found("Metric"))?;
        chosen.check(metric, covered.is_of_members())?;
        covered.check_whose(metric, covered.is_of_members())?;
        let scope = covered.scope(app, app.now()).await?;
        let interval = scope.window.interval(query.interval.as_deref())?;
        let mut only = covered.said();
        only.extend(chosen.said());
        Ok(Self { metric, scope, interval, chosen, format: query.format, only })
    }
}

/// Whose reading is asked for.
pub(super) fn reading(definition: Option<&str>) -> Result<Option<&str>, ApiError> {
    match definition {
        None | Some("gitlab" | "devlake" | "chaoss") => Ok(definition),
        Some(_) => {
            Err(invalid("definition must be gitlab, devlake or chaoss; without it, ours, which says whom it follows"))
        }
    }
}

impl Number {
    /// The number of an insight.
    pub(super) fn of(metric: &Metric, summary: Summary) -> Self {
        let Summary { value, samples, percentiles, week } = summary;
        let has_percentiles = metric.kind.has_percentiles();
        let percentile = |value| if has_percentiles { Percentile::Of(value) } else { Percentile::Absent };
        let [p50, p75, p90, p95] = percentiles.map(percentile);
        let week = week.map(|week| week.iter().map(|hours| hours.to_vec()).collect());
        Self { value, samples, p50, p75, p90, p95, week }
    }
}
