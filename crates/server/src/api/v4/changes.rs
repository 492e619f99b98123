//! Reports changes of projects, groups, users, SSH keys and members as events, before the answer is sent.

use quickdraw_domain::GroupId;
use quickdraw_domain::access::AccessLevel;
use quickdraw_domain::compose;
use quickdraw_domain::directory::{Account, Change, GroupChange, KeyChange, MemberOf, Membership, ProjectChange};
use quickdraw_domain::scope::{Group, Project, Scope};
use quickdraw_domain::ssh_key::MAX_KEYS;
use quickdraw_engine::ChangeReporter;
use quickdraw_store::access::{Actor, Member, MemberFilter, User};
use quickdraw_store::lists::{Page, Start};
use quickdraw_store::scopes::{Name, ScopeFilter};
use quickdraw_store::ssh_keys::UserKey;

use crate::error::ApiError;
use crate::state::App;

/// Number of members among which the owners of a project are looked for.
const MAX_MEMBERS: i64 = 100;
/// Number of projects, and of subgroups, whose deletion together with their group is reported.
const MAX_DELETED: i64 = 500;

/// Journals the events of changes by a user.
pub(super) async fn report(app: &App, by: &Actor, changes: &[Change<'_>]) {
    let user = compose::User {
        id: by.user_id,
        name: by.name.clone(),
        username: by.username.clone(),
        ..compose::User::default()
    };
    ChangeReporter(&app.engine.journal).report(changes, &user).await;
}

/// Names of the owners of a project or group. If they cannot be read, the event has none.
pub(super) async fn owners(app: &App, scope: Scope) -> Vec<String> {
    let page = first(MAX_MEMBERS);
    let members = app
        .store()
        .list_all_members(scope, app.now(), MemberFilter::default(), page)
        .await;

    match members {
        Ok(members) => {
            let owners = members
                .rows
                .into_iter()
                .filter(|member| member.level == AccessLevel::Owner);
            owners.map(|member| member.user.name).collect()
        }
        Err(error) => {
            tracing::warn!(%error, "failed to read the owners of a project for an event");
            Vec::new()
        }
    }
}

/// A project as its events describe it.
pub(super) const fn project<'a>(project: &'a Project, owners: &'a [String]) -> ProjectChange<'a> {
    ProjectChange {
        project,
        owners,
        reported_to: Some(project.group),
    }
}

/// The parent of a group. If it cannot be read, the event has none.
pub(super) async fn parent(app: &App, group: &Group) -> Option<Group> {
    let found = app.store().find_group(Name::Id(group.parent?.0)).await;
    found
        .inspect_err(|error| tracing::warn!(%error, "failed to read the parent of a group for an event"))
        .ok()
        .flatten()
}

/// A group as its events describe it.
pub(super) const fn group<'a>(group: &'a Group, parent: Option<&'a Group>) -> GroupChange<'a> {
    GroupChange {
        group,
        parent,
        reported_to: group.parent,
    }
}

/// A user as events describe them.
pub(super) fn account(user: &User) -> Account<'_> {
    Account {
        id: user.id,
        name: &user.name,
        username: &user.username,
        created_at: user.created_at,
    }
}

/// The SSH keys of a user who is about to be deleted.
pub(super) async fn keys(app: &App, user: i64) -> Result<Vec<UserKey>, ApiError> {
    Ok(app.store().list_ssh_keys(user, first(MAX_KEYS)).await?.rows)
}

/// An SSH key as events describe it.
pub(super) fn key<'a>(key: &'a UserKey, username: &'a str) -> KeyChange<'a> {
    KeyChange {
        id: key.id,
        key: key.key.text(),
        username,
        created_at: key.created_at,
    }
}

/// A member as events describe them.
pub(super) fn membership<'a>(member: &'a Member, of: MemberOf<'a>) -> Membership<'a> {
    Membership {
        user: account(&member.user),
        of,
        level: member.level,
        expires_at: member.expires_at,
    }
}

/// The project or group of members.
pub(super) enum Holder {
    Project(Project),
    Group(Group),
}

impl Holder {
    /// Reads the project or group of a scope. `None` if it was just deleted, or cannot be read.
    pub(super) async fn find(app: &App, scope: Scope) -> Option<Self> {
        let store = app.store();
        let found = match scope {
            Scope::Project(id) => store
                .find_project(Name::Id(id.0))
                .await
                .map(|found| found.map(Self::Project)),
            Scope::Group(id) => store
                .find_group(Name::Id(id.0))
                .await
                .map(|found| found.map(Self::Group)),
            Scope::Instance => Ok(None),
        };

        found
            .inspect_err(
                |error| tracing::error!(%error, "failed to report a change of a member; webhooks do not get it"),
            )
            .ok()
            .flatten()
    }

    pub(super) const fn of(&self) -> MemberOf<'_> {
        match self {
            Self::Project(project) => MemberOf::Project(project),
            Self::Group(group) => MemberOf::Group(group),
        }
    }
}

/// A group that is about to be deleted, with everything in it.
pub(super) struct Doomed {
    group: Group,
    parent: Option<Group>,
    subgroups: Vec<Group>,
    projects: Vec<Project>,
    owners: Vec<String>,
}

impl Doomed {
    /// Reads a group and its contents, up to a bound.
    pub(super) async fn read(app: &App, doomed: &Group) -> Result<Self, ApiError> {
        let below = || ScopeFilter {
            below: Some(doomed.id),
            ..ScopeFilter::default()
        };

        let subgroups = app.store().list_groups(below(), first(MAX_DELETED)).await?;
        let projects = app.store().list_projects(below(), first(MAX_DELETED)).await?;
        if subgroups.total.max(projects.total) > MAX_DELETED {
            tracing::warn!(
                group.id = doomed.id.0,
                "a group with more than {MAX_DELETED} projects or subgroups is deleted; events report only the first \
                 {MAX_DELETED} of each"
            );
        }

        let mut subgroups = subgroups.rows;
        subgroups.retain(|group| group.id != doomed.id);

        Ok(Self {
            parent: parent(app, doomed).await,
            owners: owners(app, Scope::Group(doomed.id)).await,
            group: doomed.clone(),
            subgroups,
            projects: projects.rows,
        })
    }

    /// The deletions: projects first, then groups from the bottom to the top, as GitLab does. The hooks of the deleted
    /// groups are gone, so the hooks of the parent get the events.
    pub(super) fn changes(&self) -> Vec<Change<'_>> {
        let reported_to: Option<GroupId> = self.group.parent;
        let mut changes = Vec::new();
        for project in &self.projects {
            changes.push(Change::ProjectRemoved(ProjectChange {
                project,
                owners: &self.owners,
                reported_to,
            }));
        }

        let mut subgroups: Vec<&Group> = self.subgroups.iter().collect();
        subgroups.sort_by_key(|group| std::cmp::Reverse(group.full_path.matches('/').count()));
        for group in subgroups {
            let among = self.subgroups.iter().chain([&self.group]);
            let parent = among.into_iter().find(|other| Some(other.id) == group.parent);
            changes.push(Change::GroupRemoved(GroupChange {
                group,
                parent,
                reported_to,
            }));
        }

        changes.push(Change::GroupRemoved(group(&self.group, self.parent.as_ref())));
        changes
    }
}

const fn first(limit: i64) -> Page {
    Page {
        start: Start::Offset(0),
        limit,
    }
}
