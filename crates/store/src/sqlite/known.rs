//! What is seen in received events, in SQLite.

use std::collections::BTreeSet;

use async_trait::async_trait;
use quickdraw_domain::envelope::{Group, Project, User};
use quickdraw_domain::identity::{self, Around, ChosenBy, Foreign, Local, Placed, Room};
use quickdraw_domain::{GroupId, ProjectId, SourceId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row};

use super::{Sqlite, audit};
use crate::error::{Error, Result};
use crate::known::{Known, MOST_PROJECTS, MOST_USERS, moved};

/// Columns that [`local`] reads, of projects and of groups.
const PROJECT: &str = "SELECT l.id, l.full_path, l.path_chosen_by, k.instance, k.foreign_id, k.path
    FROM projects l LEFT JOIN known_projects k ON k.project_id = l.id";
const GROUP: &str = "SELECT l.id, l.full_path, l.path_chosen_by, k.instance, k.foreign_id, k.path
    FROM groups l LEFT JOIN known_groups k ON k.group_id = l.id";

/// Of one event that is taken up: its instance and source, and when it came.
#[derive(Clone, Copy)]
struct Told<'a> {
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
            let told = Told { instance: &instance, source, now };
            Ok(know_project(tx.connection, told, &seen)?.map(ProjectId))
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
            let told = Told { instance: &instance, source, now };
            Ok(know_group(tx.connection, told, &seen)?.map(GroupId))
        })
        .await
    }

    async fn know_users(&self, seen: Vec<User>, now: Timestamp) -> Result<()> {
        self.configure(move |tx| {
            let count = "SELECT count(*) FROM users";
            if tx.connection.query_row(count, [], |row| row.get::<_, i64>(0))? >= MOST_USERS {
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

fn know_project(connection: &Connection, told: Told<'_>, seen: &Project) -> Result<Option<i64>> {
    if let Some(project) = known(connection, PROJECT, told.instance, seen.id)? {
        follow_project(connection, told, seen, &project)?;
        return Ok(Some(project.id));
    }
    if count(connection, "known_projects")? >= MOST_PROJECTS {
        return Ok(None);
    }
    let mut there = vec![seen.path_with_namespace.as_str()];
    there.extend(seen.old_path.as_deref());
    let around = around(connection, told.instance, &there, seen.id, None)?;
    let link = |id: i64, path: &str| {
        let sql = "INSERT INTO known_projects (instance, foreign_id, project_id, path) VALUES (?1, ?2, ?3, ?4)";
        connection.execute(sql, (told.instance, seen.id, id, path))
    };
    if let Some((id, old_path)) = identity::find_renamed(told.instance, seen, &around) {
        link(id, old_path)?;
        let project = known(connection, PROJECT, told.instance, seen.id)?;
        follow_project(connection, told, seen, &project.ok_or(Error::Damaged("a project that was just found"))?)?;
        return Ok(Some(id));
    }
    let id = match identity::place(told.instance, seen, &around) {
        Placed::Join(id) => id,
        Placed::Make(room) => make_project(connection, seen, &room, told.now)?,
        Placed::Nowhere => return Ok(None),
    };
    link(id, &seen.path_with_namespace)?;
    Ok(Some(id))
}

/// Moves a project whose path there has changed, and notes that path.
fn follow_project(connection: &Connection, told: Told<'_>, seen: &Project, project: &Local) -> Result<()> {
    let path = &seen.path_with_namespace;
    if project.stands_for.as_ref().is_some_and(|known| known.path == *path) {
        return Ok(());
    }
    let around = around(connection, told.instance, &[path], seen.id, Some(&project.path))?;
    if let Some(room) = identity::follow(told.instance, seen, project, &around) {
        let group = make_groups(connection, &room, seen.visibility_level, told.now)?;
        connection.execute(
            "UPDATE projects SET group_id = ?2, full_path = ?3, path_chosen_by = ?4 WHERE id = ?1",
            (project.id, group, &room.path, ChosenBy::Maker.code()),
        )?;
        audit::write(connection, moved("project", project.id, &project.path, &room.path, told.source, told.now))?;
    }
    let sql = "UPDATE known_projects SET path = ?3 WHERE instance = ?1 AND foreign_id = ?2";
    connection.execute(sql, (told.instance, seen.id, path))?;
    Ok(())
}

fn know_group(connection: &Connection, told: Told<'_>, seen: &Group) -> Result<Option<i64>> {
    if let Some(group) = known(connection, GROUP, told.instance, seen.number)? {
        follow_group(connection, told, seen, &group)?;
        return Ok(Some(group.id));
    }
    if count(connection, "known_groups")? >= MOST_PROJECTS {
        return Ok(None);
    }
    let mut there = vec![seen.path.as_str()];
    there.extend(seen.old_path.as_deref());
    let around = around(connection, told.instance, &there, seen.number, None)?;
    let Some((id, path)) = identity::find_group(told.instance, seen, &around) else { return Ok(None) };
    let sql = "INSERT INTO known_groups (instance, foreign_id, group_id, path) VALUES (?1, ?2, ?3, ?4)";
    connection.execute(sql, (told.instance, seen.number, id, path))?;
    let group = known(connection, GROUP, told.instance, seen.number)?;
    follow_group(connection, told, seen, &group.ok_or(Error::Damaged("a group that was just found"))?)?;
    Ok(Some(id))
}

/// Moves a group whose path there has changed, with all that lies in it, and notes that path.
fn follow_group(connection: &Connection, told: Told<'_>, seen: &Group, group: &Local) -> Result<()> {
    if group.stands_for.as_ref().is_some_and(|known| known.path == seen.path) {
        return Ok(());
    }
    let around = around(connection, told.instance, &[&seen.path], seen.number, Some(&group.path))?;
    if let Some(room) = identity::follow_group(told.instance, seen, group, &around) {
        let parent = make_groups(connection, &room, 0, told.now)?;
        for (table, column) in [("groups", "parent_id"), ("projects", "group_id")] {
            let sql = format!(
                "WITH RECURSIVE inside (id) AS (
                    SELECT ?1 UNION ALL SELECT g.id FROM groups g JOIN inside i ON g.parent_id = i.id)
                 UPDATE {table} SET full_path = ?3 || substr(full_path, length(?2) + 1)
                 WHERE {column} IN (SELECT id FROM inside)"
            );
            connection.execute(&sql, (group.id, &group.path, &room.path))?;
        }
        connection.execute(
            "UPDATE groups SET parent_id = ?2, full_path = ?3, path_chosen_by = ?4 WHERE id = ?1",
            (group.id, parent, &room.path, ChosenBy::Maker.code()),
        )?;
        audit::write(connection, moved("group", group.id, &group.path, &room.path, told.source, told.now))?;
    }
    let sql = "UPDATE known_groups SET path = ?3 WHERE instance = ?1 AND foreign_id = ?2";
    connection.execute(sql, (told.instance, seen.number, &seen.path))?;
    Ok(())
}

fn known(connection: &Connection, select: &str, instance: &str, number: i64) -> Result<Option<Local>> {
    let sql = format!("{select} WHERE k.instance = ?1 AND k.foreign_id = ?2");
    Ok(connection.prepare_cached(&sql)?.query_row((instance, number), local).optional()?)
}

/// What is here at the paths that a decision looks at.
fn around(connection: &Connection, instance: &str, there: &[&str], number: i64, here: Option<&str>) -> Result<Around> {
    let mut around = Around::default();
    let mut groups = connection.prepare_cached(&format!("{GROUP} WHERE l.full_path = ?1"))?;
    let mut projects = connection.prepare_cached(&format!("{PROJECT} WHERE l.full_path = ?1"))?;
    for path in identity::paths(instance, there, number, here) {
        around.groups.extend(groups.query_row([&path], local).optional()?);
        around.projects.extend(projects.query_row([&path], local).optional()?);
    }
    let mut others = connection.prepare_cached(
        "SELECT 1 FROM known_projects k JOIN projects p ON p.id = k.project_id
         WHERE k.instance <> ?1 AND lower(substr(p.full_path, 1, length(?2) + 1)) = lower(?2) || '/' LIMIT 1",
    )?;
    for top in there.iter().map(|path| identity::top(path)).collect::<BTreeSet<_>>() {
        if others.exists((instance, top))? {
            around.others.push(top.to_owned());
        }
    }
    Ok(around)
}

fn count(connection: &Connection, table: &str) -> Result<i64> {
    Ok(connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?)
}

/// Makes the groups that are missing above a path; gives the one that it lies in.
fn make_groups(connection: &Connection, room: &Room, visibility: i64, now: Timestamp) -> Result<Option<i64>> {
    let mut parent = room.parent;
    for group in &room.missing {
        connection.execute(
            "INSERT INTO groups (parent_id, name, full_path, description, visibility_level, created_at)
             VALUES (?1, ?2, ?3, NULL, ?4, ?5)",
            (parent, &group.name, &group.path, visibility, now.as_micros()),
        )?;
        parent = Some(connection.last_insert_rowid());
    }
    Ok(parent)
}

fn make_project(connection: &Connection, seen: &Project, room: &Room, now: Timestamp) -> Result<i64> {
    let group = make_groups(connection, room, seen.visibility_level, now)?;
    connection.execute(
        "INSERT INTO projects (group_id, name, full_path, description, default_branch, visibility_level, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            group,
            &seen.name,
            &room.path,
            &seen.description,
            &seen.default_branch,
            seen.visibility_level,
            now.as_micros(),
        ),
    )?;
    Ok(connection.last_insert_rowid())
}

fn local(row: &Row<'_>) -> rusqlite::Result<Local> {
    let instance: Option<String> = row.get(3)?;
    let stands_for = match instance {
        Some(instance) => Some(Foreign { instance, number: row.get(4)?, path: row.get(5)? }),
        None => None,
    };
    Ok(Local { id: row.get(0)?, path: row.get(1)?, chosen_by: ChosenBy::from_code(row.get(2)?), stands_for })
}
