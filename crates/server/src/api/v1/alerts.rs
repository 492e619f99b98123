//! Alert rules on metrics: their definition, their current states, and a trial. Alerts go to system hooks with
//! `insight_alert_events`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_insights::alerts::{AlertStatuses, MAX_RULES, Rule, Rules, Statistic, Watched, key};
use quickdraw_store::documents::{self, Document};
use quickdraw_store::insights::NamedProject;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::projects;
use super::whole::WholeQuery;
use crate::auth::Admin;
use crate::error::{ApiError, FieldError, Kind};
use crate::params::{Input, Line, Params};
use crate::state::App;
use crate::views::Page;

const DAY: u64 = 86_400;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(try_out))
        .routes(routes!(look))
        .routes(routes!(show, edit, delete))
}

/// The number of a metric that a rule compares.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StatisticWord {
    /// The number itself.
    Value,

    /// 50th percentile: half of the samples are not above it.
    P50,

    /// 75th percentile.
    P75,

    /// 90th percentile.
    P90,

    /// 95th percentile.
    P95,
}

/// An alert rule.
#[derive(Deserialize, ToSchema)]
struct NewAlert {
    /// Display name.
    #[schema(value_type = String, max_length = 255)]
    name: Line<255>,

    /// The watched number: the name of a metric, `silence` (seconds since the last event), `missing_pushes` or
    /// `unmatched_share`.
    metric: String,

    /// The number of the metric that is compared. Default: `value`, which is the mean for durations.
    statistic: Option<StatisticWord>,

    /// Length of the window in seconds, up to now. Default: one day.
    window: Option<u64>,

    /// The condition is met above this number. Give exactly one of `above`, `below` and `times_previous`.
    above: Option<f64>,

    /// The condition is met below this number.
    below: Option<f64>,

    /// The condition is met above this multiple of the number over the four windows before. Counts and sums are
    /// averaged per window for this.
    times_previous: Option<f64>,

    /// Seconds for which the condition must be met before the alert is reported. Default: 0.
    #[serde(default)]
    r#for: u64,

    /// Minimum time between two reports of this alert, in seconds. Default: 0.
    #[serde(default)]
    cool_down: u64,

    /// Only this project: its id in Quickdraw, or its full path. The rule is stored with the path.
    project: Option<String>,

    /// Evaluate the rule for each project separately.
    #[serde(default)]
    each_project: bool,

    /// Only this branch.
    branch: Option<String>,

    /// Only issues and merge requests with this label, as last seen.
    label: Option<String>,

    /// Age in seconds from which an item counts as waiting (default: one day) or a branch as stale (default: 90
    /// days).
    older_than: Option<u64>,
}

impl NewAlert {
    fn rule(self) -> Result<Rule, ApiError> {
        let statistic = match self.statistic {
            None | Some(StatisticWord::Value) => Statistic::Value,
            Some(StatisticWord::P50) => Statistic::P50,
            Some(StatisticWord::P75) => Statistic::P75,
            Some(StatisticWord::P90) => Statistic::P90,
            Some(StatisticWord::P95) => Statistic::P95,
        };

        let rule = Rule {
            id: 0,
            revision: 0,
            name: self.name.0,
            metric: self.metric,
            statistic,
            window: self.window.unwrap_or(DAY),
            above: self.above,
            below: self.below,
            times_previous: self.times_previous,
            r#for: self.r#for,
            cool_down: self.cool_down,
            project: self.project,
            each_project: self.each_project,
            branch: self.branch,
            label: self.label,
            older_than: self.older_than,
        };
        match rule.check() {
            Ok(_) => Ok(rule),
            Err(error) => {
                let fields = vec![FieldError::new(error.field(), error.to_string())];
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Err(ApiError::fields_with(status, Kind::InvalidParameter, fields))
            }
        }
    }
}

/// The current state of a rule, for one project or for all projects together.
#[derive(Serialize, ToSchema)]
struct AlertStatusView {
    /// The project's id in received bodies; null for all projects together.
    source_project_id: Option<i64>,

    /// The project's path.
    project_path: Option<String>,

    /// `pending` (the condition is met but not reported yet, because of `for` or `cool_down`), `firing` or
    /// `resolved`.
    state: &'static str,

    /// Time since which the rule has this state.
    #[schema(format = DateTime)]
    since: String,

    /// The last calculated number.
    value: Option<f64>,

    /// The number that it was compared with.
    threshold: Option<f64>,
}

/// An alert rule with its current states.
#[derive(Serialize, ToSchema)]
struct AlertView {
    /// Id of the rule.
    id: i64,

    /// Display name.
    name: String,

    /// The watched number: a metric, `silence`, `missing_pushes` or `unmatched_share`.
    metric: String,

    /// Unit of the number, such as `count` or `seconds`.
    unit: &'static str,

    /// The number of the metric that is compared: `value`, `p50`, `p75`, `p90` or `p95`.
    #[schema(value_type = String)]
    statistic: Statistic,

    /// Length of the window in seconds.
    window: u64,

    /// The condition is met above this number.
    above: Option<f64>,

    /// The condition is met below this number.
    below: Option<f64>,

    /// The condition is met above this multiple of the number over the four windows before. Counts and sums are
    /// averaged per window for this.
    times_previous: Option<f64>,

    /// Seconds for which the condition must be met before the alert is reported.
    r#for: u64,

    /// Minimum time between two reports of this alert, in seconds.
    cool_down: u64,

    /// Only this project, by its full path.
    project: Option<String>,

    /// The rule is evaluated for each project separately.
    each_project: bool,

    /// Only this branch.
    branch: Option<String>,

    /// Only items with this label.
    label: Option<String>,

    /// Age in seconds from which an item counts as waiting, or a branch as stale.
    older_than: Option<u64>,

    /// States of the rule that are `pending`, `firing` or recently `resolved`. Empty if the rule has no such state.
    statuses: Vec<AlertStatusView>,
}

impl AlertView {
    fn new(rule: Rule, statuses: &AlertStatuses, projects: &[NamedProject]) -> Self {
        let of_one = |project_id: Option<i64>| {
            let one = statuses.get(&key(&rule, project_id))?;
            Some(AlertStatusView {
                source_project_id: project_id,
                project_path: projects
                    .iter()
                    .find(|known| Some(known.id) == project_id)
                    .map(|known| known.path.clone()),
                state: one.state.name(),
                since: one.since.to_iso(),
                value: one.value,
                threshold: one.threshold,
            })
        };

        let ids = projects.iter().map(|project| Some(project.id));
        let unit = Watched::by_name(&rule.metric).map_or("", |watched| watched.unit());
        let statuses = [None].into_iter().chain(ids).filter_map(of_one).collect();

        let Rule {
            id,
            name,
            metric,
            statistic,
            window,
            above,
            below,
            times_previous,
            cool_down,
            ..
        } = rule;

        let Rule {
            r#for,
            project,
            each_project,
            branch,
            label,
            older_than,
            ..
        } = rule;

        Self {
            id,
            name,
            metric,
            unit,
            statistic,
            window,
            above,
            below,
            times_previous,
            r#for,
            cool_down,
            project,
            each_project,
            branch,
            label,
            older_than,
            statuses,
        }
    }
}

/// List alert rules with their current states. Administrators only.
#[utoipa::path(get, path = "/insights/alerts", tag = "Insights", params(WholeQuery),
    responses((status = 200, body = Page<AlertView>)))]
async fn list(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<WholeQuery>,
) -> Result<Json<Page<AlertView>>, ApiError> {
    let rules = rules(&app).await?;
    let statuses = app.engine.insights.alert_statuses().await.map_err(ApiError::internal)?;

    let projects = app.store().insights_projects().await?;
    let view = |rule: Rule| AlertView::new(rule, &statuses, &projects);
    Ok(Json(query.page(rules.all.into_iter(), |rule| rule.id, view)?))
}

/// Show an alert rule with its current states. Administrators only.
#[utoipa::path(get, path = "/insights/alerts/{alert_id}", tag = "Insights",
    responses((status = 200, body = AlertView)))]
async fn show(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<Json<AlertView>, ApiError> {
    let id = existing(&app, &id).await?;
    let rule = rules(&app).await?.all.into_iter().find(|rule| rule.id == id);
    let statuses = app.engine.insights.alert_statuses().await.map_err(ApiError::internal)?;

    let projects = app.store().insights_projects().await?;
    Ok(Json(AlertView::new(rule.ok_or_else(missing)?, &statuses, &projects)))
}

/// Create an alert rule. Administrators only.
///
/// The rule is evaluated within seconds, and then every minute.
#[utoipa::path(post, path = "/insights/alerts", tag = "Insights", request_body = NewAlert,
    responses((status = 201, body = AlertView)))]
async fn add(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(new): Input<NewAlert>,
) -> Result<(StatusCode, Json<AlertView>), ApiError> {
    let rule = known(&app, new.rule()?).await?;
    let made = change(&app, |rules| {
        if rules.all.len() >= MAX_RULES {
            let text = format!("the maximum of {MAX_RULES} alerts is reached; delete one first");
            return Err(ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, text));
        }

        rules.last += 1;

        let rule = Rule {
            id: rules.last,
            revision: rules.last,
            ..rule.clone()
        };
        rules.all.push(rule.clone());
        Ok(rule)
    });
    Ok((
        StatusCode::CREATED,
        Json(AlertView::new(made.await?, &AlertStatuses::new(), &[])),
    ))
}

/// Replace an alert rule. Administrators only.
#[utoipa::path(put, path = "/insights/alerts/{alert_id}", tag = "Insights", request_body = NewAlert,
    responses((status = 200, body = AlertView)))]
async fn edit(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Input(new): Input<NewAlert>,
) -> Result<Json<AlertView>, ApiError> {
    let id = existing(&app, &id).await?;
    let rule = known(&app, new.rule()?).await?;

    let made = change(&app, |rules| {
        rules.last += 1;

        let rule = Rule {
            id,
            revision: rules.last,
            ..rule.clone()
        };

        let known = rules.all.iter_mut().find(|known| known.id == id).ok_or_else(missing)?;
        *known = rule.clone();
        Ok(rule)
    });
    Ok(Json(AlertView::new(made.await?, &AlertStatuses::new(), &[])))
}

/// Delete an alert rule. Administrators only.
#[utoipa::path(delete, path = "/insights/alerts/{alert_id}", tag = "Insights", responses((status = 204)))]
async fn delete(
    _: Admin,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    _: Params,
) -> Result<StatusCode, ApiError> {
    let id = existing(&app, &id).await?;
    change(&app, |rules| {
        rules.all.retain(|rule| rule.id != id);
        Ok(())
    })
    .await?;

    Ok(StatusCode::NO_CONTENT)
}

/// The current result of a rule, for one project or for all projects together.
#[derive(Serialize, ToSchema)]
struct EvaluationView {
    /// The project's id in received bodies; null for all projects together.
    source_project_id: Option<i64>,

    /// The project's path.
    project_path: Option<String>,

    /// The measured number; null if there is no sample.
    value: Option<f64>,

    /// The number that it is compared with.
    threshold: Option<f64>,

    /// True if the condition is met.
    is_violated: bool,
}

/// Evaluate an alert rule now, without storing it. Administrators only.
#[utoipa::path(post, path = "/insights/alerts/try", tag = "Insights", request_body = NewAlert,
    responses((status = 200, body = Page<EvaluationView>)))]
async fn try_out(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(new): Input<NewAlert>,
) -> Result<Json<Page<EvaluationView>>, ApiError> {
    let rule = known(&app, new.rule()?).await?;
    let projects = app.store().insights_projects().await?;

    let found = app
        .engine
        .insights
        .numbers(&rule, &projects, app.now())
        .await
        .map_err(ApiError::internal)?;

    let view = |(project_id, (value, before)): (Option<i64>, (Option<f64>, Option<f64>))| EvaluationView {
        source_project_id: project_id,
        project_path: projects
            .iter()
            .find(|known| Some(known.id) == project_id)
            .map(|known| known.path.clone()),
        value,
        threshold: rule.threshold(before),
        is_violated: rule.is_violated(value, before),
    };
    Ok(Json(Page::whole(found.into_iter().map(view))))
}

/// Evaluate all alert rules within seconds instead of at the next minute. Administrators only.
#[utoipa::path(post, path = "/insights/alerts/look", tag = "Insights", responses((status = 202)))]
async fn look(_: Admin, State(app): State<Arc<App>>, _: Params) -> Result<StatusCode, ApiError> {
    app.engine.insights.evaluate_again().await.map_err(ApiError::internal)?;
    Ok(StatusCode::ACCEPTED)
}

/// Checks that the project of a rule is known, and writes it as its path. A rule with a misspelled project would never
/// fire.
async fn known(app: &App, mut rule: Rule) -> Result<Rule, ApiError> {
    if let Some(project) = &rule.project {
        rule.project = Some(projects::of_project(app, project).await?.path);
    }

    Ok(rule)
}

async fn rules(app: &App) -> Result<Rules, ApiError> {
    Ok(documents::read(app.store(), Document::Alerts).await?)
}

async fn existing(app: &App, id: &str) -> Result<i64, ApiError> {
    let rules = rules(app).await?;
    let known = id.parse().ok().filter(|id| rules.all.iter().any(|rule| rule.id == *id));
    known.ok_or_else(missing)
}

fn missing() -> ApiError {
    ApiError::problem(StatusCode::NOT_FOUND, "there is no alert with this id")
}

/// Changes the rules. A concurrent change is never overwritten: the closure then runs again on the newer rules.
async fn change<T>(app: &App, then: impl Fn(&mut Rules) -> Result<T, ApiError>) -> Result<T, ApiError> {
    let changed = documents::change(app.store(), Document::Alerts, |rules| then(rules).map(Some));
    let conflict = || {
        ApiError::problem(
            StatusCode::CONFLICT,
            "other requests are changing the alerts; try again",
        )
    };
    let (_, made) = changed.await?.ok_or_else(conflict)?;

    app.engine.insights.evaluate_again().await.map_err(ApiError::internal)?;
    Ok(made)
}
