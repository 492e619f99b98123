//! Alerts on insights: rules, how they stand, and what a rule would find now. What they find goes to system hooks with
//! `insight_alert_events`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_insights::alerts::{MOST_RULES, Rule, Rules, Standings, Statistic, key};
use quickdraw_store::documents::{self, Document};
use quickdraw_store::insights::NamedProject;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::covered;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::{Input, Line};
use crate::state::App;

const DAY: u64 = 86_400;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(try_out))
        .routes(routes!(look))
        .routes(routes!(edit, delete))
}

/// Which number of an insight.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StatisticWord {
    /// The number itself.
    Value,
    /// Half are not above it.
    P50,
    /// Three quarters are not above it.
    P75,
    /// Nine tenths are not above it.
    P90,
    /// Nineteen in twenty are not above it.
    P95,
}

/// A rule.
#[derive(Deserialize, ToSchema)]
struct NewAlert {
    /// What people call it.
    #[schema(value_type = String, max_length = 255)]
    name: Line<255>,
    /// What it watches: the name of an insight, `silence` (seconds since the last event), `missing_pushes` or `unmatched_share`.
    metric: String,
    /// Which number of it; by default `value`, and of durations that is the mean.
    statistic: Option<StatisticWord>,
    /// Over how many seconds until now; by default a day.
    window: Option<u64>,
    /// It is bad above this. Exactly one of these three.
    above: Option<f64>,
    /// It is bad below this.
    below: Option<f64>,
    /// It is bad above so many times what it was over the four windows before.
    times_before: Option<f64>,
    /// For how many seconds it must be bad before that is told; by default 0.
    #[serde(default)]
    r#for: u64,
    /// How many seconds after it was told it is told again at the earliest; by default 0.
    #[serde(default)]
    cool_down: u64,
    /// Only this project: its path, or its number in events.
    project: Option<String>,
    /// Each project for itself.
    #[serde(default)]
    each_project: bool,
    /// Only of this branch.
    branch: Option<String>,
    /// Only issues or merge requests with this label, as last seen.
    label: Option<String>,
    /// For how many seconds something must wait to be waiting (a day), or have no commit to be stale (90 days).
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
            times_before: self.times_before,
            r#for: self.r#for,
            cool_down: self.cool_down,
            project: self.project,
            each_project: self.each_project,
            branch: self.branch,
            label: self.label,
            older_than: self.older_than,
        };
        rule.check().map_err(|error| ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
        Ok(rule)
    }
}

/// How a rule stands for a project, or for everything.
#[derive(Serialize, ToSchema)]
struct StandingView {
    /// The project's number in the source's bodies; null for everything.
    source_project_id: Option<i64>,
    /// Its path.
    project_path: Option<String>,
    /// `pending`: bad, but not told, because not for long enough or too short after the last time. `firing`, `resolved`.
    state: &'static str,
    /// Since when.
    #[schema(format = DateTime)]
    since: String,
    /// The last number.
    value: Option<f64>,
    /// What it was compared with.
    threshold: Option<f64>,
}

/// A rule, and how it stands.
#[derive(Serialize, ToSchema)]
struct AlertView {
    /// Its number.
    id: i64,
    /// What people call it.
    name: String,
    /// What it watches.
    metric: String,
    /// Which number of it: `value`, `p50`, `p75`, `p90` or `p95`.
    #[schema(value_type = String)]
    statistic: Statistic,
    /// Over how many seconds.
    window: u64,
    /// It is bad above this.
    above: Option<f64>,
    /// It is bad below this.
    below: Option<f64>,
    /// It is bad above so many times what it was before.
    times_before: Option<f64>,
    /// For how many seconds it must be bad.
    r#for: u64,
    /// How many seconds it is not told again.
    cool_down: u64,
    /// Only this project.
    project: Option<String>,
    /// Each project for itself.
    each_project: bool,
    /// Only of this branch.
    branch: Option<String>,
    /// Only what has this label.
    label: Option<String>,
    /// For how many seconds something must have been so.
    older_than: Option<u64>,
    /// Where it is bad, or was until a moment ago. Empty where all is well.
    standings: Vec<StandingView>,
}

impl AlertView {
    fn new(rule: Rule, standings: &Standings, projects: &[NamedProject]) -> Self {
        let of_one = |project_id: Option<i64>| {
            let one = standings.get(&key(&rule, project_id))?;
            Some(StandingView {
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
        let standings = [None].into_iter().chain(ids).filter_map(of_one).collect();
        let Rule { id, name, metric, statistic, window, above, below, times_before, cool_down, .. } = rule;
        let Rule { r#for, project, each_project, branch, label, older_than, .. } = rule;
        Self {
            id,
            name,
            metric,
            statistic,
            window,
            above,
            below,
            times_before,
            r#for,
            cool_down,
            project,
            each_project,
            branch,
            label,
            older_than,
            standings,
        }
    }
}

/// List the alerts on insights, with how they stand. Administrators.
#[utoipa::path(get, path = "/insights/alerts", tag = "Insights", responses((status = 200, body = [AlertView])))]
async fn list(_: Admin, State(app): State<Arc<App>>) -> Result<Json<Vec<AlertView>>, ApiError> {
    let rules = rules(&app).await?;
    let standings = app.engine.insights.alert_standings().await.map_err(ApiError::internal)?;
    let projects = app.store().insights_projects().await?;
    Ok(Json(rules.all.into_iter().map(|rule| AlertView::new(rule, &standings, &projects)).collect()))
}

/// Add an alert. It is looked at within seconds, and then every minute. Administrators.
#[utoipa::path(post, path = "/insights/alerts", tag = "Insights", request_body = NewAlert,
    responses((status = 201, body = AlertView)))]
async fn add(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(new): Input<NewAlert>,
) -> Result<(StatusCode, Json<AlertView>), ApiError> {
    let rule = known(&app, new.rule()?).await?;
    let made = change(&app, |rules| {
        if rules.all.len() >= MOST_RULES {
            let text = format!("there are {MOST_RULES} alerts already; delete one");
            return Err(ApiError::problem(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        rules.last += 1;
        let rule = Rule { id: rules.last, revision: rules.last, ..rule.clone() };
        rules.all.push(rule.clone());
        Ok(rule)
    });
    Ok((StatusCode::CREATED, Json(AlertView::new(made.await?, &Standings::new(), &[]))))
}

/// Replace an alert. Administrators.
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
        let rule = Rule { id, revision: rules.last, ..rule.clone() };
        let known = rules.all.iter_mut().find(|known| known.id == id).ok_or_else(missing)?;
        *known = rule.clone();
        Ok(rule)
    });
    Ok(Json(AlertView::new(made.await?, &Standings::new(), &[])))
}

/// Delete an alert. Administrators.
#[utoipa::path(delete, path = "/insights/alerts/{alert_id}", tag = "Insights", responses((status = 204)))]
async fn delete(_: Admin, State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let id = existing(&app, &id).await?;
    change(&app, |rules| {
        rules.all.retain(|rule| rule.id != id);
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a rule finds.
#[derive(Serialize, ToSchema)]
struct FoundView {
    /// The project's number in the source's bodies; null for everything.
    source_project_id: Option<i64>,
    /// Its path.
    project_path: Option<String>,
    /// The number; null where there is none.
    value: Option<f64>,
    /// What it is compared with.
    threshold: Option<f64>,
    /// It is bad.
    is_bad: bool,
}

/// Tell what a rule would find now, and add none. Administrators.
#[utoipa::path(post, path = "/insights/alerts/try", tag = "Insights", request_body = NewAlert,
    responses((status = 200, body = [FoundView])))]
async fn try_out(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(new): Input<NewAlert>,
) -> Result<Json<Vec<FoundView>>, ApiError> {
    let rule = known(&app, new.rule()?).await?;
    let projects = app.store().insights_projects().await?;
    let found = app.engine.insights.numbers(&rule, &projects, app.now()).await.map_err(ApiError::internal)?;
    let view = |(project_id, (value, before)): (Option<i64>, (Option<f64>, Option<f64>))| FoundView {
        source_project_id: project_id,
        project_path: projects.iter().find(|known| Some(known.id) == project_id).map(|known| known.path.clone()),
        value,
        threshold: rule.threshold(before),
        is_bad: rule.is_bad(value, before),
    };
    Ok(Json(found.into_iter().map(view).collect()))
}

/// Have all alerts looked at within seconds, and not only with the next minute. Administrators.
#[utoipa::path(post, path = "/insights/alerts/look", tag = "Insights", responses((status = 202)))]
async fn look(_: Admin, State(app): State<Arc<App>>) -> Result<StatusCode, ApiError> {
    app.engine.insights.look_again().await.map_err(ApiError::internal)?;
    Ok(StatusCode::ACCEPTED)
}

/// The rule, if its project is one that events came of: one that is misspelled would be well for ever.
async fn known(app: &App, rule: Rule) -> Result<Rule, ApiError> {
    if let Some(project) = &rule.project {
        covered::project(app, project).await?;
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
    ApiError::problem(StatusCode::NOT_FOUND, "there is no alert with this number")
}

/// Changes the rules, unless somebody else did meanwhile; then what they wrote.
async fn change<T>(app: &App, then: impl Fn(&mut Rules) -> Result<T, ApiError>) -> Result<T, ApiError> {
    let changed = documents::change(app.store(), Document::Alerts, |rules| then(rules).map(Some));
    let conflict = || ApiError::problem(StatusCode::CONFLICT, "others are changing alerts; try again");
    let (_, made) = changed.await?.ok_or_else(conflict)?;
    app.engine.insights.look_again().await.map_err(ApiError::internal)?;
    Ok(made)
}
