//! Groups and projects.

use async_trait::async_trait;
use quickdraw_domain::scope::{Group, Project};
use quickdraw_domain::{GroupId, ProjectId, Timestamp};

use crate::error::Result;
use crate::lists::{Page, Paged};

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

/// What is to be changed of a group; `None` keeps what is there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupEdit {
    /// Shown name.
    pub name: Option<String>,
    /// Last segment of its path. The paths of all that lies in it change along.
    pub path: Option<String>,
    /// Free text; an inner `None` takes it away.
    pub description: Option<Option<String>>,
    /// 0 private, 10 internal, 20 public.
    pub visibility_level: Option<i64>,
}

/// What is to be changed of a project; `None` keeps what is there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProjectEdit {
    /// The group that it moves to. Its path moves along; other hooks hear of it from then on.
    pub group: Option<GroupId>,
    /// Shown name.
    pub name: Option<String>,
    /// Last segment of its path.
    pub path: Option<String>,
    /// Free text; an inner `None` takes it away.
    pub description: Option<Option<String>>,
    /// Branch that commits land on.
    pub default_branch: Option<String>,
    /// 0 private, 10 internal, 20 public.
    pub visibility_level: Option<i64>,
}

/// Which groups or projects to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScopeFilter {
    /// Only with this in name or path, compared without case; with less than three characters, only what is called so.
    pub search: Option<String>,
    /// Only directly in this group.
    pub parent: Option<GroupId>,
    /// Only what this user is a member of, here or in a group above, at this time.
    pub visible_to: Option<(i64, Timestamp)>,
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
    /// Changes a group. `None` if it is not there; `Taken` when its new path is.
    async fn update_group(&self, id: GroupId, edit: GroupEdit) -> Result<Option<Group>>;
    /// Deletes a group with its subgroups, projects and their hooks. `false` if it was not there.
    async fn delete_group(&self, id: GroupId) -> Result<bool>;
    /// Makes a project. `Taken` when the path is, `Missing` when the group is not there.
    async fn create_project(&self, new: NewProject, now: Timestamp) -> Result<Project>;
    /// Looks a project up.
    async fn find_project(&self, name: Name) -> Result<Option<Project>>;
    /// Projects by number.
    async fn list_projects(&self, filter: ScopeFilter, page: Page) -> Result<Paged<Project>>;
    /// Changes a project. `None` if it is not there; `Missing` when the group it moves to is not, `Taken` when the path is.
    async fn update_project(&self, id: ProjectId, edit: ProjectEdit) -> Result<Option<Project>>;
    /// Deletes a project with its hooks. Its events and insights stay: they are history.
    async fn delete_project(&self, id: ProjectId) -> Result<bool>;
}

/// A full path with other parts: in front, another group's; at the end, another segment.
pub(crate) fn moved_path(known: &str, parent: Option<&Group>, last: Option<&str>) -> String {
    let (above, own) = known.rsplit_once('/').map_or((None, known), |(above, own)| (Some(above), own));
    let last = last.unwrap_or(own);
    match parent.map(|group| group.full_path.as_str()).or(above) {
        Some(above) => format!("{above}/{last}"),
        None => last.to_owned(),
    }
}
