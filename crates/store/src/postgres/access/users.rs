//! Users in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::{Edit, Timestamp};
use tokio_postgres::GenericClient;

use super::{USER, user};
use crate::access::{NewUser, User, UserEdit, UserFilter, Users};
use crate::error::{Error, Result};
use crate::lists::{Page, Paged};
use crate::postgres::{Postgres, scalar, search};

#[async_trait]
impl Users for Postgres {
    async fn create_user(&self, new: NewUser, now: Timestamp) -> Result<User> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let user = create_user(&*transaction, new, now).await?;
        transaction.commit().await?;

        Ok(user)
    }

    async fn update_user(&self, id: i64, edit: UserEdit) -> Result<Option<User>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;

        if let Edit::Set(email) = &edit.email {
            transaction.execute(EMAILS_LOCK, &[]).await?;
            // One that is known already may be that of others too, who were seen in events.
            check_email(&*transaction, Some(email), id).await?;
        }

        let sql = format!("SELECT {USER} FROM users u WHERE u.id = $1 FOR UPDATE");
        let Some(known) = transaction.query_opt(&sql, &[&id]).await?.as_ref().map(user) else {
            return Ok(None);
        };

        let changed = User {
            username: edit.username.unwrap_or(known.username),
            name: edit.name.unwrap_or(known.name),
            email: edit.email.apply(known.email),
            is_admin: edit.is_admin.unwrap_or(known.is_admin),
            blocked: edit.blocked.unwrap_or(known.blocked),
            ..known
        };

        // Two who want the same login at once: the index lets one of them have it.
        transaction
            .execute(
                "UPDATE users SET username = $2, name = $3, email = $4, is_admin = $5, blocked = $6 WHERE id = $1",
                &[
                    &id,
                    &changed.username,
                    &changed.name,
                    &changed.email,
                    &changed.is_admin,
                    &changed.blocked,
                ],
            )
            .await?;

        if edit.blocked == Some(true) {
            let sql = "DELETE FROM sessions WHERE user_id = $1";
            transaction.execute(sql, &[&id]).await?;
        }

        transaction.commit().await?;
        Ok(Some(changed))
    }

    async fn delete_user(&self, id: i64) -> Result<bool> {
        Ok(self
            .client()
            .await?
            .execute("DELETE FROM users WHERE id = $1", &[&id])
            .await?
            > 0)
    }

    async fn find_user(&self, id: i64) -> Result<Option<User>> {
        let sql = format!("SELECT {USER} FROM users u WHERE u.id = $1");
        Ok(self
            .client()
            .await?
            .query_opt(&sql, &[&id])
            .await?
            .map(|row| user(&row)))
    }

    async fn list_users(&self, filter: UserFilter, page: Page) -> Result<Paged<User>> {
        let mut client = self.client().await?;
        let client = search::begin(&mut client).await?;
        let text = filter.search.as_deref().map(search::pattern);
        let email = filter
            .search
            .as_ref()
            .filter(|text| filter.by_email && text.contains('@'));

        // The planner sees the values, so conditions whose parameter is NULL cost nothing.
        let rows = format!(
            "FROM users u WHERE ($1::text IS NULL OR lower(u.username) LIKE lower($1::text)
                 OR lower(u.name) LIKE lower($1::text) OR lower(u.email) = lower($2::text))
             AND ($3::text IS NULL OR lower(u.username) = lower($3::text)){}",
            filter.conditions("u")
        );
        let count = format!("SELECT count(*) FROM (SELECT 1 {rows} LIMIT $4) l");

        let total = scalar(
            &client
                .query_one(&count, &[&text, &email, &filter.username, &page.counted()])
                .await?,
        );

        let (before, order) = (page.before("u.id"), page.order());
        let sql = format!("SELECT {USER} {rows}{before} AND u.id > $4 ORDER BY u.id {order} LIMIT $5 OFFSET $6");
        let (after, offset) = (page.after(), page.offset());
        let found = client
            .query(&sql, &[&text, &email, &filter.username, &after, &page.limit, &offset])
            .await?;

        Ok(Paged {
            rows: found.iter().map(user).collect(),
            total,
        })
    }
}

/// Creates a user. `Taken` if another user has the username or the e-mail address. The caller has a transaction.
pub(super) async fn create_user(client: &impl GenericClient, new: NewUser, now: Timestamp) -> Result<User> {
    client.execute(EMAILS_LOCK, &[]).await?;

    let row = client
        .query_opt(
            "INSERT INTO users (username, name, email, is_admin, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING RETURNING id",
            &[&new.username, &new.name, &new.email, &new.is_admin, &now.as_micros()],
        )
        .await?;
    let id: i64 = scalar(&row.ok_or(Error::Taken("username"))?);
    check_email(client, new.email.as_deref(), id).await?;

    let NewUser {
        username,
        name,
        email,
        is_admin,
    } = new;

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

/// Addresses are unique in any case among users that people create and change; no index says so, because those that
/// were seen in events may share one. Transactions that write an address take turns, from before any row is locked.
const EMAILS_LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('quickdraw emails'))";

/// Refuses an address that another user has, in whatever case. The caller has [`EMAILS_LOCK`].
async fn check_email(client: &impl GenericClient, email: Option<&str>, id: i64) -> Result<()> {
    let Some(email) = email else { return Ok(()) };
    let sql = "SELECT 1 FROM users WHERE lower(email) = lower($1) AND id <> $2 LIMIT 1";

    if client.query_opt(sql, &[&email, &id]).await?.is_none() {
        Ok(())
    } else {
        Err(Error::Taken("email"))
    }
}
