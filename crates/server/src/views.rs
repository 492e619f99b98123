//! What things look like in JSON. Names are GitLab's wherever GitLab has one; only this folder speaks its dialect.

use quickdraw_domain::Timestamp;
use quickdraw_domain::event::{Event, Source};
use quickdraw_domain::hook::NamedValues;
use quickdraw_domain::scope::{Group, Place, Project, Scope};
use quickdraw_domain::trigger::Trigger;
use quickdraw_store::attempts::Attempt;
use quickdraw_store::audit::AuditEntry;
use quickdraw_store::deliveries::{Delivery, Record};
use quickdraw_store::hooks::HookWithHealth;
use serde_json::{Map, Value, json};

/// Visibility by its number.
#[must_use]
pub const fn visibility(level: i64) -> &'static str {
    match level {
        20 => "public",
        10 => "internal",
        _ => "private",
    }
}

/// The number of a visibility.
#[must_use]
pub fn visibility_level(word: &str) -> Option<i64> {
    [0, 10, 20].into_iter().find(|level| visibility(*level) == word)
}

/// A group of `/api/v4`.
#[must_use]
pub fn group(group: &Group, base_url: &str) -> Value {
    json!({
        "id": group.id.0,
        "name": group.name,
        "path": last_segment(&group.full_path),
        "full_path": group.full_path,
        "full_name": group.full_path.replace('/', " / "),
        "parent_id": group.parent.map(|id| id.0),
        "description": group.description,
        "visibility": visibility(group.visibility_level),
        "web_url": format!("{base_url}/groups/{}", group.full_path),
        "created_at": group.created_at.to_iso(),
    })
}

/// A group as a place that projects can be made in.
#[must_use]
pub fn namespace(group: &Group, base_url: &str) -> Value {
    json!({
        "id": group.id.0,
        "name": group.name,
        "path": last_segment(&group.full_path),
        "kind": "group",
        "full_path": group.full_path,
        "parent_id": group.parent.map(|id| id.0),
        "web_url": format!("{base_url}/groups/{}", group.full_path),
    })
}

/// A project of `/api/v4`.
#[must_use]
pub fn project(project: &Project, base_url: &str) -> Value {
    let path = &project.path_with_namespace;
    json!({
        "id": project.id.0,
        "name": project.name,
        "path": last_segment(path),
        "path_with_namespace": path,
        "name_with_namespace": format!("{} / {}", project.namespace, project.name),
        "namespace": {
            "id": project.group.0,
            "name": project.namespace,
            "kind": "group",
            "full_path": path.rsplit_once('/').map(|(namespace, _)| namespace),
        },
        "description": project.description,
        "default_branch": project.default_branch,
        "visibility": visibility(project.visibility_level),
        "web_url": format!("{base_url}/{path}"),
        "http_url_to_repo": format!("{base_url}/{path}.git"),
        "created_at": project.created_at.to_iso(),
    })
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A hook of `/api/v4`. Secrets are never shown, only whether there are any.
#[must_use]
pub fn hook(entry: &HookWithHealth, now: Timestamp) -> Value {
    let hook = &entry.hook;
    let mut view = Map::new();
    let mut put = |name: &str, value: Value| drop(view.insert(name.to_owned(), value));
    put("id", json!(hook.id.0));
    put("url", json!(hook.url.masked()));
    put("name", json!(hook.name));
    put("description", json!(hook.description));
    match hook.scope {
        Scope::Project(id) => put("project_id", json!(id.0)),
        Scope::Group(id) => put("group_id", json!(id.0)),
        Scope::Instance => put("organization_id", json!(1)),
    }
    for trigger in Trigger::all() {
        let row = trigger.row();
        if let Some(attribute) = row.attribute
            && (row.levels.contain(hook.scope) || attribute == "repository_update_events")
        {
            put(attribute, json!(hook.triggers.contains(trigger)));
        }
    }
    put("enable_ssl_verification", json!(hook.enable_ssl_verification));
    put("push_events_branch_filter", json!(hook.branch_filter.text()));
    put("branch_filter_strategy", json!(hook.branch_filter.strategy()));
    if hook.scope != Scope::Instance {
        put("custom_webhook_template", json!(hook.body_template));
    }
    let keys = |values: &NamedValues| values.iter().map(|(name, _)| json!({ "key": name })).collect::<Vec<_>>();
    put("custom_headers", json!(keys(&hook.custom_headers)));
    put("url_variables", json!(keys(&hook.url_variables)));
    put("token_present", json!(hook.token.is_some()));
    put("signing_token_present", json!(hook.signing_token.is_some()));
    put("alert_status", json!(entry.health.status(now).word()));
    put("disabled_until", json!(entry.health.disabled_until.filter(|until| *until > now).map(Timestamp::to_iso)));
    put("created_at", json!(hook.created_at.to_iso()));
    Value::Object(view)
}

/// An event of `/api/v1`.
#[must_use]
pub fn event(event: &Event) -> Value {
    let (project, group) = match event.place {
        Place::Project(id) => (Some(id.0), None),
        Place::Group(id) => (None, Some(id.0)),
        Place::Instance | Place::Elsewhere => (None, None),
    };
    let source = match event.source {
        Source::Api => "api".to_owned(),
        Source::Receiver(id) => format!("receiver {id}"),
        Source::Test => "test".to_owned(),
    };
    json!({
        "id": event.id.to_string(),
        "trigger": event.trigger.row().name,
        "project_id": project,
        "group_id": group,
        "source": source,
        "ref": event.git_ref,
        "received_at": event.received_at.to_iso(),
    })
}

/// A delivery of `/api/v1`.
#[must_use]
pub fn delivery(delivery: &Delivery) -> Value {
    json!({
        "id": delivery.id.to_string(),
        "event_id": delivery.event.to_string(),
        "hook_id": delivery.hook.0,
        "state": delivery.state.word(),
        "attempts": delivery.tally.attempts,
        "next_attempt_at": delivery.state.due_at().map(Timestamp::to_iso),
        "created_at": delivery.created_at.to_iso(),
        "finished_at": delivery.finished_at.map(Timestamp::to_iso),
    })
}

/// An entry of the audit log.
#[must_use]
pub fn audit_entry(entry: &AuditEntry) -> Value {
    json!({
        "id": entry.id,
        "at": entry.at.to_iso(),
        "user_id": entry.user_id,
        "username": entry.username,
        "address": entry.address,
        "method": entry.method,
        "path": entry.path,
        "status": entry.status,
        "attributes": entry.attributes.split(' ').filter(|name| !name.is_empty()).collect::<Vec<_>>(),
    })
}

/// Header fields of an answer, as history keeps them, with their names as `shown` writes them.
pub(crate) fn response_headers(record: &Record, shown: fn(&str) -> String) -> Map<String, Value> {
    let lines = record.response_headers.as_deref().unwrap_or_default().lines();
    lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (shown(name), json!(value))).collect()
}

/// An attempt of `/api/v1`.
#[must_use]
pub fn attempt(attempt: &Attempt) -> Value {
    let record = &attempt.record;
    let headers = response_headers(record, str::to_owned);
    json!({
        "id": attempt.id.0,
        "delivery_id": attempt.delivery.to_string(),
        "hook_id": attempt.hook.0,
        "number": attempt.number,
        "outcome": attempt.outcome,
        "response_status": attempt.status,
        "error": record.error,
        "address": record.address,
        "started_at": record.started_at.to_iso(),
        "duration_us": record.duration_micros,
        "response_headers": headers,
        "response_body": record.response_body.as_deref().map(String::from_utf8_lossy),
    })
}
