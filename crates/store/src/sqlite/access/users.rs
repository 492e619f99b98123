//! Users in SQLite.

use async_trait::async_trait;
use quickdraw_domain::{Edit, Timestamp};
use rusqlite::Connection;

use super::{USER, find_user, user};
use crate::access::{NewUser, User, UserEdit, UserFilter, Users};
use crate::error::{Error, Result};
use crate::lists::{Page, Paged};
use crate::sqlite::Sqlite;
use crate::sqlite::rows::scalar;
use crate::sqlite::search::{Found, find, find_users};

#[async_trait]
impl Users for Sqlite {
    async fn create_user(&self, new: NewUser, now: Timestamp) -> Result<User> {
        self.configure(move |tx| create_user(tx.connection, new, now)).await
    }

    async fn update_user(&self, id: i64, edit: UserEdit) -> Result<Option<User>> {
        self.configure(move |tx| {
            let Some(known) = find_user(tx.connection, id)? else {
                return Ok(None);
            };
            let username = edit.username.unwrap_or(known.username);
            let sql = "SELECT 1 FROM users WHERE lower(username) = lower(?1) AND id <> ?2";
            if tx.connection.prepare_cached(sql)?.exists((&username, id))? {
                return Err(Error::Taken("username"));
            }

            // One that is known already may be that of others too, who were seen in events.
            if let Edit::Set(email) = &edit.email {
                check_email(tx.connection, Some(email), id)?;
            }

            let (email, is_admin) = (edit.email.apply(known.email), edit.is_admin.unwrap_or(known.is_admin));
            tx.connection.execute(
                "UPDATE users SET username = ?2, name = ?3, email = ?4, is_admin = ?5, blocked = ?6 WHERE id = ?1",
                (
                    id,
                    username,
                    edit.name.unwrap_or(known.name),
                    email,
                    is_admin,
                    edit.blocked.unwrap_or(known.blocked),
                ),
            )?;

            if edit.blocked == Some(true) {
                tx.connection.execute("DELETE FROM sessions WHERE user_id = ?1", [id])?;
            }

            find_user(tx.connection, id)
        })
        .await
    }

    async fn delete_user(&self, id: i64) -> Result<bool> {
        self.configure(move |tx| Ok(tx.connection.execute("DELETE FROM users WHERE id = ?1", [id])? > 0))
            .await
    }

    async fn find_user(&self, id: i64) -> Result<Option<User>> {
        self.read(move |connection| find_user(connection, id)).await
    }

    async fn list_users(&self, filter: UserFilter, page: Page) -> Result<Paged<User>> {
        self.read(move |connection| {
            let Found { from, id, text } = match &filter.search {
                None => Found {
                    from: "FROM users l WHERE ?1 = ''".to_owned(),
                    id: "l.id",
                    text: String::new(),
                },
                Some(text) if filter.by_email && text.contains('@') => find_users(text, "?1"),
                Some(text) => find(
                    "users",
                    text,
                    "?1",
                    "lower(l.username) = lower(?1) OR lower(l.name) = lower(?1)",
                ),
            };

            let named = if filter.username.is_some() {
                "lower(l.username) = lower(?2)"
            } else {
                "?2 IS NULL"
            };

            let (narrowed, before, order) = (filter.conditions("l"), page.before(id), page.order());
            let rows = format!("{from} AND {named}{narrowed}{before}");
            let count = format!("SELECT count(*) FROM (SELECT 1 {rows} LIMIT ?3)");
            let parameters = (&text, &filter.username, page.counted());
            let total = connection.query_row(&count, parameters, scalar)?;

            let sql = format!(
                "SELECT {USER} FROM users u
                 WHERE u.id IN (SELECT {id} {rows} AND {id} > ?3 ORDER BY {id} {order} LIMIT ?4 OFFSET ?5)
                 ORDER BY u.id {order}"
            );
            let mut statement = connection.prepare(&sql)?;
            let parameters = (&text, &filter.username, page.after(), page.limit, page.offset());
            let found = statement.query_map(parameters, user)?;

            Ok(Paged {
                rows: found.collect::<rusqlite::Result<_>>()?,
                total,
            })
        })
        .await
    }
}

/// Creates a user. `Taken` if another user has the username or the e-mail address.
pub(super) fn create_user(connection: &Connection, new: NewUser, now: Timestamp) -> Result<User> {
    let sql = "SELECT 1 FROM users WHERE lower(username) = lower(?1)";
    if connection.prepare_cached(sql)?.exists([&new.username])? {
        return Err(Error::Taken("username"));
    }

    check_email(connection, new.email.as_deref(), 0)?;
    connection.execute(
        "INSERT INTO users (username, name, email, is_admin, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (&new.username, &new.name, &new.email, new.is_admin, now.as_micros()),
    )?;

    let NewUser {
        username,
        name,
        email,
        is_admin,
    } = new;

    let id = connection.last_insert_rowid();
    Ok(User {
        id,
        username,
        name,
        email,
        is_admin,
        created_at: now,
        bot_of: None,
        blocked: false,
    })
}

/// Refuses an address that another user has, in whatever case. Configuration is written by one at a time.
fn check_email(connection: &Connection, email: Option<&str>, id: i64) -> Result<()> {
    let Some(email) = email else { return Ok(()) };
    let sql = "SELECT 1 FROM users WHERE lower(email) = lower(?1) AND id <> ?2";

    if connection.prepare_cached(sql)?.exists((email, id))? {
        Err(Error::Taken("email"))
    } else {
        Ok(())
    }
}
