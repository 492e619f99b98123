//! The activity of hooks in PostgreSQL.

use std::collections::HashMap;

use async_trait::async_trait;
use deadpool_postgres::Object;
use quickdraw_domain::hook::backlog::Open;
use quickdraw_domain::hook::calls::Call;
use quickdraw_domain::{DeliveryId, HookId, Timestamp};
use tokio_postgres::Row;

use super::Postgres;
use crate::activity::{AGED, Activity, ActivityOf, HookActivity, LastAttempt, Slice, calls, open_delivery, slices};
use crate::columns;
use crate::error::Result;

/// Microseconds of a day: attempts are in partitions by day.
const DAY: i64 = 86_400_000_000;

#[async_trait]
impl Activity for Postgres {
    async fn hook_activity(&self, of: ActivityOf) -> Result<Vec<HookActivity>> {
        let client = self.client().await?;
        let (first, end) = range(&client, of.since).await?;
        let slices = slices(first, end);
        let mut found = Found(of.hooks.iter().map(|hook| (hook.0, HookActivity::of(hook.0))).collect());

        if !slices.is_empty() {
            read_slices(&client, &slices, &of, &mut found).await?;
        }

        read_last(&client, &of, &mut found).await?;
        read_open(&client, &of, &mut found).await?;

        Ok(of.hooks.iter().filter_map(|hook| found.0.remove(&hook.0)).collect())
    }

    async fn recent_calls(&self, since: Timestamp, most: usize) -> Result<Vec<Call>> {
        let client = self.client().await?;
        // The time excludes the partitions of other days, and the order is that of the primary key.
        let sql = "SELECT id, started_at, outcome, status, duration FROM attempts WHERE started_at >= $1
            ORDER BY id DESC LIMIT $2";
        let statement = client.prepare_cached(sql).await?;
        let rows = client
            .query(&statement, &[&since.as_micros(), &columns::limit(most)])
            .await?;
        let attempts: Vec<LastAttempt> = rows.iter().map(attempt).collect();

        Ok(calls(&attempts, since))
    }

    async fn open_deliveries(&self, hook: HookId, most: usize) -> Result<Vec<Open>> {
        let client = self.client().await?;
        // Deliveries under a lease are not in the index of those that are owed.
        let sql = "SELECT d.id, d.state, d.due_at FROM (VALUES (0::smallint), (1::smallint)) AS s (state)
            CROSS JOIN LATERAL (SELECT id, state, due_at FROM deliveries
                WHERE state = s.state AND state < 2 AND leased_until IS NULL AND hook_id = $1
                ORDER BY due_at LIMIT $2) d
            UNION ALL
            SELECT id, state, due_at FROM deliveries WHERE leased_until IS NOT NULL AND state < 2 AND hook_id = $1";
        let statement = client.prepare_cached(sql).await?;
        let rows = client.query(&statement, &[&hook.0, &columns::limit(most)]).await?;
        let open = |row: &Row| open_delivery(DeliveryId(row.get("id")), row.get("state"), row.get("due_at"));

        Ok(rows.iter().map(open).collect())
    }
}

/// The activity of hooks by their numbers.
struct Found(HashMap<i64, HookActivity>);

impl Found {
    fn of(&mut self, row: &Row) -> Option<&mut HookActivity> {
        self.0.get_mut(&row.get::<_, i64>("hook"))
    }
}

/// The numbers of the attempts since a time: the first one, and the first that is free.
async fn range(client: &Object, since: Timestamp) -> Result<(i64, i64)> {
    // The beginning of the day excludes the partitions before it, and no row of the others.
    let day = since.as_micros().div_euclid(DAY) * DAY;
    let bounds = "SELECT coalesce(min(id), 0) AS low, coalesce(max(id), -1) + 1 AS high FROM attempts
        WHERE started_at >= $1";
    let statement = client.prepare_cached(bounds).await?;
    let row = client.query_one(&statement, &[&day]).await?;
    let (mut low, end): (i64, i64) = (row.get("low"), row.get("high"));

    let mut high = end;
    let next = "SELECT id, started_at FROM attempts WHERE id >= $1 AND started_at >= $2 ORDER BY id LIMIT 1";
    let statement = client.prepare_cached(next).await?;

    // Every attempt before `low` is older, and none from `high` on is.
    while low < high {
        let middle = low + (high - low) / 2;
        match client.query_opt(&statement, &[&middle, &day]).await? {
            Some(row) if row.get::<_, i64>("started_at") < since.as_micros() => low = row.get::<_, i64>("id") + 1,
            _ => high = middle,
        }
    }

    Ok((low, end))
}

async fn read_slices(client: &Object, slices: &[Slice], of: &ActivityOf, found: &mut Found) -> Result<()> {
    let sql = "SELECT h.id AS hook, s.first, a.id, a.started_at, a.outcome, a.status, a.duration
        FROM unnest($1::bigint[]) AS h (id)
        CROSS JOIN unnest($2::bigint[], $3::bigint[]) AS s (first, until)
        CROSS JOIN LATERAL (SELECT id, started_at, outcome, status, duration FROM attempts
            WHERE hook_id = h.id AND id >= s.first AND id < s.until AND started_at >= $4
            ORDER BY id DESC LIMIT $5) a";
    let statement = client.prepare_cached(sql).await?;
    let first: Vec<i64> = slices.iter().map(|slice| slice.first).collect();
    let end: Vec<i64> = slices.iter().map(|slice| slice.end).collect();
    let (since, most) = (of.since.as_micros(), of.per_slice());

    // One more than is used proves that there are more.
    let rows = client
        .query(&statement, &[&of.numbers(), &first, &end, &since, &(most + 1)])
        .await?;
    let mut read: HashMap<(i64, i64), i64> = HashMap::new();

    for row in &rows {
        let Some(activity) = found.of(row) else { continue };
        let of_slice = read.entry((activity.hook.0, row.get("first"))).or_default();
        *of_slice += 1;

        if *of_slice > most {
            activity.is_sampled = true;
        } else {
            activity.add(attempt(row), of.since);
        }
    }

    Ok(())
}

/// Reads the last attempts of the hooks that had none since the time of the question.
async fn read_last(client: &Object, of: &ActivityOf, found: &mut Found) -> Result<()> {
    let mut silent: Vec<i64> = of.numbers();
    silent.retain(|hook| found.0.get(hook).is_some_and(|activity| activity.last.is_none()));
    if silent.is_empty() {
        return Ok(());
    }

    let sql = "SELECT h.id AS hook, a.id, a.started_at, a.outcome, a.status, a.duration
        FROM unnest($1::bigint[]) AS h (id)
        CROSS JOIN LATERAL (SELECT id, started_at, outcome, status, duration FROM attempts
            WHERE hook_id = h.id ORDER BY id DESC LIMIT 1) a";
    let statement = client.prepare_cached(sql).await?;

    for row in client.query(&statement, &[&silent]).await? {
        if let Some(activity) = found.of(&row) {
            activity.last = Some(attempt(&row));
        }
    }

    Ok(())
}

fn attempt(row: &Row) -> LastAttempt {
    let status: Option<i16> = row.get("status");

    LastAttempt::new(
        row.get("id"),
        row.get("started_at"),
        row.get("outcome"),
        status.and_then(|status| u16::try_from(status).ok()),
        row.get("duration"),
    )
}

async fn read_open(client: &Object, of: &ActivityOf, found: &mut Found) -> Result<()> {
    // Deliveries under a lease are not in the index of those that are owed.
    let sql = "SELECT h.id AS hook, c.number, c.due, o.created
        FROM unnest($1::bigint[]) AS h (id)
        CROSS JOIN (VALUES (0::smallint), (1::smallint)) AS s (state)
        CROSS JOIN LATERAL (SELECT count(*) AS number, min(due_at) AS due FROM (SELECT due_at FROM deliveries
            WHERE state = s.state AND state < 2 AND leased_until IS NULL AND hook_id = h.id
            ORDER BY due_at LIMIT $2) d) c
        CROSS JOIN LATERAL (SELECT min(created_at) AS created FROM (SELECT created_at FROM deliveries
            WHERE state = s.state AND state < 2 AND leased_until IS NULL AND hook_id = h.id
            ORDER BY due_at LIMIT $3) d) o
        WHERE c.number > 0
        UNION ALL
        SELECT hook_id, count(*), NULL, min(created_at) FROM deliveries
        WHERE leased_until IS NOT NULL AND state < 2 AND hook_id = ANY ($1) GROUP BY hook_id";
    let statement = client.prepare_cached(sql).await?;
    let most = columns::limit(of.deliveries);

    for row in client.query(&statement, &[&of.numbers(), &most, &AGED]).await? {
        if let Some(activity) = found.of(&row) {
            activity.open.add(row.get("number"), row.get("created"), row.get("due"));
        }
    }

    Ok(())
}
