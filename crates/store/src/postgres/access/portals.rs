//! Portal sessions in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::scope::Scope;
use tokio_postgres::Row;

use super::{USER, user};
use crate::access::portals::{DELETED_AT_ONCE, PORTAL};
use crate::access::{MAX_PORTAL_SESSIONS, NewPortalSession, PortalCreated, PortalSession, PortalSessions, Theme};
use crate::columns;
use crate::error::{Error, Result};
use crate::postgres::{Postgres, scalar};

#[async_trait]
impl PortalSessions for Postgres {
    async fn create_portal_session(&self, new: NewPortalSession, now: Timestamp) -> Result<PortalCreated> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let (project, group) = columns::scope_columns(new.scope);

        // The lock holds up portal sessions of the same project or group only, so that their number stays within the
        // limit.
        let (what, sql, number) = match new.scope {
            Scope::Group(id) => ("group", "SELECT 1 FROM groups WHERE id = $1 FOR NO KEY UPDATE", id.0),
            Scope::Project(id) => (
                "project",
                "SELECT 1 FROM projects WHERE id = $1 FOR NO KEY UPDATE",
                id.0,
            ),
            Scope::Instance => return Err(Error::Missing("project")),
        };

        if transaction.query_opt(sql, &[&number]).await?.is_none() {
            return Err(Error::Missing(what));
        }

        transaction
            .execute(
                "DELETE FROM portal_sessions WHERE id IN
                    (SELECT id FROM portal_sessions WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)",
                &[&now.as_micros(), &DELETED_AT_ONCE],
            )
            .await?;

        let (condition, number) = columns::in_scope(new.scope, "p", '$');
        let count = format!("SELECT count(*) FROM portal_sessions p WHERE {condition} AND p.expires_at > $2");
        let valid: i64 = scalar(&transaction.query_one(&count, &[&number, &now.as_micros()]).await?);

        if valid >= MAX_PORTAL_SESSIONS {
            return Ok(PortalCreated::TooMany);
        }

        let made = transaction
            .execute(
                "INSERT INTO portal_sessions
                    (digest, user_id, project_id, group_id, manages, theme, return_url, created_at, expires_at)
                 SELECT $1, u.id, $3, $4, $5, $6, $7, $8, $9 FROM users u WHERE u.id = $2",
                &[
                    &new.digest.as_slice(),
                    &new.user_id,
                    &project,
                    &group,
                    &new.manages,
                    &new.theme.word(),
                    &new.return_url,
                    &now.as_micros(),
                    &new.expires_at.as_micros(),
                ],
            )
            .await?;
        if made == 0 {
            return Err(Error::Missing("user"));
        }

        transaction.commit().await?;
        Ok(PortalCreated::Created)
    }

    async fn find_portal_session(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<PortalSession>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {USER}, {PORTAL} FROM portal_sessions p JOIN users u ON u.id = p.user_id
             WHERE p.digest = $1 AND p.expires_at > $2 AND NOT u.blocked"
        );
        let statement = client.prepare_cached(&sql).await?;
        let row = client
            .query_opt(&statement, &[&digest.as_slice(), &now.as_micros()])
            .await?;

        Ok(row.as_ref().map(portal))
    }
}

fn portal(row: &Row) -> PortalSession {
    PortalSession {
        id: row.get("portal_id"),
        user: user(row),
        scope: columns::scope(row.get("portal_project"), row.get("portal_group")),
        manages: row.get("manages"),
        theme: Theme::by_word(row.get("theme")),
        return_url: row.get("return_url"),
        expires_at: Timestamp::from_micros(row.get("expires_at")),
    }
}
