//! The list of open streams: who follows the journal, and how far each stream is.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_domain::access::Action;
use quickdraw_domain::scope::{Place, Scope};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::managed;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;
use crate::streams::open::OpenStream;
use crate::views::{Iso, Page};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(end))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct StreamsQuery {
    /// Only streams of this project: id or full path. Users who are no administrators must give a project or a group.
    project: Option<String>,

    /// Only streams of this group, its subgroups and projects: id or full path.
    group: Option<String>,
}

/// An open stream.
#[derive(Serialize, ToSchema)]
struct StreamView {
    /// Id of the stream. It is valid until the server restarts.
    id: i64,

    /// Username of the user who follows the events.
    user: String,

    /// Id of the project whose events are followed.
    project_id: Option<i64>,

    /// Id of the group whose events are followed. The stream is one of the instance if there is neither.
    group_id: Option<i64>,

    /// The kinds of events that are followed, such as `push_hooks`. Empty: all kinds.
    triggers: Vec<&'static str>,

    /// True if the stream has a filter.
    has_filter: bool,

    /// The last position that was sent, or that of the start.
    position: String,

    /// Number of batches of events in the journal after that position. Batches without requested events count, too.
    behind: i64,

    /// Number of events that were sent.
    sent: u64,

    /// Time of the last event that was sent.
    sent_at: Option<Iso>,

    /// Time at which the client connected.
    opened_at: Iso,
}

impl StreamView {
    /// The view of a stream. `next` is the number of the next batch of the journal.
    fn new(stream: &OpenStream, next: i64) -> Self {
        let (project_id, group_id) = match stream.of.scope {
            Scope::Project(id) => (Some(id.0), None),
            Scope::Group(id) => (None, Some(id.0)),
            Scope::Instance => (None, None),
        };
        let progress = stream.progress();

        Self {
            id: stream.id,
            user: stream.of.user.clone(),
            project_id,
            group_id,
            triggers: stream.of.triggers.iter().map(|trigger| trigger.row().name).collect(),
            has_filter: stream.of.has_filter,
            behind: (next - progress.batch).max(0),
            position: progress.position,
            sent: progress.sent,
            sent_at: progress.sent_at.map(Iso),
            opened_at: Iso(stream.of.opened_at),
        }
    }
}

/// List the open streams, the oldest first. Maintainers of the project, owners of the group, and administrators.
///
/// A node lists the streams that are connected to it. There are at most 100.
#[utoipa::path(get, path = "/streams", tag = "Events", params(StreamsQuery),
    responses((status = 200, body = Page<StreamView>)))]
async fn list(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(query): Input<StreamsQuery>,
) -> Result<Json<Page<StreamView>>, ApiError> {
    let within = managed::scope_of(&app, &caller, query.project.as_deref(), query.group.as_deref()).await?;
    let next = app.store().next_append().await?;

    let mut found = Vec::new();
    for stream in app.streams.open.all() {
        if app.engine.context.is_in(place(stream.of.scope), within) {
            found.push(StreamView::new(&stream, next));
        }
    }

    Ok(Json(Page::whole(found.into_iter())))
}

/// The place of a stream among the projects and groups.
const fn place(scope: Scope) -> Place {
    match scope {
        Scope::Project(id) => Place::Project(id),
        Scope::Group(id) => Place::Group(id),
        Scope::Instance => Place::Instance,
    }
}

/// End a stream. Maintainers of the project, owners of the group, and administrators.
///
/// Its client can connect again and continue at its position; revoke its access token to prevent that. A client that
/// reads nothing is disconnected when it reads again.
#[utoipa::path(delete, path = "/streams/{stream_id}", tag = "Events", responses((status = 204)))]
async fn end(caller: Caller, State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    let missing = || ApiError::problem(StatusCode::NOT_FOUND, "there is no open stream with this id");
    let stream = id.parse().ok().and_then(|id| app.streams.open.find(id));
    let stream = stream.ok_or_else(missing)?;
    if !caller.may(stream.of.scope, Action::Hooks).await? {
        return Err(missing());
    }

    stream.end();
    Ok(StatusCode::NO_CONTENT)
}
