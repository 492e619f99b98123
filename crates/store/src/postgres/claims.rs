//! Claiming in PostgreSQL: one statement walks the hooks that are owed something, takes what is due under
//! `FOR UPDATE SKIP LOCKED`, leases it with a new fence, and reads the bodies.

use std::sync::atomic::Ordering;

use deadpool_postgres::Object;
use quickdraw_domain::delivery::Stage;
use quickdraw_domain::{DeliveryId, HookId, ObjectKey, Timestamp};

use super::Postgres;
use super::events::event_with_body;
use crate::columns;
use crate::deliveries::{Claim, Claimed, LEASED, OrderingQueue};
use crate::error::Result;
use crate::events::{BODY_COLUMN, EVENT_COLUMNS};

/// `$1` state, `$2` and `$3` hooks with less room than `$4`, `$5` now, `$6` how many, `$7` lease end, `$8` where the
/// walk starts. A hook with a million waiting deliveries costs the walk one step, because the recursion jumps from hook
/// to hook in the index. The order of the walk survives the lateral join, which goes on only until the limit is
/// reached.
const CLAIM: &str = "
    WITH RECURSIVE walk AS (
        (SELECT hook_id FROM deliveries WHERE state = $1 AND state < 2 AND leased_until IS NULL
         ORDER BY hook_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.hook_id FROM deliveries d WHERE d.state = $1 AND d.state < 2 AND d.leased_until IS NULL
                AND d.hook_id > w.hook_id ORDER BY d.hook_id LIMIT 1)
        FROM walk w WHERE w.hook_id IS NOT NULL),
    hooks_owed AS MATERIALIZED (
        SELECT w.hook_id, coalesce(r.room, $4) AS room FROM walk w JOIN hooks h ON h.id = w.hook_id
        LEFT JOIN UNNEST($2::bigint[], $3::bigint[]) AS r(hook_id, room) ON r.hook_id = w.hook_id
        WHERE coalesce(r.room, $4) > 0
        ORDER BY w.hook_id <= $8, w.hook_id),
    due AS MATERIALIZED (
        SELECT d.id FROM hooks_owed w CROSS JOIN LATERAL (
            SELECT id FROM deliveries d WHERE d.state = $1 AND d.state < 2 AND d.leased_until IS NULL
                AND d.hook_id = w.hook_id AND d.due_at <= $5
            ORDER BY d.due_at LIMIT w.room FOR UPDATE SKIP LOCKED) d
        LIMIT $6),
    leased AS (
        UPDATE deliveries d SET leased_until = $7, fence = d.fence + 1 FROM due WHERE d.id = due.id
        RETURNING d.id, d.hook_id, d.event_id, d.attempts, d.unknown, d.fence, d.object) ";

/// Reads what was leased, with its event. The order of columns is that of [`claimed`].
fn read_leased() -> String {
    let leased = LEASED.sql;
    format!("SELECT {EVENT_COLUMNS}, {BODY_COLUMN}, {leased} FROM leased l JOIN events e ON e.id = l.event_id")
}

impl Postgres {
    pub(super) async fn lease_one(&self, id: DeliveryId, lease_until: Timestamp) -> Result<Option<Claimed>> {
        let client = self.client().await?;
        let sql = format!(
            "WITH leased AS (
                UPDATE deliveries SET leased_until = $2, fence = fence + 1 WHERE id = $1 AND leased_until IS NULL
                RETURNING id, hook_id, attempts, unknown, fence, event_id, object) {}",
            read_leased()
        );
        let statement = client.prepare_cached(&sql).await?;
        let row = client.query_opt(&statement, &[&id.0, &lease_until.as_micros()]).await?;

        Ok(row.map(|row| claimed(&row, lease_until)))
    }

    pub(super) async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        let client = self.client().await?;
        let mut hook_limits = claim.hook_limits.clone();
        let mut claimed = self
            .claim_stage(&client, &claim, &hook_limits, Stage::Waiting, claim.first)
            .await?;
        for taken in &claimed {
            let room = hook_limits.entry(taken.hook).or_insert(claim.per_hook);
            *room = room.saturating_sub(1);
        }

        claimed.extend(
            self.claim_stage(&client, &claim, &hook_limits, Stage::Retrying, claim.retries)
                .await?,
        );

        Ok(claimed)
    }

    async fn claim_stage(
        &self,
        client: &Object,
        claim: &Claim,
        hook_limits: &std::collections::HashMap<HookId, usize>,
        stage: Stage,
        wanted: usize,
    ) -> Result<Vec<Claimed>> {
        if wanted == 0 {
            return Ok(Vec::new());
        }

        let (hooks, room): (Vec<i64>, Vec<i64>) = hook_limits
            .iter()
            .map(|(hook, room)| (hook.0, columns::limit(*room)))
            .unzip();

        let next = &self.next_hook[usize::from(stage == Stage::Retrying)];
        let sql = format!("{CLAIM}{}", read_leased());
        let statement = client.prepare_cached(&sql).await?;

        let rows = client
            .query(
                &statement,
                &[
                    &stage.code(),
                    &hooks,
                    &room,
                    &columns::limit(claim.per_hook),
                    &claim.now.as_micros(),
                    &columns::limit(wanted),
                    &claim.lease_until.as_micros(),
                    &next.load(Ordering::Relaxed),
                ],
            )
            .await?;
        let claimed: Vec<Claimed> = rows.iter().map(|row| claimed(row, claim.lease_until)).collect();

        // Only when the claim was cut short does it matter who is first next time.
        if claimed.len() == wanted {
            next.store(claimed.last().map_or(0, |last| last.hook.0), Ordering::Relaxed);
        } else {
            next.store(0, Ordering::Relaxed);
        }

        Ok(claimed)
    }
}

fn claimed(row: &tokio_postgres::Row, lease_until: Timestamp) -> Claimed {
    let hook = HookId(row.get(LEASED.hook_id));
    let (event, payload) = event_with_body(row);

    Claimed {
        delivery: DeliveryId(row.get(LEASED.id)),
        hook,
        tally: columns::tally(row.get(LEASED.attempts), row.get(LEASED.unknown)),
        fence: row.get(LEASED.fence),
        lease_until,
        event,
        payload,
        queue: row.get::<_, Option<i64>>(LEASED.object).map(|object| OrderingQueue {
            hook,
            object: ObjectKey(object),
        }),
    }
}
