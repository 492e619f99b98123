//! SSH keys in SQLite.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::Sqlite;
use super::rows::scalar;
use crate::error::{Error, Result};
use crate::lists::{Page, Paged};
use crate::ssh_keys::{COLUMNS, NewKey, SshKeys, StoredKey, UserKey};

#[async_trait]
impl SshKeys for Sqlite {
    async fn add_ssh_key(&self, new: NewKey, most: i64, now: Timestamp) -> Result<UserKey> {
        self.configure(move |tx| {
            let connection = tx.connection;
            let mut user = connection.prepare_cached("SELECT 1 FROM users WHERE id = ?1")?;
            if !user.exists([new.user])? {
                return Err(Error::Missing("user"));
            }

            let fingerprint = new.key.fingerprint();
            let mut same = connection.prepare_cached("SELECT 1 FROM ssh_keys WHERE fingerprint = ?1")?;
            if same.exists([fingerprint])? {
                return Err(Error::Taken("key"));
            }

            let count = "SELECT count(*) FROM ssh_keys WHERE user_id = ?1";
            if connection.query_row(count, [new.user], scalar::<i64>)? >= most {
                return Err(Error::Full(most));
            }

            connection.execute(
                "INSERT INTO ssh_keys (user_id, title, public_key, fingerprint, usage_type, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (
                    new.user,
                    &new.title,
                    new.key.text(),
                    fingerprint,
                    new.usage.word(),
                    now.as_micros(),
                    new.expires_at.map(Timestamp::as_micros),
                ),
            )?;

            Ok(new.added(connection.last_insert_rowid(), now))
        })
        .await
    }

    async fn find_ssh_key(&self, user: i64, id: i64) -> Result<Option<UserKey>> {
        self.read(move |connection| find(connection, user, id)).await
    }

    async fn list_ssh_keys(&self, user: i64, page: Page) -> Result<Paged<UserKey>> {
        self.read(move |connection| {
            let count = "SELECT count(*) FROM (SELECT 1 FROM ssh_keys WHERE user_id = ?1 LIMIT ?2)";
            let total = connection.query_row(count, (user, page.counted()), scalar)?;

            let (before, order) = (page.before("k.id"), page.order());
            let sql = format!(
                "SELECT {COLUMNS} FROM ssh_keys k WHERE k.user_id = ?1{before} AND k.id > ?2
                 ORDER BY k.id {order} LIMIT ?3 OFFSET ?4"
            );
            let mut statement = connection.prepare(&sql)?;
            let found = statement.query_map((user, page.after(), page.limit, page.offset()), stored)?;

            let mut rows = Vec::new();
            for key in found {
                rows.push(key?.read()?);
            }

            Ok(Paged { rows, total })
        })
        .await
    }

    async fn remove_ssh_key(&self, user: i64, id: i64) -> Result<Option<UserKey>> {
        self.configure(move |tx| {
            let found = find(tx.connection, user, id)?;
            if found.is_some() {
                tx.connection.execute("DELETE FROM ssh_keys WHERE id = ?1", [id])?;
            }

            Ok(found)
        })
        .await
    }
}

fn find(connection: &Connection, user: i64, id: i64) -> Result<Option<UserKey>> {
    let sql = format!("SELECT {COLUMNS} FROM ssh_keys k WHERE k.user_id = ?1 AND k.id = ?2");
    let found = connection
        .prepare_cached(&sql)?
        .query_row((user, id), stored)
        .optional()?;

    found.map(StoredKey::read).transpose()
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    Ok(StoredKey {
        id: row.get("id")?,
        user: row.get("user_id")?,
        title: row.get("title")?,
        public_key: row.get("public_key")?,
        usage: row.get("usage_type")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
    })
}
