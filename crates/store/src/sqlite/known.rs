//! Projects, groups and users of received events, in SQLite.

use std::collections::BTreeSet;

use async_trait::async_trait;
use quickdraw_domain::envelope::{Group, Project, User};
use quickdraw_domain::identity::{self, Context, Foreign, FreePath, Local, PathSetBy, Placement};
use quickdraw_domain::{GroupId, ProjectId, SourceId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::rows::scalar;
use super::{Sqlite, audit};
use crate::error::{Error, Result};
use crate::known::{Known, MAX_PROJECTS, MAX_USERS, moved};

/// Columns that [`local`] reads, of projects and of groups.
const PROJECT: &str = "SELECT l.id, l.full_path, l.path_set_by, k.instance, k.foreign_id, k.path
    FROM projects l LEFT JOIN known_projects k ON k.project_id = l.id";
const GROUP: &str = "SELECT l.id, l.full_path, l.path_set_by, k.instance, k.foreign_id, k.path
    FROM groups l LEFT JOIN known_groups k ON k.group_id = l.id";

/// Of one event that is taken up: its instance and source, and when it came.
#[derive(Clone, Copy)]
struct Received<'a> {
    instance: &'a str,
    source: SourceId,
    now: Timestamp,
}

#[async_trait]
impl Known for Sqlite {
    async fn know_project(
        &self,
        instance: String,
        seen: Project,
        source: SourceId,
        now: Timestamp,
    ) -> Result<Option<ProjectId>> {
        self.configure(move |tx| {
            let received = Received {
                instance: &instance,
                source,
                now,
            };
            Ok(know_project(tx.connection, received, &seen)?.map(ProjectId))
        })
        .await
    }

    async fn know_group(
        &self,
        instance: String,
        seen: Group,
        source: SourceId,
        now: Timestamp,
    ) -> Result<Option<GroupId>> {
        self.configure(move |tx| {
            let received = Received {
                instance: &instance,
                source,
                now,
            };
            Ok(know_group(tx.connection, received, &seen)?.map(GroupId))
        })
        .await
    }

    async fn know_users(&self, seen: Vec<User>, now: Timestamp) -> Result<()> {
        self.configure(move |tx| {
            let count = "SELECT count(*) FROM users";
            if tx.connection.query_row(count, [], scalar::<i64>)? >= MAX_USERS {
                return Ok(());
            }

            let mut insert = tx.connection.prepare_cached(
                "INSERT OR IGNORE INTO users (username, name, email, is_admin, created_at) VALUES (?1, ?2,
                    CASE WHEN EXISTS (SELECT 1 FROM users WHERE lower(email) = lower(?3)) THEN NULL ELSE ?3 END, 0, ?4)",
            )?;
            for user in seen {
                insert.execute((user.username, user.name, user.email, now.as_micros()))?;
            }

            Ok(())
        })
        .await
    }
}

fn know_project(connection: &Connection, received: Received<'_>, seen: &Project) -> Result<Option<i64>> {
    if let Some(project) = known(connection, PROJECT, received.instance, seen.id)? {
        follow_project(connection, received, seen, &project)?;
        return Ok(Some(project.id));
    }

    if count(connection, "known_projects")? >= MAX_PROJECTS {
        return Ok(None);
    }

    let mut there = vec![seen.path_with_namespace.as_str()];
    there.extend(seen.old_path.as_deref());

    let context = context(connection, received.instance, &there, seen.id, None)?;
    let link = |id: i64, path: &str| {
        let sql = "INSERT INTO known_projects (instance, foreign_id, project_id, path) VALUES (?1, ?2, ?3, ?4)";
        connection.execute(sql, (received.instance, seen.id, id, path))
    };

    if let Some((id, old_path)) = identity::find_renamed(received.instance, seen, &context) {
        link(id, old_path)?;

        let project = known(connection, PROJECT, received.instance, seen.id)?;
        follow_project(
            connection,
            received,
            seen,
            &project.ok_or(Error::Damaged("a project that was just found"))?,
        )?;

        return Ok(Some(id));
    }

    let id = match identity::place(received.instance, seen, &context) {
        Placement::Join(id) => id,
        Placement::Create(free_path) => make_project(connection, seen, &free_path, received.now)?,
        Placement::NoFreePath => return Ok(None),
    };
    link(id, &seen.path_with_namespace)?;
    Ok(Some(id))
}

/// Moves a project whose path there has changed, and notes that path.
fn follow_project(connection: &Connection, received: Received<'_>, seen: &Project, project: &Local) -> Result<()> {
    let path = &seen.path_with_namespace;
    if project.stands_for.as_ref().is_some_and(|known| known.path == *path) {
        return Ok(());
    }

    let context = context(connection, received.instance, &[path], seen.id, Some(&project.path))?;
    if let Some(free_path) = identity::follow(received.instance, seen, project, &context) {
        let group = make_groups(connection, &free_path, seen.visibility_level, received.now)?;
        connection.execute(
            "UPDATE projects SET group_id = ?2, full_path = ?3, path_set_by = ?4 WHERE id = ?1",
            (project.id, group, &free_path.path, PathSetBy::Creator.code()),
        )?;

        audit::write(
            connection,
            moved(
                "project",
                project.id,
                &project.path,
                &free_path.path,
                received.source,
                received.now,
            ),
        )?;
    }

    let sql = "UPDATE known_projects SET path = ?3 WHERE instance = ?1 AND foreign_id = ?2";
    connection.execute(sql, (received.instance, seen.id, path))?;
    Ok(())
}

fn know_group(connection: &Connection, received: Received<'_>, seen: &Group) -> Result<Option<i64>> {
    if let Some(group) = known(connection, GROUP, received.instance, seen.number)? {
        follow_group(connection, received, seen, &group)?;
        return Ok(Some(group.id));
    }

    if count(connection, "known_groups")? >= MAX_PROJECTS {
        return Ok(None);
    }

    let mut there = vec![seen.path.as_str()];
    there.extend(seen.old_path.as_deref());

    let context = context(connection, received.instance, &there, seen.number, None)?;
    let Some((id, path)) = identity::find_group(received.instance, seen, &context) else {
        return Ok(None);
    };
    let sql = "INSERT INTO known_groups (instance, foreign_id, group_id, path) VALUES (?1, ?2, ?3, ?4)";
    connection.execute(sql, (received.instance, seen.number, id, path))?;

    let group = known(connection, GROUP, received.instance, seen.number)?;
    follow_group(
        connection,
        received,
        seen,
        &group.ok_or(Error::Damaged("a group that was just found"))?,
    )?;

    Ok(Some(id))
}

/// Moves a group whose path there has changed, with everything in it, and notes that path.
fn follow_group(connection: &Connection, received: Received<'_>, seen: &Group, group: &Local) -> Result<()> {
    if group.stands_for.as_ref().is_some_and(|known| known.path == seen.path) {
        return Ok(());
    }

    let context = context(
        connection,
        received.instance,
        &[&seen.path],
        seen.number,
        Some(&group.path),
    )?;

    if let Some(free_path) = identity::follow_group(received.instance, seen, group, &context) {
        let parent = make_groups(connection, &free_path, 0, received.now)?;
        for (table, column) in [("groups", "parent_id"), ("projects", "group_id")] {
            let sql = format!(
                "WITH RECURSIVE inside (id) AS (
                    SELECT ?1 UNION ALL SELECT g.id FROM groups g JOIN inside i ON g.parent_id = i.id)
                 UPDATE {table} SET full_path = ?3 || substr(full_path, length(?2) + 1)
                 WHERE {column} IN (SELECT id FROM inside)"
            );
            connection.execute(&sql, (group.id, &group.path, &free_path.path))?;
        }

        connection.execute(
            "UPDATE groups SET parent_id = ?2, full_path = ?3, path_set_by = ?4 WHERE id = ?1",
            (group.id, parent, &free_path.path, PathSetBy::Creator.code()),
        )?;

        audit::write(
            connection,
            moved(
                "group",
                group.id,
                &group.path,
                &free_path.path,
                received.source,
                received.now,
            ),
        )?;
    }

    let sql = "UPDATE known_groups SET path = ?3 WHERE instance = ?1 AND foreign_id = ?2";
    connection.execute(sql, (received.instance, seen.number, &seen.path))?;
    Ok(())
}

fn known(connection: &Connection, select: &str, instance: &str, number: i64) -> Result<Option<Local>> {
    let sql = format!("{select} WHERE k.instance = ?1 AND k.foreign_id = ?2");
    Ok(connection
        .prepare_cached(&sql)?
        .query_row((instance, number), local)
        .optional()?)
}

/// Groups and projects at the paths that a decision looks at.
fn context(
    connection: &Connection,
    instance: &str,
    there: &[&str],
    number: i64,
    here: Option<&str>,
) -> Result<Context> {
    let mut context = Context::default();
    let mut groups = connection.prepare_cached(&format!("{GROUP} WHERE l.full_path = ?1"))?;
    let mut projects = connection.prepare_cached(&format!("{PROJECT} WHERE l.full_path = ?1"))?;
    for path in identity::paths(instance, there, number, here) {
        context.groups.extend(groups.query_row([&path], local).optional()?);
        context.projects.extend(projects.query_row([&path], local).optional()?);
    }

    let mut others = connection.prepare_cached(
        "SELECT 1 FROM known_projects k JOIN projects p ON p.id = k.project_id
         WHERE k.instance <> ?1 AND lower(substr(p.full_path, 1, length(?2) + 1)) = lower(?2) || '/' LIMIT 1",
    )?;

    for top in there.iter().map(|path| identity::top(path)).collect::<BTreeSet<_>>() {
        if others.exists((instance, top))? {
            context.others.push(top.to_owned());
        }
    }

    Ok(context)
}

fn count(connection: &Connection, table: &str) -> Result<i64> {
    Ok(connection.query_row(&format!("SELECT count(*) FROM {table}"), [], scalar)?)
}

/// Makes the groups that are missing above a path, and returns its parent.
fn make_groups(connection: &Connection, free_path: &FreePath, visibility: i64, now: Timestamp) -> Result<Option<i64>> {
    let mut parent = free_path.parent;
    for group in &free_path.missing {
        connection.execute(
            "INSERT INTO groups (parent_id, name, full_path, description, visibility_level, created_at)
             VALUES (?1, ?2, ?3, NULL, ?4, ?5)",
            (parent, &group.name, &group.path, visibility, now.as_micros()),
        )?;

        parent = Some(connection.last_insert_rowid());
    }

    Ok(parent)
}

fn make_project(connection: &Connection, seen: &Project, free_path: &FreePath, now: Timestamp) -> Result<i64> {
    let group = make_groups(connection, free_path, seen.visibility_level, now)?;
    connection.execute(
        "INSERT INTO projects (group_id, name, full_path, description, default_branch, visibility_level, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            group,
            &seen.name,
            &free_path.path,
            &seen.description,
            &seen.default_branch,
            seen.visibility_level,
            now.as_micros(),
        ),
    )?;

    Ok(connection.last_insert_rowid())
}

fn local(row: &Row<'_>) -> rusqlite::Result<Local> {
    let instance: Option<String> = row.get("instance")?;
    let stands_for = match instance {
        Some(instance) => Some(Foreign {
            instance,
            number: row.get("foreign_id")?,
            path: row.get("path")?,
        }),
        None => None,
    };

    Ok(Local {
        id: row.get("id")?,
        path: row.get("full_path")?,
        path_set_by: PathSetBy::from_code(row.get("path_set_by")?),
        stands_for,
    })
}
