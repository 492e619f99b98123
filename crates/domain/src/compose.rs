//! The parts of composed bodies: the report of a forge, its checks, and the objects that several kinds share. Each kind
//! composes its own body in `kinds/`, and `report.rs` chooses the kind.

pub(crate) mod fields;
mod image_links;
mod shapes;
pub(crate) mod system_events;

pub use image_links::UploadLinks;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
pub use shapes::actions;

use crate::compose::system_events::Shape;
use crate::members::members;
use crate::scope::{Group, Project};
use crate::tree::{self, TreeError};
use crate::{Timestamp, Trigger};

/// Why no body can be composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// Bodies of this kind cannot be composed: Quickdraw writes them itself, or does not know them.
    #[error("{0} cannot be composed; report them with a complete body as \"payload\"")]
    NoComposer(Trigger),

    /// It happens elsewhere.
    #[error("{0} are composed from what a {1} knows; report them there, or with a complete body as \"payload\"")]
    Misplaced(Trigger, &'static str),

    /// An operation groups saves of one object, and this kind has none.
    #[error("{0} are of no object that is saved; report them without \"operation\"")]
    NoSaves(Trigger),

    /// One kind has several events, and the object does not say which it is.
    #[error("the object of {0} needs an event_name: one of {names}", names = .0.row().event_names.join(", "))]
    WhichEvent(Trigger),

    /// The object lacks something.
    #[error("the object of {0}, or what it was before, is not usable: {1}")]
    Object(Trigger, serde_json::Error),

    /// The object lacks an attribute that identifies it.
    #[error("the object of {0} has no {1}")]
    Missing(Trigger, &'static str),

    /// A word that no receiver knows.
    #[error("the action {1:?} of the object of {0} is unknown; use one of {2}")]
    Action(Trigger, String, String),

    /// GitLab sends nothing for it.
    #[error("{1} fires no {0} in GitLab, and none is sent: do not report it")]
    Silent(Trigger, &'static str),

    /// A part of the object has the wrong type or form.
    #[error("{1} of the object of {0} has to be {2}, as in GitLab's bodies")]
    Shape(Trigger, String, &'static str),

    /// It is too large, or what is composed from it is.
    #[error("the object of {0} is too large, or its body would be; report it with a complete body as \"payload\"")]
    TooLarge(Trigger),
}

/// Largest object that is composed from, in bytes: it is taken apart in memory.
pub(crate) const MAX_OBJECT: usize = 4 << 20;
/// Most memory that it may take then, and what was different before as much again, in bytes.
pub(crate) const MAX_TREE: usize = tree::BUDGET;

/// The user who caused an event, as the reporter knows them.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
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

/// The instance that bodies are composed for.
#[derive(Clone, Copy, Debug)]
pub struct Instance<'a> {
    /// Where it is.
    pub base_url: &'a str,

    /// Where links to uploaded files lead.
    pub upload_links: UploadLinks,
}

/// The project or group in which an event happened.
#[derive(Clone, Copy, Debug)]
pub enum Scene<'a> {
    /// In a project.
    Project(&'a Project),

    /// In a group.
    Group(&'a Group),

    /// On the instance.
    Instance,
}

/// An event as the forge reports it.
#[derive(Clone, Copy)]
pub struct Happened<'a, S = Scene<'a>> {
    /// Its kind.
    pub trigger: Trigger,

    /// The project or group in which it happened.
    pub scene: S,

    /// The user who caused it.
    pub user: &'a User,

    /// The object of the event: its attributes by GitLab's names, and the objects that belong to it.
    pub object: &'a RawValue,

    /// The attributes that changed, with their earlier values.
    pub previous: Option<&'a RawValue>,

    /// The instance.
    pub instance: Instance<'a>,

    /// The time of the report, which counts as the time of the event unless the object has another.
    pub at: Timestamp,
}

/// An event whose scene is a project.
pub(crate) type InProject<'a> = Happened<'a, &'a Project>;

impl<'a, S> Happened<'a, S> {
    /// The same event in another scene.
    pub(crate) fn in_scene<T>(self, scene: T) -> Happened<'a, T> {
        let Self {
            trigger,
            user,
            object,
            previous,
            instance,
            at,
            ..
        } = self;

        Happened {
            trigger,
            scene,
            user,
            object,
            previous,
            instance,
            at,
        }
    }
}

impl InProject<'_> {
    /// The address of something in the project.
    pub(crate) fn address(&self, path: &str) -> String {
        format!(
            "{}/{}/{path}",
            self.instance.base_url.trim_end_matches('/'),
            self.scene.path_with_namespace
        )
    }
}

/// The unreserved characters of RFC 3986, which an address does not encode.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name as one segment of an address.
pub(crate) fn segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

/// A name with slashes as several segments.
pub(crate) fn in_path(name: &str) -> String {
    name.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The way in which the bodies of a kind are composed.
pub(crate) enum Composer {
    /// From bytes, without a tree: the report can be as large as bodies are.
    Push(fn(&InProject<'_>) -> Result<Vec<u8>, ComposeError>),

    /// From an object in a project.
    InProject(fn(&InProject<'_>) -> Result<Map<String, Value>, ComposeError>),

    /// From an object in a project, in a group or on the instance.
    Anywhere(fn(&Happened<'_>) -> Result<Map<String, Value>, ComposeError>),

    /// From a list of attributes without an object.
    Attributes(&'static Shape),
}

/// The kind of an event by its object: a confidential object makes the event confidential, whatever the report calls
/// it. A comment is as confidential as the issue that it belongs to.
#[must_use]
pub fn kind_of(trigger: Trigger, object: &RawValue) -> Trigger {
    if trigger.row().confidential_half.is_none() {
        return trigger;
    }

    // Composing refuses what cannot be read, and what is neither true nor false.
    let names = ["confidential", "internal", "issue"];
    let Some([confidential, internal, issue]) = members(object.get(), names) else {
        return trigger;
    };
    let [of_issue] = issue
        .and_then(|issue| members(issue.get(), ["confidential"]))
        .unwrap_or_default();

    let is_marked = [confidential, internal, of_issue]
        .into_iter()
        .flatten()
        .any(|mark| mark.get() == "true");
    if is_marked { trigger.confidential() } else { trigger }
}

/// An object as a tree, which takes so many bytes of memory at most.
pub(crate) fn tree_of(trigger: Trigger, object: &RawValue, budget: usize) -> Result<Map<String, Value>, ComposeError> {
    tree::read_object(object.get().as_bytes(), budget).map_err(|error| match error {
        TreeError::Json(error) => ComposeError::Object(trigger, error),
        TreeError::TooLarge(_) => ComposeError::TooLarge(trigger),
    })
}

/// The `project` object, deprecated fields included.
#[derive(Serialize)]
pub(crate) struct ProjectBody<'a> {
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
pub(crate) struct RepositoryBody<'a> {
    name: &'a str,
    url: &'a str,
    description: Option<&'a str>,
    homepage: &'a str,
    git_http_url: &'a str,
    git_ssh_url: &'a str,
    visibility_level: i64,
}

/// The same in the events of issues, merge requests and comments, where it is shorter.
#[derive(Serialize)]
pub(crate) struct ShortRepositoryBody<'a> {
    name: &'a str,
    url: &'a str,
    description: Option<&'a str>,
    homepage: &'a str,
}

/// Where a project is cloned from with SSH, made from the base URL of the instance.
#[must_use]
pub fn ssh_url(base_url: &str, path_with_namespace: &str) -> String {
    let host = base_url.split("://").nth(1).unwrap_or(base_url);
    let host = host.split(['/', ':']).next().unwrap_or(host);
    format!("git@{host}:{path_with_namespace}.git")
}

/// The addresses of a project, made from the base URL of the instance.
pub(crate) struct Addresses {
    pub(crate) web: String,
    pub(crate) ssh: String,
    pub(crate) http: String,
}

impl Addresses {
    pub(crate) fn of(project: &Project, base_url: &str) -> Self {
        let web = format!("{}/{}", base_url.trim_end_matches('/'), project.path_with_namespace);
        Self {
            ssh: ssh_url(base_url, &project.path_with_namespace),
            http: format!("{web}.git"),
            web,
        }
    }

    pub(crate) fn project<'a>(&'a self, project: &'a Project) -> ProjectBody<'a> {
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

    pub(crate) fn short_repository<'a>(&'a self, project: &'a Project) -> ShortRepositoryBody<'a> {
        ShortRepositoryBody {
            name: &project.name,
            url: &self.ssh,
            description: project.description.as_deref(),
            homepage: &self.web,
        }
    }

    pub(crate) fn repository<'a>(&'a self, project: &'a Project) -> RepositoryBody<'a> {
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
