//! What a request wants changed, read from its parameters.

use quickdraw_domain::hook::{HookEdit, body_template, values};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::{Secret, Trigger};

use crate::error::ApiError;
use crate::params::Params;

/// Reads a change; for a new hook, triggers that are not named get GitLab's defaults.
pub(super) fn change(params: &Params, scope: Scope, new: bool) -> Result<HookEdit, ApiError> {
    let strategy = params.text("branch_filter_strategy")?;
    if strategy.as_ref().is_some_and(|word| !["wildcard", "regex", "all_branches"].contains(&word.as_str())) {
        return Err(ApiError::bad_parameter("branch_filter_strategy does not have a valid value"));
    }
    let mut triggers = Vec::new();
    for trigger in Trigger::all() {
        let row = trigger.row();
        if let Some(attribute) = row.attribute.filter(|_| row.levels.contain(scope)) {
            let given = params.flag(attribute)?;
            let default = new.then(|| row.on_by_default.contain(scope));
            triggers.extend(given.or(default).map(|on| (trigger, on)));
        }
    }
    let signing_token = match params.change("signing_token", 255)? {
        Some(Some(token)) => Some(Some(
            SigningToken::parse(&token).map_err(|error| ApiError::unprocessable(format!("signing_token {error}")))?,
        )),
        other => other.map(|_| None),
    };
    let pairs = |name: &str| -> Result<Vec<(String, Option<Secret>)>, ApiError> {
        let pairs = params.pairs(name)?;
        if pairs.len() > values::MAX_VALUES {
            return Err(too_many(name));
        }
        // An empty value is one that was not typed: read back, it must not replace what is stored.
        let secret = |value: Option<String>| value.filter(|value| !value.is_empty()).map(Secret::new);
        Ok(pairs.into_iter().map(|(key, value)| (key, secret(value))).collect())
    };
    let template = match scope {
        Scope::Instance => None,
        // Line breaks belong to a template; what else a line may not have, it may not have either.
        _ => template(params)?,
    };
    Ok(HookEdit {
        url: params.text("url")?,
        token: params.change("token", 255)?.map(|token| token.map(Secret::new)),
        signing_token,
        triggers,
        enable_ssl_verification: params.flag("enable_ssl_verification")?,
        branch_filter_strategy: strategy,
        push_events_branch_filter: match params.text("push_events_branch_filter")? {
            Some(filter) => Some(Some(filter).filter(|filter| !filter.is_empty())),
            None => params.change("push_events_branch_filter", 4000)?,
        },
        custom_headers: pairs("custom_headers")?,
        url_variables: pairs("url_variables")?,
        body_template: template,
        name: params.change("name", 255)?,
        description: params.change("description", 2048)?,
    })
}

fn template(params: &Params) -> Result<Option<Option<String>>, ApiError> {
    const NAME: &str = "custom_webhook_template";
    let text = params.text(NAME)?;
    if text.as_ref().is_some_and(|text| text.chars().count() > body_template::MAX_LEN) {
        let longest = body_template::MAX_LEN;
        return Err(ApiError::unprocessable(format!("{NAME} is too long (maximum is {longest} characters)")));
    }
    Ok(match text {
        Some(text) => Some(Some(text).filter(|text| !text.is_empty())),
        None => params.has(NAME).then_some(None),
    })
}

fn too_many(name: &str) -> ApiError {
    let text = match name {
        "custom_headers" => "Custom headers validation failed: there are more than 20",
        _ => "url_variables: there are more than 20",
    };
    ApiError::unprocessable(text)
}
