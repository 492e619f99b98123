//! `/api/v1/schemas`: the JSON Schema of every kind of body.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::Path;

use serde_json::value::RawValue;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views::Page;

/// Schemas by trigger, made from samples of every kind. Released fields are never removed.
static SCHEMAS: LazyLock<BTreeMap<String, Box<RawValue>>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../../../docs/reference/schemas.json")).unwrap_or_default()
});

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// Checks whether the bodies of a kind have a schema.
pub(super) fn has(trigger: &str) -> bool {
    SCHEMAS.contains_key(trigger)
}

/// List the kinds of events whose bodies have a schema.
#[utoipa::path(get, path = "/schemas", tag = "Reports", security(()), responses((status = 200, body = Page<String>)))]
async fn list(_: Params) -> Json<Page<String>> {
    Json(Page::whole(SCHEMAS.keys().cloned()))
}

/// Show the JSON Schema (2020-12) of the bodies of a kind, such as `push_hooks`.
///
/// Later versions can add fields to a schema, and never remove any.
#[utoipa::path(get, path = "/schemas/{trigger_name}", tag = "Reports", security(()), responses((status = 200, body = serde_json::Value)))]
async fn show(Path(name): Path<String>, _: Params) -> Result<Json<&'static RawValue>, ApiError> {
    SCHEMAS
        .get(&name)
        .map(|schema| Json(&**schema))
        .ok_or_else(|| ApiError::not_found("Schema"))
}
