//! Receivers in SQLite. Their secrets are sealed.

use async_trait::async_trait;
use quickdraw_domain::receiver::Receiver;
use quickdraw_domain::{NodeId, ReceiverId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Sqlite;
use crate::error::{Error, Result};
use crate::receivers::{COLUMNS, Receivers, StoredReceiver};
use crate::seal::Ring;

#[async_trait]
impl Receivers for Sqlite {
    async fn create_receiver(&self, receiver: Receiver, most: i64) -> Result<Receiver> {
        let sealed = StoredReceiver::seal(&receiver, &self.ring)?;
        self.configure(move |tx| {
            if tx.connection.query_row("SELECT count(*) FROM receivers", [], |row| row.get::<_, i64>(0))? >= most {
                return Err(Error::Full(most));
            }
            tx.connection.execute(
                "INSERT INTO receivers (receiver_key, name, mode, secrets, window_seconds, addresses, per_minute,
                   body_limit, twins, created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)",
                rusqlite::params![
                    sealed.key,
                    sealed.name,
                    sealed.mode,
                    sealed.secrets,
                    sealed.window_seconds,
                    sealed.addresses,
                    sealed.per_minute,
                    sealed.body_limit,
                    sealed.twins,
                    sealed.created_at,
                ],
            )?;
            Ok(Receiver { id: ReceiverId(tx.connection.last_insert_rowid()), ..receiver })
        })
        .await
    }

    async fn update_receiver(&self, receiver: Receiver, unchanged_since: Timestamp) -> Result<Option<Receiver>> {
        let sealed = StoredReceiver::seal(&receiver, &self.ring)?;
        self.configure(move |tx| {
            let written = tx.connection.execute(
                "UPDATE receivers SET name = ?3, mode = ?4, secrets = ?5, window_seconds = ?6, addresses = ?7,
                   per_minute = ?8, body_limit = ?9, twins = ?10, updated_at = ?11
                 WHERE receiver_key = ?1 AND updated_at = ?2",
                rusqlite::params![
                    sealed.key,
                    unchanged_since.as_micros(),
                    sealed.name,
                    sealed.mode,
                    sealed.secrets,
                    sealed.window_seconds,
                    sealed.addresses,
                    sealed.per_minute,
                    sealed.body_limit,
                    sealed.twins,
                    sealed.updated_at,
                ],
            )?;
            Ok((written > 0).then_some(receiver))
        })
        .await
    }

    async fn find_receiver(&self, key: String) -> Result<Option<Receiver>> {
        let ring = self.ring.clone();
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM receivers WHERE receiver_key = ?1");
            let found = connection.prepare_cached(&sql)?.query_row([key], stored).optional()?;
            found.map(|stored| stored.open(&ring)).transpose()
        })
        .await
    }

    async fn list_receivers(&self) -> Result<Vec<Receiver>> {
        let ring = self.ring.clone();
        self.read(move |connection| all(connection, &ring)).await
    }

    async fn delete_receiver(&self, key: String) -> Result<bool> {
        self.configure(move |tx| Ok(tx.connection.execute("DELETE FROM receivers WHERE receiver_key = ?1", [key])? > 0))
            .await
    }

    async fn save_requests(
        &self,
        node: NodeId,
        lists: Vec<(ReceiverId, String)>,
        now: Timestamp,
        forget: Timestamp,
    ) -> Result<()> {
        self.write(move |tx| {
            let mut save =
                tx.connection.prepare_cached("INSERT OR REPLACE INTO receiver_requests VALUES (?1, ?2, ?3, ?4)")?;
            for (receiver, list) in lists {
                save.execute((receiver.0, node.0, now.as_micros(), list))?;
            }
            let sql = "DELETE FROM receiver_requests WHERE saved_at < ?1";
            tx.connection.prepare_cached(sql)?.execute([forget.as_micros()])?;
            Ok(())
        })
        .await
    }

    async fn requests_elsewhere(&self, receiver: ReceiverId, node: NodeId) -> Result<Vec<String>> {
        self.read(move |connection| {
            let sql = "SELECT requests FROM receiver_requests WHERE receiver_id = ?1 AND node_id <> ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let lists = statement.query_map((receiver.0, node.0), |row| row.get(0))?;
            Ok(lists.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}

pub(super) fn all(connection: &Connection, ring: &Ring) -> Result<Vec<Receiver>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM receivers ORDER BY id"))?;
    let found: Vec<StoredReceiver> = statement.query_map([], stored)?.collect::<rusqlite::Result<_>>()?;
    found.into_iter().map(|stored| stored.open(ring)).collect()
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredReceiver> {
    Ok(StoredReceiver {
        id: row.get(0)?,
        key: row.get(1)?,
        name: row.get(2)?,
        mode: row.get(3)?,
        secrets: row.get(4)?,
        window_seconds: row.get(5)?,
        addresses: row.get(6)?,
        per_minute: row.get(7)?,
        body_limit: row.get(8)?,
        twins: row.get(9)?,
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
    })
}
