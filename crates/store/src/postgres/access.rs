//! Access tokens in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;

use super::Postgres;
use crate::access::{Access, Actor};
use crate::error::Result;

#[async_trait]
impl Access for Postgres {
    async fn set_root_token(&self, digest: [u8; 32], now: Timestamp) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute("DELETE FROM access_tokens WHERE user_id = 1 AND name = 'root token'", &[]).await?;
        transaction
            .execute(
                "INSERT INTO access_tokens (digest, user_id, name, created_at) VALUES ($1, 1, 'root token', $2)",
                &[&digest.as_slice(), &now.as_micros()],
            )
            .await?;
        Ok(transaction.commit().await?)
    }

    async fn has_root_token(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM access_tokens WHERE user_id = 1 AND name = 'root token')";
        Ok(self.client().await?.query_one(sql, &[]).await?.get(0))
    }

    async fn find_actor(&self, digest: [u8; 32]) -> Result<Option<Actor>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT u.id, u.username, u.name, u.is_admin FROM access_tokens t JOIN users u ON u.id = t.user_id
                 WHERE t.digest = $1",
            )
            .await?;
        let row = client.query_opt(&statement, &[&digest.as_slice()]).await?;
        Ok(row.map(|row| Actor { user_id: row.get(0), username: row.get(1), name: row.get(2), is_admin: row.get(3) }))
    }
}
