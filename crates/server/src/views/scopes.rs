//! Groups and projects.

use quickdraw_domain::compose::ssh_url;
use quickdraw_domain::scope;
use quickdraw_store::details::ProjectDetails;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Iso;

/// Who may see it. Kept for clients; here everything is seen by members only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Members.
    Private,
    /// Whoever is signed in.
    Internal,
    /// Everybody.
    Public,
}

impl Visibility {
    /// GitLab's number.
    #[must_use]
    pub const fn level(self) -> i64 {
        match self {
            Self::Private => 0,
            Self::Internal => 10,
            Self::Public => 20,
        }
    }

    /// By its number.
    #[must_use]
    pub const fn of(level: i64) -> Self {
        match level {
            20 => Self::Public,
            10 => Self::Internal,
            _ => Self::Private,
        }
    }
}

/// A group.
#[derive(Serialize, ToSchema)]
pub struct Group {
    /// Its number.
    pub id: i64,
    /// Shown name.
    pub name: String,
    /// Last segment of its path.
    pub path: String,
    /// Its path, with those of the groups above.
    pub full_path: String,
    /// Its name, with those of the groups above.
    pub full_name: String,
    /// The group that it lies in.
    pub parent_id: Option<i64>,
    /// Free text.
    pub description: Option<String>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Its page.
    pub web_url: String,
    /// When it was made.
    pub created_at: Iso,
}

impl Group {
    /// As seen under a base URL. `full_name` is its name with those of the groups above.
    #[must_use]
    pub fn new(group: &scope::Group, full_name: String, base_url: &str) -> Self {
        Self {
            id: group.id.0,
            name: group.name.clone(),
            path: last_segment(&group.full_path),
            full_path: group.full_path.clone(),
            full_name,
            parent_id: group.parent.map(|id| id.0),
            description: group.description.clone(),
            visibility: Visibility::of(group.visibility_level),
            web_url: format!("{base_url}/groups/{}", group.full_path),
            created_at: Iso(group.created_at),
        }
    }
}

/// A group as a place that projects can be made in.
#[derive(Serialize, ToSchema)]
pub struct Namespace {
    /// The group's number.
    pub id: i64,
    /// Shown name.
    pub name: String,
    /// Last segment of its path.
    pub path: String,
    /// Always `group`.
    pub kind: &'static str,
    /// Its path, with those of the groups above.
    pub full_path: String,
    /// The group that it lies in.
    pub parent_id: Option<i64>,
    /// Always null: there are no pictures here.
    pub avatar_url: Option<String>,
    /// Its page.
    pub web_url: String,
}

impl Namespace {
    /// As seen under a base URL.
    #[must_use]
    pub fn new(group: &scope::Group, base_url: &str) -> Self {
        let Group { id, name, path, full_path, parent_id, web_url, .. } = Group::new(group, String::new(), base_url);
        Self { id, name, path, kind: "group", full_path, parent_id, avatar_url: None, web_url }
    }
}

/// A project.
#[derive(Serialize, ToSchema)]
pub struct Project {
    /// Its number.
    pub id: i64,
    /// Shown name.
    pub name: String,
    /// Last segment of its path.
    pub path: String,
    /// Its path, with that of its group.
    pub path_with_namespace: String,
    /// Its name, with those of the groups above.
    pub name_with_namespace: String,
    /// Its group.
    pub namespace: Namespace,
    /// Free text.
    pub description: Option<String>,
    /// Branch that commits land on.
    pub default_branch: Option<String>,
    /// Who may see it.
    pub visibility: Visibility,
    /// Its page.
    pub web_url: String,
    /// Where it is cloned from.
    pub http_url_to_repo: String,
    /// Where it is cloned from with SSH: the same address as in webhook bodies.
    pub ssh_url_to_repo: String,
    /// Always null: repositories are not here.
    pub readme_url: Option<String>,
    /// Always null: there are no pictures here.
    pub avatar_url: Option<String>,
    /// Always empty.
    pub topics: Vec<String>,
    /// Whether it is archived.
    pub archived: bool,
    /// Always false: repositories are not here, and a project is here because something happens in it.
    pub empty_repo: bool,
    /// When its newest event came; before the first one, when it was created.
    pub last_activity_at: Iso,
    /// When it was made.
    pub created_at: Iso,
}

impl Project {
    /// As seen under a base URL. Without details, because it was deleted a moment ago, it has the name of its group only.
    #[must_use]
    pub fn new(project: &scope::Project, details: Option<&ProjectDetails>, base_url: &str) -> Self {
        let path = &project.path_with_namespace;
        let group_path = path.rsplit_once('/').map_or_else(String::new, |(groups, _)| groups.to_owned());
        let group_names = details.map_or(&project.namespace, |details| &details.group_names);
        Self {
            id: project.id.0,
            name: project.name.clone(),
            path: last_segment(path),
            path_with_namespace: path.clone(),
            name_with_namespace: format!("{group_names} / {}", project.name),
            namespace: Namespace {
                id: project.group.0,
                name: project.namespace.clone(),
                path: last_segment(&group_path),
                kind: "group",
                parent_id: details.and_then(|details| details.group_parent).map(|id| id.0),
                avatar_url: None,
                web_url: format!("{base_url}/groups/{group_path}"),
                full_path: group_path,
            },
            description: project.description.clone(),
            default_branch: project.default_branch.clone(),
            visibility: Visibility::of(project.visibility_level),
            web_url: format!("{base_url}/{path}"),
            http_url_to_repo: format!("{base_url}/{path}.git"),
            ssh_url_to_repo: ssh_url(base_url, path),
            readme_url: None,
            avatar_url: None,
            topics: Vec::new(),
            archived: details.is_some_and(|details| details.archived),
            empty_repo: false,
            last_activity_at: Iso(details.map_or(project.created_at, |details| details.last_activity_at)),
            created_at: Iso(project.created_at),
        }
    }
}

fn last_segment(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
