//! Groups and projects in SQLite.

use async_trait::async_trait;
use quickdraw_domain::scope::{Group, Project};
use quickdraw_domain::{GroupId, ProjectId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Sqlite;
use crate::error::{Error, Result};
use crate::scopes::{Name, NewGroup, NewProject, Page, Paged, Scopes};

const GROUP: &str = "SELECT id, parent_id, name, full_path, description, visibility_level, created_at FROM groups";
const PROJECT: &str = "SELECT p.id, p.group_id, p.name, p.full_path, g.name, p.description, p.default_branch,
    p.visibility_level, p.created_at FROM projects p JOIN groups g ON g.id = p.group_id";

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

    async fn list_groups(&self, page: Page) -> Result<Paged<Group>> {
        self.read(move |connection| {
            let total = connection.query_row("SELECT count(*) FROM groups", [], |row| row.get(0))?;
            let mut statement = connection.prepare_cached(&format!("{GROUP} ORDER BY id LIMIT ?1 OFFSET ?2"))?;
            let rows = statement.query_map((page.limit, page.offset), read_group)?;
            Ok(Paged { rows: rows.collect::<rusqlite::Result<_>>()?, total })
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

    async fn list_projects(&self, page: Page) -> Result<Paged<Project>> {
        self.read(move |connection| {
            let total = connection.query_row("SELECT count(*) FROM projects", [], |row| row.get(0))?;
            let mut statement = connection.prepare_cached(&format!("{PROJECT} ORDER BY p.id LIMIT ?1 OFFSET ?2"))?;
            let rows = statement.query_map((page.limit, page.offset), read_project)?;
            Ok(Paged { rows: rows.collect::<rusqlite::Result<_>>()?, total })
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
