//! Preview of a URL: whether it may be called, and the secrets that it drops.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::Secret;
use quickdraw_domain::guard::judge_url;
use quickdraw_domain::hook::HookEdit;
use quickdraw_domain::hook::edit::Dropped;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::managed;
use super::hook;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Input, Pairs};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(preview))
}

/// A URL to preview.
#[derive(Deserialize, ToSchema)]
struct UrlToPreview {
    /// The URL, with `{name}` for each URL variable.
    url: String,

    /// URL variables, at most 20. With `hook`, a variable without a value keeps the stored value.
    #[serde(default)]
    url_variables: Pairs,

    /// The hook that would get the URL. Without it, a new hook.
    hook: Option<i64>,

    /// Project of the hook: id or full path.
    project: Option<String>,

    /// Group of the hook: id or full path. Without a project or a group, the hook is a system hook.
    group: Option<String>,
}

/// The decision about a URL. It never contains addresses.
#[derive(Serialize, ToSchema)]
struct UrlPreview {
    /// `allowed`, `blocked` by a rule of the guard, or `invalid`.
    verdict: &'static str,

    /// Name of the rule that blocks the URL, such as `private`.
    rule: Option<&'static str>,

    /// Reason why the URL cannot be saved. The host name is not resolved: its addresses are checked at each attempt.
    detail: Option<String>,

    /// The URL as it is shown after it was saved: without credentials, with `{name}` for each URL variable.
    shown_url: Option<String>,

    /// Secrets that the hook loses if the URL is saved, because they were set for another address.
    drops: Vec<String>,

    /// The same as a sentence. Null if nothing is lost.
    warning: Option<String>,
}

/// Check a URL before it is saved: whether the guard allows it, and the secrets that the hook would lose. Maintainers
/// of the project, owners of the group, and administrators.
///
/// Nothing is saved, and no request is sent to the URL.
#[utoipa::path(post, path = "/previews/url", tag = "Hooks", request_body = UrlToPreview,
    responses((status = 200, body = UrlPreview)))]
async fn preview(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(asked): Input<UrlToPreview>,
) -> Result<Json<UrlPreview>, ApiError> {
    let scope = managed::scope_of(&app, &caller, asked.project.as_deref(), asked.group.as_deref()).await?;
    let before = hook(&app, scope, asked.hook).await?;

    let variables = asked.url_variables.0.into_iter();
    let edit = HookEdit {
        url: Some(asked.url),
        url_variables: variables.map(|(name, value)| (name, value.map(Secret::new))).collect(),
        ..HookEdit::default()
    };

    let (changed, dropped) = match before.edited_with_drops(edit, app.now()) {
        Ok(changed) => changed,
        Err(error) => {
            return Ok(Json(UrlPreview {
                verdict: "invalid",
                rule: None,
                detail: Some(error.to_string()),
                shown_url: None,
                drops: Vec::new(),
                warning: None,
            }));
        }
    };

    let rule = judge_url(&changed.url, &app.engine.context.settings().guard).err();
    Ok(Json(UrlPreview {
        verdict: if rule.is_some() { "blocked" } else { "allowed" },
        rule: rule.map(|rule| rule.name()),
        detail: rule.map(|rule| rule.advice().to_owned()),
        shown_url: Some(changed.url.masked()),
        drops: dropped.iter().map(ToString::to_string).collect(),
        warning: warning(&dropped),
    }))
}

fn warning(dropped: &[Dropped]) -> Option<String> {
    let names: Vec<String> = dropped.iter().map(ToString::to_string).collect();
    let (last, others) = names.split_last()?;
    let all = if others.is_empty() {
        last.clone()
    } else {
        format!("{} and {last}", others.join(", "))
    };

    Some(format!(
        "The new URL is another address. Saving it removes {all}; enter them again to keep them."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_every_secret() {
        assert_eq!(warning(&[]), None);

        let all = [
            Dropped::Token,
            Dropped::SigningToken,
            Dropped::CustomHeader("X-Key".to_owned()),
        ];
        let text = warning(&all).unwrap_or_default();
        assert!(
            text.contains("removes the secret token, the signing token and the custom header X-Key;"),
            "{text}"
        );
    }
}
