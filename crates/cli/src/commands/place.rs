//! The place of an object: a project, a group, or the whole instance.

use clap::Args;

use super::encoded;

/// The level of a webhook.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Level {
    /// Full path or number of a project.
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,

    /// Full path or number of a group.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,

    /// The whole instance.
    #[arg(long)]
    instance: bool,
}

impl Level {
    /// The path of the hooks in the API.
    pub(super) fn hooks(&self) -> String {
        match (&self.project, &self.group) {
            (Some(project), _) => format!("v4/projects/{}/hooks", encoded(project)),
            (None, Some(group)) => format!("v4/groups/{}/hooks", encoded(group)),
            (None, None) => "v4/hooks".to_owned(),
        }
    }

    /// The webhooks of the instance have no log and another test.
    pub(super) const fn is_instance(&self) -> bool {
        self.instance
    }
}

/// A project or a group.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct Home {
    /// Full path or number of a project.
    #[arg(long, value_name = "PROJECT")]
    project: Option<String>,

    /// Full path or number of a group.
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

impl Home {
    /// The path of the project or group in the API.
    pub(super) fn path(&self) -> String {
        match (&self.project, &self.group) {
            (Some(project), _) => format!("v4/projects/{}", encoded(project)),
            (None, group) => format!("v4/groups/{}", encoded(group.as_deref().unwrap_or_default())),
        }
    }
}
