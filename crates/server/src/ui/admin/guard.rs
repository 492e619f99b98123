//! The guard tester: the verdict about a URL, with the name of the rule.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::frame;
use crate::ui::Ui;
use crate::ui::error::PageError;
use crate::ui::form::{Form, Sent};
use crate::ui::frame::{Frame, page, refused_page};
use crate::ui::navigation::Section;
use crate::ui::parts::{Badge, sentence};
use crate::ui::place::Visit;

const TEST: &str = "/api/v1/guard/test";

/// The decision about a URL, as the API shows it.
#[derive(Deserialize)]
struct Verdict {
    verdict: String,
    rule: Option<String>,
    detail: Option<String>,
    addresses: Vec<Address>,
    lookup_error: Option<String>,
}

impl Verdict {
    fn badge(&self) -> Badge {
        badge(&self.verdict)
    }

    fn detail(&self) -> Option<String> {
        self.detail.as_deref().map(sentence)
    }
}

/// The decision about an address of the host.
#[derive(Deserialize)]
struct Address {
    address: String,
    verdict: String,
    rule: Option<String>,
    detail: Option<String>,
}

impl Address {
    fn badge(&self) -> Badge {
        badge(&self.verdict)
    }

    fn detail(&self) -> Option<String> {
        self.detail.as_deref().map(sentence)
    }
}

fn badge(verdict: &str) -> Badge {
    match verdict {
        "allowed" => Badge::good("Allowed"),
        "blocked" => Badge::bad("Blocked"),
        _ => Badge::warning("Invalid"),
    }
}

#[derive(Template)]
#[template(path = "ui/admin/guard.html")]
struct GuardPage {
    frame: Frame,
    form: Form,

    /// The tested URL with the decision about it.
    tested: Option<(String, Verdict)>,
    base: String,
    settings: String,
}

/// Shows the form.
pub(super) async fn show(at: Visit, State(ui): State<Arc<Ui>>) -> Response {
    let mut form = Form::default();
    form.set("resolve", "true");
    page(&guard_page(&ui, &at, form, None))
}

/// Tests a URL.
pub(super) async fn test(at: Visit, State(ui): State<Arc<Ui>>, sent: Sent) -> Result<Response, PageError> {
    let mut form = Form::default();
    form.keep(&sent.fields, &[]);
    let Some(url) = sent.fields.filled("url").map(str::to_owned) else {
        form.wrong("url", "Enter a URL, such as https://ci.example.com/hook");
        return Ok(refused_page(&guard_page(&ui, &at, form, None)));
    };

    let body = json!({ "url": url, "resolve": sent.fields.has("resolve") });
    match at.person.api.send::<Verdict>(Method::POST, TEST, &body).await {
        Ok(verdict) => Ok(page(&guard_page(&ui, &at, form, Some((url, verdict))))),
        Err(refusal) if refusal.status == StatusCode::FORBIDDEN => Err(refusal.into()),
        Err(refusal) => {
            form.refuse(&refusal);
            Ok(refused_page(&guard_page(&ui, &at, form, None)))
        }
    }
}

fn guard_page(ui: &Ui, at: &Visit, form: Form, tested: Option<(String, Verdict)>) -> GuardPage {
    GuardPage {
        frame: frame(ui, at, Section::Guard, "Guard"),
        form,
        tested,
        base: at.place.page("guard"),
        settings: at.place.page("settings#part-guard"),
    }
}
