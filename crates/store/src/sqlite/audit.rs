//! The audit log in SQLite.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use rusqlite::{Connection, Row};

use super::Sqlite;
use crate::audit::{Audit, AuditEntry, AuditFilter, behalf_of};
use crate::columns;
use crate::error::Result;
use crate::lists::Scanned;

#[async_trait]
impl Audit for Sqlite {
    async fn append_audit(&self, entry: AuditEntry) -> Result<()> {
        self.write(move |tx| write(tx.connection, entry)).await
    }

    async fn list_audit(&self, filter: AuditFilter) -> Result<Scanned<AuditEntry, i64>> {
        let list = filter.list();
        self.read(move |connection| list.read(connection, entry, |entry| entry.id, |row| row.get("id")))
            .await
    }

    async fn prune_audit(&self, before: Timestamp, limit: usize) -> Result<usize> {
        self.write(move |tx| {
            // Entries are numbered as they are written: the oldest come first, and the first young one ends the look.
            let sql = "DELETE FROM audit WHERE id IN (SELECT id FROM
                (SELECT id, at FROM audit ORDER BY id LIMIT ?2) WHERE at < ?1)";
            Ok(tx
                .connection
                .prepare_cached(sql)?
                .execute((before.as_micros(), columns::limit(limit)))?)
        })
        .await
    }
}

pub(super) fn write(connection: &Connection, entry: AuditEntry) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO audit (at, user_id, username, address, method, path, status, attributes, behalf_user_id,
                behalf_username)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute((
            entry.at.as_micros(),
            entry.user_id,
            entry.username,
            entry.address,
            entry.method,
            entry.path,
            entry.status,
            entry.attributes,
            entry.behalf.as_ref().map(|behalf| behalf.user_id),
            entry.behalf.as_ref().map(|behalf| &behalf.username),
        ))?;

    Ok(())
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        id: row.get("id")?,
        at: Timestamp::from_micros(row.get("at")?),
        user_id: row.get("user_id")?,
        username: row.get("username")?,
        behalf: behalf_of(row.get("behalf_user_id")?, row.get("behalf_username")?),
        address: row.get("address")?,
        method: row.get("method")?,
        path: row.get("path")?,
        status: row.get("status")?,
        attributes: row.get("attributes")?,
    })
}
