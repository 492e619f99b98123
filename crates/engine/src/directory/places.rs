//! The places of the instance and inside a group, and their hooks and numbers.

use std::collections::HashMap;
use std::sync::Arc;

use quickdraw_domain::hook::Hook;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::{GroupId, ProjectId};

use super::Index;

/// The group, and all groups and projects below it. `None` if they are more than `most`.
#[must_use]
pub fn inside(index: &Index, group: GroupId, most: usize) -> Option<Vec<Place>> {
    let inside = all(index).filter(|place| index.groups_of(*place).contains(&group));

    let places: Vec<Place> = inside.take(most + 1).collect();
    (places.len() <= most).then_some(places)
}

/// All projects and groups, in no order.
pub fn all(index: &Index) -> impl Iterator<Item = Place> {
    let groups = index.parents.keys().map(|id| Place::Group(*id));
    groups.chain(index.projects.keys().map(|id| Place::Project(*id)))
}

/// All hooks, in no order.
pub fn all_hooks(index: &Index) -> impl Iterator<Item = &Arc<Hook>> {
    index.hooks.values()
}

/// The numbers by which bodies of other instances name a project.
pub fn numbers_of(index: &Index, project: ProjectId) -> impl Iterator<Item = i64> {
    let known = index.known.values().flat_map(HashMap::values);
    known
        .filter(move |known| known.project == project)
        .map(|known| known.number)
}

/// The hooks of a project or group itself, and not those of the groups above it.
pub fn hooks_of(index: &Index, place: Place) -> impl Iterator<Item = &Arc<Hook>> {
    let scope = match place {
        Place::Project(id) => Some(Scope::Project(id)),
        Place::Group(id) => Some(Scope::Group(id)),
        Place::Instance | Place::Elsewhere => None,
    };

    scope.and_then(|scope| index.by_scope.get(&scope)).into_iter().flatten()
}
