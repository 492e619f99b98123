//! The facts in PostgreSQL, compared with those of a shadow, and replaced by them.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use quickdraw_domain::EventId;
use quickdraw_domain::event::Event;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::events::event_with_body;
use super::{Postgres, facts, scalar};
use crate::columns;
use crate::error::{Error, Result};
use crate::events::{BODY_COLUMN, EVENT_COLUMNS};
use crate::insights;
use crate::payload::Packed;
use crate::rebuild::{Digests, LISTS, Rebuild, Shadow, TABLES, part};
use crate::sqlite::ShadowFile;

const NOTHING: [&(dyn ToSql + Sync); 0] = [];

#[async_trait]
impl Rebuild for Postgres {
    async fn shadow(&self) -> Result<Box<dyn Shadow>> {
        // The shadow is a SQLite file here too.
        let path = std::env::temp_dir().join(format!("quickdraw-shadow-{}", Uuid::new_v4().simple()));
        Ok(Box::new(ShadowFile::create(path).await?))
    }

    async fn digests(&self) -> Result<Digests> {
        let mut client = self.client().await?;

        // One look at everything.
        let transaction = client
            .build_transaction()
            .read_only(true)
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .start()
            .await?;
        transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;

        let mut digests = Digests::default();
        let mut found = std::pin::pin!(transaction.query_raw(&insights::select_commits(), NOTHING).await?);
        while let Some(row) = found.try_next().await? {
            let (commit, _) = facts::read_commit(&row);
            digests.add("commits", commit.at().as_micros(), &commit)?;
        }

        for (part, list, from, at) in LISTS {
            // As the shadow gives it.
            let sql = format!("SELECT json_build_array({list})::text FROM {from}");
            let mut found = std::pin::pin!(transaction.query_raw(&sql, NOTHING).await?);

            while let Some(row) = found.try_next().await? {
                let values: Vec<serde_json::Value> =
                    serde_json::from_str(scalar(&row)).map_err(|_| Error::Damaged("insights"))?;
                digests.add(part, values[at].as_i64().unwrap_or_default(), &values)?;
            }
        }

        let sql = "SELECT family, project, number, opened_at, state FROM insights_items";
        let mut found = std::pin::pin!(transaction.query_raw(sql, NOTHING).await?);

        while let Some(row) = found.try_next().await? {
            let (key, opened_at): ((i64, i64), Option<i64>) =
                ((row.get("project"), row.get("number")), row.get("opened_at"));
            let state = String::from_utf8_lossy(row.get("state"));
            digests.add(part(row.get("family")), opened_at.unwrap_or_default(), &(key, &state))?;
        }

        Ok(digests)
    }

    async fn event_ids(&self, after: EventId, limit: usize) -> Result<Vec<EventId>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached("SELECT id FROM events WHERE id > $1 ORDER BY id LIMIT $2")
            .await?;
        let rows = client.query(&statement, &[&after.0, &columns::limit(limit)]).await?;
        Ok(rows.iter().map(|row| EventId(scalar(row))).collect())
    }

    async fn bodies(&self, ids: Vec<EventId>) -> Result<Vec<(Event, Packed)>> {
        let client = self.client().await?;
        let sql = format!("SELECT {EVENT_COLUMNS}, {BODY_COLUMN} FROM events e WHERE e.id = ANY ($1)");
        let ids: Vec<Uuid> = ids.into_iter().map(|id| id.0).collect();
        let rows = client.query(&client.prepare_cached(&sql).await?, &[&ids]).await?;

        Ok(rows.iter().map(event_with_body).collect())
    }

    async fn project_again(&self, ids: Vec<EventId>) -> Result<()> {
        let client = self.client().await?;
        let ids: Vec<Uuid> = ids.into_iter().map(|id| id.0).collect();
        let sql = "INSERT INTO projection_pending SELECT id FROM events WHERE id = ANY ($1) ON CONFLICT DO NOTHING";
        client.execute(&client.prepare_cached(sql).await?, &[&ids]).await?;

        Ok(())
    }

    async fn swap_insights(&self, shadow: &dyn Shadow) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;

        // Nobody joins facts meanwhile.
        transaction
            .execute("SELECT pg_advisory_xact_lock(hashtext('quickdraw projection'))", &[])
            .await?;

        for table in TABLES {
            transaction.execute(&format!("DELETE FROM {table}"), &[]).await?;

            let sql =
                format!("INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $1::text::json)");
            let statement = transaction.prepare(&sql).await?;
            let (pages, mut waiting) = tokio::sync::mpsc::channel(2);
            let reading = shadow.rows(table, pages);

            let writing = async {
                while let Some(rows) = waiting.recv().await {
                    let text = serde_json::to_string(&rows).map_err(|_| Error::Damaged("insights"))?;
                    transaction.execute(&statement, &[&text]).await?;
                }

                Ok::<_, Error>(())
            };
            tokio::try_join!(reading, writing)?;
        }

        let sql = "SELECT setval(pg_get_serial_sequence('insights_identities', 'id'), greatest(max(id), 1))
            FROM insights_identities";
        transaction.execute(sql, &[]).await?;
        Ok(transaction.commit().await?)
    }
}
