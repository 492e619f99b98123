//! Pausing and resuming a hook, which GitLab does not have. Pauses are apart from the health of a hook.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::hook::Pause;
use quickdraw_store::hooks::HookWithHealth;

use super::{At, shown, update};
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views::Hook;

/// Pause a hook: its deliveries wait until it is resumed. Maintainers of the project, owners of the group, and
/// administrators.
///
/// Events are still stored, and deliveries and retries are held within the limits of `delivery.hold_longest` and
/// `delivery.hold_most`. Tests and resends are still sent. Pausing a paused hook changes nothing. GitLab does not have
/// this operation.
#[utoipa::path(post, path = "/{hook_id}/pause", tag = "Hooks", responses((status = 200, body = Hook)))]
pub(super) async fn pause(at: At, State(app): State<Arc<App>>, _: Params) -> Result<Json<Hook>, ApiError> {
    set(&at, &app, true).await
}

/// Resume a paused hook: deliveries that waited are sent, the oldest first. Maintainers of the project, owners of the
/// group, and administrators.
///
/// Resuming a hook that is not paused changes nothing. GitLab does not have this operation.
#[utoipa::path(post, path = "/{hook_id}/resume", tag = "Hooks", responses((status = 200, body = Hook)))]
pub(super) async fn resume(at: At, State(app): State<Arc<App>>, _: Params) -> Result<Json<Hook>, ApiError> {
    set(&at, &app, false).await
}

async fn set(at: &At, app: &App, paused: bool) -> Result<Json<Hook>, ApiError> {
    let before = at.hook(app).await?;
    if before.hook.paused.is_some() == paused {
        return Ok(Json(shown(app, &before)));
    }

    let pause = paused.then(|| Pause {
        at: app.now(),
        by: at.0.caller.actor.username.clone(),
    });
    let changed = update(app, at, |hook| Ok(hook.with_pause(pause.clone(), app.now()))).await?;
    report(at, app, &before, &changed).await;

    Ok(Json(shown(app, &changed)))
}

/// Reports a change of the pause to the log, and to the system hooks that subscribe to it.
pub(super) async fn report(at: &At, app: &App, before: &HookWithHealth, after: &HookWithHealth) {
    if before.hook.paused.is_some() != after.hook.paused.is_some() {
        let by = &at.0.caller.actor.username;
        app.engine.dispatcher.report_pause(&after.hook, after.health, by).await;
    }
}
