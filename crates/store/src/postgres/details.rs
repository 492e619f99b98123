//! Details of groups and projects in PostgreSQL.

use std::collections::HashMap;

use async_trait::async_trait;
use quickdraw_domain::{GroupId, ProjectId};
use tokio_postgres::GenericClient;

use super::Postgres;
use crate::details::{Details, ProjectDetails, Row, details_of_projects, join, names_of_groups};
use crate::error::Result;

#[async_trait]
impl Details for Postgres {
    async fn group_names(&self, groups: Vec<GroupId>) -> Result<HashMap<GroupId, String>> {
        names(&**self.client().await?, &groups).await
    }

    async fn project_details(&self, projects: Vec<ProjectId>) -> Result<HashMap<ProjectId, ProjectDetails>> {
        let client = self.client().await?;
        let found = client.query(&details_of_projects(&projects), &[]).await?;
        let rows: Vec<Row> =
            found.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))).collect();
        let groups: Vec<GroupId> = rows.iter().map(|row| GroupId(row.1)).collect();
        Ok(join(rows, &names(&**client, &groups).await?))
    }
}

async fn names(client: &impl GenericClient, groups: &[GroupId]) -> Result<HashMap<GroupId, String>> {
    let found = client.query(&names_of_groups(groups), &[]).await?;
    Ok(found.iter().map(|row| (GroupId(row.get(0)), row.get::<_, String>(1))).collect())
}
