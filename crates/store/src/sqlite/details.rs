//! Details of groups and projects in SQLite.

use std::collections::HashMap;

use async_trait::async_trait;
use quickdraw_domain::{GroupId, ProjectId, Timestamp};
use rusqlite::Connection;

use super::Sqlite;
use crate::details::{Details, ProjectDetails, ProjectRow, details_of_projects, join, names_of_groups};
use crate::error::Result;

#[async_trait]
impl Details for Sqlite {
    async fn group_names(&self, groups: Vec<GroupId>) -> Result<HashMap<GroupId, String>> {
        self.read(move |connection| names(connection, &groups)).await
    }

    async fn project_details(&self, projects: Vec<ProjectId>) -> Result<HashMap<ProjectId, ProjectDetails>> {
        self.read(move |connection| {
            let mut statement = connection.prepare(&details_of_projects(&projects))?;
            let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<ProjectRow> {
                Ok(ProjectRow {
                    project: ProjectId(row.get("id")?),
                    group: GroupId(row.get("group_id")?),
                    group_parent: row.get::<_, Option<i64>>("parent_id")?.map(GroupId),
                    archived: row.get("archived")?,
                    last_activity_at: Timestamp::from_micros(row.get("last_activity_at")?),
                })
            };
            let rows = statement
                .query_map([], read)?
                .collect::<rusqlite::Result<Vec<ProjectRow>>>()?;
            let groups: Vec<GroupId> = rows.iter().map(|row| row.group).collect();

            Ok(join(rows, &names(connection, &groups)?))
        })
        .await
    }
}

fn names(connection: &Connection, groups: &[GroupId]) -> Result<HashMap<GroupId, String>> {
    let mut statement = connection.prepare(&names_of_groups(groups))?;
    let found = statement.query_map([], |row| Ok((GroupId(row.get("id")?), row.get::<_, String>("names")?)))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}
