//! Reading the audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_store::audit::AuditFilter;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{limit, page};
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;
use crate::views::{AuditEntry, Page};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Query {
    /// Only actions of this user, and of administrators who acted as this user.
    user_id: Option<i64>,

    /// Only entries before this id.
    before: Option<i64>,

    /// Maximum number of rows.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List audit entries, newest first. Administrators only.
///
/// Entries record changes, refused requests, and administrators who read bodies.
#[utoipa::path(get, path = "/audit", tag = "Audit", params(Query), responses((status = 200, body = Page<AuditEntry>)))]
async fn list(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(query): Input<Query>,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let limit = limit(query.limit)?;
    let entries = app
        .store()
        .list_audit(AuditFilter {
            user: query.user_id,
            before: query.before,
            limit,
        })
        .await?;
    Ok(Json(page(&entries, limit, |entry| entry.id.to_string())))
}
