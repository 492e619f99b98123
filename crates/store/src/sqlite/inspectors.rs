//! Inspectors in SQLite. Their secrets are sealed.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::inspector::{Inspected, Inspector, MAX_BYTES, MAX_IN_ALL, MAX_OF_USER, MAX_REQUESTS};
use rusqlite::{Connection, OptionalExtension, Row};
use uuid::Uuid;

use super::Sqlite;
use super::rows::scalar;
use crate::columns;
use crate::error::{Error, Result};
use crate::inspectors::{
    INSPECTED, InspectedPage, Inspectors, LISTED, ListedInspector, StoredInspector, StoredRequest,
};
use crate::payload::Packed;
use crate::seal::Ring;

#[async_trait]
impl Inspectors for Sqlite {
    async fn create_inspector(&self, inspector: Inspector) -> Result<()> {
        let sealed = StoredInspector::seal(&inspector, &self.ring)?;
        self.configure(move |tx| {
            ensure_room(tx.connection, sealed.owner_id)?;

            tx.connection.execute(
                "INSERT INTO inspectors (inspector_key, owner_id, name, secrets, status, headers, body, delay_ms,
                   created_at, updated_at, expires_at)
                 VALUES (:inspector_key, :owner_id, :name, :secrets, :status, :headers, :body, :delay_ms,
                   :created_at, :updated_at, :expires_at)",
                rusqlite::named_params! {
                    ":inspector_key": sealed.key,
                    ":owner_id": sealed.owner_id,
                    ":name": sealed.name,
                    ":secrets": sealed.secrets,
                    ":status": sealed.status,
                    ":headers": sealed.headers,
                    ":body": sealed.body,
                    ":delay_ms": sealed.delay_ms,
                    ":created_at": sealed.created_at,
                    ":updated_at": sealed.updated_at,
                    ":expires_at": sealed.expires_at,
                },
            )?;
            Ok(())
        })
        .await
    }

    async fn update_inspector(&self, inspector: Inspector, unchanged_since: Timestamp) -> Result<bool> {
        let sealed = StoredInspector::seal(&inspector, &self.ring)?;
        self.configure(move |tx| {
            let written = tx.connection.execute(
                "UPDATE inspectors SET name = :name, secrets = :secrets, status = :status, headers = :headers,
                   body = :body, delay_ms = :delay_ms, updated_at = :updated_at
                 WHERE inspector_key = :inspector_key AND updated_at = :unchanged_since",
                rusqlite::named_params! {
                    ":inspector_key": sealed.key,
                    ":unchanged_since": unchanged_since.as_micros(),
                    ":name": sealed.name,
                    ":secrets": sealed.secrets,
                    ":status": sealed.status,
                    ":headers": sealed.headers,
                    ":body": sealed.body,
                    ":delay_ms": sealed.delay_ms,
                    ":updated_at": sealed.updated_at,
                },
            )?;
            Ok(written > 0)
        })
        .await
    }

    async fn find_inspector(&self, key: String) -> Result<Option<ListedInspector>> {
        let ring = self.ring.clone();
        self.read(move |connection| {
            let sql = format!("SELECT {LISTED} FROM inspectors i WHERE i.inspector_key = ?1");
            let found = connection.prepare_cached(&sql)?.query_row([key], listed).optional()?;
            found.map(|stored| stored.open(&ring)).transpose()
        })
        .await
    }

    async fn list_inspectors(&self, owner: Option<i64>) -> Result<Vec<ListedInspector>> {
        let ring = self.ring.clone();
        self.read(move |connection| {
            let of = if owner.is_some() {
                "i.owner_id = ?1"
            } else {
                "?1 IS NULL"
            };
            let sql = format!("SELECT {LISTED} FROM inspectors i WHERE {of} ORDER BY i.id DESC");
            let mut statement = connection.prepare_cached(&sql)?;
            let found: Vec<Stored> = statement.query_map([owner], listed)?.collect::<rusqlite::Result<_>>()?;
            found.into_iter().map(|stored| stored.open(&ring)).collect()
        })
        .await
    }

    async fn delete_inspector(&self, key: String) -> Result<bool> {
        self.configure(move |tx| {
            let sql = "DELETE FROM inspectors WHERE inspector_key = ?1";
            Ok(tx.connection.execute(sql, [key])? > 0)
        })
        .await
    }

    async fn keep_request(&self, key: String, request: Inspected, body: Packed) -> Result<bool> {
        let stored = StoredRequest::new(request)?;
        self.write(move |tx| {
            let sql = "SELECT id FROM inspectors WHERE inspector_key = ?1";
            let inspector: Option<i64> = tx.connection.prepare_cached(sql)?.query_row([key], scalar).optional()?;
            let Some(inspector) = inspector else {
                return Ok(false);
            };

            insert(tx.connection, inspector, &stored, &body)?;
            delete_beyond_bounds(tx.connection, inspector)?;
            Ok(true)
        })
        .await
    }

    async fn clear_requests(&self, key: String) -> Result<()> {
        self.configure(move |tx| {
            let sql = "DELETE FROM inspector_requests
                WHERE inspector_id = (SELECT id FROM inspectors WHERE inspector_key = ?1)";
            tx.connection.execute(sql, [key])?;
            Ok(())
        })
        .await
    }

    async fn list_inspected(&self, key: String, page: InspectedPage) -> Result<Vec<Inspected>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {INSPECTED} FROM inspector_requests r
                 WHERE r.inspector_id = (SELECT id FROM inspectors WHERE inspector_key = ?1)
                   AND r.id < ?2 AND r.id > ?3 ORDER BY r.id DESC LIMIT ?4"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let parameters = (
                key,
                page.before.unwrap_or(Uuid::max()),
                page.after.unwrap_or(Uuid::nil()),
                columns::limit(page.limit),
            );

            let found: Vec<StoredRequest> = statement
                .query_map(parameters, inspected)?
                .collect::<rusqlite::Result<_>>()?;
            found.into_iter().map(StoredRequest::read).collect()
        })
        .await
    }

    async fn find_inspected(&self, key: String, id: Uuid) -> Result<Option<(Inspected, Packed)>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {INSPECTED}, r.body FROM inspector_requests r
                 WHERE r.id = ?2 AND r.inspector_id = (SELECT id FROM inspectors WHERE inspector_key = ?1)"
            );
            let with_body = |row: &Row<'_>| Ok((inspected(row)?, Packed::from_stored(row.get("body")?)));
            let found = connection
                .prepare_cached(&sql)?
                .query_row((key, id), with_body)
                .optional()?;

            found.map(|(stored, body)| Ok((stored.read()?, body))).transpose()
        })
        .await
    }

    async fn prune_inspectors(&self, now: Timestamp, limit: usize) -> Result<usize> {
        self.write(move |tx| {
            let sql = "DELETE FROM inspectors
                WHERE id IN (SELECT id FROM inspectors WHERE expires_at <= ?1 LIMIT ?2)";
            Ok(tx
                .connection
                .prepare_cached(sql)?
                .execute((now.as_micros(), columns::limit(limit)))?)
        })
        .await
    }
}

/// Refuses one more inspector if its owner, or all users together, have as many as they can have.
fn ensure_room(connection: &Connection, owner: i64) -> Result<()> {
    let all: i64 = connection.query_row("SELECT count(*) FROM inspectors", [], scalar)?;
    if all >= columns::limit(MAX_IN_ALL) {
        return Err(Error::Full(columns::limit(MAX_IN_ALL)));
    }

    let sql = "SELECT count(*) FROM inspectors WHERE owner_id = ?1";
    let own: i64 = connection.query_row(sql, [owner], scalar)?;
    if own >= columns::limit(MAX_OF_USER) {
        return Err(Error::Full(columns::limit(MAX_OF_USER)));
    }

    Ok(())
}

fn insert(connection: &Connection, inspector: i64, stored: &StoredRequest, body: &Packed) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO inspector_requests (id, inspector_id, kept_bytes, received_at, address, method, path, size,
               note, token_verdict, signature_verdict, hub_verdict, status, headers, body)
             VALUES (:id, :inspector_id, :kept_bytes, :received_at, :address, :method, :path, :size, :note,
               :token_verdict, :signature_verdict, :hub_verdict, :status, :headers, :body)",
        )?
        .execute(rusqlite::named_params! {
            ":id": stored.id,
            ":inspector_id": inspector,
            ":kept_bytes": stored.kept_bytes(body),
            ":received_at": stored.received_at,
            ":address": stored.address,
            ":method": stored.method,
            ":path": stored.path,
            ":size": stored.size,
            ":note": stored.note,
            ":token_verdict": stored.verdicts[0],
            ":signature_verdict": stored.verdicts[1],
            ":hub_verdict": stored.verdicts[2],
            ":status": stored.status,
            ":headers": stored.headers,
            ":body": body.as_bytes(),
        })?;

    Ok(())
}

/// Deletes the oldest requests of an inspector beyond their number and size. The newest one always stays.
fn delete_beyond_bounds(connection: &Connection, inspector: i64) -> Result<()> {
    let sql = "DELETE FROM inspector_requests WHERE inspector_id = ?1 AND id IN
        (SELECT id FROM (SELECT id, row_number() OVER newest AS place, sum(kept_bytes) OVER newest AS total
            FROM inspector_requests WHERE inspector_id = ?1 WINDOW newest AS (ORDER BY id DESC))
         WHERE place > ?2 OR (total > ?3 AND place > 1))";
    connection
        .prepare_cached(sql)?
        .execute((inspector, columns::limit(MAX_REQUESTS), columns::limit(MAX_BYTES)))?;

    Ok(())
}

/// The columns of a listed inspector.
struct Stored {
    inspector: StoredInspector,
    owner_name: String,
    requests: i64,
    last_request_at: Option<i64>,
}

impl Stored {
    fn open(self, ring: &Ring) -> Result<ListedInspector> {
        Ok(ListedInspector {
            inspector: self.inspector.open(ring)?,
            owner_name: self.owner_name,
            requests: self.requests,
            last_request_at: self.last_request_at.map(Timestamp::from_micros),
        })
    }
}

fn listed(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        inspector: StoredInspector {
            key: row.get("inspector_key")?,
            owner_id: row.get("owner_id")?,
            name: row.get("name")?,
            secrets: row.get("secrets")?,
            status: row.get("status")?,
            headers: row.get("headers")?,
            body: row.get("body")?,
            delay_ms: row.get("delay_ms")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
            expires_at: row.get("expires_at")?,
        },
        owner_name: row.get("owner_name")?,
        requests: row.get("requests")?,
        last_request_at: row.get("last_request_at")?,
    })
}

fn inspected(row: &Row<'_>) -> rusqlite::Result<StoredRequest> {
    Ok(StoredRequest {
        id: row.get("id")?,
        received_at: row.get("received_at")?,
        address: row.get("address")?,
        method: row.get("method")?,
        path: row.get("path")?,
        size: row.get("size")?,
        note: row.get("note")?,
        verdicts: [
            row.get("token_verdict")?,
            row.get("signature_verdict")?,
            row.get("hub_verdict")?,
        ],
        status: row.get("status")?,
        headers: row.get("headers")?,
    })
}
