//! What is seen in received events, in PostgreSQL.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use quickdraw_domain::event::{SeenProject, SeenUser};
use quickdraw_domain::{ProjectId, Timestamp};

use super::Postgres;
use crate::error::Result;
use crate::known::{Known, MOST_PROJECTS, MOST_USERS, apart, groups_above};

/// Two nodes that see the same project at the same moment take turns.
const LOCK: i64 = 0x7175_6963_6b64;

#[async_trait]
impl Known for Postgres {
    async fn know_project(&self, instance: String, seen: SeenProject, now: Timestamp) -> Result<Option<ProjectId>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        let known = "SELECT project_id FROM known_projects WHERE instance = $1 AND foreign_id = $2";
        if let Some(row) = transaction.query_opt(known, &[&instance, &seen.id]).await? {
            return Ok(Some(ProjectId(row.get(0))));
        }
        let count = "SELECT count(*) FROM known_projects";
        if transaction.query_one(count, &[]).await?.get::<_, i64>(0) >= MOST_PROJECTS {
            return Ok(None);
        }
        let natural = &seen.path_with_namespace;
        let apart = apart(&instance, natural);
        for path in [natural, &apart] {
            if path == natural && is_anothers(&transaction, &instance, path).await? {
                continue;
            }
            if let Some(id) = place(&transaction, &instance, &seen, path, now).await? {
                let sql = "INSERT INTO known_projects VALUES ($1, $2, $3)";
                transaction.execute(sql, &[&instance, &seen.id, &id]).await?;
                transaction.commit().await?;
                self.notify(&client, "directory").await;
                return Ok(Some(ProjectId(id)));
            }
        }
        Ok(None)
    }

    async fn know_users(&self, seen: Vec<SeenUser>, now: Timestamp) -> Result<()> {
        let client = self.client().await?;
        if client.query_one("SELECT count(*) FROM users", &[]).await?.get::<_, i64>(0) >= MOST_USERS {
            return Ok(());
        }
        let mut names: Vec<&SeenUser> = seen.iter().collect();
        names.sort_by(|a, b| a.username.cmp(&b.username));
        let usernames: Vec<&str> = names.iter().map(|user| user.username.as_str()).collect();
        let shown: Vec<&str> = names.iter().map(|user| user.name.as_str()).collect();
        let emails: Vec<Option<&str>> = names.iter().map(|user| user.email.as_deref()).collect();
        let sql = "INSERT INTO users (username, name, email, is_admin, created_at)
            SELECT username, name, CASE WHEN row_number() OVER (PARTITION BY lower(email) ORDER BY username) > 1
                OR EXISTS (SELECT 1 FROM users u WHERE lower(u.email) = lower(s.email)) THEN NULL ELSE email END, false, $4
            FROM UNNEST($1::text[], $2::text[], $3::text[]) AS s(username, name, email) ON CONFLICT DO NOTHING";
        client.execute(sql, &[&usernames, &shown, &emails, &now.as_micros()]).await?;
        Ok(())
    }
}

/// Whether projects of another instance lie in the same top-level group: hooks on it would hear of both.
async fn is_anothers(transaction: &Transaction<'_>, instance: &str, path: &str) -> Result<bool> {
    let top = path.split('/').next().unwrap_or_default();
    let sql = "SELECT 1 FROM known_projects k JOIN projects p ON p.id = k.project_id
        WHERE k.instance <> $1 AND lower(left(p.full_path, length($2) + 1)) = lower($2) || '/' LIMIT 1";
    Ok(transaction.query_opt(sql, &[&instance, &top]).await?.is_some())
}

/// The project at a path, made if there is nothing. `None` when the path is a group's, lies below a project, or stands for
/// another instance's project.
async fn place(
    transaction: &Transaction<'_>,
    instance: &str,
    seen: &SeenProject,
    path: &str,
    now: Timestamp,
) -> Result<Option<i64>> {
    let find = "SELECT id FROM projects WHERE lower(full_path) = lower($1)";
    if let Some(row) = transaction.query_opt(find, &[&path]).await? {
        let id: i64 = row.get(0);
        let taken = "SELECT 1 FROM known_projects WHERE project_id = $1 AND instance <> $2 LIMIT 1";
        return Ok(transaction.query_opt(taken, &[&id, &instance]).await?.is_none().then_some(id));
    }
    let find_group = "SELECT id FROM groups WHERE lower(full_path) = lower($1)";
    if transaction.query_opt(find_group, &[&path]).await?.is_some() {
        return Ok(None);
    }
    let groups = groups_above(path, &seen.namespace);
    for (above, _) in &groups {
        if transaction.query_opt(find, &[above]).await?.is_some() {
            return Ok(None);
        }
    }
    let mut parent: Option<i64> = None;
    for (above, name) in groups {
        parent = Some(match transaction.query_opt(find_group, &[&above]).await? {
            Some(row) => row.get(0),
            None => {
                let sql = "INSERT INTO groups (parent_id, name, full_path, description, visibility_level, created_at)
                    VALUES ($1, $2, $3, NULL, $4, $5) RETURNING id";
                let row = transaction
                    .query_one(sql, &[&parent, &name, &above, &seen.visibility_level, &now.as_micros()])
                    .await?;
                row.get(0)
            }
        });
    }
    let row = transaction
        .query_one(
            "INSERT INTO projects (group_id, name, full_path, description, default_branch, visibility_level, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
            &[
                &parent,
                &seen.name,
                &path,
                &seen.description,
                &seen.default_branch,
                &seen.visibility_level,
                &now.as_micros(),
            ],
        )
        .await?;
    Ok(Some(row.get(0)))
}
