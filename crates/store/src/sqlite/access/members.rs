//! Members of projects and groups in SQLite.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::access::AccessLevel;
use quickdraw_domain::scope::Scope;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{USER, find_user, user};
use crate::access::{Member, MemberFilter, Members};
use crate::columns;
use crate::error::{Error, Result};
use crate::lists::{Page, Paged};
use crate::sqlite::Sqlite;
use crate::sqlite::hooks::check_scope;
use crate::sqlite::rows::scalar;

const MEMBERS: &str = "FROM members m JOIN users u ON u.id = m.user_id";

#[async_trait]
impl Members for Sqlite {
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

fn write_member(
    connection: &Connection,
    scope: Scope,
    id: i64,
    level: AccessLevel,
    expires_at: Option<Timestamp>,
    only_new: bool,
) -> Result<Member> {
    check_scope(connection, scope)?;

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

fn member(row: &Row<'_>) -> rusqlite::Result<Member> {
    let expires_at = row.get::<_, Option<i64>>("expires_at")?.map(Timestamp::from_micros);
    let level = AccessLevel::by_number(row.get("access_level")?).unwrap_or(AccessLevel::Guest);

    Ok(Member {
        user: user(row)?,
        level,
        expires_at,
    })
}
