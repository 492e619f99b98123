//! Tokens in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::access::{AccessLevel, TokenScope};
use quickdraw_domain::scope::Scope;
use tokio_postgres::{GenericClient, Row};

use super::bot_of;
use crate::access::{
    AccessTokens, Actor, Holder, NewToken, TOKEN, Token, TokenFilter, Tokens, USED_EVERY_MICROS, scopes_column,
    scopes_of, tokens_of,
};
use crate::columns;
use crate::error::{Error, Result};
use crate::lists::{Page, Paged};
use crate::postgres::{Postgres, scalar};

#[async_trait]
impl AccessTokens for Postgres {
    async fn set_root_token(&self, digest: [u8; 32], now: Timestamp) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction
            .execute("DELETE FROM access_tokens WHERE is_root", &[])
            .await?;

        transaction
            .execute(
                "INSERT INTO access_tokens (digest, user_id, name, scopes, created_at, is_root)
                 VALUES ($1, 1, 'root token', 'api sudo', $2, true)",
                &[&digest.as_slice(), &now.as_micros()],
            )
            .await?;

        Ok(transaction.commit().await?)
    }

    async fn has_root_token(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM access_tokens WHERE is_root)";
        Ok(scalar(&self.client().await?.query_one(sql, &[]).await?))
    }

    async fn find_actor(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Actor>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT u.id, u.username, u.name, u.is_admin, t.id AS token_id, t.scopes, t.last_used_at, u.project_id,
                    u.group_id, u.blocked
                 FROM access_tokens t JOIN users u ON u.id = t.user_id
                 WHERE t.digest = $1 AND NOT t.revoked
                    AND (t.expires_at IS NULL OR t.expires_at > $2)",
            )
            .await?;

        let Some(row) = client
            .query_opt(&statement, &[&digest.as_slice(), &now.as_micros()])
            .await?
        else {
            return Ok(None);
        };

        if row.get("blocked") {
            return Err(Error::Blocked);
        }

        let actor = Actor {
            user_id: row.get("id"),
            username: row.get("username"),
            name: row.get("name"),
            is_admin: row.get("is_admin"),
            token: row.get("token_id"),
            scopes: scopes_of(row.get("scopes")),
            bot_of: bot_of(row.get("project_id"), row.get("group_id")),
        };

        if row
            .get::<_, Option<i64>>("last_used_at")
            .is_none_or(|used| now.as_micros() - used >= USED_EVERY_MICROS)
        {
            let sql = "UPDATE access_tokens SET last_used_at = $2 WHERE id = $1";
            client.execute(sql, &[&actor.token, &now.as_micros()]).await?;
        }

        Ok(Some(actor))
    }

    async fn create_token(&self, new: NewToken, now: Timestamp) -> Result<Token> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let expires_at = new.expires_at.map(Timestamp::as_micros);

        let user = match &new.holder {
            Holder::User(user) => *user,
            Holder::Bot { scope, level, username } => {
                let (project, group) = columns::scope_columns(*scope);
                let (owner, what) = match scope {
                    Scope::Group(_) => ("SELECT 1 FROM groups WHERE id = $5", "group"),
                    _ => ("SELECT 1 FROM projects WHERE id = $4", "project"),
                };

                let sql = format!(
                    "INSERT INTO users (username, name, is_admin, created_at, project_id, group_id)
                     SELECT $1, $2, false, $3, $4::bigint, $5::bigint WHERE EXISTS ({owner}) RETURNING id"
                );
                let row = transaction
                    .query_opt(&sql, &[username, &new.name, &now.as_micros(), &project, &group])
                    .await?;
                let user: i64 = scalar(&row.ok_or(Error::Missing(what))?);
                let sql = "INSERT INTO members (user_id, project_id, group_id, access_level, expires_at)
                    VALUES ($1, $2, $3, $4, $5)";

                transaction
                    .execute(sql, &[&user, &project, &group, &level.number(), &expires_at])
                    .await?;
                user
            }
        };
        let made = insert_token(&*transaction, new.digest, user, &new.name, &new.scopes, expires_at, now).await?;
        transaction.commit().await?;

        Ok(made)
    }

    async fn find_token(&self, id: i64) -> Result<Option<Token>> {
        find_token(&**self.client().await?, id).await
    }

    async fn list_tokens(&self, which: Tokens, filter: TokenFilter, page: Page) -> Result<Paged<Token>> {
        let client = self.client().await?;
        let (condition, number) = tokens_of(which, &filter, '$');
        let pattern = filter.pattern();

        let count = format!(
            "SELECT count(*) FROM (SELECT 1 FROM access_tokens t JOIN users u ON u.id = t.user_id
                WHERE {condition} LIMIT $3) l"
        );
        let total = scalar(&client.query_one(&count, &[&number, &pattern, &page.counted()]).await?);
        let (before, order) = (page.before("t.id"), page.order());
        let sql =
            format!("SELECT {TOKEN} WHERE {condition}{before} AND t.id > $3 ORDER BY t.id {order} LIMIT $4 OFFSET $5");
        let rows = client
            .query(&sql, &[&number, &pattern, &page.after(), &page.limit, &page.offset()])
            .await?;

        Ok(Paged {
            rows: rows.iter().map(token).collect(),
            total,
        })
    }

    async fn rotate_token(
        &self,
        id: i64,
        digest: [u8; 32],
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Token>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let sql = "UPDATE access_tokens SET revoked = true
            WHERE id = $1 AND NOT revoked AND (expires_at IS NULL OR expires_at > $2)";
        if transaction.execute(sql, &[&id, &now.as_micros()]).await? == 0 {
            return Ok(None);
        }

        let Some(old) = find_token(&*transaction, id).await? else {
            return Ok(None);
        };
        let expires_at = expires_at.map(Timestamp::as_micros);
        if old.scope.is_some() {
            let sql = "UPDATE members SET expires_at = $2 WHERE user_id = $1";
            transaction.execute(sql, &[&old.user_id, &expires_at]).await?;
        }

        let made = insert_token(
            &*transaction,
            digest,
            old.user_id,
            &old.name,
            &old.scopes,
            expires_at,
            now,
        )
        .await?;

        transaction.commit().await?;
        Ok(Some(made))
    }

    async fn revoke_token(&self, id: i64) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;

        if transaction
            .execute("UPDATE access_tokens SET revoked = true WHERE id = $1", &[&id])
            .await?
            == 0
        {
            return Ok(false);
        }

        let sql =
            "DELETE FROM members WHERE user_id = (SELECT u.id FROM users u JOIN access_tokens t ON t.user_id = u.id
            WHERE t.id = $1 AND (u.project_id IS NOT NULL OR u.group_id IS NOT NULL)
                   AND NOT EXISTS (SELECT 1 FROM access_tokens o WHERE o.user_id = u.id AND NOT o.revoked))";
        transaction.execute(sql, &[&id]).await?;
        transaction.commit().await?;

        Ok(true)
    }
}

async fn insert_token(
    client: &impl GenericClient,
    digest: [u8; 32],
    user: i64,
    name: &str,
    scopes: &[TokenScope],
    expires_at: Option<i64>,
    now: Timestamp,
) -> Result<Token> {
    let scopes = scopes_column(scopes);
    let row = client
        .query_opt(
            "INSERT INTO access_tokens (digest, user_id, name, scopes, created_at, expires_at)
             SELECT $1, u.id, $3, $4, $5, $6 FROM users u WHERE u.id = $2 RETURNING id",
            &[&digest.as_slice(), &user, &name, &scopes, &now.as_micros(), &expires_at],
        )
        .await?;
    let id = scalar(&row.ok_or(Error::Missing("user"))?);
    find_token(client, id)
        .await?
        .ok_or(Error::Damaged("a token that was just made"))
}

async fn find_token(client: &impl GenericClient, id: i64) -> Result<Option<Token>> {
    Ok(client
        .query_opt(&format!("SELECT {TOKEN} WHERE t.id = $1"), &[&id])
        .await?
        .as_ref()
        .map(token))
}

fn token(row: &Row) -> Token {
    Token {
        id: row.get("id"),
        user_id: row.get("user_id"),
        name: row.get("name"),
        scopes: scopes_of(row.get("scopes")),
        created_at: Timestamp::from_micros(row.get("created_at")),
        expires_at: row.get::<_, Option<i64>>("expires_at").map(Timestamp::from_micros),
        last_used_at: row.get::<_, Option<i64>>("last_used_at").map(Timestamp::from_micros),
        revoked: row.get("revoked"),
        scope: bot_of(row.get("project_id"), row.get("group_id")),
        level: row.get::<_, Option<i64>>("level").and_then(AccessLevel::by_number),
        is_root: row.get("is_root"),
    }
}
