//! Groups and projects in SQLite.

use async_trait::async_trait;
use quickdraw_domain::scope::{Group, Project};
use quickdraw_domain::{GroupId, ProjectId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Sqlite;
use crate::error::{Error, Result};
use crate::scopes::{GroupEdit, Name, NewGroup, NewProject, Page, Paged, ProjectEdit, ScopeFilter, Scopes, moved_path};

const GROUP: &str = "SELECT id, parent_id, name, full_path, description, visibility_level, created_at FROM groups";
const PROJECT: &str = "SELECT p.id, p.group_id, p.name, p.full_path, g.name, p.description, p.default_branch,
    p.visibility_level, p.created_at FROM projects p JOIN groups g ON g.id = p.group_id";

/// Groups that a user (`?1`) is a member of at a time (`?2`), and all below them.
const MINE: &str = "WITH RECURSIVE mine (id) AS (
    SELECT group_id FROM members WHERE user_id = ?1 AND group_id IS NOT NULL AND (expires_at IS NULL OR expires_at > ?2)
    UNION SELECT g.id FROM groups g JOIN mine m ON g.parent_id = m.id)";
/// `?3` what to search for, `?4` the group that they lie in.
const VISIBLE_GROUPS: &str = "WHERE (?1 IS NULL OR id IN (SELECT id FROM mine)) AND (?4 IS NULL OR parent_id = ?4)
    AND (?3 IS NULL OR instr(lower(name), lower(?3)) > 0 OR instr(lower(full_path), lower(?3)) > 0)";
const VISIBLE_PROJECTS: &str = "WHERE (?1 IS NULL OR p.group_id IN (SELECT id FROM mine)
        OR p.id IN (SELECT project_id FROM members WHERE user_id = ?1 AND (expires_at IS NULL OR expires_at > ?2)))
    AND (?4 IS NULL OR p.group_id = ?4)
    AND (?3 IS NULL OR instr(lower(p.name), lower(?3)) > 0 OR instr(lower(p.full_path), lower(?3)) > 0)";

#[async_trait]
impl Scopes for Sqlite {
    async fn create_group(&self, new: NewGroup, now: Timestamp) -> Result<Group> {
        self.configure(move |tx| {
            let full_path = match new.parent {
                Some(parent) => {
                    let parent = group(tx.connection, &Name::Id(parent.0))?.ok_or(Error::Missing("parent group"))?;
                    format!("{}/{}", parent.full_path, new.path)
                }
                None => new.path.clone(),
            };
            check_free(tx.connection, &full_path)?;
            tx.connection.execute(
                "INSERT INTO groups (parent_id, name, full_path, description, visibility_level, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    new.parent.map(|id| id.0),
                    &new.name,
                    &full_path,
                    &new.description,
                    new.visibility_level,
                    now.as_micros(),
                ),
            )?;
            let id = tx.connection.last_insert_rowid();
            group(tx.connection, &Name::Id(id))?.ok_or(Error::Damaged("a group that was just made"))
        })
        .await
    }

    async fn find_group(&self, name: Name) -> Result<Option<Group>> {
        self.read(move |connection| group(connection, &name)).await
    }

    async fn list_groups(&self, filter: ScopeFilter, page: Page) -> Result<Paged<Group>> {
        self.read(move |connection| {
            let rows = format!("{MINE} {GROUP} {VISIBLE_GROUPS}");
            let (user, now) = filter.visible_to.map_or((None, 0), |(user, now)| (Some(user), now.as_micros()));
            let fixed = (user, now, filter.search, filter.parent.map(|id| id.0));
            let count = format!("SELECT count(*) FROM ({rows})");
            let total = connection.prepare_cached(&count)?.query_row(fixed.clone(), |row| row.get(0))?;
            let sql = format!("{rows} ORDER BY id LIMIT ?5 OFFSET ?6");
            let mut statement = connection.prepare_cached(&sql)?;
            let parameters = (fixed.0, fixed.1, fixed.2, fixed.3, page.limit, page.offset);
            let rows = statement.query_map(parameters, read_group)?;
            Ok(Paged { rows: rows.collect::<rusqlite::Result<_>>()?, total })
        })
        .await
    }

    async fn update_group(&self, id: GroupId, edit: GroupEdit) -> Result<Option<Group>> {
        self.configure(move |tx| {
            let Some(known) = group(tx.connection, &Name::Id(id.0))? else { return Ok(None) };
            tx.connection.execute(
                "UPDATE groups SET name = ?2, description = ?3, visibility_level = ?4 WHERE id = ?1",
                (
                    id.0,
                    edit.name.unwrap_or(known.name),
                    edit.description.unwrap_or(known.description),
                    edit.visibility_level.unwrap_or(known.visibility_level),
                ),
            )?;
            group(tx.connection, &Name::Id(id.0))
        })
        .await
    }

    async fn delete_group(&self, id: GroupId) -> Result<bool> {
        self.configure(move |tx| Ok(tx.connection.execute("DELETE FROM groups WHERE id = ?1", [id.0])? > 0)).await
    }

    async fn create_project(&self, new: NewProject, now: Timestamp) -> Result<Project> {
        self.configure(move |tx| {
            let group = group(tx.connection, &Name::Id(new.group.0))?.ok_or(Error::Missing("group"))?;
            let full_path = format!("{}/{}", group.full_path, new.path);
            check_free(tx.connection, &full_path)?;
            tx.connection.execute(
                "INSERT INTO projects (group_id, name, full_path, description, default_branch, visibility_level,
                   created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (
                    new.group.0,
                    &new.name,
                    &full_path,
                    &new.description,
                    &new.default_branch,
                    new.visibility_level,
                    now.as_micros(),
                ),
            )?;
            let id = tx.connection.last_insert_rowid();
            project(tx.connection, &Name::Id(id))?.ok_or(Error::Damaged("a project that was just made"))
        })
        .await
    }

    async fn find_project(&self, name: Name) -> Result<Option<Project>> {
        self.read(move |connection| project(connection, &name)).await
    }

    async fn list_projects(&self, filter: ScopeFilter, page: Page) -> Result<Paged<Project>> {
        self.read(move |connection| {
            let rows = format!("{MINE} {PROJECT} {VISIBLE_PROJECTS}");
            let (user, now) = filter.visible_to.map_or((None, 0), |(user, now)| (Some(user), now.as_micros()));
            let fixed = (user, now, filter.search, filter.parent.map(|id| id.0));
            let count = format!("SELECT count(*) FROM ({rows})");
            let total = connection.prepare_cached(&count)?.query_row(fixed.clone(), |row| row.get(0))?;
            let sql = format!("{rows} ORDER BY p.id LIMIT ?5 OFFSET ?6");
            let mut statement = connection.prepare_cached(&sql)?;
            let parameters = (fixed.0, fixed.1, fixed.2, fixed.3, page.limit, page.offset);
            let rows = statement.query_map(parameters, read_project)?;
            Ok(Paged { rows: rows.collect::<rusqlite::Result<_>>()?, total })
        })
        .await
    }

    async fn update_project(&self, id: ProjectId, edit: ProjectEdit) -> Result<Option<Project>> {
        self.configure(move |tx| {
            let Some(known) = project(tx.connection, &Name::Id(id.0))? else { return Ok(None) };
            let full_path = match edit.group.filter(|group| *group != known.group) {
                Some(target) => {
                    let target = group(tx.connection, &Name::Id(target.0))?.ok_or(Error::Missing("group"))?;
                    let moved = moved_path(&known, &target);
                    check_free(tx.connection, &moved)?;
                    moved
                }
                None => known.path_with_namespace,
            };
            tx.connection.execute(
                "UPDATE projects SET group_id = ?2, full_path = ?3, name = ?4, description = ?5, default_branch = ?6,
                   visibility_level = ?7 WHERE id = ?1",
                (
                    id.0,
                    edit.group.unwrap_or(known.group).0,
                    full_path,
                    edit.name.unwrap_or(known.name),
                    edit.description.unwrap_or(known.description),
                    edit.default_branch.or(known.default_branch),
                    edit.visibility_level.unwrap_or(known.visibility_level),
                ),
            )?;
            project(tx.connection, &Name::Id(id.0))
        })
        .await
    }

    async fn delete_project(&self, id: ProjectId) -> Result<bool> {
        self.configure(move |tx| Ok(tx.connection.execute("DELETE FROM projects WHERE id = ?1", [id.0])? > 0)).await
    }
}

/// Groups and projects share one space of paths.
fn check_free(connection: &Connection, full_path: &str) -> Result<()> {
    let sql = "SELECT 1 FROM groups WHERE full_path = ?1 UNION ALL SELECT 1 FROM projects WHERE full_path = ?1";
    if connection.prepare_cached(sql)?.exists([full_path])? { Err(Error::Taken("path")) } else { Ok(()) }
}

fn group(connection: &Connection, name: &Name) -> Result<Option<Group>> {
    let found = match name {
        Name::Id(id) => {
            connection.prepare_cached(&format!("{GROUP} WHERE id = ?1"))?.query_row([id], read_group).optional()
        }
        Name::Path(path) => connection
            .prepare_cached(&format!("{GROUP} WHERE full_path = ?1"))?
            .query_row([path], read_group)
            .optional(),
    };
    Ok(found?)
}

fn project(connection: &Connection, name: &Name) -> Result<Option<Project>> {
    let found = match name {
        Name::Id(id) => {
            connection.prepare_cached(&format!("{PROJECT} WHERE p.id = ?1"))?.query_row([id], read_project).optional()
        }
        Name::Path(path) => connection
            .prepare_cached(&format!("{PROJECT} WHERE p.full_path = ?1"))?
            .query_row([path], read_project)
            .optional(),
    };
    Ok(found?)
}

fn read_group(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group {
        id: GroupId(row.get(0)?),
        parent: row.get::<_, Option<i64>>(1)?.map(GroupId),
        name: row.get(2)?,
        full_path: row.get(3)?,
        description: row.get(4)?,
        visibility_level: row.get(5)?,
        created_at: Timestamp::from_micros(row.get(6)?),
    })
}

fn read_project(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: ProjectId(row.get(0)?),
        group: GroupId(row.get(1)?),
        name: row.get(2)?,
        path_with_namespace: row.get(3)?,
        namespace: row.get(4)?,
        description: row.get(5)?,
        default_branch: row.get(6)?,
        visibility_level: row.get(7)?,
        created_at: Timestamp::from_micros(row.get(8)?),
    })
}
