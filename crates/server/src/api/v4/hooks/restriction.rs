//! Reads and shows the sources, groups and projects that a hook of the instance is restricted to.

use quickdraw_domain::hook::{HookEdit, Restriction, Senders};
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{Edit, SourceId};
use serde_json::Value;

use crate::api::{find_group, find_project};
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::views::ShownRestriction;

/// Most entries of a list.
const MOST: usize = 100;
/// The word for reported events among the sources.
const REPORTS: &str = "reports";
/// The word for the source of the settings.
const DEFAULT: &str = "default";
/// The beginning of the word for a source that was deleted. Its number follows.
const DELETED: &str = "deleted ";

/// Reads the restriction of a change. Clients that save whole hooks send the restriction back as they read it, so
/// objects that were deleted are accepted if the hook is already restricted to them.
pub(super) async fn read(
    app: &App,
    scope: Scope,
    params: &Params,
    before: &Restriction,
    change: &mut HookEdit,
) -> Result<(), ApiError> {
    let (sources, groups, projects) = (
        names(params, "sources")?,
        names(params, "groups")?,
        names(params, "projects")?,
    );

    if scope != Scope::Instance {
        let named = [("sources", &sources), ("groups", &groups), ("projects", &projects)];
        if let Some((name, _)) = named.iter().find(|(_, names)| matches!(names, Edit::Set(_))) {
            return Err(ApiError::bad_parameter(format!(
                "{name} restricts system hooks only, because webhooks of a project or group get the events of that \
                 project or group"
            )));
        }

        return Ok(());
    }

    change.sources = sources.try_map(|names| senders(app, &names, before))?;
    change.groups = match groups {
        Edit::Set(names) => {
            let mut ids = Vec::new();
            for name in names {
                let found = find_group(app, &name).await.ok().map(|group| group.id.0);
                let kept = || kept(&name, before.groups.as_deref());
                ids.push(found.or_else(kept).ok_or_else(|| unknown("groups", &name))?);
            }
            Edit::Set(ids)
        }
        Edit::Clear => Edit::Clear,
        Edit::Keep => Edit::Keep,
    };
    change.projects = match projects {
        Edit::Set(names) => {
            let mut ids = Vec::new();
            for name in names {
                let found = find_project(app, &name).await.ok().map(|project| project.id.0);
                let kept = || kept(&name, before.projects.as_deref());
                ids.push(found.or_else(kept).ok_or_else(|| unknown("projects", &name))?);
            }
            Edit::Set(ids)
        }
        Edit::Clear => Edit::Clear,
        Edit::Keep => Edit::Keep,
    };

    Ok(())
}

/// Reads a list of ids, names or paths: a list, or a text with commas. An empty list removes the restriction.
fn names(params: &Params, name: &str) -> Result<Edit<Vec<String>>, ApiError> {
    let wrong = || ApiError::bad_parameter(format!("{name} must be a list of ids or names"));
    let items: Vec<String> = match params.raw(name) {
        None => return Ok(Edit::Keep),
        Some(Value::Null) => return Ok(Edit::Clear),
        Some(Value::Number(number)) => vec![number.to_string()],
        Some(Value::String(text)) => text.split(',').map(|item| item.trim().to_owned()).collect(),
        Some(Value::Array(items)) => {
            let mut texts = Vec::new();
            for item in items {
                texts.push(match item {
                    Value::String(text) => text.trim().to_owned(),
                    Value::Number(number) => number.to_string(),
                    _ => return Err(wrong()),
                });
            }
            texts
        }
        Some(_) => return Err(wrong()),
    };

    let items: Vec<String> = items.into_iter().filter(|item| !item.is_empty()).collect();
    if items.len() > MOST {
        return Err(ApiError::bad_parameter(format!(
            "{name} has too many values (maximum is {MOST})"
        )));
    }

    Ok(if items.is_empty() {
        Edit::Clear
    } else {
        Edit::Set(items)
    })
}

fn unknown(list: &str, name: &str) -> ApiError {
    let (one, how) = match list {
        "groups" => ("group", "an id or a full path"),
        "projects" => ("project", "an id or a full path"),
        _ => (
            "source",
            "the id or name of a source, `default`, or `reports` for reported events",
        ),
    };
    ApiError::bad_parameter(format!("{list}: there is no {one} {name:?}; use {how}"))
}

/// Reads the id of an object that was deleted, if the hook is already restricted to it.
fn kept(name: &str, before: Option<&[i64]>) -> Option<i64> {
    let id = name.parse().ok()?;
    before?.contains(&id).then_some(id)
}

fn senders(app: &App, names: &[String], before: &Restriction) -> Result<Senders, ApiError> {
    let before = before.sources.as_ref().map(|senders| senders.sources.as_slice());
    let directory = app.engine.context.directory();
    let mut senders = Senders::default();

    for name in names {
        match name.as_str() {
            REPORTS => senders.reports = true,
            DEFAULT => senders.sources.push(app.sources.default_source().id.0),
            _ => {
                let mut known = directory.sources().iter();
                let found = known.find(|source| source.key == *name || source.name == *name);

                let id = match name.strip_prefix(DELETED) {
                    Some(number) if found.is_none() => kept(number, before),
                    _ => found.map(|source| source.id.0),
                };
                senders.sources.push(id.ok_or_else(|| unknown("sources", name))?);
            }
        }
    }

    Ok(senders)
}

/// The restriction as the API shows it. A source that was deleted is shown as `deleted` and its number.
pub(super) fn shown(app: &App, only: &Restriction) -> ShownRestriction {
    let sources = only.sources.as_ref().map(|senders| {
        let directory = app.engine.context.directory();
        let mut shown: Vec<String> = senders.reports.then(|| REPORTS.to_owned()).into_iter().collect();

        for id in &senders.sources {
            let known = directory.sources().iter().find(|source| source.id == SourceId(*id));
            shown.push(match known {
                _ if app.sources.default_source().id.0 == *id => DEFAULT.to_owned(),
                Some(source) => source.key.clone(),
                None => format!("{DELETED}{id}"),
            });
        }

        shown
    });

    ShownRestriction {
        sources,
        groups: only.groups.clone(),
        projects: only.projects.clone(),
    }
}
