//! The workers of this node: whether they run, and what fails.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::Timestamp;
use quickdraw_engine::{RunsOn, WorkerStatus};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Admin;
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The nodes that run a worker.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum RunsOnView {
    /// Every node runs it.
    EachNode,

    /// One node at a time does its work, and the others find it done.
    OneNode,
}

/// A worker of this node, since the node started.
#[derive(Serialize, ToSchema)]
struct WorkerView {
    /// Its name, as in the label `worker` of `quickdraw_worker_failures_total`.
    name: &'static str,

    /// The nodes that run it.
    runs_on: RunsOnView,

    /// True if a run has begun and not ended.
    is_running: bool,

    /// True if the last run that ended has failed.
    is_failing: bool,

    /// Number of runs that have begun.
    runs: u64,

    /// Number of runs that have failed.
    failures: u64,

    /// The time at which the last run began.
    #[schema(format = DateTime)]
    last_run: Option<String>,

    /// The time at which a run last succeeded.
    #[schema(format = DateTime)]
    last_success: Option<String>,

    /// The error of the last run that failed, also when later runs succeeded.
    last_error: Option<String>,

    /// The time of that error.
    #[schema(format = DateTime)]
    last_error_at: Option<String>,

    /// The duration of the last run that has ended, in milliseconds.
    duration_ms: Option<u64>,

    /// Number of rows that wait for the worker on all nodes, counted up to 100,000. Null if the worker has no
    /// backlog to count, and while the database does not answer.
    backlog: Option<i64>,

    /// The time since which the oldest of them waits. Null if nothing waits.
    #[schema(format = DateTime)]
    oldest_at: Option<String>,
}

impl From<WorkerStatus> for WorkerView {
    fn from(status: WorkerStatus) -> Self {
        Self {
            name: status.name,
            runs_on: match status.runs_on {
                RunsOn::EachNode => RunsOnView::EachNode,
                RunsOn::OneNode => RunsOnView::OneNode,
            },
            is_running: status.is_running,
            is_failing: status.is_failing,
            runs: status.runs,
            failures: status.failures,
            last_run: status.last_run.map(Timestamp::to_iso),
            last_success: status.last_success.map(Timestamp::to_iso),
            last_error: status.last_error,
            last_error_at: status.last_error_at.map(Timestamp::to_iso),
            duration_ms: status
                .took
                .map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            backlog: status.backlog,
            oldest_at: status.oldest_at.map(Timestamp::to_iso),
        }
    }
}

/// The workers of a node.
#[derive(Serialize, ToSchema)]
pub(super) struct Workers {
    /// The node that answered.
    #[schema(format = Uuid)]
    node: String,

    /// All workers, in the order of an event's life.
    items: Vec<WorkerView>,

    /// Always null: the list is complete.
    next: Option<String>,

    /// Facts that an operator should know, such as that silent mode is on. Absent without one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'static str>,
}

/// List the workers of the node that answers, with their last run, last error and backlog. Administrators only.
#[utoipa::path(get, path = "/workers", tag = "Operations", responses((status = 200, body = Workers)))]
async fn list(_: Admin, State(app): State<Arc<App>>) -> Json<Workers> {
    Json(workers(&app).await)
}

/// Collects the workers of this node.
pub(super) async fn workers(app: &App) -> Workers {
    let items = app.engine.workers().await.into_iter().map(WorkerView::from).collect();
    Workers {
        node: app.engine.context.node().0.to_string(),
        items,
        next: None,
        warnings: crate::ops::warnings(app),
    }
}
