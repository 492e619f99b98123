//! The details of a request to a webhook: what was sent, what came back, how long it took, and all other attempts.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::curl::command;
use super::phases::{Phases, PhasesBar};
use super::recent::Attempt as Listed;
use super::show::words;
use super::status::outcome_badge;
use super::{Hook, shortened};
use crate::ui::Ui;
use crate::ui::error::PageError;
use crate::ui::form::{Query, Sent};
use crate::ui::frame::{Frame, Notice, page, refused_page};
use crate::ui::history::kind_words;
use crate::ui::navigation::Section;
use crate::ui::parts::{Badge, Time, duration};
use crate::ui::place::Visit;

/// Largest size in bytes of a body that is shown in several lines.
const MAX_PRETTY: usize = 12 << 10;
/// Largest size in bytes of a body that is shown as it was sent, and of the body of an answer.
const MAX_RAW: usize = 6 << 10;

/// A request, as the API shows it.
#[derive(Deserialize)]
struct Known {
    request: Request,
    attempt: Attempt,
}

#[derive(Deserialize)]
struct Request {
    url: String,
    trigger: Option<String>,
    request_headers: BTreeMap<String, String>,
    request_data: Value,
    response_headers: BTreeMap<String, String>,
    response_body: String,
}

#[derive(Deserialize)]
struct Attempt {
    id: i64,
    delivery_id: String,
    number: u32,
    outcome: String,
    response_status: Option<u16>,
    error: Option<String>,
    address: Option<String>,
    started_at: String,
    duration_us: u32,
    phases: Option<Phases>,
    tls_version: Option<String>,
}

/// The delivery that the request belongs to.
#[derive(Deserialize)]
struct Delivery {
    state: String,
    next_attempt_at: Option<String>,
    history: Vec<Listed>,
}

impl Delivery {
    fn badge(&self) -> Badge {
        match self.state.as_str() {
            "delivered" => Badge::good("Delivered"),
            "given_up" => Badge::bad("Given up"),
            "retrying" => Badge::warning("Retrying"),
            "cancelled" => Badge::plain("Cancelled"),
            "blocked" => Badge::waiting("Waits for an earlier delivery"),
            _ => Badge::waiting("Waiting"),
        }
    }

    fn next_attempt(&self) -> Option<Time> {
        self.next_attempt_at.as_deref().map(Time::new)
    }
}

/// A text that can be too long for the page.
struct Text {
    shown: String,
    is_cut: bool,
}

impl Text {
    fn new(whole: &str, longest: usize) -> Self {
        let end = (0..=longest)
            .rev()
            .find(|end| whole.is_char_boundary(*end))
            .unwrap_or(0);
        Self {
            shown: whole[..end].to_owned(),
            is_cut: end < whole.len(),
        }
    }
}

#[derive(Template)]
#[template(path = "ui/hooks/request.html")]
struct RequestPage {
    frame: Frame,
    kind: String,
    badge: Badge,
    time: Time,
    elapsed: String,
    advice: Option<&'static str>,
    request: Request,
    attempt: Attempt,
    pretty: Text,
    raw: Text,
    answer: Text,
    curl: String,
    phases: Option<PhasesBar>,

    /// The delivery with all attempts; None if it has been deleted.
    delivery: Option<Delivery>,

    /// The addresses of the webhook, of this page and of the delivery.
    hook: String,
    address: String,
    delivery_page: String,
}

/// Shows a request.
pub(in crate::ui) async fn show(
    at: Visit,
    State(ui): State<Arc<Ui>>,
    Query(query): Query,
) -> Result<Response, PageError> {
    let mut shown = request_page(&ui, &at).await?;
    let notice = match query.text("done") {
        "resent" => Some(Notice::good(
            "The request was sent again, and the receiver accepted it.",
        )),
        "failed" => Some(Notice::bad(
            "The request was sent again, and the receiver did not accept it. The newest attempt shows the answer.",
        )),
        _ => None,
    };
    shown.frame = shown.frame.notice(notice);
    Ok(page(&shown))
}

/// Sends a request again. The page shows a refusal in place.
pub(in crate::ui) async fn resend(at: Visit, State(ui): State<Arc<Ui>>, _: Sent) -> Result<Response, PageError> {
    #[derive(Deserialize)]
    struct Resent {
        response_status: u16,
    }

    let page = page_of(&at)?;
    let address = format!("{}/{page}/resend", at.place.api());
    match at.person.api.send::<Resent>(Method::POST, &address, &json!({})).await {
        Ok(resent) => {
            let is_good = (200..300).contains(&resent.response_status);
            let done = if is_good { "resent" } else { "failed" };
            let address = at.place.page(&format!("{page}?done={done}"));
            Ok(Redirect::to(&address).into_response())
        }
        Err(refusal) => {
            let text = format!("The request was not sent again: {}", shortened(&words(refusal)?));
            let mut shown = request_page(&ui, &at).await?;
            shown.frame = shown.frame.notice(Some(Notice::bad(text)));
            Ok(refused_page(&shown))
        }
    }
}

/// The page of the request, which is also its address in the API.
fn page_of(at: &Visit) -> Result<String, PageError> {
    Ok(format!(
        "hooks/{}/events/{}",
        at.number("hook_id")?,
        at.number("event_id")?
    ))
}

async fn request_page(ui: &Ui, at: &Visit) -> Result<RequestPage, PageError> {
    let (api, page) = (&at.person.api, page_of(at)?);
    let hook = format!("hooks/{}", at.number("hook_id")?);
    let json = format!("{}/{page}", at.place.api());
    let of_hook = format!("{}/{hook}", at.place.api());
    let (known, known_hook) = tokio::try_join!(api.get::<Known>(&json), api.get::<Hook>(&of_hook))?;
    let Known { request, attempt } = known;

    let delivery = match api.get(&format!("/api/v1/deliveries/{}", attempt.delivery_id)).await {
        Ok(delivery) => Some(delivery),
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => None,
        Err(refusal) => return Err(refusal.into()),
    };

    let title = format!("Request {}", attempt.id);
    let frame = Frame::at(ui, &at.person, &at.place, Section::Hooks, title);
    let hook = at.place.page(&hook);
    let pretty = serde_json::to_string_pretty(&request.request_data).unwrap_or_default();
    let raw = request.request_data.to_string();

    Ok(RequestPage {
        frame: frame
            .crumb("Webhooks", at.place.page("hooks"))
            .crumb(known_hook.title(), &hook)
            .json(json),
        kind: request
            .trigger
            .as_deref()
            .map_or_else(|| "Deleted event".to_owned(), kind_words),
        badge: outcome_badge(&attempt.outcome, attempt.response_status),
        time: Time::new(&attempt.started_at),
        elapsed: duration(f64::from(attempt.duration_us) / 1e6),
        advice: advice(&attempt.outcome, attempt.response_status),
        pretty: Text::new(&pretty, MAX_PRETTY),
        raw: Text::new(&raw, MAX_RAW),
        answer: Text::new(&request.response_body, MAX_RAW),
        curl: command(&request.url, &request.request_headers, &raw),
        phases: attempt.phases.as_ref().and_then(Phases::bar),
        delivery,
        address: at.place.page(&page),
        delivery_page: at.place.page(&format!("deliveries/{}", attempt.delivery_id)),
        hook,
        request,
        attempt,
    })
}

/// Advice for a failed attempt, in plain words.
fn advice(outcome: &str, status: Option<u16>) -> Option<&'static str> {
    let advice = match (outcome, status) {
        ("delivered", _) => return None,
        (_, Some(401 | 403)) => {
            "The receiver does not trust the request. Compare the secret token or the signing token on both sides."
        }
        (_, Some(404 | 410)) => "The receiver has nothing at this URL. Check the path of the URL.",
        (_, Some(413)) => "The receiver refuses a body of this size. Raise its limit, or send less with a template.",
        (_, Some(429)) => "The receiver got too many requests. The next attempt waits as long as the receiver asks.",
        (_, Some(300..400)) => "The receiver answers with a redirect, which is not followed. Enter the new URL.",
        (_, Some(400..500)) => "The receiver refuses the request. The body of its answer often says why.",
        (_, Some(_)) => "The receiver failed. Look for this time in its log.",
        ("timed_out", _) => "The receiver took too long. Let it answer at once, and do the work afterwards.",
        ("dns", _) => "The host name of the URL was not found. Check its spelling and its DNS record.",
        ("connect", _) => {
            "Nothing accepts connections at this address. Check the port, firewalls, and whether it runs."
        }
        ("tls", _) => "No secure connection could be made. Check the certificate of the receiver and its host name.",
        ("blocked", _) => {
            "The guard does not allow this address. An administrator can allow it in the outbound settings."
        }
        ("proxy", _) => "The outbound proxy did not pass the request on. An administrator has to check the proxy.",
        ("broken", _) => {
            "The connection ended before the answer was complete. Look for this time in the receiver's log."
        }
        ("invalid_answer", _) => "The answer is not valid HTTP. Check whether the port belongs to an HTTP server.",
        ("request", _) => "The request could not be made. Check the template and the custom headers of the webhook.",
        _ => "It is unknown whether the receiver got the request, because the server stopped before the answer.",
    };
    Some(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        let text = Text::new("äöü", 3);
        assert_eq!((text.shown.as_str(), text.is_cut), ("ä", true));
        assert!(!Text::new("äöü", 6).is_cut);
    }

    #[test]
    fn only_failures_have_advice() {
        assert!(advice("delivered", Some(200)).is_none());
        assert!(advice("rejected", Some(401)).is_some_and(|advice| advice.contains("token")));
        assert!(advice("dns", None).is_some_and(|advice| advice.contains("DNS")));
    }
}
