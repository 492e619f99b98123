//! Views of groups and projects.

use quickdraw_domain::compose::ssh_url;
use quickdraw_domain::scope;
use quickdraw_store::details::ProjectDetails;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Iso;

/// Visibility. It is stored for clients, but only members and administrators can see a group or project here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// Visible to members.
    Private,

    /// Visible to signed-in users.
    Internal,

    /// Visible to all.
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

    /// Returns the visibility with this number.
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
    /// Id of the group.
    pub id: i64,

    /// Display name.
    pub name: String,

    /// Last segment of the path.
    pub path: String,

    /// Full path, including those of the parent groups.
    pub full_path: String,

    /// Full name, including those of the parent groups.
    pub full_name: String,

    /// Id of the parent group; null for a top-level group.
    pub parent_id: Option<i64>,

    /// Free text.
    pub description: Option<String>,

    /// Visibility of the group.
    pub visibility: Visibility,

    /// URL of the group's page.
    pub web_url: String,

    /// Time at which the group was created.
    pub created_at: Iso,
}

impl Group {
    /// Builds the view, with URLs below `base_url`. `full_name` includes the names of the parent groups.
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

/// A group, as a place in which projects are created.
#[derive(Serialize, ToSchema)]
pub struct Namespace {
    /// Id of the group.
    pub id: i64,

    /// Display name.
    pub name: String,

    /// Last segment of the path.
    pub path: String,

    /// Always `group`.
    pub kind: &'static str,

    /// Full path, including those of the parent groups.
    pub full_path: String,

    /// Id of the parent group; null for a top-level group.
    pub parent_id: Option<i64>,

    /// Always null, because there are no avatars.
    pub avatar_url: Option<String>,

    /// URL of the group's page.
    pub web_url: String,
}

impl Namespace {
    /// Builds the view, with URLs below `base_url`.
    #[must_use]
    pub fn new(group: &scope::Group, base_url: &str) -> Self {
        let Group {
            id,
            name,
            path,
            full_path,
            parent_id,
            web_url,
            ..
        } = Group::new(group, String::new(), base_url);

        Self {
            id,
            name,
            path,
            kind: "group",
            full_path,
            parent_id,
            avatar_url: None,
            web_url,
        }
    }
}

/// A project.
#[derive(Serialize, ToSchema)]
pub struct Project {
    /// Id of the project.
    pub id: i64,

    /// Display name.
    pub name: String,

    /// Last segment of the path.
    pub path: String,

    /// Full path, including that of the group.
    pub path_with_namespace: String,

    /// Full name, including those of the groups.
    pub name_with_namespace: String,

    /// Group of the project.
    pub namespace: Namespace,

    /// Free text.
    pub description: Option<String>,

    /// Default branch.
    pub default_branch: Option<String>,

    /// Visibility of the project.
    pub visibility: Visibility,

    /// URL of the project's page.
    pub web_url: String,

    /// Clone URL.
    pub http_url_to_repo: String,

    /// Clone URL for SSH, as in the bodies of webhooks.
    pub ssh_url_to_repo: String,

    /// Always null, because there are no repositories.
    pub readme_url: Option<String>,

    /// Always null, because there are no avatars.
    pub avatar_url: Option<String>,

    /// Always empty.
    pub topics: Vec<String>,

    /// True if the project is archived.
    pub archived: bool,

    /// Always false, because a project exists here only because events happen in it.
    pub empty_repo: bool,

    /// Time of the newest event; before the first event, the time of creation.
    pub last_activity_at: Iso,

    /// Time at which the project was created.
    pub created_at: Iso,
}

impl Project {
    /// Builds the view, with URLs below `base_url`. Without details, because the project was just deleted, only the
    /// name of its own group is shown.
    #[must_use]
    pub fn new(project: &scope::Project, details: Option<&ProjectDetails>, base_url: &str) -> Self {
        let path = &project.path_with_namespace;
        let group_path = path
            .rsplit_once('/')
            .map_or_else(String::new, |(groups, _)| groups.to_owned());
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
