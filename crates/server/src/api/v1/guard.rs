//! Test of the guard, for administrators: the addresses of a host, and the rule that applies to each of them.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::guard::{Rule, Settings, judge_resolved, judge_url};
use quickdraw_domain::hook::HookUrl;
use quickdraw_domain::hook::url::fill;
use quickdraw_engine::Resolved;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Admin;
use crate::error::ApiError;
use crate::params::{Input, Pairs};
use crate::state::App;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(test))
}

/// A URL with which to test the guard.
#[derive(Deserialize, ToSchema)]
struct UrlToTest {
    /// The URL, with `{name}` for each URL variable.
    url: String,

    /// URL variables, at most 20.
    #[serde(default)]
    url_variables: Pairs,

    /// True to look up the addresses of the host name, and to judge each of them.
    #[serde(default)]
    resolve: bool,
}

/// The decision about an address.
#[derive(Serialize, ToSchema)]
struct AddressVerdict {
    /// The address.
    address: String,

    /// `allowed` or `blocked`.
    verdict: &'static str,

    /// Name of the rule that blocks the address.
    rule: Option<&'static str>,

    /// Meaning of the rule, and a remedy.
    detail: Option<&'static str>,
}

/// The decision about a URL, with the addresses of its host.
#[derive(Serialize, ToSchema)]
struct GuardTest {
    /// `allowed`, `blocked` or `invalid`. One blocked address blocks the URL.
    verdict: &'static str,

    /// Name of the rule that blocks the URL.
    rule: Option<&'static str>,

    /// Meaning of the rule and a remedy, or the reason why the URL is invalid.
    detail: Option<String>,

    /// The addresses of the host now, at most 32. Empty if they were not looked up.
    addresses: Vec<AddressVerdict>,

    /// Error of the look-up.
    lookup_error: Option<String>,
}

/// Test the guard with a URL. Administrators only.
///
/// With `resolve`, the host name is looked up in the same way as for an attempt, unless a proxy resolves names. No
/// request is sent to the URL.
#[utoipa::path(post, path = "/guard/test", tag = "Operations", request_body = UrlToTest,
    responses((status = 200, body = GuardTest)))]
async fn test(
    _: Admin,
    State(app): State<Arc<App>>,
    Input(asked): Input<UrlToTest>,
) -> Result<Json<GuardTest>, ApiError> {
    let variables = asked.url_variables.0;
    let value_of = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name);
        found.and_then(|(_, value)| value.as_deref())
    };

    let url = match fill(&asked.url, value_of).and_then(|filled| HookUrl::parse(&filled)) {
        Ok(url) => url,
        Err(error) => {
            return Ok(Json(GuardTest {
                verdict: "invalid",
                rule: None,
                detail: Some(format!("the URL {error}")),
                addresses: Vec::new(),
                lookup_error: None,
            }));
        }
    };

    let settings = &app.engine.context.settings().guard;
    let mut rule = judge_url(&url, settings).err();
    let (mut addresses, mut lookup_error) = (Vec::new(), None);

    if asked.resolve {
        match app.engine.dispatcher.resolve(&url).await {
            Resolved::Addresses(found) => {
                rule = rule.or_else(|| judge_resolved(&url, &found, settings).err());
                addresses = found.iter().map(|address| judged(*address, &url, settings)).collect();
            }
            Resolved::Failed(error) => lookup_error = Some(error),
            Resolved::Elsewhere => lookup_error = Some("the proxy resolves host names".to_owned()),
        }
    }

    Ok(Json(GuardTest {
        verdict: verdict(rule),
        rule: rule.map(Rule::name),
        detail: rule.map(|rule| rule.advice().to_owned()),
        addresses,
        lookup_error,
    }))
}

fn judged(address: IpAddr, url: &HookUrl, settings: &Settings) -> AddressVerdict {
    let rule = judge_resolved(url, &[address], settings).err();
    AddressVerdict {
        address: address.to_string(),
        verdict: verdict(rule),
        rule: rule.map(Rule::name),
        detail: rule.map(Rule::advice),
    }
}

const fn verdict(rule: Option<Rule>) -> &'static str {
    if rule.is_some() { "blocked" } else { "allowed" }
}
