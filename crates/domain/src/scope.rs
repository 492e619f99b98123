//! The place of a hook or an event: a project, a group, or the whole instance.

use crate::ids::{GroupId, ProjectId};

/// The owner of a hook.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// The whole instance: a system hook.
    Instance,

    /// A group. Its hooks also get events of its subgroups and projects.
    Group(GroupId),

    /// One project.
    Project(ProjectId),
}

/// The place of an event. `Elsewhere` is the place of an event of another system that belongs to nothing on this
/// instance.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// In a project. Hooks of the project, of its group and all ancestors, and system hooks get the event.
    Project(ProjectId),

    /// In a group. Hooks of the group and its ancestors get the event, and system hooks do not.
    Group(GroupId),

    /// On the instance. System hooks get the event.
    Instance,

    /// Received from another system. No local hook gets the event.
    Elsewhere,
}

/// A set of levels of hooks, for the columns of the catalog.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Levels(u8);

impl Levels {
    /// No level.
    pub const NONE: Self = Self(0);
    /// Project hooks.
    pub const P: Self = Self(1);
    /// Group hooks.
    pub const G: Self = Self(2);
    /// System hooks.
    pub const S: Self = Self(4);
    /// Project and group hooks.
    pub const PG: Self = Self(3);
    /// All three.
    pub const PGS: Self = Self(7);

    /// Whether the levels contain the level of this scope.
    #[must_use]
    pub const fn contain(self, scope: Scope) -> bool {
        let bit = match scope {
            Scope::Project(_) => 1,
            Scope::Group(_) => 2,
            Scope::Instance => 4,
        };
        self.0 & bit != 0
    }
}

/// A project's ids, names and settings, as composed bodies and the REST API show them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Project {
    /// GitLab's number.
    pub id: ProjectId,

    /// The group that contains it.
    pub group: GroupId,

    /// Shown name.
    pub name: String,

    /// Full path with the groups: `group/sub/app`.
    pub path_with_namespace: String,

    /// Name of the group, as `namespace` in bodies.
    pub namespace: String,

    /// Free text.
    pub description: Option<String>,

    /// The default branch.
    pub default_branch: Option<String>,

    /// 0 private, 10 internal, 20 public.
    pub visibility_level: i64,

    /// Creation time.
    pub created_at: crate::Timestamp,
}

/// A group, possibly inside another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// GitLab's number.
    pub id: GroupId,

    /// The group that contains it, if any.
    pub parent: Option<GroupId>,

    /// Shown name.
    pub name: String,

    /// Full path with the ancestors: `group/sub`.
    pub full_path: String,

    /// Free text.
    pub description: Option<String>,

    /// 0 private, 10 internal, 20 public.
    pub visibility_level: i64,

    /// Creation time.
    pub created_at: crate::Timestamp,
}

/// The reason for refusing a path segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "can contain only letters, digits, '_', '-' and '.', must not start with '-' or '.', must not end in '.', '.git' or \
     '.atom', and is at most 255 characters long"
)]
pub struct PathError;

/// Checks one segment of a path as GitLab does for project and group paths.
///
/// # Errors
/// When the text cannot be a path segment in a URL, or would be ambiguous there.
pub fn check_path_segment(path: &str) -> Result<(), PathError> {
    let legal = !path.is_empty()
        && path.len() <= 255
        && path
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !path.starts_with(['-', '.'])
        && ![".", ".git", ".atom"].iter().any(|end| path.ends_with(end));
    if legal { Ok(()) } else { Err(PathError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_segments_follow_gitlabs_rule() {
        for good in ["a", "my-app", "My_App.2", "2048"] {
            assert_eq!(check_path_segment(good), Ok(()), "{good}");
        }

        for bad in ["", "-a", ".a", "a.", "a.git", "a.atom", "a/b", "a b", "é", "a\0"] {
            assert_eq!(check_path_segment(bad), Err(PathError), "{bad}");
        }
    }
}
