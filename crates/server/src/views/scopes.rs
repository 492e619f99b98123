//! Groups and projects.

use quickdraw_domain::scope;
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
    /// The path as people read it.
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
    /// As seen under a base URL.
    #[must_use]
    pub fn new(group: &scope::Group, base_url: &str) -> Self {
        let full_name = match group.full_path.rsplit_once('/') {
            Some((above, _)) => format!("{} / {}", above.replace('/', " / "), group.name),
            None => group.name.clone(),
        };
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
    /// Its page.
    pub web_url: String,
}

impl Namespace {
    /// As seen under a base URL.
    #[must_use]
    pub fn new(group: &scope::Group, base_url: &str) -> Self {
        let Group { id, name, path, full_path, parent_id, web_url, .. } = Group::new(group, base_url);
        Self { id, name, path, kind: "group", full_path, parent_id, web_url }
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
    /// Its name, with that of its group.
    pub name_with_namespace: String,
    /// Its group.
    pub namespace: ProjectNamespace,
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
    /// When it was made.
    pub created_at: Iso,
}

/// The group of a project.
#[derive(Serialize, ToSchema)]
pub struct ProjectNamespace {
    /// The group's number.
    pub id: i64,
    /// Shown name.
    pub name: String,
    /// Always `group`.
    pub kind: &'static str,
    /// Its path.
    pub full_path: String,
}

impl Project {
    /// As seen under a base URL.
    #[must_use]
    pub fn new(project: &scope::Project, base_url: &str) -> Self {
        let path = &project.path_with_namespace;
        Self {
            id: project.id.0,
            name: project.name.clone(),
            path: last_segment(path),
            path_with_namespace: path.clone(),
            name_with_namespace: format!("{} / {}", project.namespace, project.name),
            namespace: ProjectNamespace {
                id: project.group.0,
                name: project.namespace.clone(),
                kind: "group",
                full_path: path.rsplit_once('/').map_or_else(String::new, |(namespace, _)| namespace.to_owned()),
            },
            description: project.description.clone(),
            default_branch: project.default_branch.clone(),
            visibility: Visibility::of(project.visibility_level),
            web_url: format!("{base_url}/{path}"),
            http_url_to_repo: format!("{base_url}/{path}.git"),
            created_at: Iso(project.created_at),
        }
    }
}

fn last_segment(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}
