//! `/api/v1/names`: the names behind the ids in lists of history. A page needs one request for all rows of a list.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{EventId, GroupId, HookId, ProjectId};
use quickdraw_store::scopes::Name;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{MAX_PER_PAGE, reach};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::Input;
use crate::state::App;
use crate::views::Event;

/// Largest number of ids of a kind.
const MAX_IDS: usize = MAX_PER_PAGE as usize;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(names))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct NamesQuery {
    /// Ids of hooks, separated by commas; at most 100.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    hooks: Vec<i64>,

    /// Ids of projects, separated by commas; at most 100.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    projects: Vec<i64>,

    /// Ids of groups, separated by commas; at most 100.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    groups: Vec<i64>,

    /// Ids of events, separated by commas; at most 100.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    events: Vec<Uuid>,

    /// Ids of users, separated by commas; at most 100.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    users: Vec<i64>,
}

/// The names of objects.
#[derive(Serialize, ToSchema)]
struct Names {
    /// The hooks.
    hooks: Vec<NamedHook>,

    /// The projects.
    projects: Vec<NamedScope>,

    /// The groups.
    groups: Vec<NamedScope>,

    /// The events.
    events: Vec<Event>,

    /// The users, and the bots of tokens.
    users: Vec<NamedUser>,
}

/// A user with their name.
#[derive(Serialize, ToSchema)]
struct NamedUser {
    /// Id of the user.
    id: i64,

    /// Username.
    username: String,

    /// Display name.
    name: String,
}

/// A hook with its name.
#[derive(Serialize, ToSchema)]
struct NamedHook {
    /// Id of the hook.
    id: i64,

    /// Display name, or the URL without credentials.
    title: String,

    /// Id of the project, for a project hook.
    project_id: Option<i64>,

    /// Id of the group, for a group hook.
    group_id: Option<i64>,

    /// Full path of the project or group. Null for a system hook.
    path: Option<String>,
}

/// A project or group with its name.
#[derive(Serialize, ToSchema)]
struct NamedScope {
    /// Id of the project or group.
    id: i64,

    /// Name.
    name: String,

    /// Full path.
    full_path: String,
}

/// Show the names of hooks, projects, groups, events and users by their ids.
///
/// The answer leaves out objects that do not exist, and hooks, projects, groups and events that the user does not
/// manage as a maintainer of the project, an owner of the group, or an administrator.
#[utoipa::path(get, path = "/names", tag = "History", params(NamesQuery), responses((status = 200, body = Names)))]
async fn names(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(asked): Input<NamesQuery>,
) -> Result<Json<Names>, ApiError> {
    check("hooks", asked.hooks.len())?;
    check("projects", asked.projects.len())?;
    check("groups", asked.groups.len())?;
    check("events", asked.events.len())?;
    check("users", asked.users.len())?;

    let mut known = Known {
        app: &app,
        caller: &caller,
        scopes: HashMap::new(),
    };
    let mut names = Names {
        hooks: Vec::new(),
        projects: Vec::new(),
        groups: Vec::new(),
        events: Vec::new(),
        users: Vec::new(),
    };

    for id in distinct(asked.hooks) {
        names.hooks.extend(known.hook(HookId(id)).await?);
    }

    for id in distinct(asked.projects) {
        names.projects.extend(known.named(Scope::Project(ProjectId(id))).await?);
    }

    for id in distinct(asked.groups) {
        names.groups.extend(known.named(Scope::Group(GroupId(id))).await?);
    }

    let ids = distinct(asked.events).into_iter().map(EventId).collect();
    for event in app.store().events_by_id(ids).await? {
        if known.may_see(scope_of(event.place)).await? {
            names.events.push(Event::from(&event));
        }
    }

    for id in distinct(asked.users) {
        let found = app.store().find_user(id).await?;
        names.users.extend(found.map(|user| NamedUser {
            id,
            username: user.username,
            name: user.name,
        }));
    }

    Ok(Json(names))
}

fn check(name: &str, count: usize) -> Result<(), ApiError> {
    if count <= MAX_IDS {
        return Ok(());
    }

    let detail = format!("{name} has {count} ids; ask for at most {MAX_IDS} at once");
    Err(ApiError::field(name, detail))
}

fn distinct<T: Ord>(ids: Vec<T>) -> BTreeSet<T> {
    ids.into_iter().collect()
}

const fn scope_of(place: Place) -> Scope {
    match place {
        Place::Project(id) => Scope::Project(id),
        Place::Group(id) => Scope::Group(id),
        Place::Instance | Place::Elsewhere => Scope::Instance,
    }
}

/// A project, a group or the instance that was looked up.
#[derive(Clone)]
struct KnownScope {
    is_visible: bool,
    name: String,
    path: Option<String>,
}

/// The projects and groups that were looked up so far.
struct Known<'a> {
    app: &'a Arc<App>,
    caller: &'a Caller,
    scopes: HashMap<Scope, KnownScope>,
}

impl Known<'_> {
    async fn scope(&mut self, scope: Scope) -> Result<KnownScope, ApiError> {
        if let Some(known) = self.scopes.get(&scope) {
            return Ok(known.clone());
        }

        let is_visible = reach::may_manage(self.caller, scope).await?;
        let store = self.app.store();
        let found = match scope {
            Scope::Project(id) if is_visible => {
                let project = store.find_project(Name::Id(id.0)).await?;
                project.map(|project| (project.name, project.path_with_namespace))
            }
            Scope::Group(id) if is_visible => {
                let group = store.find_group(Name::Id(id.0)).await?;
                group.map(|group| (group.name, group.full_path))
            }
            _ => None,
        };

        let (name, path) = found.unzip();
        let known = KnownScope {
            is_visible,
            name: name.unwrap_or_default(),
            path,
        };
        self.scopes.insert(scope, known.clone());
        Ok(known)
    }

    async fn may_see(&mut self, scope: Scope) -> Result<bool, ApiError> {
        Ok(self.scope(scope).await?.is_visible)
    }

    async fn named(&mut self, scope: Scope) -> Result<Option<NamedScope>, ApiError> {
        let id = match scope {
            Scope::Project(id) => id.0,
            Scope::Group(id) => id.0,
            Scope::Instance => return Ok(None),
        };
        let known = self.scope(scope).await?;
        Ok(known.path.map(|full_path| NamedScope {
            id,
            name: known.name,
            full_path,
        }))
    }

    async fn hook(&mut self, id: HookId) -> Result<Option<NamedHook>, ApiError> {
        let hook = self.app.engine.context.directory().hook(id).cloned();
        let Some(hook) = hook else { return Ok(None) };

        let scope = self.scope(hook.scope).await?;
        if !scope.is_visible {
            return Ok(None);
        }

        let (project_id, group_id) = match hook.scope {
            Scope::Project(id) => (Some(id.0), None),
            Scope::Group(id) => (None, Some(id.0)),
            Scope::Instance => (None, None),
        };
        let name = hook.name.clone().filter(|name| !name.is_empty());
        Ok(Some(NamedHook {
            id: id.0,
            title: name.unwrap_or_else(|| hook.url.masked()),
            project_id,
            group_id,
            path: scope.path,
        }))
    }
}
