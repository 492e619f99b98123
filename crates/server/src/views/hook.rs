//! Views of hooks and their log. Secrets are never shown, only whether they are set.

use std::collections::BTreeMap;

use quickdraw_domain::hook::{NamedValues, template_check};
use quickdraw_domain::scope::{Levels, Scope};
use quickdraw_domain::trigger::Trigger;
use quickdraw_domain::{GroupId, ProjectId, Timestamp};
use quickdraw_store::hooks::HookWithHealth;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{Iso, Shown};

/// A hook of a project, a group or the instance.
#[derive(Serialize, ToSchema)]
pub struct Hook {
    /// Id of the hook.
    pub id: i64,

    /// URL that is called, with `{name}` for each URL variable and without credentials.
    pub url: String,

    /// Display name.
    pub name: Option<String>,

    /// Free text.
    pub description: Option<String>,

    /// Id of the project, for a project hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<i64>,

    /// Id of the group, for a group hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<i64>,

    /// Always 1, for a system hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<i64>,

    /// Subscribed kinds of events.
    #[serde(flatten)]
    pub triggers: HookTriggers,

    /// True if the hook is subscribed to all kinds of events, now and in future.
    pub all_events: bool,

    /// Sources, groups and projects that a system hook is restricted to.
    #[serde(flatten)]
    pub restriction: ShownRestriction,

    /// True while the hook is paused by a person.
    pub paused: bool,

    /// Time at which a person paused the hook.
    pub paused_at: Option<Iso>,

    /// Username of the person who paused the hook.
    pub paused_by: Option<String>,

    /// True if TLS certificates are verified.
    pub enable_ssl_verification: bool,

    /// Branches whose pushes the hook gets.
    pub push_events_branch_filter: Option<String>,

    /// Format of the branch filter: `wildcard`, `regex` or `all_branches`.
    pub branch_filter_strategy: &'static str,

    /// Template that replaces the body of the event; null for system hooks.
    pub custom_webhook_template: Option<String>,

    /// Valid settings that are probably a mistake, such as a name in the template that is null in every event. Absent
    /// without such settings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,

    /// Retry policy of this hook: a preset, or pauses separated by commas. Null uses the policy of the settings.
    pub retry: Option<String>,

    /// Conditions on the body.
    #[schema(value_type = Option<Object>)]
    pub event_filter: Option<Shown>,

    /// True if events about the same object are delivered in order.
    pub ordered: bool,

    /// True if the hook has a TLS client certificate of its own.
    pub tls_client_cert_present: bool,

    /// Names of the custom headers.
    pub custom_headers: Vec<Key>,

    /// Names of the URL variables.
    pub url_variables: Vec<Key>,

    /// True if a secret token is set.
    pub token_present: bool,

    /// True if a signing token is set.
    pub signing_token_present: bool,

    /// Time until which the previous signing token also signs.
    pub previous_signing_token_until: Option<Iso>,

    /// `executable`, `temporarily_disabled` or `disabled`.
    pub alert_status: &'static str,

    /// Time until which the hook is paused.
    pub disabled_until: Option<Iso>,

    /// Time at which the hook was created.
    pub created_at: Iso,
}

/// Sources, groups and projects that a system hook is restricted to. Absent without a restriction.
#[derive(Serialize, ToSchema)]
pub struct ShownRestriction {
    /// Ids of sources, `default`, and `reports` for reported events. A source that was deleted is `deleted` and its
    /// number, which a change of the hook accepts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources: Option<Vec<String>>,

    /// Ids of groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<i64>>,

    /// Ids of projects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projects: Option<Vec<i64>>,
}

/// The name of a value that is not shown.
#[derive(Serialize, ToSchema)]
pub struct Key {
    /// The name.
    pub key: String,
}

impl Hook {
    /// Builds the view of a hook, with its health at `now`.
    #[must_use]
    pub fn new(entry: &HookWithHealth, restriction: ShownRestriction, now: Timestamp) -> Self {
        let hook = &entry.hook;
        let (project_id, group_id, organization_id) = match hook.scope {
            Scope::Project(id) => (Some(id.0), None, None),
            Scope::Group(id) => (None, Some(id.0), None),
            Scope::Instance => (None, None, Some(1)),
        };

        let shown = shown_at(hook.scope);
        let keys = |values: &NamedValues| {
            values
                .iter()
                .map(|(name, _)| Key { key: name.to_owned() })
                .collect::<Vec<_>>()
        };

        Self {
            id: hook.id.0,
            url: hook.url.masked(),
            name: hook.name.clone(),
            description: hook.description.clone(),
            project_id,
            group_id,
            organization_id,
            triggers: HookTriggers(
                shown
                    .map(|(name, kind)| {
                        let said = hook.all_events || kind != Trigger::CONFIDENTIAL_NOTE || hook.confidential_notes_set;
                        (name, said.then(|| hook.selects(kind)))
                    })
                    .collect(),
            ),
            all_events: hook.all_events,
            restriction,
            paused: hook.paused.is_some(),
            paused_at: hook.paused.as_ref().map(|pause| Iso(pause.at)),
            paused_by: hook.paused.as_ref().map(|pause| pause.by.clone()),
            enable_ssl_verification: hook.enable_ssl_verification,
            push_events_branch_filter: hook.branch_filter.text().map(str::to_owned),
            branch_filter_strategy: hook.branch_filter.strategy(),
            retry: hook.retry.as_ref().map(|retry| retry.text().to_owned()),
            custom_webhook_template: hook.body_template.clone(),
            warnings: hook
                .body_template
                .as_deref()
                .map(template_check::warnings)
                .unwrap_or_default(),
            event_filter: hook.event_filter.as_ref().and_then(|filter| Shown::json(filter.text())),
            ordered: hook.ordered,
            tls_client_cert_present: hook.client_certificate.is_some(),
            custom_headers: keys(&hook.custom_headers),
            url_variables: keys(&hook.url_variables),
            token_present: hook.token.is_some(),
            signing_token_present: hook.signing_token.is_some(),
            previous_signing_token_until: hook
                .previous_signing_token
                .as_ref()
                .map(|(_, until)| Iso(*until))
                .filter(|until| until.0 > now),
            alert_status: entry.health.status(now).word(),
            disabled_until: entry.health.disabled_until.filter(|until| *until > now).map(Iso),
            created_at: Iso(hook.created_at),
        }
    }
}

/// The attributes that subscribe a hook to kinds of events, in the order of the catalog.
pub struct HookTriggers(Vec<(&'static str, Option<bool>)>);

impl Serialize for HookTriggers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, on) in &self.0 {
            map.serialize_entry(name, on)?;
        }

        map.end()
    }
}

/// Attributes that hooks of a level show. `repository_update_events` applies to system hooks only, but all hooks show
/// it.
fn shown_at(scope: Scope) -> impl Iterator<Item = (&'static str, Trigger)> {
    attributes().filter(move |(name, kind)| kind.row().levels.contain(scope) || *name == "repository_update_events")
}

fn attributes() -> impl Iterator<Item = (&'static str, Trigger)> {
    Trigger::all().filter_map(|kind| kind.row().attribute.map(|name| (name, kind)))
}

impl PartialSchema for HookTriggers {
    fn schema() -> RefOr<Schema> {
        let mut object = ObjectBuilder::new().description(Some("Kinds of events that a hook is subscribed to."));
        for (name, kind) in attributes() {
            let row = kind.row();
            let levels = words(row.levels);

            let text = match words(row.on_by_default) {
                on if on.is_empty() => format!("For {} hooks.", levels.join(", ")),
                on => format!(
                    "For {} hooks; on by default for {} hooks.",
                    levels.join(", "),
                    on.join(" and ")
                ),
            };

            let (kind, text) = if kind == Trigger::CONFIDENTIAL_NOTE {
                let either = SchemaType::from_iter([Type::Boolean, Type::Null]);
                (either, format!("{text} Null for a project's hook until it is set."))
            } else {
                (SchemaType::new(Type::Boolean), text)
            };

            let flag = ObjectBuilder::new().schema_type(kind).description(Some(text));
            object = object.property(name, flag);
        }

        object.into()
    }
}

fn words(levels: Levels) -> Vec<&'static str> {
    let all = [
        (Scope::Project(ProjectId(0)), "project"),
        (Scope::Group(GroupId(0)), "group"),
        (Scope::Instance, "system"),
    ];
    all.into_iter()
        .filter(|(scope, _)| levels.contain(*scope))
        .map(|(_, word)| word)
        .collect()
}

impl ToSchema for HookTriggers {}

/// An entry of a hook's log: one attempt.
#[derive(Clone, Serialize, ToSchema)]
pub struct HookEvent {
    /// Id of the entry.
    pub id: i64,

    /// URL that was called, without credentials.
    pub url: String,

    /// Kind of event.
    pub trigger: Option<&'static str>,

    /// Headers of the request. Secret values are `[REDACTED]`.
    pub request_headers: BTreeMap<String, String>,

    /// Body that was sent, with e-mail addresses as `[REDACTED]`. It is `{"oversize": true}` if it exceeds 1 MiB, or
    /// if the bodies of the page would exceed 8 MiB.
    #[schema(value_type = serde_json::Value)]
    pub request_data: Shown,

    /// Headers of the answer.
    pub response_headers: BTreeMap<String, String>,

    /// Beginning of the answer's body, or the error.
    pub response_body: String,

    /// Duration in seconds.
    pub execution_duration: f64,

    /// HTTP status of the answer, or `internal error`.
    pub response_status: String,
}
