//! Partitions by day of the two large tables. A day of events is a range of UUIDv7 keys, a day of attempts a range of
//! start times.

use quickdraw_domain::Timestamp;
use tokio_postgres::GenericClient;
use uuid::Uuid;

use super::scalar;
use crate::error::Result;

const DAY_SECONDS: i64 = 86_400;
/// Days for which room is made ahead: how long sweeping may fail before appending does.
const AHEAD: i64 = 7;

/// The smallest UUIDv7 of a point in time.
pub(super) fn uuid_at(seconds: i64) -> Uuid {
    let milliseconds = u64::try_from(seconds.max(0)).unwrap_or(0) * 1000;
    Uuid::from_u64_pair(milliseconds << 16, 0)
}

/// Makes the partitions from yesterday to a week ahead. The advisory lock keeps two nodes from making the same one.
pub(super) async fn prepare(client: &mut impl GenericClient, now: Timestamp) -> Result<()> {
    let today = now.as_seconds().div_euclid(DAY_SECONDS);
    let transaction = client.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&super::MIGRATION_LOCK])
        .await?;

    for day in today - 1..=today + AHEAD {
        let (from, to) = (day * DAY_SECONDS, (day + 1) * DAY_SECONDS);
        let micros = quickdraw_domain::time::SECOND;

        // Bounds cannot be parameters of such a statement; all of these are numbers of ours.
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS events_{day} PARTITION OF events FOR VALUES FROM ('{}') TO ('{}');
             CREATE TABLE IF NOT EXISTS attempts_{day} PARTITION OF attempts FOR VALUES FROM ({}) TO ({});",
            uuid_at(from),
            uuid_at(to),
            from * micros,
            to * micros,
        );
        transaction.batch_execute(&sql).await?;
    }

    transaction.commit().await?;
    Ok(())
}

/// Drops whole days that ended before a point and that nothing owed refers to. Returns how many tables went.
pub(super) async fn drop_before(client: &mut impl GenericClient, before: Timestamp) -> Result<usize> {
    let last = before.as_seconds().div_euclid(DAY_SECONDS);
    let rows = client
        .query(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
             WHERE p.relname IN ('events', 'attempts') AND p.relnamespace = current_schema()::regnamespace",
            &[],
        )
        .await?;

    let mut dropped = 0;
    for row in rows {
        let name: String = scalar(&row);
        let Some((table, day)) = name.split_once('_') else {
            continue;
        };
        let Ok(day) = day.parse::<i64>() else { continue };

        if day >= last {
            continue;
        }

        if table == "events" && is_needed(client, day).await? {
            continue;
        }

        client.batch_execute(&format!("DROP TABLE {name}")).await?;
        dropped += 1;
    }

    Ok(dropped)
}

/// Whether an event of the day is still owed to somebody or waits for a step. Deliveries share their event's time, so a
/// day of events is a day of deliveries; finished ones of that day have been deleted before.
async fn is_needed(client: &mut impl GenericClient, day: i64) -> Result<bool> {
    let (from, to) = (uuid_at(day * DAY_SECONDS), uuid_at((day + 1) * DAY_SECONDS));
    let sql = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE id >= $1 AND id < $2)
         OR EXISTS (SELECT 1 FROM fan_out_pending WHERE event_id >= $1 AND event_id < $2)
         OR EXISTS (SELECT 1 FROM projection_pending WHERE event_id >= $1 AND event_id < $2)";
    Ok(scalar(&client.query_one(sql, &[&from, &to]).await?))
}
