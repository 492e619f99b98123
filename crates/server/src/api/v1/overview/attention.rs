//! The parts of an overview that need attention: hooks, sources, gaps and silent projects.

use std::time::Duration;

use axum::http::StatusCode;
use quickdraw_domain::Timestamp;
use quickdraw_domain::hook::{HookState, LastCall};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::source::Source;
use quickdraw_engine::last_received_between;
use quickdraw_store::events::EventFilter;
use quickdraw_store::insights::Projects;
use quickdraw_store::scopes::Name;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Known, Subject};
use crate::api::v1::managed;
use crate::error::ApiError;
use crate::state::App;
use crate::views::Iso;

/// Largest number of hooks that are shown.
const MAX_HOOKS: usize = 20;
/// Largest number of rows of the other lists.
const MAX_ROWS: usize = 10;
/// Largest number of sequences of projects that are read in search of gaps.
const MAX_SEQUENCES: usize = 1_000;
/// Largest number of projects of a group that are read in search of gaps.
const MAX_PROJECTS: usize = 50;
/// Time in which refusals of a source count.
const HOUR: Duration = Duration::from_secs(3600);
/// Time after which a project without events is silent, and after which it is forgotten.
const SILENT: Duration = Duration::from_secs(7 * 86_400);
const FORGOTTEN: Duration = Duration::from_secs(90 * 86_400);

/// A hook that needs attention.
#[derive(Serialize, ToSchema)]
pub(super) struct HookAttention {
    /// Id of the hook.
    id: i64,

    /// Display name, or the URL without credentials.
    title: String,

    /// Id of the project, for a project hook.
    project_id: Option<i64>,

    /// Id of the group, for a group hook.
    group_id: Option<i64>,

    /// State: `failing`, `temporarily_disabled` or `disabled`.
    state: &'static str,

    /// Reason for the state, and the next step, in sentences.
    reason: String,
}

/// A source that refused requests.
#[derive(Serialize, ToSchema)]
pub(super) struct SourceAttention {
    /// Id of the source.
    id: String,

    /// Display name.
    name: String,

    /// Number of requests that were refused.
    refused: u32,

    /// Time of the last refusal.
    last_refused_at: Iso,

    /// Reason of the last refusal.
    reason: Option<String>,
}

/// Events that never arrived.
#[derive(Serialize, ToSchema)]
pub(super) struct GapView {
    /// The project's id in received bodies, which is GitLab's and not Quickdraw's.
    source_project_id: i64,

    /// The project's path in events.
    path_with_namespace: Option<String>,

    /// The sequence: `push`, `merge_request`, `issue` or `pipeline`.
    kind: &'static str,

    /// Number of missing events.
    missing: i64,
}

/// A project that sends no events any more.
#[derive(Serialize, ToSchema)]
pub(super) struct SilentProject {
    /// Id of the project.
    id: i64,

    /// Full path of the project.
    path_with_namespace: String,

    /// Time at which its last event was received.
    last_event_at: Iso,
}

/// The hooks that need attention, those that need it most first.
pub(super) fn hooks(subject: &Subject) -> Vec<HookAttention> {
    let mut shown = Vec::new();
    for state in [HookState::Disabled, HookState::TemporarilyDisabled, HookState::Failing] {
        let of_state = subject.hooks.iter().filter(|known| known.state == state);
        shown.extend(of_state.take(MAX_HOOKS - shown.len()).map(HookAttention::from));
    }

    shown
}

impl From<&Known> for HookAttention {
    fn from(known: &Known) -> Self {
        let Known { hook, health, state } = known;
        let (project_id, group_id) = match hook.scope {
            Scope::Project(id) => (Some(id.0), None),
            Scope::Group(id) => (None, Some(id.0)),
            Scope::Instance => (None, None),
        };

        Self {
            id: hook.id.0,
            title: hook.name.clone().unwrap_or_else(|| hook.url.masked()),
            project_id,
            group_id,
            state: state.word(),
            reason: state.reason(hook, *health, LastCall::Failed),
        }
    }
}

/// The sources with refusals, those with the most first.
pub(super) async fn sources(app: &App, now: Timestamp) -> Result<Vec<SourceAttention>, ApiError> {
    let index = app.engine.context.directory();
    let others = index.sources().iter().map(AsRef::as_ref);
    let all: Vec<&Source> = std::iter::once(app.sources.default_source()).chain(others).collect();
    let mut shown = Vec::new();

    for source in all {
        let requests = app.engine.journal.last_requests(source.id).await;
        let mut requests = requests.map_err(ApiError::internal)?;
        let since = now.minus(HOUR).as_micros();
        requests.retain(|request| request.status >= StatusCode::BAD_REQUEST.as_u16() && request.at >= since);

        // The newest is the first.
        let Some(last) = requests.first() else { continue };
        shown.push(SourceAttention {
            id: if source.key.is_empty() {
                "default".to_owned()
            } else {
                source.key.clone()
            },
            name: source.name.clone(),
            refused: requests.iter().map(|request| request.count).sum(),
            last_refused_at: Iso(Timestamp::from_micros(last.at)),
            reason: last.note.clone(),
        });
    }

    shown.sort_by_key(|source| std::cmp::Reverse(source.refused));
    shown.truncate(MAX_ROWS);
    Ok(shown)
}

/// The sequences of projects with the most missing events.
pub(super) async fn gaps(app: &App, scope: Scope) -> Result<Vec<GapView>, ApiError> {
    let mut found = Vec::new();
    if scope == Scope::Instance {
        found = app.store().completeness(Projects::ALL, MAX_SEQUENCES).await?;
    } else {
        for id in managed::ids_of(app, scope).await?.into_iter().take(MAX_PROJECTS) {
            found.extend(app.store().completeness(Projects::One(id), MAX_SEQUENCES).await?);
        }
    }

    found.retain(|one| one.missing > 0);
    found.sort_by_key(|one| std::cmp::Reverse(one.missing));
    found.truncate(MAX_ROWS);

    let mut shown = Vec::new();
    for one in found {
        shown.push(GapView {
            source_project_id: one.project,
            kind: one.kind.name(),
            missing: one.missing,
            path_with_namespace: one.project_path,
        });
    }

    Ok(shown)
}

/// The projects that fell silent, the latest first.
pub(super) async fn silent_projects(app: &App, subject: &Subject) -> Result<Vec<SilentProject>, ApiError> {
    let (from, to) = (subject.now.minus(FORGOTTEN), subject.now.minus(SILENT));
    let known = last_received_between(&app.engine.journal, from, to);
    let mut shown = Vec::new();

    for (id, at) in known {
        if shown.len() == MAX_ROWS {
            break;
        }

        let place = Place::Project(id);
        if !app.engine.context.is_in(place, subject.scope) {
            continue;
        }

        // Another node can have received a later event.
        let newest = EventFilter {
            project: Some(id),
            limit: 1,
            ..EventFilter::default()
        };
        let newest = app.store().list_events(newest).await?.rows;
        if newest.first().is_some_and(|event| event.received_at >= to) {
            continue;
        }

        let Some(project) = app.store().find_project(Name::Id(id.0)).await? else {
            continue;
        };
        shown.push(SilentProject {
            id: id.0,
            path_with_namespace: project.path_with_namespace,
            last_event_at: Iso(at),
        });
    }

    Ok(shown)
}
