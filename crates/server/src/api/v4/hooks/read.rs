//! Reads the changes to a hook from the parameters of a request.

use std::sync::LazyLock;
use std::time::Duration;

use quickdraw_domain::hook::edit::LONGEST_OVERLAP;
use quickdraw_domain::hook::{ClientCertificate, EventFilter, HookEdit, body_template, values};
use quickdraw_domain::retry::OwnRetry;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::{Edit, Secret, Trigger};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::openapi::schema::{AllOfBuilder, Schema};
use utoipa::openapi::{ObjectBuilder, Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use crate::error::ApiError;
use crate::params::{Clearable, Invalid, Line, Pairs, Params};
use crate::views::HookTriggers;

/// Settings of a hook. Absent fields stay as they are.
#[derive(Deserialize, ToSchema)]
struct HookSettings {
    /// URL to call: `http` or `https`, with `{name}` for each URL variable.
    #[serde(default, deserialize_with = "as_it_is")]
    url: Option<String>,

    /// Display name.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Clearable<Line<255>>,

    /// Free text.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 2048)]
    description: Clearable<Line<2048>>,

    /// Secret token. It is sent as `X-Gitlab-Token`, is the key of `X-Hub-Signature-256`, and is never shown.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    token: Clearable<Line<255>>,

    /// Key of `webhook-signature`: `whsec_` and 32 bytes in base64. It is never shown.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    signing_token: Clearable<Line<255>>,

    /// Seconds for which the previous signing token also signs after a new one is set. 0 ends it at once.
    #[schema(default = 86_400, minimum = 0, maximum = 2_592_000)]
    signing_token_overlap: Option<i64>,

    /// True to subscribe to all kinds of events, now and in future, confidential ones included. The triggers are shown
    /// as true then, and `false` for one of them is refused. False returns to the triggers that were set before. A
    /// project or group hook gets the kinds of its level. A system hook gets every event of all projects and groups,
    /// with the headers and bodies of project and group hooks.
    all_events: Option<bool>,

    /// Sources to which a system hook is restricted: ids or names, `default`, or `reports` for reported events. An
    /// empty list removes the restriction.
    #[serde(default, rename = "sources")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    _sources: IgnoredAny,

    /// Groups to which a system hook is restricted, with all groups and projects below them: ids or full paths. An
    /// empty list removes the restriction.
    #[serde(default, rename = "groups")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    _groups: IgnoredAny,

    /// Projects to which a system hook is restricted, in addition to those in `groups`: ids or full paths. An empty
    /// list removes the restriction.
    #[serde(default, rename = "projects")]
    #[schema(value_type = Option<Vec<String>>, max_items = 100)]
    _projects: IgnoredAny,

    /// True to pause the hook: its deliveries wait until it is resumed.
    #[serde(default, rename = "paused")]
    #[schema(value_type = Option<bool>)]
    _paused: IgnoredAny,

    /// True if TLS certificates are verified.
    enable_ssl_verification: Option<bool>,

    /// Branches whose pushes the hook gets; at most 4000 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 4000)]
    push_events_branch_filter: Clearable<String>,

    /// Format of the branch filter.
    branch_filter_strategy: Option<Strategy>,

    /// Template that replaces the body of the event. Not available for system hooks. A template that can never
    /// produce JSON is refused.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 4096)]
    custom_webhook_template: Clearable<String>,

    /// Retry policy: `standard`, `gitlab`, `patient`, or the longest pause before each further attempt, as
    /// `10s,5m,2h` or a list. Empty uses the policy of the settings.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    retry: Clearable<Vec<String>>,

    /// Conditions on the body: `{"field": "object_attributes.action", "is": "open"}`, `{"label": "bug"}`, `{"path":
    /// "docs/*"}`, `{"branch": "main"}` or `{"actor": "ida"}`, combined with `all`, `any` and `not`. Either an
    /// object, or the text of one.
    #[serde(default, rename = "event_filter")]
    #[schema(value_type = Option<Object>)]
    _event_filter: IgnoredAny,

    /// True if events about the same object (an issue, a merge request, a branch) are delivered in order: the next
    /// one starts when the one before is delivered or has failed for good. Different objects do not wait for each
    /// other.
    ordered: Option<bool>,

    /// TLS client certificate for this hook, instead of that of the instance: certificate, its chain and key as PEM,
    /// at most 64 KiB. It is never shown.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 65_536)]
    tls_client_cert: Clearable<String>,

    /// Password of an encrypted key in `tls_client_cert`. Only accepted together with it.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 255)]
    tls_client_cert_password: Clearable<Line<255>>,

    /// Custom headers, at most 20. An object `{"KEY": "value"}` is accepted too. Without a value, the stored value
    /// stays. Headers that every request already has, such as `Content-Type` or `X-Gitlab-Event`, are refused, and so
    /// are names that differ only in case.
    #[serde(default)]
    custom_headers: Pairs,

    /// URL variables, at most 20. An object `{"KEY": "value"}` is accepted too. Without a value, the stored value
    /// stays.
    #[serde(default)]
    url_variables: Pairs,
}

/// Format of a branch filter.
#[derive(Deserialize, ToSchema, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Strategy {
    /// `*` stands for any text.
    Wildcard,

    /// A regular expression.
    Regex,

    /// All branches pass.
    AllBranches,
}

/// Schema of a request that changes a hook.
pub(super) struct HookToChange;

impl PartialSchema for HookToChange {
    fn schema() -> RefOr<Schema> {
        let part = |name| RefOr::Ref(Ref::from_schema_name(name));
        AllOfBuilder::new()
            .item(part("HookSettings"))
            .item(part("HookTriggers"))
            .into()
    }
}

impl ToSchema for HookToChange {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("HookSettings".to_owned(), HookSettings::schema()));
        schemas.push(("HookTriggers".to_owned(), HookTriggers::schema()));
        HookSettings::schemas(schemas);
    }
}

/// Schema of a request that creates a hook.
pub(super) struct HookToMake;

impl PartialSchema for HookToMake {
    fn schema() -> RefOr<Schema> {
        let part = RefOr::Ref(Ref::from_schema_name("HookToChange"));
        AllOfBuilder::new()
            .item(part)
            .item(ObjectBuilder::new().required("url"))
            .into()
    }
}

impl ToSchema for HookToMake {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("HookToChange".to_owned(), HookToChange::schema()));
        HookToChange::schemas(schemas);
    }
}

/// Keeps an empty URL as an invalid value, instead of treating it as absent.
fn as_it_is<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// Checks whether a request names any attribute of a hook. The attributes come from the schema, so that none is
/// forgotten.
pub(super) fn has_any(params: &Params) -> bool {
    static SETTINGS: LazyLock<Vec<String>> = LazyLock::new(|| match HookSettings::schema() {
        RefOr::T(Schema::Object(object)) => object.properties.keys().cloned().collect(),
        _ => Vec::new(),
    });

    params
        .names()
        .any(|name| SETTINGS.iter().any(|known| known == name) || Trigger::by_attribute(name).is_some())
}

/// Reads the pause of a change. `by` is the username of the caller.
pub(super) fn pause(params: &Params, by: &str, change: &mut HookEdit) -> Result<(), ApiError> {
    let paused: Option<bool> = params.one("paused")?;
    change.pause = match paused {
        Some(true) => Edit::Set(by.to_owned()),
        Some(false) => Edit::Clear,
        None => Edit::Keep,
    };
    Ok(())
}

/// Refuses a trigger that no webhook has. GitLab ignores unknown attributes, but a hook must not seem to be subscribed.
fn refuse_unknown_triggers(params: &Params, scope: Scope) -> Result<(), ApiError> {
    for name in params.names() {
        let is_trigger = name.ends_with("_events") && name != "all_events";
        if is_trigger
            && Trigger::by_attribute(name).is_none()
            && params.one::<bool>(name).is_ok_and(|on| on == Some(true))
        {
            return Err(not_a_trigger(name, scope));
        }
    }

    Ok(())
}

/// Reads a change. For a new hook, absent triggers get GitLab's defaults.
pub(super) fn change(params: &Params, scope: Scope, new: bool) -> Result<(HookEdit, Option<Typed>), ApiError> {
    let input: HookSettings = params.read()?;
    refuse_unknown_triggers(params, scope)?;

    let (mut triggers, mut default_triggers) = (Vec::new(), Vec::new());

    for trigger in Trigger::all() {
        let row = trigger.row();
        let Some(attribute) = row.attribute else { continue };
        let given: Option<bool> = params.one(attribute)?;

        if !row.levels.contain(scope) {
            // A hook must not seem to be subscribed to events that it never gets.
            if given == Some(true) {
                return Err(not_a_trigger(attribute, scope));
            }

            continue;
        }

        // GitLab has no default for confidential comments on projects, and shows null.
        let unset = trigger == Trigger::CONFIDENTIAL_NOTE && matches!(scope, Scope::Project(_));
        let default = (new && !unset).then(|| row.on_by_default.contain(scope));
        match given {
            Some(on) => triggers.push((trigger, on)),
            None => default_triggers.extend(default.map(|on| (trigger, on))),
        }
    }

    if new && input.url.as_ref().is_none_or(|url| url.trim().is_empty()) {
        return Err(Invalid::missing("url").into());
    }

    let signing_token = input.signing_token.0.try_map(|Line(token)| {
        SigningToken::parse(&token).map_err(|error| ApiError::unprocessable(format!("signing_token {error}")))
    })?;
    let overlap = match input.signing_token_overlap.map(u64::try_from) {
        None => None,
        Some(Ok(seconds)) if seconds <= LONGEST_OVERLAP.as_secs() => Some(Duration::from_secs(seconds)),
        Some(_) => return Err(Invalid::value("signing_token_overlap").into()),
    };

    let retry = match input.retry.0 {
        Edit::Set(words) if words.is_empty() => Edit::Clear,
        given => given.try_map(|words| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            OwnRetry::parse(&words).map_err(|error| ApiError::unprocessable(format!("retry {error}")))
        })?,
    };

    let (client_certificate, typed) = client_certificate(input.tls_client_cert, input.tls_client_cert_password)?;
    if scope == Scope::Instance && matches!(input.custom_webhook_template.0, Edit::Set(_)) {
        return Err(ApiError::bad_parameter(
            "custom_webhook_template is not available for system hooks",
        ));
    }

    let template = if scope == Scope::Instance {
        Edit::Keep
    } else {
        input.custom_webhook_template.0
    };

    if let Edit::Set(text) = &template
        && text.chars().count() > body_template::MAX_LEN
    {
        let longest = body_template::MAX_LEN;
        let text = format!("custom_webhook_template is too long (maximum is {longest} characters)");
        return Err(ApiError::unprocessable(text));
    }

    let edit = HookEdit {
        url: input.url,
        // A mask that a page displayed is not a new token.
        token: match input.token.0 {
            Edit::Set(token) if is_mask(&token) => Edit::Keep,
            given => given.map(|token| Secret::new(token.0)),
        },
        signing_token,
        signing_token_overlap: overlap,
        default_triggers,
        triggers,
        all_events: input.all_events,
        sources: Edit::Keep,
        groups: Edit::Keep,
        projects: Edit::Keep,
        pause: Edit::Keep,
        enable_ssl_verification: input.enable_ssl_verification,
        branch_filter_strategy: input.branch_filter_strategy.map(|strategy| {
            match strategy {
                Strategy::Wildcard => "wildcard",
                Strategy::Regex => "regex",
                Strategy::AllBranches => "all_branches",
            }
            .to_owned()
        }),
        push_events_branch_filter: input.push_events_branch_filter.0,
        custom_headers: pairs(
            input.custom_headers,
            "Custom headers validation failed: there are more than 20",
        )?,
        url_variables: pairs(input.url_variables, "url_variables: there are more than 20")?,
        body_template: template,
        retry,
        event_filter: event_filter(params)?,
        ordered: input.ordered,
        client_certificate,
        name: input.name.0.map(|text| text.0),
        description: input.description.0.map(|text| text.0),
    };
    Ok((edit, typed))
}

/// Builds the error for a trigger that hooks of this level do not have.
fn not_a_trigger(attribute: &str, scope: Scope) -> ApiError {
    let level = match scope {
        Scope::Project(_) => "project",
        Scope::Group(_) => "group",
        Scope::Instance => "system",
    };

    let mut triggers: Vec<&str> = Vec::new();
    for trigger in Trigger::all() {
        let row = trigger.row();
        if row.levels.contain(scope) {
            triggers.extend(row.attribute);
        }
    }

    let triggers = triggers.join(", ");
    ApiError::bad_parameter(format!(
        "{attribute} is not a trigger of {level} hooks; use one of {triggers}, or all_events for all of them"
    ))
}

/// Reads the filter, which is an object or the text of one.
fn event_filter(params: &Params) -> Result<Edit<EventFilter>, ApiError> {
    let text = match params.raw("event_filter") {
        None => return Ok(Edit::Keep),
        Some(Value::Null) => return Ok(Edit::Clear),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(Edit::Clear),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let filter = EventFilter::parse(&text);
    filter
        .map(Edit::Set)
        .map_err(|error| ApiError::unprocessable(format!("event_filter {error}")))
}

/// A client certificate as it was sent: PEM, and the password of its key.
pub(super) struct Typed {
    pub(super) pem: Secret,
    pub(super) password: Secret,
}

/// The certificate stays or is removed, or a new one is typed in, which replaces it once its key has been opened.
type CertificateChange = (Edit<ClientCertificate>, Option<Typed>);

fn client_certificate(pem: Clearable<String>, password: Clearable<Line<255>>) -> Result<CertificateChange, ApiError> {
    let password = password.0.value().map(|password| Secret::new(password.0));
    match pem.0 {
        Edit::Set(pem) if pem.len() > ClientCertificate::MAX_LEN => {
            let longest = ClientCertificate::MAX_LEN;
            Err(ApiError::unprocessable(format!(
                "tls_client_cert is too long (maximum is {longest} bytes)"
            )))
        }
        Edit::Set(pem) => {
            let password = password.unwrap_or_else(|| Secret::new(""));
            Ok((
                Edit::Keep,
                Some(Typed {
                    pem: Secret::new(pem),
                    password,
                }),
            ))
        }
        _ if password.is_some() => Err(ApiError::unprocessable(
            "tls_client_cert_password requires tls_client_cert in the same request",
        )),
        Edit::Clear => Ok((Edit::Clear, None)),
        Edit::Keep => Ok((Edit::Keep, None)),
    }
}

fn is_mask(text: &Line<255>) -> bool {
    text.0 == "[REDACTED]" || text.0.chars().all(|c| c == '*')
}

fn pairs(pairs: Pairs, too_many: &str) -> Result<Vec<(String, Option<Secret>)>, ApiError> {
    if pairs.0.len() > values::MAX_VALUES {
        return Err(ApiError::unprocessable(too_many));
    }

    Ok(pairs
        .0
        .into_iter()
        .map(|(key, value)| (key, value.map(Secret::new)))
        .collect())
}
