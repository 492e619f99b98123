//! Picks the deliveries of a claim, and reads their events.

use quickdraw_domain::delivery::{Stage, Tally};
use quickdraw_domain::health::DisablePolicy;
use quickdraw_domain::retry::RetryPolicy;
use quickdraw_domain::settle::Policies;
use quickdraw_domain::{DeliveryId, EventId, HookId, ObjectKey};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::column_list::column_list;
use crate::columns;
use crate::deliveries::{Claim, Claimed, OrderingQueue};
use crate::error::{Error, Result};
use crate::events::{BODY_COLUMN, EVENT_COLUMNS};
use crate::sqlite::Tx;
use crate::sqlite::claims::{Lease, adopt, write_claim};
use crate::sqlite::rows::{self, scalar};

column_list! {
    /// Columns of `deliveries` that a claim reads.
    OWED: OwedColumns, "", [event_id, hook_id, attempts, unknown, object]
}

/// A delivery as a claim reads it.
pub(super) struct Owed {
    pub(super) event: EventId,
    pub(super) hook: HookId,
    pub(super) tally: Tally,
    pub(super) object: Option<i64>,
}

pub(super) fn read_owed() -> String {
    format!("SELECT {} FROM deliveries WHERE id = ?1", OWED.sql)
}

pub(super) fn owed(row: &Row<'_>) -> rusqlite::Result<Owed> {
    Ok(Owed {
        event: EventId(row.get(OWED.event_id)?),
        hook: HookId(row.get(OWED.hook_id)?),
        tally: columns::tally(row.get(OWED.attempts)?, row.get(OWED.unknown)?),
        object: row.get(OWED.object)?,
    })
}

pub(super) struct Picked {
    pub(super) delivery: DeliveryId,
    pub(super) event: EventId,
    pub(super) queue: Option<OrderingQueue>,
    pub(super) lease: Lease,
}

pub(super) fn queue_of(hook: HookId, object: Option<i64>) -> Option<OrderingQueue> {
    object.map(|object| OrderingQueue {
        hook,
        object: ObjectKey(object),
    })
}

/// Takes what is due, hook by hook: a hook with a million waiting deliveries costs the walk one step.
pub(super) fn pick(tx: &mut Tx<'_>, claim: &Claim) -> Result<Vec<Picked>> {
    if !tx.claims.adopted {
        // The result of an unknown outcome depends on no policy.
        adopt(
            tx,
            claim.now,
            &Policies {
                retry: RetryPolicy::gitlab(),
                disable: DisablePolicy::Off,
            },
        )?;
    }

    let mut taken = Vec::new();
    for (stage, wanted) in [(Stage::Waiting, claim.first), (Stage::Retrying, claim.retries)] {
        pick_stage(tx, claim, stage, wanted, &mut taken)?;
    }

    if taken.is_empty() {
        return Ok(Vec::new());
    }

    let mut read = tx.connection.prepare_cached(&read_owed())?;
    let mut picked = Vec::with_capacity(taken.len());

    for (delivery, hook) in taken {
        let Owed {
            event, tally, object, ..
        } = read.query_row([delivery.0], owed)?;
        let lease = Lease {
            claim: 0,
            hook,
            until: claim.lease_until,
            tally,
        };

        picked.push(Picked {
            delivery,
            event,
            queue: queue_of(hook, object),
            lease,
        });
    }

    let rows: Vec<_> = picked
        .iter()
        .map(|picked| (picked.delivery, picked.lease.tally.attempts))
        .collect();

    let number = write_claim(tx, claim.lease_until, &rows)?;
    for picked in &mut picked {
        picked.lease.claim = number;
    }

    for picked in &picked {
        tx.claims.add(picked.delivery, picked.lease);
    }

    Ok(picked)
}

fn pick_stage(
    tx: &mut Tx<'_>,
    claim: &Claim,
    stage: Stage,
    wanted: usize,
    taken: &mut Vec<(DeliveryId, HookId)>,
) -> Result<()> {
    let state = stage.code();
    let turn = usize::from(stage == Stage::Retrying);
    let mut next = tx.connection.prepare_cached(
        "SELECT hook_id FROM deliveries WHERE state = ?1 AND state < 2 AND hook_id > ?2 ORDER BY hook_id LIMIT 1",
    )?;

    let mut due = tx.connection.prepare_cached(
        "SELECT id FROM deliveries WHERE state = ?1 AND state < 2 AND hook_id = ?2 AND due_at <= ?3
         ORDER BY due_at LIMIT ?4",
    )?;

    let mut exists = tx.connection.prepare_cached("SELECT 1 FROM hooks WHERE id = ?1")?;
    let (start, before) = (tx.claims.next_hook[turn], taken.len());
    let (mut after, mut wrapped) = (start, false);

    while taken.len() - before < wanted {
        let hook: Option<i64> = next.query_row((state, after), scalar).optional()?;
        let Some(hook) = hook.filter(|hook| !wrapped || *hook <= start) else {
            if wrapped || start == 0 {
                break;
            }

            (after, wrapped) = (0, true);
            continue;
        };

        after = hook;
        tx.claims.next_hook[turn] = hook;

        let hook = HookId(hook);
        let in_flight = tx.claims.in_flight(hook);

        // Deliveries that this claim has taken for the hook in the other state count too.
        let taken_now = if turn == 1 {
            taken[..before].iter().filter(|(_, taken)| *taken == hook).count()
        } else {
            0
        };

        let room = claim
            .hook_limits
            .get(&hook)
            .copied()
            .unwrap_or(claim.per_hook)
            .saturating_sub(taken_now);
        let room = room.min(wanted - (taken.len() - before));
        if room == 0 || !exists.exists([hook.0])? {
            continue;
        }

        // Leased ones are still in the index and come first; there are never more than are in flight.
        let mut found = due.query((state, hook.0, claim.now.as_micros(), columns::limit(room + in_flight)))?;
        let mut left = room;

        while let (true, Some(row)) = (left > 0, found.next()?) {
            let id = DeliveryId(scalar(row)?);
            if !tx.claims.holds(id) {
                taken.push((id, hook));
                left -= 1;
            }
        }
    }

    Ok(())
}

pub(super) fn load(connection: &Connection, picked: Picked) -> Result<Claimed> {
    let sql = format!("SELECT {EVENT_COLUMNS}, {BODY_COLUMN} FROM events e WHERE e.id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement
        .query_row([picked.event.0], rows::event_with_body)
        .optional()?;
    let (event, payload) = found.ok_or(Error::Damaged("a delivery without its event"))?;

    let Lease {
        claim,
        hook,
        until,
        tally,
    } = picked.lease;

    let Picked { delivery, queue, .. } = picked;
    Ok(Claimed {
        delivery,
        hook,
        tally,
        fence: claim,
        lease_until: until,
        event,
        payload,
        queue,
    })
}
