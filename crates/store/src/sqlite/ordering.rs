//! Ordering queues in SQLite: deliveries of one hook about one object, of which one at a time is attempted.

use quickdraw_domain::delivery::BLOCKED;
use quickdraw_domain::{HookId, ObjectKey, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use crate::deliveries::OrderingQueue;
use crate::error::Result;

/// A delivery of this queue is being attempted, or waits for its next attempt.
const BUSY: &str = "SELECT 1 FROM deliveries WHERE object IS NOT NULL AND state < 2 AND hook_id = ?1 AND object = ?2
    AND due_at < ?3";

pub(super) fn advance(connection: &Connection, queues: &[OrderingQueue], now: Timestamp) -> Result<()> {
    let mut busy = connection.prepare_cached(BUSY)?;
    let mut first = connection.prepare_cached(
        "UPDATE deliveries SET due_at = ?3 WHERE id =
           (SELECT id FROM deliveries WHERE object IS NOT NULL AND state < 2 AND hook_id = ?1 AND object = ?2
            ORDER BY due_at, event_id LIMIT 1)
         AND NOT EXISTS (SELECT 1 FROM fan_out_pending p WHERE p.event_id < deliveries.event_id)",
    )?;

    for queue in queues {
        if !busy.exists((queue.hook.0, queue.object.0, BLOCKED))? {
            first.execute((queue.hook.0, queue.object.0, now.as_micros()))?;
        }
    }

    Ok(())
}

pub(super) fn blocked(
    connection: &Connection,
    after: Option<OrderingQueue>,
    number: usize,
) -> Result<(Vec<OrderingQueue>, Option<OrderingQueue>)> {
    // The look goes from queue to queue in the index, and does not read the deliveries of each.
    let mut next = connection.prepare_cached(
        "SELECT hook_id, object FROM deliveries WHERE object IS NOT NULL AND state < 2
         AND (hook_id, object) > (?1, ?2) ORDER BY hook_id, object LIMIT 1",
    )?;

    let mut busy = connection.prepare_cached(BUSY)?;
    let (mut queues, mut last) = (Vec::new(), after);

    for _ in 0..number {
        let from = last.map_or((i64::MIN, i64::MIN), |queue| (queue.hook.0, queue.object.0));
        let Some((hook, object)) = next
            .query_row(from, |row| Ok((row.get("hook_id")?, row.get("object")?)))
            .optional()?
        else {
            return Ok((queues, None));
        };

        let queue = OrderingQueue {
            hook: HookId(hook),
            object: ObjectKey(object),
        };
        last = Some(queue);

        if !busy.exists((hook, object, BLOCKED))? {
            queues.push(queue);
        }
    }

    Ok((queues, last))
}
