//! Passwords in SQLite.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::users::create_user;
use super::{USER, find_user, user};
use crate::access::{FirstAdministrator, NewUser, Passwords, StoredPassword, User};
use crate::error::{Error, Result};
use crate::sqlite::Sqlite;
use crate::sqlite::rows::scalar;

#[async_trait]
impl Passwords for Sqlite {
    async fn set_password(&self, user: i64, hash: String, keep: Option<i64>, now: Timestamp) -> Result<()> {
        self.configure(move |tx| {
            let sql = "SELECT 1 FROM users WHERE id = ?1";
            if !tx.connection.prepare_cached(sql)?.exists([user])? {
                return Err(Error::Missing("user"));
            }

            set(tx.connection, user, &hash, keep, now)
        })
        .await
    }

    async fn create_user_with_password(&self, new: NewUser, hash: String, now: Timestamp) -> Result<User> {
        self.configure(move |tx| {
            let user = create_user(tx.connection, new, now)?;
            set(tx.connection, user.id, &hash, None, now)?;
            Ok(user)
        })
        .await
    }

    async fn find_password(&self, username: String) -> Result<Option<StoredPassword>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {USER}, p.hash FROM users u JOIN passwords p ON p.user_id = u.id
                 WHERE lower(u.username) = lower(?1)"
            );

            let found = connection.prepare_cached(&sql)?.query_row([username], |row| {
                Ok(StoredPassword {
                    user: user(row)?,
                    hash: row.get("hash")?,
                })
            });
            Ok(found.optional()?)
        })
        .await
    }

    async fn password_of(&self, user: i64) -> Result<Option<String>> {
        self.read(move |connection| {
            let sql = "SELECT hash FROM passwords WHERE user_id = ?1";
            Ok(connection.query_row(sql, [user], scalar).optional()?)
        })
        .await
    }

    async fn has_passwords(&self) -> Result<bool> {
        self.read(|connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM passwords)";
            Ok(connection.query_row(sql, [], scalar)?)
        })
        .await
    }

    async fn put_setup_link(&self, digest: [u8; 32], expires_at: Timestamp) -> Result<()> {
        self.configure(move |tx| {
            let sql = "INSERT INTO setup_links (id, digest, expires_at) VALUES (1, ?1, ?2)
                ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at";
            tx.connection.execute(sql, (digest, expires_at.as_micros()))?;
            Ok(())
        })
        .await
    }

    async fn is_setup_link(&self, digest: [u8; 32], now: Timestamp) -> Result<bool> {
        self.read(move |connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM setup_links WHERE digest = ?1 AND expires_at > ?2)";
            Ok(connection.query_row(sql, (digest, now.as_micros()), scalar)?)
        })
        .await
    }

    async fn finish_setup(&self, digest: [u8; 32], new: FirstAdministrator, now: Timestamp) -> Result<Option<User>> {
        self.configure(move |tx| {
            let sql = "DELETE FROM setup_links WHERE digest = ?1 AND expires_at > ?2";
            if tx.connection.execute(sql, (digest, now.as_micros()))? == 0 {
                return Ok(None);
            }

            // A refusal rolls the deletion back, so the link stays valid.
            let sql = "SELECT 1 FROM users WHERE lower(username) = lower(?1) AND id <> 1";
            if tx.connection.prepare_cached(sql)?.exists([&new.username])? {
                return Err(Error::Taken("username"));
            }

            let sql = "UPDATE users SET username = ?1, name = ?2, is_admin = TRUE, blocked = FALSE WHERE id = 1";
            tx.connection.execute(sql, (&new.username, &new.name))?;
            set(tx.connection, 1, &new.hash, None, now)?;

            find_user(tx.connection, 1)
        })
        .await
    }
}

fn set(connection: &Connection, user: i64, hash: &str, keep: Option<i64>, now: Timestamp) -> Result<()> {
    let sql = "INSERT INTO passwords (user_id, hash, changed_at) VALUES (?1, ?2, ?3)
        ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at";
    connection.execute(sql, (user, hash, now.as_micros()))?;

    let sql = "DELETE FROM sessions WHERE user_id = ?1 AND (?2 IS NULL OR id <> ?2)";
    connection.execute(sql, (user, keep))?;

    Ok(())
}
