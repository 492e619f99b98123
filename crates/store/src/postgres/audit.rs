//! The audit log in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use tokio_postgres::GenericClient;

use super::Postgres;
use crate::audit::{Audit, AuditEntry, AuditFilter, COLUMNS, behalf_of};
use crate::columns;
use crate::error::Result;

#[async_trait]
impl Audit for Postgres {
    async fn append_audit(&self, entry: AuditEntry) -> Result<()> {
        let client = self.client().await?;
        write(&**client, &entry).await
    }

    async fn list_audit(&self, filter: AuditFilter) -> Result<Vec<AuditEntry>> {
        let client = self.client().await?;
        let who = if filter.user.is_some() {
            "(user_id = $2 OR behalf_user_id = $2)"
        } else {
            "$2::bigint IS NULL"
        };
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE id < $1 AND {who} ORDER BY id DESC LIMIT $3");
        let before = filter.before.unwrap_or(i64::MAX);
        let rows = client
            .query(&sql, &[&before, &filter.user, &columns::limit(filter.limit)])
            .await?;

        let entry = |row: &tokio_postgres::Row| AuditEntry {
            id: row.get("id"),
            at: Timestamp::from_micros(row.get("at")),
            user_id: row.get("user_id"),
            username: row.get("username"),
            behalf: behalf_of(row.get("behalf_user_id"), row.get("behalf_username")),
            address: row.get("address"),
            method: row.get("method"),
            path: row.get("path"),
            status: row.get("status"),
            attributes: row.get("attributes"),
        };
        Ok(rows.iter().map(entry).collect())
    }

    async fn prune_audit(&self, before: Timestamp, limit: usize) -> Result<usize> {
        let sql = "DELETE FROM audit WHERE id IN (SELECT id FROM
            (SELECT id, at FROM audit ORDER BY id LIMIT $2) a WHERE at < $1)";
        let gone = self
            .client()
            .await?
            .execute(sql, &[&before.as_micros(), &columns::limit(limit)])
            .await?;
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }
}

pub(super) async fn write(client: &impl GenericClient, entry: &AuditEntry) -> Result<()> {
    let sql = "INSERT INTO audit (at, user_id, username, address, method, path, status, attributes, behalf_user_id,
            behalf_username)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    client
        .execute(
            sql,
            &[
                &entry.at.as_micros(),
                &entry.user_id,
                &entry.username,
                &entry.address,
                &entry.method,
                &entry.path,
                &entry.status,
                &entry.attributes,
                &entry.behalf.as_ref().map(|behalf| behalf.user_id),
                &entry.behalf.as_ref().map(|behalf| &behalf.username),
            ],
        )
        .await?;

    Ok(())
}
