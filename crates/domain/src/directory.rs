//! Changes of projects, groups, users, SSH keys and members that are made with the REST API, and the events that they
//! fire. GitLab sends the same events for such changes. Source: GitLab's webhook events and system hooks pages.

use serde_json::{Map, Value, json};

use crate::access::AccessLevel;
use crate::compose::fields::iso_of;
use crate::scope::{Group, Project};
use crate::{GroupId, Timestamp, Trigger};

/// A change that was carried out.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A project was created.
    ProjectCreated(ProjectChange<'a>),

    /// A project was deleted.
    ProjectRemoved(ProjectChange<'a>),

    /// An attribute of a project changed, but not its path.
    ProjectUpdated(ProjectChange<'a>),

    /// The last segment of a project's path changed. The text is the earlier full path.
    ProjectRenamed(ProjectChange<'a>, &'a str),

    /// A project moved to another group. The text is the earlier full path.
    ProjectTransferred(ProjectChange<'a>, &'a str),

    /// A group was created.
    GroupCreated(GroupChange<'a>),

    /// A group was deleted.
    GroupRemoved(GroupChange<'a>),

    /// The last segment of a group's path changed. The text is the earlier full path.
    GroupRenamed(GroupChange<'a>, &'a str),

    /// A user was created.
    UserCreated(Account<'a>),

    /// A user was deleted.
    UserRemoved(Account<'a>),

    /// The username of a user changed. The text is the earlier username.
    UserRenamed(Account<'a>, &'a str),

    /// An SSH key was added to a user.
    KeyAdded(KeyChange<'a>),

    /// An SSH key of a user was deleted.
    KeyRemoved(KeyChange<'a>),

    /// A membership changed.
    Member(MemberChange, Membership<'a>),
}

/// A project that changed.
#[derive(Clone, Copy, Debug)]
pub struct ProjectChange<'a> {
    /// The project.
    pub project: &'a Project,

    /// Names of its owners.
    pub owners: &'a [String],

    /// The group whose hooks get the event. It differs from the group of the project if that group was deleted too.
    pub reported_to: Option<GroupId>,
}

/// A group that changed.
#[derive(Clone, Copy, Debug)]
pub struct GroupChange<'a> {
    /// The group.
    pub group: &'a Group,

    /// Its parent.
    pub parent: Option<&'a Group>,

    /// The group whose hooks get the event. It differs from the parent if the parent was deleted too.
    pub reported_to: Option<GroupId>,
}

/// The account of a user. It has no e-mail address, because addresses are private: bodies have `[REDACTED]`.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// Id of the user.
    pub id: i64,

    /// Display name.
    pub name: &'a str,

    /// Username.
    pub username: &'a str,

    /// Creation time.
    pub created_at: Timestamp,
}

/// An SSH key that was added or deleted.
#[derive(Clone, Copy, Debug)]
pub struct KeyChange<'a> {
    /// Id of the key.
    pub id: i64,

    /// The key with its comment. As in GitLab, system hooks get the comment too.
    pub key: &'a str,

    /// Username of its user.
    pub username: &'a str,

    /// Time at which the key was added. Keys cannot be changed.
    pub created_at: Timestamp,
}

/// The membership of a user in a project or group.
#[derive(Clone, Copy, Debug)]
pub struct Membership<'a> {
    /// The user.
    pub user: Account<'a>,

    /// The project or group.
    pub of: MemberOf<'a>,

    /// The role.
    pub level: AccessLevel,

    /// End of the membership.
    pub expires_at: Option<Timestamp>,
}

/// The change of a membership.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberChange {
    /// The member was added.
    Added,

    /// The role, or the end of the membership, changed.
    Changed,

    /// The member was removed.
    Removed,
}

/// The project or group of a member.
#[derive(Clone, Copy, Debug)]
pub enum MemberOf<'a> {
    /// A project.
    Project(&'a Project),

    /// A group.
    Group(&'a Group),
}

/// The hooks that get an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Audience {
    /// System hooks.
    Instance,

    /// The hooks of a group and of its ancestors.
    Group(GroupId),
}

/// An event that a change fires, and the attributes from which its body is composed.
#[derive(Clone, PartialEq, Debug)]
pub struct Fired {
    /// The kind.
    pub trigger: Trigger,

    /// The hooks that get the event.
    pub audience: Audience,

    /// The attributes.
    pub object: Value,

    /// Earlier values.
    pub previous: Option<Value>,
}

impl<'a> Change<'a> {
    /// The change of a project whose attributes were edited. `None` if nothing changed.
    #[must_use]
    pub fn of_project(before: &'a Project, after: ProjectChange<'a>) -> Option<Self> {
        let old_path = before.path_with_namespace.as_str();
        if before.group != after.project.group {
            return Some(Self::ProjectTransferred(after, old_path));
        }

        if old_path != after.project.path_with_namespace {
            return Some(Self::ProjectRenamed(after, old_path));
        }

        (before != after.project).then_some(Self::ProjectUpdated(after))
    }

    /// The change of a group whose attributes were edited. GitLab has no event for other attributes than the path.
    #[must_use]
    pub fn of_group(before: &'a Group, after: GroupChange<'a>) -> Option<Self> {
        let is_renamed = before.full_path != after.group.full_path;
        is_renamed.then_some(Self::GroupRenamed(after, before.full_path.as_str()))
    }

    /// The events that the change fires. This is the only table of them.
    #[must_use]
    pub fn fires(&self) -> Vec<Fired> {
        let system = |trigger| (trigger, None, Some(Audience::Instance));
        let to_group = |trigger, name, group: Option<GroupId>| (trigger, Some(name), group.map(Audience::Group));

        let events = match *self {
            Self::ProjectCreated(change) => vec![
                system(Trigger::PROJECT_CREATE),
                to_group(Trigger::PROJECT, "project_create", change.reported_to),
            ],
            Self::ProjectRemoved(change) => vec![
                system(Trigger::PROJECT_DESTROY),
                to_group(Trigger::PROJECT, "project_destroy", change.reported_to),
            ],
            Self::ProjectUpdated(_) => vec![system(Trigger::PROJECT_UPDATE)],
            Self::ProjectRenamed(..) => vec![system(Trigger::PROJECT_RENAME)],
            Self::ProjectTransferred(..) => vec![system(Trigger::PROJECT_TRANSFER)],
            Self::GroupCreated(change) => vec![
                system(Trigger::GROUP_CREATE),
                to_group(Trigger::SUBGROUP, "subgroup_create", change.reported_to),
            ],
            Self::GroupRemoved(change) => vec![
                system(Trigger::GROUP_DESTROY),
                to_group(Trigger::SUBGROUP, "subgroup_destroy", change.reported_to),
            ],
            Self::GroupRenamed(..) => vec![system(Trigger::GROUP_RENAME)],
            Self::UserCreated(_) => vec![system(Trigger::USER_CREATE)],
            Self::UserRemoved(_) => vec![system(Trigger::USER_DESTROY)],
            Self::UserRenamed(..) => vec![system(Trigger::USER_RENAME)],
            Self::KeyAdded(_) => vec![system(Trigger::KEY_CREATE)],
            Self::KeyRemoved(_) => vec![system(Trigger::KEY_DESTROY)],
            Self::Member(change, member) => match member.of {
                MemberOf::Project(_) => vec![system(match change {
                    MemberChange::Added => Trigger::USER_ADD_TO_TEAM,
                    MemberChange::Changed => Trigger::USER_UPDATE_FOR_TEAM,
                    MemberChange::Removed => Trigger::USER_REMOVE_FROM_TEAM,
                })],
                MemberOf::Group(group) => {
                    let (trigger, name) = match change {
                        MemberChange::Added => (Trigger::USER_ADD_TO_GROUP, "user_add_to_group"),
                        MemberChange::Changed => (Trigger::USER_UPDATE_FOR_GROUP, "user_update_for_group"),
                        MemberChange::Removed => (Trigger::USER_REMOVE_FROM_GROUP, "user_remove_from_group"),
                    };
                    vec![system(trigger), to_group(Trigger::MEMBER, name, Some(group.id))]
                }
            },
        };

        let mut fired = Vec::new();
        for (trigger, name, audience) in events {
            // A top-level group has no parent whose hooks could get the event.
            let Some(audience) = audience else { continue };
            let mut object = self.object();
            if let Some(name) = name {
                object.insert("event_name".to_owned(), name.into());
            }

            fired.push(Fired {
                trigger,
                audience,
                object: Value::Object(object),
                previous: self.previous(),
            });
        }

        fired
    }

    /// The attributes of all events of the change. The composer of each kind takes those that it needs.
    fn object(&self) -> Map<String, Value> {
        let object = match self {
            Self::ProjectCreated(change)
            | Self::ProjectRemoved(change)
            | Self::ProjectUpdated(change)
            | Self::ProjectRenamed(change, _)
            | Self::ProjectTransferred(change, _) => json!({
                "created_at": iso_of(change.project.created_at),
                "project": project(change.project),
                "owners": change.owners.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
            }),
            Self::GroupCreated(change) | Self::GroupRemoved(change) | Self::GroupRenamed(change, _) => {
                let mut object = group(change.group);
                if let Some(parent) = change.parent {
                    object["parent_group_id"] = json!(parent.id.0);
                    object["parent_name"] = json!(parent.name);
                    object["parent_path"] = json!(last_of(&parent.full_path));
                    object["parent_full_path"] = json!(parent.full_path);
                }

                object["created_at"] = json!(iso_of(change.group.created_at));
                object
            }
            Self::UserCreated(account) | Self::UserRemoved(account) | Self::UserRenamed(account, _) => json!({
                "created_at": iso_of(account.created_at),
                "id": account.id,
                "name": account.name,
                "username": account.username,
            }),
            Self::KeyAdded(change) | Self::KeyRemoved(change) => json!({
                "created_at": iso_of(change.created_at),
                "updated_at": iso_of(change.created_at),
                "id": change.id,
                "key": change.key,
                "username": change.username,
            }),
            Self::Member(_, member) => {
                let Account { id, name, username, .. } = member.user;
                let user = json!({ "id": id, "name": name, "username": username });
                let level = member.level.number();

                match member.of {
                    MemberOf::Project(of) => json!({ "user": user, "project": project(of), "access_level": level }),
                    MemberOf::Group(of) => json!({
                        "user": user,
                        "group": group(of),
                        "group_access": level,
                        "expires_at": member.expires_at.map(iso_of),
                    }),
                }
            }
        };

        match object {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    }

    fn previous(&self) -> Option<Value> {
        match self {
            Self::ProjectRenamed(_, path) | Self::ProjectTransferred(_, path) => {
                Some(json!({ "path_with_namespace": path }))
            }
            Self::GroupRenamed(_, path) => Some(json!({ "full_path": path })),
            Self::UserRenamed(_, username) => Some(json!({ "username": username })),
            _ => None,
        }
    }
}

fn project(project: &Project) -> Value {
    json!({
        "id": project.id.0,
        "name": project.name,
        "path_with_namespace": project.path_with_namespace,
        "visibility_level": project.visibility_level,
        "namespace_id": project.group.0,
    })
}

fn group(group: &Group) -> Value {
    json!({
        "id": group.id.0,
        "name": group.name,
        "path": last_of(&group.full_path),
        "full_path": group.full_path,
    })
}

fn last_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests;
