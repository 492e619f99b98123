//! The HTTP server: sources, the REST API, and operations. It contains no SQL and makes no outbound calls. It reads
//! through `store` and acts through `engine`.

pub mod api;
mod aside;
mod audit;
pub mod auth;
pub mod body;
pub mod error;
mod extract;
mod files;
mod inspect;
mod inspectors;
mod limit;
pub mod listener;
mod memory;
mod openapi;
pub mod ops;
pub mod params;
mod passwords;
mod places;
mod portals;
pub mod process;
pub mod receive;
mod seats;
mod sessions;
pub mod settings;
pub mod setup;
pub mod state;
mod streams;
mod sudo;
pub mod telemetry;
mod ui;
pub mod views;

use std::sync::Arc;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;

pub use limit::Limits;
pub use listener::{Listener, ListenerLimits};
pub use receive::{Checks, DefaultSource, Verifier, Wrong};
pub use state::App;

use params::Known;

/// Builds the router of all endpoints.
pub fn router(app: Arc<App>) -> Router {
    let audited = axum::middleware::from_fn_with_state(Arc::clone(&app.audit), audit::record);
    let sudo = axum::middleware::from_fn_with_state(app.clone(), extract::read_sudo);
    let in_time = axum::middleware::from_fn_with_state(app.clone(), ops::in_time);

    let (routes, description) = OpenApiRouter::with_openapi(openapi::about(&app.external_url))
        .merge(receive::routes().with_state(Arc::clone(&app.sources)))
        .merge(
            api::routes()
                .layer(axum::middleware::from_fn(memory::until_answered))
                .layer(sudo)
                .layer(audited)
                .layer(in_time)
                .layer(axum::middleware::from_fn(error::shape)),
        )
        .merge(inspect::routes())
        .merge(ops::routes())
        .split_for_parts();

    // It is set once: a second router of the same application would have the same description.
    let _ = app.known.set(Known::of(&description));
    let api = routes.merge(openapi::routes(description)).with_state(app.clone());
    ui::beside(api, app)
}
