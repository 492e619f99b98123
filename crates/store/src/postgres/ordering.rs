//! Ordering queues in PostgreSQL: deliveries of one hook about one object, of which one at a time is attempted.

use quickdraw_domain::delivery::BLOCKED;
use quickdraw_domain::{HookId, ObjectKey, Timestamp};
use tokio_postgres::Row;

use super::Postgres;
use crate::deliveries::OrderingQueue;
use crate::error::Result;

/// Key of the advisory lock under which one node at a time advances queues: see `advance_queues`.
const LOCK: i64 = 0x006c_696e_6573;

impl Postgres {
    pub(super) async fn advance_queues(&self, queues: &[OrderingQueue], now: Timestamp) -> Result<()> {
        let (hooks, objects): (Vec<i64>, Vec<i64>) = queues.iter().map(|queue| (queue.hook.0, queue.object.0)).unzip();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        // Two nodes that look at once could each see another delivery at the head of a queue, so the second must look
        // when the first is done. The lock is a statement of its own, so that the view of the next statement begins
        // after it.
        transaction
            .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
            .await?;

        let statement = transaction
            .prepare_cached(
                "UPDATE deliveries d SET due_at = $4 FROM (
                    SELECT f.id, f.event_id FROM UNNEST($1::bigint[], $2::bigint[]) AS l(hook_id, object)
                    CROSS JOIN LATERAL (SELECT id, event_id, due_at FROM deliveries f
                        WHERE f.object IS NOT NULL AND f.state < 2 AND f.hook_id = l.hook_id AND f.object = l.object
                        ORDER BY f.due_at, f.event_id LIMIT 1) f
                    -- One that is not blocked comes before all that are.
                    WHERE f.due_at >= $3) f
                 WHERE d.id = f.id AND d.due_at >= $3 AND d.state < 2
                    AND NOT EXISTS (SELECT 1 FROM fan_out_pending p WHERE p.event_id < f.event_id)",
            )
            .await?;
        transaction
            .execute(&statement, &[&hooks, &objects, &BLOCKED, &now.as_micros()])
            .await?;
        transaction.commit().await?;

        Ok(())
    }

    pub(super) async fn blocked_queues(
        &self,
        after: Option<OrderingQueue>,
        number: usize,
    ) -> Result<(Vec<OrderingQueue>, Option<OrderingQueue>)> {
        let client = self.client().await?;

        // The look goes from queue to queue in the index, and does not read the deliveries of each.
        let statement = client
            .prepare_cached(
                "WITH RECURSIVE walk AS (
                    (SELECT hook_id, object, 1 AS step FROM deliveries WHERE object IS NOT NULL AND state < 2
                        AND (hook_id, object) > ($2, $3) ORDER BY hook_id, object LIMIT 1)
                    UNION ALL
                    SELECT n.hook_id, n.object, w.step + 1 FROM walk w CROSS JOIN LATERAL (
                        SELECT d.hook_id, d.object FROM deliveries d WHERE d.object IS NOT NULL AND d.state < 2
                            AND (d.hook_id, d.object) > (w.hook_id, w.object)
                        ORDER BY d.hook_id, d.object LIMIT 1) n WHERE w.step < $4)
                 SELECT w.hook_id, w.object, NOT EXISTS (SELECT 1 FROM deliveries d
                    WHERE d.object IS NOT NULL AND d.state < 2 AND d.hook_id = w.hook_id AND d.object = w.object
                        AND d.due_at < $1) AS is_blocked
                 FROM walk w ORDER BY w.step",
            )
            .await?;

        let from = after.map_or((i64::MIN, i64::MIN), |queue| (queue.hook.0, queue.object.0));
        let steps = i32::try_from(number).unwrap_or(i32::MAX);
        let rows = client.query(&statement, &[&BLOCKED, &from.0, &from.1, &steps]).await?;

        let queue = |row: &Row| OrderingQueue {
            hook: HookId(row.get("hook_id")),
            object: ObjectKey(row.get("object")),
        };
        let last = rows.last().filter(|_| rows.len() >= number).map(queue);
        Ok((
            rows.iter().filter(|row| row.get("is_blocked")).map(queue).collect(),
            last,
        ))
    }
}
