//! Hooks in PostgreSQL. URL and secrets are sealed, each for its own column and hook.

use async_trait::async_trait;
use deadpool_postgres::Transaction;
use quickdraw_domain::health::Health;
use quickdraw_domain::hook::{EventFilter, Hook, PastHook};
use quickdraw_domain::identity::PathSetBy;
use quickdraw_domain::retry::OwnRetry;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{GroupId, HookId, ProjectId, Timestamp, Trigger};
use tokio_postgres::Row;

use super::settle::health;
use super::{Postgres, scalar};
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
        "SELECT {}, ARRAY (SELECT t.trigger_name FROM hook_triggers t WHERE t.hook_id = h.id) AS triggers,
            coalesce(s.recent_failures, 0) AS recent_failures, coalesce(s.pauses, 0) AS pauses, s.disabled_until,
            coalesce(s.disabled, false) AS disabled
         FROM hooks h LEFT JOIN hook_health s ON s.hook_id = h.id",
        HOOK.sql
    )
}

#[async_trait]
impl Hooks for Postgres {
    async fn create_hook(&self, hook: Hook, most: i64) -> Result<HookWithHealth> {
        let (sealed, past) = (StoredHook::seal(&hook, &self.ring)?, seal_past(&self.ring, &hook)?);
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;

        // The lock on the owner also makes those who count its hooks take turns.
        let there = match hook.scope {
            Scope::Instance => true,
            Scope::Group(id) => transaction
                .query_opt("SELECT 1 FROM groups WHERE id = $1 FOR UPDATE", &[&id.0])
                .await?
                .is_some(),
            Scope::Project(id) => transaction
                .query_opt("SELECT 1 FROM projects WHERE id = $1 FOR UPDATE", &[&id.0])
                .await?
                .is_some(),
        };

        if !there {
            return Err(Error::Missing(if matches!(hook.scope, Scope::Group(_)) {
                "group"
            } else {
                "project"
            }));
        }

        let (project, group) = columns::scope_columns(hook.scope);
        let (here, owner) = columns::in_scope(hook.scope, "h", '$');
        let count = format!("SELECT count(*) FROM hooks h WHERE {here}");
        let there: i64 = scalar(&transaction.query_one(&count, &[&owner]).await?);

        if there >= most {
            return Err(Error::Full(most));
        }

        let row = transaction
            .query_one(
                "INSERT INTO hooks (uuid, project_id, group_id, url, enable_ssl_verification, branch_filter_strategy,
                    created_at, updated_at)
                 VALUES ($1, $2, $3, $4, true, 'wildcard', $5, $5) RETURNING id",
                &[&hook.uuid, &project, &group, &sealed.url, &hook.created_at.as_micros()],
            )
            .await?;
        let hook = Hook {
            id: HookId(scalar(&row)),
            ..hook
        };
        write(&transaction, &hook, &sealed, &past, hook.created_at).await?;
        transaction.commit().await?;
        self.notify(&client, "directory").await;

        Ok(HookWithHealth {
            hook,
            health: Health::default(),
        })
    }

    async fn update_hook(&self, hook: Hook, unchanged_since: Timestamp) -> Result<Option<HookWithHealth>> {
        let (sealed, past) = (StoredHook::seal(&hook, &self.ring)?, seal_past(&self.ring, &hook)?);
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        if !write(&transaction, &hook, &sealed, &past, unchanged_since).await? {
            return Ok(None);
        }

        transaction.commit().await?;
        self.notify(&client, "directory").await;
        drop(client);

        self.find_hook(hook.scope, hook.id).await
    }

    async fn find_hook(&self, scope: Scope, id: HookId) -> Result<Option<HookWithHealth>> {
        let (here, owner) = columns::in_scope(scope, "h", '$');
        let sql = format!("{} WHERE {here} AND h.id = $2", select());
        let row = self.client().await?.query_opt(&sql, &[&owner, &id.0]).await?;
        row.map(|row| read(&row, &self.ring)).transpose()
    }

    async fn list_hooks(&self, scope: Scope, page: Page) -> Result<Paged<HookWithHealth>> {
        let (here, owner) = columns::in_scope(scope, "h", '$');
        let client = self.client().await?;
        let count = format!("SELECT count(*) FROM (SELECT 1 FROM hooks h WHERE {here} LIMIT $2) l");
        let total = scalar(&client.query_one(&count, &[&owner, &page.counted()]).await?);

        let sql = format!(
            "{} WHERE {here} AND h.id > $2 ORDER BY h.id LIMIT $3 OFFSET $4",
            select()
        );
        let rows = client
            .query(&sql, &[&owner, &page.after(), &page.limit, &page.offset()])
            .await?;
        Ok(Paged {
            rows: rows.iter().map(|row| read(row, &self.ring)).collect::<Result<_>>()?,
            total,
        })
    }

    async fn delete_hook(&self, scope: Scope, id: HookId, unchanged_since: Option<Timestamp>) -> Result<bool> {
        let (here, owner) = columns::in_scope(scope, "h", '$');
        let client = self.client().await?;
        let sql =
            format!("DELETE FROM hooks h WHERE {here} AND h.id = $2 AND ($3::bigint IS NULL OR h.updated_at = $3)");
        let gone = client
            .execute(&sql, &[&owner, &id.0, &unchanged_since.map(Timestamp::as_micros)])
            .await?;

        self.notify(&client, "directory").await;
        Ok(gone > 0)
    }

    async fn past_hook(&self, hook: &Hook, version: Timestamp) -> Result<Option<PastHook>> {
        let sql = "SELECT settings FROM hook_versions WHERE hook_id = $1 AND version = $2";
        let row = self
            .client()
            .await?
            .query_opt(sql, &[&hook.id.0, &version.as_micros()])
            .await?;
        row.map(|row| open_past(&self.ring, hook.uuid, scalar(&row)))
            .transpose()
    }

    async fn failing_hooks(&self) -> Result<Vec<(HookId, Health)>> {
        let client = self.client().await?;
        let sql = "SELECT hook_id, recent_failures, pauses, disabled_until, disabled FROM hook_health";
        let rows = client.query(&client.prepare_cached(sql).await?, &[]).await?;
        Ok(rows
            .iter()
            .map(|row| (HookId(row.get("hook_id")), health(row)))
            .collect())
    }

    async fn directory_version(&self) -> Result<i64> {
        let client = self.client().await?;
        let statement = client.prepare_cached("SELECT version FROM directory").await?;
        Ok(scalar(&client.query_one(&statement, &[]).await?))
    }

    async fn set_silent(&self, since: Option<Timestamp>) -> Result<bool> {
        let client = self.client().await?;
        let sql = "UPDATE directory SET silent_since = $1, version = version + 1
            WHERE (silent_since IS NULL) <> ($1::bigint IS NULL)";
        let changed = client.execute(sql, &[&since.map(Timestamp::as_micros)]).await?;
        self.notify(&client, "directory").await;

        Ok(changed > 0)
    }

    async fn directory(&self) -> Result<Directory> {
        let mut client = self.client().await?;

        // One snapshot for all of it: a version must not be paired with another version's hooks.
        let transaction = client
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let state = transaction
            .query_one("SELECT version, silent_since FROM directory", &[])
            .await?;
        let version = state.get("version");
        let silent_since: Option<i64> = state.get("silent_since");
        let hooks = transaction.query(&format!("{} ORDER BY h.id", select()), &[]).await?;
        let projects = transaction.query("SELECT id, group_id FROM projects", &[]).await?;
        let groups = transaction
            .query("SELECT id, parent_id, full_path FROM groups", &[])
            .await?;
        let known = transaction
            .query("SELECT instance, foreign_id, project_id, path FROM known_projects", &[])
            .await?;
        let known_groups = transaction
            .query("SELECT instance, foreign_id, group_id, path FROM known_groups", &[])
            .await?;
        let sql = "SELECT id FROM groups WHERE path_set_by = $1";
        let named_by_members = transaction.query(sql, &[&PathSetBy::Member.code()]).await?;
        let instances = super::sources::instances(&*transaction).await?;

        let sources = transaction
            .query(
                &format!("SELECT {} FROM sources ORDER BY id", crate::sources::COLUMNS),
                &[],
            )
            .await?;

        transaction.commit().await?;
        Ok(Directory {
            version,
            silent_since: silent_since.map(Timestamp::from_micros),
            hooks: hooks.iter().map(|row| read(row, &self.ring)).collect::<Result<_>>()?,
            projects: projects
                .iter()
                .map(|row| (ProjectId(row.get("id")), GroupId(row.get("group_id"))))
                .collect(),
            groups: groups
                .iter()
                .map(|row| {
                    (
                        GroupId(row.get("id")),
                        row.get::<_, Option<i64>>("parent_id").map(GroupId),
                        row.get("full_path"),
                    )
                })
                .collect(),
            sources: sources
                .iter()
                .map(|row| super::sources::stored(row).open(&self.ring))
                .collect::<Result<_>>()?,
            instances,
            known: known
                .iter()
                .map(|row| KnownProject {
                    instance: row.get("instance"),
                    number: row.get("foreign_id"),
                    project: ProjectId(row.get("project_id")),
                    path: row.get("path"),
                })
                .collect(),
            known_groups: known_groups
                .iter()
                .map(|row| KnownGroup {
                    instance: row.get("instance"),
                    number: row.get("foreign_id"),
                    group: GroupId(row.get("group_id")),
                    path: row.get("path"),
                })
                .collect(),
            named_by_members: named_by_members.iter().map(|row| GroupId(scalar(row))).collect(),
        })
    }
}

/// Writes every setting of a hook that is there already. `false` if it is not, or has changed since.
async fn write(
    transaction: &Transaction<'_>,
    hook: &Hook,
    sealed: &StoredHook,
    past: &[u8],
    unchanged_since: Timestamp,
) -> Result<bool> {
    let (project, group) = columns::scope_columns(hook.scope);
    let written = transaction
        .execute(
            "UPDATE hooks h SET url = $5, token = $6, signing_token = $7, enable_ssl_verification = $8,
                branch_filter_strategy = $9, branch_filter = $10, name = $11, description = $12, updated_at = $13,
                custom_headers = $14, url_variables = $15, body_template = $16, url_since = $17, previous_signing_token = $18,
                previous_signing_until = $19, retry = $20, confidential_notes_set = $21, ordered = $22,
           client_certificate = $23, event_filter = $24, all_events = $25, restriction = $26, paused_at = $27,
           paused_by = $28
             WHERE h.project_id IS NOT DISTINCT FROM $1 AND h.group_id IS NOT DISTINCT FROM $2 AND h.id = $3
                AND h.updated_at = $4",
            &[
                &project,
                &group,
                &hook.id.0,
                &unchanged_since.as_micros(),
                &sealed.url,
                &sealed.token,
                &sealed.signing_token,
                &hook.enable_ssl_verification,
                &hook.branch_filter.strategy(),
                &hook.branch_filter.text(),
                &hook.name,
                &hook.description,
                &hook.updated_at.as_micros(),
                &sealed.custom_headers,
                &sealed.url_variables,
                &hook.body_template,
                &hook.url_since.as_micros(),
                &sealed.previous_signing_token,
                &sealed.previous_signing_until,
                &hook.retry.as_ref().map(OwnRetry::text),
                &hook.confidential_notes_set,
                &hook.ordered,
                &sealed.client_certificate,
                &hook.event_filter.as_ref().map(EventFilter::text),
                &hook.all_events,
                &restriction_text(&hook.only)?,
                &hook.paused.as_ref().map(|pause| pause.at.as_micros()),
                &hook.paused.as_ref().map(|pause| pause.by.as_str()),
            ],
        )
        .await?;
    if written == 0 {
        return Ok(false);
    }

    let sql = "INSERT INTO hook_versions VALUES ($1, $2, $3)
        ON CONFLICT (hook_id, version) DO UPDATE SET settings = excluded.settings";
    transaction
        .execute(sql, &[&hook.id.0, &hook.updated_at.as_micros(), &past])
        .await?;
    transaction
        .execute("DELETE FROM hook_triggers WHERE hook_id = $1", &[&hook.id.0])
        .await?;

    let names: Vec<&str> = hook.triggers.iter().map(|trigger| trigger.row().name).collect();
    let sql = "INSERT INTO hook_triggers SELECT $1, * FROM UNNEST($2::text[])";
    transaction.execute(sql, &[&hook.id.0, &names]).await?;

    Ok(true)
}

fn read(row: &Row, ring: &Ring) -> Result<HookWithHealth> {
    let uuid = row.get(HOOK.uuid);
    let stored = StoredHook {
        url: row.get(HOOK.url),
        token: row.get(HOOK.token),
        signing_token: row.get(HOOK.signing_token),
        previous_signing_token: row.get(HOOK.previous_signing_token),
        previous_signing_until: row.get(HOOK.previous_signing_until),
        custom_headers: row.get(HOOK.custom_headers),
        url_variables: row.get(HOOK.url_variables),
        client_certificate: row.get(HOOK.client_certificate),
    };
    let opened = stored.open(ring, uuid)?;
    let (strategy, filter): (String, Option<String>) =
        (row.get(HOOK.branch_filter_strategy), row.get(HOOK.branch_filter));
    let names: Vec<String> = row.get("triggers");

    let hook = Hook {
        id: HookId(row.get(HOOK.id)),
        scope: columns::scope(row.get(HOOK.project_id), row.get(HOOK.group_id)),
        url: opened.url,
        token: opened.token,
        signing_token: opened.signing_token,
        previous_signing_token: opened.previous_signing_token,
        triggers: names.iter().filter_map(|name| Trigger::by_name(name)).collect(),
        confidential_notes_set: row.get(HOOK.confidential_notes_set),
        enable_ssl_verification: row.get(HOOK.enable_ssl_verification),
        branch_filter: branch_filter(&strategy, filter.as_deref())?,
        custom_headers: opened.custom_headers,
        url_variables: opened.url_variables,
        body_template: row.get(HOOK.body_template),
        retry: own_retry(row.get(HOOK.retry))?,
        ordered: row.get(HOOK.ordered),
        event_filter: event_filter(row.get(HOOK.event_filter))?,
        all_events: row.get(HOOK.all_events),
        only: restriction(row.get(HOOK.restriction))?,
        paused: pause(row.get(HOOK.paused_at), row.get(HOOK.paused_by)),
        client_certificate: opened.client_certificate,
        name: row.get(HOOK.name),
        description: row.get(HOOK.description),
        uuid,
        created_at: Timestamp::from_micros(row.get(HOOK.created_at)),
        url_since: Timestamp::from_micros(row.get(HOOK.url_since)),
        updated_at: Timestamp::from_micros(row.get(HOOK.updated_at)),
    };
    Ok(HookWithHealth {
        hook,
        health: health(row),
    })
}
