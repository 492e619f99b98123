//! The ids by which bodies name projects. A body of another instance has the project's number there, so that an id can
//! stand for several projects.

use std::collections::{HashMap, HashSet};

use quickdraw_domain::ProjectId;
use quickdraw_domain::scope::{Place, Scope};

use super::Index;

/// The ids by which bodies name the projects of a scope.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct BodyIds {
    /// Numbers on other instances.
    pub of_instances: Vec<i64>,

    /// Projects that come from no other instance. Bodies name them by their own id.
    pub own: Vec<ProjectId>,
}

/// Finds the projects that bodies name by an id.
#[derive(Clone, Copy)]
pub struct BodyNames<'a>(pub &'a Index);

impl<'a> BodyNames<'a> {
    /// The ids by which bodies name the projects of a scope: the numbers on other instances, and the own id of projects
    /// that come from no other instance. An id that also stands for a project outside of the scope is left out, because
    /// insights cannot distinguish the projects.
    #[must_use]
    pub fn of(self, scope: Scope) -> BodyIds {
        let mut ids = BodyIds::default();
        let mut from_elsewhere = HashSet::new();

        for known in self.0.known.values().flat_map(HashMap::values) {
            if !self.0.is_in(Place::Project(known.project), scope) {
                continue;
            }

            from_elsewhere.insert(known.project);
            if self.is_only_in(known.number, scope) {
                ids.of_instances.push(known.number);
            }
        }

        for project in self.projects_of(scope) {
            let is_free = self.projects_numbered(project.0).next().is_none();
            if is_free && !from_elsewhere.contains(&project) {
                ids.own.push(project);
            }
        }

        ids
    }

    /// Checks whether a body that a member of a scope reports may name a project by this id.
    #[must_use]
    pub fn may_name(self, id: i64, scope: Scope) -> bool {
        let mut numbered = self.projects_numbered(id).peekable();
        if numbered.peek().is_some() {
            return numbered.all(|project| self.0.is_in(Place::Project(project), scope));
        }

        self.0.has_project(ProjectId(id)) && self.0.is_in(Place::Project(ProjectId(id)), scope)
    }

    /// The projects that have this number on another instance.
    fn projects_numbered(self, number: i64) -> impl Iterator<Item = ProjectId> + 'a {
        let of_instances = self.0.known.values();
        of_instances.filter_map(move |known| Some(known.get(&number)?.project))
    }

    /// Checks whether all projects with this number on another instance belong to a scope.
    fn is_only_in(self, number: i64, scope: Scope) -> bool {
        self.projects_numbered(number)
            .all(|project| self.0.is_in(Place::Project(project), scope))
    }

    fn projects_of(self, scope: Scope) -> Vec<ProjectId> {
        match scope {
            Scope::Project(project) => self.0.has_project(project).then_some(project).into_iter().collect(),
            Scope::Instance | Scope::Group(_) => {
                let inside = |project: &&ProjectId| self.0.is_in(Place::Project(**project), scope);
                self.0.projects.keys().filter(inside).copied().collect()
            }
        }
    }
}
