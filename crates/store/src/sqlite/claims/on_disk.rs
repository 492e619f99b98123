//! Claims on disk: the table `leases`.

use quickdraw_domain::outcome::Outcome;
use quickdraw_domain::retry::Chance;
use quickdraw_domain::settle::{Occasion, Policies};
use quickdraw_domain::{DeliveryId, HookId, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use super::Lease;
use crate::columns;
use crate::deliveries::{Finished, Record, UNKNOWN};
use crate::error::Result;
use crate::sqlite::Tx;
use crate::sqlite::settle::finish;

/// Writes down that deliveries, which have had so many attempts, are about to be attempted; gives the number of the
/// claim.
pub(in crate::sqlite) fn write_claim(tx: &Tx<'_>, until: Timestamp, deliveries: &[(DeliveryId, u32)]) -> Result<i64> {
    let ids: Vec<u8> = deliveries
        .iter()
        .flat_map(|(delivery, _)| *delivery.0.as_bytes())
        .collect();

    let attempts: Vec<u8> = deliveries
        .iter()
        .flat_map(|(_, attempts)| attempts.to_le_bytes())
        .collect();

    tx.connection
        .prepare_cached("INSERT INTO leases (lease_until, deliveries, attempts) VALUES (?1, ?2, ?3)")?
        .execute((until.as_micros(), ids, attempts))?;
    Ok(tx.connection.last_insert_rowid())
}

pub(in crate::sqlite) fn forget_claim(connection: &Connection, claim: i64) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM leases WHERE claim = ?1")?
        .execute([claim])?;
    Ok(())
}

/// Takes over claims on disk that nobody in this process holds: their process died, or their commit was in doubt.
pub(in crate::sqlite) fn adopt(tx: &mut Tx<'_>, now: Timestamp, policies: &Policies) -> Result<usize> {
    let claims: Vec<(i64, Vec<u8>, Option<Vec<u8>>)> = tx
        .connection
        .prepare_cached("SELECT claim, deliveries, attempts FROM leases")?
        .query_map([], |row| {
            Ok((row.get("claim")?, row.get("deliveries")?, row.get("attempts")?))
        })?
        .collect::<rusqlite::Result<_>>()?;

    tx.claims.adopted = true;

    let mut count = 0;
    for (claim, ids, had) in claims {
        if tx.claims.knows(claim) {
            continue;
        }

        forget_claim(tx.connection, claim)?;

        let had = had.unwrap_or_default();
        let had = had
            .chunks_exact(4)
            .map(|four| four.try_into().map(u32::from_le_bytes).ok());

        let ids = ids
            .chunks_exact(16)
            .filter_map(|id| Uuid::from_slice(id).ok())
            .map(DeliveryId);

        for (id, had) in ids.zip(had.chain(std::iter::repeat(None))) {
            let owed = tx
                .connection
                .prepare_cached(
                    // One that has had more attempts by now was recorded, and so was one that is not owed any more.
                    "SELECT hook_id, attempts, unknown FROM deliveries
                     WHERE id = ?1 AND state < 2 AND (?2 IS NULL OR attempts = ?2)",
                )?
                .query_row((id.0, had), |row| {
                    Ok((HookId(row.get("hook_id")?), row.get("attempts")?, row.get("unknown")?))
                })
                .optional()?;
            let Some((hook, attempts, unknown_before)) = owed.filter(|_| !tx.claims.holds(id)) else {
                continue;
            };

            let lease = Lease {
                claim,
                hook,
                until: now,
                tally: columns::tally(attempts, unknown_before),
            };
            tx.claims.add(id, lease);
            finish(tx, &unknown(id, &lease, now), now, policies)?;
            count += 1;
        }
    }

    Ok(count)
}

/// The result of an attempt whose outcome nobody recorded.
pub(in crate::sqlite) fn unknown(delivery: DeliveryId, lease: &Lease, now: Timestamp) -> Finished {
    Finished {
        delivery,
        hook: lease.hook,
        // Of no consequence: an unknown outcome leaves the hook's health alone.
        is_system: true,
        fence: lease.claim,
        tally: lease.tally,
        outcome: Outcome::Unknown,
        occasion: Occasion::Usual,
        chance: Chance(0.0),
        retry: None,
        record: Record {
            started_at: now,
            error: Some(UNKNOWN.to_owned()),
            ..Record::default()
        },
    }
}
