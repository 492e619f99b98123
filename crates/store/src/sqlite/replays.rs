//! Replays in SQLite.

use async_trait::async_trait;
use quickdraw_domain::audience::SkipReason;
use quickdraw_domain::delivery::State;
use quickdraw_domain::replay::Progress;
use quickdraw_domain::{DeliveryId, HookId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use super::Sqlite;
use super::events::{edge, write_audience};
use super::rows;
use crate::columns;
use crate::deliveries::blocked_at;
use crate::error::Result;
use crate::events::{BODY, EVENT_COLUMNS};
use crate::payload::Packed;
use crate::replays::{
    COLUMNS, Candidate, Look, NewReplay, Replay, ReplayFilter, Replays, Results, Skipped, Step, filter, filter_text,
    last_delivery, named,
};

/// Groups of the requested scope, from the top down.
const WITHIN: &str = "WITH RECURSIVE below (id) AS (SELECT ?2 UNION
    SELECT g.id FROM groups g JOIN below b ON g.parent_id = b.id)";

/// Whether a replay belongs to the requested scope. Without a project and a group, all do.
const IS_WITHIN: &str = "(?1 IS NULL AND ?2 IS NULL OR project_id = ?1 OR group_id IN (SELECT id FROM below)
    OR project_id IN (SELECT p.id FROM projects p JOIN below b ON p.group_id = b.id))";

/// Whether a replay of an administrator, which belongs to the instance, names the requested project or group, or one in
/// it.
const IS_ABOUT: &str = "(project_id IS NULL AND group_id IS NULL AND (filter ->> '$.project' = ?1
    OR filter ->> '$.group' IN (SELECT id FROM below)
    OR filter ->> '$.project' IN (SELECT p.id FROM projects p JOIN below b ON p.group_id = b.id)))";

/// Whether a hook belongs to the requested scope. Without a project and a group, all do.
const IS_HOOK_WITHIN: &str = "(?1 IS NULL AND ?2 IS NULL OR hook_id IN (SELECT h.id FROM hooks h
    WHERE h.project_id = ?1 OR h.group_id IN (SELECT id FROM below)
        OR h.project_id IN (SELECT p.id FROM projects p JOIN below b ON p.group_id = b.id)))";

#[async_trait]
impl Replays for Sqlite {
    async fn create_replay(&self, new: NewReplay, now: Timestamp) -> Result<Replay> {
        let text = filter_text(&new.filter)?;
        let (project, group) = columns::scope_columns(new.scope);
        self.write(move |tx| {
            let sql = format!(
                "INSERT INTO replays (created_by, created_at, filter, rate, progress, cursor, advanced_at, scanned, replayed,
                    project_id, group_id)
                 VALUES (?1, ?2, ?3, ?4, 0, ?5, ?2, 0, 0, ?6, ?7) RETURNING {COLUMNS}"
            );

            let parameters = (
                new.created_by,
                now.as_micros(),
                text,
                new.rate,
                Uuid::nil(),
                project,
                group,
            );
            tx.connection.prepare_cached(&sql)?.query_row(parameters, |row| Ok(replay(row)))?
        })
        .await
    }

    async fn find_replay(&self, id: i64) -> Result<Option<Replay>> {
        self.read(move |connection| find(connection, id)).await
    }

    async fn replay_results(&self, replay: Replay) -> Result<Results> {
        self.read(move |connection| {
            let named = named(&replay.filter, |id| format!("x'{}'", id.simple()));
            // The named deliveries are part of the text, so the statement is not cached.
            let mut statement = connection.prepare(&format!(
                "{WITHIN} SELECT count(*) FILTER (WHERE state = 2 AND finished_at >= ?5) AS delivered,
                    count(*) FILTER (WHERE state = 3 AND finished_at >= ?5) AS given_up,
                    count(*) FILTER (WHERE state < 2) AS pending
                 FROM deliveries WHERE id > ?3 AND id <= ?4 AND (?6 IS NULL OR hook_id = ?6){named}
                     AND {IS_HOOK_WITHIN}"
            ))?;

            let (after, last) = (edge(replay.filter.begin()), last_delivery(&replay));
            let (project, group) = columns::scope_columns(replay.scope);
            let began = replay.created_at.as_micros();
            let parameters = (project, group, after, last, began, replay.filter.hook);

            let counted = statement.query_row(parameters, |row| {
                Ok(Results {
                    delivered: row.get("delivered")?,
                    given_up: row.get("given_up")?,
                    pending: row.get("pending")?,
                })
            })?;
            Ok(counted)
        })
        .await
    }

    async fn list_replays(&self, asked: ReplayFilter) -> Result<Vec<Replay>> {
        self.read(move |connection| {
            let only = asked.conditions();
            let within = asked.within(IS_WITHIN, IS_ABOUT);
            let sql = format!(
                "{WITHIN} SELECT {COLUMNS} FROM replays WHERE id < ?3{only} AND {within} ORDER BY id DESC LIMIT ?4"
            );
            // The times are part of the text, so the statement is not cached.
            let mut statement = connection.prepare(&sql)?;
            let (project, group) = columns::scope_columns(asked.within);
            let parameters = (
                project,
                group,
                asked.before.unwrap_or(i64::MAX),
                columns::limit(asked.limit),
            );

            statement
                .query_map(parameters, |row| Ok(replay(row)))?
                .map(|row| row?)
                .collect()
        })
        .await
    }

    async fn set_progress(&self, id: i64, progress: Progress, now: Timestamp) -> Result<Option<Replay>> {
        self.write(move |tx| {
            let finished = (progress == Progress::Cancelled).then(|| now.as_micros());
            let sql =
                "UPDATE replays SET progress = ?2, finished_at = ?3, advanced_at = ?4 WHERE id = ?1 AND progress < 2";
            let parameters = (id, progress.code(), finished, now.as_micros());
            if tx.connection.prepare_cached(sql)?.execute(parameters)? == 0 {
                return Ok(None);
            }

            find(tx.connection, id)
        })
        .await
    }

    async fn candidates(&self, look: Look) -> Result<Vec<Candidate>> {
        self.read(move |connection| {
            let payload = if look.bodies { "e.payload" } else { "NULL" };
            let sql = format!(
                "SELECT {EVENT_COLUMNS}, {payload} AS payload, d.id AS delivery_id, d.hook_id, d.state,
                    (SELECT a.status FROM attempts a WHERE a.delivery_id = d.id ORDER BY a.id DESC LIMIT 1) AS status
                 FROM (SELECT * FROM deliveries WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3) d
                 JOIN events e ON e.id = d.event_id ORDER BY d.id"
            );

            let (after, before) = (
                look.after.0.max(edge(look.from)),
                edge(look.to.plus(std::time::Duration::from_secs(1))),
            );

            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map((after, before, columns::limit(look.limit)), |row| {
                Ok(Candidate {
                    delivery: DeliveryId(row.get("delivery_id")?),
                    hook: HookId(row.get("hook_id")?),
                    state: State::from_code(row.get("state")?, Timestamp::default()),
                    status: row.get("status")?,
                    payload: row.get::<_, Option<Vec<u8>>>(BODY.payload)?.map(Packed::from_stored),
                    event: rows::event(row)?,
                })
            })?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn skipped(&self, look: Look, reason: SkipReason) -> Result<Vec<Skipped>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {EVENT_COLUMNS}, s.hook_id
                 FROM (SELECT DISTINCT event_id FROM skips WHERE event_id > ?1 AND event_id < ?2 AND reason = ?3
                     ORDER BY event_id LIMIT ?4) p
                 JOIN events e ON e.id = p.event_id JOIN skips s ON s.event_id = p.event_id AND s.reason = ?3
                 ORDER BY e.id, s.hook_id"
            );
            let (after, before) = (
                look.after.0.max(edge(look.from)),
                edge(look.to.plus(std::time::Duration::from_secs(1))),
            );

            let mut statement = connection.prepare_cached(&sql)?;
            let parameters = (after, before, reason.code(), columns::limit(look.limit));
            let found = statement.query_map(parameters, |row| {
                Ok(Skipped {
                    hook: HookId(row.get("hook_id")?),
                    event: rows::event(row)?,
                })
            })?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn advance_replay(&self, step: Step, now: Timestamp) -> Result<usize> {
        self.write(move |tx| {
            let mut due = 0;
            let progress = if step.finished { Progress::Finished } else { Progress::Running };

            let moved = tx
                .connection
                .prepare_cached(
                    "UPDATE replays SET cursor = ?3, scanned = scanned + ?4, progress = ?5,
                       advanced_at = CASE WHEN ?6 THEN ?7 ELSE advanced_at END,
                       finished_at = CASE WHEN ?5 = 2 THEN ?7 END
                     WHERE id = ?1 AND cursor = ?2 AND progress = 0",
                )?
                .execute((
                    step.replay,
                    step.from.0,
                    step.to.0,
                    columns::limit(step.scanned),
                    progress.code(),
                    !(step.selected.is_empty() && step.made.is_empty()),
                    now.as_micros(),
                ))?;
            if moved == 0 {
                return Ok(0);
            }

            let mut again = tx.connection.prepare_cached(
                // Where events are wanted in order, it goes back to its place among what waits.
                "UPDATE deliveries SET state = 0, unknown = attempts, finished_at = NULL,
                   due_at = CASE WHEN object IS NULL THEN ?2 ELSE ?3 END
                 WHERE id = ?1 AND state IN (2, 3)",
            )?;

            let mut skips = tx.connection.prepare_cached(
                "DELETE FROM skips WHERE (event_id, hook_id) IN (SELECT event_id, hook_id FROM deliveries WHERE id = ?1)",
            )?;
            for delivery in &step.selected {
                if !tx.claims.holds(*delivery) && again.execute((delivery.0, now.as_micros(), blocked_at(*delivery)))? > 0 {
                    due += 1;
                    skips.execute([delivery.0])?;
                }
            }

            let mut no_skip = tx
                .connection
                .prepare_cached("DELETE FROM skips WHERE event_id = ?1 AND hook_id = ?2")?;
            for later in &step.made {
                due += write_audience(tx.connection, &later.event, &later.audience, now)?;
                for hook in &later.audience.deliver {
                    no_skip.execute((later.event.id.0, hook.0))?;
                }
            }

            tx.connection
                .prepare_cached("UPDATE replays SET replayed = replayed + ?2 WHERE id = ?1")?
                .execute((step.replay, columns::limit(due)))?;
            Ok(due)
        })
        .await
    }
}

fn find(connection: &Connection, id: i64) -> Result<Option<Replay>> {
    let sql = format!("SELECT {COLUMNS} FROM replays WHERE id = ?1");
    connection
        .prepare_cached(&sql)?
        .query_row([id], |row| Ok(replay(row)))
        .optional()?
        .transpose()
}

fn replay(row: &Row<'_>) -> Result<Replay> {
    Ok(Replay {
        id: row.get("id")?,
        created_by: row.get("created_by")?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        scope: columns::scope(row.get("project_id")?, row.get("group_id")?),
        filter: filter(&row.get::<_, String>("filter")?)?,
        rate: row.get("rate")?,
        progress: Progress::from_code(row.get("progress")?),
        cursor: DeliveryId(row.get("cursor")?),
        advanced_at: Timestamp::from_micros(row.get("advanced_at")?),
        scanned: row.get("scanned")?,
        replayed: row.get("replayed")?,
        finished_at: row.get::<_, Option<i64>>("finished_at")?.map(Timestamp::from_micros),
    })
}
