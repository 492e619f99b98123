//! The places inside a group, and the hooks of a place.

use std::sync::Arc;

use quickdraw_domain::GroupId;
use quickdraw_domain::hook::Hook;
use quickdraw_domain::scope::{Place, Scope};

use super::Index;

/// The group, and all groups and projects below it. `None` if they are more than `most`.
#[must_use]
pub fn inside(index: &Index, group: GroupId, most: usize) -> Option<Vec<Place>> {
    let groups = index.parents.keys().map(|id| Place::Group(*id));
    let projects = index.projects.keys().map(|id| Place::Project(*id));
    let inside = groups
        .chain(projects)
        .filter(|place| index.groups_of(*place).contains(&group));

    let places: Vec<Place> = inside.take(most + 1).collect();
    (places.len() <= most).then_some(places)
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
