//! Hooks and what was sent to them. Secrets are never shown, only whether there are any.

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
    /// Its number.
    pub id: i64,
    /// What it calls, with `{names}` where variables are put in, and without credentials.
    pub url: String,
    /// Shown name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Of a project's hook: the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<i64>,
    /// Of a group's hook: the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<i64>,
    /// Of a system hook: always 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<i64>,
    /// What it wants to hear of.
    #[serde(flatten)]
    pub triggers: HookTriggers,
    /// Whether certificates are checked.
    pub enable_ssl_verification: bool,
    /// Which branches it wants to hear of.
    pub push_events_branch_filter: Option<String>,
    /// How the filter is read: `wildcard`, `regex`, `all_branches`.
    pub branch_filter_strategy: &'static str,
    /// What is sent instead of the event's body; system hooks have none.
    pub custom_webhook_template: Option<String>,
    /// Settings that are valid and hardly meant, such as a name in the template that is null in every event. Absent if there
    /// is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// When a delivery is tried again, if not as the settings say: a preset, or pauses with commas between them.
    pub retry: Option<String>,
    /// Which events it wants, by what they say.
    #[schema(value_type = Option<Object>)]
    pub event_filter: Option<Shown>,
    /// Whether events about one object go one after the other.
    pub ordered: bool,
    /// Whether it has a client certificate of its own.
    pub tls_client_cert_present: bool,
    /// Names of its custom headers.
    pub custom_headers: Vec<Key>,
    /// Names of its URL variables.
    pub url_variables: Vec<Key>,
    /// Whether it has a token.
    pub token_present: bool,
    /// Whether it has a signing token.
    pub signing_token_present: bool,
    /// Until when the signing token before it signs as well.
    pub previous_signing_token_until: Option<Iso>,
    /// `executable`, `temporarily_disabled` or `disabled`.
    pub alert_status: &'static str,
    /// Until when nothing is sent.
    pub disabled_until: Option<Iso>,
    /// When it was made.
    pub created_at: Iso,
}

/// The name of a value that is not shown.
#[derive(Serialize, ToSchema)]
pub struct Key {
    /// The name.
    pub key: String,
}

impl Hook {
    /// As it stands now.
    #[must_use]
    pub fn new(entry: &HookWithHealth, now: Timestamp) -> Self {
        let hook = &entry.hook;
        let (project_id, group_id, organization_id) = match hook.scope {
            Scope::Project(id) => (Some(id.0), None, None),
            Scope::Group(id) => (None, Some(id.0), None),
            Scope::Instance => (None, None, Some(1)),
        };
        let shown = shown_at(hook.scope);
        let keys =
            |values: &NamedValues| values.iter().map(|(name, _)| Key { key: name.to_owned() }).collect::<Vec<_>>();
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
                        let said = kind != Trigger::CONFIDENTIAL_NOTE || hook.confidential_notes_set;
                        (name, said.then(|| hook.triggers.contains(kind)))
                    })
                    .collect(),
            ),
            enable_ssl_verification: hook.enable_ssl_verification,
            push_events_branch_filter: hook.branch_filter.text().map(str::to_owned),
            branch_filter_strategy: hook.branch_filter.strategy(),
            retry: hook.retry.as_ref().map(|retry| retry.text().to_owned()),
            custom_webhook_template: hook.body_template.clone(),
            warnings: hook.body_template.as_deref().map(template_check::warnings).unwrap_or_default(),
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

/// The attributes that select triggers, as the registry of kinds has them.
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

/// Attributes that hooks of a level show. Repository updates belong to system hooks, and are shown by all.
fn shown_at(scope: Scope) -> impl Iterator<Item = (&'static str, Trigger)> {
    attributes().filter(move |(name, kind)| kind.row().levels.contain(scope) || *name == "repository_update_events")
}

fn attributes() -> impl Iterator<Item = (&'static str, Trigger)> {
    Trigger::all().filter_map(|kind| kind.row().attribute.map(|name| (name, kind)))
}

impl PartialSchema for HookTriggers {
    fn schema() -> RefOr<Schema> {
        let mut object = ObjectBuilder::new().description(Some("What a hook wants to hear of."));
        for (name, kind) in attributes() {
            let row = kind.row();
            let levels = words(row.levels);
            let text = match words(row.on_by_default) {
                on if on.is_empty() => format!("{} hooks.", levels.join(", ")),
                on => format!("{} hooks; on by default for {} hooks.", levels.join(", "), on.join(" and ")),
            };
            let (kind, text) = match kind {
                Trigger::CONFIDENTIAL_NOTE => {
                    let either = SchemaType::from_iter([Type::Boolean, Type::Null]);
                    (either, format!("{text} Null for a project's hook until it is set."))
                }
                _ => (SchemaType::new(Type::Boolean), text),
            };
            let flag = ObjectBuilder::new().schema_type(kind).description(Some(text));
            object = object.property(name, flag);
        }
        object.into()
    }
}

fn words(levels: Levels) -> Vec<&'static str> {
    let all =
        [(Scope::Project(ProjectId(0)), "project"), (Scope::Group(GroupId(0)), "group"), (Scope::Instance, "system")];
    all.into_iter().filter(|(scope, _)| levels.contain(*scope)).map(|(_, word)| word).collect()
}

impl ToSchema for HookTriggers {}

/// An entry of a hook's log: one attempt.
#[derive(Clone, Serialize, ToSchema)]
pub struct HookEvent {
    /// Its number.
    pub id: i64,
    /// What was called, without credentials.
    pub url: String,
    /// What kind of event it was.
    pub trigger: Option<&'static str>,
    /// Header fields of the request; secret ones as `[REDACTED]`.
    pub request_headers: BTreeMap<String, String>,
    /// The body that was sent, e-mail addresses as `[REDACTED]`. `{"oversize": true}` for one of more than 1 MiB, and for one that would
    /// make the bodies of a page more than 8 MiB.
    #[schema(value_type = serde_json::Value)]
    pub request_data: Shown,
    /// Header fields of the answer.
    pub response_headers: BTreeMap<String, String>,
    /// Beginning of the answer's body, or what went wrong.
    pub response_body: String,
    /// How long it took, in seconds.
    pub execution_duration: f64,
    /// Status of the answer, or `internal error`.
    pub response_status: String,
}
