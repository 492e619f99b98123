//! The project or group of a received event, as its body names it on the instance that sent it.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::members::members;

/// Longest accepted path, in bytes.
const LONGEST_PATH: usize = 1000;

/// Deepest accepted path, including its last segment.
const DEEPEST: usize = 20;

/// The project, group and user that a body names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Whereabouts {
    /// The project's number on its instance.
    pub project: Option<i64>,
    /// The project's full path on its instance.
    pub path: Option<String>,
    /// The group's path, for events of groups: the full path, or its last segment if the body has no more.
    pub group: Option<String>,
    /// The group's number on its instance.
    pub group_number: Option<i64>,
    /// The group with its number and full path, if the body has both.
    pub seen_group: Option<SeenGroup>,
    /// The user who caused the event.
    pub user: Option<SeenUser>,
}

/// A user as an event shows them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SeenUser {
    /// Login.
    pub username: String,
    /// Shown name.
    pub name: String,
    /// E-mail address, if it is shown.
    pub email: Option<String>,
}

/// A group as an event shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenGroup {
    /// Its number on its instance.
    pub number: i64,
    /// Full path.
    pub path: String,
    /// The full path before this event, if the group was renamed.
    pub old_path: Option<String>,
}

/// A project as an event shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenProject {
    /// Its number on its instance.
    pub id: i64,
    /// Shown name.
    pub name: String,
    /// Full path.
    pub path_with_namespace: String,
    /// Name of its group.
    pub namespace: String,
    /// Free text.
    pub description: Option<String>,
    /// The default branch.
    pub default_branch: Option<String>,
    /// 0 private, 10 internal, 20 public.
    pub visibility_level: i64,
    /// The full path before this event, if the project was renamed or transferred.
    pub old_path: Option<String>,
}

#[derive(Default)]
struct Body<'a> {
    project: Option<&'a RawValue>,
    project_id: Option<&'a RawValue>,
    group: Option<&'a RawValue>,
    group_path: Option<&'a RawValue>,
    full_path: Option<&'a RawValue>,
    user: Option<&'a RawValue>,
    user_username: Option<&'a RawValue>,
    user_name: Option<&'a RawValue>,
    user_email: Option<&'a RawValue>,
    parent_full_path: Option<&'a RawValue>,
    parent_group_id: Option<&'a RawValue>,
    group_id: Option<&'a RawValue>,
    old_full_path: Option<&'a RawValue>,
    old_path_with_namespace: Option<&'a RawValue>,
    // Top-level fields of events that create, rename and move projects, and of members.
    name: Option<&'a RawValue>,
    path_with_namespace: Option<&'a RawValue>,
    project_name: Option<&'a RawValue>,
    project_path_with_namespace: Option<&'a RawValue>,
}

const NAMES: [&str; 18] = [
    "project",
    "project_id",
    "group",
    "group_path",
    "full_path",
    "user",
    "user_username",
    "user_name",
    "user_email",
    "parent_full_path",
    "parent_group_id",
    "group_id",
    "old_full_path",
    "old_path_with_namespace",
    "name",
    "path_with_namespace",
    "project_name",
    "project_path_with_namespace",
];

impl<'a> Body<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let [
            project,
            project_id,
            group,
            group_path,
            full_path,
            user,
            user_username,
            user_name,
            user_email,
            parent_full_path,
            parent_group_id,
            group_id,
            old_full_path,
            old_path_with_namespace,
            name,
            path_with_namespace,
            project_name,
            project_path_with_namespace,
        ] = members(std::str::from_utf8(bytes).ok()?, NAMES)?;
        Some(Self {
            project,
            project_id,
            group,
            group_path,
            full_path,
            user,
            user_username,
            user_name,
            user_email,
            parent_full_path,
            parent_group_id,
            group_id,
            old_full_path,
            old_path_with_namespace,
            name,
            path_with_namespace,
            project_name,
            project_path_with_namespace,
        })
    }
}

/// Reads a body and passes its fields to a function. The last of a repeated name counts. A body that cannot be read has
/// no fields.
fn with_body<T>(bytes: &[u8], read: impl FnOnce(&Body<'_>) -> T) -> T {
    read(&Body::of(bytes).unwrap_or_default())
}

#[derive(Deserialize, Default)]
struct Person<'a> {
    #[serde(borrow)]
    username: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    email: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Project<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    path_with_namespace: Option<&'a RawValue>,
    #[serde(borrow)]
    namespace: Option<&'a RawValue>,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow)]
    default_branch: Option<&'a RawValue>,
    #[serde(borrow)]
    visibility_level: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Group<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    group_id: Option<&'a RawValue>,
    #[serde(borrow)]
    full_path: Option<&'a RawValue>,
    #[serde(borrow)]
    group_path: Option<&'a RawValue>,
}

impl Whereabouts {
    /// Reads a body. A value of an unexpected type counts as absent.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        with_body(body, Self::of)
    }

    fn of(body: &Body<'_>) -> Self {
        let project: Project<'_> = nested(body.project);
        let group: Group<'_> = nested(body.group);
        let person: Person<'_> = nested(body.user);
        // Events about a subgroup belong to its parent group.
        let parent = text(body.parent_full_path);
        let group_number = match parent {
            Some(_) => number(body.parent_group_id),
            None => number(group.group_id).or_else(|| number(group.id)).or_else(|| number(body.group_id)),
        };
        let old_path = text(body.old_full_path).filter(|path| parent.is_none() && is_path(path));
        let full = parent.or_else(|| text(body.full_path)).or_else(|| text(group.full_path));
        let full = full.filter(|path| is_path(path));
        let last = || text(group.group_path).or_else(|| text(body.group_path)).filter(|path| is_path(path));
        let seen_group = group_number.zip(full.clone()).map(|(number, path)| SeenGroup { number, path, old_path });
        let username = text(person.username).or_else(|| text(body.user_username));
        let name = text(person.name).or_else(|| text(body.user_name));
        let email = text(person.email).or_else(|| text(body.user_email));
        Self {
            project: number(project.id).or_else(|| number(body.project_id)),
            path: project_path(body, &project),
            group: full.or_else(last),
            group_number,
            seen_group,
            user: username.filter(|name| is_segment(name)).map(|username| SeenUser {
                name: name.unwrap_or_else(|| username.clone()),
                email: email.filter(|email| email.contains('@') && email.len() <= 255),
                username,
            }),
        }
    }
}

impl Whereabouts {
    /// The sender's key, with the project or group that the body names, because senders may number the events of each
    /// project alike. Unlike the headers, the body is signed.
    #[must_use]
    pub fn key(&self, key: &str) -> String {
        // A header's value contains no line break, so no key can look like another key with its project.
        match (self.project, &self.group) {
            (Some(number), _) => format!("project {number}\n{key}"),
            (None, Some(path)) => format!("group {path}\n{key}"),
            (None, None) => key.to_owned(),
        }
    }
}

impl SeenProject {
    /// Reads the project of a body. `None` if the number or path is missing, or the path is not valid for a project.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        with_body(body, Self::of)
    }

    fn of(body: &Body<'_>) -> Option<Self> {
        let project: Project<'_> = nested(body.project);
        let path = project_path(body, &project)?;
        let last = path.rsplit('/').next().unwrap_or_default().to_owned();
        Some(Self {
            id: number(project.id).or_else(|| number(body.project_id))?,
            name: text(project.name).or_else(|| text(body.project_name)).or_else(|| text(body.name)).unwrap_or(last),
            namespace: text(project.namespace).unwrap_or_default(),
            description: text(project.description),
            default_branch: text(project.default_branch),
            visibility_level: number(project.visibility_level).filter(|level| [0, 10, 20].contains(level)).unwrap_or(0),
            old_path: text(body.old_path_with_namespace).filter(|path| is_project_path(path)),
            path_with_namespace: path,
        })
    }
}

fn project_path(body: &Body<'_>, project: &Project<'_>) -> Option<String> {
    let path = text(project.path_with_namespace)
        .or_else(|| text(body.path_with_namespace))
        .or_else(|| text(body.project_path_with_namespace))?;
    is_project_path(&path).then_some(path)
}

fn is_project_path(path: &str) -> bool {
    is_path(path) && path.contains('/')
}

/// Segments of letters, digits and a few signs, as GitLab allows them.
fn is_path(path: &str) -> bool {
    path.len() <= LONGEST_PATH && path.split('/').count() <= DEEPEST && path.split('/').all(is_segment)
}

fn is_segment(segment: &str) -> bool {
    (1..=255).contains(&segment.len())
        && segment.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !segment.chars().all(|c| c == '.')
}

fn nested<'a, T: Deserialize<'a> + Default>(value: Option<&'a RawValue>) -> T {
    value.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default()
}

fn number(value: Option<&RawValue>) -> Option<i64> {
    value?.get().parse().ok()
}

/// A text of limited length, without control characters.
fn text(value: Option<&RawValue>) -> Option<String> {
    let text: String = serde_json::from_str(value?.get()).ok()?;
    let text: String = text.chars().filter(|c| !c.is_control()).take(1000).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_groups_and_users_are_read_from_every_form() {
        let push = br#"{"object_kind":"push","user_username":"ida","user_name":"Ida","user_email":"","project_id":7,
            "project":{"id":7,"name":"Rope","path_with_namespace":"gear/sub/rope","namespace":"Sub","visibility_level":10}}"#;
        let user = |name: &str| SeenUser { username: "ida".to_owned(), name: name.to_owned(), email: None };
        let path = Some("gear/sub/rope".to_owned());
        let expected = Whereabouts { project: Some(7), path, user: Some(user("Ida")), ..Whereabouts::default() };
        assert_eq!(Whereabouts::read(push), expected);
        let seen = SeenProject::read(push).expect("a project");
        assert_eq!((seen.id, &*seen.path_with_namespace, seen.visibility_level), (7, "gear/sub/rope", 10));
        let issue = br#"{"user":{"username":"ida","email":"[REDACTED]"},"project":{"id":8}}"#;
        let expected = Whereabouts { project: Some(8), user: Some(user("ida")), ..Whereabouts::default() };
        assert_eq!(Whereabouts::read(issue), expected);
        assert_eq!(SeenProject::read(issue), None);
        let made = br#"{"event_name":"project_create","name":"Rope","path_with_namespace":"gear/rope","project_id":9}"#;
        assert_eq!(SeenProject::read(made).map(|seen| (seen.id, seen.name)), Some((9, "Rope".to_owned())));
        for (body, path) in [
            (&br#"{"event_name":"subgroup_create","full_path":"gear/sub","parent_full_path":"gear"}"#[..], "gear"),
            (br#"{"event_name":"group_rename","full_path":"gear/sub","group_path":"x"}"#, "gear/sub"),
            (br#"{"event_name":"user_add_to_group","group_path":"gear"}"#, "gear"),
            (br#"{"object_kind":"access_token","group":{"full_path":"gear/sub"}}"#, "gear/sub"),
        ] {
            assert_eq!(Whereabouts::read(body).group.as_deref(), Some(path));
        }
    }

    #[test]
    fn the_last_of_a_repeated_name_counts_and_numbers_are_valid_names() {
        let twice = br#"{"project":{"id":1},"project":{"id":2,"path_with_namespace":"gabriele/2048"}}"#;
        assert_eq!(Whereabouts::read(twice).project, Some(2));
        assert_eq!(SeenProject::read(twice).map(|seen| seen.path_with_namespace).as_deref(), Some("gabriele/2048"));
        let odd_name = br#"{"\ud800":1,"project":{"id":7}}"#;
        assert_eq!(Whereabouts::read(odd_name).project, Some(7), "unused names can be anything");
        let member = br#"{"event_name":"user_add_to_team","project_id":4,"project_name":"Rope",
            "project_path_with_namespace":"gear/rope","user_name":"Ida"}"#;
        assert_eq!(SeenProject::read(member).map(|seen| (seen.id, seen.name)), Some((4, "Rope".to_owned())));
    }

    #[test]
    fn groups_are_read_with_their_number_and_renamed_groups_with_their_old_path() {
        let group = |body: &str| Whereabouts::read(body.as_bytes());
        let seen = |number: i64, path: &str, old: Option<&str>| {
            Some(SeenGroup { number, path: path.to_owned(), old_path: old.map(str::to_owned) })
        };
        let rename = r#"{"event_name":"group_rename","full_path":"a/new","group_id":64,"old_full_path":"a/old"}"#;
        assert_eq!(group(rename).seen_group, seen(64, "a/new", Some("a/old")));
        let subgroup = r#"{"full_path":"a/b","group_id":10,"parent_group_id":7,"parent_full_path":"a"}"#;
        assert_eq!(group(subgroup).seen_group, seen(7, "a", None));
        let token = r#"{"group":{"group_path":"b","group_id":35,"full_path":"a/b"}}"#;
        assert_eq!(group(token).seen_group, seen(35, "a/b", None));
        let member = group(r#"{"group_path":"b","group_id":100}"#);
        assert_eq!((member.group_number, member.group.as_deref(), member.seen_group), (Some(100), Some("b"), None));
        let transfer = br#"{"event_name":"project_transfer","project_id":15,"path_with_namespace":"ropes/rope",
            "old_path_with_namespace":"gear/rope"}"#;
        let transfer = SeenProject::read(transfer).expect("a project");
        assert_eq!((&*transfer.path_with_namespace, transfer.old_path.as_deref()), ("ropes/rope", Some("gear/rope")));
    }

    #[test]
    fn a_key_contains_the_project_or_group_that_the_body_names() {
        let key = |body: &str| Whereabouts::read(body.as_bytes()).key("one");
        let of_project = key(r#"{"project":{"id":7,"path_with_namespace":"gear/rope"}}"#);
        assert_eq!(of_project, key(r#"{"project_id":7}"#));
        let others = [key(r#"{"project_id":8}"#), key(r#"{"group_path":"gear"}"#), key("{}")];
        assert!(!others.contains(&of_project) && others[0] != others[1] && others[1] != others[2], "{others:?}");
    }

    #[test]
    fn values_of_unexpected_types_count_as_absent() {
        for body in [&b""[..], b"[]", br#"{"project":5,"user":[],"group_path":"../etc"}"#, br#"{"project":{"id":"7"}}"#]
        {
            assert_eq!(Whereabouts::read(body), Whereabouts::default(), "{}", String::from_utf8_lossy(body));
        }
        for path in ["rope", "gear/", "/rope", "gear/../rope", "gear/a b"] {
            let body = format!(r#"{{"project":{{"id":1,"path_with_namespace":"{path}"}}}}"#);
            assert_eq!(SeenProject::read(body.as_bytes()), None, "{path}");
        }
    }
}
