//! One event: its body, and every webhook with the decision about it.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::contribution::{Contribution, Shown};
use crate::ui::Ui;
use crate::ui::client::Items;
use crate::ui::error::PageError;
use crate::ui::form::Query;
use crate::ui::frame::{Frame, Notice, page};
use crate::ui::history::{Event, HookLink, Names, PlaceLink, Wanted, reason, state};
use crate::ui::navigation::Section;
use crate::ui::parts::{Badge, Time};
use crate::ui::place::{Level, Visit};
use crate::ui::tree::{self, Tree};

/// Largest number of webhooks that are shown.
const MAX_HOOKS: usize = 100;

/// An event with everything about it.
#[derive(Deserialize)]
struct Found {
    #[serde(flatten)]
    event: Event,
    deliveries: Vec<Delivery>,
    skipped: Vec<Skipped>,
    unlisted: Vec<i64>,
}

/// The body of an event. It is read by itself, because its text is shown, too.
#[derive(Deserialize)]
struct Body {
    payload: Box<RawValue>,
}

#[derive(Deserialize)]
struct Delivery {
    id: String,
    hook_id: i64,
    state: String,
    attempts: u32,
    next_attempt_at: Option<String>,
}

#[derive(Deserialize)]
struct Skipped {
    hook_id: i64,
    reason: String,
}

#[derive(Deserialize)]
struct Attempt {
    id: i64,
    delivery_id: String,
    response_status: Option<u16>,
}

/// A webhook of the place, which can be one that is not subscribed.
#[derive(Deserialize)]
struct Hook {
    id: i64,
    #[serde(default)]
    all_events: bool,

    /// All other attributes. Subscribed triggers are among them.
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// A kind of event, as the catalog describes it.
#[derive(Deserialize)]
struct Kind {
    attribute: Option<String>,
    meaning: String,
}

/// The decision about one webhook.
struct Verdict {
    hook: HookLink,
    badge: Badge,
    words: String,
    next: Option<Time>,
    attempts: Vec<AttemptLink>,
}

/// An attempt with the address of its page.
struct AttemptLink {
    badge: Badge,
    href: String,
}

#[derive(Template)]
#[template(path = "ui/events/one.html")]
struct EventPage {
    frame: Frame,
    kind: String,
    trigger: String,
    meaning: String,
    event: Event,
    place: PlaceLink,
    verdicts: Vec<Verdict>,

    /// Number of further webhooks.
    hidden: usize,

    /// The contribution to insights; none for people who may not see it.
    insights: Option<Shown>,
    tree: Option<Tree>,
    raw: String,
    is_cut: bool,
    base: String,
    id: String,
}

/// Shows an event.
pub(in crate::ui) async fn show(at: Visit, State(ui): State<Arc<Ui>>, query: Query) -> Result<Response, PageError> {
    let api = &at.person.api;
    let id = at.text("event_id")?;
    let address = format!("/api/v1/events/{id}");
    if uuid::Uuid::parse_str(id).is_err() {
        return Err(PageError::Missing);
    }

    let answer: Box<RawValue> = api.get(&address).await?;
    let read = |_| PageError::Missing;
    let found: Found = serde_json::from_str(answer.get()).map_err(read)?;
    let body: Body = serde_json::from_str(answer.get()).map_err(read)?;
    if at.place.level == Level::Project && found.event.project_id != Some(at.place.id) {
        return Err(PageError::Missing);
    }

    let attempts = format!("/api/v1/attempts?event={id}&limit=100{}", prefixed(&at.place.filter()));
    let hooks = format!("{}?per_page=100", hooks_of(&found.event));
    let kind = format!("/api/v1/triggers/{}", found.event.trigger);
    let insights = format!("{address}/insights");
    let (attempts, hooks, kind, insights) = futures_util::join!(
        api.get::<Items<Attempt>>(&attempts),
        api.list::<Hook>(&hooks),
        api.get::<Kind>(&kind),
        api.get::<Contribution>(&insights)
    );

    // A person who may see the event may not always see the webhooks of its project.
    let hooks = hooks.map(|listed| listed.rows).unwrap_or_default();
    let kind = kind.ok();
    let attempts = attempts.map(|found| found.items).unwrap_or_default();

    let names = wanted(&found, &hooks).find(api).await?;
    let mut verdicts = verdicts(&found, &hooks, &attempts, kind.as_ref(), &names);
    let hidden = verdicts.len().saturating_sub(MAX_HOOKS);
    verdicts.truncate(MAX_HOOKS);

    let is_raw = query.0.text("view") == "raw";
    let text = body.payload.get();
    let (raw, is_whole) = if is_raw { tree::raw(text) } else { ("", true) };
    let tree = (!is_raw).then(|| serde_json::from_str(text).ok().map(|value: Value| Tree::new(&value)));

    let base = at.place.page("events");
    let title = found.event.kind();
    let frame = Frame::at(&ui, &at.person, &at.place, Section::Events, title.as_str())
        .crumb("Events", &base)
        .json(address.as_str())
        .notice((query.0.text("done") == "reported").then(|| Notice::good("The event is reported.")));
    Ok(page(&EventPage {
        frame,
        kind: title,
        trigger: found.event.trigger.clone(),
        meaning: kind.map(|kind| kind.meaning).unwrap_or_default(),
        place: names.place_of(&found.event),
        verdicts,
        hidden,
        insights: insights.ok().map(|found| found.shown(&at.place)),
        tree: tree.flatten(),
        raw: raw.to_owned(),
        is_cut: !is_whole,
        id: found.event.id.clone(),
        event: found.event,
        base,
    }))
}

/// A filter after other parameters.
fn prefixed(filter: &str) -> String {
    if filter.is_empty() {
        String::new()
    } else {
        format!("&{filter}")
    }
}

/// The webhooks of the project, group or instance in which an event happened.
fn hooks_of(event: &Event) -> String {
    match (event.project_id, event.group_id) {
        (Some(id), _) => format!("/api/v4/projects/{id}/hooks"),
        (None, Some(id)) => format!("/api/v4/groups/{id}/hooks"),
        (None, None) => "/api/v4/hooks".to_owned(),
    }
}

fn wanted(found: &Found, hooks: &[Hook]) -> Wanted {
    let mut wanted = Wanted::default();
    wanted.place_of(&found.event);
    found
        .deliveries
        .iter()
        .for_each(|delivery| wanted.hook(delivery.hook_id));
    found.skipped.iter().for_each(|skipped| wanted.hook(skipped.hook_id));
    hooks.iter().for_each(|hook| wanted.hook(hook.id));
    wanted
}

/// The decisions about all webhooks: deliveries first, then skips, then webhooks that are not subscribed.
fn verdicts(found: &Found, hooks: &[Hook], attempts: &[Attempt], kind: Option<&Kind>, names: &Names) -> Vec<Verdict> {
    let mut by_delivery: HashMap<&str, Vec<&Attempt>> = HashMap::new();
    for attempt in attempts {
        by_delivery.entry(&attempt.delivery_id).or_default().push(attempt);
    }

    let mut verdicts = Vec::new();
    for delivery in &found.deliveries {
        let hook = names.hook(delivery.hook_id);
        let of_delivery = by_delivery.remove(delivery.id.as_str()).unwrap_or_default();
        let links = of_delivery.iter().rev().map(|attempt| AttemptLink {
            badge: Badge::status(attempt.response_status),
            href: hook.attempt(attempt.id),
        });
        verdicts.push(Verdict {
            badge: state(&delivery.state),
            words: words_of(delivery, found.unlisted.contains(&delivery.hook_id)),
            next: delivery.next_attempt_at.as_deref().map(Time::new),
            attempts: links.collect(),
            hook,
        });
    }

    for skipped in &found.skipped {
        verdicts.push(Verdict {
            hook: names.hook(skipped.hook_id),
            badge: Badge::plain("Skipped"),
            words: reason(&skipped.reason).to_owned(),
            next: None,
            attempts: Vec::new(),
        });
    }

    let is_known = |hook: &Hook| {
        let is_delivered = found.deliveries.iter().any(|delivery| delivery.hook_id == hook.id);
        is_delivered || found.skipped.iter().any(|skipped| skipped.hook_id == hook.id)
    };
    for hook in hooks.iter().filter(|hook| !is_known(hook)) {
        let attribute = kind.and_then(|kind| kind.attribute.as_deref());
        let is_subscribed = hook.all_events
            || attribute.is_some_and(|name| hook.others.get(name).and_then(Value::as_bool) == Some(true));
        let (badge, words) = if is_subscribed {
            let words = "The event was not offered to the webhook: it is still being distributed, or it is a test, or the \
                webhook did not have the trigger at that time.";
            (Badge::plain("No delivery"), words)
        } else {
            let words = "The webhook does not have this trigger. Edit it to get such events.";
            (Badge::plain("Not subscribed"), words)
        };
        verdicts.push(Verdict {
            hook: names.hook(hook.id),
            badge,
            words: words.to_owned(),
            next: None,
            attempts: Vec::new(),
        });
    }

    verdicts
}

/// The state of a delivery in a sentence.
fn words_of(delivery: &Delivery, is_unlisted: bool) -> String {
    let tries = match delivery.attempts {
        0 => "No attempt yet.".to_owned(),
        1 => "1 attempt.".to_owned(),
        count => format!("{count} attempts."),
    };
    let held = matches!(delivery.state.as_str(), "waiting" | "retrying") && delivery.next_attempt_at.is_none();

    let mut words = tries;
    if delivery.state == "blocked" {
        words.push_str(" An earlier event about the same object comes first.");
    } else if held {
        words.push_str(" Nothing is sent while the webhook is paused or disabled, or silent mode is on.");
    }

    if is_unlisted {
        words.push_str(" The event filter could not be checked, because the push does not list all commits.");
    }

    words
}
