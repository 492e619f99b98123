//! Portal sessions: links that show the webhooks of one project or group to people without an account.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use quickdraw_domain::scope::Scope;
use quickdraw_store::access::{MAX_PORTAL_SESSIONS, NewPortalSession, PortalCreated, Theme};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::managed;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Input, Line};
use crate::portals;
use crate::state::App;
use crate::views::Iso;

/// Default, shortest and longest time for which a link is valid, in seconds.
const DEFAULT_SECONDS: u64 = 3600;
const MIN_SECONDS: u64 = 1;
const MAX_SECONDS: u64 = 86_400;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(create))
}

/// Rights of a portal session.
#[derive(Deserialize, ToSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum PortalAccess {
    /// See webhooks, their log, events and deliveries.
    Read,

    /// Create, change, test, pause and delete webhooks too, and resend requests.
    Manage,
}

/// Colours of the pages.
#[derive(Deserialize, ToSchema, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum PortalTheme {
    /// As the browser prefers.
    Auto,

    /// Dark text on a light background.
    Light,

    /// Light text on a dark background.
    Dark,
}

/// A portal session to create.
#[derive(Deserialize, ToSchema)]
struct PortalToCreate {
    /// The project whose webhooks the link shows: id or full path. Give either this or `group`.
    project: Option<Line<1024>>,

    /// The group whose webhooks the link shows, with everything in the group: id or full path.
    group: Option<Line<1024>>,

    /// Rights of the link. Default: `read`.
    access: Option<PortalAccess>,

    /// Number of seconds for which the link is valid. Default: 3600.
    #[schema(minimum = 1, maximum = 86_400)]
    expires_in: Option<u64>,

    /// Colours of the pages. Default: `auto`.
    theme: Option<PortalTheme>,

    /// Address of the page to which the pages link back, with `http` or `https`.
    return_url: Option<Line<2048>>,
}

/// A portal session.
#[derive(Serialize, ToSchema)]
struct PortalLink {
    /// Address to open in a browser or in an iframe. It is a secret, and is shown once.
    url: String,

    /// Time until which the link is valid.
    expires_at: Iso,
}

/// Create a link that shows the webhooks of one project or group to people without an account. Maintainers of the
/// project, owners of the group, and administrators.
///
/// The link has a part of the rights of the user who creates it, and ends when the user is blocked or deleted or loses
/// the role. Pages that the link shows can be in an iframe on the origins in the setting `server.portal_origins`. A
/// project or group has at most 1,000 valid links; a further one is answered with 429.
#[utoipa::path(post, path = "/portal_sessions", tag = "Portal", request_body = PortalToCreate,
    responses((status = 201, body = PortalLink)))]
async fn create(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(input): Input<PortalToCreate>,
) -> Result<(StatusCode, Json<PortalLink>), ApiError> {
    let [project, group] = [&input.project, &input.group].map(|name| name.as_ref().map(|name| name.0.as_str()));
    let scope = managed::scope_of(&app, &caller, project, group).await?;
    if scope == Scope::Instance {
        let text = "name the project or group whose webhooks the link shows: project or group";
        return Err(ApiError::field("project", text));
    }

    let now = app.now();
    let seconds = input.expires_in.unwrap_or(DEFAULT_SECONDS);
    if !(MIN_SECONDS..=MAX_SECONDS).contains(&seconds) {
        let text = format!("expires_in must be a whole number from {MIN_SECONDS} to {MAX_SECONDS}");
        return Err(ApiError::field("expires_in", text));
    }

    let return_url = input.return_url.map(|url| check_return_url(url.0)).transpose()?;
    let (secret, digest) = portals::new_secret()?;
    let expires_at = now.plus(Duration::from_secs(seconds));

    let new = NewPortalSession {
        digest,
        user_id: caller.actor.user_id,
        scope,
        manages: input.access == Some(PortalAccess::Manage),
        theme: match input.theme {
            Some(PortalTheme::Light) => Theme::Light,
            Some(PortalTheme::Dark) => Theme::Dark,
            Some(PortalTheme::Auto) | None => Theme::Auto,
        },
        return_url,
        expires_at,
    };

    if app.store().create_portal_session(new, now).await? == PortalCreated::TooMany {
        let text = format!(
            "the project or group has {MAX_PORTAL_SESSIONS} valid portal links; wait until some end, or give them a \
             shorter expires_in"
        );
        return Err(ApiError::problem(StatusCode::TOO_MANY_REQUESTS, text));
    }

    let link = PortalLink {
        url: format!("{}/-/portal/{secret}", app.external_url),
        expires_at: Iso(expires_at),
    };
    Ok((StatusCode::CREATED, Json(link)))
}

/// Refuses addresses that would run a script or open a file.
fn check_return_url(text: String) -> Result<String, ApiError> {
    let url = Url::parse(&text).ok();
    let is_page = url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if is_page {
        return Ok(text);
    }

    let detail = "return_url must be an address with http or https, such as https://platform.example.com/settings";
    Err(ApiError::field("return_url", detail))
}
