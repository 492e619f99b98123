//! `/api/v1/insights/metrics`: each metric for a window, as one number and as a series, and its explanation.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use quickdraw_domain::Timestamp;
use quickdraw_insights::DEFINITION_VERSION;
use quickdraw_insights::metrics::{self, Metric, Summary};
use quickdraw_insights::people::Whose;
use quickdraw_insights::question::{self, Detail, Every, Group, Output, Question};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::item_filters::{FilterQuery, ItemFilters};
use super::named::unknown_metric;
use super::scope::{Scope, ScopeQuery, ask, interval, refused};
use super::{export, not_a_choice};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views::Page;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(metric))
        .routes(routes!(explain))
}

/// A metric and its definition.
#[derive(Serialize, ToSchema)]
pub(super) struct MetricView {
    /// Name of the metric.
    pub(super) name: &'static str,

    /// How samples become a number: `count`, `gauge`, `share`, `duration`, `mean`, `sum`, `distinct`, `per_day`,
    /// `per_working_day`, `share_of_people`, `balance`, `ratio` or `week`.
    kind: &'static str,

    /// Unit of the number.
    pub(super) unit: &'static str,

    /// Definition in words.
    pub(super) help: &'static str,

    /// The tool or publication whose definition this metric uses.
    defined_by: &'static str,
}

impl From<&Metric> for MetricView {
    fn from(metric: &Metric) -> Self {
        let Metric {
            name,
            kind,
            help,
            defined_by,
            ..
        } = *metric;

        Self {
            name,
            kind: kind.name(),
            unit: kind.unit(),
            help,
            defined_by,
        }
    }
}

/// List all metrics with their definitions.
#[utoipa::path(get, path = "/insights/metrics", tag = "Insights", responses((status = 200, body = Page<MetricView>)))]
async fn list(_: Caller) -> Json<Page<MetricView>> {
    Json(Page::whole(metrics::all().map(MetricView::from)))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DefinitionQuery {
    /// Use the definition of `gitlab`, `devlake` or `chaoss` where it differs from the default. The name of the
    /// metric can also include it: `time_to_merge.devlake`.
    definition: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct IntervalQuery {
    /// Length of the intervals of the series: `hour`, `day`, `week` or `month`. Default: `day`, or `month` for
    /// windows of more than a year.
    interval: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FormatQuery {
    /// `json` (default) or `csv`.
    format: Option<String>,
}

/// The number of a metric. Shares, means and durations are null without a sample, and not 0.
#[derive(Serialize, ToSchema)]
pub(super) struct Number {
    /// The count, share, mean or sum.
    pub(super) value: Option<f64>,

    /// Number of samples.
    pub(super) samples: usize,

    /// 50th percentile; null without a sample. Only durations have percentiles.
    #[serde(skip_serializing_if = "Percentile::is_absent")]
    #[schema(value_type = Option<f64>)]
    pub(super) p50: Percentile,

    /// 75th percentile.
    #[serde(skip_serializing_if = "Percentile::is_absent")]
    #[schema(value_type = Option<f64>)]
    pub(super) p75: Percentile,

    /// 90th percentile.
    #[serde(skip_serializing_if = "Percentile::is_absent")]
    #[schema(value_type = Option<f64>)]
    pub(super) p90: Percentile,

    /// 95th percentile.
    #[serde(skip_serializing_if = "Percentile::is_absent")]
    #[schema(value_type = Option<f64>)]
    pub(super) p95: Percentile,

    /// Counts for each hour of a week: seven days from Monday on, with 24 hours each. Only for metrics of the kind
    /// `week`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) week: Option<Vec<Vec<u64>>>,
}

/// A percentile of samples.
#[derive(Clone, Copy)]
pub(super) enum Percentile {
    /// The metric has no percentiles.
    Absent,

    /// The percentile; `None` without a sample.
    Of(Option<f64>),
}

impl Percentile {
    const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The percentile, if there is one.
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

/// One interval of a series.
#[derive(Serialize, ToSchema)]
struct Part {
    /// Start of the interval.
    #[schema(format = DateTime)]
    start: String,

    /// True if the interval is incomplete: the window cuts it, coverage starts after its beginning, or it has not
    /// ended.
    partial: bool,
    #[serde(flatten)]
    number: Number,
}

impl Part {
    fn of(metric: &Metric, interval: question::Interval) -> Self {
        let question::Interval {
            start,
            is_partial,
            number,
        } = interval;

        Self {
            start: start.to_iso(),
            partial: is_partial,
            number: Number::of(metric, number),
        }
    }
}

/// A metric in a window.
#[derive(Serialize, ToSchema)]
struct Answer {
    #[serde(flatten)]
    metric: MetricView,

    /// First day of the window.
    from: String,

    /// Number of days in the window.
    days: i32,

    /// Time zone of the days.
    zone: String,

    /// The filters of the request by name: `project`, `group`, `team`, `member`, `branch`, `label`, `job` and so on.
    filters: BTreeMap<&'static str, String>,

    /// Time from which there are events of the selected projects; null if there are none. Numbers of earlier times are
    /// unknown, not 0.
    #[schema(format = DateTime)]
    coverage_starts: Option<String>,

    /// True if the window begins before `coverage_starts`, or has not ended.
    partial: bool,

    /// DORA's rating of the number, from its report of 2019: `elite`, `high`, `medium` or `low`. Only for deployment
    /// frequency and lead times, with at least five samples and a window whose first day is covered.
    #[serde(skip_serializing_if = "Option::is_none")]
    band_2019: Option<&'static str>,

    /// Whose work counts: `people`, `bots` or `all`.
    whose: &'static str,

    /// True if the work of bots counts.
    bots: bool,

    /// All events that were received before this time are counted.
    #[schema(format = DateTime)]
    as_of: String,

    /// Version of the definitions.
    definition_version: u32,

    /// Definition versions by which the underlying items were counted. If an older version is listed, run `quickdraw
    /// insights rebuild` to count them again.
    counted_versions: Vec<u32>,
    #[serde(flatten)]
    number: Number,

    /// The number of the window of the same length before this window; null if there are no events of that time.
    previous: Option<Number>,

    /// The number of each interval of the window.
    series: Vec<Part>,
}

/// Show a metric in a window of days. Maintainers of the project, owners of the group, and
/// administrators.
///
/// The answer has the number of the window, the number of the window before, and a series.
#[utoipa::path(get, path = "/insights/metrics/{name}", tag = "Insights", params(ScopeQuery, FilterQuery, DefinitionQuery, IntervalQuery),
    responses((status = 200, body = Answer)))]
async fn metric(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Json<Answer>, ApiError> {
    let MetricRequest {
        metric,
        scope,
        filters,
        item_filters,
        interval,
        ..
    } = MetricRequest::read(&app, &caller, &name, &params).await?;

    let series = scope.window.parts(interval, metric).map_err(refused)?;
    let now = app.now();

    let output = Output {
        number: true,
        series,
        ..Output::default()
    };
    let question = Question {
        output,
        ..scope.question(metric, item_filters, now)?
    };

    // Read before the items, so that everything older than this is among them.
    let as_of = app.engine.insights.counted_until().await?.to_iso();
    let Group {
        number,
        before,
        coverage,
        series,
        ..
    } = ask(&app, question).await?.whole();

    // If nothing is known of the window before, its number is unknown, not 0.
    let previous = before.filter(|before| coverage.begins_before || before.samples > 0);
    let Scope { window, whose, .. } = scope;

    Ok(Json(Answer {
        metric: MetricView::from(metric),
        from: window.first.to_string(),
        days: window.days,
        zone: window.zone_name,
        filters,
        coverage_starts: coverage.since.map(Timestamp::to_iso),
        partial: !coverage.is_whole,
        band_2019: metrics::band(metric, &number, coverage.begins_before),
        whose: whose.name(),
        bots: whose != Whose::People,
        as_of,
        definition_version: DEFINITION_VERSION,
        counted_versions: app.engine.insights.counted_versions().await?,
        number: Number::of(metric, number),
        previous: previous.map(|previous| Number::of(metric, previous)),
        series: series.into_iter().map(|one| Part::of(metric, one)).collect(),
    }))
}

/// An item of an explanation: a merge request, issue, deployment, CI pipeline, job, push, branch or commit.
#[derive(Serialize, ToSchema)]
struct ExplainedItem {
    /// The project's id in received bodies, which is GitLab's and not Quickdraw's.
    source_project_id: i64,

    /// The project's path, as last seen; null if no event named it.
    project_path: Option<String>,

    /// Number of the item: the iid of merge requests and issues, GitLab's id of deployments, pipelines and jobs, and
    /// a derived number for pushes, branches and commits.
    iid: i64,

    /// The item for `…/events`: project and number as text. Derived numbers do not fit into the integers of some
    /// programs.
    item: String,

    /// Name of the item in GitLab.
    name: String,

    /// True if the item counts.
    counts: bool,

    /// Time at which the item counts.
    #[schema(format = DateTime)]
    at: Option<String>,

    /// Value that the item contributes; null if only distinct items or people count.
    value: Option<i64>,

    /// Reason why the item does not count. If it counts, the reason why its value is not exact.
    reason: Option<&'static str>,
}

impl ExplainedItem {
    /// `paths` maps project ids to paths.
    fn of(explained: question::Explained, paths: &HashMap<i64, String>) -> Self {
        let question::Explained {
            key: (source_project_id, iid),
            name,
            counts,
            at,
            value,
            reason,
        } = explained;

        Self {
            source_project_id,
            project_path: paths.get(&source_project_id).cloned(),
            iid,
            item: format!("{source_project_id}/{iid}"),
            name,
            counts,
            at: at.map(Timestamp::to_iso),
            value,
            reason,
        }
    }
}

/// Explanation of a metric.
#[derive(Serialize, ToSchema)]
struct Explanation {
    #[serde(flatten)]
    metric: MetricView,

    /// Items that count, followed by items that do not count; at most 10,000 in total.
    items: Vec<ExplainedItem>,

    /// Number of items that do not count, by reason.
    left_out: BTreeMap<&'static str, usize>,
}

/// List the items that count for a metric in a window, and the items that do not count. Maintainers of the project,
/// owners of the group, and administrators.
///
/// An item that does not count has the reason.
#[utoipa::path(get, path = "/insights/metrics/{name}/explain", tag = "Insights", params(ScopeQuery, FilterQuery, DefinitionQuery, FormatQuery),
    responses((status = 200, body = Explanation)))]
async fn explain(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    params: Params,
) -> Result<Response, ApiError> {
    let MetricRequest {
        metric,
        scope,
        item_filters,
        ..
    } = MetricRequest::read(&app, &caller, &name, &params).await?;

    let FormatQuery { format } = params.read()?;
    let is_csv = export::is_csv(format.as_deref())?;
    let output = Output {
        detail: Detail::Explanation,
        ..Output::default()
    };
    let question = Question {
        output,
        ..scope.question(metric, item_filters, app.now())?
    };
    let question::Explanation { items, left_out } = ask(&app, question).await?.whole().explanation;
    let named = app.store().insights_projects().await?;
    let paths: HashMap<i64, String> = named.into_iter().map(|project| (project.id, project.path)).collect();
    let explained: Vec<ExplainedItem> = items.into_iter().map(|one| ExplainedItem::of(one, &paths)).collect();

    if is_csv {
        let text = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
        let columns = [
            "source_project_id",
            "project_path",
            "iid",
            "name",
            "counts",
            "at",
            "value",
            "reason",
            "item",
        ];

        return export::csv(
            &columns,
            explained.iter().map(|one| {
                let (at, reason) = (
                    one.at.clone().unwrap_or_default(),
                    one.reason.unwrap_or_default().to_owned(),
                );

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

    Ok(Json(Explanation {
        metric: MetricView::from(metric),
        items: explained,
        left_out,
    })
    .into_response())
}

/// The question of a request, validated.
struct MetricRequest {
    metric: &'static Metric,
    scope: Scope,
    interval: Every,
    item_filters: ItemFilters,
    filters: BTreeMap<&'static str, String>,
}

impl MetricRequest {
    async fn read(app: &App, caller: &Caller, name: &str, params: &Params) -> Result<Self, ApiError> {
        let scope_query: ScopeQuery = params.read()?;
        let (DefinitionQuery { definition }, IntervalQuery { interval: every }) = (params.read()?, params.read()?);
        let item_filters = params.read::<FilterQuery>()?.read()?;
        let definition = reading(definition.as_deref())?;
        let metric = Metric::reading(name, definition).ok_or_else(|| unknown_metric(name))?;

        item_filters.check(metric, scope_query.is_of_members())?;
        scope_query.check_whose(metric, scope_query.is_of_members())?;

        let scope = scope_query.scope(app, caller, app.now()).await?;
        let interval = interval(&scope.window, every.as_deref())?;
        let mut filters = scope_query.filters();
        filters.extend(item_filters.filters());

        Ok(Self {
            metric,
            scope,
            interval,
            item_filters,
            filters,
        })
    }
}

/// Reads `definition`.
pub(super) fn reading(definition: Option<&str>) -> Result<Option<&str>, ApiError> {
    match definition {
        None | Some("gitlab" | "devlake" | "chaoss") => Ok(definition),
        Some(other) => Err(not_a_choice("definition", other, &["gitlab", "devlake", "chaoss"])),
    }
}

impl Number {
    /// Builds the number of a metric from a summary.
    pub(super) fn of(metric: &Metric, summary: Summary) -> Self {
        let Summary {
            value,
            samples,
            percentiles,
            week,
        } = summary;

        let has_percentiles = metric.kind.has_percentiles();
        let percentile = |value| {
            if has_percentiles {
                Percentile::Of(value)
            } else {
                Percentile::Absent
            }
        };
        let [p50, p75, p90, p95] = percentiles.map(percentile);
        let week = week.map(|week| week.iter().map(|hours| hours.to_vec()).collect());

        Self {
            value,
            samples,
            p50,
            p75,
            p90,
            p95,
            week,
        }
    }
}
