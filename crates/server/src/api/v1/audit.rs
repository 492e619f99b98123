//! Reading the audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_store::audit::AuditFilter;
use quickdraw_store::lists::Scanned;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::answers;
use super::limit;
use super::period::Period;
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::{Input, Line, When};
use crate::state::App;
use crate::views::{AuditEntry, Page};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Methods of audited requests.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "UPPERCASE")]
enum MethodWord {
    /// An administrator read bodies, or a read was refused.
    Get,

    /// A new object, or an action.
    Post,

    /// A change.
    Put,

    /// A change.
    Patch,

    /// A deletion.
    Delete,

    /// A move because of a received event.
    Move,
}

impl MethodWord {
    const fn text(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Move => "MOVE",
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only actions of this user, and of administrators who acted as this user.
    user_id: Option<i64>,

    /// Only actions of the user with this username at that time, and of administrators who acted as that user.
    #[param(value_type = Option<String>, max_length = 255)]
    username: Option<Line<255>>,

    /// Only requests with this method. `MOVE` is a project or group that moved because of a received event.
    #[param(inline)]
    method: Option<MethodWord>,

    /// Only paths that begin with this text, such as `/api/v4/projects/12/`.
    #[param(value_type = Option<String>, max_length = 1_024)]
    path: Option<Line<1_024>>,

    /// Only answers with these HTTP statuses: numbers, `successful` (2xx), `client_failure` (4xx) or `server_failure`
    /// (5xx).
    #[serde(default)]
    status: Vec<String>,

    /// Only entries of this time or later: `2026-03-16T09:30:00Z`, a day, or a span back from now such as `2h`.
    #[param(value_type = Option<String>)]
    since: Option<When>,

    /// Only entries before this time, written like `since`.
    #[param(value_type = Option<String>)]
    until: Option<When>,

    /// Only entries before this id: `next` of the previous page.
    before: Option<i64>,

    /// Maximum number of rows.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List audit entries, newest first. Administrators only.
///
/// Entries record changes, refused requests, and administrators who read bodies. With any filter but `user_id`, a page
/// examines at most 20,000 entries, so it can be short, even empty, although more follow: `next` is null on the last
/// page only.
#[utoipa::path(get, path = "/audit", tag = "Audit", params(Query), responses((status = 200, body = Page<AuditEntry>)))]
async fn list(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<Query>,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let limit = limit(query.limit)?;
    let period = Period::read(query.since, query.until, app.now())?;
    let filter = AuditFilter {
        user: query.user_id,
        username: query.username.map(|Line(username)| username),
        method: query.method.map(|method| method.text().to_owned()),
        path: query.path.map(|Line(path)| path),
        answers: answers(&query.status)?,
        since: period.since,
        until: period.until,
        before: query.before,
        limit,
    };

    let Scanned { rows, next } = app.store().list_audit(filter).await?;
    Ok(Json(Page {
        items: rows.iter().map(AuditEntry::from).collect(),
        next: next.map(|id| id.to_string()),
    }))
}
