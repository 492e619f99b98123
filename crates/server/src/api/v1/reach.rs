//! The part of history that a caller can see. Administrators see everything. Other users name a project that they
//! maintain or a group that they own, and see its events, and deliveries to the hooks that they can manage.

use axum::http::StatusCode;
use quickdraw_domain::HookId;
use quickdraw_domain::access::{AccessLevel, Action};
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_engine::places;
use quickdraw_store::lists::{Page, Start};
use quickdraw_store::scopes::ScopeFilter;

use super::lookup;
use crate::api::find_group;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;

/// Largest number of projects and groups in a group whose history is searched.
pub(super) const MAX_PLACES: usize = 10_000;
/// Largest number of projects, and of groups, that a search of a user covers if it names none.
const MAX_MANAGED: i64 = 100;

/// The part of history that a list shows.
pub(super) struct Reach {
    /// Only events in these projects and groups; `None` for all.
    pub(super) places: Option<Vec<Place>>,

    /// Only deliveries to these hooks; `None` for all.
    pub(super) hooks: Option<Vec<HookId>>,
}

/// The filters that name projects.
pub(super) struct Named<'a> {
    pub(super) project: Option<&'a str>,
    pub(super) group: Option<&'a str>,

    /// Full path of either.
    pub(super) path: Option<&'a str>,
}

impl Reach {
    /// Finds the projects that a request names, and checks that the caller may see their history.
    ///
    /// # Errors
    /// 404 for a project or group that the caller may not see, and 403 if a caller who is no administrator names none.
    pub(super) async fn of(app: &App, caller: &Caller, named: Named<'_>) -> Result<Self, ApiError> {
        let Some(place) = place(app, caller, &named).await? else {
            if caller.actor.is_admin {
                return Ok(Self {
                    places: None,
                    hooks: None,
                });
            }

            let detail = "name a project or group that you maintain: project=… or group=…";
            return Err(ApiError::problem(StatusCode::FORBIDDEN, detail));
        };

        let index = app.engine.context.directory();
        caller.require(scope_of(place), Action::Hooks).await?;

        let places = match place {
            Place::Group(group) => places::inside(&index, group, MAX_PLACES).ok_or_else(|| {
                let detail = format!("the group has more than {MAX_PLACES} projects; choose one of its subgroups");
                ApiError::field("group", detail)
            })?,
            other => vec![other],
        };

        let hooks = (!caller.actor.is_admin).then(|| {
            let hooks = places.iter().flat_map(|place| places::hooks_of(&index, *place));
            hooks.map(|hook| hook.id).collect()
        });

        Ok(Self {
            places: Some(places),
            hooks,
        })
    }

    /// Finds the projects that a caller who is no administrator maintains, and the groups that they own; at most 100 of
    /// each.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn of_member(app: &App, caller: &Caller) -> Result<Self, ApiError> {
        let page = Page {
            start: Start::Offset(0),
            limit: MAX_MANAGED,
        };
        let filter = |role| ScopeFilter {
            visible_to: caller.sees(),
            least_role: Some(role),
            ..ScopeFilter::default()
        };

        let projects = app.store().list_projects(filter(AccessLevel::Maintainer), page).await?;
        let groups = app.store().list_groups(filter(AccessLevel::Owner), page).await?;
        let index = app.engine.context.directory();
        let mut places: Vec<Place> = projects.rows.iter().map(|project| Place::Project(project.id)).collect();
        for group in &groups.rows {
            places.push(Place::Group(group.id));
        }

        let hooks = places.iter().flat_map(|place| places::hooks_of(&index, *place));
        let hooks = hooks.map(|hook| hook.id).collect();

        Ok(Self {
            places: Some(places),
            hooks: Some(hooks),
        })
    }

    /// Limits the hooks to one that the request names.
    pub(super) fn with_hook(mut self, hook: Option<i64>) -> Self {
        let Some(hook) = hook.map(HookId) else { return self };

        let is_seen = self.hooks.as_ref().is_none_or(|hooks| hooks.contains(&hook));
        self.hooks = Some(if is_seen { vec![hook] } else { Vec::new() });
        self
    }
}

async fn place(app: &App, caller: &Caller, named: &Named<'_>) -> Result<Option<Place>, ApiError> {
    let given = [("project", named.project), ("group", named.group), ("path", named.path)];
    let mut given = given.iter().filter(|(_, value)| value.is_some());
    if let (Some((one, _)), Some((other, _))) = (given.next(), given.next()) {
        let detail = format!("{one} and {other} cannot be combined; remove one of them");
        return Err(ApiError::field(other, detail));
    }

    if let Some(project) = named.project {
        return Ok(Some(Place::Project(lookup::find(app, caller, project).await?.id)));
    }

    if let Some(group) = named.group {
        return Ok(Some(Place::Group(find_group(app, group).await?.id)));
    }

    let Some(path) = named.path else { return Ok(None) };
    let path = path.trim_matches('/');
    if let Some(group) = app.engine.context.directory().group_at(path) {
        return Ok(Some(Place::Group(group)));
    }

    Ok(Some(Place::Project(lookup::find(app, caller, path).await?.id)))
}

const fn scope_of(place: Place) -> Scope {
    match place {
        Place::Project(id) => Scope::Project(id),
        Place::Group(id) => Scope::Group(id),
        Place::Instance | Place::Elsewhere => Scope::Instance,
    }
}

/// Checks whether a caller may manage a project, a group or the instance.
///
/// # Errors
/// When the store fails.
pub(super) async fn may_manage(caller: &Caller, scope: Scope) -> Result<bool, ApiError> {
    match caller.require(scope, Action::Hooks).await {
        Ok(()) => Ok(true),
        Err(error @ ApiError::Store(_)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// Checks whether a caller may see what belongs to a place.
///
/// # Errors
/// When the store fails.
pub(super) async fn may_see_place(caller: &Caller, place: Place) -> Result<bool, ApiError> {
    may_manage(caller, scope_of(place)).await
}

/// Checks whether a caller may see deliveries to a hook. Only administrators see those to deleted hooks.
///
/// # Errors
/// When the store fails.
pub(super) async fn may_see_hook(app: &App, caller: &Caller, hook: HookId) -> Result<bool, ApiError> {
    if caller.actor.is_admin {
        return Ok(true);
    }

    let scope = app.engine.context.directory().hook(hook).map(|hook| hook.scope);
    match scope {
        Some(scope) => may_manage(caller, scope).await,
        None => Ok(false),
    }
}
