//! Users, access tokens and members in SQLite.

use async_trait::async_trait;
use quickdraw_domain::access::{AccessLevel, TokenScope};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{Edit, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Sqlite;
use super::rows::scalar;
use super::search::{Found, find, find_users};
use crate::access::{
    Access, Actor, Holder, Member, MemberFilter, NewToken, NewUser, TOKEN, Token, TokenFilter, Tokens,
    USED_EVERY_MICROS, User, UserEdit, UserFilter, scopes_column, scopes_of, tokens_of,
};
use crate::columns;
use crate::error::{Error, Result};
use crate::lists::{Page, Paged};

#[async_trait]
impl Access for Sqlite {
    async fn set_root_token(&self, digest: [u8; 32], now: Timestamp) -> Result<()> {
        self.configure(move |tx| {
            tx.connection.execute("DELETE FROM access_tokens WHERE is_root", [])?;
            tx.connection.execute(
                "INSERT INTO access_tokens (digest, user_id, name, scopes, created_at, is_root)
                 VALUES (?1, 1, 'root token', 'api', ?2, TRUE)",
                (digest, now.as_micros()),
            )?;

            Ok(())
        })
        .await
    }

    async fn has_root_token(&self) -> Result<bool> {
        self.read(|connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM access_tokens WHERE is_root)";
            Ok(connection.query_row(sql, [], scalar)?)
        })
        .await
    }

    async fn find_actor(&self, digest: [u8; 32], now: Timestamp) -> Result<Option<Actor>> {
        let found = self
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT u.id, u.username, u.name, u.is_admin, t.id AS token_id, t.read_only, t.last_used_at, u.project_id,
                       u.group_id, u.blocked
                     FROM access_tokens t JOIN users u ON u.id = t.user_id
                     WHERE t.digest = ?1 AND NOT t.revoked
                       AND (t.expires_at IS NULL OR t.expires_at > ?2)",
                )?;

                let found = statement.query_row((digest, now.as_micros()), |row| {
                    let actor = Actor {
                        user_id: row.get("id")?,
                        username: row.get("username")?,
                        name: row.get("name")?,
                        is_admin: row.get("is_admin")?,
                        token: row.get("token_id")?,
                        read_only: row.get("read_only")?,
                        bot_of: bot_of(row.get("project_id")?, row.get("group_id")?),
                    };
                    Ok((actor, row.get::<_, Option<i64>>("last_used_at")?, row.get::<_, bool>("blocked")?))
                });
                Ok(found.optional()?)
            })
            .await?;
        let Some((actor, used, is_blocked)) = found else {
            return Ok(None);
        };

        if is_blocked {
            return Err(Error::Blocked);
        }

        if used.is_none_or(|used| now.as_micros() - used >= USED_EVERY_MICROS) {
            let token = actor.token;
            self.write(move |tx| {
                let sql = "UPDATE access_tokens SET last_used_at = ?2 WHERE id = ?1";
                tx.connection.prepare_cached(sql)?.execute((token, now.as_micros()))?;
                Ok(())
            })
            .await?;
        }

        Ok(Some(actor))
    }

    async fn create_user(&self, new: NewUser, now: Timestamp) -> Result<User> {
        self.configure(move |tx| {
            let sql = "SELECT 1 FROM users WHERE lower(username) = lower(?1)";
            if tx.connection.prepare_cached(sql)?.exists([&new.username])? {
                return Err(Error::Taken("username"));
            }

            check_email(tx.connection, new.email.as_deref(), 0)?;
            tx.connection.execute(
                "INSERT INTO users (username, name, email, is_admin, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                (&new.username, &new.name, &new.email, new.is_admin, now.as_micros()),
            )?;

            let NewUser {
                username,
                name,
                email,
                is_admin,
            } = new;

            let id = tx.connection.last_insert_rowid();
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
        })
        .await
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

    async fn create_token(&self, new: NewToken, now: Timestamp) -> Result<Token> {
        self.configure(move |tx| {
            let user = match &new.holder {
                Holder::User(user) => *user,
                Holder::Bot { scope, level, username } => {
                    super::hooks::check_scope(tx.connection, *scope)?;

                    let (project, group) = columns::scope_columns(*scope);
                    tx.connection.execute(
                        "INSERT INTO users (username, name, is_admin, created_at, project_id, group_id)
                         VALUES (?1, ?2, FALSE, ?3, ?4, ?5)",
                        (username, &new.name, now.as_micros(), project, group),
                    )?;

                    let user = tx.connection.last_insert_rowid();
                    let expires_at = new.expires_at.map(Timestamp::as_micros);

                    tx.connection.execute(
                        "INSERT INTO members (user_id, project_id, group_id, access_level, expires_at)
                         VALUES (?1, ?2, ?3, ?4, ?5)",
                        (user, project, group, level.number(), expires_at),
                    )?;

                    user
                }
            };

            if !tx
                .connection
                .prepare_cached("SELECT 1 FROM users WHERE id = ?1")?
                .exists([user])?
            {
                return Err(Error::Missing("user"));
            }

            insert_token(
                tx.connection,
                new.digest,
                user,
                &new.name,
                &new.scopes,
                new.expires_at,
                now,
            )
        })
        .await
    }

    async fn find_token(&self, id: i64) -> Result<Option<Token>> {
        self.read(move |connection| find_token(connection, id)).await
    }

    async fn list_tokens(&self, which: Tokens, filter: TokenFilter, page: Page) -> Result<Paged<Token>> {
        self.read(move |connection| {
            let (condition, number) = tokens_of(which, &filter, '?');
            let pattern = filter.pattern();
            let count = format!("SELECT count(*) FROM (SELECT {TOKEN} WHERE {condition} LIMIT ?3)");
            let total = connection.query_row(&count, (number, &pattern, page.counted()), scalar)?;
            let (before, order) = (page.before("t.id"), page.order());
            let sql = format!(
                "SELECT {TOKEN} WHERE {condition}{before} AND t.id > ?3 ORDER BY t.id {order} LIMIT ?4 OFFSET ?5"
            );
            let mut statement = connection.prepare(&sql)?;
            let parameters = (number, &pattern, page.after(), page.limit, page.offset());
            let found = statement.query_map(parameters, token)?;

            Ok(Paged {
                rows: found.collect::<rusqlite::Result<_>>()?,
                total,
            })
        })
        .await
    }

    async fn rotate_token(
        &self,
        id: i64,
        digest: [u8; 32],
        expires_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Token>> {
        self.configure(move |tx| {
            let sql = "UPDATE access_tokens SET revoked = TRUE
                WHERE id = ?1 AND NOT revoked AND (expires_at IS NULL OR expires_at > ?2)";
            if tx.connection.execute(sql, (id, now.as_micros()))? == 0 {
                return Ok(None);
            }

            let Some(old) = find_token(tx.connection, id)? else {
                return Ok(None);
            };
            if old.scope.is_some() {
                let sql = "UPDATE members SET expires_at = ?2 WHERE user_id = ?1";
                tx.connection
                    .execute(sql, (old.user_id, expires_at.map(Timestamp::as_micros)))?;
            }

            insert_token(
                tx.connection,
                digest,
                old.user_id,
                &old.name,
                &old.scopes,
                expires_at,
                now,
            )
            .map(Some)
        })
        .await
    }

    async fn revoke_token(&self, id: i64) -> Result<bool> {
        self.configure(move |tx| {
            if tx
                .connection
                .execute("UPDATE access_tokens SET revoked = TRUE WHERE id = ?1", [id])?
                == 0
            {
                return Ok(false);
            }

            tx.connection.execute(
                "DELETE FROM members WHERE user_id = (SELECT u.id FROM users u JOIN access_tokens t ON t.user_id = u.id
                   WHERE t.id = ?1 AND (u.project_id IS NOT NULL OR u.group_id IS NOT NULL)
                   AND NOT EXISTS (SELECT 1 FROM access_tokens o WHERE o.user_id = u.id AND NOT o.revoked))",
                [id],
            )?;

            Ok(true)
        })
        .await
    }

    async fn add_member(
        &self,
        scope: Scope,
        user: i64,
        level: AccessLevel,
        expires_at: Option<Timestamp>,
    ) -> Result<Member> {
        self.configure(move |tx| write_member(tx.connection, scope, user, level, expires_at, true))
            .await
    }

    async fn set_member(
        &self,
        scope: Scope,
        user: i64,
        level: AccessLevel,
        expires_at: Option<Timestamp>,
    ) -> Result<Member> {
        self.configure(move |tx| write_member(tx.connection, scope, user, level, expires_at, false))
            .await
    }

    async fn remove_member(&self, scope: Scope, user: i64) -> Result<bool> {
        self.configure(move |tx| {
            let (project, group) = columns::scope_columns(scope);
            let sql = "DELETE FROM members WHERE user_id = ?1 AND project_id IS ?2 AND group_id IS ?3";
            Ok(tx.connection.execute(sql, (user, project, group))? > 0)
        })
        .await
    }

    async fn find_member(&self, scope: Scope, id: i64) -> Result<Option<Member>> {
        self.read(move |connection| {
            let (here, owner) = columns::in_scope(scope, "m", '?');
            let sql = format!("SELECT {USER}, m.access_level, m.expires_at {MEMBERS} WHERE {here} AND m.user_id = ?2");
            Ok(connection
                .prepare_cached(&sql)?
                .query_row((owner, id), member)
                .optional()?)
        })
        .await
    }

    async fn list_members(&self, scope: Scope, filter: MemberFilter, page: Page) -> Result<Paged<Member>> {
        self.read(move |connection| {
            let (here, owner) = columns::in_scope(scope, "m", '?');
            let (narrowed, pattern) = (filter.conditions("?2"), filter.pattern());
            let sql = format!("SELECT count(*) FROM (SELECT 1 {MEMBERS} WHERE {here}{narrowed} LIMIT ?3)");
            let total = connection.query_row(&sql, (owner, &pattern, page.counted()), scalar)?;

            let sql = format!(
                "SELECT {USER}, m.access_level, m.expires_at {MEMBERS} WHERE {here}{narrowed} AND m.user_id > ?3
                 ORDER BY m.user_id LIMIT ?4 OFFSET ?5"
            );
            let mut statement = connection.prepare(&sql)?;
            let parameters = (owner, &pattern, page.after(), page.limit, page.offset());
            let found = statement.query_map(parameters, member)?;

            Ok(Paged {
                rows: found.collect::<rusqlite::Result<_>>()?,
                total,
            })
        })
        .await
    }

    async fn list_all_members(
        &self,
        scope: Scope,
        now: Timestamp,
        filter: MemberFilter,
        page: Page,
    ) -> Result<Paged<Member>> {
        self.read(move |connection| {
            let (project, group) = columns::scope_columns(scope);
            let (narrowed, pattern) = (filter.conditions("?5"), filter.pattern());

            let rows = "WITH RECURSIVE chain (id) AS (
                    SELECT ?2 WHERE ?2 IS NOT NULL
                    UNION SELECT group_id FROM projects WHERE id = ?1
                    UNION SELECT g.parent_id FROM groups g JOIN chain c ON g.id = c.id WHERE g.parent_id IS NOT NULL),
                 every (user_id, access_level, expires_at) AS (
                    SELECT user_id, max(access_level), CASE WHEN count(*) = count(expires_at) THEN max(expires_at) END
                    FROM members WHERE (project_id = ?1 OR group_id IN (SELECT id FROM chain))
                       AND (expires_at IS NULL OR expires_at > ?3) AND user_id > ?4 GROUP BY user_id)";

            let joined = format!("FROM every m JOIN users u ON u.id = m.user_id WHERE true{narrowed}");
            let sql = format!("{rows} SELECT count(*) FROM (SELECT 1 {joined} LIMIT ?6)");
            let parameters = (project, group, now.as_micros(), page.after(), &pattern, page.counted());
            let total = connection.query_row(&sql, parameters, scalar)?;
            let sql =
                format!("{rows} SELECT {USER}, m.access_level, m.expires_at {joined} ORDER BY u.id LIMIT ?6 OFFSET ?7");
            let mut statement = connection.prepare(&sql)?;

            let parameters = (
                project,
                group,
                now.as_micros(),
                page.after(),
                &pattern,
                page.limit,
                page.offset(),
            );
            let found = statement.query_map(parameters, member)?;
            Ok(Paged {
                rows: found.collect::<rusqlite::Result<_>>()?,
                total,
            })
        })
        .await
    }

    async fn role(&self, scope: Scope, user: i64, now: Timestamp) -> Result<Option<AccessLevel>> {
        self.read(move |connection| {
            let (project, group) = columns::scope_columns(scope);
            let mut statement = connection.prepare_cached(
                "WITH RECURSIVE chain (id) AS (
                    SELECT ?2 WHERE ?2 IS NOT NULL
                    UNION SELECT group_id FROM projects WHERE id = ?1
                    UNION SELECT g.parent_id FROM groups g JOIN chain c ON g.id = c.id WHERE g.parent_id IS NOT NULL)
                 SELECT max(access_level) FROM members
                 WHERE user_id = ?3 AND (project_id = ?1 OR group_id IN (SELECT id FROM chain))
                   AND (expires_at IS NULL OR expires_at > ?4)",
            )?;
            let found: Option<i64> = statement.query_row((project, group, user, now.as_micros()), scalar)?;

            Ok(found.and_then(AccessLevel::by_number))
        })
        .await
    }
}

const MEMBERS: &str = "FROM members m JOIN users u ON u.id = m.user_id";
const USER: &str = "u.id, u.username, u.name, u.email, u.is_admin, u.created_at, u.project_id, u.group_id,
    u.blocked";

fn bot_of(project: Option<i64>, group: Option<i64>) -> Option<Scope> {
    Some(columns::scope(project, group)).filter(|scope| *scope != Scope::Instance)
}

fn write_member(
    connection: &Connection,
    scope: Scope,
    id: i64,
    level: AccessLevel,
    expires_at: Option<Timestamp>,
    only_new: bool,
) -> Result<Member> {
    super::hooks::check_scope(connection, scope)?;

    let user = find_user(connection, id)?.ok_or(Error::Missing("user"))?;
    let (project, group) = columns::scope_columns(scope);
    let sql = "DELETE FROM members WHERE user_id = ?1 AND project_id IS ?2 AND group_id IS ?3";
    if connection.execute(sql, (id, project, group))? > 0 && only_new {
        return Err(Error::Taken("member"));
    }

    connection.execute(
        "INSERT INTO members (user_id, project_id, group_id, access_level, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        (id, project, group, level.number(), expires_at.map(Timestamp::as_micros)),
    )?;

    Ok(Member {
        user,
        level,
        expires_at,
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

fn find_user(connection: &Connection, id: i64) -> Result<Option<User>> {
    let sql = format!("SELECT {USER} FROM users u WHERE u.id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id], user).optional()?)
}

fn insert_token(
    connection: &Connection,
    digest: [u8; 32],
    user: i64,
    name: &str,
    scopes: &[TokenScope],
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Token> {
    let read_only = !scopes.contains(&TokenScope::Api);
    let expires_at = expires_at.map(Timestamp::as_micros);

    connection.execute(
        "INSERT INTO access_tokens (digest, user_id, name, read_only, scopes, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            digest,
            user,
            name,
            read_only,
            scopes_column(scopes),
            now.as_micros(),
            expires_at,
        ),
    )?;

    find_token(connection, connection.last_insert_rowid())?.ok_or(Error::Damaged("a token that was just made"))
}

fn find_token(connection: &Connection, id: i64) -> Result<Option<Token>> {
    let sql = format!("SELECT {TOKEN} WHERE t.id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id], token).optional()?)
}

fn token(row: &Row<'_>) -> rusqlite::Result<Token> {
    Ok(Token {
        id: row.get("id")?,
        user_id: row.get("user_id")?,
        name: row.get("name")?,
        scopes: scopes_of(&row.get::<_, String>("scopes")?),
        created_at: Timestamp::from_micros(row.get("created_at")?),
        expires_at: row.get::<_, Option<i64>>("expires_at")?.map(Timestamp::from_micros),
        last_used_at: row.get::<_, Option<i64>>("last_used_at")?.map(Timestamp::from_micros),
        revoked: row.get("revoked")?,
        scope: bot_of(row.get("project_id")?, row.get("group_id")?),
        level: row.get::<_, Option<i64>>("level")?.and_then(AccessLevel::by_number),
        is_root: row.get("is_root")?,
    })
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: row.get("id")?,
        username: row.get("username")?,
        name: row.get("name")?,
        email: row.get("email")?,
        is_admin: row.get("is_admin")?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
        bot_of: bot_of(row.get("project_id")?, row.get("group_id")?),
        blocked: row.get("blocked")?,
    })
}

fn member(row: &Row<'_>) -> rusqlite::Result<Member> {
    let expires_at = row.get::<_, Option<i64>>("expires_at")?.map(Timestamp::from_micros);
    let level = AccessLevel::by_number(row.get("access_level")?).unwrap_or(AccessLevel::Guest);

    Ok(Member {
        user: user(row)?,
        level,
        expires_at,
    })
}
