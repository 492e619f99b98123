//! The last requests of a source, as its page shows them: the state in one sentence, the reasons for refusals with the
//! way to mend them, and the requests.

use askama::Template;
use askama::filters::HtmlSafe;
use serde::Deserialize;

use super::reasons::Reason;
use super::{Source, Traffic};
use crate::ui::client::{Api, Items, Refusal};
use crate::ui::form::{Choice, Fields};
use crate::ui::parts::{Badge, Time};

/// Number of requests on a page.
const ROWS: usize = 25;
/// Number of characters of a header or reason that a row shows.
const MAX_CHARACTERS: usize = 60;

/// The selections of requests.
pub(super) const SELECTIONS: [Choice; 3] = [
    Choice::new("", "All"),
    Choice::new("accepted", "Accepted"),
    Choice::new("refused", "Refused"),
];

/// A request, as the API shows it.
#[derive(Deserialize)]
struct Request {
    at: String,
    address: String,
    status: u16,
    note: Option<String>,
    event: Option<String>,
    bytes: u64,
    event_id: Option<String>,
    count: u32,
}

impl Request {
    const fn is_refused(&self) -> bool {
        self.status >= 400
    }

    /// The reason of a refusal.
    fn reason(&self) -> Option<Reason> {
        let note = self.note.as_deref().unwrap_or_default();
        self.is_refused().then(|| Reason::of(self.status, note))
    }

    fn badge(&self) -> Badge {
        match (self.is_refused(), &self.note) {
            (true, _) => Badge::bad(format!("Refused ({})", self.status)),
            (false, Some(_)) => Badge::plain("Duplicate"),
            (false, None) => Badge::good("Accepted"),
        }
    }
}

/// A row of the table.
struct Row {
    badge: Badge,
    words: String,

    /// The reason of a refusal, to which the row leads.
    anchor: Option<&'static str>,
    event: String,

    /// The page of the event; empty for a refused request.
    href: String,
    address: String,
    bytes: u64,
    at: Time,
    count: u32,
}

/// A reason with the number of requests that were refused for it.
struct Counted {
    reason: Reason,
    requests: u64,
    last: Time,
}

/// The part of the page that changes while requests arrive.
#[derive(Template)]
#[template(path = "ui/sources/requests.html")]
pub(super) struct Seen {
    badge: Badge,
    sentence: &'static str,
    last_hour: Traffic,
    reasons: Vec<Counted>,
    rows: Vec<Row>,

    /// Whether requests have arrived, in this selection or not.
    pub(super) has_requests: bool,
}

impl HtmlSafe for Seen {}

/// The requests that a page asks for.
#[derive(Clone)]
pub(super) struct Asked {
    api: Api,

    /// The address of the source in the API.
    address: String,
    selection: &'static str,

    /// The number of newer requests that the page leaves out.
    from: usize,

    /// The address of the page of events.
    events: String,
}

impl Asked {
    pub(super) fn new(api: &Api, address: String, events: String, fields: &Fields) -> Self {
        let wanted = fields.text("show");
        let selection = SELECTIONS.iter().find(|choice| choice.value == wanted);
        Self {
            api: api.clone(),
            address,
            selection: selection.map_or("", |choice| choice.value),
            from: fields.text("from").parse().unwrap_or(0),
            events,
        }
    }

    pub(super) const fn selection(&self) -> &'static str {
        self.selection
    }

    /// Whether the page shows the newest requests.
    pub(super) const fn is_newest(&self) -> bool {
        self.from == 0
    }

    /// The query of the page with the newest requests of the selection.
    pub(super) fn query(&self) -> String {
        format!("show={}", self.selection)
    }

    /// The address of the requests in the API.
    pub(super) fn requests(&self) -> String {
        let status = match self.selection {
            "accepted" => "?status=successful",
            "refused" => "?status=client_failure,server_failure",
            _ => "",
        };
        format!("{}/requests{status}", self.address)
    }

    /// Reads the source, and makes the part of the page and the query of the next page. The state and the reasons are
    /// those of all requests that the API keeps; the selection applies to the rows.
    pub(super) async fn read(&self) -> Result<(Source, Seen, Option<String>), Refusal> {
        let requests = format!("{}/requests", self.address);
        let (source, found) = futures_util::join!(
            self.api.get::<Source>(&self.address),
            self.api.get::<Items<Request>>(&requests)
        );
        let (source, requests) = (source?, found?.items);

        let selected = requests.iter().filter(|request| match self.selection {
            "accepted" => !request.is_refused(),
            "refused" => request.is_refused(),
            _ => true,
        });
        let mut rows: Vec<Row> = selected.skip(self.from).map(|request| self.row(request)).collect();
        let has_more = rows.len() > ROWS;
        rows.truncate(ROWS);
        let next = has_more.then(|| format!("{}&from={}", self.query(), self.from + ROWS));

        let (badge, sentence) = state(&requests);
        let seen = Seen {
            badge,
            sentence,
            last_hour: source.last_hour,
            reasons: counted(&requests),
            has_requests: !requests.is_empty(),
            rows,
        };
        Ok((source, seen, next))
    }

    fn row(&self, request: &Request) -> Row {
        let reason = request.reason();
        let words = match (&reason, request.note.as_deref()) {
            (Some(reason), _) => shortened(&reason.short, MAX_CHARACTERS),
            (None, Some("duplicate")) => "The request was sent before".to_owned(),
            (None, Some(_)) => "The event came through another webhook".to_owned(),
            (None, None) => String::new(),
        };

        let events = &self.events;
        Row {
            badge: request.badge(),
            words,
            anchor: reason
                .filter(|reason| !reason.mend.is_empty())
                .map(|reason| reason.anchor),
            event: shortened(
                request.event.as_deref().unwrap_or("Without X-Gitlab-Event"),
                MAX_CHARACTERS,
            ),
            href: request
                .event_id
                .as_deref()
                .map(|id| format!("{events}/{id}"))
                .unwrap_or_default(),
            address: request.address.clone(),
            bytes: request.bytes,
            at: Time::new(&request.at),
            count: request.count,
        }
    }
}

/// The state of a source in one sentence, from its last requests.
fn state(requests: &[Request]) -> (Badge, &'static str) {
    let Some(newest) = requests.first() else {
        let sentence = "This page shows it as soon as it arrives. If GitLab shows the status 401 and nothing appears \
                        here, the URL in GitLab is not the one of this source.";
        return (Badge::waiting("Waiting for the first request…"), sentence);
    };

    match (
        newest.is_refused(),
        requests.iter().any(|request| !request.is_refused()),
    ) {
        (false, _) => (Badge::good("Receiving"), "The newest request was accepted."),
        (true, true) => (
            Badge::warning("Last request refused"),
            "Earlier requests were accepted. The reason is below.",
        ),
        (true, false) => (
            Badge::bad("Refusing all requests"),
            "Requests arrive, and none of the last ones was accepted. The reasons are below.",
        ),
    }
}

/// The reasons of refusals, the newest first, each with its number of requests.
fn counted(requests: &[Request]) -> Vec<Counted> {
    let mut reasons: Vec<Counted> = Vec::new();
    for request in requests {
        let Some(reason) = request.reason() else { continue };
        let count = u64::from(request.count);
        match reasons.iter_mut().find(|known| known.reason.anchor == reason.anchor) {
            Some(known) => known.requests += count,
            None => reasons.push(Counted {
                reason,
                requests: count,
                last: Time::new(&request.at),
            }),
        }
    }

    reasons
}

/// The beginning of a text that the client chose.
fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }

    let begin: String = text.chars().take(longest).collect();
    format!("{begin}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(status: u16, note: Option<&str>, count: u32) -> Request {
        Request {
            at: "2026-12-01T10:00:00.000Z".to_owned(),
            address: "192.0.2.7".to_owned(),
            status,
            note: note.map(str::to_owned),
            event: None,
            bytes: 0,
            event_id: None,
            count,
        }
    }

    fn check_state(requests: &[Request], word: &str) {
        let (badge, _) = state(requests);
        assert!(badge.to_string().contains(word), "{badge}");
    }

    #[test]
    fn the_state_follows_the_last_requests() {
        let (good, bad) = (|| request(200, None, 1), || request(401, Some("wrong token"), 1));
        check_state(&[], "Waiting for the first request");
        check_state(&[good(), bad()], "Receiving");
        check_state(&[bad(), good()], "Last request refused");
        check_state(&[bad()], "Refusing all requests");
    }

    #[test]
    fn equal_refusals_are_counted_together() {
        let found = counted(&[
            request(401, Some("wrong token"), 3),
            request(200, None, 1),
            request(413, Some("the body is too large"), 1),
            request(401, Some("wrong token"), 2),
        ]);
        let found: Vec<_> = found.iter().map(|one| (one.reason.anchor, one.requests)).collect();
        assert_eq!(found, [("wrong-token", 5), ("too-large", 1)]);
    }
}
