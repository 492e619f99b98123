//! Webhooks of a project, a group or the instance.

mod charts;
mod curl;
pub(super) mod form;
mod inherited;
mod kinds;
mod phases;
pub(super) mod recent;
pub(super) mod request;
pub(super) mod show;
mod status;

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use self::inherited::{Inherited, inherited};
use self::status::Status;
use super::Ui;
use super::error::PageError;
use super::form::Query;
use super::frame::{Frame, Notice, page};
use super::navigation::Section;
use super::parts::{Badge, sentence};
use super::place::Visit;

/// Number of webhooks on a page.
const SHOWN: usize = 20;

/// A webhook, as the list shows it.
#[derive(Deserialize)]
struct Hook {
    id: i64,
    url: String,
    name: Option<String>,
    description: Option<String>,
    paused: bool,
    alert_status: String,
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
    sentence(&attribute.replace('_', " "))
}

/// The beginning of a text from outside, such as the answer of a receiver.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 300;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A webhook of the list with its status.
struct Card {
    hook: Hook,

    /// None if the webhook was added while the list was made.
    status: Option<Status>,
}

#[derive(Template)]
#[template(path = "ui/hooks/list.html")]
struct ListPage {
    frame: Frame,
    cards: Vec<Card>,
    inherited: Vec<Inherited>,
    base: String,
    total: u64,

    /// Number of the next page.
    next: Option<u32>,
}

/// Shows the webhooks of a place.
pub(super) async fn list(at: Visit, State(ui): State<Arc<Ui>>, Query(query): Query) -> Result<Response, PageError> {
    let number: u32 = query.text("page").parse().unwrap_or(1);
    let address = format!("{}/hooks?per_page={SHOWN}&page={}", at.place.api(), number.max(1));
    let listed = at.person.api.list::<Hook>(&address).await?;
    let shown = u64::try_from(listed.rows.len()).unwrap_or(u64::MAX);

    let (statuses, inherited) = tokio::try_join!(statuses(&at, &listed.rows), inherited(&at))?;
    let mut statuses: HashMap<i64, Status> = statuses.into_iter().map(|status| (status.id, status)).collect();
    let with_status = |hook: Hook| Card {
        status: statuses.remove(&hook.id),
        hook,
    };

    let notice = match query.text("done") {
        "deleted" => Some(Notice::good("The webhook is deleted.")),
        _ => None,
    };
    let frame = Frame::at(&ui, &at.person, &at.place, Section::Hooks, "Webhooks").json(address);
    Ok(page(&ListPage {
        frame: frame.notice(notice),
        cards: listed.rows.into_iter().map(with_status).collect(),
        inherited,
        base: at.place.page("hooks"),
        total: listed.total.unwrap_or(shown),
        next: listed.next,
    }))
}

/// Reads the status of the webhooks of a page, which have ascending ids.
async fn statuses(at: &Visit, hooks: &[Hook]) -> Result<Vec<Status>, PageError> {
    #[derive(Deserialize)]
    struct Statuses {
        items: Vec<Status>,
    }

    let Some(first) = hooks.first() else {
        return Ok(Vec::new());
    };
    let after = first.id - 1;
    let address = format!("/api/v1/hooks/status?after={after}&limit={SHOWN}&{}", at.place.filter());
    let found: Statuses = at.person.api.get(&address).await?;
    Ok(found.items)
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
