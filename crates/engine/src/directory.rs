//! The hook directory in memory: scope chain × trigger → hooks. An event without a subscribed hook costs no query.

pub(crate) mod body_names;
pub mod places;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use quickdraw_domain::audience::{covers, has_filters, reaches, selects};
use quickdraw_domain::hook::Hook;
use quickdraw_domain::identity::apart;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::source::{BoundTo, Source};
use quickdraw_domain::{GroupId, HookId, ProjectId, SourceId, Timestamp, Trigger};
use quickdraw_store::hooks::{Directory, KnownGroup, KnownProject};

/// Maximum number of projects of a group that are named.
const MAX_PROJECTS: usize = 20;
/// More ancestors than any path can have; a loop of parents ends here.
const MAX_DEPTH: usize = 64;

/// Silent mode, in which nothing is delivered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Silence {
    /// The time since which it is on, by the database. `None` if it is off there.
    pub since: Option<Timestamp>,

    /// The settings turn it on, whatever the database says.
    pub always: bool,
}

impl Silence {
    /// Whether silent mode is on.
    #[must_use]
    pub const fn is_on(self) -> bool {
        self.always || self.since.is_some()
    }
}

/// The directory, arranged for the questions of the pipeline.
#[derive(Default)]
pub struct Index {
    version: i64,

    /// Silent mode, by the database and by the settings.
    pub(crate) silence: Silence,

    /// Hooks that a person has paused.
    paused: Vec<HookId>,
    newest_hook: Timestamp,
    hooks: HashMap<HookId, Arc<Hook>>,
    hosts: HashMap<HookId, Arc<str>>,
    by_host: HashMap<Arc<str>, Vec<HookId>>,
    by_scope: HashMap<Scope, Vec<Arc<Hook>>>,
    projects: HashMap<ProjectId, GroupId>,
    parents: HashMap<GroupId, Option<GroupId>>,
    some_ordered: bool,
    some_filter: bool,
    sources: Vec<Arc<Source>>,
    instances: HashMap<SourceId, BoundTo>,
    known: HashMap<String, HashMap<i64, KnownProject>>,
    known_groups: HashMap<String, HashMap<i64, KnownGroup>>,

    /// Groups that a path alone does not find: their number is known, or a member chose the path.
    not_by_path: HashSet<GroupId>,
    named_by_members: HashSet<GroupId>,
    paths: HashMap<String, GroupId>,

    /// `None` where several groups are called so.
    last_segments: HashMap<String, Option<GroupId>>,
}

impl Index {
    /// Arranges a directory. Filters that were compiled for the one before are taken over.
    #[must_use]
    pub fn new(directory: &Directory, before: &Self) -> Self {
        let mut index = Self {
            version: directory.version,
            silence: Silence {
                since: directory.silent_since,
                always: false,
            },
            projects: directory.projects.iter().copied().collect(),
            parents: directory.groups.iter().map(|(id, parent, _)| (*id, *parent)).collect(),
            paths: directory
                .groups
                .iter()
                .map(|(id, _, path)| (path.to_ascii_lowercase(), *id))
                .collect(),
            sources: directory.sources.iter().cloned().map(Arc::new).collect(),
            instances: directory.instances.iter().cloned().collect(),
            named_by_members: directory.named_by_members.iter().copied().collect(),
            ..Self::default()
        };

        for (id, _, path) in &directory.groups {
            let last = path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
            index
                .last_segments
                .entry(last)
                .and_modify(|known| *known = None)
                .or_insert(Some(*id));
        }

        for one in &directory.known {
            index
                .known
                .entry(one.instance.clone())
                .or_default()
                .insert(one.number, one.clone());
        }

        for one in &directory.known_groups {
            index.not_by_path.insert(one.group);
            index
                .known_groups
                .entry(one.instance.clone())
                .or_default()
                .insert(one.number, one.clone());
        }

        for entry in &directory.hooks {
            let hook = Arc::new(with_filters_of(entry.hook.clone(), before.hook(entry.hook.id)));
            index.newest_hook = index.newest_hook.max(hook.created_at);
            index.paused.extend(hook.paused.is_some().then_some(hook.id));
            index.some_ordered |= hook.ordered;
            index.some_filter |= hook.event_filter.is_some() || !hook.branch_filter.passes_all();
            index.by_scope.entry(hook.scope).or_default().push(Arc::clone(&hook));

            let host: Arc<str> = hook.url.authority().into();
            index.by_host.entry(Arc::clone(&host)).or_default().push(hook.id);
            index.hosts.insert(hook.id, host);
            index.hooks.insert(hook.id, hook);
        }

        index
    }

    /// Silent mode, in which nothing is delivered.
    #[must_use]
    pub const fn silence(&self) -> Silence {
        self.silence
    }

    /// Hooks that a person has paused.
    #[must_use]
    pub fn paused(&self) -> &[HookId] {
        &self.paused
    }

    /// Whether a person has paused a hook.
    #[must_use]
    pub fn is_paused(&self, hook: HookId) -> bool {
        self.hooks.get(&hook).is_some_and(|hook| hook.paused.is_some())
    }

    /// The version that was arranged.
    #[must_use]
    pub const fn version(&self) -> i64 {
        self.version
    }

    /// When the newest hook was made. What arrives now is younger than it, whatever the clock says.
    #[must_use]
    pub const fn newest_hook(&self) -> Timestamp {
        self.newest_hook
    }

    /// One hook.
    #[must_use]
    pub fn hook(&self, id: HookId) -> Option<&Arc<Hook>> {
        self.hooks.get(&id)
    }

    /// Host and port that a hook calls.
    #[must_use]
    pub fn host(&self, id: HookId) -> Option<&Arc<str>> {
        self.hosts.get(&id)
    }

    /// All hooks that call one host and port.
    #[must_use]
    pub fn on_host(&self, host: &str) -> &[HookId] {
        self.by_host.get(host).map_or(&[], Vec::as_slice)
    }

    /// Whether there is such a project.
    #[must_use]
    pub fn has_project(&self, id: ProjectId) -> bool {
        self.projects.contains_key(&id)
    }

    /// Whether there is such a group.
    #[must_use]
    pub fn has_group(&self, id: GroupId) -> bool {
        self.parents.contains_key(&id)
    }

    /// Whether some hook subscribes to the trigger in a place. Otherwise no body need be built.
    #[must_use]
    pub fn is_subscribed(&self, place: Place, trigger: Trigger) -> bool {
        !self.hooks.is_empty() && self.hooks_around(place).any(|hook| selects(hook, trigger))
    }

    /// Sources beside the default one.
    #[must_use]
    pub fn sources(&self) -> &[Arc<Source>] {
        &self.sources
    }

    /// The instances that a source is for, if that is known.
    #[must_use]
    pub fn bound_to(&self, source: SourceId) -> Option<&BoundTo> {
        self.instances.get(&source)
    }

    /// The project that stands for one of another instance, by its number there.
    #[must_use]
    pub fn known_project(&self, instance: &str, number: i64) -> Option<&KnownProject> {
        self.known.get(instance)?.get(&number)
    }

    /// The group that stands for one of another instance, by its number there.
    #[must_use]
    pub fn known_group(&self, instance: &str, number: i64) -> Option<&KnownGroup> {
        self.known_groups.get(instance)?.get(&number)
    }

    /// Projects that stand for those of other instances.
    pub fn known_projects(&self) -> impl Iterator<Item = ProjectId> + '_ {
        self.known.values().flat_map(HashMap::values).map(|known| known.project)
    }

    /// The group of another instance that a body names only by its path: with the instance's host in front, as it is,
    /// or as the only group whose path ends so. `None` where the path proves nothing.
    #[must_use]
    pub fn group_by_path(&self, instance: &str, path: &str) -> Option<GroupId> {
        let apart = self.group_at(&apart(instance, path));
        let last = || self.last_segments.get(&path.to_ascii_lowercase()).copied().flatten();
        let group = apart.or_else(|| self.group_at(path)).or_else(last)?;
        let by_members = self
            .groups_of(Place::Group(group))
            .iter()
            .any(|group| self.named_by_members.contains(group));

        (!by_members && !self.not_by_path.contains(&group)).then_some(group)
    }

    /// The group with this full path.
    #[must_use]
    pub fn group_at(&self, path: &str) -> Option<GroupId> {
        self.paths.get(&path.to_ascii_lowercase()).copied()
    }

    /// Whether some hook wants its events in order, wherever.
    #[must_use]
    pub const fn some_ordered(&self) -> bool {
        self.some_ordered
    }

    /// Whether a hook with ordered delivery subscribes to this. Otherwise the object of the event need not be known.
    #[must_use]
    pub fn is_subscribed_in_order(&self, place: Place, trigger: Trigger) -> bool {
        self.some_ordered
            && self
                .hooks_around(place)
                .any(|hook| hook.ordered && selects(hook, trigger))
    }

    /// Hooks that subscribe to this and have filters, which are asked first.
    #[must_use]
    pub fn with_filters(&self, place: Place, trigger: Trigger, has_branch: bool) -> Vec<Arc<Hook>> {
        if !self.some_filter {
            return Vec::new();
        }

        let asked = |hook: &&Arc<Hook>| selects(hook, trigger) && has_filters(hook, trigger, has_branch);
        self.hooks_around(place).filter(asked).cloned().collect()
    }

    /// States of the expressions of all hooks of a scope but one.
    #[must_use]
    pub fn states_beside(&self, scope: Scope, hook: Option<HookId>) -> usize {
        let hooks = self.by_scope.get(&scope).into_iter().flatten();
        hooks.filter(|one| Some(one.id) != hook).map(|one| one.states()).sum()
    }

    /// Whether a place belongs to a scope.
    #[must_use]
    pub fn is_in(&self, place: Place, scope: Scope) -> bool {
        match scope {
            Scope::Instance => true,
            Scope::Project(id) => place == Place::Project(id),
            Scope::Group(id) => self.groups_of(place).contains(&id),
        }
    }

    /// The projects of a group and of all groups below it, the newest first.
    #[must_use]
    pub fn projects_in(&self, group: GroupId) -> Vec<ProjectId> {
        let inside = |project: &&ProjectId| self.groups_of(Place::Project(**project)).contains(&group);
        let mut projects: Vec<ProjectId> = self.projects.keys().filter(inside).copied().collect();
        projects.sort_unstable_by_key(|project| std::cmp::Reverse(project.0));
        projects.truncate(MAX_PROJECTS);

        projects
    }

    /// The top-level group in which a project or group lies.
    #[must_use]
    pub fn namespace_of(&self, scope: Scope) -> Option<GroupId> {
        let place = match scope {
            Scope::Project(id) => Place::Project(id),
            Scope::Group(id) => Place::Group(id),
            Scope::Instance => return None,
        };
        self.groups_of(place).last().copied()
    }

    /// The top-level group that a hook's delivery counts for. System hooks are counted nowhere, as in GitLab.
    pub(crate) fn namespace(&self, place: Place, hook: Scope) -> Option<GroupId> {
        if hook == Scope::Instance {
            None
        } else {
            self.groups_of(place).last().copied()
        }
    }

    /// The hooks in whose scope a place is, from the project up to the instance.
    pub(crate) fn hooks_around(&self, place: Place) -> impl Iterator<Item = &Arc<Hook>> {
        let groups = self.groups_of(place);
        let project = match place {
            Place::Project(id) => Some(Scope::Project(id)),
            _ => None,
        };
        let scopes = project
            .into_iter()
            .chain(groups.iter().map(|group| Scope::Group(*group)));
        let scopes: Vec<Scope> = scopes.filter(|scope| covers(*scope, place, &groups)).collect();

        // Restrictions of hooks of the instance are decided here from memory, so that no event costs a query.
        let of_instance = self.by_scope.get(&Scope::Instance).into_iter().flatten();
        let of_instance = of_instance.filter(move |hook| reaches(hook, place, &groups));

        scopes
            .into_iter()
            .filter_map(|scope| self.by_scope.get(&scope))
            .flatten()
            .chain(of_instance)
    }

    /// The groups of a place, from the nearest up.
    fn groups_of(&self, place: Place) -> Vec<GroupId> {
        let mut next = match place {
            Place::Project(id) => self.projects.get(&id).copied(),
            Place::Group(id) => Some(id),
            Place::Instance | Place::Elsewhere => None,
        };

        let mut groups = Vec::new();
        while let Some(group) = next
            && groups.len() < MAX_DEPTH
        {
            groups.push(group);
            next = self.parents.get(&group).copied().flatten();
        }

        groups
    }
}

/// A hook with the filters of the same hook as it was before, where they are the same.
fn with_filters_of(hook: Hook, before: Option<&Arc<Hook>>) -> Hook {
    let Some(before) = before else { return hook };
    Hook {
        branch_filter: hook.branch_filter.clone().or_same(&before.branch_filter),
        event_filter: hook
            .event_filter
            .clone()
            .map(|filter| filter.or_same(before.event_filter.as_ref())),
        ..hook
    }
}
