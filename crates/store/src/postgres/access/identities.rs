//! Identities at an OpenID Connect provider in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use tokio_postgres::GenericClient;

use super::users::create_user;
use super::{USER, user};
use crate::access::{Identities, Identity, NewUser, User};
use crate::error::{Error, Result};
use crate::postgres::Postgres;

#[async_trait]
impl Identities for Postgres {
    async fn find_identity(&self, identity: Identity) -> Result<Option<User>> {
        let sql = format!(
            "SELECT {USER} FROM users u JOIN identities_oidc i ON i.user_id = u.id
             WHERE i.issuer = $1 AND i.subject = $2"
        );

        let client = self.client().await?;
        let row = client.query_opt(&sql, &[&identity.issuer, &identity.subject]).await?;
        Ok(row.as_ref().map(user))
    }

    async fn users_by_email(&self, email: String) -> Result<Vec<User>> {
        let sql = format!(
            "SELECT {USER} FROM users u WHERE lower(u.email) = lower($1) AND u.project_id IS NULL
             AND u.group_id IS NULL ORDER BY u.id LIMIT 2"
        );
        let rows = self.client().await?.query(&sql, &[&email]).await?;
        Ok(rows.iter().map(user).collect())
    }

    async fn add_identity(&self, identity: Identity, user: i64, now: Timestamp) -> Result<()> {
        let client = self.client().await?;
        let sql = "SELECT 1 FROM users WHERE id = $1";
        if client.query_opt(sql, &[&user]).await?.is_none() {
            return Err(Error::Missing("user"));
        }

        add(&**client, &identity, user, now).await
    }

    async fn create_user_with_identity(&self, identity: Identity, new: NewUser, now: Timestamp) -> Result<User> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let user = create_user(&*transaction, new, now).await?;
        add(&*transaction, &identity, user.id, now).await?;
        transaction.commit().await?;

        Ok(user)
    }
}

async fn add(client: &impl GenericClient, identity: &Identity, user: i64, now: Timestamp) -> Result<()> {
    let sql = "INSERT INTO identities_oidc (issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING";
    let added = client
        .execute(sql, &[&identity.issuer, &identity.subject, &user, &now.as_micros()])
        .await?;
    if added == 0 {
        return Err(Error::Taken("identity"));
    }

    Ok(())
}
