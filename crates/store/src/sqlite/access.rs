//! Access tokens in SQLite.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use rusqlite::OptionalExtension;

use super::Sqlite;
use crate::access::{Access, Actor};
use crate::error::Result;

#[async_trait]
impl Access for Sqlite {
    async fn set_root_token(&self, digest: [u8; 32], now: Timestamp) -> Result<()> {
        self.configure(move |tx| {
            tx.connection.execute("DELETE FROM access_tokens WHERE user_id = 1 AND name = 'root token'", [])?;
            tx.connection.execute(
                "INSERT INTO access_tokens (digest, user_id, name, created_at) VALUES (?1, 1, 'root token', ?2)",
                (digest, now.as_micros()),
            )?;
            Ok(())
        })
        .await
    }

    async fn has_root_token(&self) -> Result<bool> {
        self.read(|connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM access_tokens WHERE user_id = 1 AND name = 'root token')";
            Ok(connection.query_row(sql, [], |row| row.get(0))?)
        })
        .await
    }

    async fn find_actor(&self, digest: [u8; 32]) -> Result<Option<Actor>> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT u.id, u.username, u.name, u.is_admin FROM access_tokens t JOIN users u ON u.id = t.user_id
                 WHERE t.digest = ?1",
            )?;
            let found = statement.query_row([digest], |row| {
                Ok(Actor { user_id: row.get(0)?, username: row.get(1)?, name: row.get(2)?, is_admin: row.get(3)? })
            });
            Ok(found.optional()?)
        })
        .await
    }
}
