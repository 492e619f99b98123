//! Passwords in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use tokio_postgres::GenericClient;

use super::users::create_user;
use super::{USER, user};
use crate::access::{FirstAdministrator, NewUser, Passwords, StoredPassword, User};
use crate::error::{Error, Result};
use crate::postgres::{Postgres, scalar};

#[async_trait]
impl Passwords for Postgres {
    async fn set_password(&self, user: i64, hash: String, keep: Option<i64>, now: Timestamp) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let sql = "SELECT 1 FROM users WHERE id = $1 FOR UPDATE";
        if transaction.query_opt(sql, &[&user]).await?.is_none() {
            return Err(Error::Missing("user"));
        }

        set(&*transaction, user, &hash, keep, now).await?;
        Ok(transaction.commit().await?)
    }

    async fn create_user_with_password(&self, new: NewUser, hash: String, now: Timestamp) -> Result<User> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let user = create_user(&*transaction, new, now).await?;
        set(&*transaction, user.id, &hash, None, now).await?;
        transaction.commit().await?;

        Ok(user)
    }

    async fn find_password(&self, username: String) -> Result<Option<StoredPassword>> {
        let sql = format!(
            "SELECT {USER}, p.hash FROM users u JOIN passwords p ON p.user_id = u.id
             WHERE lower(u.username) = lower($1)"
        );
        let row = self.client().await?.query_opt(&sql, &[&username]).await?;
        Ok(row.map(|row| StoredPassword {
            user: user(&row),
            hash: row.get("hash"),
        }))
    }

    async fn password_of(&self, user: i64) -> Result<Option<String>> {
        let sql = "SELECT hash FROM passwords WHERE user_id = $1";
        let row = self.client().await?.query_opt(sql, &[&user]).await?;
        Ok(row.as_ref().map(scalar))
    }

    async fn has_passwords(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM passwords)";
        Ok(scalar(&self.client().await?.query_one(sql, &[]).await?))
    }

    async fn put_setup_link(&self, digest: [u8; 32], expires_at: Timestamp) -> Result<()> {
        let sql = "INSERT INTO setup_links (id, digest, expires_at) VALUES (1, $1, $2)
            ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at";
        self.client()
            .await?
            .execute(sql, &[&digest.as_slice(), &expires_at.as_micros()])
            .await?;

        Ok(())
    }

    async fn is_setup_link(&self, digest: [u8; 32], now: Timestamp) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM setup_links WHERE digest = $1 AND expires_at > $2)";
        let client = self.client().await?;
        let row = client.query_one(sql, &[&digest.as_slice(), &now.as_micros()]).await?;
        Ok(scalar(&row))
    }

    async fn finish_setup(&self, digest: [u8; 32], new: FirstAdministrator, now: Timestamp) -> Result<Option<User>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let sql = "DELETE FROM setup_links WHERE digest = $1 AND expires_at > $2";

        if transaction
            .execute(sql, &[&digest.as_slice(), &now.as_micros()])
            .await?
            == 0
        {
            return Ok(None);
        }

        // If two users want the same username at once, the index lets one of them have it. A refusal rolls the deletion
        // back, so the link stays valid.
        let sql = "UPDATE users SET username = $1, name = $2, is_admin = true, blocked = false WHERE id = 1";
        transaction.execute(sql, &[&new.username, &new.name]).await?;
        set(&*transaction, 1, &new.hash, None, now).await?;

        let sql = format!("SELECT {USER} FROM users u WHERE u.id = 1");
        let row = transaction.query_opt(&sql, &[]).await?;
        let changed = row.as_ref().map(user);

        transaction.commit().await?;

        Ok(changed)
    }
}

async fn set(client: &impl GenericClient, user: i64, hash: &str, keep: Option<i64>, now: Timestamp) -> Result<()> {
    let sql = "INSERT INTO passwords (user_id, hash, changed_at) VALUES ($1, $2, $3)
        ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at";
    client.execute(sql, &[&user, &hash, &now.as_micros()]).await?;

    let sql = "DELETE FROM sessions WHERE user_id = $1 AND ($2::bigint IS NULL OR id <> $2)";
    client.execute(sql, &[&user, &keep]).await?;

    Ok(())
}
