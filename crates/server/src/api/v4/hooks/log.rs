//! `…/hooks/:hook_id/events`: what was sent in the last seven days, and sending it once more.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use quickdraw_domain::hook::{Hook, PastHook};
use quickdraw_domain::outcome::Answers;
use quickdraw_domain::request;
use quickdraw_domain::{AttemptId, Timestamp};
use quickdraw_store::attempts::{Attempt, LogFilter};
use quickdraw_store::lists::Paged;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::At;
use crate::api::v4::page::Listing;
use crate::error::ApiError;
use crate::params::Invalid;
use crate::state::App;
use crate::views::{HookEvent, response_headers};

const SECONDS_PER_DAY: i64 = 86_400;
/// Most rows of a page: GitLab's, and a refusal beyond it.
const MOST: i64 = 20;
/// Larger bodies are not shown, in GitLab's way. Twenty of them stand on a page.
const MOST_SHOWN: usize = 1 << 20;
const OVERSIZE: &[u8] = br#"{"oversize": true}"#;
const MASK: &str = "[REDACTED]";

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogQuery {
    /// Numbers of HTTP statuses, or `successful`, `client_failure`, `server_failure`; several with commas between them.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    status: Vec<String>,
}

/// List what was sent to a hook in the last seven days, newest first. As seeing the hook.
#[utoipa::path(get, path = "/{hook_id}/events", tag = "Hooks", params(LogQuery,
        ("page" = Option<i64>, Query, description = "Number of the page.", minimum = 1),
        ("per_page" = Option<i64>, Query, description = "Rows of a page.", minimum = 1, maximum = 20)),
    responses((status = 200, body = [HookEvent])))]
pub(super) async fn list(at: At, State(app): State<Arc<App>>, listing: Listing) -> Result<Response, ApiError> {
    let entry = at.hook(&app).await?;
    let page = listing.asked_at_most(MOST)?;
    let LogQuery { status, .. } = listing.params.read()?;
    let answers = Answers::parse(&status).ok_or_else(|| Invalid::value("status"))?;
    let today = app.belt.clock().now().as_seconds().div_euclid(SECONDS_PER_DAY);
    let since = Timestamp::from_seconds((today - 7) * SECONDS_PER_DAY);
    let filter = LogFilter { hook: entry.hook.id, since, answers, page };
    let log = app.store().hook_log(filter).await?;
    let mut rows = Vec::with_capacity(log.rows.len());
    for attempt in &log.rows {
        rows.push(view(&app, &entry.hook, attempt).await?);
    }
    Ok(listing.answer(page, &Paged { rows, total: log.total }, |event| event.id, Clone::clone))
}

/// The answer to what was sent again.
#[derive(Serialize, ToSchema)]
pub(super) struct Resent {
    /// HTTP status of the receiver.
    response_status: u16,
}

/// Send an event once more, with its original bytes and ids. Five times a minute for each project or group and user.
#[utoipa::path(post, path = "/{hook_id}/events/{hook_event_id}/resend", tag = "Hooks",
    responses((status = 201, body = Resent)))]
pub(super) async fn resend(at: At, State(app): State<Arc<App>>) -> Result<(StatusCode, Json<Resent>), ApiError> {
    let entry = at.hook(&app).await?;
    let id = AttemptId(at.0.number("hook_event_id")?);
    let attempt = app.store().find_attempt(entry.hook.id, id).await?.ok_or_else(ApiError::plain_not_found)?;
    at.count_by_hand(&app, "resend")?;
    // What was sent elsewhere is not sent here.
    if attempt.record.started_at < entry.hook.url_since {
        let words = "The hook URL has changed, and this log entry cannot be retried";
        return Err(unprocessable(json!(words)));
    }
    let sent = app.belt.resend(&entry, attempt.delivery).await.map_err(ApiError::internal)?;
    let sent = sent.map_err(|refused| unprocessable(json!(refused.to_string())))?;
    match sent.outcome.status() {
        Some(response_status) => Ok((StatusCode::CREATED, Json(Resent { response_status }))),
        None => Err(unprocessable(json!(sent.record.error.unwrap_or_else(|| sent.outcome.word().to_owned())))),
    }
}

pub(super) fn unprocessable(message: Value) -> ApiError {
    ApiError::Message(StatusCode::UNPROCESSABLE_ENTITY, message)
}

/// An attempt as GitLab shows it. The request follows from event, hook and attempt; what is secret in it is masked.
async fn view(app: &App, hook: &Hook, attempt: &Attempt) -> Result<HookEvent, ApiError> {
    let delivery = app.store().find_delivery(attempt.delivery).await?;
    let event = match &delivery {
        Some(delivery) => app.store().find_event(delivery.event).await?,
        None => None,
    };
    let (mut headers, mut data, mut trigger) = (BTreeMap::new(), json!({}), None);
    let past = match attempt.record.hook_version {
        Some(version) if version != hook.updated_at => app.store().past_hook(hook, version).await?,
        None if attempt.record.started_at < hook.url_since => None,
        _ => Some(PastHook::of(hook)),
    };
    // Of what was sent before versions were kept, the address may have been another than today's.
    let url = past.as_ref().map_or_else(|| MASK.to_owned(), |past| past.url.clone());
    let hook = &past.map_or_else(|| hook.clone(), |past| past.restore(hook));
    if let Some((event, payload)) = event {
        trigger = Some(event.trigger.row().name);
        let instance = &app.belt.settings().instance;
        let is_oversize = payload.unpacked_len() > MOST_SHOWN;
        let body = if is_oversize { OVERSIZE.into() } else { payload.unpack()? };
        if let Ok(request) = request::build(hook, &event, attempt.delivery, body, instance, attempt.record.started_at) {
            data = serde_json::from_slice(&request.body).unwrap_or_else(|_| json!({}));
            mask_mail(&mut data);
            for (name, value) in request.headers {
                headers.insert(name.to_string(), if is_open(&name) { value } else { MASK.to_owned() });
            }
        }
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
        response_body: body.as_deref().or(record.error.as_deref()).unwrap_or_default().to_owned(),
        execution_duration: seconds(record.duration_micros),
        response_status: attempt.status.map_or_else(|| "internal error".to_owned(), |status| status.to_string()),
    })
}

#[expect(clippy::cast_precision_loss, reason = "durations of attempts are seconds")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// The closed list of headers whose values are shown; everything else, custom headers above all, is masked.
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

/// `content-type` as `Content-Type`.
fn title_case(name: &str) -> String {
    let mut start = true;
    let letter = |c: char| {
        let written = if start { c.to_ascii_uppercase() } else { c };
        start = !c.is_ascii_alphanumeric();
        written
    };
    name.chars().map(letter).collect()
}

/// Texts that as a whole are an e-mail address, at any depth.
fn mask_mail(value: &mut Value) {
    match value {
        Value::String(text) if is_mail(text) => MASK.clone_into(text),
        Value::Array(list) => list.iter_mut().for_each(mask_mail),
        Value::Object(object) => object.values_mut().for_each(mask_mail),
        _ => {}
    }
}

fn is_mail(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let plain = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "@<>,;\"".contains(c));
    plain(name) && plain(host) && host.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_masked_at_any_depth_and_nothing_else() {
        let mut data = json!({ "a": [{ "mail": "ida@climb.example" }], "text": "write to ida@climb.example", "git": "git@host:a/b" });
        mask_mail(&mut data);
        assert_eq!(
            data,
            json!({ "a": [{ "mail": MASK }], "text": "write to ida@climb.example", "git": "git@host:a/b" })
        );
        assert_eq!(title_case("x-request-id"), "X-Request-Id");
    }
}
