//! Replays of skipped events: deliveries are made for hooks that did not get an event, for example in silent mode.

use bytes::Bytes;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::replay::{Filter, Missed};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{DeliveryId, EventId};
use quickdraw_store::events::FannedOut;
use quickdraw_store::replays::{Later, Replay, Skipped, Step};
use uuid::Uuid;

use super::{MAX_PREVIEWED, PAGES, Preview, allowed, is_within, look};
use crate::context::Context;
use crate::journal::Journal;

/// Advances a replay of skipped events. It goes from event to event, and the last event of a step may exceed the
/// rate by its hooks.
pub(super) async fn advance(journal: &Journal, replay: Replay, reason: SkipReason) -> anyhow::Result<()> {
    let now = journal.context.clock.now();
    let mut allowed = allowed(&replay, now);
    let mut cursor = replay.cursor;

    for _ in 0..PAGES {
        if allowed == 0 {
            break;
        }

        let page = page(&journal.context, &replay.filter, reason, cursor).await?;
        let selected = select(&journal.context, &replay.filter, replay.scope, &page).await?;
        let (mut made, mut scanned, mut last): (Vec<Later>, _, _) = (Vec::new(), 0, cursor);
        let mut count = 0;

        for (skipped, is_selected) in page.iter().zip(selected) {
            let event = DeliveryId(skipped.event.id.0);
            if event != last && count >= allowed {
                break;
            }

            (scanned, last) = (scanned + 1, event);
            if is_selected {
                count += 1;
                add(&journal.context, &mut made, skipped);
            }
        }

        allowed = allowed.saturating_sub(count);

        let finished = page.is_empty();
        let step = Step {
            replay: replay.id,
            from: cursor,
            to: last,
            scanned,
            selected: Vec::new(),
            made,
            finished,
        };
        if journal.context.store.advance_replay(step, now).await? > 0 {
            journal.scheduler.scan_queues();
            journal.context.wakes.deliver.notify_one();
        }

        if finished {
            tracing::info!(replay.id = replay.id, "replay {} has come to its end", replay.id);
            break;
        }

        cursor = last;
    }

    Ok(())
}

/// Counts the deliveries that a replay of skipped events would make.
pub(super) async fn preview(
    journal: &Journal,
    filter: &Filter,
    scope: Scope,
    reason: SkipReason,
) -> anyhow::Result<Preview> {
    let (mut matched, mut scanned, mut cursor) = (0, 0, DeliveryId(Uuid::nil()));
    while scanned < MAX_PREVIEWED {
        let page = page(&journal.context, filter, reason, cursor).await?;
        let selected = select(&journal.context, filter, scope, &page).await?;
        matched += selected.into_iter().filter(|is_selected| *is_selected).count();
        scanned += page.len();

        let Some(last) = page.last() else {
            return Ok(Preview {
                matched,
                complete: true,
            });
        };

        cursor = DeliveryId(last.event.id.0);
        tokio::task::yield_now().await;
    }

    Ok(Preview {
        matched,
        complete: false,
    })
}

async fn page(
    context: &Context,
    filter: &Filter,
    reason: SkipReason,
    after: DeliveryId,
) -> anyhow::Result<Vec<Skipped>> {
    Ok(context.store.skipped(look(filter, after), reason).await?)
}

/// Adds a delivery to those that a step makes. The hooks of an event follow each other.
fn add(context: &Context, made: &mut Vec<Later>, skipped: &Skipped) {
    if made.last().is_none_or(|later| later.event.id != skipped.event.id) {
        made.push(Later {
            event: skipped.event.clone(),
            audience: FannedOut::default(),
        });
    }

    let Some(later) = made.last_mut() else { return };
    later.audience.deliver.push(skipped.hook);

    let is_ordered = context.index().hook(skipped.hook).is_some_and(|hook| hook.ordered);
    if is_ordered && skipped.event.object.is_some() {
        later.audience.in_order.push(skipped.hook);
    }
}

/// Whether the filter selects each of the skipped events. Hooks that are gone get nothing. One body at a time is in
/// memory.
async fn select(context: &Context, filter: &Filter, scope: Scope, page: &[Skipped]) -> anyhow::Result<Vec<bool>> {
    let mut selected = Vec::with_capacity(page.len());
    let mut read: Option<(EventId, Bytes)> = None;

    for skipped in page {
        let id = skipped.event.id;
        if filter.text.is_some() && read.as_ref().is_none_or(|(known, _)| *known != id) {
            let found = context.store.find_event(id).await?;
            let body = found.and_then(|(_, payload)| payload.unpack().ok());
            read = Some((id, body.unwrap_or_default()));
        }

        let missed = Missed {
            event: &skipped.event,
            hook: skipped.hook,
            body: read.as_ref().map(|(_, body)| &body[..]),
        };
        let is_within = is_within(context, filter, scope, skipped.hook, skipped.event.place);
        selected.push(is_within && filter.chooses_missed(missed));
    }

    Ok(selected)
}
