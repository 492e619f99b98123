//! `/api/v1/insights/commits`: the numbers about commits for a window, a project, an author and a zone.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use quickdraw_domain::Timestamp;
use quickdraw_domain::insights::DEFINITION_VERSION;
use quickdraw_domain::insights::report::{
    self, CommitReport, burst_share, has_whole_hours, work_balance, working_days,
};
use quickdraw_store::insights::{CommitFilter, Identity};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::invalid;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;

/// Days that are covered when nothing else is asked for.
const DEFAULT_DAYS: i32 = 30;
/// Most days of one answer.
const MAX_DAYS: i32 = 3_660;

/// Local days.
pub(super) struct Window {
    pub(super) zone: TimeZone,
    pub(super) zone_name: String,
    pub(super) first: Date,
    pub(super) days: i32,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(commits))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
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
    /// Only this author: a name or an address.
    author: Option<String>,
}

/// Count commits of a window of days. Administrators.
#[utoipa::path(get, path = "/insights/commits", tag = "Insights", params(Query),
    responses((status = 200, body = Value, description = "The report, with the definition's version inside.")))]
async fn commits(_: Admin, State(app): State<Arc<App>>, Input(query): Input<Query>) -> Result<Json<Value>, ApiError> {
    let now = app.belt.clock().now();
    let window = Window::read(query.from.as_deref(), query.to.as_deref(), query.zone.as_deref(), now)?;
    let project = project(&app, query.project).await?;
    let author = query.author;
    let wanted = match &author {
        Some(author) => Some(app.store().find_identities(Some(author.clone())).await?),
        None => None,
    };
    let filter = CommitFilter {
        from: window.from,
        to: window.to,
        project,
        identities: wanted.as_ref().map(|found| found.iter().map(|identity| identity.id).collect()),
    };
    // Hourly sums make whole local days only where the zone is whole hours from UTC; elsewhere the commits are read.
    let hourly = has_whole_hours(&window.zone, window.from, window.to);
    let cells = if hourly {
        app.store().commit_cells(filter.clone()).await?
    } else {
        app.store().commit_cells_from_facts(filter.clone()).await?
    };
    let rows = app.store().commit_rows(filter.clone()).await?;
    let report = report::report(&cells, &rows, &window.zone);
    // Unlisted commits have no author to be credited to.
    let unlisted = match author {
        None => Some(app.store().commits_unlisted(filter).await?),
        Some(_) => None,
    };
    let identities = match wanted {
        Some(found) => found,
        None => app.store().find_identities(None).await?,
    };
    Ok(Json(view(&window, project, author.as_deref(), &report, unlisted, &identities, now)))
}

impl Window {
    /// Reads `from`, `to` and `zone` of a query.
    pub(super) fn read(
        from: Option<&str>,
        to: Option<&str>,
        zone: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let zone_name = zone.unwrap_or("UTC").to_owned();
        let zone = TimeZone::get(&zone_name)
            .map_err(|_| invalid("zone is not a name of the IANA time zone database, such as Europe/Bratislava"))?;
        let today =
            jiff::Timestamp::from_microsecond(now.as_micros()).unwrap_or_default().to_zoned(zone.clone()).date();
        let day = |name: &str, text: Option<&str>| -> Result<Option<Date>, ApiError> {
            let parse =
                |text: &str| text.parse().map_err(|_| invalid(format!("{name} is not a date, such as 2026-05-01")));
            text.map(parse).transpose()
        };
        let span = |days: i32| jiff::Span::new().days(days);
        let out_of_range = |_| invalid("from and to are out of range");
        // `to` is the first day that is no longer covered; without it, today is covered.
        let to = match day("to", to)? {
            Some(to) => to,
            None => today.checked_add(span(1)).map_err(out_of_range)?,
        };
        let first = match day("from", from)? {
            Some(from) => from,
            None => to.checked_sub(span(DEFAULT_DAYS)).map_err(out_of_range)?,
        };
        let days = first.until(to).map_err(out_of_range)?.get_days();
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(invalid(format!("from must lie before to, and at most {MAX_DAYS} days")));
        }
        let (from, to) = (start_of(first, &zone)?, start_of(to, &zone)?);
        Ok(Self { zone, zone_name, first, days, from, to })
    }
}

impl Window {
    /// Where a date begins in the window's zone.
    pub(super) fn start_of(&self, date: Date) -> Result<Timestamp, ApiError> {
        start_of(date, &self.zone)
    }
}

fn start_of(date: Date, zone: &TimeZone) -> Result<Timestamp, ApiError> {
    let zoned = date.to_zoned(zone.clone()).map_err(|_| invalid("from and to are out of range"))?;
    Ok(Timestamp::from_micros(zoned.timestamp().as_microsecond()))
}

/// A project by its number in events, or by its path there.
pub(super) async fn project(app: &App, name: Option<String>) -> Result<Option<i64>, ApiError> {
    let Some(text) = name else { return Ok(None) };
    if let Ok(number) = text.parse() {
        return Ok(Some(number));
    }
    let found = app.store().find_insights_project(text).await?;
    found
        .map(Some)
        .ok_or_else(|| ApiError::problem(StatusCode::NOT_FOUND, "no event has named a project with this path yet"))
}

fn view(
    window: &Window,
    project: Option<i64>,
    author: Option<&str>,
    report: &CommitReport,
    unlisted: Option<i64>,
    identities: &[Identity],
    now: Timestamp,
) -> Value {
    let working = working_days(window.first, window.days);
    let share = |days: u64| if working == 0 { None } else { Some(precise(days) / precise(working as u64)) };
    let authors: Vec<Value> = identities
        .iter()
        .filter_map(|identity| Some((identity, report.by_identity.get(&identity.id)?)))
        .map(|(identity, commits)| {
            let active = report.active_days.get(&identity.id).copied().unwrap_or(0);
            json!({
                "name": identity.author.name,
                "email": identity.author.email,
                "commits": commits,
                "active_days": active,
                "coding_days_share": share(active),
            })
        })
        .collect();
    let counts: Vec<i64> = report.by_identity.values().copied().collect();
    let by_day: BTreeMap<String, i64> = report.by_day.iter().map(|(day, count)| (day.to_string(), *count)).collect();
    json!({
        "from": window.first.to_string(),
        "days": window.days,
        "zone": window.zone_name,
        "project": project,
        "author": author,
        "as_of": now.to_iso(),
        "definition_version": DEFINITION_VERSION,
        "commits": report.commits,
        "merge_commits": report.merge_commits,
        "commits_landed": report.commits_landed,
        "unique_changes": report.unique_changes,
        "commits_unlisted": unlisted,
        "files_added": report.files_added,
        "files_modified": report.files_modified,
        "files_removed": report.files_removed,
        "files_touched": report.files_touched,
        "work_balance": work_balance(&counts),
        "burst_share": burst_share(&report.by_day, window.first, window.days),
        "authors": authors,
        "by_day": by_day,
        "time_distribution": {
            "zone": report.week_in_zone,
            "author_local": report.week_author_local,
            "utc": report.week_in_utc,
        },
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of days")]
fn precise(days: u64) -> f64 {
    days as f64
}
