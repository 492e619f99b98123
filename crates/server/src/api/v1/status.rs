//! The state of the server that administrators look at: version, database, queues, nodes, disk, guard and keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::Timestamp;
use quickdraw_domain::guard::Rule;
use quickdraw_engine::{SpaceStatus, WorkerStatus};
use quickdraw_store::nodes::{KeyUse, NodeState, StoreState};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Admin;
use crate::error::ApiError;
use crate::state::App;
use crate::views::Iso;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(show))
}

/// State of the server.
#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    /// Version of the program.
    version: &'static str,

    /// Node that answered.
    #[schema(format = Uuid)]
    node: String,

    /// Time at which the node started.
    started_at: Iso,

    /// Seconds since then.
    uptime_seconds: u64,

    /// Database.
    database: DatabaseStatus,

    /// Work that waits for the workers, on all nodes.
    queues: Vec<QueueStatus>,

    /// Deliveries that nodes have claimed and not ended.
    leased_deliveries: i64,

    /// Attempts of this node that run or wait to be recorded.
    open_attempts: usize,

    /// Nodes with a heartbeat within a minute, the oldest first.
    nodes: Vec<NodeStatus>,

    /// Disk space.
    disk: DiskStatus,

    /// Requests of this node that the guard refused since the start, by rule. Rules without a refusal are absent.
    guard_refusals: Vec<RefusalCount>,

    /// Keys that seal secrets in the database.
    keys: Vec<KeyStatus>,

    /// Facts that an operator should know, such as that silent mode is on.
    warnings: Vec<&'static str>,
}

/// State of the database.
#[derive(Serialize, ToSchema)]
struct DatabaseStatus {
    /// `sqlite` or `postgres`, with its version.
    engine: String,

    /// Number of the newest migration.
    schema_version: i64,

    /// Size in bytes.
    bytes: u64,

    /// True if the last write of this node succeeded.
    is_healthy: bool,

    /// Last failure since the start of this node, even if it is over.
    last_error: Option<String>,
}

/// Work that waits for a worker.
#[derive(Serialize, ToSchema)]
struct QueueStatus {
    /// Name of the worker.
    worker: &'static str,

    /// Number of rows that wait, counted up to 100,000; null while the database does not answer.
    depth: Option<i64>,

    /// Time since which the oldest row waits. For `claim`, it is the due time of a delivery and can be in the future.
    oldest_at: Option<Iso>,

    /// Seconds since then; 0 if the time is in the future.
    oldest_age_seconds: Option<u64>,
}

/// State of a node.
#[derive(Serialize, ToSchema)]
struct NodeStatus {
    /// Id of the node. It is new after each start.
    #[schema(format = Uuid)]
    id: String,

    /// True for the node that answered.
    is_this_node: bool,

    /// Time of its first heartbeat.
    started_at: Iso,

    /// Time of its last heartbeat, by its own clock.
    seen_at: Iso,

    /// Milliseconds by which its clock was ahead of the database's clock at the last heartbeat; null on SQLite.
    clock_ahead_ms: Option<i64>,
}

/// Disk space of the database. Growth is null during the first ten minutes after the start of this node.
#[derive(Serialize, ToSchema)]
struct DiskStatus {
    /// Free bytes of the database's file system; null on PostgreSQL, whose server knows them.
    free_bytes: Option<u64>,

    /// Bytes by which the database grows each hour.
    growth_bytes_per_hour: Option<i64>,

    /// Seconds over which the growth was measured, at most six hours.
    measured_seconds: Option<u64>,

    /// Time at which the disk is full if its free space goes on to decrease as in these hours; null if it does not
    /// decrease, or lasts for more than a year.
    full_at: Option<Iso>,
}

/// Refusals by a rule of the guard.
#[derive(Serialize, ToSchema)]
struct RefusalCount {
    /// Name of the rule.
    rule: &'static str,

    /// Number of refused requests.
    count: u64,
}

/// A key that seals secrets.
#[derive(Serialize, ToSchema)]
struct KeyStatus {
    /// Id of the key in hexadecimal digits. It says nothing about the key itself.
    id: String,

    /// True if `server.key` of this node contains the key. Values that were sealed with another key cannot be read.
    is_known: bool,

    /// True if the key seals new values.
    seals: bool,

    /// Number of values in the database that were sealed with the key; 100,000 values are counted in all.
    values: i64,
}

/// Show the state of the server: database, queues, nodes, disk, guard and keys. Administrators only.
///
/// The answer is cheap enough to be requested every few seconds.
#[utoipa::path(get, path = "/status", tag = "Operations", responses((status = 200, body = Status)))]
async fn show(_: Admin, State(app): State<Arc<App>>) -> Result<Json<Status>, ApiError> {
    Ok(Json(status(&app).await?))
}

/// Collects the state of the server.
pub(super) async fn status(app: &App) -> Result<Status, ApiError> {
    let now = app.now();
    let started_at = app.process().started_at;
    let context = &app.engine.context;
    let store = app.store().state(now).await?;
    let workers = app.engine.workers().await;
    let open_attempts = app.engine.dispatcher.in_flight();
    let leased = store
        .leased
        .unwrap_or_else(|| i64::try_from(open_attempts).unwrap_or(i64::MAX));

    let refusals = app.engine.dispatcher.guard_refusals();
    let this_node = context.node();

    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        node: this_node.0.to_string(),
        started_at: Iso(started_at),
        uptime_seconds: now.since(started_at).as_secs(),
        queues: workers.iter().filter_map(|worker| queue(worker, now)).collect(),
        leased_deliveries: leased,
        open_attempts,
        nodes: store
            .nodes
            .iter()
            .map(|node| node_status(node, node.node == this_node))
            .collect(),
        disk: disk(&store, app.engine.space()),
        guard_refusals: refusals.into_iter().filter_map(refusal).collect(),
        keys: store.keys.iter().map(key).collect(),
        warnings: crate::ops::warnings(app),
        database: database(store, context.store_status()),
    })
}

fn database(store: StoreState, status: quickdraw_engine::StoreStatus) -> DatabaseStatus {
    DatabaseStatus {
        engine: store.engine,
        schema_version: store.schema_version,
        bytes: store.space.database_bytes,
        is_healthy: status.failing_since.is_none(),
        last_error: status.last_error,
    }
}

/// The queue of a worker that has one. Without an answer of the database, no depth is known.
fn queue(worker: &WorkerStatus, now: Timestamp) -> Option<QueueStatus> {
    if !worker.has_backlog {
        return None;
    }

    Some(QueueStatus {
        worker: worker.name,
        depth: worker.backlog,
        oldest_at: worker.oldest_at.map(Iso),
        oldest_age_seconds: worker.oldest_at.map(|at| now.since(at).as_secs()),
    })
}

fn node_status(node: &NodeState, is_this_node: bool) -> NodeStatus {
    NodeStatus {
        id: node.node.0.to_string(),
        is_this_node,
        started_at: Iso(node.started_at),
        seen_at: Iso(node.seen_at),
        clock_ahead_ms: node.ahead_micros.map(|micros| micros / 1000),
    }
}

fn disk(store: &StoreState, space: Option<SpaceStatus>) -> DiskStatus {
    let forecast = space.and_then(|space| space.forecast);
    DiskStatus {
        free_bytes: store.space.free_bytes,
        growth_bytes_per_hour: forecast.map(|forecast| forecast.database_bytes_per_hour),
        measured_seconds: forecast.map(|forecast| forecast.over.as_secs()),
        full_at: forecast.and_then(|forecast| forecast.full_at).map(Iso),
    }
}

fn refusal((rule, count): (Rule, u64)) -> Option<RefusalCount> {
    (count > 0).then(|| RefusalCount {
        rule: rule.name(),
        count,
    })
}

fn key(key: &KeyUse) -> KeyStatus {
    KeyStatus {
        id: format!("{:08x}", key.key),
        is_known: key.is_known,
        seals: key.seals,
        values: key.values,
    }
}
