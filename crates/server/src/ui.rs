//! The web interface. Pages are clients of the API within the process, so roles, limits, checks and audit entries are
//! those of the API (`docs/decisions/0034-pages-are-clients-of-the-api.md`).
//!
//! A page of a project, a group or the instance has the address that GitLab gives it, such as `/gear/rope/-/hooks`,
//! `/groups/gear/-/hooks` and `/admin/hooks`. All three lead to the same handler, which gets the place as an argument.

mod admin;
mod alerts;
mod assets;
mod catalog;
mod charts;
mod client;
#[cfg(debug_assertions)]
mod components;
mod deliveries;
mod error;
mod events;
mod form;
mod frame;
mod gaps;
mod guard;
mod history;
mod home;
mod hooks;
mod inspectors;
mod live;
mod members;
mod navigation;
mod new_scope;
mod notifications;
mod oidc;
mod overview;
mod parts;
mod person;
mod place;
mod portal;
mod profile;
mod question;
mod replays;
mod report;
mod roles;
mod scope_settings;
mod scope_tokens;
mod scopes;
mod search;
mod setup;
mod sign_in;
mod sources;
mod start;
mod streams;
mod tree;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower::ServiceExt;

use self::assets::Assets;
use self::place::Address;
use crate::error::not_found;
use crate::state::App;

/// The state of the pages.
pub(crate) struct Ui {
    app: Arc<App>,

    /// The API, which pages call within the process.
    api: Router,
    assets: Assets,
}

/// Adds the pages to the API.
pub(crate) fn beside(api: Router, app: Arc<App>) -> Router {
    let ui = Arc::new(Ui {
        app,
        api: api.clone().fallback(not_found),
        assets: Assets::new(),
    });

    let guard = axum::middleware::from_fn_with_state(Arc::clone(&ui), guard::check);
    let pages = Router::new()
        .route("/", get(home::show))
        .route("/-/sign_in", get(sign_in::show).post(sign_in::submit))
        .route("/-/sign_in/oidc", get(oidc::begin))
        .route("/-/sign_in/oidc/callback", get(oidc::callback))
        .route("/-/sign_out", post(sign_in::leave))
        .route("/-/catalog", get(catalog::list))
        .route("/-/catalog/{name}", get(catalog::show).post(catalog::send))
        .route("/-/setup/{secret}", get(setup::show).post(setup::submit))
        .route("/-/start", get(setup::start))
        .route("/-/portal/{secret}", get(portal::open))
        .merge(profile::routes())
        .route("/-/search", get(search::show))
        .route("/-/groups/new", get(new_scope::group).post(new_scope::create_group))
        .route(
            "/-/projects/new",
            get(new_scope::project).post(new_scope::create_project),
        )
        .route("/-/assets/{name}", get(assets::show));
    #[cfg(debug_assertions)]
    let pages = pages.route("/-/components", get(components::show));

    let pages = pages.with_state(Arc::clone(&ui));
    let places = pages_of_places().with_state(ui);

    let pages_of_places = Router::new()
        .fallback(move |request: Request| open(places.clone(), request))
        .layer(guard.clone());
    api.merge(pages.layer(guard)).fallback_service(pages_of_places)
}

/// The pages that projects, groups and the instance have. The three parts of a path are the level, the full path and
/// the page; `Address` makes them from the address in the browser.
fn pages_of_places() -> Router<Arc<Ui>> {
    Router::new()
        .route("/{level}/{path}/start", get(start::show))
        .route("/{level}/{path}/projects", get(start::show))
        .route("/{level}/{path}/overview", get(overview::show))
        .route("/{level}/{path}/hooks", get(hooks::list).post(hooks::form::create))
        .route("/{level}/{path}/hooks/new", get(hooks::form::new))
        .route(
            "/{level}/{path}/hooks/{hook_id}/edit",
            get(hooks::form::edit).post(hooks::form::update),
        )
        .route("/{level}/{path}/hooks/{hook_id}", get(hooks::show::show))
        .route(
            "/{level}/{path}/hooks/{hook_id}/events/{event_id}",
            get(hooks::request::show),
        )
        .route(
            "/{level}/{path}/hooks/{hook_id}/events/{event_id}/resend",
            post(hooks::request::resend),
        )
        .route("/{level}/{path}/hooks/{hook_id}/live", get(hooks::recent::stream))
        .route("/{level}/{path}/hooks/{hook_id}/test", post(hooks::show::test))
        .route("/{level}/{path}/hooks/{hook_id}/pause", post(hooks::show::pause))
        .route("/{level}/{path}/hooks/{hook_id}/resume", post(hooks::show::resume))
        .route(
            "/{level}/{path}/hooks/{hook_id}/delete",
            get(hooks::show::ask).post(hooks::show::delete),
        )
        .route("/{level}/{path}/events", get(events::list))
        .route("/{level}/{path}/events/live", get(events::follow))
        .route("/{level}/{path}/events/{event_id}", get(events::one::show))
        .route("/{level}/{path}/report", get(report::show).post(report::send))
        .route("/{level}/{path}/deliveries", get(deliveries::list))
        .route("/{level}/{path}/deliveries/live", get(deliveries::follow))
        .route("/{level}/{path}/deliveries/{delivery_id}", get(deliveries::one::show))
        .route(
            "/{level}/{path}/replays",
            get(replays::list).post(replays::form::create),
        )
        .route("/{level}/{path}/replays/new", get(replays::form::new))
        .route(
            "/{level}/{path}/replays/{replay_id}",
            get(replays::one::show).post(replays::one::change),
        )
        .route("/{level}/{path}/replays/{replay_id}/live", get(replays::one::follow))
        .route("/{level}/{path}/notifications", get(notifications::list))
        .route(
            "/{level}/{path}/notifications/new",
            get(notifications::new).post(notifications::create),
        )
        .route(
            "/{level}/{path}/notifications/{notification}",
            get(notifications::show).post(notifications::edit),
        )
        .route(
            "/{level}/{path}/notifications/{notification}/test",
            post(notifications::test),
        )
        .route(
            "/{level}/{path}/notifications/{notification}/delete",
            get(notifications::ask).post(notifications::delete),
        )
        .route("/{level}/{path}/members", get(members::list).post(members::add))
        .route(
            "/{level}/{path}/members/{user_id}",
            get(members::edit).post(members::change),
        )
        .route(
            "/{level}/{path}/access_tokens",
            get(scope_tokens::list).post(scope_tokens::create),
        )
        .route("/{level}/{path}/access_tokens/{token_id}", post(scope_tokens::revoke))
        .route(
            "/{level}/{path}/settings",
            get(scope_settings::show).post(scope_settings::save),
        )
        .route("/{level}/{path}/settings/archive", post(scope_settings::archive))
        .route("/{level}/{path}/settings/transfer", post(scope_settings::transfer))
        .route("/{level}/{path}/settings/delete", post(scope_settings::delete))
        .merge(alerts::routes())
        .merge(gaps::routes())
        .merge(streams::routes())
        .merge(sources::routes())
        .merge(inspectors::routes())
        .merge(admin::routes())
        .fallback(error::missing)
}

/// Opens the page of a place. Other paths belong to the API.
async fn open(places: Router, mut request: Request) -> Response {
    let is_page = |address: &Address<'_>| request.method().is_safe() || !address.is_start();
    let address = Address::read(request.uri().path()).filter(is_page);
    let Some(uri) = address.and_then(|address| address.inner(request.uri())) else {
        return not_found(request.uri().clone()).await.into_response();
    };

    *request.uri_mut() = uri;
    match places.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
