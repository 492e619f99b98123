//! Groups and projects.

use async_trait::async_trait;
use quickdraw_domain::access::AccessLevel;
use quickdraw_domain::identity::PathSetBy;
use quickdraw_domain::scope::{Group, Project};
use quickdraw_domain::{Edit, GroupId, ProjectId, Timestamp};

use crate::details::list;
use crate::error::{Error, Result};
use crate::lists::{Numbers, Page, Paged};

/// How a request names a group or project: by number or by full path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Name {
    /// The number.
    Id(i64),

    /// The full path, compared without case as GitLab does.
    Path(String),
}

/// A group to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewGroup {
    /// The group that it goes into.
    pub parent: Option<GroupId>,

    /// Shown name.
    pub name: String,

    /// Last segment of its path.
    pub path: String,

    /// Free text.
    pub description: Option<String>,

    /// 0 private, 10 internal, 20 public.
    pub visibility_level: i64,
}

/// A project to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewProject {
    /// The group that it goes into.
    pub group: GroupId,

    /// Shown name.
    pub name: String,

    /// Last segment of its path.
    pub path: String,

    /// Free text.
    pub description: Option<String>,

    /// Branch that commits land on.
    pub default_branch: Option<String>,

    /// 0 private, 10 internal, 20 public.
    pub visibility_level: i64,
}

/// Where a group goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GroupPlace {
    /// Into no other group.
    Top,

    /// Into this group.
    In(GroupId),
}

/// A change of a group. `None` and [`Edit::Keep`] keep what is there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupEdit {
    /// Where it moves to. The paths of everything in it change along; other hooks get its events from then on.
    pub place: Option<GroupPlace>,

    /// Shown name.
    pub name: Option<String>,

    /// Last segment of its path. The paths of everything in it change along.
    pub path: Option<String>,

    /// Free text.
    pub description: Edit<String>,

    /// 0 private, 10 internal, 20 public.
    pub visibility_level: Option<i64>,

    /// The kind of user who chose the path, where that changes.
    pub path_set_by: PathSetBy,
}

/// A change of a project. `None` and [`Edit::Keep`] keep what is there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProjectEdit {
    /// The group that it moves to. Its path moves along; other hooks get its events from then on.
    pub group: Option<GroupId>,

    /// Shown name.
    pub name: Option<String>,

    /// Last segment of its path.
    pub path: Option<String>,

    /// Free text.
    pub description: Edit<String>,

    /// Branch that commits land on.
    pub default_branch: Option<String>,

    /// 0 private, 10 internal, 20 public.
    pub visibility_level: Option<i64>,

    /// Archived, or no longer.
    pub archived: Option<bool>,

    /// The kind of user who chose the path or the group, where that changes.
    pub path_set_by: PathSetBy,
}

/// Which groups or projects to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScopeFilter {
    /// Only with this in name or path, compared without case; with less than three characters, only what is called so.
    pub search: Option<String>,

    /// Only directly in this group.
    pub parent: Option<GroupId>,

    /// Only in this group, however deep.
    pub below: Option<GroupId>,

    /// Only groups that are in no other.
    pub top_level: bool,

    /// Only what this user is a member of, here or in a group above, at this time.
    pub visible_to: Option<(i64, Timestamp)>,

    /// With `visible_to`: only where they have at least this role.
    pub least_role: Option<AccessLevel>,

    /// Only of this visibility: 0 private, 10 internal, 20 public.
    pub visibility_level: Option<i64>,

    /// Only archived projects, or only the others. Groups are never archived.
    pub archived: Option<bool>,

    /// Not these numbers.
    pub without: Vec<i64>,

    /// Only with such numbers.
    pub numbers: Numbers,
}

/// Whether a list is one of groups or of projects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Listed {
    Groups,
    Projects,
}

impl ScopeFilter {
    /// The conditions on rows `l` that have no parameter. They are the same for both engines, because nothing but
    /// numbers is put into their text.
    pub(crate) fn conditions(&self, listed: Listed) -> String {
        let parent = if listed == Listed::Projects {
            "group_id"
        } else {
            "parent_id"
        };

        let mut all = self.numbers.conditions("l.id");
        if let Some(GroupId(id)) = self.below {
            all += &format!(
                " AND l.{parent} IN (WITH RECURSIVE below (id) AS (SELECT CAST({id} AS BIGINT)
                    UNION ALL SELECT g.id FROM groups g JOIN below b ON g.parent_id = b.id) SELECT id FROM below)"
            );
        }

        if self.top_level {
            all += &format!(" AND l.{parent} IS NULL");
        }

        if let Some(level) = self.visibility_level {
            all += &format!(" AND l.visibility_level = {level}");
        }

        all += match (self.archived, listed) {
            (None, _) | (Some(false), Listed::Groups) => "",
            (Some(true), Listed::Groups) => " AND 1 = 0",
            (Some(true), Listed::Projects) => " AND l.archived",
            (Some(false), Listed::Projects) => " AND NOT l.archived",
        };

        if !self.without.is_empty() {
            all += &format!(" AND l.id NOT IN ({})", list(self.without.iter().copied()));
        }

        all
    }

    /// The number of the role that counts as being a member.
    pub(crate) fn least_level(&self) -> i64 {
        self.least_role.map_or(0, AccessLevel::number)
    }
}

/// Groups and projects: what can be done with them.
#[async_trait]
pub trait Scopes {
    /// Makes a group. `Taken` when the path is, `Missing` when the parent is not there.
    async fn create_group(&self, new: NewGroup, now: Timestamp) -> Result<Group>;

    /// Looks a group up.
    async fn find_group(&self, name: Name) -> Result<Option<Group>>;

    /// Groups by number.
    async fn list_groups(&self, filter: ScopeFilter, page: Page) -> Result<Paged<Group>>;

    /// Changes a group. `None` if it is not there; `Taken` when its new path is, `Missing` when the group it moves to
    /// is not there, `Circular` when that one is inside of it.
    async fn update_group(&self, id: GroupId, edit: GroupEdit) -> Result<Option<Group>>;

    /// Deletes a group with its subgroups, projects and their hooks. `false` if it was not there.
    async fn delete_group(&self, id: GroupId) -> Result<bool>;

    /// Makes a project. `Taken` when the path is, `Missing` when the group is not there.
    async fn create_project(&self, new: NewProject, now: Timestamp) -> Result<Project>;

    /// Looks a project up.
    async fn find_project(&self, name: Name) -> Result<Option<Project>>;

    /// Projects by number.
    async fn list_projects(&self, filter: ScopeFilter, page: Page) -> Result<Paged<Project>>;

    /// Changes a project. `None` if it is not there; `Missing` when the group it moves to is not, `Taken` when the path
    /// is.
    async fn update_project(&self, id: ProjectId, edit: ProjectEdit) -> Result<Option<Project>>;

    /// Deletes a project with its hooks. Its events and insights stay: they are history.
    async fn delete_project(&self, id: ProjectId) -> Result<bool>;
}

/// The full path of a group that moves: into another one, whose path is given, or into none.
pub(crate) fn placed_path(known: &str, target: Option<&str>, last: Option<&str>) -> Result<String> {
    let last = last.unwrap_or_else(|| known.rsplit('/').next().unwrap_or(known));
    let Some(target) = target else {
        return Ok(last.to_owned());
    };
    let is_inside = target
        .strip_prefix(known)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));

    if is_inside {
        Err(Error::Circular)
    } else {
        Ok(format!("{target}/{last}"))
    }
}

/// A full path with other parts: in front, another group's; at the end, another segment.
pub(crate) fn moved_path(known: &str, parent: Option<&Group>, last: Option<&str>) -> String {
    let (above, own) = known
        .rsplit_once('/')
        .map_or((None, known), |(above, own)| (Some(above), own));
    let last = last.unwrap_or(own);
    match parent.map(|group| group.full_path.as_str()).or(above) {
        Some(above) => format!("{above}/{last}"),
        None => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_moves_anywhere_but_into_itself() {
        assert_eq!(placed_path("a/b", Some("c"), None).expect("it moves"), "c/b");
        assert_eq!(placed_path("a/b", None, None).expect("it moves"), "b");
        assert_eq!(placed_path("a/b", Some("a/bc"), Some("d")).expect("it moves"), "a/bc/d");
        assert!(matches!(placed_path("a/b", Some("a/b"), None), Err(Error::Circular)));

        assert!(matches!(
            placed_path("a/b", Some("a/b/c/d"), None),
            Err(Error::Circular)
        ));
    }
}
