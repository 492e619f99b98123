//! Groups and projects in SQLite.

use async_trait::async_trait;
use quickdraw_domain::scope::{Group, Project};
use quickdraw_domain::{GroupId, ProjectId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::Sqlite;
use super::rows::scalar;
use super::search::{Found, find};
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

/// Groups in which a user (`?1`) has at least a role at a time (`?2`), and all below them.
fn mine(least: i64) -> String {
    format!(
        "WITH RECURSIVE mine (id) AS (
            SELECT group_id FROM members WHERE user_id = ?1 AND group_id IS NOT NULL AND access_level >= {least}
                AND (expires_at IS NULL OR expires_at > ?2)
            UNION SELECT g.id FROM groups g JOIN mine m ON g.parent_id = m.id)"
    )
}

/// The condition that rows are among them.
fn is_mine(listed: Listed, least: i64) -> String {
    match listed {
        Listed::Groups => " AND l.id IN (SELECT id FROM mine)".to_owned(),
        Listed::Projects => format!(
            " AND l.id IN (SELECT id FROM projects WHERE group_id IN (SELECT id FROM mine)
                UNION SELECT project_id FROM members WHERE user_id = ?1 AND project_id IS NOT NULL
                    AND access_level >= {least} AND (expires_at IS NULL OR expires_at > ?2))"
        ),
    }
}

/// A kind of row that is listed: the statement, the column of the number, the table, and the column of the group above.
struct Kind {
    listed: Listed,
    rows: &'static str,
    id: &'static str,
    table: &'static str,
    parent: &'static str,
}

const GROUPS: Kind = Kind {
    listed: Listed::Groups,
    rows: GROUP,
    id: "id",
    table: "groups",
    parent: "parent_id",
};
const PROJECTS: Kind = Kind {
    listed: Listed::Projects,
    rows: PROJECT,
    id: "p.id",
    table: "projects",
    parent: "group_id",
};

/// Lists rows by number. Only conditions that are asked for are part of the statement, so that each finds its index.
fn list<T>(
    connection: &Connection,
    kind: &Kind,
    filter: ScopeFilter,
    page: Page,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Paged<T>> {
    let Kind {
        listed,
        rows,
        id,
        table,
        parent,
    } = kind;

    let (user, now) = filter
        .visible_to
        .map_or((None, 0), |(user, now)| (Some(user), now.as_micros()));
    let least = filter.least_level();

    let (with, mine) = if user.is_some() {
        (mine(least), is_mine(*listed, least))
    } else {
        (String::new(), String::new())
    };

    let inside = match (filter.parent, &filter.search) {
        (None, _) => String::new(),
        (Some(_), None) => format!(" AND l.{parent} = ?4"),
        // With a plus the column's index is not used: a text finds fewer rows than a large group has.
        (Some(_), Some(_)) => format!(" AND +l.{parent} = ?4"),
    };

    let whole = "lower(l.name) = lower(?3) OR l.full_path = ?3";
    let Found { from, id: key, text } = match &filter.search {
        Some(text) => find(table, text, "?3", whole),
        None => Found {
            from: format!("FROM {table} l WHERE true"),
            id: "l.id",
            text: String::new(),
        },
    };

    let within = filter.parent.map(|id| id.0);
    let (narrowed, before, order) = (filter.conditions(*listed), page.before(key), page.order());
    let conditions = format!("{from} AND {key} > ?5{mine}{inside}{narrowed}{before}");
    // Not cached: filters make too many statements.
    let sql = format!("{with} SELECT count(*) FROM (SELECT 1 {conditions} LIMIT ?6)");
    let parameters = (user, now, &text, within, page.after(), page.counted());
    let total = connection.query_row(&sql, parameters, scalar)?;

    let sql = format!(
        "{with} {rows} WHERE {id} IN (SELECT {key} {conditions} ORDER BY {key} {order} LIMIT ?6 OFFSET ?7)
         ORDER BY {id} {order}"
    );
    let mut statement = connection.prepare(&sql)?;
    let parameters = (user, now, &text, within, page.after(), page.limit, page.offset());
    let found = statement.query_map(parameters, read)?;

    Ok(Paged {
        rows: found.collect::<rusqlite::Result<_>>()?,
        total,
    })
}

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
        self.read(move |connection| list(connection, &GROUPS, filter, page, read_group))
            .await
    }

    async fn update_group(&self, id: GroupId, edit: GroupEdit) -> Result<Option<Group>> {
        self.configure(move |tx| {
            let Some(known) = group(tx.connection, &Name::Id(id.0))? else {
                return Ok(None);
            };
            let (parent, full_path) = match edit.place {
                None => (known.parent, moved_path(&known.full_path, None, edit.path.as_deref())),
                Some(GroupPlace::Top) => (None, placed_path(&known.full_path, None, edit.path.as_deref())?),
                Some(GroupPlace::In(id)) => {
                    let target = group(tx.connection, &Name::Id(id.0))?.ok_or(Error::Missing("group"))?;
                    (
                        Some(id),
                        placed_path(&known.full_path, Some(&target.full_path), edit.path.as_deref())?,
                    )
                }
            };

            if full_path != known.full_path {
                if !full_path.eq_ignore_ascii_case(&known.full_path) {
                    check_free(tx.connection, &full_path)?;
                }

                for (table, column) in [("groups", "parent_id"), ("projects", "group_id")] {
                    let sql = format!(
                        "WITH RECURSIVE inside (id) AS (
                            SELECT ?1 UNION ALL SELECT g.id FROM groups g JOIN inside i ON g.parent_id = i.id)
                         UPDATE {table} SET full_path = ?3 || substr(full_path, length(?2) + 1)
                         WHERE {column} IN (SELECT id FROM inside)"
                    );
                    tx.connection.execute(&sql, (id.0, &known.full_path, &full_path))?;
                }

                let sql = "UPDATE groups SET path_set_by = ?2 WHERE id = ?1";
                tx.connection.execute(sql, (id.0, edit.path_set_by.code()))?;
            }

            tx.connection.execute(
                "UPDATE groups SET full_path = ?2, name = ?3, description = ?4, visibility_level = ?5, parent_id = ?6
                 WHERE id = ?1",
                (
                    id.0,
                    full_path,
                    edit.name.unwrap_or(known.name),
                    edit.description.apply(known.description),
                    edit.visibility_level.unwrap_or(known.visibility_level),
                    parent.map(|id| id.0),
                ),
            )?;

            group(tx.connection, &Name::Id(id.0))
        })
        .await
    }

    async fn delete_group(&self, id: GroupId) -> Result<bool> {
        self.configure(move |tx| Ok(tx.connection.execute("DELETE FROM groups WHERE id = ?1", [id.0])? > 0))
            .await
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
        self.read(move |connection| list(connection, &PROJECTS, filter, page, read_project))
            .await
    }

    async fn update_project(&self, id: ProjectId, edit: ProjectEdit) -> Result<Option<Project>> {
        self.configure(move |tx| {
            let Some(known) = project(tx.connection, &Name::Id(id.0))? else {
                return Ok(None);
            };
            let target = match edit.group.filter(|group| *group != known.group) {
                Some(id) => Some(group(tx.connection, &Name::Id(id.0))?.ok_or(Error::Missing("group"))?),
                None => None,
            };
            let full_path = moved_path(&known.path_with_namespace, target.as_ref(), edit.path.as_deref());

            if !full_path.eq_ignore_ascii_case(&known.path_with_namespace) {
                check_free(tx.connection, &full_path)?;

                let sql = "UPDATE projects SET path_set_by = ?2 WHERE id = ?1";
                tx.connection.execute(sql, (id.0, edit.path_set_by.code()))?;
            }

            tx.connection.execute(
                "UPDATE projects SET group_id = ?2, full_path = ?3, name = ?4, description = ?5, default_branch = ?6,
                   visibility_level = ?7, archived = coalesce(?8, archived) WHERE id = ?1",
                (
                    id.0,
                    edit.group.unwrap_or(known.group).0,
                    full_path,
                    edit.name.unwrap_or(known.name),
                    edit.description.apply(known.description),
                    edit.default_branch.or(known.default_branch),
                    edit.visibility_level.unwrap_or(known.visibility_level),
                    edit.archived,
                ),
            )?;

            project(tx.connection, &Name::Id(id.0))
        })
        .await
    }

    async fn delete_project(&self, id: ProjectId) -> Result<bool> {
        self.configure(move |tx| Ok(tx.connection.execute("DELETE FROM projects WHERE id = ?1", [id.0])? > 0))
            .await
    }
}

/// Groups and projects share one space of paths.
fn check_free(connection: &Connection, full_path: &str) -> Result<()> {
    let sql = "SELECT 1 FROM groups WHERE full_path = ?1 UNION ALL SELECT 1 FROM projects WHERE full_path = ?1";
    if connection.prepare_cached(sql)?.exists([full_path])? {
        Err(Error::Taken("path"))
    } else {
        Ok(())
    }
}

fn group(connection: &Connection, name: &Name) -> Result<Option<Group>> {
    let found = match name {
        Name::Id(id) => connection
            .prepare_cached(&format!("{GROUP} WHERE id = ?1"))?
            .query_row([id], read_group)
            .optional(),
        Name::Path(path) => connection
            .prepare_cached(&format!("{GROUP} WHERE full_path = ?1"))?
            .query_row([path], read_group)
            .optional(),
    };
    Ok(found?)
}

fn project(connection: &Connection, name: &Name) -> Result<Option<Project>> {
    let found = match name {
        Name::Id(id) => connection
            .prepare_cached(&format!("{PROJECT} WHERE p.id = ?1"))?
            .query_row([id], read_project)
            .optional(),
        Name::Path(path) => connection
            .prepare_cached(&format!("{PROJECT} WHERE p.full_path = ?1"))?
            .query_row([path], read_project)
            .optional(),
    };
    Ok(found?)
}

fn read_group(row: &Row<'_>) -> rusqlite::Result<Group> {
    Ok(Group {
        id: GroupId(row.get("id")?),
        parent: row.get::<_, Option<i64>>("parent_id")?.map(GroupId),
        name: row.get("name")?,
        full_path: row.get("full_path")?,
        description: row.get("description")?,
        visibility_level: row.get("visibility_level")?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
    })
}

fn read_project(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: ProjectId(row.get("id")?),
        group: GroupId(row.get("group_id")?),
        name: row.get("name")?,
        path_with_namespace: row.get("full_path")?,
        namespace: row.get("namespace")?,
        description: row.get("description")?,
        default_branch: row.get("default_branch")?,
        visibility_level: row.get("visibility_level")?,
        created_at: Timestamp::from_micros(row.get("created_at")?),
    })
}
