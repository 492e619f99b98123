//! Groups and projects in PostgreSQL.

use async_trait::async_trait;
use quickdraw_domain::scope::{Group, Project};
use quickdraw_domain::{GroupId, ProjectId, Timestamp};
use tokio_postgres::{GenericClient, Row};

use super::Postgres;
use crate::error::{Error, Result};
use crate::scopes::{GroupEdit, Name, NewGroup, NewProject, Page, Paged, ProjectEdit, ScopeFilter, Scopes, moved_path};

const GROUP: &str = "SELECT id, parent_id, name, full_path, description, visibility_level, created_at FROM groups";
const PROJECT: &str = "SELECT p.id, p.group_id, p.name, p.full_path, g.name, p.description, p.default_branch,
    p.visibility_level, p.created_at FROM projects p JOIN groups g ON g.id = p.group_id";
/// Groups and projects share one space of paths, and no index spans two tables: whoever adds to it takes turns.
const PATHS_LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('quickdraw paths'))";

/// Groups that a user (`$1`) is a member of at a time (`$2`), and all below them.
const MINE: &str = "WITH RECURSIVE mine (id) AS (
    SELECT group_id FROM members
    WHERE user_id = $1::bigint AND group_id IS NOT NULL AND (expires_at IS NULL OR expires_at > $2::bigint)
    UNION SELECT g.id FROM groups g JOIN mine m ON g.parent_id = m.id)";
/// `$3` what to search for, `$4` the group that they lie in.
const VISIBLE_GROUPS: &str = "WHERE ($1::bigint IS NULL OR id IN (SELECT id FROM mine))
    AND ($4::bigint IS NULL OR parent_id = $4)
    AND ($3::text IS NULL OR strpos(lower(name), lower($3)) > 0 OR strpos(lower(full_path), lower($3)) > 0)";
const VISIBLE_PROJECTS: &str = "WHERE ($1::bigint IS NULL OR p.group_id IN (SELECT id FROM mine)
        OR p.id IN (SELECT project_id FROM members WHERE user_id = $1 AND (expires_at IS NULL OR expires_at > $2)))
    AND ($4::bigint IS NULL OR p.group_id = $4)
    AND ($3::text IS NULL OR strpos(lower(p.name), lower($3)) > 0 OR strpos(lower(p.full_path), lower($3)) > 0)";

#[async_trait]
impl Scopes for Postgres {
    async fn create_group(&self, new: NewGroup, now: Timestamp) -> Result<Group> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let full_path = match new.parent {
            Some(parent) => {
                let parent = group(&*transaction, &Name::Id(parent.0)).await?.ok_or(Error::Missing("parent group"))?;
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
        let made = group(&*transaction, &Name::Id(row.get(0))).await?;
        transaction.commit().await?;
        self.notify(&client, "directory").await;
        made.ok_or(Error::Damaged("a group that was just made"))
    }

    async fn find_group(&self, name: Name) -> Result<Option<Group>> {
        group(&**self.client().await?, &name).await
    }

    async fn list_groups(&self, filter: ScopeFilter, page: Page) -> Result<Paged<Group>> {
        let client = self.client().await?;
        let rows = format!("{MINE} {GROUP} {VISIBLE_GROUPS}");
        let (user, now) = filter.visible_to.map_or((None, 0), |(user, now)| (Some(user), now.as_micros()));
        let parent = filter.parent.map(|id| id.0);
        let count = format!("SELECT count(*) FROM ({rows}) l");
        let total = client.query_one(&count, &[&user, &now, &filter.search, &parent]).await?.get(0);
        let sql = format!("{rows} ORDER BY id LIMIT $5 OFFSET $6");
        let rows = client.query(&sql, &[&user, &now, &filter.search, &parent, &page.limit, &page.offset]).await?;
        Ok(Paged { rows: rows.iter().map(read_group).collect(), total })
    }

    async fn update_group(&self, id: GroupId, edit: GroupEdit) -> Result<Option<Group>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let Some(known) = group(&*transaction, &Name::Id(id.0)).await? else { return Ok(None) };
        transaction
            .execute(
                "UPDATE groups SET name = $2, description = $3, visibility_level = $4 WHERE id = $1",
                &[
                    &id.0,
                    &edit.name.unwrap_or(known.name),
                    &edit.description.unwrap_or(known.description),
                    &edit.visibility_level.unwrap_or(known.visibility_level),
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
        let group = group(&*transaction, &Name::Id(new.group.0)).await?.ok_or(Error::Missing("group"))?;
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
        let made = project(&*transaction, &Name::Id(row.get(0))).await?;
        transaction.commit().await?;
        self.notify(&client, "directory").await;
        made.ok_or(Error::Damaged("a project that was just made"))
    }

    async fn find_project(&self, name: Name) -> Result<Option<Project>> {
        project(&**self.client().await?, &name).await
    }

    async fn list_projects(&self, filter: ScopeFilter, page: Page) -> Result<Paged<Project>> {
        let client = self.client().await?;
        let rows = format!("{MINE} {PROJECT} {VISIBLE_PROJECTS}");
        let (user, now) = filter.visible_to.map_or((None, 0), |(user, now)| (Some(user), now.as_micros()));
        let parent = filter.parent.map(|id| id.0);
        let count = format!("{MINE} SELECT count(*) FROM projects p {VISIBLE_PROJECTS}");
        let total = client.query_one(&count, &[&user, &now, &filter.search, &parent]).await?.get(0);
        let sql = format!("{rows} ORDER BY p.id LIMIT $5 OFFSET $6");
        let rows = client.query(&sql, &[&user, &now, &filter.search, &parent, &page.limit, &page.offset]).await?;
        Ok(Paged { rows: rows.iter().map(read_project).collect(), total })
    }

    async fn update_project(&self, id: ProjectId, edit: ProjectEdit) -> Result<Option<Project>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let Some(known) = project(&*transaction, &Name::Id(id.0)).await? else { return Ok(None) };
        let full_path = match edit.group.filter(|group| *group != known.group) {
            Some(target) => {
                let target = group(&*transaction, &Name::Id(target.0)).await?.ok_or(Error::Missing("group"))?;
                let moved = moved_path(&known, &target);
                check_free(&*transaction, &moved).await?;
                moved
            }
            None => known.path_with_namespace,
        };
        transaction
            .execute(
                "UPDATE projects SET group_id = $2, full_path = $3, name = $4, description = $5, default_branch = $6,
                    visibility_level = $7 WHERE id = $1",
                &[
                    &id.0,
                    &edit.group.unwrap_or(known.group).0,
                    &full_path,
                    &edit.name.unwrap_or(known.name),
                    &edit.description.unwrap_or(known.description),
                    &edit.default_branch.or(known.default_branch),
                    &edit.visibility_level.unwrap_or(known.visibility_level),
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

async fn check_free(client: &impl GenericClient, full_path: &str) -> Result<()> {
    client.execute(PATHS_LOCK, &[]).await?;
    let sql = "SELECT 1 FROM groups WHERE lower(full_path) = lower($1)
        UNION ALL SELECT 1 FROM projects WHERE lower(full_path) = lower($1)";
    if client.query(sql, &[&full_path]).await?.is_empty() { Ok(()) } else { Err(Error::Taken("path")) }
}

async fn group(client: &impl GenericClient, name: &Name) -> Result<Option<Group>> {
    let row = match name {
        Name::Id(id) => client.query_opt(&format!("{GROUP} WHERE id = $1"), &[id]).await?,
        Name::Path(path) => client.query_opt(&format!("{GROUP} WHERE lower(full_path) = lower($1)"), &[path]).await?,
    };
    Ok(row.as_ref().map(read_group))
}

async fn project(client: &impl GenericClient, name: &Name) -> Result<Option<Project>> {
    let row = match name {
        Name::Id(id) => client.query_opt(&format!("{PROJECT} WHERE p.id = $1"), &[id]).await?,
        Name::Path(path) => {
            client.query_opt(&format!("{PROJECT} WHERE lower(p.full_path) = lower($1)"), &[path]).await?
        }
    };
    Ok(row.as_ref().map(read_project))
}

fn read_group(row: &Row) -> Group {
    Group {
        id: GroupId(row.get(0)),
        parent: row.get::<_, Option<i64>>(1).map(GroupId),
        name: row.get(2),
        full_path: row.get(3),
        description: row.get(4),
        visibility_level: row.get(5),
        created_at: Timestamp::from_micros(row.get(6)),
    }
}

fn read_project(row: &Row) -> Project {
    Project {
        id: ProjectId(row.get(0)),
        group: GroupId(row.get(1)),
        name: row.get(2),
        path_with_namespace: row.get(3),
        namespace: row.get(4),
        description: row.get(5),
        default_branch: row.get(6),
        visibility_level: row.get(7),
        created_at: Timestamp::from_micros(row.get(8)),
    }
}
