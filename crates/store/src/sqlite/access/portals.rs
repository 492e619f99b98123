//! Portal sessions in SQLite.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use rusqlite::{OptionalExtension, Row};

use super::{USER, user};
use crate::access::portals::{DELETED_AT_ONCE, PORTAL};
use crate::access::{MAX_PORTAL_SESSIONS, NewPortalSession, PortalCreated, PortalSession, PortalSessions, Theme};
use crate::columns;
use crate::error::{Error, Result};
use crate::sqlite::Sqlite;
use crate::sqlite::hooks::check_scope;
use crate::sqlite::rows::scalar;

#[async_trait]
impl PortalSessions for Sqlite {
    async fn create_portal_session(&self, new: NewPortalSession, now: Timestamp) -> Result<PortalCreated> {
        self.configure(move |tx| {
            let connection = tx.connection;
            check_scope(connection, new.scope)?;

            let sql = "SELECT 1 FROM users WHERE id = ?1";
            if !connection.prepare_cached(sql)?.exists([new.user_id])? {
                return Err(Error::Missing("user"));
            }

            connection.execute(
                "DELETE FROM portal_sessions WHERE id IN (SELECT id FROM portal_sessions WHERE expires_at <= ?1 LIMIT ?2)",
                (now.as_micros(), DELETED_AT_ONCE),
            )?;

            let (condition, number) = columns::in_scope(new.scope, "p", '?');
            let count = format!("SELECT count(*) FROM portal_sessions p WHERE {condition} AND p.expires_at > ?2");
            let valid: i64 = connection.query_row(&count, (number, now.as_micros()), scalar)?;

            if valid >= MAX_PORTAL_SESSIONS {
                return Ok(PortalCreated::TooMany);
            }

            let (project, group) = columns::scope_columns(new.scope);
            connection.execute(
                "INSERT INTO portal_sessions
                    (digest, user_id, project_id, group_id, manages, theme, return_url, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                (
                    new.digest,
                    new.user_id,
                    project,
                    group,
                    new.manages,
                    new.theme.word(),
                    &new.return_url,
                    now.as_micros(),
                    new.expires_at.as_micros(),
                ),
            )?;

            Ok(PortalCreated::Created)
        })
        .await
    }

    async fn find_portal_session(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<PortalSession>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {USER}, {PORTAL} FROM portal_sessions p JOIN users u ON u.id = p.user_id
                 WHERE p.digest = ?1 AND p.expires_at > ?2 AND NOT u.blocked"
            );

            let parameters = (digest, now.as_micros());
            Ok(connection
                .prepare_cached(&sql)?
                .query_row(parameters, portal)
                .optional()?)
        })
        .await
    }
}

fn portal(row: &Row<'_>) -> rusqlite::Result<PortalSession> {
    Ok(PortalSession {
        id: row.get("portal_id")?,
        user: user(row)?,
        scope: columns::scope(row.get("portal_project")?, row.get("portal_group")?),
        manages: row.get("manages")?,
        theme: Theme::by_word(&row.get::<_, String>("theme")?),
        return_url: row.get("return_url")?,
        expires_at: Timestamp::from_micros(row.get("expires_at")?),
    })
}
