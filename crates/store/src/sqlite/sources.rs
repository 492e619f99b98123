//! Sources in SQLite. Their secrets are sealed.

use async_trait::async_trait;
use quickdraw_domain::source::{BoundTo, Source, unnamed};
use quickdraw_domain::{NodeId, Secret, SourceId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Sqlite;
use super::rows::scalar;
use crate::documents::Document;
use crate::error::{Error, Result};
use crate::insights::Insights;
use crate::seal::Ring;
use crate::sources::{COLUMNS, DEFAULT_SECRET, SourceRequests, Sources, StoredSource, bound};

#[async_trait]
impl Sources for Sqlite {
    async fn create_source(&self, source: Source, most: i64) -> Result<Source> {
        let sealed = StoredSource::seal(&source, &self.ring)?;
        self.configure(move |tx| {
            if tx
                .connection
                .query_row("SELECT count(*) FROM sources", [], scalar::<i64>)?
                >= most
            {
                return Err(Error::Full(most));
            }

            tx.connection.execute(
                "INSERT INTO sources (source_key, name, mode, secrets, window_seconds, addresses, per_minute,
                   sender_per_minute, body_limit, deduplicate, created_at, updated_at)
                 VALUES (:source_key, :name, :mode, :secrets, :window_seconds, :addresses, :per_minute,
                   :sender_per_minute, :body_limit, :deduplicate, :created_at, :created_at)",
                rusqlite::named_params! {
                    ":source_key": sealed.key,
                    ":name": sealed.name,
                    ":mode": sealed.mode,
                    ":secrets": sealed.secrets,
                    ":window_seconds": sealed.window_seconds,
                    ":addresses": sealed.addresses,
                    ":per_minute": sealed.per_minute,
                    ":sender_per_minute": sealed.sender_per_minute,
                    ":body_limit": sealed.body_limit,
                    ":deduplicate": sealed.deduplicate,
                    ":created_at": sealed.created_at,
                },
            )?;

            Ok(Source {
                id: SourceId(tx.connection.last_insert_rowid()),
                ..source
            })
        })
        .await
    }

    async fn update_source(&self, source: Source, unchanged_since: Timestamp) -> Result<Option<Source>> {
        let sealed = StoredSource::seal(&source, &self.ring)?;
        self.configure(move |tx| {
            let written = tx.connection.execute(
                "UPDATE sources SET name = :name, mode = :mode, secrets = :secrets, window_seconds = :window_seconds,
                   addresses = :addresses, per_minute = :per_minute,
                   sender_per_minute = :sender_per_minute, body_limit = :body_limit,
                   deduplicate = :deduplicate, updated_at = :updated_at
                 WHERE source_key = :source_key AND updated_at = :unchanged_since",
                rusqlite::named_params! {
                    ":source_key": sealed.key,
                    ":unchanged_since": unchanged_since.as_micros(),
                    ":name": sealed.name,
                    ":mode": sealed.mode,
                    ":secrets": sealed.secrets,
                    ":window_seconds": sealed.window_seconds,
                    ":addresses": sealed.addresses,
                    ":per_minute": sealed.per_minute,
                    ":sender_per_minute": sealed.sender_per_minute,
                    ":body_limit": sealed.body_limit,
                    ":deduplicate": sealed.deduplicate,
                    ":updated_at": sealed.updated_at,
                },
            )?;
            Ok((written > 0).then_some(source))
        })
        .await
    }

    async fn find_source(&self, key: String) -> Result<Option<Source>> {
        let ring = self.ring.clone();
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM sources WHERE source_key = ?1");
            let found = connection.prepare_cached(&sql)?.query_row([key], stored).optional()?;
            found.map(|stored| stored.open(&ring)).transpose()
        })
        .await
    }

    async fn list_sources(&self) -> Result<Vec<Source>> {
        let ring = self.ring.clone();
        self.read(move |connection| all(connection, &ring)).await
    }

    async fn delete_source(&self, key: String) -> Result<bool> {
        self.configure(move |tx| {
            let sql = "DELETE FROM source_instances
                WHERE source_id IN (SELECT id FROM sources WHERE source_key = ?1)";
            tx.connection.execute(sql, [&key])?;

            Ok(tx
                .connection
                .execute("DELETE FROM sources WHERE source_key = ?1", [&key])?
                > 0)
        })
        .await
    }

    async fn learn_instance(&self, source: SourceId, instance: BoundTo) -> Result<Option<BoundTo>> {
        self.configure(move |tx| {
            let sql = "INSERT OR IGNORE INTO source_instances (source_id, instance)
                SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM source_instances WHERE instance = ?2)";
            if tx.connection.execute(sql, (source.0, instance.text()))? > 0 {
                adopt(tx.connection, source, &instance)?;
            }

            let sql = "SELECT instance FROM source_instances WHERE source_id = ?1";
            let noted = tx.connection.query_row(sql, [source.0], scalar::<String>).optional()?;
            noted.map(|text| bound(&text)).transpose()
        })
        .await
    }

    async fn set_instance(&self, source: SourceId, instance: Option<BoundTo>) -> Result<()> {
        self.configure(move |tx| {
            let Some(instance) = instance else {
                tx.connection
                    .execute("DELETE FROM source_instances WHERE source_id = ?1", [source.0])?;
                return Ok(());
            };

            let sql = "INSERT INTO source_instances (source_id, instance) VALUES (?1, ?2)
                ON CONFLICT (source_id) DO UPDATE SET instance = excluded.instance WHERE instance <> excluded.instance";
            if tx.connection.execute(sql, (source.0, instance.text()))? > 0 {
                adopt(tx.connection, source, &instance)?;
            }

            Ok(())
        })
        .await
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
        self.write(move |tx| {
            let mut save = tx.connection.prepare_cached(
                "INSERT OR REPLACE INTO source_requests (source_id, node_id, saved_at, requests, minutes)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for list in lists {
                save.execute((list.source.0, node.0, now.as_micros(), list.requests, list.minutes))?;
            }

            let sql = "DELETE FROM source_requests WHERE saved_at < ?1";
            tx.connection.prepare_cached(sql)?.execute([forget.as_micros()])?;
            Ok(())
        })
        .await
    }

    async fn requests_elsewhere(&self, source: SourceId, node: NodeId) -> Result<Vec<String>> {
        self.read(move |connection| {
            let sql = "SELECT requests FROM source_requests WHERE source_id = ?1 AND node_id <> ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let lists = statement.query_map((source.0, node.0), scalar)?;
            Ok(lists.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn minutes_elsewhere(&self, node: NodeId) -> Result<Vec<(SourceId, String)>> {
        self.read(move |connection| {
            let sql = "SELECT source_id, minutes FROM source_requests WHERE node_id <> ?1 AND minutes IS NOT NULL";
            let mut statement = connection.prepare_cached(sql)?;
            let lists = statement.query_map([node.0], |row| {
                Ok((SourceId(row.get("source_id")?), row.get("minutes")?))
            })?;
            Ok(lists.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}

/// Moves projects and groups that are known by the source alone to its instance, except those that the instance has.
fn adopt(connection: &Connection, source: SourceId, instance: &BoundTo) -> Result<()> {
    let BoundTo::Instance(address) = instance else {
        return Ok(());
    };
    for table in ["known_projects", "known_groups"] {
        let sql = format!("UPDATE OR IGNORE {table} SET instance = ?2 WHERE instance = ?1");
        connection.execute(&sql, (unnamed(source), address))?;
    }

    Ok(())
}

pub(super) fn instances(connection: &Connection) -> Result<Vec<(SourceId, BoundTo)>> {
    let mut statement = connection.prepare_cached("SELECT source_id, instance FROM source_instances")?;
    let rows = statement.query_map([], |row| {
        Ok((SourceId(row.get("source_id")?), row.get::<_, String>("instance")?))
    })?;
    let rows: Vec<(SourceId, String)> = rows.collect::<rusqlite::Result<_>>()?;

    rows.into_iter()
        .map(|(source, text)| Ok((source, bound(&text)?)))
        .collect()
}

pub(super) fn all(connection: &Connection, ring: &Ring) -> Result<Vec<Source>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM sources ORDER BY id"))?;
    let found: Vec<StoredSource> = statement.query_map([], stored)?.collect::<rusqlite::Result<_>>()?;
    found.into_iter().map(|stored| stored.open(ring)).collect()
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredSource> {
    Ok(StoredSource {
        id: row.get("id")?,
        key: row.get("source_key")?,
        name: row.get("name")?,
        mode: row.get("mode")?,
        secrets: row.get("secrets")?,
        window_seconds: row.get("window_seconds")?,
        addresses: row.get("addresses")?,
        per_minute: row.get("per_minute")?,
        sender_per_minute: row.get("sender_per_minute")?,
        body_limit: row.get("body_limit")?,
        deduplicate: row.get("deduplicate")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
