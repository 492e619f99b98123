//! Members of projects and groups in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::access::AccessLevel;
use quickdraw_domain::scope::Scope;
use tokio_postgres::Row;

use super::{USER, user};
use crate::access::{Member, MemberFilter, Members, Users};
use crate::columns;
use crate::error::{Error, Result};
use crate::lists::{Page, Paged};
use crate::postgres::{Postgres, scalar};

const MEMBERS: &str = "FROM members m JOIN users u ON u.id = m.user_id";

#[async_trait]
impl Members for Postgres {
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

fn member(row: &Row) -> Member {
    Member {
        user: user(row),
        level: AccessLevel::by_number(row.get("access_level")).unwrap_or(AccessLevel::Guest),
        expires_at: row.get::<_, Option<i64>>("expires_at").map(Timestamp::from_micros),
    }
}
