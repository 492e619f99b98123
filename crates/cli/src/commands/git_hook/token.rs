//! The token that an installed hook has. It can only report events, so that a person who reads it can do nothing else.

use anyhow::Context;
use jiff::ToSpan;
use jiff::civil::Date;
use quickdraw_egress::Method;
use serde_json::{Value, json};

use super::complain;
use super::install::Target;
use crate::api::{Api, Query};
use crate::client::Refused;
use crate::commands::encoded;

/// The only scope of the token.
const SCOPE: &str = "report";
/// The path of the token of a request.
const SELF: &str = "v4/personal_access_tokens/self";
/// A token that is valid for less than this is replaced.
const KEPT_DAYS: i64 = 30;
/// The role that can report events of a project: Maintainer.
const MAINTAINER: i64 = 40;

/// Where the token of a hook comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// It was created for this repository.
    Made,

    /// The user gave a token that can only report events.
    Given,

    /// An earlier installation stored it.
    Kept,
}

impl Origin {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Made => "created",
            Self::Given => "given",
            Self::Kept => "kept",
        }
    }
}

/// A token that can only report events.
pub(super) struct ReportToken {
    pub(super) token: String,
    pub(super) origin: Origin,

    /// The token without its secret, as the API shows it.
    pub(super) shown: Value,
}

/// Finds or creates the token for the hook of a repository. `wanted` has the token of the user. `earlier` is the target
/// of an earlier installation.
pub(super) async fn find(wanted: &Target, earlier: Option<&Target>, repository: &str) -> anyhow::Result<ReportToken> {
    let shown = show(&wanted.url, &wanted.token).await?;
    if can_only_report(&shown) {
        return Ok(ReportToken {
            token: wanted.token.clone(),
            origin: Origin::Given,
            shown,
        });
    }

    let is_same = |earlier: &&Target| earlier.url == wanted.url && earlier.project == wanted.project;
    if let Some(earlier) = earlier.filter(is_same)
        && let Ok(shown) = show(&wanted.url, &earlier.token).await
        && can_only_report(&shown)
        && lasts(&shown, jiff::Zoned::now().date())
    {
        return Ok(ReportToken {
            token: earlier.token.clone(),
            origin: Origin::Kept,
            shown,
        });
    }

    create(wanted, repository).await
}

/// Revokes the token of a hook if it was created for its repository. Another token may be in use elsewhere. A server
/// that does not answer is a warning, because the hook can be removed without it.
pub(super) async fn revoke_made(target: &Target) {
    let Some(id) = target.token_id else { return };
    let api = Api::with(target.url.clone(), target.token.clone());
    let Err(error) = api.send(Method::DELETE, SELF, json!({})).await else {
        return;
    };

    // An expired or revoked token is no danger.
    let status = error.downcast_ref::<Refused>().map(Refused::status);
    if status != Some(401) {
        complain(&format!(
            "the previous token of the hook is still valid: {error:#}; revoke it with quickdraw tokens revoke {id} \
             --project {}",
            target.project
        ));
    }
}

async fn show(url: &str, token: &str) -> anyhow::Result<Value> {
    Api::with(url.to_owned(), token.to_owned())
        .get(SELF, &Query::new())
        .await
}

fn can_only_report(shown: &Value) -> bool {
    shown["scopes"] == json!([SCOPE])
}

/// Returns true if a token is valid for long enough to be kept.
fn lasts(shown: &Value, today: Date) -> bool {
    let Some(day) = shown["expires_at"].as_str() else {
        return true;
    };

    let day: Option<Date> = day.parse().ok();
    day.is_some_and(|day| day > today.saturating_add(KEPT_DAYS.days()))
}

async fn create(wanted: &Target, repository: &str) -> anyhow::Result<ReportToken> {
    let Target {
        project, url, token, ..
    } = wanted;
    let api = Api::with(url.clone(), token.clone());
    let path = format!("v4/projects/{}/access_tokens", encoded(project));
    let name = format!("git hook of {repository}");
    let body = json!({ "name": name, "scopes": [SCOPE], "access_level": MAINTAINER });

    let made = api.send(Method::POST, &path, body).await;
    let mut shown = made.map_err(|error| explain(error, project))?;
    let token = shown["token"].as_str().context("the server's answer has no token")?;

    let token = token.to_owned();
    shown["token"] = Value::Null;

    Ok(ReportToken {
        token,
        origin: Origin::Made,
        shown,
    })
}

/// Says how to get a token, if the user's token may not create one.
fn explain(error: anyhow::Error, project: &str) -> anyhow::Error {
    let status = error.downcast_ref::<Refused>().map(Refused::status);
    if status != Some(403) {
        return error;
    }

    error.context(format!(
        "the hook stores a token that can only report events, and your token may not create one; a maintainer of \
         {project} creates it with quickdraw tokens create git --scope report --project {project} --output FILE, and \
         you give it with --token-file FILE"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_without_other_scopes_is_stored() {
        let check = |scopes: &[&str], expected| {
            assert_eq!(can_only_report(&json!({ "scopes": scopes })), expected, "{scopes:?}");
        };

        check(&["report"], true);
        check(&["report", "read_api"], false);
        check(&["api"], false);
        check(&[], false);
    }

    #[test]
    fn a_token_that_expires_soon_is_replaced() {
        let today = Date::constant(2026, 12, 1);
        let check = |day: Value, expected| assert_eq!(lasts(&json!({ "expires_at": day }), today), expected, "{day}");

        check(json!(null), true);
        check(json!("2027-12-01"), true);
        check(json!("2026-12-31"), false);
        check(json!("2026-11-30"), false);
    }

    #[test]
    fn a_refusal_says_how_to_create_the_token() {
        let error = explain(Refused::new(403, "").into(), "gear/rope");
        assert!(
            error.to_string().contains("--scope report --project gear/rope"),
            "{error}"
        );

        let error = explain(Refused::new(404, "").into(), "gear/rope");
        assert!(!error.to_string().contains("--scope"), "{error}");
    }
}
