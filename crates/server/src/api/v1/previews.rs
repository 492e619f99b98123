//! Previews of settings of a hook, before they are saved. They change nothing, and are not in the audit log.

mod filter;
mod template;
mod url;

use std::sync::Arc;

use axum::http::StatusCode;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::hook::{Hook, HookUrl};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{HookId, Trigger};
use quickdraw_engine::places;
use quickdraw_store::history::HistoryFilter;
use utoipa_axum::router::OpenApiRouter;

use super::reach::MAX_PLACES;
use crate::error::ApiError;
use crate::state::App;

/// Number of tests that are passed over in search of real events.
const MAX_TESTS: usize = 50;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .merge(filter::routes())
        .merge(template::routes())
        .merge(url::routes())
}

/// The hook to which settings are applied: a stored one of the scope, or a new one.
async fn hook(app: &App, scope: Scope, id: Option<i64>) -> Result<Hook, ApiError> {
    if let Some(id) = id {
        let found = app.store().find_hook(scope, HookId(id)).await?;
        let found = found.ok_or_else(|| {
            let text = "the project, group or instance has no hook with this id";
            ApiError::problem(StatusCode::NOT_FOUND, text)
        })?;
        return Ok(found.hook);
    }

    let blank = HookUrl::parse("https://blank.invalid").map_err(|_| ApiError::plain_not_found())?;
    Ok(Hook::new(scope, blank, uuid::Uuid::nil(), app.now()))
}

/// The newest real events of a kind in a scope, newest first.
async fn recent(app: &App, scope: Scope, trigger: Trigger, most: usize) -> Result<Vec<Event>, ApiError> {
    let places = match scope {
        Scope::Project(id) => Some(vec![Place::Project(id)]),
        Scope::Group(id) => {
            let inside = places::inside(&app.engine.context.directory(), id, MAX_PLACES);
            Some(inside.ok_or_else(|| {
                let detail = format!("the group has more than {MAX_PLACES} projects; choose one of its subgroups");
                ApiError::field("group", detail)
            })?)
        }
        Scope::Instance => None,
    };

    let filter = HistoryFilter {
        places,
        triggers: vec![trigger],
        ..HistoryFilter::default()
    };
    let mut events = app.store().search_events(filter, None, most + MAX_TESTS).await?.rows;
    events.retain(|event| event.origin != Origin::Test);
    events.truncate(most);

    Ok(events)
}
