//! Replays in PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::State;
use quickdraw_domain::replay::Progress;
use quickdraw_domain::{DeliveryId, HookId, Timestamp};
use tokio_postgres::Row;
use uuid::Uuid;

use super::events::event;
use super::ingest::Owed;
use super::{Postgres, partitions, scalar};
use crate::columns;
use crate::deliveries::blocked_at;
use crate::error::Result;
use crate::events::{BODY, EVENT_COLUMNS};
use crate::payload::Packed;
use crate::replays::{
    COLUMNS, Candidate, Later, Look, NewReplay, Replay, ReplayFilter, Replays, Results, Skipped, Step, filter,
    filter_text, last_delivery, named,
};

/// Groups of the requested scope, from the top down.
const WITHIN: &str = "WITH RECURSIVE below (id) AS (SELECT $2::bigint UNION
    SELECT g.id FROM groups g JOIN below b ON g.parent_id = b.id)";

/// Whether a replay belongs to the requested scope. Without a project and a group, all do.
const IS_WITHIN: &str =
    "($1::bigint IS NULL AND $2::bigint IS NULL OR project_id = $1::bigint OR group_id IN (SELECT id FROM below)
    OR project_id IN (SELECT p.id FROM projects p JOIN below b ON p.group_id = b.id))";

/// Whether a replay of an administrator, which belongs to the instance, names the requested project or group, or one in
/// it.
const IS_ABOUT: &str = "(project_id IS NULL AND group_id IS NULL AND ((filter::json ->> 'project')::bigint = $1
    OR (filter::json ->> 'group')::bigint IN (SELECT id FROM below)
    OR (filter::json ->> 'project')::bigint IN (SELECT p.id FROM projects p JOIN below b ON p.group_id = b.id)))";

/// Whether a hook belongs to the requested scope. Without a project and a group, all do.
const IS_HOOK_WITHIN: &str = "($1::bigint IS NULL AND $2::bigint IS NULL OR hook_id IN (SELECT h.id FROM hooks h
    WHERE h.project_id = $1::bigint OR h.group_id IN (SELECT id FROM below)
        OR h.project_id IN (SELECT p.id FROM projects p JOIN below b ON p.group_id = b.id)))";

#[async_trait]
impl Replays for Postgres {
    async fn create_replay(&self, new: NewReplay, now: Timestamp) -> Result<Replay> {
        let text = filter_text(&new.filter)?;
        let (project, group) = columns::scope_columns(new.scope);
        let sql = format!(
            "INSERT INTO replays (created_by, created_at, filter, rate, progress, cursor, advanced_at, scanned, replayed,
                project_id, group_id)
             VALUES ($1, $2, $3, $4, 0, $5, $2, 0, 0, $6, $7) RETURNING {COLUMNS}"
        );

        let client = self.client().await?;
        let row = client
            .query_one(
                &sql,
                &[
                    &new.created_by,
                    &now.as_micros(),
                    &text,
                    &new.rate,
                    &Uuid::nil(),
                    &project,
                    &group,
                ],
            )
            .await?;
        replay(&row)
    }

    async fn find_replay(&self, id: i64) -> Result<Option<Replay>> {
        let sql = format!("SELECT {COLUMNS} FROM replays WHERE id = $1");
        self.client()
            .await?
            .query_opt(&sql, &[&id])
            .await?
            .as_ref()
            .map(replay)
            .transpose()
    }

    async fn replay_results(&self, replay: Replay) -> Result<Results> {
        let client = self.client().await?;
        let named = named(&replay.filter, |id| format!("'{id}'"));
        let sql = format!(
            "{WITHIN} SELECT count(*) FILTER (WHERE state = 2 AND finished_at >= $5) AS delivered,
                count(*) FILTER (WHERE state = 3 AND finished_at >= $5) AS given_up,
                count(*) FILTER (WHERE state < 2) AS pending
             FROM deliveries WHERE id > $3 AND id <= $4 AND ($6::bigint IS NULL OR hook_id = $6){named}
                AND {IS_HOOK_WITHIN}"
        );
        let (project, group) = columns::scope_columns(replay.scope);
        // The named deliveries are part of the text, so the statement is not cached.
        let statement = client.prepare(&sql).await?;
        let after = partitions::uuid_at(replay.filter.begin().as_seconds());
        let began = replay.created_at.as_micros();
        let row = client
            .query_one(
                &statement,
                &[
                    &project,
                    &group,
                    &after,
                    &last_delivery(&replay),
                    &began,
                    &replay.filter.hook,
                ],
            )
            .await?;

        Ok(Results {
            delivered: row.get("delivered"),
            given_up: row.get("given_up"),
            pending: row.get("pending"),
        })
    }

    async fn list_replays(&self, asked: ReplayFilter) -> Result<Vec<Replay>> {
        let only = asked.conditions();
        let within = asked.within(IS_WITHIN, IS_ABOUT);
        let sql = format!(
            "{WITHIN} SELECT {COLUMNS} FROM replays WHERE id < $3{only} AND {within} ORDER BY id DESC LIMIT $4"
        );
        let (project, group) = columns::scope_columns(asked.within);
        let before = asked.before.unwrap_or(i64::MAX);
        let client = self.client().await?;
        // The times are part of the text, so the statement is not cached.
        let rows = client
            .query(&sql, &[&project, &group, &before, &columns::limit(asked.limit)])
            .await?;

        rows.iter().map(replay).collect()
    }

    async fn set_progress(&self, id: i64, progress: Progress, now: Timestamp) -> Result<Option<Replay>> {
        let finished = (progress == Progress::Cancelled).then(|| now.as_micros());
        let sql = format!(
            "UPDATE replays SET progress = $2, finished_at = $3, advanced_at = $4 WHERE id = $1 AND progress < 2
             RETURNING {COLUMNS}"
        );

        let client = self.client().await?;
        let row = client
            .query_opt(&sql, &[&id, &progress.code(), &finished, &now.as_micros()])
            .await?;
        row.as_ref().map(replay).transpose()
    }

    async fn candidates(&self, look: Look) -> Result<Vec<Candidate>> {
        let payload = if look.bodies { "e.payload" } else { "NULL::bytea" };
        let sql = format!(
            "SELECT {EVENT_COLUMNS}, {payload} AS payload, d.id AS delivery_id, d.hook_id, d.state,
                (SELECT a.status FROM attempts a WHERE a.delivery_id = d.id ORDER BY a.id DESC LIMIT 1) AS status
             FROM (SELECT * FROM deliveries WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) d
             CROSS JOIN LATERAL (SELECT * FROM events WHERE id = d.event_id) e ORDER BY d.id"
        );

        let after = look.after.0.max(partitions::uuid_at(look.from.as_seconds()));
        let before = partitions::uuid_at(look.to.plus(Duration::from_secs(1)).as_seconds());
        let client = self.client().await?;
        let statement = client.prepare_cached(&sql).await?;
        let rows = client
            .query(&statement, &[&after, &before, &columns::limit(look.limit)])
            .await?;

        let candidate = |row: &Row| Candidate {
            delivery: DeliveryId(row.get("delivery_id")),
            hook: HookId(row.get("hook_id")),
            state: State::from_code(row.get("state"), Timestamp::default()),
            status: row
                .get::<_, Option<i16>>("status")
                .and_then(|status| u16::try_from(status).ok()),
            payload: row.get::<_, Option<Vec<u8>>>(BODY.payload).map(Packed::from_stored),
            event: event(row),
        };
        Ok(rows.iter().map(candidate).collect())
    }

    async fn skipped(&self, look: Look, reason: SkipReason) -> Result<Vec<Skipped>> {
        let sql = format!(
            "SELECT {EVENT_COLUMNS}, s.hook_id
             FROM (SELECT DISTINCT event_id FROM skips WHERE event_id > $1 AND event_id < $2 AND reason = $3
                 ORDER BY event_id LIMIT $4) p
             CROSS JOIN LATERAL (SELECT * FROM events WHERE id = p.event_id) e
             JOIN skips s ON s.event_id = p.event_id AND s.reason = $3
             ORDER BY e.id, s.hook_id"
        );

        let after = look.after.0.max(partitions::uuid_at(look.from.as_seconds()));
        let before = partitions::uuid_at(look.to.plus(Duration::from_secs(1)).as_seconds());
        let client = self.client().await?;
        let statement = client.prepare_cached(&sql).await?;
        let rows = client
            .query(
                &statement,
                &[&after, &before, &reason.code(), &columns::limit(look.limit)],
            )
            .await?;

        let skipped = |row: &Row| Skipped {
            hook: HookId(row.get("hook_id")),
            event: event(row),
        };
        Ok(rows.iter().map(skipped).collect())
    }

    async fn advance_replay(&self, step: Step, now: Timestamp) -> Result<usize> {
        let progress = if step.finished {
            Progress::Finished
        } else {
            Progress::Running
        };

        let selected: Vec<Uuid> = step.selected.iter().map(|delivery| delivery.0).collect();
        let blocked: Vec<i64> = step.selected.iter().map(|delivery| blocked_at(*delivery)).collect();
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;

        let moved = transaction
            .execute(
                "UPDATE replays SET cursor = $3, scanned = scanned + $4, progress = $5,
                    advanced_at = CASE WHEN $6 THEN $7 ELSE advanced_at END,
                    finished_at = CASE WHEN $5::smallint = 2 THEN $7 END
                 WHERE id = $1 AND cursor = $2 AND progress = 0",
                &[
                    &step.replay,
                    &step.from.0,
                    &step.to.0,
                    &columns::limit(step.scanned),
                    &progress.code(),
                    &!(selected.is_empty() && step.made.is_empty()),
                    &now.as_micros(),
                ],
            )
            .await?;
        if moved == 0 {
            return Ok(0);
        }

        let due = transaction
            .query_one(
                "WITH due AS (
                    -- Where events are wanted in order, it goes back to its place among what waits.
                    UPDATE deliveries d SET state = 0, unknown = attempts, finished_at = NULL,
                        due_at = CASE WHEN object IS NULL THEN $2 ELSE c.blocked_at END
                    FROM UNNEST($1::uuid[], $3::bigint[]) AS c(id, blocked_at)
                    WHERE d.id = c.id AND d.state IN (2, 3) AND d.leased_until IS NULL
                    RETURNING d.event_id, d.hook_id),
                 unskipped AS (DELETE FROM skips s USING due d WHERE s.event_id = d.event_id AND s.hook_id = d.hook_id)
                 SELECT count(*) FROM due",
                &[&selected, &now.as_micros(), &blocked],
            )
            .await?;
        let mut due = usize::try_from(scalar::<i64>(&due)).unwrap_or(usize::MAX);
        due += make(&transaction, &step.made, now).await?;

        let sql = "UPDATE replays SET replayed = replayed + $2 WHERE id = $1";
        transaction.execute(sql, &[&step.replay, &columns::limit(due)]).await?;
        transaction.commit().await?;

        if due > 0 {
            self.notify(&client, "deliver").await;
        }

        Ok(due)
    }
}

/// Makes the deliveries of events that hooks did not get, and removes their skip reasons. Returns the number of new
/// deliveries.
async fn make(transaction: &Transaction<'_>, made: &[Later], now: Timestamp) -> Result<usize> {
    if made.is_empty() {
        return Ok(0);
    }

    let mut owed = Owed::default();
    let mut chains: Vec<Option<Uuid>> = Vec::new();
    for later in made {
        for hook in &later.audience.deliver {
            owed.push(&later.event, *hook, &later.audience.in_order, None);
            chains.push(later.event.chain);
        }
    }

    // DO NOTHING: the id is a function of event and hook, so a repeated step changes nothing.
    let sql = "WITH told AS (DELETE FROM skips s USING UNNEST($3::uuid[], $4::bigint[]) AS m(event_id, hook_id)
             WHERE s.event_id = m.event_id AND s.hook_id = m.hook_id),
         chained AS (INSERT INTO chains
             SELECT DISTINCT chain, hook_id, $1::bigint FROM UNNEST($7::uuid[], $4::bigint[]) AS f(chain, hook_id)
             WHERE chain IS NOT NULL ORDER BY 1, 2
             ON CONFLICT (chain, hook_id) DO UPDATE SET fired_at = excluded.fired_at)
         INSERT INTO deliveries (id, event_id, hook_id, state, due_at, attempts, unknown, created_at, object)
         SELECT id, event_id, hook_id, 0, coalesce(blocked_at, $1), 0, 0, $1, object
         FROM UNNEST($2::uuid[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[])
             AS d(id, event_id, hook_id, blocked_at, object)
         ON CONFLICT DO NOTHING";
    let new = transaction
        .execute(
            sql,
            &[
                &now.as_micros(),
                &owed.ids,
                &owed.events,
                &owed.hooks,
                &owed.blocked_at,
                &owed.objects,
                &chains,
            ],
        )
        .await?;

    Ok(usize::try_from(new).unwrap_or(usize::MAX))
}

fn replay(row: &Row) -> Result<Replay> {
    Ok(Replay {
        id: row.get("id"),
        created_by: row.get("created_by"),
        created_at: Timestamp::from_micros(row.get("created_at")),
        scope: columns::scope(row.get("project_id"), row.get("group_id")),
        filter: filter(row.get("filter"))?,
        rate: row.get("rate"),
        progress: Progress::from_code(row.get("progress")),
        cursor: DeliveryId(row.get("cursor")),
        advanced_at: Timestamp::from_micros(row.get("advanced_at")),
        scanned: row.get("scanned"),
        replayed: row.get("replayed"),
        finished_at: row.get::<_, Option<i64>>("finished_at").map(Timestamp::from_micros),
    })
}
