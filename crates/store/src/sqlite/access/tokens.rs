//! Tokens in SQLite.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::access::{AccessLevel, TokenScope};
use rusqlite::{Connection, OptionalExtension, Row};

use super::bot_of;
use crate::access::{
    AccessTokens, Actor, Holder, NewToken, TOKEN, Token, TokenFilter, Tokens, USED_EVERY_MICROS, scopes_column,
    scopes_of, tokens_of,
};
use crate::columns;
use crate::error::{Error, Result};
use crate::lists::{Page, Paged};
use crate::sqlite::Sqlite;
use crate::sqlite::hooks::check_scope;
use crate::sqlite::rows::scalar;

#[async_trait]
impl AccessTokens for Sqlite {
    async fn set_root_token(&self, digest: [u8; 32], now: Timestamp) -> Result<()> {
        self.configure(move |tx| {
            tx.connection.execute("DELETE FROM access_tokens WHERE is_root", [])?;
            tx.connection.execute(
                "INSERT INTO access_tokens (digest, user_id, name, scopes, created_at, is_root)
                 VALUES (?1, 1, 'root token', 'api sudo', ?2, TRUE)",
                (digest, now.as_micros()),
            )?;

            Ok(())
        })
        .await
    }

    async fn has_root_token(&self) -> Result<bool> {
        self.read(|connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM access_tokens WHERE is_root)";
            Ok(connection.query_row(sql, [], scalar)?)
        })
        .await
    }

    async fn find_actor(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Actor>> {
        let found = self
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT u.id, u.username, u.name, u.is_admin, t.id AS token_id, t.scopes, t.last_used_at, u.project_id,
                       u.group_id, u.blocked
                     FROM access_tokens t JOIN users u ON u.id = t.user_id
                     WHERE t.digest = ?1 AND NOT t.revoked
                       AND (t.expires_at IS NULL OR t.expires_at > ?2)",
                )?;

                let found = statement.query_row((digest, now.as_micros()), |row| {
                    let actor = Actor {
                        user_id: row.get("id")?,
                        username: row.get("username")?,
                        name: row.get("name")?,
                        is_admin: row.get("is_admin")?,
                        token: row.get("token_id")?,
                        scopes: scopes_of(&row.get::<_, String>("scopes")?),
                        bot_of: bot_of(row.get("project_id")?, row.get("group_id")?),
                    };
                    Ok((actor, row.get::<_, Option<i64>>("last_used_at")?, row.get::<_, bool>("blocked")?))
                });
                Ok(found.optional()?)
            })
            .await?;
        let Some((actor, used, is_blocked)) = found else {
            return Ok(None);
        };

        if is_blocked {
            return Err(Error::Blocked);
        }

        if used.is_none_or(|used| now.as_micros() - used >= USED_EVERY_MICROS) {
            let token = actor.token;
            self.write(move |tx| {
                let sql = "UPDATE access_tokens SET last_used_at = ?2 WHERE id = ?1";
                tx.connection.prepare_cached(sql)?.execute((token, now.as_micros()))?;
                Ok(())
            })
            .await?;
        }

        Ok(Some(actor))
    }

    async fn create_token(&self, new: NewToken, now: Timestamp) -> Result<Token> {
        self.configure(move |tx| {
            let user = match &new.holder {
                Holder::User(user) => *user,
                Holder::Bot { scope, level, username } => {
                    check_scope(tx.connection, *scope)?;

                    let (project, group) = columns::scope_columns(*scope);
                    tx.connection.execute(
                        "INSERT INTO users (username, name, is_admin, created_at, project_id, group_id)
                         VALUES (?1, ?2, FALSE, ?3, ?4, ?5)",
                        (username, &new.name, now.as_micros(), project, group),
                    )?;

                    let user = tx.connection.last_insert_rowid();
                    let expires_at = new.expires_at.map(Timestamp::as_micros);

                    tx.connection.execute(
                        "INSERT INTO members (user_id, project_id, group_id, access_level, expires_at)
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                        (user, project, group, level.number(), expires_at),
                    )?;

                    user
                }
            };

            if !tx
                .connection
                .prepare_cached("SELECT 1 FROM users WHERE id = ?1")?
                .exists([user])?
            {
                return Err(Error::Missing("user"));
            }

            insert_token(
                tx.connection,
                new.digest,
                user,
                &new.name,
                &new.scopes,
                new.expires_at,
                now,
            )
        })
        .await
    }

    async fn find_token(&self, id: i64) -> Result<Option<Token>> {
        self.read(move |connection| find_token(connection, id)).await
    }

    async fn list_tokens(&self, which: Tokens, filter: TokenFilter, page: Page) -> Result<Paged<Token>> {
        self.read(move |connection| {
            let (condition, number) = tokens_of(which, &filter, '?');
            let pattern = filter.pattern();
            let count = format!("SELECT count(*) FROM (SELECT {TOKEN} WHERE {condition} LIMIT ?3)");
            let total = connection.query_row(&count, (number, &pattern, page.counted()), scalar)?;
            let (before, order) = (page.before("t.id"), page.order());
            let sql = format!(
                "SELECT {TOKEN} WHERE {condition}{before} AND t.id > ?3 ORDER BY t.id {order} LIMIT ?4 OFFSET ?5"
            );
            let mut statement = connection.prepare(&sql)?;
            let parameters = (number, &pattern, page.after(), page.limit, page.offset());
            let found = statement.query_map(parameters, token)?;

            Ok(Paged {
                rows: found.collect::<rusqlite::Result<_>>()?,
                total,
            })
        })
        .await
    }

    async fn rotate_token(
        &self,
        id: i64,
        digest: [u8; 32],
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Token>> {
        self.configure(move |tx| {
            let sql = "UPDATE access_tokens SET revoked = TRUE
                WHERE id = ?1 AND NOT revoked AND (expires_at IS NULL OR expires_at > ?2)";
            if tx.connection.execute(sql, (id, now.as_micros()))? == 0 {
                return Ok(None);
            }

            let Some(old) = find_token(tx.connection, id)? else {
                return Ok(None);
            };
            if old.scope.is_some() {
                let sql = "UPDATE members SET expires_at = ?2 WHERE user_id = ?1";
                tx.connection
                    .execute(sql, (old.user_id, expires_at.map(Timestamp::as_micros)))?;
            }

            insert_token(
                tx.connection,
                digest,
                old.user_id,
                &old.name,
                &old.scopes,
                expires_at,
                now,
            )
            .map(Some)
        })
        .await
    }

    async fn revoke_token(&self, id: i64) -> Result<bool> {
        self.configure(move |tx| {
            if tx
                .connection
                .execute("UPDATE access_tokens SET revoked = TRUE WHERE id = ?1", [id])?
                == 0
            {
                return Ok(false);
            }

            tx.connection.execute(
                "DELETE FROM members WHERE user_id = (SELECT u.id FROM users u JOIN access_tokens t ON t.user_id = u.id
                   WHERE t.id = ?1 AND (u.project_id IS NOT NULL OR u.group_id IS NOT NULL)
                   AND NOT EXISTS (SELECT 1 FROM access_tokens o WHERE o.user_id = u.id AND NOT o.revoked))",
                [id],
            )?;

            Ok(true)
        })
        .await
    }
}

fn insert_token(
    connection: &Connection,
    digest: [u8; 32],
    user: i64,
    name: &str,
    scopes: &[TokenScope],
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Token> {
    let expires_at = expires_at.map(Timestamp::as_micros);

    connection.execute(
        "INSERT INTO access_tokens (digest, user_id, name, scopes, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (digest, user, name, scopes_column(scopes), now.as_micros(), expires_at),
    )?;

    find_token(connection, connection.last_insert_rowid())?.ok_or(Error::Damaged("a token that was just made"))
}

fn find_token(connection: &Connection, id: i64) -> Result<Option<Token>> {
    let sql = format!("SELECT {TOKEN} WHERE t.id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id], token).optional()?)
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        id: row.get("id")?,
        user_id: row.get("user_id")?,
        name: row.get("name")?,
        scopes: scopes_of(&row.get::<_, String>("scopes")?),
        created_at: Timestamp::from_micros(row.get("created_at")?),
        expires_at: row.get::<_, Option<i64>>("expires_at")?.map(Timestamp::from_micros),
        last_used_at: row.get::<_, Option<i64>>("last_used_at")?.map(Timestamp::from_micros),
        revoked: row.get("revoked")?,
        scope: bot_of(row.get("project_id")?, row.get("group_id")?),
        level: row.get::<_, Option<i64>>("level")?.and_then(AccessLevel::by_number),
        is_root: row.get("is_root")?,
    })
}
