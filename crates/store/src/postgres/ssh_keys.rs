//! SSH keys in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use tokio_postgres::Row;

use super::{Postgres, scalar};
use crate::error::{Error, Result};
use crate::lists::{Page, Paged};
use crate::ssh_keys::{COLUMNS, NewKey, SshKeys, StoredKey, UserKey};

#[async_trait]
impl SshKeys for Postgres {
    async fn add_ssh_key(&self, new: NewKey, most: i64, now: Timestamp) -> Result<UserKey> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;

        // The lock makes keys of one user take turns, so that they are counted right.
        let user = transaction
            .query_opt("SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE", &[&new.user])
            .await?;
        if user.is_none() {
            return Err(Error::Missing("user"));
        }

        let fingerprint = new.key.fingerprint();
        let same = transaction
            .query_opt("SELECT 1 FROM ssh_keys WHERE fingerprint = $1", &[&&fingerprint[..]])
            .await?;
        if same.is_some() {
            return Err(Error::Taken("key"));
        }

        let count = "SELECT count(*) FROM ssh_keys WHERE user_id = $1";
        let count: i64 = scalar(&transaction.query_one(count, &[&new.user]).await?);
        if count >= most {
            return Err(Error::Full(most));
        }

        // Another user may add the same key at the same time: the index lets one of them have it.
        let row = transaction
            .query_opt(
                "INSERT INTO ssh_keys (user_id, title, public_key, fingerprint, usage_type, created_at, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id",
                &[
                    &new.user,
                    &new.title,
                    &new.key.text(),
                    &&fingerprint[..],
                    &new.usage.word(),
                    &now.as_micros(),
                    &new.expires_at.map(Timestamp::as_micros),
                ],
            )
            .await?;
        let id = scalar(&row.ok_or(Error::Taken("key"))?);
        transaction.commit().await?;

        Ok(new.added(id, now))
    }

    async fn find_ssh_key(&self, user: i64, id: i64) -> Result<Option<UserKey>> {
        let sql = format!("SELECT {COLUMNS} FROM ssh_keys k WHERE k.user_id = $1 AND k.id = $2");
        let found = self.client().await?.query_opt(&sql, &[&user, &id]).await?;
        found.as_ref().map(read).transpose()
    }

    async fn list_ssh_keys(&self, user: i64, page: Page) -> Result<Paged<UserKey>> {
        let client = self.client().await?;
        let count = "SELECT count(*) FROM (SELECT 1 FROM ssh_keys WHERE user_id = $1 LIMIT $2) l";
        let total = scalar(&client.query_one(count, &[&user, &page.counted()]).await?);

        let (before, order) = (page.before("k.id"), page.order());
        let sql = format!(
            "SELECT {COLUMNS} FROM ssh_keys k WHERE k.user_id = $1{before} AND k.id > $2
             ORDER BY k.id {order} LIMIT $3 OFFSET $4"
        );
        let (after, offset) = (page.after(), page.offset());
        let found = client.query(&sql, &[&user, &after, &page.limit, &offset]).await?;

        Ok(Paged {
            rows: found.iter().map(read).collect::<Result<_>>()?,
            total,
        })
    }

    async fn remove_ssh_key(&self, user: i64, id: i64) -> Result<Option<UserKey>> {
        let sql = format!("DELETE FROM ssh_keys k WHERE k.user_id = $1 AND k.id = $2 RETURNING {COLUMNS}");
        let found = self.client().await?.query_opt(&sql, &[&user, &id]).await?;
        found.as_ref().map(read).transpose()
    }
}

fn read(row: &Row) -> Result<UserKey> {
    let stored = StoredKey {
        id: row.get("id"),
        user: row.get("user_id"),
        title: row.get("title"),
        public_key: row.get("public_key"),
        usage: row.get("usage_type"),
        created_at: row.get("created_at"),
        expires_at: row.get("expires_at"),
    };

    stored.read()
}
