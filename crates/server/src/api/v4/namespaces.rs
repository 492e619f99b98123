//! `/api/v4/namespaces`: groups, as the places in which projects are created.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_domain::access::Action;
use quickdraw_domain::scope::{Group, Scope};
use quickdraw_store::scopes::{Name, ScopeFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::groups::{Among, least_role};
use super::page::{Listing, PageQuery};
use crate::api::name;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Line, Params};
use crate::state::App;
use crate::views::Namespace;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(exists))
}

/// Filters of a list of namespaces.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct NamespaceQuery {
    /// Only namespaces with this text in their name or path.
    #[param(inline)]
    search: Option<Line<255>>,

    /// Only namespaces that the caller owns.
    owned_only: Option<bool>,

    /// Only top-level namespaces.
    top_level_only: Option<bool>,
}

/// List namespaces: the groups in which projects can be created. Non-administrators see only the groups that they
/// are a member of.
#[utoipa::path(get, path = "/namespaces", tag = "Groups", params(PageQuery, NamespaceQuery),
    responses((status = 200, body = [Namespace])))]
async fn list(caller: Caller, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let page = listing.asked()?;
    let asked: NamespaceQuery = listing.params.read()?;

    let filter = ScopeFilter {
        search: asked.search.map(|text| text.0),
        top_level: asked.top_level_only == Some(true),
        ..Among::All.filter(&app, &caller, least_role(asked.owned_only, None, false))
    };
    let groups = app.store().list_groups(filter, page).await?;

    Ok(listing.answer(
        page,
        &groups,
        |group| group.id.0,
        |group| Namespace::new(group, &app.external_url),
    ))
}

/// Show a namespace by id or path. Members and administrators.
#[utoipa::path(get, path = "/namespaces/{id}", tag = "Groups", responses((status = 200, body = Namespace)))]
async fn show(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Namespace>, ApiError> {
    let group = namespace_for(&app, &caller, &id, Action::See).await?;
    Ok(Json(Namespace::new(&group, &app.external_url)))
}

/// Finds a group on which the caller can perform the action, where the request calls it a namespace.
pub(super) async fn namespace_for(app: &App, caller: &Caller, id: &str, action: Action) -> Result<Group, ApiError> {
    let missing = || ApiError::not_found("Namespace");
    let group = app.store().find_group(name(id)).await?.ok_or_else(missing)?;

    caller
        .require(Scope::Group(group.id), action)
        .await
        .map_err(|error| match error {
            ApiError::Message(StatusCode::NOT_FOUND, _) => missing(),
            other => other,
        })?;

    Ok(group)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Place {
    /// Id of the parent group. Default: a top-level namespace.
    parent_id: Option<i64>,
}

/// Availability of a path.
#[derive(Serialize, ToSchema)]
struct Existence {
    /// True if the path is taken.
    exists: bool,

    /// A free path, if this one is taken.
    suggests: Vec<String>,
}

/// Largest number that is appended to a path to find a free one.
const MAX_SUGGESTIONS: u32 = 20;

/// Check whether the path of a namespace is taken, and suggest a free one.
#[utoipa::path(get, path = "/namespaces/{id}/exists", tag = "Groups", params(Place),
    responses((status = 200, body = Existence)))]
async fn exists(
    caller: Caller,
    State(app): State<Arc<App>>,
    Path(path): Path<String>,
    params: Params,
) -> Result<Json<Existence>, ApiError> {
    let Place { parent_id } = params.read()?;
    let above = match parent_id {
        None => None,
        Some(id) => Some(parent(&app, &caller, id).await?),
    };
    let full_path = |path: &str| match &above {
        Some(above) => format!("{above}/{path}"),
        None => path.to_owned(),
    };

    if !is_taken(&app, full_path(&path)).await? {
        return Ok(Json(Existence {
            exists: false,
            suggests: Vec::new(),
        }));
    }

    for number in 1..=MAX_SUGGESTIONS {
        let free = format!("{path}{number}");
        if !is_taken(&app, full_path(&free)).await? {
            return Ok(Json(Existence {
                exists: true,
                suggests: vec![free],
            }));
        }
    }

    Ok(Json(Existence {
        exists: true,
        suggests: Vec::new(),
    }))
}

/// Returns the path of a group that the caller can see.
async fn parent(app: &App, caller: &Caller, id: i64) -> Result<String, ApiError> {
    let group = super::target::group_for(app, caller, &id.to_string(), Action::See).await?;
    Ok(group.full_path)
}

/// Checks whether a path is taken. Groups and projects share one space of paths.
async fn is_taken(app: &App, full_path: String) -> Result<bool, ApiError> {
    // A numeric text would be looked up as an id, but here it is a path.
    let path = Name::Path(full_path.replace('\0', "\u{fffd}"));
    Ok(app.store().find_group(path.clone()).await?.is_some() || app.store().find_project(path).await?.is_some())
}
