//! The audit log in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use tokio_postgres::{GenericClient, Row};

use super::Postgres;
use crate::audit::{Audit, AuditEntry, AuditFilter, behalf_of};
use crate::columns;
use crate::error::Result;
use crate::lists::Scanned;

#[async_trait]
impl Audit for Postgres {
    async fn append_audit(&self, entry: AuditEntry) -> Result<()> {
        let client = self.client().await?;
        write(&**client, &entry).await
    }

    async fn list_audit(&self, filter: AuditFilter) -> Result<Scanned<AuditEntry, i64>> {
        let list = filter.list();
        list.fetch(self, entry, |entry| entry.id, |row| row.get("id")).await
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

fn entry(row: &Row) -> AuditEntry {
    AuditEntry {
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
    }
}
