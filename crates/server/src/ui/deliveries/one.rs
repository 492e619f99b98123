//! One delivery with its attempts.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::Delivery;
use crate::ui::Ui;
use crate::ui::error::PageError;
use crate::ui::frame::{Frame, page};
use crate::ui::history::{HookLink, OUTCOMES, Wanted, state};
use crate::ui::navigation::Section;
use crate::ui::parts::{Badge, Time};
use crate::ui::place::Visit;

/// A delivery with its attempts, as the API shows it.
#[derive(Deserialize)]
struct Found {
    #[serde(flatten)]
    delivery: Delivery,
    history: Vec<Attempt>,
}

#[derive(Deserialize)]
struct Attempt {
    id: i64,
    number: u32,
    outcome: String,
    response_status: Option<u16>,
    error: Option<String>,
    started_at: String,
    duration_us: i64,
}

/// An attempt, as the page shows it.
struct Row {
    href: String,
    number: u32,
    badge: Badge,
    words: String,
    started: Time,
    duration: String,
}

#[derive(Template)]
#[template(path = "ui/deliveries/one.html")]
struct DeliveryPage {
    frame: Frame,
    id: String,
    badge: Badge,
    kind: String,
    event: String,
    hook: HookLink,
    created: Time,
    next: Option<Time>,
    rows: Vec<Row>,
}

/// Shows a delivery.
pub(in crate::ui) async fn show(at: Visit, State(ui): State<Arc<Ui>>) -> Result<Response, PageError> {
    let id = at.text("delivery_id")?;
    if uuid::Uuid::parse_str(id).is_err() {
        return Err(PageError::Missing);
    }

    let address = format!("/api/v1/deliveries/{id}");
    let found: Found = at.person.api.get(&address).await?;
    let delivery = found.delivery;

    let mut wanted = Wanted::default();
    wanted.hook(delivery.hook_id);
    wanted.event(&delivery.event_id);
    let names = wanted.find(&at.person.api).await?;
    let hook = names.hook(delivery.hook_id);

    let mut rows = Vec::new();
    for attempt in found.history {
        let known = OUTCOMES.iter().find(|(word, _)| *word == attempt.outcome);
        let outcome = match known {
            _ if attempt.outcome == "delivered" => "Accepted",
            Some((_, words)) => *words,
            None => attempt.outcome.as_str(),
        };
        let words = attempt
            .error
            .map_or_else(|| outcome.to_owned(), |error| format!("{outcome}: {error}"));
        rows.push(Row {
            href: hook.attempt(attempt.id),
            number: attempt.number,
            badge: Badge::status(attempt.response_status),
            words,
            started: Time::new(&attempt.started_at),
            duration: duration(attempt.duration_us),
        });
    }

    let kind = names
        .event(&delivery.event_id)
        .map_or_else(|| "Event".to_owned(), |event| event.kind());
    let title = format!("{kind} to {}", hook.title);
    let frame = Frame::at(&ui, &at.person, &at.place, Section::Deliveries, title)
        .crumb("Deliveries", at.place.page("deliveries"))
        .json(address.as_str());
    Ok(page(&DeliveryPage {
        frame,
        badge: state(&delivery.state),
        kind,
        event: at.place.page(&format!("events/{}", delivery.event_id)),
        created: Time::new(&delivery.created_at),
        next: delivery.next_attempt_at.as_deref().map(Time::new),
        id: delivery.id,
        hook,
        rows,
    }))
}

/// A duration in milliseconds, or in seconds from one second on.
fn duration(micros: i64) -> String {
    match micros / 1000 {
        0 => "< 1 ms".to_owned(),
        millis @ 1..1000 => format!("{millis} ms"),
        millis => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration(200), "< 1 ms");
        assert_eq!(duration(6511), "6 ms");
        assert_eq!(duration(1_560_000), "1.5 s");
    }
}
