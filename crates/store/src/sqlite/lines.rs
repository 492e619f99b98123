//! Lines in SQLite: deliveries of one hook about one object, of which one at a time is attempted.

use quickdraw_domain::delivery::BLOCKED;
use quickdraw_domain::{HookId, ObjectKey, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use crate::deliveries::Line;
use crate::error::Result;

/// Somebody of this line is being attempted, or waits for a try.
const BUSY: &str = "SELECT 1 FROM deliveries WHERE object IS NOT NULL AND state < 2 AND hook_id = ?1 AND object = ?2
    AND due_at < ?3";

pub(super) fn move_up(connection: &Connection, lines: &[Line], now: Timestamp) -> Result<()> {
    let mut busy = connection.prepare_cached(BUSY)?;
    let mut first = connection.prepare_cached(
        "UPDATE deliveries SET due_at = ?3 WHERE id =
           (SELECT id FROM deliveries WHERE object IS NOT NULL AND state < 2 AND hook_id = ?1 AND object = ?2
            ORDER BY due_at, event_id LIMIT 1)
         AND NOT EXISTS (SELECT 1 FROM fan_out_pending p WHERE p.event_id < deliveries.event_id)",
    )?;
    for line in lines {
        if !busy.exists((line.hook.0, line.object.0, BLOCKED))? {
            first.execute((line.hook.0, line.object.0, now.as_micros()))?;
        }
    }
    Ok(())
}

pub(super) fn waiting(
    connection: &Connection,
    after: Option<Line>,
    number: usize,
) -> Result<(Vec<Line>, Option<Line>)> {
    // From line to line in the index, whatever waits in each.
    let mut next = connection.prepare_cached(
        "SELECT hook_id, object FROM deliveries WHERE object IS NOT NULL AND state < 2
         AND (hook_id, object) > (?1, ?2) ORDER BY hook_id, object LIMIT 1",
    )?;
    let mut busy = connection.prepare_cached(BUSY)?;
    let (mut lines, mut last) = (Vec::new(), after);
    for _ in 0..number {
        let from = last.map_or((i64::MIN, i64::MIN), |line| (line.hook.0, line.object.0));
        let Some((hook, object)) =
            next.query_row(from, |row| Ok((row.get("hook_id")?, row.get("object")?))).optional()?
        else {
            return Ok((lines, None));
        };
        let line = Line { hook: HookId(hook), object: ObjectKey(object) };
        last = Some(line);
        if !busy.exists((hook, object, BLOCKED))? {
            lines.push(line);
        }
    }
    Ok((lines, last))
}
