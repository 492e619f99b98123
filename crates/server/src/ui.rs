//! The web interface. Pages are clients of the API within the process, so roles, limits, checks and audit entries are
//! those of the API (`docs/decisions/0034-pages-are-clients-of-the-api.md`).
//!
//! A page of a project, a group or the instance has the address that GitLab gives it, such as `/gear/rope/-/hooks`,
//! `/groups/gear/-/hooks` and `/admin/hooks`. All three lead to the same handler, which gets the place as an argument.

mod assets;
mod client;
mod error;
mod form;
mod frame;
mod guard;
mod home;
mod hooks;
mod live;
mod navigation;
mod parts;
mod person;
mod place;
mod portal;
mod profile;
mod scopes;
mod setup;
mod sign_in;

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
        .route("/-/sign_out", post(sign_in::leave))
        .route("/-/setup/{secret}", get(setup::show).post(setup::submit))
        .route("/-/start", get(setup::start))
        .route("/-/portal/{secret}", get(portal::open))
        .merge(profile::routes())
        .route("/-/assets/{name}", get(assets::show))
        .with_state(Arc::clone(&ui));
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
        .route("/{level}/{path}/hooks", get(hooks::list).post(hooks::form::create))
        .route("/{level}/{path}/hooks/new", get(hooks::form::new))
        .route(
            "/{level}/{path}/hooks/{hook_id}/edit",
            get(hooks::form::edit).post(hooks::form::update),
        )
        .fallback(error::missing)
}

/// Opens the page of a place. Other paths belong to the API.
async fn open(places: Router, mut request: Request) -> Response {
    let Some(uri) = Address::read(request.uri().path()).and_then(|address| address.inner(request.uri())) else {
        return not_found(request.uri().clone()).await.into_response();
    };

    *request.uri_mut() = uri;
    match places.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
