//! The recent requests to a webhook: the table on its page, its filters, and its live updates.

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::status::{Status, outcome_badge};
use crate::ui::Ui;
use crate::ui::client::{Api, Items};
use crate::ui::error::PageError;
use crate::ui::form::{Fields, Query};
use crate::ui::history::kind_words;
use crate::ui::live::live;
use crate::ui::parts::{Badge, Time, duration};
use crate::ui::place::Visit;

/// Number of requests on a page.
const SHOWN: usize = 20;
/// Periods that the filter offers.
pub(super) const PERIODS: [(&str, &str); 5] = [
    ("1h", "Last hour"),
    ("24h", "Last 24 hours"),
    ("48h", "Last 2 days"),
    ("168h", "Last 7 days"),
    ("all", "All"),
];
/// The period if the address names none.
const USUAL_PERIOD: &str = "48h";

/// An attempt to call a webhook.
#[derive(Deserialize)]
pub(super) struct Attempt {
    pub(super) id: i64,
    trigger: Option<String>,
    number: u32,
    outcome: String,
    response_status: Option<u16>,
    error: Option<String>,
    started_at: String,
    duration_us: u32,
}

impl Attempt {
    pub(super) fn badge(&self) -> Badge {
        let badge = outcome_badge(&self.outcome, self.response_status);
        match &self.error {
            Some(error) => badge.because(error),
            None => badge,
        }
    }

    pub(super) fn kind(&self) -> String {
        self.trigger
            .as_deref()
            .map_or_else(|| "Deleted event".to_owned(), kind_words)
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn elapsed(&self) -> String {
        duration(f64::from(self.duration_us) / 1e6)
    }

    pub(super) fn time(&self) -> Time {
        Time::new(&self.started_at)
    }
}

/// The filters of the table, from the query of the address.
#[derive(Clone)]
pub(super) struct Filters {
    pub(super) class: String,
    pub(super) trigger: String,
    pub(super) since: String,
    before: String,
}

impl Filters {
    pub(super) fn read(query: &Fields) -> Self {
        let word = |name: &str| {
            let value = query.text(name);
            let is_word = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if is_word { value.to_owned() } else { String::new() }
        };
        let since = match word("since") {
            empty if empty.is_empty() => USUAL_PERIOD.to_owned(),
            since => since,
        };

        Self {
            class: word("class"),
            trigger: word("trigger"),
            since,
            before: word("before"),
        }
    }

    /// The filters as a query, without the position in the list.
    pub(super) fn query(&self) -> String {
        format!("class={}&trigger={}&since={}", self.class, self.trigger, self.since)
    }

    /// True if the page shows the newest requests.
    pub(super) const fn is_first_page(&self) -> bool {
        self.before.is_empty()
    }

    /// The address of the list in the API.
    pub(super) fn address(&self, at: &Visit, hook: i64) -> String {
        let mut address = format!("/api/v1/attempts?hook={hook}&limit={SHOWN}");
        // Administrators see every place, but visitors of a portal only their own.
        if !at.person.actor.is_admin || at.person.portal.is_some() {
            address.push_str(&format!("&{}", at.place.filter()));
        }

        let since = if self.since == "all" { "" } else { &self.since };
        for (name, value) in [
            ("class", self.class.as_str()),
            ("trigger", &self.trigger),
            ("since", since),
            ("before", &self.before),
        ] {
            if !value.is_empty() {
                address.push_str(&format!("&{name}={value}"));
            }
        }

        address
    }
}

/// The table of requests.
#[derive(Template)]
#[template(path = "ui/hooks/recent.html")]
pub(super) struct Recent {
    attempts: Vec<Attempt>,

    /// The address of the webhook.
    hook: String,

    /// The address of the next page.
    next: Option<String>,
}

impl HtmlSafe for Recent {}

impl Recent {
    /// Reads the table.
    pub(super) async fn read(api: &Api, address: &str, filters: &Filters, hook: &str) -> Result<Self, PageError> {
        let listed: Items<Attempt> = api.get(address).await?;
        let next = listed
            .next
            .map(|next| format!("{hook}?{}&before={next}#recent", filters.query()));

        Ok(Self {
            attempts: listed.items,
            hook: hook.to_owned(),
            next,
        })
    }

    /// The table as HTML.
    pub(super) fn html(&self) -> Result<String, PageError> {
        self.render().map_err(|error| {
            tracing::error!(%error, "a part of a page could not be rendered");
            PageError::Missing
        })
    }
}

/// A stream of the table, with everything that renders it again.
struct Stream {
    api: Api,
    filters: Filters,
    address: String,
    id: i64,
    hook: String,

    /// The newest attempt when the table was rendered last, and the table.
    last: Mutex<Option<(Option<i64>, String)>>,
}

impl Stream {
    /// Renders the table. It is read only if there is a new attempt, because each reading is in the audit log.
    async fn table(&self) -> Result<String, PageError> {
        let status = Status::read(&self.api, self.id).await?;
        let newest = status.last_attempt.map(|attempt| attempt.id);

        let mut last = self.last.lock().await;
        if let Some((_, table)) = last.as_ref().filter(|(known, _)| *known == newest) {
            return Ok(table.clone());
        }

        let recent = Recent::read(&self.api, &self.address, &self.filters, &self.hook).await?;
        let table = recent.html()?;
        *last = Some((newest, table.clone()));
        Ok(table)
    }
}

/// Sends the table whenever there are new requests.
pub(in crate::ui) async fn stream(
    at: Visit,
    State(ui): State<Arc<Ui>>,
    headers: HeaderMap,
    Query(query): Query,
) -> Result<Response, PageError> {
    let id = at.number("hook_id")?;
    let filters = Filters::read(&query);
    let stream = Arc::new(Stream {
        api: at.person.api.clone(),
        address: filters.address(&at, id),
        id,
        hook: at.place.page(&format!("hooks/{id}")),
        filters,
        last: Mutex::new(None),
    });

    live(ui, &at, headers, move || {
        let stream = Arc::clone(&stream);
        async move { stream.table().await }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_characters_than_those_of_words_are_no_filter() {
        let filters = Filters::read(&Fields::default());
        assert_eq!(filters.query(), "class=&trigger=&since=48h");
    }
}
