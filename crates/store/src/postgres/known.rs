//! Projects, groups and users of received events, in PostgreSQL.

use std::collections::BTreeSet;

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use quickdraw_domain::envelope::{Group, Project, User};
use quickdraw_domain::identity::{self, Context, Foreign, FreePath, Local, PathSetBy, Placement};
use quickdraw_domain::{GroupId, ProjectId, SourceId, Timestamp};
use tokio_postgres::Row;

use super::scopes::PATHS_LOCK;
use super::{Postgres, audit, scalar};
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
impl Known for Postgres {
    async fn know_project(
        &self,
        instance: String,
        seen: Project,
        source: SourceId,
        now: Timestamp,
    ) -> Result<Option<ProjectId>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        // Two nodes that see the same project at the same moment take turns.
        transaction.execute(PATHS_LOCK, &[]).await?;

        let received = Received {
            instance: &instance,
            source,
            now,
        };
        let known = know_project(&transaction, received, &seen).await?;
        transaction.commit().await?;
        self.notify(&client, "directory").await;

        Ok(known.map(ProjectId))
    }

    async fn know_group(
        &self,
        instance: String,
        seen: Group,
        source: SourceId,
        now: Timestamp,
    ) -> Result<Option<GroupId>> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        transaction.execute(PATHS_LOCK, &[]).await?;

        let received = Received {
            instance: &instance,
            source,
            now,
        };
        let known = know_group(&transaction, received, &seen).await?;
        transaction.commit().await?;
        self.notify(&client, "directory").await;

        Ok(known.map(GroupId))
    }

    async fn know_users(&self, seen: Vec<User>, now: Timestamp) -> Result<()> {
        let client = self.client().await?;
        let known: i64 = scalar(&client.query_one("SELECT count(*) FROM users", &[]).await?);

        if known >= MAX_USERS {
            return Ok(());
        }

        let mut names: Vec<&User> = seen.iter().collect();
        names.sort_by(|a, b| a.username.cmp(&b.username));

        let usernames: Vec<&str> = names.iter().map(|user| user.username.as_str()).collect();
        let shown: Vec<&str> = names.iter().map(|user| user.name.as_str()).collect();
        let emails: Vec<Option<&str>> = names.iter().map(|user| user.email.as_deref()).collect();

        let sql = "INSERT INTO users (username, name, email, is_admin, created_at)
            SELECT username, name, CASE WHEN row_number() OVER (PARTITION BY lower(email) ORDER BY username) > 1
                OR EXISTS (SELECT 1 FROM users u WHERE lower(u.email) = lower(s.email)) THEN NULL ELSE email END, false, $4
            FROM UNNEST($1::text[], $2::text[], $3::text[]) AS s(username, name, email) ON CONFLICT DO NOTHING";
        client
            .execute(sql, &[&usernames, &shown, &emails, &now.as_micros()])
            .await?;
        Ok(())
    }
}

async fn know_project(transaction: &Transaction<'_>, received: Received<'_>, seen: &Project) -> Result<Option<i64>> {
    if let Some(project) = known(transaction, PROJECT, received.instance, seen.id).await? {
        follow_project(transaction, received, seen, &project).await?;
        return Ok(Some(project.id));
    }

    if count(transaction, "known_projects").await? >= MAX_PROJECTS {
        return Ok(None);
    }

    let mut there = vec![seen.path_with_namespace.as_str()];
    there.extend(seen.old_path.as_deref());

    let context = context(transaction, received.instance, &there, seen.id, None).await?;
    if let Some((id, old_path)) = identity::find_renamed(received.instance, seen, &context) {
        link_project(transaction, received, seen.id, id, old_path).await?;

        let project = known(transaction, PROJECT, received.instance, seen.id).await?;
        let project = project.ok_or(Error::Damaged("a project that was just found"))?;
        follow_project(transaction, received, seen, &project).await?;
        return Ok(Some(id));
    }

    let id = match identity::place(received.instance, seen, &context) {
        Placement::Join(id) => id,
        Placement::Create(free_path) => make_project(transaction, seen, &free_path, received.now).await?,
        Placement::NoFreePath => return Ok(None),
    };
    link_project(transaction, received, seen.id, id, &seen.path_with_namespace).await?;
    Ok(Some(id))
}

async fn link_project(
    transaction: &Transaction<'_>,
    received: Received<'_>,
    number: i64,
    id: i64,
    path: &str,
) -> Result<()> {
    let sql = "INSERT INTO known_projects (instance, foreign_id, project_id, path) VALUES ($1, $2, $3, $4)";
    transaction
        .execute(sql, &[&received.instance, &number, &id, &path])
        .await?;
    Ok(())
}

/// Moves a project whose path there has changed, and notes that path.
async fn follow_project(
    transaction: &Transaction<'_>,
    received: Received<'_>,
    seen: &Project,
    project: &Local,
) -> Result<()> {
    let path = &seen.path_with_namespace;
    if project.stands_for.as_ref().is_some_and(|known| known.path == *path) {
        return Ok(());
    }

    let context = context(transaction, received.instance, &[path], seen.id, Some(&project.path)).await?;
    if let Some(free_path) = identity::follow(received.instance, seen, project, &context) {
        let group = make_groups(transaction, &free_path, seen.visibility_level, received.now).await?;
        let sql = "UPDATE projects SET group_id = $2, full_path = $3, path_set_by = $4 WHERE id = $1";
        transaction
            .execute(sql, &[&project.id, &group, &free_path.path, &PathSetBy::Creator.code()])
            .await?;

        let entry = moved(
            "project",
            project.id,
            &project.path,
            &free_path.path,
            received.source,
            received.now,
        );
        audit::write(&**transaction, &entry).await?;
    }

    let sql = "UPDATE known_projects SET path = $3 WHERE instance = $1 AND foreign_id = $2";
    transaction.execute(sql, &[&received.instance, &seen.id, &path]).await?;
    Ok(())
}

async fn know_group(transaction: &Transaction<'_>, received: Received<'_>, seen: &Group) -> Result<Option<i64>> {
    if let Some(group) = known(transaction, GROUP, received.instance, seen.number).await? {
        follow_group(transaction, received, seen, &group).await?;
        return Ok(Some(group.id));
    }

    if count(transaction, "known_groups").await? >= MAX_PROJECTS {
        return Ok(None);
    }

    let mut there = vec![seen.path.as_str()];
    there.extend(seen.old_path.as_deref());

    let context = context(transaction, received.instance, &there, seen.number, None).await?;
    let Some((id, path)) = identity::find_group(received.instance, seen, &context) else {
        return Ok(None);
    };
    let sql = "INSERT INTO known_groups (instance, foreign_id, group_id, path) VALUES ($1, $2, $3, $4)";
    transaction
        .execute(sql, &[&received.instance, &seen.number, &id, &path])
        .await?;

    let group = known(transaction, GROUP, received.instance, seen.number).await?;
    follow_group(
        transaction,
        received,
        seen,
        &group.ok_or(Error::Damaged("a group that was just found"))?,
    )
    .await?;

    Ok(Some(id))
}

/// Moves a group whose path there has changed, with everything in it, and notes that path.
async fn follow_group(
    transaction: &Transaction<'_>,
    received: Received<'_>,
    seen: &Group,
    group: &Local,
) -> Result<()> {
    if group.stands_for.as_ref().is_some_and(|known| known.path == seen.path) {
        return Ok(());
    }

    let context = context(
        transaction,
        received.instance,
        &[&seen.path],
        seen.number,
        Some(&group.path),
    )
    .await?;

    if let Some(free_path) = identity::follow_group(received.instance, seen, group, &context) {
        let parent = make_groups(transaction, &free_path, 0, received.now).await?;
        for (table, column) in [("groups", "parent_id"), ("projects", "group_id")] {
            let sql = format!(
                "WITH RECURSIVE inside (id) AS (
                    SELECT $1::bigint UNION ALL SELECT g.id FROM groups g JOIN inside i ON g.parent_id = i.id)
                 UPDATE {table} SET full_path = $3 || substr(full_path, length($2::text) + 1)
                 WHERE {column} IN (SELECT id FROM inside)"
            );
            transaction
                .execute(&sql, &[&group.id, &group.path, &free_path.path])
                .await?;
        }

        let sql = "UPDATE groups SET parent_id = $2, full_path = $3, path_set_by = $4 WHERE id = $1";
        transaction
            .execute(sql, &[&group.id, &parent, &free_path.path, &PathSetBy::Creator.code()])
            .await?;

        let entry = moved(
            "group",
            group.id,
            &group.path,
            &free_path.path,
            received.source,
            received.now,
        );
        audit::write(&**transaction, &entry).await?;
    }

    let sql = "UPDATE known_groups SET path = $3 WHERE instance = $1 AND foreign_id = $2";
    transaction
        .execute(sql, &[&received.instance, &seen.number, &seen.path])
        .await?;
    Ok(())
}

async fn known(transaction: &Transaction<'_>, select: &str, instance: &str, number: i64) -> Result<Option<Local>> {
    let sql = format!("{select} WHERE k.instance = $1 AND k.foreign_id = $2");
    Ok(transaction
        .query_opt(&sql, &[&instance, &number])
        .await?
        .as_ref()
        .map(local))
}

/// Groups and projects at the paths that a decision looks at.
async fn context(
    transaction: &Transaction<'_>,
    instance: &str,
    there: &[&str],
    number: i64,
    here: Option<&str>,
) -> Result<Context> {
    let paths: Vec<String> = identity::paths(instance, there, number, here).into_iter().collect();
    let at = |select: &str| format!("{select} WHERE lower(l.full_path) = ANY ($1)");
    let groups = transaction.query(&at(GROUP), &[&paths]).await?;
    let projects = transaction.query(&at(PROJECT), &[&paths]).await?;

    let mut context = Context {
        groups: groups.iter().map(local).collect(),
        projects: projects.iter().map(local).collect(),
        others: Vec::new(),
    };

    let sql = "SELECT 1 FROM known_projects k JOIN projects p ON p.id = k.project_id
        WHERE k.instance <> $1 AND lower(left(p.full_path, length($2) + 1)) = lower($2) || '/' LIMIT 1";
    for top in there.iter().map(|path| identity::top(path)).collect::<BTreeSet<_>>() {
        if transaction.query_opt(sql, &[&instance, &top]).await?.is_some() {
            context.others.push(top.to_owned());
        }
    }

    Ok(context)
}

async fn count(transaction: &Transaction<'_>, table: &str) -> Result<i64> {
    Ok(scalar(
        &transaction
            .query_one(&format!("SELECT count(*) FROM {table}"), &[])
            .await?,
    ))
}

/// Makes the groups that are missing above a path, and returns its parent.
async fn make_groups(
    transaction: &Transaction<'_>,
    free_path: &FreePath,
    visibility: i64,
    now: Timestamp,
) -> Result<Option<i64>> {
    let mut parent = free_path.parent;
    for group in &free_path.missing {
        let sql = "INSERT INTO groups (parent_id, name, full_path, description, visibility_level, created_at)
            VALUES ($1, $2, $3, NULL, $4, $5) RETURNING id";
        let row = transaction
            .query_one(sql, &[&parent, &group.name, &group.path, &visibility, &now.as_micros()])
            .await?;
        parent = Some(scalar(&row));
    }

    Ok(parent)
}

async fn make_project(
    transaction: &Transaction<'_>,
    seen: &Project,
    free_path: &FreePath,
    now: Timestamp,
) -> Result<i64> {
    let group = make_groups(transaction, free_path, seen.visibility_level, now).await?;
    let row = transaction
        .query_one(
            "INSERT INTO projects (group_id, name, full_path, description, default_branch, visibility_level, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
            &[
                &group,
                &seen.name,
                &free_path.path,
                &seen.description,
                &seen.default_branch,
                &seen.visibility_level,
                &now.as_micros(),
            ],
        )
        .await?;
    Ok(scalar(&row))
}

fn local(row: &Row) -> Local {
    let instance: Option<String> = row.get("instance");
    let stands_for = instance.map(|instance| Foreign {
        instance,
        number: row.get("foreign_id"),
        path: row.get("path"),
    });

    Local {
        id: row.get("id"),
        path: row.get("full_path"),
        path_set_by: PathSetBy::from_code(row.get("path_set_by")),
        stands_for,
    }
}
