//! The fields of the form, and the attributes of the API that they stand for.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::{Key, Known};
use crate::error::ApiError;
use crate::ui::form::{Fields, Form};
use crate::ui::place::Level;

/// Fields that never return to the browser.
pub(super) const SECRETS: [&str; 7] = [
    "url_variables_value",
    "custom_headers_value",
    "token",
    "signing_token",
    "generate_signing_token",
    "tls_client_cert",
    "tls_client_cert_password",
];
/// Number of empty rows below the filled ones.
const EMPTY_ROWS: usize = 2;
/// Attributes that are texts, and that an empty field clears.
const TEXTS: [&str; 3] = ["name", "description", "retry"];
/// Attributes that are boxes.
const BOXES: [&str; 2] = ["enable_ssl_verification", "ordered"];
/// Attributes of system webhooks that are lists.
const LISTS: [&str; 3] = ["sources", "groups", "projects"];

/// A row with a name and a secret value.
pub(super) struct Row {
    pub(super) name: String,

    /// True if the webhook has a value of this name, which stays unless another is typed.
    pub(super) is_stored: bool,
}

/// Rows of a list of names and secret values. Their fields are called after the list.
pub(super) struct Rows;

impl Rows {
    /// The rows to show: those of the form, or the stored ones, and some empty rows.
    pub(super) fn shown(sent: &Fields, list: &str, stored: &[Key]) -> Vec<Row> {
        let is_stored = |name: &str| stored.iter().any(|key| key.key == name);
        let names: Vec<String> = if sent.has(&format!("{list}_name")) {
            Self::names(sent, list).map(str::to_owned).collect()
        } else {
            stored.iter().map(|key| key.key.clone()).collect()
        };

        let rows = names.into_iter().map(|name| Row {
            is_stored: is_stored(&name),
            name,
        });
        let empty = || Row {
            name: String::new(),
            is_stored: false,
        };
        rows.chain(std::iter::repeat_with(empty).take(EMPTY_ROWS)).collect()
    }

    /// The names that the form has.
    pub(super) fn names<'a>(sent: &'a Fields, list: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        Self::pairs(sent, list).into_iter().map(|(name, _)| name)
    }

    /// The names with their values. A value that is empty stays as it is stored.
    fn pairs<'a>(sent: &'a Fields, list: &str) -> Vec<(&'a str, Option<&'a str>)> {
        let names = sent.all(&format!("{list}_name"));
        let values = sent.all(&format!("{list}_value"));

        let mut pairs = Vec::new();
        for (row, name) in names.into_iter().map(str::trim).enumerate() {
            let value = values.get(row).copied().filter(|value| !value.is_empty());
            if !name.is_empty() {
                pairs.push((name, value));
            }
        }

        pairs
    }
}

/// The form of a stored webhook.
pub(super) fn of_hook(known: &Known) -> Form {
    let mut form = Form::default();
    form.set("url", &known.url);
    form.set("name", known.name.as_deref().unwrap_or_default());

    for (name, value) in &known.others {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(on) => on.to_string(),
            Value::Array(items) => items.iter().map(word).collect::<Vec<_>>().join(", "),
            Value::Object(_) => serde_json::to_string_pretty(value).unwrap_or_default(),
            _ => continue,
        };
        form.set(name, text);
    }

    form
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The attributes that the form sets. Errors that the form itself finds are noted beside their fields.
pub(super) fn body<'a>(
    sent: &Fields,
    triggers: impl Iterator<Item = &'a str>,
    level: Level,
    is_known: bool,
    form: &mut Form,
) -> Map<String, Value> {
    let mut body = Map::new();
    let mut url = sent.text("url").trim().to_owned();
    let variables = mask(sent, &mut url, is_known, form);
    body.insert("url".to_owned(), url.into());
    body.insert("url_variables".to_owned(), variables);

    let headers = Rows::pairs(sent, "custom_headers").into_iter();
    let headers = headers.map(|(name, value)| pair(name, value)).collect();
    body.insert("custom_headers".to_owned(), headers);

    for name in TEXTS {
        body.insert(name.to_owned(), sent.text(name).trim().into());
    }

    for name in BOXES {
        body.insert(name.to_owned(), sent.has(name).into());
    }

    let is_for_all = sent.has("all_events");
    body.insert("all_events".to_owned(), is_for_all.into());
    for trigger in triggers.filter(|_| !is_for_all) {
        body.insert(trigger.to_owned(), sent.has(trigger).into());
    }

    secrets(sent, &mut body);
    filters(sent, &mut body, form);
    if level == Level::Instance {
        for name in LISTS {
            let items = sent
                .text(name)
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            body.insert(name.to_owned(), items.collect());
        }
    } else {
        let template = sent.text("custom_webhook_template").trim();
        body.insert("custom_webhook_template".to_owned(), template.into());
    }

    body
}

/// Replaces the sensitive portions of the URL by their names, as GitLab's form does. Returns the URL variables.
fn mask(sent: &Fields, url: &mut String, is_known: bool, form: &mut Form) -> Value {
    let mut variables = Vec::new();
    for (name, portion) in Rows::pairs(sent, "url_variables") {
        let shown = format!("{{{name}}}");
        if let Some(portion) = portion {
            *url = url.replace(portion, &shown);
        }

        if !url.contains(&shown) {
            let text = format!("The URL contains neither {shown} nor the portion that it stands for");
            form.wrong("url", text);
        } else if portion.is_none() && !is_known {
            form.wrong("url", format!("Enter the portion of the URL that {shown} stands for"));
        }

        variables.push(pair(name, portion));
    }

    // The page shows the URL as it will be stored, so a secret portion never returns to the browser.
    form.set("url", url.clone());
    Value::Array(variables)
}

fn pair(name: &str, value: Option<&str>) -> Value {
    match value {
        Some(value) => json!({"key": name, "value": value}),
        None => json!({"key": name}),
    }
}

/// Secrets are sent only if they were typed. A ticked box removes them.
fn secrets(sent: &Fields, body: &mut Map<String, Value>) {
    for name in ["token", "signing_token", "tls_client_cert"] {
        if sent.has(&format!("remove_{name}")) {
            body.insert(name.to_owned(), "".into());
        } else if let Some(value) = sent.filled(name) {
            body.insert(name.to_owned(), value.into());
        }
    }

    let password = sent.filled("tls_client_cert_password");
    let password = password.filter(|_| sent.filled("tls_client_cert").is_some());
    body.extend(password.map(|password| ("tls_client_cert_password".to_owned(), password.into())));

    let overlap = sent
        .filled("signing_token_overlap")
        .and_then(|seconds| seconds.parse::<i64>().ok());
    let changes = sent.has("generate_signing_token") || sent.filled("signing_token").is_some();
    body.extend(
        overlap
            .filter(|_| changes)
            .map(|seconds| ("signing_token_overlap".to_owned(), seconds.into())),
    );
}

fn filters(sent: &Fields, body: &mut Map<String, Value>, form: &mut Form) {
    let strategy = sent.filled("branch_filter_strategy").unwrap_or("all_branches");
    body.insert("branch_filter_strategy".to_owned(), strategy.into());
    let filter = sent.text("push_events_branch_filter").trim();
    let filter = if strategy == "all_branches" { "" } else { filter };
    body.insert("push_events_branch_filter".to_owned(), filter.into());

    let text = sent.text("event_filter").trim();
    let conditions = if text.is_empty() {
        Value::Null
    } else {
        match serde_json::from_str(text) {
            Ok(conditions) => conditions,
            Err(error) => {
                form.wrong("event_filter", format!("This is not JSON: {error}"));
                return;
            }
        }
    };
    body.insert("event_filter".to_owned(), conditions);
}

/// Makes a signing token: `whsec_` and 32 random bytes in base64, as Standard Webhooks has it.
pub(super) fn signing_token() -> Result<String, ApiError> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| ApiError::internal(error.into()))?;
    Ok(format!("whsec_{}", BASE64_STANDARD.encode(key)))
}
