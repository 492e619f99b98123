//! The search box at the top of each page, and the page with its results.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::Ui;
use super::error::PageError;
use super::form::Query;
use super::frame::{Frame, page};
use super::person::Person;
use super::place::Place;

/// A result, as the API answers.
#[derive(Deserialize)]
struct Found {
    kind: String,
    id: String,
    title: String,
    path: Option<String>,
    level: String,
}

/// The answer of the API.
#[derive(Deserialize)]
struct Answer {
    items: Vec<Found>,
    complete: bool,
}

impl Found {
    /// The kind in words.
    fn word(&self) -> &str {
        match self.kind.as_str() {
            "project" => "Project",
            "group" => "Group",
            "hook" => "Webhook",
            "event" => "Event",
            "delivery" => "Delivery",
            other => other,
        }
    }

    /// The address of its page.
    fn href(&self) -> String {
        let place = Place::named(&self.level, self.path.as_deref().unwrap_or_default());
        let id = &self.id;
        match self.kind.as_str() {
            "hook" => place.page(&format!("hooks/{id}")),
            "event" => place.page(&format!("events/{id}")),
            "delivery" => place.page(&format!("deliveries/{id}")),
            _ => place.start(),
        }
    }

    /// The line under the title: where it is, or the title of a project or group.
    fn place(&self) -> &str {
        match self.kind.as_str() {
            "project" | "group" => &self.title,
            _ => self.path.as_deref().unwrap_or("Instance"),
        }
    }

    /// The words that lead to the page.
    fn name(&self) -> &str {
        match (self.kind.as_str(), &self.path) {
            ("project" | "group", Some(path)) => path,
            _ => &self.title,
        }
    }
}

#[derive(Template)]
#[template(path = "ui/search.html")]
struct SearchPage {
    frame: Frame,
    text: String,
    found: Vec<Found>,
    is_complete: bool,
}

/// Shows the results of a search. Without a text, the page says what can be found.
pub(super) async fn show(
    person: Person,
    State(ui): State<Arc<Ui>>,
    Query(query): Query,
) -> Result<Response, PageError> {
    let text = query.text("q").trim().to_owned();
    let mut frame = Frame::of(&ui, &person, "Search");
    let answer = if text.is_empty() {
        Answer {
            items: Vec::new(),
            complete: true,
        }
    } else {
        let address = format!("/api/v1/search?q={}", utf8_percent_encode(&text, NON_ALPHANUMERIC));
        let answer = person.api.get(&address).await?;
        frame = frame.json(address);
        answer
    };

    Ok(page(&SearchPage {
        frame,
        text,
        found: answer.items,
        is_complete: answer.complete,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, level: &str, path: Option<&str>, expected: &str) {
        let found = Found {
            kind: kind.to_owned(),
            id: "7".to_owned(),
            title: "A title".to_owned(),
            path: path.map(str::to_owned),
            level: level.to_owned(),
        };
        assert_eq!(found.href(), expected);
    }

    #[test]
    fn results_lead_to_their_pages() {
        check("project", "project", Some("gear/rope"), "/gear/rope");
        check("group", "group", Some("gear"), "/groups/gear");
        check("hook", "group", Some("gear"), "/groups/gear/-/hooks/7");
        check("hook", "instance", None, "/admin/hooks/7");
        check("event", "project", Some("gear/rope"), "/gear/rope/-/events/7");
    }
}
