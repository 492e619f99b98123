//! The overview of a project, a group or the instance: the parts that need attention, and the load of the last hour.

mod attention;
mod load;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::health::Health;
use quickdraw_domain::hook::{Hook, HookState, LastCall};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{HookId, Timestamp};
use quickdraw_engine::places;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::attention::{GapView, HookAttention, SilentProject, SourceAttention};
use self::load::{Minute, OverviewBacklog};
use super::managed;
use super::reach::MAX_PLACES;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;
use crate::views::Iso;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(overview))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct OverviewQuery {
    /// Only this project: id or full path.
    project: Option<String>,

    /// Only this group, with everything in it: id or full path. Without a project or a group, the whole instance.
    group: Option<String>,
}

/// Numbers of hooks by state.
#[derive(Serialize, ToSchema, Default)]
struct HookCounts {
    /// All hooks.
    total: usize,

    /// Hooks without a failure since their last success.
    healthy: usize,

    /// Hooks with failures that do not disable them yet.
    failing: usize,

    /// Hooks that failures disable for a while.
    temporarily_disabled: usize,

    /// Hooks that are disabled until somebody enables them.
    disabled: usize,

    /// Hooks that a person paused.
    paused: usize,
}

/// The overview of a project, a group or the instance.
#[derive(Serialize, ToSchema)]
struct Overview {
    /// Time of the answer.
    at: Iso,

    /// True while silent mode is on, in which no hook is called.
    silent_mode: bool,

    /// Numbers of hooks.
    hooks: HookCounts,

    /// At most 20 hooks that need attention: disabled hooks first, then those that are temporarily disabled, then those
    /// that fail.
    attention: Vec<HookAttention>,

    /// Deliveries that have not ended.
    backlog: OverviewBacklog,

    /// Sources that refused requests in the last hour, of the last 100 requests of each. Null unless the overview is
    /// that of the instance.
    sources: Option<Vec<SourceAttention>>,

    /// At most 10 sequences of projects with the most missing events. Of a group, the first 50 projects are read.
    gaps: Vec<GapView>,

    /// At most 10 projects whose last event was received 7 to 90 days ago, the latest first.
    silent_projects: Vec<SilentProject>,

    /// The last 60 minutes, the oldest first. The last minute has not ended.
    minutes: Vec<Minute>,
}

/// Show what needs attention in a project, a group or the instance, and the load of the last hour. Maintainers of the
/// project, owners of the group, and administrators.
///
/// The work is limited: at most 20,000 events and 12,000 attempts are read for the last hour, and minutes before the
/// oldest of them are null. Deliveries of a group are those of its first 100 hooks.
#[utoipa::path(get, path = "/overview", tag = "Operations", params(OverviewQuery),
    responses((status = 200, body = Overview)))]
async fn overview(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(query): Input<OverviewQuery>,
) -> Result<Json<Overview>, ApiError> {
    let scope = managed::scope_of(&app, &caller, query.project.as_deref(), query.group.as_deref()).await?;
    let subject = Subject::of(&app, scope).await?;
    let is_of_instance = scope == Scope::Instance;

    let sources = if is_of_instance {
        Some(attention::sources(&app, subject.now).await?)
    } else {
        None
    };
    let load = load::read(&app, &subject).await?;

    Ok(Json(Overview {
        at: Iso(subject.now),
        silent_mode: app.engine.context.is_silent(),
        hooks: subject.counts(),
        attention: attention::hooks(&subject),
        backlog: load.backlog,
        sources,
        gaps: attention::gaps(&app, scope).await?,
        silent_projects: attention::silent_projects(&app, &subject).await?,
        minutes: load.minutes,
    }))
}

/// A hook with its health and its state.
struct Known {
    hook: Arc<Hook>,
    health: Health,
    state: HookState,
}

/// The subject of an overview.
struct Subject {
    scope: Scope,
    now: Timestamp,

    /// The projects and groups; `None` for the instance.
    places: Option<Vec<Place>>,

    /// The hooks of these projects and groups, by id. Hooks of the instance belong to the instance only.
    hooks: Vec<Known>,
}

impl Subject {
    async fn of(app: &App, scope: Scope) -> Result<Self, ApiError> {
        let index = app.engine.context.directory();
        let inside = match scope {
            Scope::Project(id) => Some(vec![Place::Project(id)]),
            Scope::Group(id) => Some(places::inside(&index, id, MAX_PLACES).ok_or_else(|| {
                let detail = format!("the group has more than {MAX_PLACES} projects; choose one of its subgroups");
                ApiError::field("group", detail)
            })?),
            Scope::Instance => None,
        };

        let mut found: Vec<Arc<Hook>> = match &inside {
            Some(inside) => {
                let hooks = inside.iter().flat_map(|place| places::hooks_of(&index, *place));
                hooks.cloned().collect()
            }
            None => places::all_hooks(&index).cloned().collect(),
        };
        found.sort_unstable_by_key(|hook| hook.id);

        let now = app.now();
        let failing = app.store().failing_hooks().await?;
        let failing: HashMap<HookId, Health> = failing.into_iter().collect();

        let mut hooks = Vec::with_capacity(found.len());
        for hook in found {
            let health = failing.get(&hook.id).copied().unwrap_or_default();
            let state = HookState::of(&hook, health, LastCall::None, now);
            hooks.push(Known { hook, health, state });
        }

        Ok(Self {
            scope,
            now,
            places: inside,
            hooks,
        })
    }

    fn counts(&self) -> HookCounts {
        let mut counts = HookCounts {
            total: self.hooks.len(),
            ..HookCounts::default()
        };
        for known in &self.hooks {
            let count = match known.state {
                HookState::Healthy => &mut counts.healthy,
                HookState::Failing => &mut counts.failing,
                HookState::TemporarilyDisabled => &mut counts.temporarily_disabled,
                HookState::Disabled => &mut counts.disabled,
                HookState::Paused => &mut counts.paused,
            };
            *count += 1;
        }

        counts
    }
}
