//! Finds members and teams by id, by name, and by their handles, in any case; and says which metric a wrong name means.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use quickdraw_insights::metrics;
use quickdraw_insights::roster::{Handle, Resolver, Roster, Who};

use crate::error::{ApiError, FieldError, Kind};
use crate::params::near;

/// Finds one member by id, by name, or by handle (username, e-mail address or account id). A merged member stands for
/// the member it was merged into.
pub(super) fn member(roster: &Roster, resolver: &Resolver, text: &str) -> Result<i64, ApiError> {
    let named = roster.members().iter().map(|(id, member)| (*id, member.name.as_str()));
    let found = matching(named, text).into_iter().map(|id| roster.root(id)).collect();
    if let Some(id) = the_only(&found, text, "member")? {
        return Ok(id);
    }

    let spellings = [text.to_owned(), format!("@{text}")];
    for handle in spellings.into_iter().filter_map(|text| Handle::try_from(text).ok()) {
        if let Who::Member(id) = resolver.handle(&handle) {
            return Ok(id);
        }
    }

    Err(unknown("member", text))
}

/// Finds one team by id or name.
pub(super) fn team(roster: &Roster, text: &str) -> Result<i64, ApiError> {
    let named = roster.teams().iter().map(|(id, team)| (*id, team.name.as_str()));
    let found = matching(named, text).into_iter().collect();
    the_only(&found, text, "team")?.ok_or_else(|| unknown("team", text))
}

/// Finds ids by number, else by exact name, else by name in any case.
fn matching<'a>(named: impl Iterator<Item = (i64, &'a str)>, text: &str) -> Vec<i64> {
    let number: Option<i64> = text.parse().ok();
    let lower = text.trim().to_lowercase();
    let (mut by_number, mut exact, mut in_any_case) = (Vec::new(), Vec::new(), Vec::new());

    for (id, name) in named {
        if Some(id) == number {
            by_number.push(id);
        }

        if name == text {
            exact.push(id);
        }

        if name.to_lowercase() == lower {
            in_any_case.push(id);
        }
    }

    [by_number, exact, in_any_case]
        .into_iter()
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

/// 404 for a metric in a path that does not exist.
pub(super) fn unknown_metric(name: &str) -> ApiError {
    let problem = no_metric(name);
    ApiError::problem(StatusCode::NOT_FOUND, problem.detail)
}

/// 400 for a metric in a parameter that does not exist.
pub(super) fn no_metric_named(name: &str) -> ApiError {
    ApiError::fields(Kind::InvalidParameter, vec![no_metric(name)])
}

fn no_metric(name: &str) -> FieldError {
    let near = near::nearest(name, metrics::all().map(|metric| metric.name));
    let hint = near.map_or_else(
        || "GET /api/v1/insights/metrics lists them".to_owned(),
        |near| format!("did you mean {near}?"),
    );
    let name = near::shown(name);
    FieldError {
        did_you_mean: near.map(str::to_owned),
        ..FieldError::new("metric", format!("there is no metric {name}; {hint}"))
    }
}

fn the_only(found: &BTreeSet<i64>, text: &str, what: &str) -> Result<Option<i64>, ApiError> {
    if found.len() > 1 {
        let numbers: Vec<String> = found.iter().map(ToString::to_string).collect();
        let numbers = numbers.join(", ");
        return Err(ApiError::field(
            what,
            format!("more than one {what} is named {text}; use one of the ids {numbers}"),
        ));
    }

    Ok(found.first().copied())
}

fn unknown(what: &str, text: &str) -> ApiError {
    ApiError::problem(StatusCode::NOT_FOUND, format!("there is no {what} {text}"))
}
