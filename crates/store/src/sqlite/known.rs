//! What is seen in received events, in SQLite.

use async_trait::async_trait;
use quickdraw_domain::event::{SeenProject, SeenUser};
use quickdraw_domain::{ProjectId, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use super::Sqlite;
use crate::error::Result;
use crate::known::{Known, MOST_PROJECTS, MOST_USERS, apart, groups_above};

#[async_trait]
impl Known for Sqlite {
    async fn know_project(&self, instance: String, seen: SeenProject, now: Timestamp) -> Result<Option<ProjectId>> {
        self.configure(move |tx| {
            let known = "SELECT project_id FROM known_projects WHERE instance = ?1 AND foreign_id = ?2";
            let found = tx.connection.query_row(known, (&instance, seen.id), |row| row.get(0)).optional()?;
            if let Some(id) = found {
                return Ok(Some(ProjectId(id)));
            }
            let count = "SELECT count(*) FROM known_projects";
            if tx.connection.query_row(count, [], |row| row.get::<_, i64>(0))? >= MOST_PROJECTS {
                return Ok(None);
            }
            let natural = &seen.path_with_namespace;
            let apart = apart(&instance, natural);
            for path in [natural, &apart] {
                if path == natural && is_anothers(tx.connection, &instance, path)? {
                    continue;
                }
                if let Some(id) = place(tx.connection, &instance, &seen, path, now)? {
                    tx.connection
                        .execute("INSERT INTO known_projects VALUES (?1, ?2, ?3)", (&instance, seen.id, id))?;
                    return Ok(Some(ProjectId(id)));
                }
            }
            Ok(None)
        })
        .await
    }

    async fn know_users(&self, seen: Vec<SeenUser>, now: Timestamp) -> Result<()> {
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

/// Whether projects of another instance lie in the same top-level group: hooks on it would hear of both.
fn is_anothers(connection: &Connection, instance: &str, path: &str) -> Result<bool> {
    let top = path.split('/').next().unwrap_or_default();
    let sql = "SELECT 1 FROM known_projects k JOIN projects p ON p.id = k.project_id
        WHERE k.instance <> ?1 AND lower(substr(p.full_path, 1, length(?2) + 1)) = lower(?2) || '/' LIMIT 1";
    Ok(connection.prepare(sql)?.exists((instance, top))?)
}

/// The project at a path, made if there is nothing. `None` when the path is a group's, lies below a project, or stands for
/// another instance's project.
fn place(
    connection: &Connection,
    instance: &str,
    seen: &SeenProject,
    path: &str,
    now: Timestamp,
) -> Result<Option<i64>> {
    let find = "SELECT id FROM projects WHERE full_path = ?1";
    if let Some(id) = connection.query_row(find, [path], |row| row.get::<_, i64>(0)).optional()? {
        let taken = "SELECT 1 FROM known_projects WHERE project_id = ?1 AND instance <> ?2";
        return Ok((!connection.prepare(taken)?.exists((id, instance))?).then_some(id));
    }
    let is_group = "SELECT 1 FROM groups WHERE full_path = ?1";
    if connection.prepare(is_group)?.exists([path])? {
        return Ok(None);
    }
    let groups = groups_above(path, &seen.namespace);
    for (above, _) in &groups {
        if connection.prepare(find)?.exists([above])? {
            return Ok(None);
        }
    }
    let mut parent: Option<i64> = None;
    for (above, name) in groups {
        let find = "SELECT id FROM groups WHERE full_path = ?1";
        let known = connection.query_row(find, [above], |row| row.get(0)).optional()?;
        parent = Some(match known {
            Some(id) => id,
            None => {
                connection.execute(
                    "INSERT INTO groups (parent_id, name, full_path, description, visibility_level, created_at)
                     VALUES (?1, ?2, ?3, NULL, ?4, ?5)",
                    (parent, name, above, seen.visibility_level, now.as_micros()),
                )?;
                connection.last_insert_rowid()
            }
        });
    }
    connection.execute(
        "INSERT INTO projects (group_id, name, full_path, description, default_branch, visibility_level, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (parent, &seen.name, path, &seen.description, &seen.default_branch, seen.visibility_level, now.as_micros()),
    )?;
    Ok(Some(connection.last_insert_rowid()))
}
