//! Identities at an OpenID Connect provider in SQLite.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::users::create_user;
use super::{USER, user};
use crate::access::{Identities, Identity, NewUser, User};
use crate::error::{Error, Result};
use crate::sqlite::Sqlite;

#[async_trait]
impl Identities for Sqlite {
    async fn find_identity(&self, identity: Identity) -> Result<Option<User>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {USER} FROM users u JOIN identities_oidc i ON i.user_id = u.id
                 WHERE i.issuer = ?1 AND i.subject = ?2"
            );

            let parameters = (&identity.issuer, &identity.subject);
            Ok(connection
                .prepare_cached(&sql)?
                .query_row(parameters, user)
                .optional()?)
        })
        .await
    }

    async fn users_by_email(&self, email: String) -> Result<Vec<User>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {USER} FROM users u WHERE lower(u.email) = lower(?1) AND u.project_id IS NULL
                 AND u.group_id IS NULL ORDER BY u.id LIMIT 2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = statement.query_map([email], user)?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn add_identity(&self, identity: Identity, user: i64, now: Timestamp) -> Result<()> {
        self.configure(move |tx| {
            let sql = "SELECT 1 FROM users WHERE id = ?1";
            if !tx.connection.prepare_cached(sql)?.exists([user])? {
                return Err(Error::Missing("user"));
            }

            add(tx.connection, &identity, user, now)
        })
        .await
    }

    async fn create_user_with_identity(&self, identity: Identity, new: NewUser, now: Timestamp) -> Result<User> {
        self.configure(move |tx| {
            let user = create_user(tx.connection, new, now)?;
            add(tx.connection, &identity, user.id, now)?;
            Ok(user)
        })
        .await
    }
}

fn add(connection: &Connection, identity: &Identity, user: i64, now: Timestamp) -> Result<()> {
    let sql = "INSERT OR IGNORE INTO identities_oidc (issuer, subject, user_id, created_at) VALUES (?1, ?2, ?3, ?4)";
    let parameters = (&identity.issuer, &identity.subject, user, now.as_micros());
    if connection.execute(sql, parameters)? == 0 {
        return Err(Error::Taken("identity"));
    }

    Ok(())
}
