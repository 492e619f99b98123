//! Matches projects and groups of other instances with local ones. Instance and number decide. A path only finds a
//! project or group whose number is not yet known, and only if no member below an administrator chose that path.

use std::collections::BTreeSet;

use crate::envelope::{Group, Project};

/// The author of the path of a project or group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PathSetBy {
    /// The creator: an administrator, or a received event.
    Creator,

    /// A member, who may rename it, so such a path proves nothing. This is the default, so that a change must state
    /// that it has more authority.
    #[default]
    Member,

    /// An administrator who changed the path. The project or group is pinned there while its instance has another path
    /// for it.
    Administrator,
}

impl PathSetBy {
    /// The number in the databases. Never change a number.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Creator => 0,
            Self::Member => 1,
            Self::Administrator => 2,
        }
    }

    /// The author with this number in the databases.
    #[must_use]
    pub const fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Creator,
            2 => Self::Administrator,
            _ => Self::Member,
        }
    }
}

/// A project or group of another instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Foreign {
    /// The instance, such as `https://gitlab.example.com`.
    pub instance: String,

    /// The number on its instance.
    pub number: i64,

    /// The full path on its instance, as last seen.
    pub path: String,
}

/// A local project or group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Local {
    /// The local number.
    pub id: i64,

    /// The local full path.
    pub path: String,

    /// The author of the last change of the path.
    pub path_set_by: PathSetBy,

    /// The project or group of another instance that it stands for, if known.
    pub stands_for: Option<Foreign>,
}

impl Local {
    /// Whether a project or group of another instance may be matched by this path.
    fn is_free(&self) -> bool {
        self.path_set_by != PathSetBy::Member && self.stands_for.is_none()
    }

    /// Whether this group may contain projects of an instance.
    fn may_hold(&self, instance: &str) -> bool {
        let is_same = |known: &Foreign| {
            known.instance == instance
                && (is_equal(&known.path, &self.path) || is_equal(&apart(instance, &known.path), &self.path))
        };
        self.path_set_by != PathSetBy::Member && self.stands_for.as_ref().is_none_or(is_same)
    }
}

/// The local groups and projects at the paths that a decision needs ([`paths`]).
#[derive(Clone, Default, Debug)]
pub struct Context {
    /// Groups at these paths.
    pub groups: Vec<Local>,

    /// Projects at these paths.
    pub projects: Vec<Local>,

    /// Top-level groups with projects of other instances. Hooks of such a group would get events of both instances.
    pub others: Vec<String>,
}

impl Context {
    fn group(&self, path: &str) -> Option<&Local> {
        self.groups.iter().find(|group| is_equal(&group.path, path))
    }

    fn project(&self, path: &str) -> Option<&Local> {
        self.projects.iter().find(|project| is_equal(&project.path, path))
    }

    fn is_anothers(&self, path: &str) -> bool {
        self.others.iter().any(|other| is_equal(other, top(path)))
    }

    /// Whether an administrator moved it to a path that its instance does not use.
    fn is_pinned(&self, local: &Local) -> bool {
        if local
            .stands_for
            .as_ref()
            .is_some_and(|known| is_equal(&known.path, &local.path))
        {
            return false;
        }

        let chose = |group: Option<&Local>| group.is_some_and(|group| group.path_set_by == PathSetBy::Administrator);
        chose(Some(local)) || above(&local.path).any(|path| chose(self.group(path)))
    }

    /// A free path, if each group above it is missing or may contain projects of the instance.
    fn free_path(&self, instance: &str, path: &str, namespace: &str) -> Option<FreePath> {
        if self.group(path).is_some() {
            return None;
        }

        let mut free_path = FreePath {
            path: path.to_owned(),
            parent: None,
            missing: Vec::new(),
        };

        for (above, name) in groups_above(path, namespace) {
            if self.project(above).is_some() {
                return None;
            }

            match self.group(above) {
                Some(group) if group.may_hold(instance) => free_path.parent = Some(group.id),
                Some(_) => return None,
                None => free_path.missing.push(MissingGroup {
                    path: above.to_owned(),
                    name: name.to_owned(),
                }),
            }
        }

        Some(free_path)
    }
}

/// A free path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FreePath {
    /// The full path.
    pub path: String,

    /// The nearest existing group above it.
    pub parent: Option<i64>,

    /// The missing groups between, from the top down.
    pub missing: Vec<MissingGroup>,
}

/// A group that has to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingGroup {
    /// The full path.
    pub path: String,

    /// The shown name.
    pub name: String,
}

/// The decision about a project whose number is not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Placement {
    /// This local project stands for it.
    Join(i64),

    /// A new project is created.
    Create(FreePath),

    /// Every possible path is taken.
    NoFreePath,
}

struct Candidate {
    path: String,

    /// Whether an existing project at this path can be the same project.
    joins: bool,
}

/// The possible local paths of a project, the best first: its own path, and the path with its number in case another
/// project has it. Then both with the instance's host in front, in case the groups cannot be used.
fn candidates(instance: &str, path: &str, number: i64, context: &Context) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let natural = (!context.is_anothers(path)).then(|| path.to_owned());

    for path in natural.into_iter().chain([apart(instance, path)]) {
        let numbered = Candidate {
            path: format!("{path}-{number}"),
            joins: false,
        };
        candidates.extend([Candidate { path, joins: true }, numbered]);
    }

    candidates
}

/// Chooses the local project, or a free path, for a project whose number is not known.
#[must_use]
pub fn place(instance: &str, seen: &Project, context: &Context) -> Placement {
    for candidate in candidates(instance, &seen.path_with_namespace, seen.id, context) {
        let Some(free_path) = context.free_path(instance, &candidate.path, &seen.namespace) else {
            continue;
        };
        match context.project(&candidate.path) {
            None => return Placement::Create(free_path),
            Some(there) if candidate.joins && there.is_free() => return Placement::Join(there.id),
            Some(_) => {}
        }
    }

    Placement::NoFreePath
}

/// The local project that stands for a project whose number is not known, found by its path before this event.
#[must_use]
pub fn find_renamed<'a>(instance: &str, seen: &'a Project, context: &Context) -> Option<(i64, &'a str)> {
    let old = seen.old_path.as_deref()?;
    for candidate in candidates(instance, old, seen.id, context) {
        let there = context
            .project(&candidate.path)
            .filter(|there| candidate.joins && there.is_free());
        if let Some(there) = there
            && context.free_path(instance, &candidate.path, "").is_some()
        {
            return Some((there.id, old));
        }
    }

    None
}

/// The new local path of a known project after its instance renamed it. `None` if the project stays: an administrator
/// pinned it, it is already there, or no path is free.
#[must_use]
pub fn follow(instance: &str, seen: &Project, project: &Local, context: &Context) -> Option<FreePath> {
    if context.is_pinned(project) {
        return None;
    }

    for candidate in candidates(instance, &seen.path_with_namespace, seen.id, context) {
        if is_equal(&candidate.path, &project.path) {
            return None;
        }

        if context.project(&candidate.path).is_some() {
            continue;
        }

        if let Some(free_path) = context.free_path(instance, &candidate.path, &seen.namespace) {
            return Some(free_path);
        }
    }

    None
}

/// The local group that stands for a group whose number is not known, and the path of the instance by which it was
/// found. Events of groups never create a group.
#[must_use]
pub fn find_group<'a>(instance: &str, seen: &'a Group, context: &Context) -> Option<(i64, &'a str)> {
    for there in [seen.old_path.as_deref(), Some(&*seen.path)].into_iter().flatten() {
        let natural = (!context.is_anothers(there)).then(|| there.to_owned());
        for path in [apart(instance, there)].into_iter().chain(natural) {
            let Some(group) = context.group(&path).filter(|group| group.is_free()) else {
                continue;
            };
            let mut groups = above(&path).map(|path| context.group(path));
            if groups.all(|group| group.is_some_and(|group| group.may_hold(instance))) {
                return Some((group.id, there));
            }
        }
    }

    None
}

/// The new local path of a known group, with everything in it, after its instance renamed it. `None` if the group
/// stays.
#[must_use]
pub fn follow_group(instance: &str, seen: &Group, group: &Local, context: &Context) -> Option<FreePath> {
    if context.is_pinned(group) {
        return None;
    }

    let natural = (!context.is_anothers(&seen.path)).then(|| seen.path.clone());
    for path in natural.into_iter().chain([apart(instance, &seen.path)]) {
        if is_equal(&path, &group.path) {
            return None;
        }

        // A group cannot contain itself.
        let is_inside = above(&path).any(|above| is_equal(above, &group.path));
        if is_inside || context.project(&path).is_some() {
            continue;
        }

        if let Some(free_path) = context.free_path(instance, &path, "") {
            return Some(free_path);
        }
    }

    None
}

/// All local paths that a decision needs, in lower case: the possible paths for `there`, the paths on the other
/// instance, with the groups above them; and the groups above `here`, the current local path.
#[must_use]
pub fn paths(instance: &str, there: &[&str], number: i64, here: Option<&str>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for path in there {
        for candidate in candidates(instance, path, number, &Context::default()) {
            all.extend(above(&candidate.path).map(str::to_ascii_lowercase));
            all.insert(candidate.path.to_ascii_lowercase());
        }
    }

    all.extend(here.into_iter().flat_map(above).map(str::to_ascii_lowercase));
    all
}

/// The top-level group of a path.
#[must_use]
pub fn top(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

/// The path with the instance's host in front of it.
#[must_use]
pub fn apart(instance: &str, path: &str) -> String {
    let host = instance.split("://").nth(1).unwrap_or(instance);
    let host = host.split('/').next().unwrap_or_default();
    let host: String = host
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect();

    format!("{}/{path}", if host.is_empty() { "elsewhere" } else { &host })
}

/// The paths above a path, from the top down.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// The full path and the name of each group above a path, from the top down.
fn groups_above<'a>(path: &'a str, namespace: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut groups: Vec<(&str, &str)> = above(path)
        .map(|path| (path, path.rsplit('/').next().unwrap_or_default()))
        .collect();
    if let Some(last) = groups.last_mut()
        && !namespace.is_empty()
    {
        last.1 = namespace;
    }

    groups
}

/// Compares paths without regard to case, as GitLab does.
fn is_equal(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests;
