//! Projects, groups and users of other instances, as received events name them. Instance and number say which
//! project it is ([`quickdraw_domain::identity`]); a project or group whose path changes there moves here, unless an
//! administrator pinned it.

use async_trait::async_trait;
use quickdraw_domain::envelope::{Group, Project, User};
use quickdraw_domain::{GroupId, ProjectId, SourceId, Timestamp};

use crate::audit::AuditEntry;
use crate::error::Result;

/// Maximum number of projects of other instances, and of their groups, that are created.
pub const MAX_PROJECTS: i64 = 100_000;
/// Maximum number of users that are created.
pub const MAX_USERS: i64 = 1_000_000;

/// Taking up what is seen.
#[async_trait]
pub trait Known {
    /// The project that stands for one of another instance. One that is known moves when its path there has changed,
    /// with an entry in the audit log. One that is not is found by its path where that proves anything, or made with
    /// the groups above it. `None` when it cannot be had: there are too many, or no path is free.
    async fn know_project(
        &self,
        instance: String,
        seen: Project,
        source: SourceId,
        now: Timestamp,
    ) -> Result<Option<ProjectId>>;

    /// The group that stands for one of another instance, moved like a project. None is made.
    async fn know_group(
        &self,
        instance: String,
        seen: Group,
        source: SourceId,
        now: Timestamp,
    ) -> Result<Option<GroupId>>;

    /// Makes users whose login is not known yet. They have no role and no token, and no address if another user has it.
    async fn know_users(&self, seen: Vec<User>, now: Timestamp) -> Result<()>;
}

/// The entry of a move that an event caused. No user did it: it names the source of the event.
pub(crate) fn moved(what: &str, id: i64, from: &str, to: &str, source: SourceId, now: Timestamp) -> AuditEntry {
    AuditEntry {
        id: 0,
        at: now,
        user_id: 0,
        username: format!("source {source}"),
        behalf: None,
        address: None,
        method: "MOVE".to_owned(),
        path: format!("{what} {id}: {from} -> {to}"),
        status: 200,
        attributes: "path namespace".to_owned(),
    }
}
