//! Details of groups and projects in PostgreSQL.

use std::collections::HashMap;

use async_trait::async_trait;
use quickdraw_domain::{GroupId, ProjectId, Timestamp};
use tokio_postgres::{GenericClient, Row};

use super::Postgres;
use crate::details::{Details, ProjectDetails, ProjectRow, details_of_projects, join, names_of_groups};
use crate::error::Result;

#[async_trait]
impl Details for Postgres {
    async fn group_names(&self, groups: Vec<GroupId>) -> Result<HashMap<GroupId, String>> {
        names(&**self.client().await?, &groups).await
    }

    async fn project_details(&self, projects: Vec<ProjectId>) -> Result<HashMap<ProjectId, ProjectDetails>> {
        let client = self.client().await?;
        let found = client.query(&details_of_projects(&projects), &[]).await?;

        let read = |row: &Row| ProjectRow {
            project: ProjectId(row.get("id")),
            group: GroupId(row.get("group_id")),
            group_parent: row.get::<_, Option<i64>>("parent_id").map(GroupId),
            archived: row.get("archived"),
            last_activity_at: Timestamp::from_micros(row.get("last_activity_at")),
        };
        let rows: Vec<ProjectRow> = found.iter().map(read).collect();
        let groups: Vec<GroupId> = rows.iter().map(|row| row.group).collect();

        Ok(join(rows, &names(&**client, &groups).await?))
    }
}

async fn names(client: &impl GenericClient, groups: &[GroupId]) -> Result<HashMap<GroupId, String>> {
    let found = client.query(&names_of_groups(groups), &[]).await?;
    Ok(found
        .iter()
        .map(|row| (GroupId(row.get("id")), row.get::<_, String>("names")))
        .collect())
}
