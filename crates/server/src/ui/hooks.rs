//! Webhooks of a project, a group or the instance.

pub(super) mod form;

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::Ui;
use super::error::PageError;
use super::frame::{Frame, page};
use super::navigation::Section;
use super::parts::{Badge, Time};
use super::place::At;

/// A webhook, as the list shows it.
#[derive(Deserialize)]
struct Hook {
    id: i64,
    url: String,
    name: Option<String>,
    description: Option<String>,
    paused: bool,
    alert_status: String,
    disabled_until: Option<String>,
    enable_ssl_verification: bool,
    all_events: bool,

    /// All other attributes. Subscribed triggers are among them.
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

impl Hook {
    /// The name that people gave the webhook, or its URL.
    fn title(&self) -> &str {
        self.name
            .as_deref()
            .filter(|name| !name.is_empty())
            .unwrap_or(&self.url)
    }

    fn has_name(&self) -> bool {
        self.title() != self.url
    }

    /// The state of the webhook in words.
    fn state(&self) -> Badge {
        match (self.paused, self.alert_status.as_str()) {
            (true, _) => Badge::waiting("Paused").because("A person paused it. Events are kept until it is resumed."),
            (_, "disabled") => Badge::bad("Disabled").because("The receiver refused several requests in a row."),
            (_, "temporarily_disabled") => {
                Badge::warning("Temporarily disabled").because("The receiver failed several times in a row.")
            }
            _ => Badge::good("Healthy"),
        }
    }

    /// The time at which a temporarily disabled webhook is tried again.
    fn next_try(&self) -> Option<Time> {
        let until = self.disabled_until.as_deref()?;
        (self.alert_status == "temporarily_disabled").then(|| Time::new(until))
    }

    /// The triggers to which the webhook is subscribed, in words.
    fn triggers(&self) -> Vec<String> {
        if self.all_events {
            return vec!["All events".to_owned()];
        }

        let subscribed = self
            .others
            .iter()
            .filter(|(name, value)| name.ends_with("_events") && value.as_bool() == Some(true));
        subscribed.map(|(name, _)| trigger_words(name)).collect()
    }
}

/// The words of a trigger's attribute, such as "Merge requests events".
fn trigger_words(attribute: &str) -> String {
    let words = attribute.replace('_', " ");
    let mut letters = words.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().collect::<String>() + letters.as_str())
        .unwrap_or_default()
}

#[derive(Template)]
#[template(path = "ui/hooks/list.html")]
struct ListPage {
    frame: Frame,
    hooks: Vec<Hook>,
    base: String,
    total: u64,
}

/// Shows the webhooks of a place.
pub(super) async fn list(at: At, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let address = format!("{}/hooks?per_page=100", at.place.api());
    let listed = at.person.api.list::<Hook>(&address).await?;
    let shown = u64::try_from(listed.rows.len()).unwrap_or(u64::MAX);

    let frame = Frame::at(&ui, &at.person, &at.place, Section::Hooks, "Webhooks").json(address);
    Ok(page(&ListPage {
        frame,
        base: at.place.page("hooks"),
        total: listed.total.unwrap_or(shown),
        hooks: listed.rows,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_have_words() {
        assert_eq!(trigger_words("merge_requests_events"), "Merge requests events");
        assert_eq!(trigger_words(""), "");
    }
}
