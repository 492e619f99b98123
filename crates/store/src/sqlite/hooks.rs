//! Hooks in SQLite. URL and secrets are sealed, each for its own column and hook.

use async_trait::async_trait;
use quickdraw_domain::health::Health;
use quickdraw_domain::hook::{EventFilter, Hook, PastHook};
use quickdraw_domain::identity::PathSetBy;
use quickdraw_domain::retry::OwnRetry;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{GroupId, HookId, ProjectId, Timestamp, TriggerSet};
use rusqlite::{Connection, OptionalExtension, Row};

use super::rows::scalar;
use super::{Sqlite, settle};
use crate::columns;
use crate::error::{Error, Result};
use crate::hooks::{
    Directory, HOOK, HookWithHealth, Hooks, KnownGroup, KnownProject, StoredHook, branch_filter, event_filter,
    open_past, own_retry, pause, restriction, restriction_text, seal_past,
};
use crate::lists::{Page, Paged};
use crate::seal::Ring;

/// Reads hooks. Triggers and health follow the columns of the table, by name.
fn select() -> String {
    format!(
        "SELECT {}, (SELECT group_concat(t.trigger_name) FROM hook_triggers t WHERE t.hook_id = h.id) AS triggers,
            coalesce(s.recent_failures, 0) AS recent_failures, coalesce(s.pauses, 0) AS pauses, s.disabled_until,
            coalesce(s.disabled, 0) AS disabled
         FROM hooks h LEFT JOIN hook_health s ON s.hook_id = h.id",
        HOOK.sql
    )
}

#[async_trait]
impl Hooks for Sqlite {
    async fn create_hook(&self, hook: Hook, most: i64) -> Result<HookWithHealth> {
        let (sealed, past) = (StoredHook::seal(&hook, &self.ring)?, seal_past(&self.ring, &hook)?);
        self.configure(move |tx| {
            check_scope(tx.connection, hook.scope)?;

            let (project, group) = columns::scope_columns(hook.scope);
            let (here, owner) = columns::in_scope(hook.scope, "h", '?');
            let count = format!("SELECT count(*) FROM hooks h WHERE {here}");
            if tx.connection.query_row(&count, [owner], scalar::<i64>)? >= most {
                return Err(Error::Full(most));
            }

            tx.connection.execute(
                "INSERT INTO hooks (uuid, project_id, group_id, url, enable_ssl_verification, branch_filter_strategy,
                   created_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, TRUE, 'wildcard', ?5, ?5)",
                (hook.uuid, project, group, &sealed.url, hook.created_at.as_micros()),
            )?;

            let hook = Hook {
                id: HookId(tx.connection.last_insert_rowid()),
                ..hook
            };
            write(tx.connection, &hook, &sealed, &past, hook.created_at)?;

            Ok(HookWithHealth {
                hook,
                health: Health::default(),
            })
        })
        .await
    }

    async fn update_hook(&self, hook: Hook, unchanged_since: Timestamp) -> Result<Option<HookWithHealth>> {
        let (sealed, past) = (StoredHook::seal(&hook, &self.ring)?, seal_past(&self.ring, &hook)?);
        self.configure(move |tx| {
            if !write(tx.connection, &hook, &sealed, &past, unchanged_since)? {
                return Ok(None);
            }

            let health = settle::health(tx.connection, hook.id)?;
            Ok(Some(HookWithHealth { hook, health }))
        })
        .await
    }

    async fn find_hook(&self, scope: Scope, id: HookId) -> Result<Option<HookWithHealth>> {
        let ring = self.ring.clone();
        self.read(move |connection| {
            let (here, owner) = columns::in_scope(scope, "h", '?');
            let sql = format!("{} WHERE {here} AND h.id = ?2", select());
            let found = connection
                .prepare_cached(&sql)?
                .query_row((owner, id.0), |row| Ok(read(row, &ring)))
                .optional();
            found?.transpose()
        })
        .await
    }

    async fn list_hooks(&self, scope: Scope, page: Page) -> Result<Paged<HookWithHealth>> {
        let ring = self.ring.clone();
        self.read(move |connection| {
            let (here, owner) = columns::in_scope(scope, "h", '?');
            let count = format!("SELECT count(*) FROM (SELECT 1 FROM hooks h WHERE {here} LIMIT ?2)");
            let total = connection.query_row(&count, (owner, page.counted()), scalar)?;

            let sql = format!(
                "{} WHERE {here} AND h.id > ?2 ORDER BY h.id LIMIT ?3 OFFSET ?4",
                select()
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let parameters = (owner, page.after(), page.limit, page.offset());
            let found = statement.query_map(parameters, |row| Ok(read(row, &ring)))?;
            let rows = found.map(|row| row?).collect::<Result<_>>()?;

            Ok(Paged { rows, total })
        })
        .await
    }

    async fn delete_hook(&self, scope: Scope, id: HookId, unchanged_since: Option<Timestamp>) -> Result<bool> {
        self.configure(move |tx| {
            let (project, group) = columns::scope_columns(scope);
            let sql = "DELETE FROM hooks WHERE project_id IS ?1 AND group_id IS ?2 AND id = ?3
                AND (?4 IS NULL OR updated_at = ?4)";
            let unchanged_since = unchanged_since.map(Timestamp::as_micros);
            Ok(tx.connection.execute(sql, (project, group, id.0, unchanged_since))? > 0)
        })
        .await
    }

    async fn past_hook(&self, hook: &Hook, version: Timestamp) -> Result<Option<PastHook>> {
        let (id, uuid, ring) = (hook.id.0, hook.uuid, self.ring.clone());
        self.read(move |connection| {
            let sql = "SELECT settings FROM hook_versions WHERE hook_id = ?1 AND version = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let sealed: Option<Vec<u8>> = statement.query_row((id, version.as_micros()), scalar).optional()?;

            sealed.map(|sealed| open_past(&ring, uuid, &sealed)).transpose()
        })
        .await
    }

    async fn failing_hooks(&self) -> Result<Vec<(HookId, Health)>> {
        self.read(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT hook_id, recent_failures, pauses, disabled_until, disabled FROM hook_health")?;
            let found = statement.query_map([], |row| Ok((HookId(row.get("hook_id")?), settle::read_health(row)?)))?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn directory_version(&self) -> Result<i64> {
        self.read(|connection| Ok(connection.query_row("SELECT version FROM directory", [], scalar)?))
            .await
    }

    async fn set_silent(&self, since: Option<Timestamp>) -> Result<bool> {
        self.configure(move |tx| {
            let sql = "UPDATE directory SET silent_since = ?1, version = version + 1
                WHERE (silent_since IS NULL) <> (?1 IS NULL)";
            Ok(tx.connection.execute(sql, [since.map(Timestamp::as_micros)])? > 0)
        })
        .await
    }

    async fn directory(&self) -> Result<Directory> {
        let ring = self.ring.clone();
        self.read(move |connection| {
            // One snapshot for all of it: a version must not be paired with another version's hooks.
            let transaction = connection.unchecked_transaction()?;
            let directory = read_directory(&transaction, &ring)?;
            transaction.commit()?;

            Ok(directory)
        })
        .await
    }
}

/// Writes every setting of a hook that is there already. `false` if it is not, or has changed since.
fn write(
    connection: &Connection,
    hook: &Hook,
    sealed: &StoredHook,
    past: &[u8],
    unchanged_since: Timestamp,
) -> Result<bool> {
    let (project, group) = columns::scope_columns(hook.scope);
    let mut update = connection.prepare_cached(
        "UPDATE hooks SET url = :url, token = :token, signing_token = :signing_token,
           enable_ssl_verification = :enable_ssl_verification, branch_filter_strategy = :branch_filter_strategy,
           branch_filter = :branch_filter, name = :name, description = :description, updated_at = :updated_at,
           custom_headers = :custom_headers, url_variables = :url_variables, body_template = :body_template,
           url_since = :url_since, previous_signing_token = :previous_signing_token,
           previous_signing_until = :previous_signing_until, retry = :retry,
           confidential_notes_set = :confidential_notes_set, ordered = :ordered,
           client_certificate = :client_certificate, event_filter = :event_filter, all_events = :all_events,
           restriction = :restriction, paused_at = :paused_at, paused_by = :paused_by
         WHERE id = :id AND project_id IS :project_id AND group_id IS :group_id AND updated_at = :unchanged_since",
    )?;

    let written = update.execute(rusqlite::named_params! {
        ":id": hook.id.0,
        ":project_id": project,
        ":group_id": group,
        ":unchanged_since": unchanged_since.as_micros(),
        ":url": sealed.url,
        ":token": sealed.token,
        ":signing_token": sealed.signing_token,
        ":enable_ssl_verification": hook.enable_ssl_verification,
        ":branch_filter_strategy": hook.branch_filter.strategy(),
        ":branch_filter": hook.branch_filter.text(),
        ":name": hook.name,
        ":description": hook.description,
        ":updated_at": hook.updated_at.as_micros(),
        ":custom_headers": sealed.custom_headers,
        ":url_variables": sealed.url_variables,
        ":body_template": hook.body_template,
        ":url_since": hook.url_since.as_micros(),
        ":previous_signing_token": sealed.previous_signing_token,
        ":previous_signing_until": sealed.previous_signing_until,
        ":retry": hook.retry.as_ref().map(OwnRetry::text),
        ":confidential_notes_set": hook.confidential_notes_set,
        ":ordered": hook.ordered,
        ":client_certificate": sealed.client_certificate,
        ":event_filter": hook.event_filter.as_ref().map(EventFilter::text),
        ":all_events": hook.all_events,
        ":restriction": restriction_text(&hook.only)?,
        ":paused_at": hook.paused.as_ref().map(|pause| pause.at.as_micros()),
        ":paused_by": hook.paused.as_ref().map(|pause| pause.by.as_str()),
    })?;
    if written == 0 {
        return Ok(false);
    }

    connection
        .prepare_cached("INSERT OR REPLACE INTO hook_versions VALUES (?1, ?2, ?3)")?
        .execute((hook.id.0, hook.updated_at.as_micros(), past))?;
    connection
        .prepare_cached("DELETE FROM hook_triggers WHERE hook_id = ?1")?
        .execute([hook.id.0])?;

    let mut insert = connection.prepare_cached("INSERT INTO hook_triggers VALUES (?1, ?2)")?;
    for trigger in hook.triggers.iter() {
        insert.execute((hook.id.0, trigger.row().name))?;
    }

    Ok(true)
}

fn read_directory(connection: &Connection, ring: &Ring) -> Result<Directory> {
    let (version, silent_since) = connection.query_row("SELECT version, silent_since FROM directory", [], |row| {
        Ok((row.get("version")?, row.get::<_, Option<i64>>("silent_since")?))
    })?;
    let mut statement = connection.prepare_cached(&format!("{} ORDER BY h.id", select()))?;
    let hooks = statement
        .query_map([], |row| Ok(read(row, ring)))?
        .map(|row| row?)
        .collect::<Result<_>>()?;

    let mut statement = connection.prepare_cached("SELECT id, group_id FROM projects")?;
    let projects = statement.query_map([], |row| Ok((ProjectId(row.get("id")?), GroupId(row.get("group_id")?))))?;
    let projects = projects.collect::<rusqlite::Result<_>>()?;
    let mut statement = connection.prepare_cached("SELECT id, parent_id, full_path FROM groups")?;

    let groups = statement.query_map([], |row| {
        Ok((
            GroupId(row.get("id")?),
            row.get::<_, Option<i64>>("parent_id")?.map(GroupId),
            row.get("full_path")?,
        ))
    })?;
    let groups = groups.collect::<rusqlite::Result<_>>()?;
    let mut statement =
        connection.prepare_cached("SELECT instance, foreign_id, project_id, path FROM known_projects")?;

    let known = statement.query_map([], |row| {
        let project = ProjectId(row.get("project_id")?);
        Ok(KnownProject {
            instance: row.get("instance")?,
            number: row.get("foreign_id")?,
            project,
            path: row.get("path")?,
        })
    })?;
    let known = known.collect::<rusqlite::Result<_>>()?;
    let mut statement = connection.prepare_cached("SELECT instance, foreign_id, group_id, path FROM known_groups")?;

    let known_groups = statement.query_map([], |row| {
        let group = GroupId(row.get("group_id")?);
        Ok(KnownGroup {
            instance: row.get("instance")?,
            number: row.get("foreign_id")?,
            group,
            path: row.get("path")?,
        })
    })?;
    let known_groups = known_groups.collect::<rusqlite::Result<_>>()?;
    let mut statement = connection.prepare_cached("SELECT id FROM groups WHERE path_set_by = ?1")?;
    let named_by_members = statement.query_map([PathSetBy::Member.code()], |row| scalar(row).map(GroupId))?;
    let named_by_members = named_by_members.collect::<rusqlite::Result<_>>()?;
    let sources = super::sources::all(connection, ring)?;
    let instances = super::sources::instances(connection)?;

    Ok(Directory {
        version,
        silent_since: silent_since.map(Timestamp::from_micros),
        hooks,
        projects,
        groups,
        sources,
        instances,
        known,
        known_groups,
        named_by_members,
    })
}

pub(super) fn check_scope(connection: &Connection, scope: Scope) -> Result<()> {
    let (sql, id, what) = match scope {
        Scope::Instance => return Ok(()),
        Scope::Group(id) => ("SELECT 1 FROM groups WHERE id = ?1", id.0, "group"),
        Scope::Project(id) => ("SELECT 1 FROM projects WHERE id = ?1", id.0, "project"),
    };

    if connection.prepare_cached(sql)?.exists([id])? {
        Ok(())
    } else {
        Err(Error::Missing(what))
    }
}

fn read(row: &Row<'_>, ring: &Ring) -> Result<HookWithHealth> {
    let uuid = row.get(HOOK.uuid)?;
    let stored = StoredHook {
        url: row.get(HOOK.url)?,
        token: row.get(HOOK.token)?,
        signing_token: row.get(HOOK.signing_token)?,
        previous_signing_token: row.get(HOOK.previous_signing_token)?,
        previous_signing_until: row.get(HOOK.previous_signing_until)?,
        custom_headers: row.get(HOOK.custom_headers)?,
        url_variables: row.get(HOOK.url_variables)?,
        client_certificate: row.get(HOOK.client_certificate)?,
    };
    let opened = stored.open(ring, uuid)?;
    let (strategy, filter): (String, Option<String>) =
        (row.get(HOOK.branch_filter_strategy)?, row.get(HOOK.branch_filter)?);
    let triggers: Option<String> = row.get("triggers")?;

    let hook = Hook {
        id: HookId(row.get(HOOK.id)?),
        scope: columns::scope(row.get(HOOK.project_id)?, row.get(HOOK.group_id)?),
        url: opened.url,
        token: opened.token,
        signing_token: opened.signing_token,
        previous_signing_token: opened.previous_signing_token,
        triggers: triggers
            .iter()
            .flat_map(|names| names.split(','))
            .filter_map(quickdraw_domain::Trigger::by_name)
            .collect::<TriggerSet>(),
        confidential_notes_set: row.get(HOOK.confidential_notes_set)?,
        enable_ssl_verification: row.get(HOOK.enable_ssl_verification)?,
        branch_filter: branch_filter(&strategy, filter.as_deref())?,
        custom_headers: opened.custom_headers,
        url_variables: opened.url_variables,
        body_template: row.get(HOOK.body_template)?,
        retry: own_retry(row.get(HOOK.retry)?)?,
        ordered: row.get(HOOK.ordered)?,
        event_filter: event_filter(row.get(HOOK.event_filter)?)?,
        all_events: row.get(HOOK.all_events)?,
        only: restriction(row.get(HOOK.restriction)?)?,
        paused: pause(row.get(HOOK.paused_at)?, row.get(HOOK.paused_by)?),
        client_certificate: opened.client_certificate,
        name: row.get(HOOK.name)?,
        description: row.get(HOOK.description)?,
        uuid,
        created_at: Timestamp::from_micros(row.get(HOOK.created_at)?),
        url_since: Timestamp::from_micros(row.get(HOOK.url_since)?),
        updated_at: Timestamp::from_micros(row.get(HOOK.updated_at)?),
    };
    Ok(HookWithHealth {
        hook,
        health: settle::read_health(row)?,
    })
}
