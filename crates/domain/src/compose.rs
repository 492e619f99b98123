//! From what a forge knows of an event to GitLab's body for it. One file per kind; the shared objects are here.

mod hook_state;
mod push;

pub use hook_state::{event_name, hook_state};
use serde::{Deserialize, Serialize};

use crate::Trigger;
use crate::scope::Project;

/// Why no body can be composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// This kind has no composer yet.
    #[error("composing {0} is not supported yet; report it with a complete body as \"payload\"")]
    NoComposer(Trigger),
    /// The object lacks something.
    #[error("the object of a {0} event is not usable: {1}")]
    Object(Trigger, serde_json::Error),
}

/// Who did it, as the reporter knows them.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
pub struct User {
    /// GitLab's number.
    #[serde(default)]
    pub id: i64,
    /// Shown name.
    #[serde(default)]
    pub name: String,
    /// Login.
    #[serde(default)]
    pub username: String,
    /// Public e-mail; absent when the user shows none.
    pub email: Option<String>,
    /// Picture.
    pub avatar_url: Option<String>,
}

/// Composes the body of an event in a project.
///
/// # Errors
/// When the kind has no composer, or `object` is not what it needs.
pub fn compose(
    trigger: Trigger,
    project: &Project,
    base_url: &str,
    user: &User,
    object: &serde_json::value::RawValue,
) -> Result<Vec<u8>, ComposeError> {
    if trigger == Trigger::PUSH || trigger == Trigger::TAG_PUSH {
        return push::compose(trigger, project, base_url, user, object);
    }
    Err(ComposeError::NoComposer(trigger))
}

/// The `project` object, deprecated fields included.
#[derive(Serialize)]
struct ProjectBody<'a> {
    id: i64,
    name: &'a str,
    description: Option<&'a str>,
    web_url: &'a str,
    avatar_url: Option<&'a str>,
    git_ssh_url: &'a str,
    git_http_url: &'a str,
    namespace: &'a str,
    visibility_level: i64,
    path_with_namespace: &'a str,
    default_branch: Option<&'a str>,
    ci_config_path: Option<&'a str>,
    homepage: &'a str,
    url: &'a str,
    ssh_url: &'a str,
    http_url: &'a str,
}

/// The deprecated `repository` object, which receivers such as Buildbot still read.
#[derive(Serialize)]
struct RepositoryBody<'a> {
    name: &'a str,
    url: &'a str,
    description: Option<&'a str>,
    homepage: &'a str,
    git_http_url: &'a str,
    git_ssh_url: &'a str,
    visibility_level: i64,
}

/// The addresses of a project, made from the base URL of the instance.
struct Addresses {
    web: String,
    ssh: String,
    http: String,
}

impl Addresses {
    fn of(project: &Project, base_url: &str) -> Self {
        let web = format!("{}/{}", base_url.trim_end_matches('/'), project.path_with_namespace);
        let host = base_url.split("://").nth(1).unwrap_or(base_url);
        let host = host.split(['/', ':']).next().unwrap_or(host);
        Self { ssh: format!("git@{host}:{}.git", project.path_with_namespace), http: format!("{web}.git"), web }
    }

    fn project<'a>(&'a self, project: &'a Project) -> ProjectBody<'a> {
        ProjectBody {
            id: project.id.0,
            name: &project.name,
            description: project.description.as_deref(),
            web_url: &self.web,
            avatar_url: None,
            git_ssh_url: &self.ssh,
            git_http_url: &self.http,
            namespace: &project.namespace,
            visibility_level: project.visibility_level,
            path_with_namespace: &project.path_with_namespace,
            default_branch: project.default_branch.as_deref(),
            ci_config_path: None,
            homepage: &self.web,
            url: &self.ssh,
            ssh_url: &self.ssh,
            http_url: &self.http,
        }
    }

    fn repository<'a>(&'a self, project: &'a Project) -> RepositoryBody<'a> {
        RepositoryBody {
            name: &project.name,
            url: &self.ssh,
            description: project.description.as_deref(),
            homepage: &self.web,
            git_http_url: &self.http,
            git_ssh_url: &self.ssh,
            visibility_level: project.visibility_level,
        }
    }
}
