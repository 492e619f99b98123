//! Deliveries of a project, a group or the instance, with filters that a replay takes over.

pub(super) mod one;

use std::sync::Arc;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::Ui;
use super::client::{Api, Items, Refusal};
use super::error::PageError;
use super::form::{Form, Query};
use super::frame::{Frame, page, refused_page};
use super::history::{Choice, Filters, HookLink, OUTCOMES, STATES, Wanted, found_or_refused, kinds, state};
use super::live::live;
use super::navigation::Section;
use super::parts::{Badge, Time};
use super::place::Visit;

/// The filters of the list.
const FILTERS: [&str; 10] = [
    "hook", "state", "class", "status", "trigger", "since", "until", "object", "text", "event",
];

/// A delivery, as the API shows it.
#[derive(Deserialize)]
struct Delivery {
    id: String,
    event_id: String,
    hook_id: i64,
    state: String,
    attempts: u32,
    next_attempt_at: Option<String>,
    created_at: String,
    finished_at: Option<String>,
}

/// A hook, for the filter.
#[derive(Deserialize)]
struct Hook {
    id: i64,
    url: String,
    name: Option<String>,
}

/// The hooks of a place, for a drop-down list. `chosen` can be a hook of another place.
pub(super) async fn hooks(at: &Visit, chosen: Option<&str>) -> Result<Vec<Choice>, Refusal> {
    let address = format!("{}/hooks?per_page=100", at.place.api());
    let listed = at.person.api.list::<Hook>(&address).await?;
    let mut hooks = Vec::new();
    for hook in listed.rows {
        let name = hook.name.filter(|name| !name.is_empty());
        hooks.push(Choice::new(hook.id.to_string(), name.unwrap_or(hook.url)));
    }

    if let Some(chosen) = chosen.filter(|chosen| hooks.iter().all(|hook| hook.value != *chosen)) {
        hooks.push(Choice::new(chosen, format!("Webhook {chosen}")));
    }

    Ok(hooks)
}

/// Choices with fixed words.
pub(super) fn choices(known: &[(&str, &str)]) -> Vec<Choice> {
    known.iter().map(|(value, words)| Choice::new(*value, *words)).collect()
}

/// A row of the list.
struct Row {
    /// The id of the delivery if it can be replayed, and empty for others.
    selectable: String,
    href: String,
    badge: Badge,
    kind: String,
    event: String,
    hook: HookLink,
    attempts: u32,
    next: Option<Time>,
    ended: Option<Time>,
    created: Time,
}

/// The rows of the list, which the page shows and the stream sends.
#[derive(Template)]
#[template(path = "ui/deliveries/rows.html")]
struct Rows {
    rows: Vec<Row>,
    is_filtered: bool,
    can_replay: bool,
}

impl HtmlSafe for Rows {}

#[derive(Template)]
#[template(path = "ui/deliveries/list.html")]
struct ListPage {
    frame: Frame,
    form: Form,
    kinds: Vec<Choice>,
    hooks: Vec<Choice>,
    states: Vec<Choice>,
    outcomes: Vec<Choice>,
    rows: Rows,
    base: String,
    live: Option<String>,
    next: Option<String>,

    /// The form that makes a replay.
    replay: String,

    /// The same form for all deliveries that match the filters.
    replay_all: String,
}

/// The list that a page asked for.
#[derive(Clone)]
struct Asked {
    api: Api,
    filters: Filters,
    base: String,
    events: String,

    /// False for visitors of a portal, who have no replays.
    can_replay: bool,
}

impl Asked {
    fn new(at: &Visit, query: &Query) -> Self {
        Self {
            api: at.person.api.clone(),
            filters: Filters::read(&at.place, &FILTERS, &query.0),
            base: at.place.page("deliveries"),
            events: at.place.page("events"),
            can_replay: at.person.portal.is_none(),
        }
    }

    fn address(&self, before: Option<&str>) -> String {
        self.filters.address("deliveries", before)
    }

    /// Reads the rows of a page, and the position of the next one.
    async fn read(&self, before: Option<&str>) -> Result<(Rows, Option<String>), Refusal> {
        let found: Items<Delivery> = self.api.get(&self.address(before)).await?;
        let mut wanted = Wanted::default();
        for delivery in &found.items {
            wanted.hook(delivery.hook_id);
            wanted.event(&delivery.event_id);
        }

        let names = wanted.find(&self.api).await?;
        let row = |delivery: &Delivery| Row {
            selectable: match delivery.state.as_str() {
                "delivered" | "given_up" if self.can_replay => delivery.id.clone(),
                _ => String::new(),
            },
            href: format!("{}/{}", self.base, delivery.id),
            badge: state(&delivery.state),
            kind: names
                .event(&delivery.event_id)
                .map_or_else(|| "Event".to_owned(), |event| event.kind()),
            event: format!("{}/{}", self.events, delivery.event_id),
            hook: names.hook(delivery.hook_id),
            attempts: delivery.attempts,
            next: delivery.next_attempt_at.as_deref().map(Time::new),
            ended: delivery.finished_at.as_deref().map(Time::new),
            created: Time::new(&delivery.created_at),
        };
        Ok((self.rows(found.items.iter().map(row).collect()), found.next))
    }

    const fn rows(&self, rows: Vec<Row>) -> Rows {
        Rows {
            rows,
            is_filtered: !self.filters.is_empty(),
            can_replay: self.can_replay,
        }
    }
}

/// Shows the deliveries of a place.
pub(super) async fn list(at: Visit, State(ui): State<Arc<Ui>>, query: Query) -> Result<Response, PageError> {
    let asked = Asked::new(&at, &query);
    let before = query.0.filled("before");
    let (found, kinds, hooks) = futures_util::join!(
        asked.read(before),
        kinds(&at.person.api),
        hooks(&at, query.0.filled("hook"))
    );

    let mut form = asked.filters.form();
    let (rows, next) = found_or_refused(found, &mut form, || asked.rows(Vec::new()))?;

    let is_refused = form.is_refused();
    let live = (before.is_none() && !is_refused).then(|| format!("{}/live?{}", asked.base, asked.filters.of_page(&[])));
    let frame = Frame::at(&ui, &at.person, &at.place, Section::Deliveries, "Deliveries").json(asked.address(before));
    let list = ListPage {
        frame,
        form,
        kinds: kinds?,
        hooks: hooks?,
        states: choices(&STATES),
        outcomes: choices(&OUTCOMES),
        rows,
        live,
        next: next.map(|next| format!("{}?{}", asked.base, asked.filters.of_page(&[("before", &next)]))),
        replay: at.place.page("replays/new"),
        replay_all: at.place.page(&format!("replays/new?{}", asked.filters.of_page(&[]))),
        base: asked.base,
    };
    Ok(if is_refused { refused_page(&list) } else { page(&list) })
}

/// Sends the rows of the first page whenever they have changed.
pub(super) async fn follow(
    at: Visit,
    State(ui): State<Arc<Ui>>,
    cookies: HeaderMap,
    query: Query,
) -> Result<Response, PageError> {
    let asked = Asked::new(&at, &query);
    live(ui, &at, cookies, move || {
        let asked = asked.clone();
        async move {
            let (rows, _) = asked.read(None).await?;
            Ok(rows.to_string())
        }
    })
}
