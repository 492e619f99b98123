//! `/api/v1/insights/query`: several metrics at once as flat rows, for Grafana's JSON sources, spreadsheets and
//! scripts.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use quickdraw_insights::DEFINITION_VERSION;
use quickdraw_insights::metrics::{Kind, Metric, Trait};
use quickdraw_insights::question::{self, GroupKey, Grouping, MAX_INTERVALS, Output, Question};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::item_filters::FilterQuery;
use super::metrics::{MetricView, Number, reading};
use super::named::no_metric_named;
use super::not_a_choice;
use super::scope::{self, Scope, ScopeQuery, ask, refused};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;

/// Largest number of metrics in one answer.
const MAX_METRICS: usize = 20;
const COLUMNS: [&str; 14] = [
    "time",
    "metric",
    "group",
    "value",
    "samples",
    "p50",
    "p75",
    "p90",
    "p95",
    "unit",
    "as_of",
    "definition_version",
    "definition",
    "partial",
];

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(query))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// Names of the metrics, separated by commas.
    metric: Vec<String>,

    /// Length of the intervals: `hour`, `day`, `week` or `month`, or `none` for one number per metric. Default:
    /// `day`, or `month` for windows of more than a year.
    interval: Option<String>,

    /// Split the answer by `project`, `member`, `team`, `branch`, `label` (as last seen), `job`, `status`,
    /// `environment` or `source`.
    group_by: Option<String>,

    /// Use the definition of `gitlab`, `devlake` or `chaoss` where it differs from the default. A metric name can
    /// also include it: `time_to_merge.devlake`.
    definition: Option<String>,

    /// `json` (default) or `csv`.
    format: Option<String>,
}

/// The number of one metric in one interval, for one group.
#[derive(Serialize, ToSchema)]
struct RowView {
    /// Start of the interval.
    #[schema(format = DateTime)]
    time: String,

    /// Name of the metric.
    metric: &'static str,

    /// The group: the path of the project, the name of the member or team, or the branch, label, job and so on. Null
    /// without `group_by`.
    group: Option<String>,

    /// True if the interval is incomplete: the window cuts it, coverage starts after its beginning, or it has not
    /// ended.
    partial: bool,
    #[serde(flatten)]
    number: Number,
}

/// Metrics as flat rows.
#[derive(Serialize, ToSchema)]
struct Rows {
    /// All events that were received before this time are counted.
    #[schema(format = DateTime)]
    as_of: String,

    /// Version of the definitions.
    definition_version: u32,

    /// Definition versions by which the underlying items were counted.
    counted_versions: Vec<u32>,

    /// The requested metrics with their definitions.
    definitions: Vec<MetricView>,

    /// The numbers.
    rows: Vec<RowView>,
}

/// Query several metrics at once, as flat rows in JSON or CSV. Maintainers of the project, owners of the group, and
/// administrators.
///
/// The rows suit Grafana's JSON and CSV data sources, spreadsheets and scripts. `from` and `to` can also be points in
/// time, in RFC 3339 or in milliseconds, as Grafana writes them.
#[utoipa::path(get, path = "/insights/query", tag = "Insights", params(ScopeQuery, FilterQuery, ExportQuery),
    responses((status = 200, content((Rows = "application/json"), (String = "text/csv")))))]
async fn query(caller: Caller, State(app): State<Arc<App>>, params: Params) -> Result<Response, ApiError> {
    let (scope_query, query): (ScopeQuery, ExportQuery) = (params.read()?, params.read()?);
    let item_filters = params.read::<FilterQuery>()?.read()?;
    let is_csv = is_csv(query.format.as_deref())?;

    if query.metric.is_empty() || query.metric.len() > MAX_METRICS {
        let text = format!("metric must have 1 to {MAX_METRICS} names");
        return Err(ApiError::field("metric", text));
    }

    let definition = reading(query.definition.as_deref())?;
    let by_name = |name: &String| Metric::reading(name, definition).ok_or_else(|| no_metric_named(name));
    let metrics = query.metric.iter().map(by_name).collect::<Result<Vec<_>, _>>()?;
    let of_members = scope_query.is_of_members() || matches!(query.group_by.as_deref(), Some("member" | "team"));

    for metric in &metrics {
        item_filters.check(metric, of_members)?;
        scope_query.check_whose(metric, of_members)?;
    }

    if is_csv && metrics.iter().any(|metric| metric.kind == Kind::Week) {
        return Err(ApiError::field(
            "format",
            "hours of the week cannot be written as CSV columns; use format=json",
        ));
    }

    let by = match query.group_by.as_deref() {
        None => By::All,
        Some("project") => By::Project(
            app.store()
                .insights_projects()
                .await?
                .into_iter()
                .map(|project| (project.id, project.path))
                .collect(),
        ),
        Some("member") => By::Member,
        Some("team") => By::Team,
        Some(other) => match Trait::by_name(other) {
            Some(one) if item_filters.only.contains_key(&one) => {
                let text = format!("group_by={other} cannot be combined with the filter {other}; remove one of them");
                return Err(ApiError::field("group_by", text));
            }
            Some(one) => By::Trait(one),
            None => {
                let mut choices = vec!["project", "member", "team"];
                choices.extend(Trait::ALL.map(|(_, name)| name));
                return Err(not_a_choice("group_by", other, &choices));
            }
        },
    };

    let scope = scope_query.scope(&app, &caller, app.now()).await?;
    let interval = match query.interval.as_deref() {
        Some("none") => None,
        other => Some(scope::interval(&scope.window, other)?),
    };

    if let By::Trait(of) = by
        && let Some(metric) = metrics.iter().find(|metric| !metric.can_have(of))
    {
        let text = format!(
            "group_by={1} does not apply to the metric \"{0}\"",
            metric.name,
            of.name()
        );
        return Err(ApiError::field("group_by", text));
    }

    let mut rows = Vec::new();
    let now = app.now();

    // Read before the items, so that everything older than this is among them.
    let as_of = app.engine.insights.counted_until().await?.to_iso();
    for metric in &metrics {
        let series = match interval {
            Some(interval) => scope.window.parts(interval, metric).map_err(refused)?,
            None => vec![scope.window.whole()],
        };
        let output = Output {
            series,
            ..Output::default()
        };
        let question = Question {
            output,
            ..scope.question(metric, item_filters.clone(), now)?
        };
        let question = Question {
            grouping: by.grouping(&scope)?,
            ..question
        };

        for group in ask(&app, question).await?.groups {
            // People and teams without work in the projects of the caller are none of the caller's business.
            let is_empty = group.series.iter().all(|interval| interval.number.samples == 0);
            if by.is_of_people() && is_empty && !caller.actor.is_admin {
                continue;
            }

            let name = by.name(group.key);
            for interval in group.series {
                rows.push(RowView::of(metric, name.clone(), interval));
            }
        }

        if rows.len() > MAX_INTERVALS {
            return Err(ApiError::field(
                "interval",
                format!(
                    "the answer has more than {MAX_INTERVALS} rows; choose a longer interval, or fewer metrics or groups"
                ),
            ));
        }
    }

    if is_csv {
        return to_csv(&metrics, &rows, &as_of);
    }

    let definitions = metrics.into_iter().map(MetricView::from).collect();
    let counted_versions = app.engine.insights.counted_versions().await?;

    Ok(Json(Rows {
        as_of,
        definition_version: DEFINITION_VERSION,
        counted_versions,
        definitions,
        rows,
    })
    .into_response())
}

/// The property by which an answer is split.
enum By {
    All,
    /// Maps the id of each project to its path.
    Project(BTreeMap<i64, String>),
    Member,
    Team,
    /// An item with several labels is in several groups.
    Trait(Trait),
}

impl By {
    const fn is_of_people(&self) -> bool {
        matches!(self, Self::Member | Self::Team)
    }

    fn grouping(&self, scope: &Scope) -> Result<Grouping, ApiError> {
        Ok(match self {
            Self::All => Grouping::None,
            Self::Project(_) => Grouping::Projects,
            Self::Member => Grouping::People(scope.by_member()?),
            Self::Team => Grouping::People(scope.by_team()?),
            Self::Trait(of) => Grouping::Trait(*of),
        })
    }

    /// The name of a group in the answer.
    fn name(&self, key: GroupKey) -> Option<String> {
        match (self, key) {
            (_, GroupKey::All) => None,
            (_, GroupKey::Named(name)) => Some(name),
            (Self::Project(paths), GroupKey::Project(id)) => {
                Some(paths.get(&id).cloned().unwrap_or_else(|| id.to_string()))
            }
            (_, GroupKey::Project(id)) => Some(id.to_string()),
        }
    }
}

impl RowView {
    fn of(metric: &Metric, group: Option<String>, interval: question::Interval) -> Self {
        let question::Interval {
            start,
            is_partial,
            number,
        } = interval;

        Self {
            time: start.to_iso(),
            metric: metric.name,
            group,
            partial: is_partial,
            number: Number::of(metric, number),
        }
    }
}

fn to_csv(metrics: &[&'static Metric], rows: &[RowView], as_of: &str) -> Result<Response, ApiError> {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let version = DEFINITION_VERSION.to_string();

    csv(
        &COLUMNS,
        rows.iter().map(|row| {
            let metric = metrics.iter().find(|metric| metric.name == row.metric);
            let Number {
                value,
                samples,
                p50,
                p75,
                p90,
                p95,
                ..
            } = &row.number;

            vec![
                row.time.clone(),
                row.metric.to_owned(),
                row.group.clone().unwrap_or_default(),
                number(*value),
                samples.to_string(),
                number(p50.value()),
                number(p75.value()),
                number(p90.value()),
                number(p95.value()),
                metric.map(|metric| metric.kind.unit()).unwrap_or_default().to_owned(),
                as_of.to_owned(),
                version.clone(),
                metric.map(|metric| metric.help).unwrap_or_default().to_owned(),
                row.partial.to_string(),
            ]
        }),
    )
}

/// Reads `format`, and returns whether it is CSV.
pub(super) fn is_csv(format: Option<&str>) -> Result<bool, ApiError> {
    match format {
        None | Some("json") => Ok(false),
        Some("csv") => Ok(true),
        Some(other) => Err(not_a_choice("format", other, &["json", "csv"])),
    }
}

/// Builds a CSV answer. A text that a spreadsheet would read as a formula is prefixed with a quote.
pub(super) fn csv(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<Response, ApiError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| ApiError::internal(error.into());
    writer.write_record(columns).map_err(failed)?;

    for row in rows {
        let is_formula =
            |text: &str| text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
        let safe = row
            .into_iter()
            .map(|text| if is_formula(&text) { format!("'{text}") } else { text });
        writer.write_record(safe).map_err(failed)?;
    }

    let bytes = writer
        .into_inner()
        .map_err(|error| ApiError::internal(anyhow::anyhow!("{error}")))?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], bytes).into_response())
}
