//! Rebuild of insights: counts the journal again to verify, compare, replace or add to the stored numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use quickdraw_domain::Timestamp;
use quickdraw_engine::insights::rebuild::{Progress, State as RebuildState, Task};
use quickdraw_insights::DEFINITION_VERSION;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;

const DAY: i64 = 86_400_000_000;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show, start))
}

/// Kind of rebuild.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum TaskWord {
    /// Count the journal again, in another order and with repeated events, and compare with the stored numbers. The
    /// order must not matter.
    Verify,

    /// Count the journal again with the current definitions, and compare with the stored numbers.
    Compare,

    /// Count the journal again with the current definitions, and replace the stored numbers in one step.
    Replace,

    /// Count the journal again on top of the stored numbers, to add data that an older version did not read.
    Add,
}

/// A rebuild to start.
#[derive(Deserialize, ToSchema)]
struct RebuildToStart {
    /// Kind of rebuild.
    task: TaskWord,

    /// With `replace`: replace even if stored numbers would be lost.
    #[serde(default)]
    force: bool,

    /// Seed of the order that `verify` uses.
    seed: Option<i64>,
}

/// A difference between stored and new numbers.
#[derive(Serialize, ToSchema)]
struct DifferenceView {
    /// The kind of row that differs.
    part: &'static str,

    /// The UTC day; 1970-01-01 for rows without a time.
    #[schema(format = Date)]
    day: String,

    /// Number of stored rows.
    stored: u64,

    /// Number of rows after the rebuild. If both numbers are equal, the contents of the rows differ.
    rebuilt: u64,
}

/// Progress and result of a rebuild.
#[derive(Serialize, ToSchema)]
struct RebuildView {
    /// Kind of rebuild: `verify`, `compare`, `replace` or `add`.
    task: &'static str,

    /// `running`, `ended` or `failed`.
    state: &'static str,

    /// Reason of the failure.
    error: Option<String>,

    /// Number of events that were read, each counted once.
    done: usize,

    /// Number of events in the journal.
    total: usize,

    /// Number of events that `verify` read again, in another order or with another time of receipt.
    repeated: usize,

    /// Number of events that cannot be read. They do not count.
    unreadable: usize,

    /// Time of the first event in the journal. Older stored numbers cannot be counted again.
    #[schema(format = DateTime)]
    journal_starts: Option<String>,

    /// Number of stored rows, by kind.
    rows: BTreeMap<&'static str, u64>,

    /// True if there is no difference; null if this is not known, or not compared.
    is_identical: Option<bool>,

    /// Differences by kind of row and day; at most 1,000.
    differences: Vec<DifferenceView>,

    /// Number of all differences.
    difference_count: usize,

    /// Version of the definitions.
    definition_version: u32,

    /// Start of the rebuild.
    #[schema(format = DateTime)]
    started_at: String,

    /// End of the rebuild.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

impl From<Progress> for RebuildView {
    fn from(progress: Progress) -> Self {
        let day = |day: i64| Timestamp::from_micros(day.saturating_mul(DAY)).to_iso()[..10].to_owned();
        let (state, error) = match progress.state {
            RebuildState::Running => ("running", None),
            RebuildState::Ended => ("ended", None),
            RebuildState::Failed(why) => ("failed", Some(why)),
        };

        let compares = progress.task != Task::Add && state == "ended";
        Self {
            task: match progress.task {
                Task::Verify(_) => "verify",
                Task::Compare => "compare",
                Task::Replace { .. } => "replace",
                Task::Add => "add",
            },
            state,
            error,
            done: progress.done,
            total: progress.total,
            repeated: progress.repeated,
            unreadable: progress.unreadable,
            journal_starts: progress.journal_starts.map(Timestamp::to_iso),
            rows: progress.rows,
            is_identical: compares.then_some(progress.difference_count == 0),
            differences: progress
                .differences
                .into_iter()
                .map(|one| DifferenceView {
                    part: one.part,
                    day: day(one.day),
                    stored: one.stored,
                    rebuilt: one.rebuilt,
                })
                .collect(),
            difference_count: progress.difference_count,
            definition_version: DEFINITION_VERSION,
            started_at: progress.started_at.to_iso(),
            ended_at: progress.ended_at.map(Timestamp::to_iso),
        }
    }
}

/// Show the running rebuild of this node, or the last rebuild. Administrators only.
#[utoipa::path(get, path = "/insights/rebuild", tag = "Insights",
    responses((status = 200, body = RebuildView), (status = 404, description = "No rebuild ran since the start.")))]
async fn show(_: Admin, State(app): State<Arc<App>>) -> Result<Json<RebuildView>, ApiError> {
    view(&app).map(Json)
}

fn view(app: &App) -> Result<RebuildView, ApiError> {
    let nothing = || ApiError::problem(StatusCode::NOT_FOUND, "no rebuild ran since this node started");
    app.engine
        .insights
        .rebuild_progress()
        .map(RebuildView::from)
        .ok_or_else(nothing)
}

/// Start a rebuild. Administrators only.
///
/// Each node runs one rebuild at a time. A rebuild ends when its node stops.
#[utoipa::path(post, path = "/insights/rebuild", tag = "Insights", request_body = RebuildToStart,
    responses((status = 202, body = RebuildView), (status = 409, description = "A rebuild is already running.")))]
async fn start(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<RebuildToStart>,
) -> Result<(StatusCode, Json<RebuildView>), ApiError> {
    let task = match asked.task {
        TaskWord::Verify => Task::Verify(asked.seed.unwrap_or_default().cast_unsigned()),
        TaskWord::Compare => Task::Compare,
        TaskWord::Replace => Task::Replace { force: asked.force },
        TaskWord::Add => Task::Add,
    };

    if !app.engine.insights.ask_rebuild(task) {
        return Err(ApiError::problem(
            StatusCode::CONFLICT,
            "a rebuild is already running on this node",
        ));
    }

    Ok((StatusCode::ACCEPTED, Json(view(&app)?)))
}
