//! Evidence: the events that an item of an explanation was read from.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use quickdraw_domain::EventId;
use quickdraw_domain::scope::Scope;
use quickdraw_insights::metrics::Metric;
use quickdraw_insights::question::EventSearch;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::named::unknown_metric;
use super::{limit, managed};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;
use crate::views::{Event, Page};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(evidence))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct EvidenceQuery {
    /// The item, as the explanation names it, such as `7/12`.
    item: String,

    /// The project of the item: id or full path. Users who are no administrators must give a project or a group.
    project: Option<String>,

    /// The group of the item's project: id or full path.
    group: Option<String>,

    /// Only events after this id: `next` of the previous page.
    after: Option<Uuid>,

    /// Maximum number of rows.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// List the events that mention an item of an explanation, oldest first. Maintainers of the project, owners of the
/// group, and administrators.
///
/// At most 20,000 events are examined for a page, so a page can be short although more follow.
#[utoipa::path(get, path = "/insights/metrics/{name}/events", tag = "Insights", params(EvidenceQuery),
    responses((status = 200, body = Page<Event>)))]
async fn evidence(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Input(query): Input<EvidenceQuery>,
) -> Result<Json<Page<Event>>, ApiError> {
    let metric = Metric::by_name(&name).ok_or_else(|| unknown_metric(&name))?;
    let key = query
        .item
        .split_once('/')
        .and_then(|(project, iid)| Some((project.parse().ok()?, iid.parse().ok()?)));
    let key: (i64, i64) =
        key.ok_or_else(|| ApiError::field("item", "item is not an item of an explanation, such as 7/12"))?;
    let scope = managed::scope_of(&app, &caller, query.project.as_deref(), query.group.as_deref()).await?;

    if scope != Scope::Instance && !managed::ids_in_insights(&app, scope).await?.contains(&key.0) {
        return Err(ApiError::problem(
            StatusCode::NOT_FOUND,
            "the project or group has no such item",
        ));
    }

    let after = EventId(query.after.unwrap_or(Uuid::nil()));
    let mut search = EventSearch::new(metric, key, after, limit(query.limit)?);

    while search.next_read().is_some() {
        // Bodies can be large, so a limit applies to the number of requests that read them at once.
        let permit = app.calculations.acquire().await?;
        let searched = quickdraw_engine::search_events(app.store(), &mut search, permit).await;
        searched.map_err(ApiError::internal)?;
    }

    let page = search.page();
    let is_here = |event: &&quickdraw_domain::event::Event| app.engine.context.is_in(event.place, scope);
    Ok(Json(Page {
        items: page.events.iter().filter(is_here).map(Event::from).collect(),
        next: page.next.map(|next| next.to_string()),
    }))
}
