//! Groups and projects in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::scope::{Group, Project};
use quickdraw_domain::{GroupId, ProjectId, Timestamp};
use tokio_postgres::types::ToSql;
use tokio_postgres::{GenericClient, Row};

use super::{Postgres, scalar, search};
use crate::error::{Error, Result};
use crate::lists::{Page, Paged};
use crate::scopes::{
    GroupEdit, GroupPlace, Listed, Name, NewGroup, NewProject, ProjectEdit, ScopeFilter, Scopes, moved_path,
    placed_path,
};

const GROUP: &str = "SELECT id, parent_id, name, full_path, description, visibility_level, created_at FROM groups";
const PROJECT: &str =
    "SELECT p.id, p.group_id, p.name, p.full_path, g.name AS namespace, p.description, p.default_branch,
    p.visibility_level, p.created_at FROM projects p JOIN groups g ON g.id = p.group_id";
/// Groups and projects share one space of paths, and no index spans two tables: transactions that change a path,
/// or make one from another, take turns from before the first look.
pub(super) const PATHS_LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('quickdraw paths'))";

/// Groups in which a user (`$4`) has at least a role at a time (`$5`), and all below them.
fn mine(least: i64) -> String {
    format!(
        "WITH RECURSIVE mine (id) AS (
            SELECT group_id FROM members WHERE user_id = $4 AND group_id IS NOT NULL AND access_level >= {least}
                AND (expires_at IS NULL OR expires_at > $5)
            UNION SELECT g.id FROM groups g JOIN mine m ON g.parent_id = m.id)"
    )
}

/// The condition that rows are among them.
fn is_mine(listed: Listed, least: i64) -> String {
    match listed {
        Listed::Groups => " AND l.id IN (SELECT id FROM mine)".to_owned(),
        Listed::Projects => format!(
            " AND l.id IN (SELECT id FROM projects WHERE group_id IN (SELECT id FROM mine)
                UNION SELECT project_id FROM members WHERE user_id = $4 AND project_id IS NOT NULL
                    AND access_level >= {least} AND (expires_at IS NULL OR expires_at > $5))"
        ),
    }
}

/// A kind of row that is listed: the statement, the table, and the column of the group above.
struct Kind {
    listed: Listed,
    rows: &'static str,
    table: &'static str,
    parent: &'static str,
}

const GROUPS: Kind = Kind {
    listed: Listed::Groups,
    rows: GROUP,
    table: "groups",
    parent: "parent_id",
};
const PROJECTS: Kind = Kind {
    listed: Listed::Projects,
    rows: PROJECT,
    table: "projects",
    parent: "group_id",
};

/// Lists rows by number. Only conditions that are asked for are part of the statement, so that each finds its index.
async fn list<T>(
    client: &impl GenericClient,
    kind: Kind,
    filter: ScopeFilter,
    page: Page,
    read: fn(&Row) -> T,
) -> Result<Paged<T>> {
    let Kind {
        listed,
        rows,
        table,
        parent,
    } = kind;

    let (least, order) = (filter.least_level(), page.order());
    let (after, offset, counted) = (page.after(), page.offset(), page.counted());
    let visible_to = filter.visible_to.map(|(user, now)| (user, now.as_micros()));
    let inside = filter.parent.map(|id| id.0);

    let mut conditions = format!(
        "FROM {table} l WHERE l.id > $1{}{}",
        page.before("l.id"),
        filter.conditions(listed)
    );

    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&after, &page.limit, &offset];
    let mut with = String::new();

    if let Some((user, now)) = &visible_to {
        parameters.extend::<[&(dyn ToSql + Sync); 2]>([user, now]);
        conditions += &is_mine(listed, least);
        with = mine(least);
    }

    let text = filter.search.as_deref().map(search::pattern);
    if let Some(text) = &text {
        parameters.push(text);

        let at = parameters.len();
        conditions += &format!(" AND (lower(l.name) LIKE lower(${at}) OR lower(l.full_path) LIKE lower(${at}))");
    }

    if let Some(inside) = &inside {
        parameters.push(inside);
        conditions += &format!(" AND l.{parent} = ${}", parameters.len());
    }

    let id = if table == "projects" { "p.id" } else { "id" };
    let sql = format!(
        "{with} {rows} WHERE {id} IN (SELECT l.id {conditions} ORDER BY l.id {order} LIMIT $2 OFFSET $3)
         ORDER BY {id} {order}"
    );
    let found = client.query(&sql, &parameters).await?;
    let no_offset = 0_i64;

    parameters[1] = &counted;
    parameters[2] = &no_offset;

    let sql = format!("{with} SELECT count(*) FROM (SELECT 1 {conditions} LIMIT $2 OFFSET $3) c");
    let total = scalar(&client.query_one(&sql, &parameters).await?);
    Ok(Paged {
        rows: found.iter().map(read).collect(),
        total,
    })
}

#[async_trait]
impl Scopes for Postgres {
    async fn create_group(&self, new: NewGroup, now: Timestamp) -> Result<Group> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute(PATHS_LOCK, &[]).await?;

        let full_path = match new.parent {
            Some(parent) => {
                let parent = group(&*transaction, &Name::Id(parent.0))
                    .await?
                    .ok_or(Error::Missing("parent group"))?;
                format!("{}/{}", parent.full_path, new.path)
            }
            None => new.path.clone(),
        };
        check_free(&*transaction, &full_path).await?;

        let row = transaction
            .query_one(
                "INSERT INTO groups (parent_id, name, full_path, description, visibility_level, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
                &[
                    &new.parent.map(|id| id.0),
                    &new.name,
                    &full_path,
                    &new.description,
                    &new.visibility_level,
                    &now.as_micros(),
                ],
            )
            .await?;
        let made = group(&*transaction, &Name::Id(scalar(&row))).await?;
        transaction.commit().await?;
        self.notify(&client, "directory").await;

        made.ok_or(Error::Damaged("a group that was just made"))
    }

    async fn find_group(&self, name: Name) -> Result<Option<Group>> {
        group(&**self.client().await?, &name).await
    }

    async fn list_groups(&self, filter: ScopeFilter, page: Page) -> Result<Paged<Group>> {
        let mut client = self.client().await?;
        if filter.search.is_none() {
            return list(&**client, GROUPS, filter, page, read_group).await;
        }

        list(&*search::begin(&mut client).await?, GROUPS, filter, page, read_group).await
    }

    async fn update_group(&self, id: GroupId, edit: GroupEdit) -> Result<Option<Group>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute(PATHS_LOCK, &[]).await?;

        let Some(known) = group(&*transaction, &Name::Id(id.0)).await? else {
            return Ok(None);
        };
        let (parent, full_path) = match edit.place {
            None => (known.parent, moved_path(&known.full_path, None, edit.path.as_deref())),
            Some(GroupPlace::Top) => (None, placed_path(&known.full_path, None, edit.path.as_deref())?),
            Some(GroupPlace::In(id)) => {
                let target = group(&*transaction, &Name::Id(id.0))
                    .await?
                    .ok_or(Error::Missing("group"))?;
                (
                    Some(id),
                    placed_path(&known.full_path, Some(&target.full_path), edit.path.as_deref())?,
                )
            }
        };

        if full_path != known.full_path {
            if !full_path.eq_ignore_ascii_case(&known.full_path) {
                check_free(&*transaction, &full_path).await?;
            }

            for (table, column) in [("groups", "parent_id"), ("projects", "group_id")] {
                let sql = format!(
                    "WITH RECURSIVE inside (id) AS (
                        SELECT $1::bigint UNION ALL SELECT g.id FROM groups g JOIN inside i ON g.parent_id = i.id)
                     UPDATE {table} SET full_path = $3 || substr(full_path, length($2::text) + 1)
                     WHERE {column} IN (SELECT id FROM inside)"
                );
                transaction
                    .execute(&sql, &[&id.0, &known.full_path, &full_path])
                    .await?;
            }

            let sql = "UPDATE groups SET path_set_by = $2 WHERE id = $1";
            transaction.execute(sql, &[&id.0, &edit.path_set_by.code()]).await?;
        }

        transaction
            .execute(
                "UPDATE groups SET full_path = $2, name = $3, description = $4, visibility_level = $5, parent_id = $6
                 WHERE id = $1",
                &[
                    &id.0,
                    &full_path,
                    &edit.name.unwrap_or(known.name),
                    &edit.description.apply(known.description),
                    &edit.visibility_level.unwrap_or(known.visibility_level),
                    &parent.map(|id| id.0),
                ],
            )
            .await?;

        let changed = group(&*transaction, &Name::Id(id.0)).await?;
        transaction.commit().await?;
        self.notify(&client, "directory").await;

        Ok(changed)
    }

    async fn delete_group(&self, id: GroupId) -> Result<bool> {
        let client = self.client().await?;
        let gone = client.execute("DELETE FROM groups WHERE id = $1", &[&id.0]).await?;
        self.notify(&client, "directory").await;

        Ok(gone > 0)
    }

    async fn create_project(&self, new: NewProject, now: Timestamp) -> Result<Project> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute(PATHS_LOCK, &[]).await?;

        let group = group(&*transaction, &Name::Id(new.group.0))
            .await?
            .ok_or(Error::Missing("group"))?;
        let full_path = format!("{}/{}", group.full_path, new.path);
        check_free(&*transaction, &full_path).await?;

        let row = transaction
            .query_one(
                "INSERT INTO projects (group_id, name, full_path, description, default_branch, visibility_level,
                    created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
                &[
                    &new.group.0,
                    &new.name,
                    &full_path,
                    &new.description,
                    &new.default_branch,
                    &new.visibility_level,
                    &now.as_micros(),
                ],
            )
            .await?;
        let made = project(&*transaction, &Name::Id(scalar(&row))).await?;
        transaction.commit().await?;
        self.notify(&client, "directory").await;

        made.ok_or(Error::Damaged("a project that was just made"))
    }

    async fn find_project(&self, name: Name) -> Result<Option<Project>> {
        project(&**self.client().await?, &name).await
    }

    async fn list_projects(&self, filter: ScopeFilter, page: Page) -> Result<Paged<Project>> {
        let mut client = self.client().await?;
        if filter.search.is_none() {
            return list(&**client, PROJECTS, filter, page, read_project).await;
        }

        list(
            &*search::begin(&mut client).await?,
            PROJECTS,
            filter,
            page,
            read_project,
        )
        .await
    }

    async fn update_project(&self, id: ProjectId, edit: ProjectEdit) -> Result<Option<Project>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute(PATHS_LOCK, &[]).await?;

        let Some(known) = project(&*transaction, &Name::Id(id.0)).await? else {
            return Ok(None);
        };
        let target = match edit.group.filter(|group| *group != known.group) {
            Some(id) => Some(
                group(&*transaction, &Name::Id(id.0))
                    .await?
                    .ok_or(Error::Missing("group"))?,
            ),
            None => None,
        };
        let full_path = moved_path(&known.path_with_namespace, target.as_ref(), edit.path.as_deref());

        if !full_path.eq_ignore_ascii_case(&known.path_with_namespace) {
            check_free(&*transaction, &full_path).await?;

            let sql = "UPDATE projects SET path_set_by = $2 WHERE id = $1";
            transaction.execute(sql, &[&id.0, &edit.path_set_by.code()]).await?;
        }

        transaction
            .execute(
                "UPDATE projects SET group_id = $2, full_path = $3, name = $4, description = $5, default_branch = $6,
                    visibility_level = $7, archived = coalesce($8, archived) WHERE id = $1",
                &[
                    &id.0,
                    &edit.group.unwrap_or(known.group).0,
                    &full_path,
                    &edit.name.unwrap_or(known.name),
                    &edit.description.apply(known.description),
                    &edit.default_branch.or(known.default_branch),
                    &edit.visibility_level.unwrap_or(known.visibility_level),
                    &edit.archived,
                ],
            )
            .await?;

        let changed = project(&*transaction, &Name::Id(id.0)).await?;
        transaction.commit().await?;
        self.notify(&client, "directory").await;

        Ok(changed)
    }

    async fn delete_project(&self, id: ProjectId) -> Result<bool> {
        let client = self.client().await?;
        let gone = client.execute("DELETE FROM projects WHERE id = $1", &[&id.0]).await?;
        self.notify(&client, "directory").await;

        Ok(gone > 0)
    }
}

/// The connection or transaction has [`PATHS_LOCK`].
async fn check_free(client: &impl GenericClient, full_path: &str) -> Result<()> {
    let sql = "SELECT 1 FROM groups WHERE lower(full_path) = lower($1)
        UNION ALL SELECT 1 FROM projects WHERE lower(full_path) = lower($1)";
    if client.query(sql, &[&full_path]).await?.is_empty() {
        Ok(())
    } else {
        Err(Error::Taken("path"))
    }
}

async fn group(client: &impl GenericClient, name: &Name) -> Result<Option<Group>> {
    let row = match name {
        Name::Id(id) => client.query_opt(&format!("{GROUP} WHERE id = $1"), &[id]).await?,
        Name::Path(path) => {
            client
                .query_opt(&format!("{GROUP} WHERE lower(full_path) = lower($1)"), &[path])
                .await?
        }
    };
    Ok(row.as_ref().map(read_group))
}

async fn project(client: &impl GenericClient, name: &Name) -> Result<Option<Project>> {
    let row = match name {
        Name::Id(id) => client.query_opt(&format!("{PROJECT} WHERE p.id = $1"), &[id]).await?,
        Name::Path(path) => {
            client
                .query_opt(&format!("{PROJECT} WHERE lower(p.full_path) = lower($1)"), &[path])
                .await?
        }
    };
    Ok(row.as_ref().map(read_project))
}

fn read_group(row: &Row) -> Group {
    Group {
        id: GroupId(row.get("id")),
        parent: row.get::<_, Option<i64>>("parent_id").map(GroupId),
        name: row.get("name"),
        full_path: row.get("full_path"),
        description: row.get("description"),
        visibility_level: row.get("visibility_level"),
        created_at: Timestamp::from_micros(row.get("created_at")),
    }
}

fn read_project(row: &Row) -> Project {
    Project {
        id: ProjectId(row.get("id")),
        group: GroupId(row.get("group_id")),
        name: row.get("name"),
        path_with_namespace: row.get("full_path"),
        namespace: row.get("namespace"),
        description: row.get("description"),
        default_branch: row.get("default_branch"),
        visibility_level: row.get("visibility_level"),
        created_at: Timestamp::from_micros(row.get("created_at")),
    }
}
