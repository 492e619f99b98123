//! Sources in PostgreSQL. Their secrets are sealed.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use quickdraw_domain::source::{BoundTo, Source, unnamed};
use quickdraw_domain::{NodeId, Secret, SourceId, Timestamp};
use tokio_postgres::{GenericClient, Row};

use super::scopes::PATHS_LOCK;
use super::{Postgres, scalar};
use crate::documents::Document;
use crate::error::{Error, Result};
use crate::insights::Insights;
use crate::sources::{COLUMNS, DEFAULT_SECRET, SourceRequests, Sources, StoredSource, bound};

#[async_trait]
impl Sources for Postgres {
    async fn create_source(&self, source: Source, most: i64) -> Result<Source> {
        let sealed = StoredSource::seal(&source, &self.ring)?;
        let client = self.client().await?;
        // Two that are made at this very moment may both count the same: one more than the limit harms nobody.
        let there: i64 = scalar(&client.query_one("SELECT count(*) FROM sources", &[]).await?);

        if there >= most {
            return Err(Error::Full(most));
        }

        let row = client
            .query_one(
                "INSERT INTO sources (source_key, name, mode, secrets, window_seconds, addresses, per_minute,
                    body_limit, deduplicate, created_at, updated_at, sender_per_minute)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11) RETURNING id",
                &[
                    &sealed.key,
                    &sealed.name,
                    &sealed.mode,
                    &sealed.secrets,
                    &sealed.window_seconds,
                    &sealed.addresses,
                    &sealed.per_minute,
                    &sealed.body_limit,
                    &sealed.deduplicate,
                    &sealed.created_at,
                    &sealed.sender_per_minute,
                ],
            )
            .await?;

        self.notify(&client, "directory").await;
        Ok(Source {
            id: SourceId(scalar(&row)),
            ..source
        })
    }

    async fn update_source(&self, source: Source, unchanged_since: Timestamp) -> Result<Option<Source>> {
        let sealed = StoredSource::seal(&source, &self.ring)?;
        let client = self.client().await?;

        let written = client
            .execute(
                "UPDATE sources SET name = $3, mode = $4, secrets = $5, window_seconds = $6, addresses = $7,
                    per_minute = $8, body_limit = $9, deduplicate = $10, updated_at = $11,
                    sender_per_minute = $12
                 WHERE source_key = $1 AND updated_at = $2",
                &[
                    &sealed.key,
                    &unchanged_since.as_micros(),
                    &sealed.name,
                    &sealed.mode,
                    &sealed.secrets,
                    &sealed.window_seconds,
                    &sealed.addresses,
                    &sealed.per_minute,
                    &sealed.body_limit,
                    &sealed.deduplicate,
                    &sealed.updated_at,
                    &sealed.sender_per_minute,
                ],
            )
            .await?;

        self.notify(&client, "directory").await;
        Ok((written > 0).then_some(source))
    }

    async fn find_source(&self, key: String) -> Result<Option<Source>> {
        let sql = format!("SELECT {COLUMNS} FROM sources WHERE source_key = $1");
        let found = self.client().await?.query_opt(&sql, &[&key]).await?;
        found.map(|row| stored(&row).open(&self.ring)).transpose()
    }

    async fn list_sources(&self) -> Result<Vec<Source>> {
        let rows = self
            .client()
            .await?
            .query(&format!("SELECT {COLUMNS} FROM sources ORDER BY id"), &[])
            .await?;
        rows.iter().map(|row| stored(row).open(&self.ring)).collect()
    }

    async fn delete_source(&self, key: String) -> Result<bool> {
        let client = self.client().await?;
        let sql = "WITH gone AS (DELETE FROM sources WHERE source_key = $1 RETURNING id),
            instance AS (DELETE FROM source_instances WHERE source_id IN (SELECT id FROM gone))
            SELECT count(*) FROM gone";
        let gone: i64 = scalar(&client.query_one(sql, &[&key]).await?);

        self.notify(&client, "directory").await;
        Ok(gone > 0)
    }

    async fn learn_instance(&self, source: SourceId, instance: BoundTo) -> Result<Option<BoundTo>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        // Two sources that learn the same instance at the same moment take turns.
        transaction.execute(PATHS_LOCK, &[]).await?;

        let sql = "INSERT INTO source_instances (source_id, instance)
            SELECT $1::bigint, $2::text WHERE NOT EXISTS (SELECT 1 FROM source_instances WHERE instance = $2)
            ON CONFLICT DO NOTHING";
        if transaction.execute(sql, &[&source.0, &instance.text()]).await? > 0 {
            adopt(&transaction, source, &instance).await?;
        }

        let sql = "SELECT instance FROM source_instances WHERE source_id = $1";
        let noted = transaction.query_opt(sql, &[&source.0]).await?;
        let noted = noted.map(|row| bound(scalar(&row))).transpose()?;

        transaction.commit().await?;
        self.notify(&client, "directory").await;
        Ok(noted)
    }

    async fn set_instance(&self, source: SourceId, instance: Option<BoundTo>) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;

        if let Some(instance) = instance {
            let sql = "INSERT INTO source_instances AS known (source_id, instance) VALUES ($1, $2)
                ON CONFLICT (source_id) DO UPDATE SET instance = excluded.instance
                WHERE known.instance <> excluded.instance";
            if transaction.execute(sql, &[&source.0, &instance.text()]).await? > 0 {
                adopt(&transaction, source, &instance).await?;
            }
        } else {
            transaction
                .execute("DELETE FROM source_instances WHERE source_id = $1", &[&source.0])
                .await?;
        }

        transaction.commit().await?;
        self.notify(&client, "directory").await;
        Ok(())
    }

    async fn default_secret(&self, made: Secret) -> Result<Secret> {
        let sealed = self.ring.seal(DEFAULT_SECRET, made.expose())?;
        // Nothing is written where another node was first.
        self.put_document(Document::DefaultSecret, 0, sealed).await?;

        let (_, stored) = self
            .document(Document::DefaultSecret)
            .await?
            .ok_or(Error::Damaged("the default secret"))?;

        Ok(Secret::new(self.ring.open(DEFAULT_SECRET, &stored)?))
    }

    async fn save_requests(
        &self,
        node: NodeId,
        lists: Vec<SourceRequests>,
        now: Timestamp,
        forget: Timestamp,
    ) -> Result<()> {
        let sources: Vec<i64> = lists.iter().map(|list| list.source.0).collect();
        let requests: Vec<&str> = lists.iter().map(|list| list.requests.as_str()).collect();
        let minutes: Vec<&str> = lists.iter().map(|list| list.minutes.as_str()).collect();
        let sql = "WITH gone AS (DELETE FROM source_requests WHERE saved_at < $5)
             INSERT INTO source_requests (source_id, node_id, saved_at, requests, minutes)
             SELECT source_id, $2, $3, requests, minutes
             FROM UNNEST($1::bigint[], $4::text[], $6::text[]) AS l(source_id, requests, minutes)
             ON CONFLICT (source_id, node_id) DO UPDATE
                SET saved_at = excluded.saved_at, requests = excluded.requests, minutes = excluded.minutes";

        let client = self.client().await?;
        client
            .execute(
                sql,
                &[
                    &sources,
                    &node.0,
                    &now.as_micros(),
                    &requests,
                    &forget.as_micros(),
                    &minutes,
                ],
            )
            .await?;
        Ok(())
    }

    async fn requests_elsewhere(&self, source: SourceId, node: NodeId) -> Result<Vec<String>> {
        let sql = "SELECT requests FROM source_requests WHERE source_id = $1 AND node_id <> $2";
        let rows = self.client().await?.query(sql, &[&source.0, &node.0]).await?;
        Ok(rows.iter().map(scalar).collect())
    }

    async fn minutes_elsewhere(&self, node: NodeId) -> Result<Vec<(SourceId, String)>> {
        let sql = "SELECT source_id, minutes FROM source_requests WHERE node_id <> $1 AND minutes IS NOT NULL";
        let rows = self.client().await?.query(sql, &[&node.0]).await?;
        let lists = rows
            .iter()
            .map(|row| (SourceId(row.get("source_id")), row.get("minutes")));
        Ok(lists.collect())
    }
}

/// Moves projects and groups that are known by the source alone to its instance, except those that the instance has.
async fn adopt(transaction: &Transaction<'_>, source: SourceId, instance: &BoundTo) -> Result<()> {
    let BoundTo::Instance(address) = instance else {
        return Ok(());
    };
    for table in ["known_projects", "known_groups"] {
        let sql = format!(
            "UPDATE {table} k SET instance = $2 WHERE instance = $1 AND NOT EXISTS
                (SELECT 1 FROM {table} o WHERE o.instance = $2 AND o.foreign_id = k.foreign_id)"
        );
        transaction.execute(&sql, &[&unnamed(source), &address]).await?;
    }

    Ok(())
}

pub(super) async fn instances(client: &impl GenericClient) -> Result<Vec<(SourceId, BoundTo)>> {
    let rows = client
        .query("SELECT source_id, instance FROM source_instances", &[])
        .await?;
    rows.iter()
        .map(|row| Ok((SourceId(row.get("source_id")), bound(row.get("instance"))?)))
        .collect()
}

pub(super) fn stored(row: &Row) -> StoredSource {
    StoredSource {
        id: row.get("id"),
        key: row.get("source_key"),
        name: row.get("name"),
        mode: row.get("mode"),
        secrets: row.get("secrets"),
        window_seconds: row.get("window_seconds"),
        addresses: row.get("addresses"),
        per_minute: row.get("per_minute"),
        sender_per_minute: row.get("sender_per_minute"),
        body_limit: row.get("body_limit"),
        deduplicate: row.get("deduplicate"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
    }
}
