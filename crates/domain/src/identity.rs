//! Which project or group here stands for one of another instance: instance and number decide. A path only finds what has no number
//! yet, and only where nobody below an administrator chose it.

use std::collections::BTreeSet;

use crate::event::{SeenGroup, SeenProject};

/// Who chose the path of a project or group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ChosenBy {
    /// Whoever made it: an administrator, or a received event.
    Maker,
    /// A member, who may rename it: such a path proves nothing. The default, because a change must say that it is more.
    #[default]
    Member,
    /// An administrator who changed it. It is pinned there while its instance calls it otherwise.
    Administrator,
}

impl ChosenBy {
    /// What the databases store. Never change a number.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Maker => 0,
            Self::Member => 1,
            Self::Administrator => 2,
        }
    }

    /// From what the databases store.
    #[must_use]
    pub const fn from_code(code: i16) -> Self {
        match code {
            0 => Self::Maker,
            2 => Self::Administrator,
            _ => Self::Member,
        }
    }
}

/// A project or group of another instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Foreign {
    /// The instance: `https://gitlab.example.com`.
    pub instance: String,
    /// The number there.
    pub number: i64,
    /// The full path there, as last seen.
    pub path: String,
}

/// A project or group here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Local {
    /// The number here.
    pub id: i64,
    /// The full path here.
    pub path: String,
    /// Who chose the last change of the path.
    pub chosen_by: ChosenBy,
    /// The project or group that it stands for, if that is known.
    pub stands_for: Option<Foreign>,
}

impl Local {
    /// Whether a project or group of another instance may be found by this path.
    fn is_free(&self) -> bool {
        self.chosen_by != ChosenBy::Member && self.stands_for.is_none()
    }

    /// Whether projects of an instance may lie in this group.
    fn may_hold(&self, instance: &str) -> bool {
        let is_same = |known: &Foreign| {
            known.instance == instance
                && (is_equal(&known.path, &self.path) || is_equal(&apart(instance, &known.path), &self.path))
        };
        self.chosen_by != ChosenBy::Member && self.stands_for.as_ref().is_none_or(is_same)
    }
}

/// What is here at the paths that a decision looks at ([`paths`]).
#[derive(Clone, Default, Debug)]
pub struct Around {
    /// Groups at those paths.
    pub groups: Vec<Local>,
    /// Projects at those paths.
    pub projects: Vec<Local>,
    /// Top-level groups in which projects of other instances lie: hooks there would hear of both.
    pub others: Vec<String>,
}

impl Around {
    fn group(&self, path: &str) -> Option<&Local> {
        self.groups.iter().find(|group| is_equal(&group.path, path))
    }

    fn project(&self, path: &str) -> Option<&Local> {
        self.projects.iter().find(|project| is_equal(&project.path, path))
    }

    fn is_anothers(&self, path: &str) -> bool {
        self.others.iter().any(|other| is_equal(other, top(path)))
    }

    /// Whether an administrator put it where its instance does not have it.
    fn is_pinned(&self, local: &Local) -> bool {
        if local.stands_for.as_ref().is_some_and(|known| is_equal(&known.path, &local.path)) {
            return false;
        }
        let chose = |group: Option<&Local>| group.is_some_and(|group| group.chosen_by == ChosenBy::Administrator);
        chose(Some(local)) || above(&local.path).any(|path| chose(self.group(path)))
    }

    /// A path that is no group's, whose groups can be had.
    fn room(&self, instance: &str, path: &str, namespace: &str) -> Option<Room> {
        if self.group(path).is_some() {
            return None;
        }
        let mut room = Room { path: path.to_owned(), parent: None, missing: Vec::new() };
        for (above, name) in groups_above(path, namespace) {
            if self.project(above).is_some() {
                return None;
            }
            match self.group(above) {
                Some(group) if group.may_hold(instance) => room.parent = Some(group.id),
                Some(_) => return None,
                None => room.missing.push(MissingGroup { path: above.to_owned(), name: name.to_owned() }),
            }
        }
        Some(room)
    }
}

/// A path that can be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Room {
    /// The full path.
    pub path: String,
    /// The nearest group above it that is there.
    pub parent: Option<i64>,
    /// The groups between, which are to be made, from the top down.
    pub missing: Vec<MissingGroup>,
}

/// A group that is to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingGroup {
    /// The full path.
    pub path: String,
    /// The shown name.
    pub name: String,
}

/// What becomes of a project whose number is not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Placed {
    /// This project here stands for it.
    Join(i64),
    /// One is made.
    Make(Room),
    /// Every path that it could have is taken.
    Nowhere,
}

struct Candidate {
    path: String,
    /// Whether a project that is there can be the same.
    joins: bool,
}

/// The paths that a project can have here, the best first: its own; the same with its number, where another project has that; and
/// both with the instance's host in front, where its groups cannot be had.
fn candidates(instance: &str, path: &str, number: i64, around: &Around) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let natural = (!around.is_anothers(path)).then(|| path.to_owned());
    for path in natural.into_iter().chain([apart(instance, path)]) {
        let numbered = Candidate { path: format!("{path}-{number}"), joins: false };
        candidates.extend([Candidate { path, joins: true }, numbered]);
    }
    candidates
}

/// Finds a place for a project whose number is not known.
#[must_use]
pub fn place(instance: &str, seen: &SeenProject, around: &Around) -> Placed {
    for candidate in candidates(instance, &seen.path_with_namespace, seen.id, around) {
        let Some(room) = around.room(instance, &candidate.path, &seen.namespace) else { continue };
        match around.project(&candidate.path) {
            None => return Placed::Make(room),
            Some(there) if candidate.joins && there.is_free() => return Placed::Join(there.id),
            Some(_) => {}
        }
    }
    Placed::Nowhere
}

/// The project here that stands for one whose number is not known, by the path that it had before this event.
#[must_use]
pub fn find_renamed<'a>(instance: &str, seen: &'a SeenProject, around: &Around) -> Option<(i64, &'a str)> {
    let old = seen.old_path.as_deref()?;
    for candidate in candidates(instance, old, seen.id, around) {
        let there = around.project(&candidate.path).filter(|there| candidate.joins && there.is_free());
        if let Some(there) = there
            && around.room(instance, &candidate.path, "").is_some()
        {
            return Some((there.id, old));
        }
    }
    None
}

/// Where a known project moves when its instance calls it otherwise. `None`: it stays, because an administrator pinned it, it is
/// there already, or no path can be had.
#[must_use]
pub fn follow(instance: &str, seen: &SeenProject, project: &Local, around: &Around) -> Option<Room> {
    if around.is_pinned(project) {
        return None;
    }
    for candidate in candidates(instance, &seen.path_with_namespace, seen.id, around) {
        if is_equal(&candidate.path, &project.path) {
            return None;
        }
        if around.project(&candidate.path).is_some() {
            continue;
        }
        if let Some(room) = around.room(instance, &candidate.path, &seen.namespace) {
            return Some(room);
        }
    }
    None
}

/// The group here that stands for one whose number is not known, and the path there by which it was found. Events of groups make
/// none.
#[must_use]
pub fn find_group<'a>(instance: &str, seen: &'a SeenGroup, around: &Around) -> Option<(i64, &'a str)> {
    for there in [seen.old_path.as_deref(), Some(&*seen.path)].into_iter().flatten() {
        let natural = (!around.is_anothers(there)).then(|| there.to_owned());
        for path in [apart(instance, there)].into_iter().chain(natural) {
            let Some(group) = around.group(&path).filter(|group| group.is_free()) else { continue };
            let mut groups = above(&path).map(|path| around.group(path));
            if groups.all(|group| group.is_some_and(|group| group.may_hold(instance))) {
                return Some((group.id, there));
            }
        }
    }
    None
}

/// Where a known group moves, with all that lies in it, when its instance calls it otherwise. `None`: it stays.
#[must_use]
pub fn follow_group(instance: &str, seen: &SeenGroup, group: &Local, around: &Around) -> Option<Room> {
    if around.is_pinned(group) {
        return None;
    }
    let natural = (!around.is_anothers(&seen.path)).then(|| seen.path.clone());
    for path in natural.into_iter().chain([apart(instance, &seen.path)]) {
        if is_equal(&path, &group.path) {
            return None;
        }
        // A group cannot lie in itself.
        let is_inside = above(&path).any(|above| is_equal(above, &group.path));
        if is_inside || around.project(&path).is_some() {
            continue;
        }
        if let Some(room) = around.room(instance, &path, "") {
            return Some(room);
        }
    }
    None
}

/// All paths here that a decision looks at, in small letters: what can be at `there`, the paths on the other instance, and the
/// groups above; and the groups above `here`, where it lies now.
#[must_use]
pub fn paths(instance: &str, there: &[&str], number: i64, here: Option<&str>) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for path in there {
        for candidate in candidates(instance, path, number, &Around::default()) {
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

/// The path with the instance's host in front.
#[must_use]
pub fn apart(instance: &str, path: &str) -> String {
    let host = instance.split("://").nth(1).unwrap_or(instance);
    let host = host.split('/').next().unwrap_or_default();
    let host: String = host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    format!("{}/{path}", if host.is_empty() { "elsewhere" } else { &host })
}

/// The paths above a path, from the top down.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// The groups above a path, from the top down: full path, and the name of each.
fn groups_above<'a>(path: &'a str, namespace: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut groups: Vec<(&str, &str)> =
        above(path).map(|path| (path, path.rsplit('/').next().unwrap_or_default())).collect();
    if let Some(last) = groups.last_mut()
        && !namespace.is_empty()
    {
        last.1 = namespace;
    }
    groups
}

/// Paths are compared without case, as GitLab does.
fn is_equal(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests;
