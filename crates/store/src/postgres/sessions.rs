//! Sessions in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use super::access::bot_of;
use crate::access::{Actor, USED_EVERY_MICROS};
use crate::error::{Error, Result};
use crate::sessions::{
    DELETED_AT_ONCE, MAX_OF_USER, NewSession, SESSION, Session, Sessions, alive, end_of, scopes_of_session, used_since,
};

#[async_trait]
impl Sessions for Postgres {
    async fn begin_session(&self, new: NewSession, now: Timestamp) -> Result<Session> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        // The lock holds up sign-ins of the same user only, so that their number stays within the limit.
        let user = transaction
            .query_opt("SELECT blocked FROM users WHERE id = $1 FOR UPDATE", &[&new.user_id])
            .await?;
        if user.ok_or(Error::Missing("user"))?.get("blocked") {
            return Err(Error::Blocked);
        }

        transaction
            .execute(
                "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= $1 LIMIT $2)",
                &[&now.as_micros(), &DELETED_AT_ONCE],
            )
            .await?;

        transaction
            .execute(
                "DELETE FROM sessions WHERE user_id = $1 AND id NOT IN
                    (SELECT id FROM sessions WHERE user_id = $1 ORDER BY used_at DESC, id DESC LIMIT $2)",
                &[&new.user_id, &(MAX_OF_USER - 1)],
            )
            .await?;

        let row = transaction
            .query_one(
                "INSERT INTO sessions AS s
                    (digest, user_id, token_id, created_at, used_at, expires_at, address, browser)
                 VALUES ($1, $2, $3, $4, $4, $5, $6, $7)
                 RETURNING s.id, s.created_at, s.used_at, s.expires_at, s.address, s.browser",
                &[
                    &new.digest.as_slice(),
                    &new.user_id,
                    &new.token_id,
                    &now.as_micros(),
                    &end_of(now).as_micros(),
                    &new.address,
                    &new.browser,
                ],
            )
            .await?;

        transaction.commit().await?;
        Ok(session(&row))
    }

    async fn find_session(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<(Session, Actor)>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {SESSION}, u.id AS user_id, u.username, u.name, u.is_admin, u.project_id, u.group_id,
                u.blocked, t.id AS token_id, t.scopes
             FROM sessions s JOIN users u ON u.id = s.user_id LEFT JOIN access_tokens t ON t.id = s.token_id
             WHERE s.digest = $3 AND {} AND (s.token_id IS NULL
                OR (NOT t.revoked AND (t.expires_at IS NULL OR t.expires_at > $1)))",
            alive('$')
        );

        let statement = client.prepare_cached(&sql).await?;
        let found = client
            .query_opt(&statement, &[&now.as_micros(), &used_since(now), &digest.as_slice()])
            .await?;
        let Some(row) = found else { return Ok(None) };

        if row.get("blocked") {
            return Err(Error::Blocked);
        }

        let actor = Actor {
            user_id: row.get("user_id"),
            username: row.get("username"),
            name: row.get("name"),
            is_admin: row.get("is_admin"),
            token: row.get::<_, Option<i64>>("token_id").unwrap_or_default(),
            scopes: scopes_of_session(row.get("scopes")),
            bot_of: bot_of(row.get("project_id"), row.get("group_id")),
        };

        let session = session(&row);
        if now.as_micros() - session.used_at.as_micros() >= USED_EVERY_MICROS {
            let sql = "UPDATE sessions SET used_at = $2 WHERE id = $1";
            client.execute(sql, &[&session.id, &now.as_micros()]).await?;
        }

        Ok(Some((session, actor)))
    }

    async fn list_sessions(&self, user: i64, now: Timestamp) -> Result<Vec<Session>> {
        let sql = format!(
            "SELECT {SESSION} FROM sessions s WHERE s.user_id = $3 AND {} ORDER BY s.used_at DESC, s.id DESC",
            alive('$')
        );

        let client = self.client().await?;
        let rows = client.query(&sql, &[&now.as_micros(), &used_since(now), &user]).await?;
        Ok(rows.iter().map(session).collect())
    }

    async fn end_session(&self, user: i64, id: i64) -> Result<bool> {
        let sql = "DELETE FROM sessions WHERE user_id = $1 AND id = $2";
        Ok(self.client().await?.execute(sql, &[&user, &id]).await? > 0)
    }

    async fn end_sessions(&self, user: i64, except: Option<i64>) -> Result<usize> {
        let sql = "DELETE FROM sessions WHERE user_id = $1 AND ($2::bigint IS NULL OR id <> $2)";
        let ended = self.client().await?.execute(sql, &[&user, &except]).await?;
        Ok(usize::try_from(ended).unwrap_or(usize::MAX))
    }
}

fn session(row: &Row) -> Session {
    Session {
        id: row.get("id"),
        created_at: Timestamp::from_micros(row.get("created_at")),
        used_at: Timestamp::from_micros(row.get("used_at")),
        expires_at: Timestamp::from_micros(row.get("expires_at")),
        address: row.get("address"),
        browser: row.get("browser"),
    }
}
