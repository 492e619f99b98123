//! Details of groups and projects in SQLite.

use std::collections::HashMap;

use async_trait::async_trait;
use quickdraw_domain::{GroupId, ProjectId};
use rusqlite::Connection;

use super::Sqlite;
use crate::details::{Details, ProjectDetails, Row, details_of_projects, join, names_of_groups};
use crate::error::Result;

#[async_trait]
impl Details for Sqlite {
    async fn group_names(&self, groups: Vec<GroupId>) -> Result<HashMap<GroupId, String>> {
        self.read(move |connection| names(connection, &groups)).await
    }

    async fn project_details(&self, projects: Vec<ProjectId>) -> Result<HashMap<ProjectId, ProjectDetails>> {
        self.read(move |connection| {
            let mut statement = connection.prepare(&details_of_projects(&projects))?;
            let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Row> {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            };
            let rows = statement.query_map([], read)?.collect::<rusqlite::Result<Vec<Row>>>()?;
            let groups: Vec<GroupId> = rows.iter().map(|row| GroupId(row.1)).collect();
            Ok(join(rows, &names(connection, &groups)?))
        })
        .await
    }
}

fn names(connection: &Connection, groups: &[GroupId]) -> Result<HashMap<GroupId, String>> {
    let mut statement = connection.prepare(&names_of_groups(groups))?;
    let found = statement.query_map([], |row| Ok((GroupId(row.get(0)?), row.get::<_, String>(1)?)))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}
