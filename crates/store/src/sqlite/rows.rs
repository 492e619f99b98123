//! How rows become things: the shapes that several files of this folder share.

use quickdraw_domain::event::Event;
use quickdraw_domain::{EventId, ObjectKey, Timestamp, Trigger};
use rusqlite::Row;

use crate::columns;

/// The columns that [`event`] reads, in its order.
pub(super) const EVENT_COLUMNS: &str =
    "e.id, e.place_kind, e.place_id, e.trigger_code, e.origin_kind, e.origin_id, e.received_at, e.chain, e.git_ref,
    e.object, e.sent_as, e.instance, e.duplicate_of,
    e.filtered";

/// Reads [`EVENT_COLUMNS`] from the row's column `at` on.
pub(super) fn event(row: &Row<'_>, at: usize) -> rusqlite::Result<Event> {
    Ok(Event {
        id: EventId(row.get(at)?),
        place: columns::place(row.get(at + 1)?, row.get(at + 2)?),
        trigger: Trigger::by_code(row.get(at + 3)?),
        origin: columns::origin(row.get(at + 4)?, row.get(at + 5)?),
        received_at: Timestamp::from_micros(row.get(at + 6)?),
        chain: row.get(at + 7)?,
        git_ref: row.get(at + 8)?,
        object: row.get::<_, Option<i64>>(at + 9)?.map(ObjectKey),
        sent_as: row.get(at + 10)?,
        instance: row.get(at + 11)?,
        duplicate_of: row.get::<_, Option<uuid::Uuid>>(at + 12)?.map(EventId),
        unlisted: columns::read_unlisted(row.get::<_, Option<String>>(at + 13)?.as_deref()),
    })
}
