//! Counting everything anew: to prove what is counted, to compare, to replace, or to add to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use quickdraw_domain::Timestamp;
use quickdraw_engine::insights::rebuild::{Progress, State as Standing, Task};
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

/// What is to be done.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum TaskWord {
    /// Count the journal in another order, with repetitions, and compare: the two must be alike.
    Verify,
    /// Count the journal anew by the definitions of now, and compare.
    Compare,
    /// The same, and put it in place of what is counted, at once.
    Replace,
    /// Count the journal once more on top of what is counted: what an older version did not know is added.
    Add,
}

/// What is to be done.
#[derive(Deserialize, ToSchema)]
struct RebuildAsked {
    /// What.
    task: TaskWord,
    /// With `replace`: also where something that is counted would be gone.
    #[serde(default)]
    force: bool,
    /// The order that `verify` takes: another number, another order.
    seed: Option<i64>,
}

/// Where what is counted differs from what is counted anew.
#[derive(Serialize, ToSchema)]
struct DifferenceView {
    /// Of what.
    part: &'static str,
    /// The UTC day; of what has no time, 1970-01-01.
    #[schema(format = Date)]
    day: String,
    /// How many rows are counted.
    counted: u64,
    /// How many there are anew. Where the two numbers are the same, what the rows say differs.
    anew: u64,
}

/// How far it is, and what it found.
#[derive(Serialize, ToSchema)]
struct RebuildView {
    /// What is done: `verify`, `compare`, `replace` or `add`.
    task: &'static str,
    /// `running`, `ended` or `failed`.
    state: &'static str,
    /// Why it failed.
    error: Option<String>,
    /// How many events it looked at, each once.
    done: usize,
    /// How many there are.
    total: usize,
    /// How often `verify` looked at one of them once more, in another order or as if received at another time, which must not matter.
    repeated: usize,
    /// Events that cannot be read, which count for nothing.
    unreadable: usize,
    /// The first event of the journal. What was counted before it cannot be counted anew.
    #[schema(format = DateTime)]
    journal_begins: Option<String>,
    /// How many rows are counted, by what they are.
    rows: BTreeMap<&'static str, u64>,
    /// Whether both are alike; null where that is not known, or not asked.
    alike: Option<bool>,
    /// Where they differ, by part and day; at most 1,000.
    differences: Vec<DifferenceView>,
    /// How many of these there are.
    differing: usize,
    /// Version of the definitions.
    definition_version: u32,
    /// When it began.
    #[schema(format = DateTime)]
    started_at: String,
    /// When it ended.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

impl From<Progress> for RebuildView {
    fn from(progress: Progress) -> Self {
        let day = |day: i64| Timestamp::from_micros(day.saturating_mul(DAY)).to_iso()[..10].to_owned();
        let (state, error) = match progress.state {
            Standing::Running => ("running", None),
            Standing::Ended => ("ended", None),
            Standing::Failed(why) => ("failed", Some(why)),
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
            journal_begins: progress.journal_begins.map(Timestamp::to_iso),
            rows: progress.rows,
            alike: compares.then_some(progress.differing == 0),
            differences: progress
                .differences
                .into_iter()
                .map(|one| DifferenceView { part: one.part, day: day(one.day), counted: one.live, anew: one.anew })
                .collect(),
            differing: progress.differing,
            definition_version: DEFINITION_VERSION,
            started_at: progress.started_at.to_iso(),
            ended_at: progress.ended_at.map(Timestamp::to_iso),
        }
    }
}

/// Show the counting anew that is under way on this node, or the last one. Administrators.
#[utoipa::path(get, path = "/insights/rebuild", tag = "Insights",
    responses((status = 200, body = RebuildView), (status = 404, description = "There was none since the node was started.")))]
async fn show(_: Admin, State(app): State<Arc<App>>) -> Result<Json<RebuildView>, ApiError> {
    view(&app).map(Json)
}

fn view(app: &App) -> Result<RebuildView, ApiError> {
    let nothing = || ApiError::problem(StatusCode::NOT_FOUND, "nothing was counted anew since this node was started");
    app.engine.insights.rebuild_progress().map(RebuildView::from).ok_or_else(nothing)
}

/// Count everything anew. One at a time on each node; it ends with the node. Administrators.
#[utoipa::path(post, path = "/insights/rebuild", tag = "Insights", request_body = RebuildAsked,
    responses((status = 202, body = RebuildView), (status = 409, description = "One is under way.")))]
async fn start(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<RebuildAsked>,
) -> Result<(StatusCode, Json<RebuildView>), ApiError> {
    let task = match asked.task {
        TaskWord::Verify => Task::Verify(asked.seed.unwrap_or_default().cast_unsigned()),
        TaskWord::Compare => Task::Compare,
        TaskWord::Replace => Task::Replace { force: asked.force },
        TaskWord::Add => Task::Add,
    };
    if !app.engine.insights.ask_rebuild(task) {
        return Err(ApiError::problem(StatusCode::CONFLICT, "one is under way on this node; wait for its end"));
    }
    Ok((StatusCode::ACCEPTED, Json(view(&app)?)))
}
