//! Reading the audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_store::audit::AuditFilter;
use serde_json::Value;

use super::history::{limit, page};
use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views;

/// `GET /api/v1/audit`, for administrators: newest first, `user_id`, `before`, `limit`.
pub(super) async fn list(_: Admin, State(app): State<Arc<App>>, params: Params) -> Result<Json<Value>, ApiError> {
    let filter =
        AuditFilter { user: params.integer("user_id")?, before: params.integer("before")?, limit: limit(&params)? };
    let full = filter.limit;
    let entries = app.store().list_audit(filter).await?;
    let next = entries.last().filter(|_| entries.len() == full).map(|entry| entry.id.to_string());
    Ok(page(entries.iter().map(views::audit_entry).collect(), next))
}
