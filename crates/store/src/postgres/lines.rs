//! Lines in PostgreSQL: deliveries of one hook about one object, of which one at a time is attempted.

use quickdraw_domain::delivery::PARKED;
use quickdraw_domain::{HookId, ObjectKey};

use super::Postgres;
use crate::columns;
use crate::deliveries::Line;
use crate::error::Result;

impl Postgres {
    pub(super) async fn move_up_lines(&self, lines: &[Line]) -> Result<()> {
        let (hooks, objects): (Vec<i64>, Vec<i64>) = lines.iter().map(|line| (line.hook.0, line.object.0)).unzip();
        let client = self.client().await?;
        // Two nodes may see the same one at the head of a line. The second waits for the first one's row, finds that it is
        // no longer parked, and leaves it.
        let statement = client
            .prepare_cached(
                "UPDATE deliveries d SET due_at = d.due_at - $3 FROM (
                    SELECT f.id, f.event_id FROM UNNEST($1::bigint[], $2::bigint[]) AS l(hook_id, object)
                    CROSS JOIN LATERAL (SELECT id, event_id, due_at FROM deliveries f
                        WHERE f.object IS NOT NULL AND f.state < 2 AND f.hook_id = l.hook_id AND f.object = l.object
                        ORDER BY f.due_at, f.event_id LIMIT 1) f
                    -- One that is not parked comes before all that are.
                    WHERE f.due_at >= $3) f
                 WHERE d.id = f.id AND d.due_at >= $3 AND d.state < 2
                    AND NOT EXISTS (SELECT 1 FROM fan_out_pending p WHERE p.event_id < f.event_id)",
            )
            .await?;
        client.execute(&statement, &[&hooks, &objects, &PARKED]).await?;
        Ok(())
    }

    pub(super) async fn lines_that_wait(&self, limit: usize) -> Result<Vec<Line>> {
        let client = self.client().await?;
        // From line to line in the index, whatever waits in each.
        let statement = client
            .prepare_cached(
                "WITH RECURSIVE walk AS (
                    (SELECT hook_id, object FROM deliveries WHERE object IS NOT NULL AND state < 2
                     ORDER BY hook_id, object LIMIT 1)
                    UNION ALL
                    SELECT n.hook_id, n.object FROM walk w CROSS JOIN LATERAL (
                        SELECT d.hook_id, d.object FROM deliveries d WHERE d.object IS NOT NULL AND d.state < 2
                            AND (d.hook_id, d.object) > (w.hook_id, w.object)
                        ORDER BY d.hook_id, d.object LIMIT 1) n)
                 SELECT w.hook_id, w.object FROM walk w WHERE NOT EXISTS (SELECT 1 FROM deliveries d
                    WHERE d.object IS NOT NULL AND d.state < 2 AND d.hook_id = w.hook_id AND d.object = w.object
                        AND d.due_at < $1)
                 LIMIT $2",
            )
            .await?;
        let rows = client.query(&statement, &[&PARKED, &columns::limit(limit)]).await?;
        Ok(rows.iter().map(|row| Line { hook: HookId(row.get(0)), object: ObjectKey(row.get(1)) }).collect())
    }
}
