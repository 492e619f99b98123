//! Groups and projects as the REST API shows them: what is read for a page of them, and not with each of them, because
//! reports look projects up a thousand times a second.

use std::collections::HashMap;

use async_trait::async_trait;
use quickdraw_domain::{GroupId, ProjectId, Timestamp};

use crate::error::Result;

/// Details that are shown with a project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProjectDetails {
    /// Names of the groups above it, from the top: `Gear Works / Sub Unit`.
    pub group_names: String,

    /// The group that its group is in.
    pub group_parent: Option<GroupId>,

    /// It is archived.
    pub archived: bool,

    /// When its newest event came; before the first one, when it was created.
    pub last_activity_at: Timestamp,
}

/// Details of groups and projects. Callers ask for the rows of one page.
#[async_trait]
pub trait Details {
    /// Names of groups with those of the groups above, from the top: `Gear Works / Sub Unit`. Groups that do not exist
    /// are left out.
    async fn group_names(&self, groups: Vec<GroupId>) -> Result<HashMap<GroupId, String>>;

    /// Details of projects. Projects that do not exist are left out.
    async fn project_details(&self, projects: Vec<ProjectId>) -> Result<HashMap<ProjectId, ProjectDetails>>;
}

/// Both engines read the names of groups with this.
pub(crate) fn names_of_groups(groups: &[GroupId]) -> String {
    let ids = groups.iter().map(|group| group.0);
    format!(
        "WITH RECURSIVE up (id, parent_id, names) AS (
            SELECT id, parent_id, name FROM groups WHERE id IN ({})
            UNION ALL SELECT u.id, a.parent_id, a.name || ' / ' || u.names
            FROM groups a JOIN up u ON a.id = u.parent_id)
         SELECT id, names FROM up WHERE parent_id IS NULL",
        list(ids)
    )
}

/// Both engines read details of projects with this. SQLite knows the index of events by project only by `place_kind <>
/// 0`.
pub(crate) fn details_of_projects(projects: &[ProjectId]) -> String {
    let ids = projects.iter().map(|project| project.0);
    format!(
        "SELECT p.id, p.group_id, g.parent_id, p.archived,
            coalesce((SELECT e.received_at FROM events e
                WHERE e.place_kind <> 0 AND e.place_kind = 1 AND e.place_id = p.id ORDER BY e.id DESC LIMIT 1), p.created_at)
                AS last_activity_at
         FROM projects p JOIN groups g ON g.id = p.group_id WHERE p.id IN ({})",
        list(ids)
    )
}

/// Numbers for `IN (…)`. No number has NULL, so an empty list finds nothing.
pub(crate) fn list(ids: impl Iterator<Item = i64>) -> String {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    if ids.is_empty() {
        "NULL".to_owned()
    } else {
        ids.join(", ")
    }
}

/// A project as it is read, before the names of its groups are known.
pub(crate) struct ProjectRow {
    pub(crate) project: ProjectId,
    pub(crate) group: GroupId,
    pub(crate) group_parent: Option<GroupId>,
    pub(crate) archived: bool,
    pub(crate) last_activity_at: Timestamp,
}

/// Puts rows and names together.
pub(crate) fn join(rows: Vec<ProjectRow>, names: &HashMap<GroupId, String>) -> HashMap<ProjectId, ProjectDetails> {
    let mut found = HashMap::new();
    for row in rows {
        let details = ProjectDetails {
            group_names: names.get(&row.group).cloned().unwrap_or_default(),
            group_parent: row.group_parent,
            archived: row.archived,
            last_activity_at: row.last_activity_at,
        };
        found.insert(row.project, details);
    }

    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_page_asks_for_nothing() {
        assert_eq!(list([].into_iter()), "NULL");
        assert_eq!(list([3, 1].into_iter()), "3, 1");
    }
}
