//! Single custom headers and URL variables: `…/custom_headers/:key` and `…/url_variables/:key`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use quickdraw_domain::hook::{Hook, HookEdit, HookUrl};
use quickdraw_domain::{Secret, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{At, change_hook, update};
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;

/// The list that a value belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    CustomHeader,
    UrlVariable,
}

/// The value to set.
#[derive(Deserialize, ToSchema)]
struct NewValue {
    /// The value. It is never shown again.
    #[schema(min_length = 1, max_length = 2048)]
    value: String,
}

/// Set a custom header of a hook. Maintainers of the project, owners of the group, and administrators.
#[utoipa::path(put, path = "/{hook_id}/custom_headers/{key}", tag = "Hooks", request_body = NewValue,
    responses((status = 204)))]
pub(super) async fn set_header(at: At, app: State<Arc<App>>, params: Params) -> Result<StatusCode, ApiError> {
    set(Kind::CustomHeader, &at, &app, &params).await
}

/// Remove a custom header from a hook. Maintainers of the project, owners of the group, and administrators.
#[utoipa::path(delete, path = "/{hook_id}/custom_headers/{key}", tag = "Hooks", responses((status = 204)))]
pub(super) async fn unset_header(at: At, app: State<Arc<App>>, _: Params) -> Result<StatusCode, ApiError> {
    unset(Kind::CustomHeader, &at, &app).await
}

/// Set a URL variable of a hook. Maintainers of the project, owners of the group, and administrators.
#[utoipa::path(put, path = "/{hook_id}/url_variables/{key}", tag = "Hooks", request_body = NewValue,
    responses((status = 204)))]
pub(super) async fn set_variable(at: At, app: State<Arc<App>>, params: Params) -> Result<StatusCode, ApiError> {
    set(Kind::UrlVariable, &at, &app, &params).await
}

/// Remove a URL variable from a hook. Maintainers of the project, owners of the group, and administrators.
#[utoipa::path(delete, path = "/{hook_id}/url_variables/{key}", tag = "Hooks", responses((status = 204)))]
pub(super) async fn unset_variable(at: At, app: State<Arc<App>>, _: Params) -> Result<StatusCode, ApiError> {
    unset(Kind::UrlVariable, &at, &app).await
}

async fn set(kind: Kind, at: &At, app: &App, params: &Params) -> Result<StatusCode, ApiError> {
    let key = at.0.part("key");
    let NewValue { value } = params.read()?;

    // In a change of the whole hook, an empty value keeps the stored one. Here it is an error.
    if value.is_empty() {
        return Err(ApiError::unprocessable("Illegal key or value"));
    }

    update(app, at, |hook| {
        let pair = vec![(key.to_owned(), Some(Secret::new(value.clone())))];
        let change = match kind {
            Kind::CustomHeader => HookEdit {
                custom_headers: pair,
                ..HookEdit::default()
            },
            // If the variable changes the called URL, secrets of the old URL are dropped. The change is refused if
            // the new URL needs them.
            Kind::UrlVariable => HookEdit {
                url_variables: pair,
                ..HookEdit::default()
            },
        };
        change_hook(app, hook, change).map_err(|error| match error {
            ApiError::Error(_, reason) => ApiError::unprocessable(format!("Illegal key or value: {reason}")),
            other => other,
        })
    })
    .await?;

    Ok(StatusCode::NO_CONTENT)
}

async fn unset(kind: Kind, at: &At, app: &App) -> Result<StatusCode, ApiError> {
    let key = at.0.part("key");
    update(app, at, |hook| removed(kind, hook, key, app.now())).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn removed(kind: Kind, hook: &Hook, key: &str, now: Timestamp) -> Result<Hook, ApiError> {
    let mut hook = hook.clone();
    let was_there = match kind {
        Kind::CustomHeader => hook.custom_headers.remove(key),
        Kind::UrlVariable => hook.url_variables.remove(key),
    };

    if !was_there {
        let what = if kind == Kind::CustomHeader {
            "Custom header"
        } else {
            "URL variable"
        };
        return Err(ApiError::not_found(what));
    }

    if kind == Kind::UrlVariable {
        hook.url = HookUrl::parse_with(hook.url.as_typed(), &hook.url_variables)
            .map_err(|_| ApiError::unprocessable("Could not unset variable"))?;
    }

    hook.updated_at = now;
    Ok(hook)
}
