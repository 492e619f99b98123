//! The project, the group and the user of a body, as the instance names them that sent it.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::member::{number, text};
use super::{Envelope, Member};

/// Longest accepted path, in bytes.
const LONGEST_PATH: usize = 1000;

/// Deepest accepted path, including its last segment.
const DEEPEST: usize = 20;

/// A project as an event shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Project {
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

/// A group as an event shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its number on its instance.
    pub number: i64,

    /// Full path.
    pub path: String,

    /// The full path before this event, if the group was renamed.
    pub old_path: Option<String>,
}

/// A user as an event shows them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct User {
    /// Login.
    pub username: String,

    /// Shown name.
    pub name: String,

    /// E-mail address, if it is shown.
    pub email: Option<String>,
}

/// The members of `project`.
#[derive(Deserialize, Clone, Default, Debug)]
pub(super) struct ProjectMembers<'a> {
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

/// The members of `group`.
#[derive(Deserialize, Default)]
struct GroupMembers<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    group_id: Option<&'a RawValue>,
    #[serde(borrow)]
    full_path: Option<&'a RawValue>,
    #[serde(borrow)]
    group_path: Option<&'a RawValue>,
}

/// The members of `user`.
#[derive(Deserialize, Default)]
struct UserMembers<'a> {
    #[serde(borrow)]
    username: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    email: Option<&'a RawValue>,
}

/// The project.
impl Envelope<'_> {
    /// The project's number on its instance.
    #[must_use]
    pub fn project_id(&self) -> Option<i64> {
        number(self.project.id).or_else(|| self.members.number(Member::ProjectId))
    }

    /// The project's full path on its instance.
    #[must_use]
    pub fn project_path(&self) -> Option<String> {
        let path = text(self.project.path_with_namespace)
            .or_else(|| self.members.text(Member::PathWithNamespace))
            .or_else(|| self.members.text(Member::ProjectPathWithNamespace))?;
        is_project_path(&path).then_some(path)
    }

    /// The project. `None` if the number or path is missing, or the path is not valid for a project.
    #[must_use]
    pub fn project(&self) -> Option<Project> {
        let path = self.project_path()?;
        let id = self.project_id()?;

        let name = text(self.project.name)
            .or_else(|| self.members.text(Member::ProjectName))
            .or_else(|| self.members.text(Member::Name))
            .unwrap_or_else(|| path.rsplit('/').next().unwrap_or_default().to_owned());

        let visibility_level = number(self.project.visibility_level).filter(|level| [0, 10, 20].contains(level));
        let old_path = self.members.text(Member::OldPathWithNamespace);

        Some(Project {
            id,
            name,
            path_with_namespace: path,
            namespace: text(self.project.namespace).unwrap_or_default(),
            description: text(self.project.description),
            default_branch: text(self.project.default_branch),
            visibility_level: visibility_level.unwrap_or(0),
            old_path: old_path.filter(|path| is_project_path(path)),
        })
    }
}

/// The group. Events about a subgroup belong to its parent group.
impl Envelope<'_> {
    /// The group's number on its instance.
    #[must_use]
    pub fn group_id(&self) -> Option<i64> {
        self.group_names().number
    }

    /// The group's path, for events of groups: the full path, or its last segment if the body has no more.
    #[must_use]
    pub fn group_path(&self) -> Option<String> {
        let names = self.group_names();
        names.full_path.or(names.last_segment)
    }

    /// The group with its number and full path, if the body has both.
    #[must_use]
    pub fn group(&self) -> Option<Group> {
        let names = self.group_names();
        Some(Group {
            number: names.number?,
            path: names.full_path?,
            old_path: names.old_path,
        })
    }

    fn group_names(&self) -> GroupNames {
        let group: GroupMembers<'_> = self.members.nested(Member::Group);
        let last_segment = text(group.group_path).or_else(|| self.members.text(Member::GroupPath));
        let last_segment = last_segment.filter(|path| is_path(path));

        if let Some(parent) = self.members.text(Member::ParentFullPath) {
            return GroupNames {
                number: self.members.number(Member::ParentGroupId),
                full_path: Some(parent).filter(|path| is_path(path)),
                last_segment,
                old_path: None,
            };
        }

        let number = number(group.group_id)
            .or_else(|| number(group.id))
            .or_else(|| self.members.number(Member::GroupId));
        let full_path = self.members.text(Member::FullPath).or_else(|| text(group.full_path));
        let old_path = self.members.text(Member::OldFullPath);

        GroupNames {
            number,
            full_path: full_path.filter(|path| is_path(path)),
            last_segment,
            old_path: old_path.filter(|path| is_path(path)),
        }
    }
}

/// The names of the group that an event belongs to.
struct GroupNames {
    number: Option<i64>,
    full_path: Option<String>,
    last_segment: Option<String>,
    old_path: Option<String>,
}

impl Envelope<'_> {
    /// The user who caused the event.
    #[must_use]
    pub fn user(&self) -> Option<User> {
        let user: UserMembers<'_> = self.members.nested(Member::User);
        let username = text(user.username).or_else(|| self.members.text(Member::UserUsername));
        let username = username.filter(|name| is_segment(name))?;

        let name = text(user.name).or_else(|| self.members.text(Member::UserName));
        let email = text(user.email).or_else(|| self.members.text(Member::UserEmail));

        Some(User {
            name: name.unwrap_or_else(|| username.clone()),
            email: email.filter(|email| email.contains('@') && email.len() <= 255),
            username,
        })
    }

    /// The sender's key, with the project or group that the body names, because senders may number the events of each
    /// project alike. Unlike the headers, the body is signed.
    #[must_use]
    pub fn dedupe_key(&self, key: &str) -> String {
        if let Some(number) = self.project_id() {
            return Self::dedupe_key_in_project(number, key);
        }

        match self.group_path() {
            Some(path) => format!("group {path}\n{key}"),
            None => key.to_owned(),
        }
    }

    /// The sender's key with the project that a body names by this number.
    #[must_use]
    pub fn dedupe_key_in_project(number: i64, key: &str) -> String {
        // A header's value contains no line break, so no key can look like another key with its project.
        format!("project {number}\n{key}")
    }
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
        && segment
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !segment.chars().all(|c| c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Envelope<'_> {
        Envelope::read(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    fn user(username: &str, name: &str, email: Option<&str>) -> User {
        User {
            username: username.to_owned(),
            name: name.to_owned(),
            email: email.map(str::to_owned),
        }
    }

    fn group(number: i64, path: &str, old_path: Option<&str>) -> Group {
        Group {
            number,
            path: path.to_owned(),
            old_path: old_path.map(str::to_owned),
        }
    }

    #[test]
    fn projects_are_read_from_every_form() {
        let check = |body: &str, id: i64, name: &str, path: &str| {
            let envelope = read(body);
            let project = envelope.project().expect("a project");

            assert_eq!(
                (envelope.project_id(), envelope.project_path().as_deref()),
                (Some(id), Some(path)),
                "{body}"
            );

            assert_eq!(
                (project.id, &*project.name, &*project.path_with_namespace),
                (id, name, path),
                "{body}"
            );
        };

        let push = r#"{"object_kind":"push","project_id":7,
            "project":{"id":7,"name":"Rope","path_with_namespace":"gear/sub/rope","namespace":"Sub"}}"#;
        check(push, 7, "Rope", "gear/sub/rope");

        let create =
            r#"{"event_name":"project_create","name":"Rope","path_with_namespace":"gear/rope","project_id":9}"#;
        check(create, 9, "Rope", "gear/rope");

        let member = r#"{"event_name":"user_add_to_team","project_id":4,"project_name":"Rope",
            "project_path_with_namespace":"gear/rope","user_name":"Ida"}"#;
        check(member, 4, "Rope", "gear/rope");

        check(
            r#"{"project":{"id":2,"path_with_namespace":"gabriele/2048"}}"#,
            2,
            "2048",
            "gabriele/2048",
        );

        // Lists have the same meaning as objects with all members in order, as in serde.
        check(
            r#"{"project":[7,"Rope","gear/rope",null,null,null,0]}"#,
            7,
            "Rope",
            "gear/rope",
        );
    }

    #[test]
    fn all_fields_of_a_project_are_read() {
        let body = r#"{"project":{"id":7,"name":"Rope","path_with_namespace":"gear/rope","namespace":"Ge\u0000ar",
            "description":"d","default_branch":"main","visibility_level":10},"old_path_with_namespace":"gear/cord"}"#;
        let project = Project {
            id: 7,
            name: "Rope".to_owned(),
            path_with_namespace: "gear/rope".to_owned(),
            namespace: "Gear".to_owned(),
            description: Some("d".to_owned()),
            default_branch: Some("main".to_owned()),
            visibility_level: 10,
            old_path: Some("gear/cord".to_owned()),
        };
        assert_eq!(read(body).project(), Some(project));

        let body = format!(
            r#"{{"project_id":7,"path_with_namespace":"gear/rope","old_path_with_namespace":"rope",
                "project":{{"name":"","description":"{}","visibility_level":15}}}}"#,
            "é".repeat(1001)
        );
        let project = read(&body).project().expect("a project");
        assert_eq!(
            (&*project.name, &*project.namespace, project.visibility_level),
            ("rope", "", 0)
        );

        assert_eq!((project.description, project.old_path), (Some("é".repeat(1000)), None));
    }

    #[test]
    fn a_project_needs_a_number_and_a_valid_path() {
        let without_path = read(r#"{"user":{"username":"ida"},"project":{"id":8}}"#);
        assert_eq!((without_path.project_id(), without_path.project()), (Some(8), None));

        assert_eq!(
            read(r#"{"project":{"path_with_namespace":"gear/rope"}}"#).project(),
            None
        );

        for path in ["rope", "gear/", "/rope", "gear/../rope", "gear/a b"] {
            let body = format!(r#"{{"project":{{"id":1,"path_with_namespace":"{path}"}}}}"#);
            assert_eq!(
                (read(&body).project_path(), read(&body).project()),
                (None, None),
                "{path}"
            );
        }

        let deep = |levels: usize| {
            format!(
                r#"{{"project_id":1,"path_with_namespace":"a{}"}}"#,
                "/a".repeat(levels - 1)
            )
        };
        assert!(read(&deep(DEEPEST)).project().is_some() && read(&deep(DEEPEST + 1)).project().is_none());
    }

    #[test]
    fn numbers_are_integers() {
        let check = |number: &str, expected: Option<i64>| {
            let body = format!(r#"{{"project":{{"id":{number}}}}}"#);
            assert_eq!(read(&body).project_id(), expected, "{body}");
        };
        check("7", Some(7));
        check("-0", Some(0));
        check("9223372036854775807", Some(i64::MAX));

        for absent in ["9223372036854775808", "1.0", "1e2", "\"7\"", "null", "[7]", "true"] {
            check(absent, None);
        }
    }

    #[test]
    fn the_last_of_a_repeated_name_counts_at_the_top_level_only() {
        let twice = r#"{"project":{"id":1},"project":{"id":2,"path_with_namespace":"gabriele/2048"}}"#;
        assert_eq!(read(twice).project_id(), Some(2));
        assert_eq!(read(twice).project_path().as_deref(), Some("gabriele/2048"));
        assert_eq!(read(r#"{"project_id":1,"project_id":null}"#).project_id(), None);

        assert_eq!(
            read(r#"{"\ud800":1,"project":{"id":7}}"#).project_id(),
            Some(7),
            "unused names can be anything"
        );

        // An object that repeats a member, or has a name that is not a text, has no members.
        assert_eq!(
            read(r#"{"project":{"id":1,"id":2},"project_id":3}"#).project_id(),
            Some(3)
        );

        assert_eq!(
            read(r#"{"project":{"id":1,"\ud800":2},"project_id":3}"#).project_id(),
            Some(3)
        );
    }

    #[test]
    fn users_are_read_from_every_form() {
        let check = |body: &str, expected: Option<User>| assert_eq!(read(body).user(), expected, "{body}");
        check(
            r#"{"user_username":"ida","user_name":"Ida","user_email":""}"#,
            Some(user("ida", "Ida", None)),
        );

        check(
            r#"{"user":{"username":"ida","email":"[REDACTED]"}}"#,
            Some(user("ida", "ida", None)),
        );

        let body = r#"{"user":{"username":"ida","name":"Ida","email":"ida@example.com"},"user_name":"I"}"#;
        check(body, Some(user("ida", "Ida", Some("ida@example.com"))));

        for absent in [
            r#"{"user":{"username":"a/b"}}"#,
            r#"{"user":[]}"#,
            r#"{"user_name":"Ida"}"#,
            "{}",
        ] {
            check(absent, None);
        }
    }

    #[test]
    fn events_of_groups_have_the_best_path_of_the_group() {
        for (body, path) in [
            (
                r#"{"event_name":"subgroup_create","full_path":"gear/sub","parent_full_path":"gear"}"#,
                "gear",
            ),
            (
                r#"{"event_name":"group_rename","full_path":"gear/sub","group_path":"x"}"#,
                "gear/sub",
            ),
            (r#"{"event_name":"user_add_to_group","group_path":"gear"}"#, "gear"),
            (
                r#"{"object_kind":"access_token","group":{"full_path":"gear/sub"}}"#,
                "gear/sub",
            ),
            (
                r#"{"full_path":"a b","group":{"full_path":"gear/sub","group_path":"sub"}}"#,
                "sub",
            ),
        ] {
            assert_eq!(read(body).group_path().as_deref(), Some(path), "{body}");
        }
    }

    #[test]
    fn groups_are_read_with_their_number_and_renamed_groups_with_their_old_path() {
        let check = |body: &str, expected: Option<Group>| assert_eq!(read(body).group(), expected, "{body}");
        let rename = r#"{"event_name":"group_rename","full_path":"a/new","group_id":64,"old_full_path":"a/old"}"#;
        check(rename, Some(group(64, "a/new", Some("a/old"))));

        let subgroup = r#"{"full_path":"a/b","group_id":10,"parent_group_id":7,"parent_full_path":"a"}"#;
        check(subgroup, Some(group(7, "a", None)));

        check(
            r#"{"group":{"group_path":"b","group_id":35,"full_path":"a/b"}}"#,
            Some(group(35, "a/b", None)),
        );

        let member = read(r#"{"group_path":"b","group_id":100}"#);
        let names = (member.group_id(), member.group_path(), member.group());
        assert_eq!(names, (Some(100), Some("b".to_owned()), None));
    }

    #[test]
    fn a_transferred_project_has_its_old_path() {
        let transfer = r#"{"event_name":"project_transfer","project_id":15,"path_with_namespace":"ropes/rope",
            "old_path_with_namespace":"gear/rope"}"#;
        let project = read(transfer).project().expect("a project");
        assert_eq!(
            (&*project.path_with_namespace, project.old_path.as_deref()),
            ("ropes/rope", Some("gear/rope"))
        );
    }

    #[test]
    fn a_key_contains_the_project_or_group_that_the_body_names() {
        let key = |body: &str| read(body).dedupe_key("one");
        assert_eq!(
            key(r#"{"project":{"id":7,"path_with_namespace":"gear/rope"}}"#),
            "project 7\none"
        );

        assert_eq!(key(r#"{"project_id":7,"group_path":"gear"}"#), "project 7\none");
        assert_eq!(key(r#"{"group_path":"gear"}"#), "group gear\none");
        assert_eq!(key("{}"), "one");
    }

    #[test]
    fn values_of_unexpected_types_count_as_absent() {
        for body in [
            "{}",
            r#"{"project":5,"user":[],"group_path":"../etc"}"#,
            r#"{"project":{"id":"7"}}"#,
        ] {
            let envelope = read(body);
            assert_eq!(
                (envelope.project_id(), envelope.project_path(), envelope.project()),
                (None, None, None),
                "{body}"
            );

            assert_eq!(
                (envelope.group_id(), envelope.group_path(), envelope.group()),
                (None, None, None),
                "{body}"
            );

            assert_eq!(envelope.user(), None, "{body}");
        }
    }
}
