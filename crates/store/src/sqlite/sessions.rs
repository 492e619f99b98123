//! Sessions in SQLite.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use rusqlite::{OptionalExtension, Row};

use super::Sqlite;
use super::access::bot_of;
use super::rows::scalar;
use crate::access::{Actor, USED_EVERY_MICROS};
use crate::error::{Error, Result};
use crate::sessions::{
    DELETED_AT_ONCE, MAX_OF_USER, NewSession, SESSION, Session, Sessions, alive, end_of, scopes_of_session, used_since,
};

#[async_trait]
impl Sessions for Sqlite {
    async fn begin_session(&self, new: NewSession, now: Timestamp) -> Result<Session> {
        self.configure(move |tx| {
            let connection = tx.connection;
            let blocked = connection
                .query_row("SELECT blocked FROM users WHERE id = ?1", [new.user_id], scalar::<bool>)
                .optional()?;
            if blocked.ok_or(Error::Missing("user"))? {
                return Err(Error::Blocked);
            }

            connection.execute(
                "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ?1 LIMIT ?2)",
                (now.as_micros(), DELETED_AT_ONCE),
            )?;

            connection.execute(
                "DELETE FROM sessions WHERE user_id = ?1 AND id NOT IN
                    (SELECT id FROM sessions WHERE user_id = ?1 ORDER BY used_at DESC, id DESC LIMIT ?2)",
                (new.user_id, MAX_OF_USER - 1),
            )?;

            let expires_at = end_of(now);
            connection.execute(
                "INSERT INTO sessions (digest, user_id, token_id, created_at, used_at, expires_at, address, browser)
                 VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7)",
                (
                    new.digest,
                    new.user_id,
                    new.token_id,
                    now.as_micros(),
                    expires_at.as_micros(),
                    &new.address,
                    &new.browser,
                ),
            )?;

            Ok(Session {
                id: connection.last_insert_rowid(),
                created_at: now,
                used_at: now,
                expires_at,
                address: new.address,
                browser: new.browser,
            })
        })
        .await
    }

    async fn find_session(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<(Session, Actor)>> {
        let found = self
            .read(move |connection| {
                let sql = format!(
                    "SELECT {SESSION}, u.id AS user_id, u.username, u.name, u.is_admin, u.project_id, u.group_id,
                        u.blocked, t.id AS token_id, t.scopes
                     FROM sessions s JOIN users u ON u.id = s.user_id LEFT JOIN access_tokens t ON t.id = s.token_id
                     WHERE s.digest = ?3 AND {} AND (s.token_id IS NULL
                        OR (NOT t.revoked AND (t.expires_at IS NULL OR t.expires_at > ?1)))",
                    alive('?')
                );

                let parameters = (now.as_micros(), used_since(now), digest);
                let found = connection.prepare_cached(&sql)?.query_row(parameters, |row| {
                    let actor = Actor {
                        user_id: row.get("user_id")?,
                        username: row.get("username")?,
                        name: row.get("name")?,
                        is_admin: row.get("is_admin")?,
                        token: row.get::<_, Option<i64>>("token_id")?.unwrap_or_default(),
                        scopes: scopes_of_session(row.get::<_, Option<String>>("scopes")?.as_deref()),
                        bot_of: bot_of(row.get("project_id")?, row.get("group_id")?),
                    };
                    Ok((session(row)?, actor, row.get::<_, bool>("blocked")?))
                });
                Ok(found.optional()?)
            })
            .await?;

        let Some((session, actor, is_blocked)) = found else {
            return Ok(None);
        };
        if is_blocked {
            return Err(Error::Blocked);
        }

        if now.as_micros() - session.used_at.as_micros() >= USED_EVERY_MICROS {
            let id = session.id;
            self.write(move |tx| {
                let sql = "UPDATE sessions SET used_at = ?2 WHERE id = ?1";
                tx.connection.prepare_cached(sql)?.execute((id, now.as_micros()))?;
                Ok(())
            })
            .await?;
        }

        Ok(Some((session, actor)))
    }

    async fn list_sessions(&self, user: i64, now: Timestamp) -> Result<Vec<Session>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {SESSION} FROM sessions s WHERE s.user_id = ?3 AND {} ORDER BY s.used_at DESC, s.id DESC",
                alive('?')
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map((now.as_micros(), used_since(now), user), session)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn end_session(&self, user: i64, id: i64) -> Result<bool> {
        self.configure(move |tx| {
            let sql = "DELETE FROM sessions WHERE user_id = ?1 AND id = ?2";
            Ok(tx.connection.execute(sql, (user, id))? > 0)
        })
        .await
    }

    async fn end_sessions(&self, user: i64, except: Option<i64>) -> Result<usize> {
        self.configure(move |tx| {
            let sql = "DELETE FROM sessions WHERE user_id = ?1 AND (?2 IS NULL OR id <> ?2)";
            Ok(tx.connection.execute(sql, (user, except))?)
        })
        .await
    }
}

fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get("id")?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        used_at: Timestamp::from_micros(row.get("used_at")?),
        expires_at: Timestamp::from_micros(row.get("expires_at")?),
        address: row.get("address")?,
        browser: row.get("browser")?,
    })
}
