//! Where a hook is configured and where an event happened: a project, a group, or the whole instance.

use crate::ids::{GroupId, ProjectId};

/// The owner of a hook.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// The whole instance: a system hook.
    Instance,
    /// A group: its hooks also hear of events in its subgroups and projects.
    Group(GroupId),
    /// One project.
    Project(ProjectId),
}

/// Where an event happened. `None` is an event of the instance itself, or one that came in from elsewhere and belongs
/// to nothing that this instance knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// In a project: its hooks, those of its group and all ancestors, then system hooks hear of it.
    Project(ProjectId),
    /// In a group: its hooks and those of its ancestors hear of it, not system hooks.
    Group(GroupId),
    /// On the instance: system hooks hear of it.
    Instance,
    /// Received from another system: no local hook hears of it.
    Elsewhere,
}

/// A hook's level, as a set of the three, for the columns of a kind.
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

    /// Whether hooks of this scope are among the levels.
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

/// How a project or group is called and reached; what the composed bodies and the REST API show of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Project {
    /// GitLab's number.
    pub id: ProjectId,
    /// The group it lies in.
    pub group: GroupId,
    /// Shown name.
    pub name: String,
    /// Full path with the groups: `group/sub/app`.
    pub path_with_namespace: String,
    /// Name of the group, as `namespace` in bodies.
    pub namespace: String,
    /// Free text.
    pub description: Option<String>,
    /// Branch that commits land on.
    pub default_branch: Option<String>,
    /// 0 private, 10 internal, 20 public.
    pub visibility_level: i64,
    /// When it was created.
    pub created_at: crate::Timestamp,
}

/// A group, possibly inside another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// GitLab's number.
    pub id: GroupId,
    /// The group it lies in.
    pub parent: Option<GroupId>,
    /// Shown name.
    pub name: String,
    /// Full path with the ancestors: `group/sub`.
    pub full_path: String,
    /// Free text.
    pub description: Option<String>,
    /// 0 private, 10 internal, 20 public.
    pub visibility_level: i64,
    /// When it was created.
    pub created_at: crate::Timestamp,
}

/// Why a path segment is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "can contain only letters, digits, '_', '-' and '.', must not start with '-' or '.', must not end in '.', '.git' or \
     '.atom', and is at most 255 characters long"
)]
pub struct PathError;

/// Checks one segment of a path as GitLab does for project and group paths.
///
/// # Errors
/// When the text could not be a path segment in a URL or would be ambiguous there.
pub fn check_path_segment(path: &str) -> Result<(), PathError> {
    let legal = !path.is_empty()
        && path.len() <= 255
        && path.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
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
