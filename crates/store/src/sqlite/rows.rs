//! Readers of rows that several files of this folder share.

use quickdraw_domain::event::Event;
use quickdraw_domain::{EventId, ObjectKey, Timestamp, Trigger};
use rusqlite::Row;
use rusqlite::types::FromSql;

use crate::columns;
use crate::events::{BODY, EVENT};
use crate::payload::Packed;

/// Reads the value of a row that has one column.
pub(super) fn scalar<T: FromSql>(row: &Row<'_>) -> rusqlite::Result<T> {
    row.get(0)
}

/// Reads a row that begins with [`EVENT`].
pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        id: EventId(row.get(EVENT.id)?),
        place: columns::place(row.get(EVENT.place_kind)?, row.get(EVENT.place_id)?),
        trigger: Trigger::by_code(row.get(EVENT.trigger_code)?),
        origin: columns::origin(row.get(EVENT.origin_kind)?, row.get(EVENT.origin_id)?),
        received_at: Timestamp::from_micros(row.get(EVENT.received_at)?),
        chain: row.get(EVENT.chain)?,
        git_ref: row.get(EVENT.git_ref)?,
        object: row.get::<_, Option<i64>>(EVENT.object)?.map(ObjectKey),
        sent_as: row.get(EVENT.sent_as)?,
        instance: row.get(EVENT.instance)?,
        duplicate_of: row.get::<_, Option<uuid::Uuid>>(EVENT.duplicate_of)?.map(EventId),
        unlisted: columns::read_unlisted(row.get::<_, Option<String>>(EVENT.filtered)?.as_deref()),
    })
}

/// Reads a row that begins with [`EVENT`] and [`BODY`].
pub(super) fn event_with_body(row: &Row<'_>) -> rusqlite::Result<(Event, Packed)> {
    Ok((event(row)?, Packed::from_stored(row.get(BODY.payload)?)))
}
