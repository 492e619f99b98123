//! Inspectors in PostgreSQL. Their secrets are sealed.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::inspector::{Inspected, Inspector, MAX_BYTES, MAX_IN_ALL, MAX_OF_USER, MAX_REQUESTS};
use tokio_postgres::{GenericClient, Row};
use uuid::Uuid;

use super::{Postgres, scalar};
use crate::columns;
use crate::error::{Error, Result};
use crate::inspectors::{
    INSPECTED, InspectedPage, Inspectors, LISTED, ListedInspector, StoredInspector, StoredRequest,
};
use crate::payload::Packed;
use crate::seal::Ring;

#[async_trait]
impl Inspectors for Postgres {
    async fn create_inspector(&self, inspector: Inspector) -> Result<()> {
        let sealed = StoredInspector::seal(&inspector, &self.ring)?;
        let client = self.client().await?;
        // Two that are made at this very moment may both count the same: one more than the limit harms nobody.
        ensure_room(&**client, sealed.owner_id).await?;

        client
            .execute(
                "INSERT INTO inspectors (inspector_key, owner_id, name, secrets, status, headers, body, delay_ms,
                    created_at, updated_at, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                &[
                    &sealed.key,
                    &sealed.owner_id,
                    &sealed.name,
                    &sealed.secrets,
                    &sealed.status,
                    &sealed.headers,
                    &sealed.body,
                    &sealed.delay_ms,
                    &sealed.created_at,
                    &sealed.updated_at,
                    &sealed.expires_at,
                ],
            )
            .await?;

        Ok(())
    }

    async fn update_inspector(&self, inspector: Inspector, unchanged_since: Timestamp) -> Result<bool> {
        let sealed = StoredInspector::seal(&inspector, &self.ring)?;
        let written = self
            .client()
            .await?
            .execute(
                "UPDATE inspectors SET name = $3, secrets = $4, status = $5, headers = $6, body = $7, delay_ms = $8,
                    updated_at = $9
                 WHERE inspector_key = $1 AND updated_at = $2",
                &[
                    &sealed.key,
                    &unchanged_since.as_micros(),
                    &sealed.name,
                    &sealed.secrets,
                    &sealed.status,
                    &sealed.headers,
                    &sealed.body,
                    &sealed.delay_ms,
                    &sealed.updated_at,
                ],
            )
            .await?;
        Ok(written > 0)
    }

    async fn find_inspector(&self, key: String) -> Result<Option<ListedInspector>> {
        let client = self.client().await?;
        let sql = format!("SELECT {LISTED} FROM inspectors i WHERE i.inspector_key = $1");
        let statement = client.prepare_cached(&sql).await?;
        let found = client.query_opt(&statement, &[&key]).await?;
        found.as_ref().map(|row| listed(row, &self.ring)).transpose()
    }

    async fn list_inspectors(&self, owner: Option<i64>) -> Result<Vec<ListedInspector>> {
        let client = self.client().await?;
        let of = if owner.is_some() {
            "i.owner_id = $1"
        } else {
            "$1::bigint IS NULL"
        };
        let sql = format!("SELECT {LISTED} FROM inspectors i WHERE {of} ORDER BY i.id DESC");
        let rows = client.query(&sql, &[&owner]).await?;
        rows.iter().map(|row| listed(row, &self.ring)).collect()
    }

    async fn delete_inspector(&self, key: String) -> Result<bool> {
        let sql = "DELETE FROM inspectors WHERE inspector_key = $1";
        Ok(self.client().await?.execute(sql, &[&key]).await? > 0)
    }

    async fn keep_request(&self, key: String, request: Inspected, body: Packed) -> Result<bool> {
        let stored = StoredRequest::new(request)?;
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;

        // The lock lets requests that come at the same time delete the oldest ones one after the other.
        let sql = "SELECT id FROM inspectors WHERE inspector_key = $1 FOR UPDATE";
        let Some(row) = transaction.query_opt(sql, &[&key]).await? else {
            return Ok(false);
        };
        let inspector: i64 = scalar(&row);

        insert(&*transaction, inspector, &stored, &body).await?;
        delete_beyond_bounds(&*transaction, inspector).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn clear_requests(&self, key: String) -> Result<()> {
        let sql = "DELETE FROM inspector_requests
            WHERE inspector_id = (SELECT id FROM inspectors WHERE inspector_key = $1)";
        self.client().await?.execute(sql, &[&key]).await?;
        Ok(())
    }

    async fn list_inspected(&self, key: String, page: InspectedPage) -> Result<Vec<Inspected>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {INSPECTED} FROM inspector_requests r
             WHERE r.inspector_id = (SELECT id FROM inspectors WHERE inspector_key = $1)
               AND r.id < $2 AND r.id > $3 ORDER BY r.id DESC LIMIT $4"
        );
        let before = page.before.unwrap_or(Uuid::max());
        let after = page.after.unwrap_or(Uuid::nil());
        let limit = columns::limit(page.limit);

        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&key, &before, &after, &limit]).await?;
        rows.iter().map(|row| inspected(row).read()).collect()
    }

    async fn find_inspected(&self, key: String, id: Uuid) -> Result<Option<(Inspected, Packed)>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {INSPECTED}, r.body FROM inspector_requests r
             WHERE r.id = $2 AND r.inspector_id = (SELECT id FROM inspectors WHERE inspector_key = $1)"
        );
        let found = client.query_opt(&sql, &[&key, &id]).await?;
        let with_body = |row: Row| Ok((inspected(&row).read()?, Packed::from_stored(row.get("body"))));
        found.map(with_body).transpose()
    }

    async fn prune_inspectors(&self, now: Timestamp, limit: usize) -> Result<usize> {
        let sql = "DELETE FROM inspectors WHERE id IN (SELECT id FROM inspectors WHERE expires_at <= $1 LIMIT $2)";
        let gone = self
            .client()
            .await?
            .execute(sql, &[&now.as_micros(), &columns::limit(limit)])
            .await?;
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }
}

/// Refuses one more inspector if its owner, or all users together, have as many as they can have.
async fn ensure_room(client: &impl GenericClient, owner: i64) -> Result<()> {
    let sql = "SELECT count(*) AS all_of_them, count(*) FILTER (WHERE owner_id = $1) AS own FROM inspectors";
    let row = client.query_one(sql, &[&owner]).await?;

    if row.get::<_, i64>("all_of_them") >= columns::limit(MAX_IN_ALL) {
        return Err(Error::Full(columns::limit(MAX_IN_ALL)));
    }

    if row.get::<_, i64>("own") >= columns::limit(MAX_OF_USER) {
        return Err(Error::Full(columns::limit(MAX_OF_USER)));
    }

    Ok(())
}

async fn insert(client: &impl GenericClient, inspector: i64, stored: &StoredRequest, body: &Packed) -> Result<()> {
    let sql = "INSERT INTO inspector_requests (id, inspector_id, kept_bytes, received_at, address, method, path, size,
            note, token_verdict, signature_verdict, hub_verdict, status, headers, body)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    client
        .execute(
            sql,
            &[
                &stored.id,
                &inspector,
                &stored.kept_bytes(body),
                &stored.received_at,
                &stored.address,
                &stored.method,
                &stored.path,
                &stored.size,
                &stored.note,
                &stored.verdicts[0],
                &stored.verdicts[1],
                &stored.verdicts[2],
                &stored.status,
                &stored.headers,
                &body.as_bytes(),
            ],
        )
        .await?;

    Ok(())
}

/// Deletes the oldest requests of an inspector beyond their number and size. The newest one always stays.
async fn delete_beyond_bounds(client: &impl GenericClient, inspector: i64) -> Result<()> {
    // PostgreSQL sums whole numbers to a decimal number.
    let sql = "DELETE FROM inspector_requests WHERE inspector_id = $1 AND id IN
        (SELECT id FROM (SELECT id, row_number() OVER newest AS place, sum(kept_bytes) OVER newest AS total
            FROM inspector_requests WHERE inspector_id = $1 WINDOW newest AS (ORDER BY id DESC)) kept
         WHERE place > $2 OR (total > $3::bigint AND place > 1))";
    let (most, bytes) = (columns::limit(MAX_REQUESTS), columns::limit(MAX_BYTES));
    client.execute(sql, &[&inspector, &most, &bytes]).await?;

    Ok(())
}

fn listed(row: &Row, ring: &Ring) -> Result<ListedInspector> {
    let stored = StoredInspector {
        key: row.get("inspector_key"),
        owner_id: row.get("owner_id"),
        name: row.get("name"),
        secrets: row.get("secrets"),
        status: row.get("status"),
        headers: row.get("headers"),
        body: row.get("body"),
        delay_ms: row.get("delay_ms"),
        created_at: row.get("created_at"),
        updated_at: row.get("updated_at"),
        expires_at: row.get("expires_at"),
    };

    Ok(ListedInspector {
        inspector: stored.open(ring)?,
        owner_name: row.get("owner_name"),
        requests: row.get("requests"),
        last_request_at: row.get::<_, Option<i64>>("last_request_at").map(Timestamp::from_micros),
    })
}

fn inspected(row: &Row) -> StoredRequest {
    StoredRequest {
        id: row.get("id"),
        received_at: row.get("received_at"),
        address: row.get("address"),
        method: row.get("method"),
        path: row.get("path"),
        size: row.get("size"),
        note: row.get("note"),
        verdicts: [
            row.get("token_verdict"),
            row.get("signature_verdict"),
            row.get("hub_verdict"),
        ],
        status: row.get("status"),
        headers: row.get("headers"),
    }
}
