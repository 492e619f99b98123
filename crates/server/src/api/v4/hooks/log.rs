//! `…/hooks/:hook_id/events`: the log of the last seven days, and resending its entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use quickdraw_domain::event::Event;
use quickdraw_domain::hook::{Hook, PastHook, body_template};
use quickdraw_domain::outcome::Answers;
use quickdraw_domain::request;
use quickdraw_domain::{AttemptId, Timestamp};
use quickdraw_store::Packed;
use quickdraw_store::attempts::{Attempt, LogFilter};
use quickdraw_store::lists::Paged;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::At;
use super::masked::{MASK, masked};
use crate::api::v4::page::Listing;
use crate::aside;
use crate::error::ApiError;
use crate::params::{Invalid, Params};
use crate::state::App;
use crate::views::{Attempt as AttemptView, HookEvent, Shown, response_headers};

const SECONDS_PER_DAY: i64 = 86_400;
/// Largest number of rows in a page, as in GitLab. Larger pages are refused.
const MAX_PER_PAGE: i64 = 20;
/// Bodies above this size in bytes are not shown, as in GitLab.
const MAX_SHOWN: usize = 1 << 20;
/// Largest size in bytes of all bodies in a page. Further bodies are not shown.
const MAX_ON_PAGE: usize = 8 << 20;
const OVERSIZE: &str = r#"{"oversize": true}"#;
/// Memory in bytes for building a page: its bodies, and the answer, whose buffer doubles.
const PAGE: usize = 4 * MAX_ON_PAGE;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// Only attempts with these statuses: HTTP statuses, or `successful`, `client_failure`, `server_failure`;
    /// separated by commas, at most 100.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    status: Vec<String>,
}

/// List the requests to a hook in the last seven days, newest first. Maintainers of the project, owners of the group,
/// and administrators.
///
/// A page shows at most 8 MiB of bodies, and at most 1 MiB per body. Larger bodies are shown as `{"oversize": true}`.
#[utoipa::path(get, path = "/{hook_id}/events", tag = "Hooks", params(LogQuery,
        ("page" = Option<i64>, Query, description = "Number of the page.", minimum = 1),
        ("per_page" = Option<i64>, Query, description = "Number of rows in a page.", minimum = 1, maximum = 20)),
    responses((status = 200, body = [HookEvent])))]
pub(super) async fn list(at: At, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let entry = at.hook(&app).await?;
    let page = listing.asked_at_most(MAX_PER_PAGE)?;
    let LogQuery { status, .. } = listing.params.read()?;
    let answers = Answers::parse(&status).ok_or_else(|| Invalid::value("status"))?;
    let today = app.now().as_seconds().div_euclid(SECONDS_PER_DAY);
    let since = Timestamp::from_seconds((today - 7) * SECONDS_PER_DAY);

    let filter = LogFilter {
        hook: entry.hook.id,
        since,
        answers,
        page,
    };

    let reader = app.requester(&at.0.caller.actor, at.scope());
    let memory = app.memory.answer(&reader, PAGE).await?;
    let log = app.store().hook_log(filter).await?;

    at.0.caller.is_shown_bodies();

    let mut rows = Vec::with_capacity(log.rows.len());
    let mut left = MAX_ON_PAGE;

    for attempt in &log.rows {
        let row = view(&app, &entry.hook, attempt, left.min(MAX_SHOWN)).await?;
        left = left.saturating_sub(row.request_data.bytes());
        rows.push(row);
    }

    let answer = listing.answer(page, &Paged { rows, total: log.total }, |event| event.id, Clone::clone);
    Ok(memory.keep_with(answer))
}

/// A request to a hook.
#[derive(Serialize, ToSchema)]
struct HookRequest {
    /// The request and its answer, as the list shows them.
    request: HookEvent,

    /// The attempt that sent the request.
    attempt: AttemptView,
}

/// Show a request to a hook, with its delivery and phases. Maintainers of the project, owners of the group, and
/// administrators.
///
/// A body above 1 MiB is shown as `{"oversize": true}`. GitLab does not have this operation.
#[utoipa::path(get, path = "/{hook_id}/events/{hook_event_id}", tag = "Hooks",
    responses((status = 200, body = HookRequest)))]
pub(super) async fn show(at: At, State(app): State<Arc<App>>, _: Params) -> Result<Response, ApiError> {
    let entry = at.hook(&app).await?;
    let id = AttemptId(at.0.number("hook_event_id")?);
    let found = app.store().find_attempt(entry.hook.id, id).await?;
    let attempt = found.ok_or_else(ApiError::plain_not_found)?;

    let reader = app.requester(&at.0.caller.actor, at.scope());
    let memory = app.memory.answer(&reader, 4 * MAX_SHOWN).await?;
    at.0.caller.is_shown_bodies();

    let request = view(&app, &entry.hook, &attempt, MAX_SHOWN).await?;
    let mut attempt = AttemptView::from(&attempt);
    attempt.trigger = request.trigger;

    let answer = Json(HookRequest { request, attempt }).into_response();
    Ok(memory.keep_with(answer))
}

/// Result of a resend.
#[derive(Serialize, ToSchema)]
pub(super) struct Resent {
    /// HTTP status that the receiver answered.
    response_status: u16,
}

/// Send a request again, with its original bytes and ids. Maintainers of the project, owners of the group, and
/// administrators.
///
/// Each user can resend five times a minute per project or group.
#[utoipa::path(post, path = "/{hook_id}/events/{hook_event_id}/resend", tag = "Hooks",
    responses((status = 201, body = Resent)))]
pub(super) async fn resend(
    at: At,
    State(app): State<Arc<App>>,
    _: Params,
) -> Result<(StatusCode, Json<Resent>), ApiError> {
    let entry = at.hook(&app).await?;
    let id = AttemptId(at.0.number("hook_event_id")?);

    let attempt = app
        .store()
        .find_attempt(entry.hook.id, id)
        .await?
        .ok_or_else(ApiError::plain_not_found)?;

    at.count_manual(&app, "resend")?;

    // A request to an earlier URL is not resent to the present one.
    if attempt.record.started_at < entry.hook.url_since {
        let words = "The hook URL has changed, and this log entry cannot be retried";
        return Err(unprocessable(json!(words)));
    }

    let sent = app
        .engine
        .dispatcher
        .resend(&entry, attempt.delivery)
        .await
        .map_err(ApiError::internal)?;
    let sent = sent.map_err(|refused| unprocessable(json!(refused.to_string())))?;

    match sent.outcome.status() {
        Some(response_status) => Ok((StatusCode::CREATED, Json(Resent { response_status }))),
        None => Err(unprocessable(json!(
            sent.record.error.unwrap_or_else(|| sent.outcome.word().to_owned())
        ))),
    }
}

pub(super) fn unprocessable(message: Value) -> ApiError {
    ApiError::Message(StatusCode::UNPROCESSABLE_ENTITY, message)
}

/// Shows an attempt as GitLab does, with at most `longest` bytes of its body. The request is built again from event,
/// hook and attempt, and its secrets are masked.
async fn view(app: &App, hook: &Hook, attempt: &Attempt, longest: usize) -> Result<HookEvent, ApiError> {
    let delivery = app.store().find_delivery(attempt.delivery).await?;
    let event = match &delivery {
        Some(delivery) => app.store().find_event(delivery.event).await?,
        None => None,
    };

    let (mut headers, mut data, mut trigger) = (BTreeMap::new(), Shown::nothing(), None);
    let past = match attempt.record.hook_version {
        Some(version) if version != hook.updated_at => app.store().past_hook(hook, version).await?,
        None if attempt.record.started_at < hook.url_since => None,
        _ => Some(PastHook::of(hook)),
    };
    // Without a stored version of the hook, the URL of the attempt is unknown.
    let url = past.as_ref().map_or_else(|| MASK.to_owned(), |past| past.url.clone());
    let hook = &past.map_or_else(|| hook.clone(), |past| past.restore(hook));

    if let Some((event, payload)) = event {
        trigger = Some(event.trigger.row().name);

        let weight_of_body = payload.unpacked_len();

        // Templates take a while with large bodies.
        let (hook, sent, instance) = (
            hook.clone(),
            attempt.clone(),
            app.engine.context.settings().instance.clone(),
        );

        let made = async move { request_of(&hook, &sent, &event, &payload, &instance, longest) };
        (headers, data) = aside::by_weight(weight_of_body, made).await?;
    }

    let record = &attempt.record;
    let body = record.response_body.as_deref().map(String::from_utf8_lossy);

    Ok(HookEvent {
        id: attempt.id.0,
        url,
        trigger,
        request_headers: headers,
        request_data: data,
        response_headers: response_headers(record, title_case),
        response_body: body
            .as_deref()
            .or(record.error.as_deref())
            .unwrap_or_default()
            .to_owned(),
        execution_duration: seconds(record.duration_micros),
        response_status: attempt
            .status
            .map_or_else(|| "internal error".to_owned(), |status| status.to_string()),
    })
}

/// Builds the headers and the body of an attempt's request, as the log shows them.
fn request_of(
    hook: &Hook,
    attempt: &Attempt,
    event: &Event,
    payload: &Packed,
    instance: &str,
    longest: usize,
) -> Result<(BTreeMap<String, String>, Shown), ApiError> {
    let (mut headers, mut data) = (BTreeMap::new(), Shown::nothing());
    let (hook, body) = within(hook, payload, longest)?;

    if let Ok(request) = request::build(
        &hook,
        event,
        attempt.delivery,
        body,
        instance,
        attempt.record.started_at,
    ) {
        data = shown(&request.body, longest);
        for (name, value) in request.headers {
            headers.insert(name.to_string(), if is_open(&name) { value } else { MASK.to_owned() });
        }
    }

    Ok((headers, data))
}

/// Returns the hook and the body for building a request of at most `longest` bytes. A longer one is not built,
/// because a template can expand a small body greatly.
fn within(hook: &Hook, payload: &Packed, longest: usize) -> Result<(Hook, Bytes), ApiError> {
    let mut hook = hook.clone();
    if payload.unpacked_len() <= longest {
        let body = payload.unpack()?;
        let rendered = hook
            .body_template
            .as_deref()
            .map(|template| body_template::rendered_len(template, &body));
        // A template that fails builds no request, so the log shows none.
        if !matches!(rendered, Some(Ok(length)) if length > longest) {
            return Ok((hook, body));
        }
    }

    hook.body_template = None;
    Ok((hook, OVERSIZE.into()))
}

/// Masks a body for the log. The result can exceed `longest` because of a template, or because a mask is longer than
/// the address it replaces.
fn shown(body: &[u8], longest: usize) -> Shown {
    let oversize = || Shown::json_or_text(OVERSIZE);
    if body.len() > longest {
        return oversize();
    }

    let Ok(body) = std::str::from_utf8(body) else {
        return Shown::nothing();
    };
    let body = masked(body);

    if body.len() > longest {
        oversize()
    } else {
        Shown::json(&body).unwrap_or_else(Shown::nothing)
    }
}

#[expect(clippy::cast_precision_loss, reason = "durations of attempts are seconds")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// Headers whose values are shown. All others are masked, above all custom headers.
fn is_open(name: &str) -> bool {
    const OPEN: [&str; 9] = [
        "content-type",
        "user-agent",
        "x-gitlab-event",
        "x-gitlab-instance",
        "x-gitlab-webhook-uuid",
        "x-gitlab-event-uuid",
        "idempotency-key",
        "webhook-id",
        "webhook-timestamp",
    ];

    OPEN.iter().any(|open| open.eq_ignore_ascii_case(name))
}

/// Converts `content-type` to `Content-Type`.
fn title_case(name: &str) -> String {
    let mut start = true;
    let letter = |c: char| {
        let written = if start { c.to_ascii_uppercase() } else { c };
        start = !c.is_ascii_alphanumeric();
        written
    };
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_header_fields_are_shown_in_title_case() {
        assert_eq!(title_case("x-request-id"), "X-Request-Id");
    }

    #[test]
    fn a_body_is_shown_up_to_a_length_and_masked() {
        let shown = |body: &[u8], longest| serde_json::to_string(&shown(body, longest)).expect("JSON");
        assert_eq!(shown(br#"{"mail":"a@b.c"}"#, 100), r#"{"mail":"[REDACTED]"}"#);
        assert_eq!(shown(br#"{"mail":"a@b.c"}"#, 15), OVERSIZE, "it is longer");
        assert_eq!(shown(br#"{"mail":"a@b.c"}"#, 16), OVERSIZE, "it becomes longer");
        assert_eq!(shown(br#"{"mail":"a@b.c"}"#, 21), r#"{"mail":"[REDACTED]"}"#);
        assert_eq!(shown(b"no JSON", 100), "{}");
        assert_eq!(shown(b"\xff", 100), "{}");
    }
}
