//! The search box: projects, groups, hooks, events and deliveries by a name, a path, an id, a key or an object.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use quickdraw_domain::envelope::Envelope;
use quickdraw_domain::event::{DedupeKey, Event, Origin};
use quickdraw_domain::history::ObjectReference;
use quickdraw_domain::hook::Hook;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{DeliveryId, EventId, SourceId};
use quickdraw_engine::places;
use quickdraw_store::lists::{Page, Start};
use quickdraw_store::scopes::{Name, ScopeFilter};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::history;
use super::reach::{self, Named, Reach};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::params::{Input, Line};
use crate::state::App;

/// Largest number of results of each kind. There are four kinds of lists.
const MAX_OF_A_KIND: usize = 5;
/// The same number, for lists of projects and groups.
const SCOPES: i64 = 5;
/// Largest number of keys that are looked up. A key is stored with the project of its event.
const MAX_KEYS: usize = 100;
/// Shortest beginning of a commit id, in digits.
const SHORTEST_SHA: usize = 7;
/// Number of digits of a commit id.
const LONGEST_SHA: usize = 64;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(search))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchQuery {
    /// The text: a part of the path of a project or group, of the name or URL of a hook; an id of an event or delivery;
    /// the `Idempotency-Key` of a request; the first 7 or more digits of a commit id; `!12` or `#7`.
    #[param(value_type = String)]
    q: Line<255>,

    /// Only hooks and events of this project: id or full path.
    project: Option<String>,

    /// Only hooks and events of this group, with everything in it: id or full path.
    group: Option<String>,
}

/// Kind of a result.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum FoundKind {
    /// A project.
    Project,

    /// A group.
    Group,

    /// A hook.
    Hook,

    /// An event.
    Event,

    /// A delivery.
    Delivery,
}

/// A result of a search.
#[derive(Serialize, ToSchema)]
struct FoundItem {
    /// Kind of the result.
    kind: FoundKind,

    /// Id of the object.
    id: String,

    /// Name of the object.
    title: String,

    /// Full path of its project or group. Null for the instance.
    path: Option<String>,

    /// Level of this path: `project`, `group` or `instance`.
    level: &'static str,

    /// Path of the object in the API.
    api_path: String,
}

/// Results of a search.
#[derive(Serialize, ToSchema)]
struct FoundItems {
    /// At most 20 results: projects, groups, hooks, events and deliveries, in this order.
    items: Vec<FoundItem>,

    /// False if there can be more results, because a list was full or not everything was examined.
    complete: bool,
}

/// Search projects, groups, hooks, events and deliveries.
///
/// Users who are no administrators find projects and groups in which they are members, and hooks, events and deliveries
/// of projects that they maintain and groups that they own. An object such as `!12` and a commit id are looked for in
/// at most 1,000 bodies of the newest events, and a key in at most 100 projects.
#[utoipa::path(get, path = "/search", tag = "History", params(SearchQuery),
    responses((status = 200, body = FoundItems)))]
async fn search(
    caller: Caller,
    State(app): State<Arc<App>>,
    Input(query): Input<SearchQuery>,
) -> Result<Json<FoundItems>, ApiError> {
    let named = Named {
        project: query.project.as_deref(),
        group: query.group.as_deref(),
        path: None,
    };
    let is_named = query.project.is_some() || query.group.is_some();
    let reach = if is_named || caller.actor.is_admin {
        Reach::of(&app, &caller, named).await?
    } else {
        Reach::of_member(&app, &caller).await?
    };

    let mut found = Found {
        app: &app,
        caller: &caller,
        reach: &reach,
        paths: HashMap::new(),
        items: Vec::new(),
        complete: true,
    };
    let text = query.q.0.trim();

    found.scopes(text).await?;
    found.hooks(text).await?;

    match Uuid::parse_str(text) {
        Ok(id) => found.by_id(id).await?,
        Err(_) => found.about(text).await?,
    }

    found.by_key(text).await?;

    Ok(Json(FoundItems {
        items: found.items,
        complete: found.complete,
    }))
}

/// The results so far.
struct Found<'a> {
    app: &'a Arc<App>,
    caller: &'a Caller,
    reach: &'a Reach,

    /// Full paths of projects and groups that were looked up.
    paths: HashMap<Scope, Option<String>>,
    items: Vec<FoundItem>,
    complete: bool,
}

impl Found<'_> {
    /// Finds projects and groups by a part of their name or path.
    async fn scopes(&mut self, text: &str) -> Result<(), ApiError> {
        let page = Page {
            start: Start::Offset(0),
            limit: SCOPES,
        };
        let filter = ScopeFilter {
            search: Some(text.to_owned()),
            visible_to: self.caller.sees(),
            ..ScopeFilter::default()
        };

        let projects = self.app.store().list_projects(filter.clone(), page).await?.rows;
        self.complete &= projects.len() < MAX_OF_A_KIND;
        for project in projects {
            self.items.push(FoundItem {
                kind: FoundKind::Project,
                id: project.id.to_string(),
                title: project.name,
                path: Some(project.path_with_namespace),
                level: "project",
                api_path: format!("/api/v4/projects/{}", project.id),
            });
        }

        let groups = self.app.store().list_groups(filter, page).await?.rows;
        self.complete &= groups.len() < MAX_OF_A_KIND;
        for group in groups {
            self.items.push(FoundItem {
                kind: FoundKind::Group,
                id: group.id.to_string(),
                title: group.name,
                path: Some(group.full_path),
                level: "group",
                api_path: format!("/api/v4/groups/{}", group.id),
            });
        }

        Ok(())
    }

    /// Finds hooks by a part of their name or shown URL. The directory is in memory.
    async fn hooks(&mut self, text: &str) -> Result<(), ApiError> {
        let index = self.app.engine.context.directory();
        let wanted = text.to_lowercase();
        let mut hooks: Vec<&Arc<Hook>> = match &self.reach.places {
            Some(inside) => inside
                .iter()
                .flat_map(|place| places::hooks_of(&index, *place))
                .collect(),
            None => places::all_hooks(&index).collect(),
        };
        hooks.retain(|hook| is_named_like(hook, &wanted));
        hooks.sort_unstable_by_key(|hook| hook.id);
        self.complete &= hooks.len() <= MAX_OF_A_KIND;

        for hook in hooks.into_iter().take(MAX_OF_A_KIND) {
            let path = self.path_of(hook.scope).await?;
            let place = match hook.scope {
                Scope::Project(id) => format!("projects/{id}/"),
                Scope::Group(id) => format!("groups/{id}/"),
                Scope::Instance => String::new(),
            };
            self.items.push(FoundItem {
                kind: FoundKind::Hook,
                id: hook.id.to_string(),
                title: hook.name.clone().unwrap_or_else(|| hook.url.masked()),
                path,
                level: level(hook.scope),
                api_path: format!("/api/v4/{place}hooks/{}", hook.id),
            });
        }

        Ok(())
    }

    /// Finds an event or a delivery by its id. The id of a delivery is the `Idempotency-Key` of its requests.
    async fn by_id(&mut self, id: Uuid) -> Result<(), ApiError> {
        if let Some((event, _)) = self.app.store().find_event(EventId(id)).await? {
            return self.add_event(&event).await;
        }

        let Some(delivery) = self.app.store().find_delivery(DeliveryId(id)).await? else {
            return Ok(());
        };
        if !reach::may_see_hook(self.app, self.caller, delivery.hook).await? {
            return Ok(());
        }

        let scope = self
            .app
            .engine
            .context
            .directory()
            .hook(delivery.hook)
            .map(|hook| hook.scope);
        let path = match scope {
            Some(scope) => self.path_of(scope).await?,
            None => None,
        };
        self.items.push(FoundItem {
            kind: FoundKind::Delivery,
            id: delivery.id.to_string(),
            title: format!("Delivery to webhook {}: {}", delivery.hook, delivery.state.word()),
            path,
            level: scope.map_or("instance", level),
            api_path: format!("/api/v1/deliveries/{}", delivery.id),
        });

        Ok(())
    }

    /// Finds the newest events about an object, or with a commit.
    async fn about(&mut self, text: &str) -> Result<(), ApiError> {
        let is_sha =
            (SHORTEST_SHA..=LONGEST_SHA).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let Some(object) = ObjectReference::parse(text) else {
            return Ok(());
        };
        if matches!(object, ObjectReference::Named(_)) && !is_sha {
            return Ok(());
        }

        let found = history::about(self.app, self.reach.places.clone(), object, MAX_OF_A_KIND).await?;
        self.complete &= found.next.is_none();
        for event in &found.rows {
            self.add_event(event).await?;
        }

        Ok(())
    }

    /// Finds the event of a request by its key. Keys are stored with the source and the project, so each pair is a
    /// look-up.
    async fn by_key(&mut self, text: &str) -> Result<(), ApiError> {
        let mut keys = self.keys(text);
        if keys.len() > MAX_KEYS {
            keys.truncate(MAX_KEYS);
            self.complete = false;
        }

        for key in keys {
            let Some(id) = self.app.store().find_key(key).await? else {
                continue;
            };
            let shown = id.to_string();
            if self.items.iter().any(|item| item.id == shown) {
                continue;
            }

            if let Some((event, _)) = self.app.store().find_event(id).await? {
                return self.add_event(&event).await;
            }
        }

        Ok(())
    }

    fn keys(&self, text: &str) -> Vec<DedupeKey> {
        let index = self.app.engine.context.directory();
        let default = self.app.sources.default_source().id;
        let others = index.sources().iter().map(|source| source.id);
        let sources: Vec<SourceId> = std::iter::once(default).chain(others).collect();

        let searched: Vec<Place> = match &self.reach.places {
            Some(inside) => inside.iter().copied().take(MAX_KEYS + 1).collect(),
            None => places::all(&index).take(MAX_KEYS + 1).collect(),
        };

        let mut keys = Vec::new();
        for place in searched {
            keys.push(DedupeKey::new(Origin::Api, place, text.to_owned()));

            let Place::Project(project) = place else { continue };
            for number in places::numbers_of(&index, project) {
                let key = Envelope::dedupe_key_in_project(number, text);
                let of_source = |source: &SourceId| DedupeKey::new(Origin::Source(*source), place, key.clone());
                keys.extend(sources.iter().map(of_source));
            }

            if keys.len() > MAX_KEYS {
                break;
            }
        }

        keys
    }

    /// Adds an event, if the caller may see it and it belongs to the places of the search.
    async fn add_event(&mut self, event: &Event) -> Result<(), ApiError> {
        let is_here = self
            .reach
            .places
            .as_ref()
            .is_none_or(|places| places.contains(&event.place));
        if !is_here || !reach::may_see_place(self.caller, event.place).await? {
            return Ok(());
        }

        let scope = match event.place {
            Place::Project(id) => Scope::Project(id),
            Place::Group(id) => Scope::Group(id),
            Place::Instance | Place::Elsewhere => Scope::Instance,
        };
        let path = self.path_of(scope).await?;
        let name = event.trigger.row().name;
        let title = match &event.git_ref {
            Some(git_ref) => format!("{name} {git_ref}"),
            None => name.to_owned(),
        };

        self.items.push(FoundItem {
            kind: FoundKind::Event,
            id: event.id.to_string(),
            title,
            path,
            level: level(scope),
            api_path: format!("/api/v1/events/{}", event.id),
        });
        Ok(())
    }

    /// The full path of a project or group.
    async fn path_of(&mut self, scope: Scope) -> Result<Option<String>, ApiError> {
        if let Some(known) = self.paths.get(&scope) {
            return Ok(known.clone());
        }

        let store = self.app.store();
        let path = match scope {
            Scope::Project(id) => {
                let project = store.find_project(Name::Id(id.0)).await?;
                project.map(|project| project.path_with_namespace)
            }
            Scope::Group(id) => store.find_group(Name::Id(id.0)).await?.map(|group| group.full_path),
            Scope::Instance => None,
        };
        self.paths.insert(scope, path.clone());

        Ok(path)
    }
}

/// The word of a level.
const fn level(scope: Scope) -> &'static str {
    match scope {
        Scope::Project(_) => "project",
        Scope::Group(_) => "group",
        Scope::Instance => "instance",
    }
}

/// Whether the name or the shown URL of a hook contains a text, which is in lower case.
fn is_named_like(hook: &Hook, wanted: &str) -> bool {
    let name = hook.name.as_deref().unwrap_or_default();
    name.to_lowercase().contains(wanted) || hook.url.masked().to_lowercase().contains(wanted)
}
