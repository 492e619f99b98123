//! Users, access tokens and members in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::access::{AccessLevel, TokenScope};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{Edit, Timestamp};
use tokio_postgres::{GenericClient, Row};

use super::{Postgres, scalar, search};
use crate::access::{
    Access, Actor, Holder, Member, MemberFilter, NewToken, NewUser, TOKEN, Token, TokenFilter, Tokens,
    USED_EVERY_MICROS, User, UserEdit, UserFilter, scopes_column, scopes_of, tokens_of,
};
use crate::columns;
use crate::error::{Error, Result};
use crate::lists::{Page, Paged};

#[async_trait]
impl Access for Postgres {
    async fn set_root_token(&self, digest: [u8; 32], now: Timestamp) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction
            .execute("DELETE FROM access_tokens WHERE is_root", &[])
            .await?;

        transaction
            .execute(
                "INSERT INTO access_tokens (digest, user_id, name, scopes, created_at, is_root)
                 VALUES ($1, 1, 'root token', 'api', $2, true)",
                &[&digest.as_slice(), &now.as_micros()],
            )
            .await?;

        Ok(transaction.commit().await?)
    }

    async fn has_root_token(&self) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM access_tokens WHERE is_root)";
        Ok(scalar(&self.client().await?.query_one(sql, &[]).await?))
    }

    async fn find_actor(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Actor>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT u.id, u.username, u.name, u.is_admin, t.id AS token_id, t.read_only, t.last_used_at, u.project_id,
                    u.group_id, u.blocked
                 FROM access_tokens t JOIN users u ON u.id = t.user_id
                 WHERE t.digest = $1 AND NOT t.revoked
                    AND (t.expires_at IS NULL OR t.expires_at > $2)",
            )
            .await?;

        let Some(row) = client
            .query_opt(&statement, &[&digest.as_slice(), &now.as_micros()])
            .await?
        else {
            return Ok(None);
        };

        if row.get("blocked") {
            return Err(Error::Blocked);
        }

        let actor = Actor {
            user_id: row.get("id"),
            username: row.get("username"),
            name: row.get("name"),
            is_admin: row.get("is_admin"),
            token: row.get("token_id"),
            read_only: row.get("read_only"),
            bot_of: bot_of(row.get("project_id"), row.get("group_id")),
        };

        if row
            .get::<_, Option<i64>>("last_used_at")
            .is_none_or(|used| now.as_micros() - used >= USED_EVERY_MICROS)
        {
            let sql = "UPDATE access_tokens SET last_used_at = $2 WHERE id = $1";
            client.execute(sql, &[&actor.token, &now.as_micros()]).await?;
        }

        Ok(Some(actor))
    }

    async fn create_user(&self, new: NewUser, now: Timestamp) -> Result<User> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute(EMAILS_LOCK, &[]).await?;

        let row = transaction
            .query_opt(
                "INSERT INTO users (username, name, email, is_admin, created_at) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT DO NOTHING RETURNING id",
                &[&new.username, &new.name, &new.email, &new.is_admin, &now.as_micros()],
            )
            .await?;
        let id: i64 = scalar(&row.ok_or(Error::Taken("username"))?);
        check_email(&*transaction, new.email.as_deref(), id).await?;
        transaction.commit().await?;

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

    async fn create_token(&self, new: NewToken, now: Timestamp) -> Result<Token> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let expires_at = new.expires_at.map(Timestamp::as_micros);

        let user = match &new.holder {
            Holder::User(user) => *user,
            Holder::Bot { scope, level, username } => {
                let (project, group) = columns::scope_columns(*scope);
                let (owner, what) = match scope {
                    Scope::Group(_) => ("SELECT 1 FROM groups WHERE id = $5", "group"),
                    _ => ("SELECT 1 FROM projects WHERE id = $4", "project"),
                };

                let sql = format!(
                    "INSERT INTO users (username, name, is_admin, created_at, project_id, group_id)
                     SELECT $1, $2, false, $3, $4::bigint, $5::bigint WHERE EXISTS ({owner}) RETURNING id"
                );
                let row = transaction
                    .query_opt(&sql, &[username, &new.name, &now.as_micros(), &project, &group])
                    .await?;
                let user: i64 = scalar(&row.ok_or(Error::Missing(what))?);
                let sql = "INSERT INTO members (user_id, project_id, group_id, access_level, expires_at)
                    VALUES ($1, $2, $3, $4, $5)";

                transaction
                    .execute(sql, &[&user, &project, &group, &level.number(), &expires_at])
                    .await?;
                user
            }
        };
        let made = insert_token(&*transaction, new.digest, user, &new.name, &new.scopes, expires_at, now).await?;
        transaction.commit().await?;

        Ok(made)
    }

    async fn find_token(&self, id: i64) -> Result<Option<Token>> {
        find_token(&**self.client().await?, id).await
    }

    async fn list_tokens(&self, which: Tokens, filter: TokenFilter, page: Page) -> Result<Paged<Token>> {
        let client = self.client().await?;
        let (condition, number) = tokens_of(which, &filter, '$');
        let pattern = filter.pattern();

        let count = format!(
            "SELECT count(*) FROM (SELECT 1 FROM access_tokens t JOIN users u ON u.id = t.user_id
                WHERE {condition} LIMIT $3) l"
        );
        let total = scalar(&client.query_one(&count, &[&number, &pattern, &page.counted()]).await?);
        let (before, order) = (page.before("t.id"), page.order());
        let sql =
            format!("SELECT {TOKEN} WHERE {condition}{before} AND t.id > $3 ORDER BY t.id {order} LIMIT $4 OFFSET $5");
        let rows = client
            .query(&sql, &[&number, &pattern, &page.after(), &page.limit, &page.offset()])
            .await?;

        Ok(Paged {
            rows: rows.iter().map(token).collect(),
            total,
        })
    }

    async fn rotate_token(
        &self,
        id: i64,
        digest: [u8; 32],
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Token>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let sql = "UPDATE access_tokens SET revoked = true
            WHERE id = $1 AND NOT revoked AND (expires_at IS NULL OR expires_at > $2)";
        if transaction.execute(sql, &[&id, &now.as_micros()]).await? == 0 {
            return Ok(None);
        }

        let Some(old) = find_token(&*transaction, id).await? else {
            return Ok(None);
        };
        let expires_at = expires_at.map(Timestamp::as_micros);
        if old.scope.is_some() {
            let sql = "UPDATE members SET expires_at = $2 WHERE user_id = $1";
            transaction.execute(sql, &[&old.user_id, &expires_at]).await?;
        }

        let made = insert_token(
            &*transaction,
            digest,
            old.user_id,
            &old.name,
            &old.scopes,
            expires_at,
            now,
        )
        .await?;

        transaction.commit().await?;
        Ok(Some(made))
    }

    async fn revoke_token(&self, id: i64) -> Result<bool> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;

        if transaction
            .execute("UPDATE access_tokens SET revoked = true WHERE id = $1", &[&id])
            .await?
            == 0
        {
            return Ok(false);
        }

        let sql =
            "DELETE FROM members WHERE user_id = (SELECT u.id FROM users u JOIN access_tokens t ON t.user_id = u.id
            WHERE t.id = $1 AND (u.project_id IS NOT NULL OR u.group_id IS NOT NULL)
                   AND NOT EXISTS (SELECT 1 FROM access_tokens o WHERE o.user_id = u.id AND NOT o.revoked))";
        transaction.execute(sql, &[&id]).await?;
        transaction.commit().await?;

        Ok(true)
    }

    async fn add_member(
        &self,
        scope: Scope,
        user: i64,
        level: AccessLevel,
        expires_at: Option<Timestamp>,
    ) -> Result<Member> {
        self.write_member(scope, user, level, expires_at, "DO NOTHING")
            .await?
            .ok_or(Error::Taken("member"))
    }

    async fn set_member(
        &self,
        scope: Scope,
        user: i64,
        level: AccessLevel,
        expires_at: Option<Timestamp>,
    ) -> Result<Member> {
        let change = "DO UPDATE SET access_level = excluded.access_level, expires_at = excluded.expires_at";
        self.write_member(scope, user, level, expires_at, change)
            .await?
            .ok_or(Error::Damaged("a membership"))
    }

    async fn remove_member(&self, scope: Scope, user: i64) -> Result<bool> {
        let (project, group) = columns::scope_columns(scope);
        let sql = "DELETE FROM members WHERE user_id = $1 AND project_id IS NOT DISTINCT FROM $2
            AND group_id IS NOT DISTINCT FROM $3";
        Ok(self.client().await?.execute(sql, &[&user, &project, &group]).await? > 0)
    }

    async fn find_member(&self, scope: Scope, id: i64) -> Result<Option<Member>> {
        let (here, owner) = columns::in_scope(scope, "m", '$');
        let sql = format!("SELECT {USER}, m.access_level, m.expires_at {MEMBERS} WHERE {here} AND m.user_id = $2");

        Ok(self
            .client()
            .await?
            .query_opt(&sql, &[&owner, &id])
            .await?
            .as_ref()
            .map(member))
    }

    async fn list_members(&self, scope: Scope, filter: MemberFilter, page: Page) -> Result<Paged<Member>> {
        let (here, owner) = columns::in_scope(scope, "m", '$');
        let (narrowed, pattern) = (filter.conditions("$2"), filter.pattern());
        let client = self.client().await?;
        let count = format!("SELECT count(*) FROM (SELECT 1 {MEMBERS} WHERE {here}{narrowed} LIMIT $3) l");
        let total = scalar(&client.query_one(&count, &[&owner, &pattern, &page.counted()]).await?);

        let sql = format!(
            "SELECT {USER}, m.access_level, m.expires_at {MEMBERS} WHERE {here}{narrowed} AND m.user_id > $3
             ORDER BY m.user_id LIMIT $4 OFFSET $5"
        );
        let rows = client
            .query(&sql, &[&owner, &pattern, &page.after(), &page.limit, &page.offset()])
            .await?;
        Ok(Paged {
            rows: rows.iter().map(member).collect(),
            total,
        })
    }

    async fn list_all_members(
        &self,
        scope: Scope,
        now: Timestamp,
        filter: MemberFilter,
        page: Page,
    ) -> Result<Paged<Member>> {
        let (project, group) = columns::scope_columns(scope);
        let (narrowed, pattern) = (filter.conditions("$5"), filter.pattern());
        let client = self.client().await?;

        let rows = "WITH RECURSIVE chain (id) AS (
                (SELECT $2::bigint WHERE $2::bigint IS NOT NULL
                 UNION SELECT group_id FROM projects WHERE id = $1)
                UNION SELECT g.parent_id FROM groups g JOIN chain c ON g.id = c.id WHERE g.parent_id IS NOT NULL),
             every (user_id, access_level, expires_at) AS (
                SELECT user_id, max(access_level), CASE WHEN count(*) = count(expires_at) THEN max(expires_at) END
                FROM members WHERE (project_id = $1 OR group_id IN (SELECT id FROM chain))
                   AND (expires_at IS NULL OR expires_at > $3) AND user_id > $4 GROUP BY user_id)";

        let joined = format!("FROM every m JOIN users u ON u.id = m.user_id WHERE true{narrowed}");
        let sql = format!("{rows} SELECT count(*) FROM (SELECT 1 {joined} LIMIT $6) l");
        let (now, after, offset) = (now.as_micros(), page.after(), page.offset());

        let total = scalar(
            &client
                .query_one(&sql, &[&project, &group, &now, &after, &pattern, &page.counted()])
                .await?,
        );

        let sql =
            format!("{rows} SELECT {USER}, m.access_level, m.expires_at {joined} ORDER BY u.id LIMIT $6 OFFSET $7");
        let rows = client
            .query(&sql, &[&project, &group, &now, &after, &pattern, &page.limit, &offset])
            .await?;
        Ok(Paged {
            rows: rows.iter().map(member).collect(),
            total,
        })
    }

    async fn role(&self, scope: Scope, user: i64, now: Timestamp) -> Result<Option<AccessLevel>> {
        let (project, group) = columns::scope_columns(scope);
        let client = self.client().await?;

        let statement = client
            .prepare_cached(
                "WITH RECURSIVE chain (id) AS (
                    (SELECT $2::bigint WHERE $2::bigint IS NOT NULL
                     UNION SELECT group_id FROM projects WHERE id = $1)
                    UNION SELECT g.parent_id FROM groups g JOIN chain c ON g.id = c.id WHERE g.parent_id IS NOT NULL)
                 SELECT max(access_level) FROM members
                 WHERE user_id = $3 AND (project_id = $1 OR group_id IN (SELECT id FROM chain))
                   AND (expires_at IS NULL OR expires_at > $4)",
            )
            .await?;
        let row = client
            .query_one(&statement, &[&project, &group, &user, &now.as_micros()])
            .await?;
        Ok(scalar::<Option<i64>>(&row).and_then(AccessLevel::by_number))
    }
}

impl Postgres {
    /// `None` if somebody is a member already, and `on_conflict` leaves it at that.
    async fn write_member(
        &self,
        scope: Scope,
        id: i64,
        level: AccessLevel,
        expires_at: Option<Timestamp>,
        on_conflict: &str,
    ) -> Result<Option<Member>> {
        let user = self.find_user(id).await?.ok_or(Error::Missing("user"))?;
        let (project, group) = columns::scope_columns(scope);

        let (owner, what, target) = match scope {
            Scope::Group(_) => ("SELECT id FROM groups WHERE id = $1", "group", "group_id"),
            _ => ("SELECT id FROM projects WHERE id = $1", "project", "project_id"),
        };

        let client = self.client().await?;
        if client.query_opt(owner, &[&project.or(group)]).await?.is_none() {
            return Err(Error::Missing(what));
        }

        let sql = format!(
            "INSERT INTO members (user_id, project_id, group_id, access_level, expires_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT ({target}, user_id) WHERE {target} IS NOT NULL {on_conflict}"
        );

        let expires = expires_at.map(Timestamp::as_micros);
        let written = client
            .execute(&sql, &[&id, &project, &group, &level.number(), &expires])
            .await?;

        Ok((written > 0).then_some(Member {
            user,
            level,
            expires_at,
        }))
    }
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

const MEMBERS: &str = "FROM members m JOIN users u ON u.id = m.user_id";
const USER: &str = "u.id, u.username, u.name, u.email, u.is_admin, u.created_at, u.project_id, u.group_id,
    u.blocked";

fn bot_of(project: Option<i64>, group: Option<i64>) -> Option<Scope> {
    Some(columns::scope(project, group)).filter(|scope| *scope != Scope::Instance)
}

async fn insert_token(
    client: &impl GenericClient,
    digest: [u8; 32],
    user: i64,
    name: &str,
    scopes: &[TokenScope],
    expires_at: Option<i64>,
    now: Timestamp,
) -> Result<Token> {
    let (read_only, scopes) = (!scopes.contains(&TokenScope::Api), scopes_column(scopes));
    let row = client
        .query_opt(
            "INSERT INTO access_tokens (digest, user_id, name, read_only, scopes, created_at, expires_at)
             SELECT $1, u.id, $3, $4, $5, $6, $7 FROM users u WHERE u.id = $2 RETURNING id",
            &[
                &digest.as_slice(),
                &user,
                &name,
                &read_only,
                &scopes,
                &now.as_micros(),
                &expires_at,
            ],
        )
        .await?;
    let id = scalar(&row.ok_or(Error::Missing("user"))?);
    find_token(client, id)
        .await?
        .ok_or(Error::Damaged("a token that was just made"))
}

async fn find_token(client: &impl GenericClient, id: i64) -> Result<Option<Token>> {
    Ok(client
        .query_opt(&format!("SELECT {TOKEN} WHERE t.id = $1"), &[&id])
        .await?
        .as_ref()
        .map(token))
}

fn token(row: &Row) -> Token {
    Token {
        id: row.get("id"),
        user_id: row.get("user_id"),
        name: row.get("name"),
        scopes: scopes_of(row.get("scopes")),
        created_at: Timestamp::from_micros(row.get("created_at")),
        expires_at: row.get::<_, Option<i64>>("expires_at").map(Timestamp::from_micros),
        last_used_at: row.get::<_, Option<i64>>("last_used_at").map(Timestamp::from_micros),
        revoked: row.get("revoked"),
        scope: bot_of(row.get("project_id"), row.get("group_id")),
        level: row.get::<_, Option<i64>>("level").and_then(AccessLevel::by_number),
        is_root: row.get("is_root"),
    }
}

fn user(row: &Row) -> User {
    User {
        id: row.get("id"),
        username: row.get("username"),
        name: row.get("name"),
        email: row.get("email"),
        is_admin: row.get("is_admin"),
        created_at: Timestamp::from_micros(row.get("created_at")),
        bot_of: bot_of(row.get("project_id"), row.get("group_id")),
        blocked: row.get("blocked"),
    }
}

fn member(row: &Row) -> Member {
    Member {
        user: user(row),
        level: AccessLevel::by_number(row.get("access_level")).unwrap_or(AccessLevel::Guest),
        expires_at: row.get::<_, Option<i64>>("expires_at").map(Timestamp::from_micros),
    }
}
