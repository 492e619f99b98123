//! How things stand, read in pieces from SQLite.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_insights::branches::{Branch, Push};
use quickdraw_insights::commits::{Author, Metric};
use quickdraw_insights::entity::{Family, Item};
use rusqlite::Connection;

use super::Sqlite;
use super::rows::scalar;
use crate::columns;
use crate::error::Result;
use crate::insights;
use crate::overview::{self, CommitCount, KnownBranch, MAX_MOVES, Overview, Piece, ZEROS};

/// The condition that selects the items of a piece.
const OF_PIECE: &str =
    "family = ?3 AND (opened_at IS NULL OR opened_at < ?2) AND (settled_at IS NULL OR settled_at >= ?1)
    AND project BETWEEN ?4 AND ?5";

#[async_trait]
impl Overview for Sqlite {
    async fn commit_counts(&self, piece: Piece) -> Result<Vec<CommitCount>> {
        self.insights
            .run(move |connection| {
                let (from, to) = (piece.from.as_micros(), piece.to.as_micros());
                let (first, last) = overview::whole_hours(from, to);

                // Times are an index's, and projects are not.
                let mut statement = connection.prepare_cached(
                    "SELECT s.project, i.email, i.name, s.hour, s.commits FROM (
                        SELECT project, identity, hour, value AS commits FROM insights_rollups
                        WHERE hour >= ?2 AND hour < ?3 AND metric = ?7 AND value > 0 AND project BETWEEN ?5 AND ?6
                        UNION ALL
                        SELECT project, identity, at - at % 3600000000 AS hour, count(*) AS commits FROM insights_commits
                        WHERE ((at >= ?1 AND at < ?2) OR (at >= ?3 AND at < ?4)) AND +project BETWEEN ?5 AND ?6
                            AND NOT merge_message AND NOT is_merge_commit
                        GROUP BY project, identity, at - at % 3600000000) s
                     JOIN insights_identities i ON i.id = s.identity",
                )?;

                let parameters = (from, first, last, to, piece.first, piece.last, Metric::Commits.code());
                let found = statement.query_map(parameters, |row| {
                    Ok(CommitCount {
                        project: row.get("project")?,
                        author: Author { email: row.get("email")?, name: row.get("name")? },
                        hour: Timestamp::from_micros(row.get("hour")?),
                        commits: row.get("commits")?,
                    })
                })?;
                Ok(found.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn bytes_by_project(&self, piece: Piece) -> Result<Vec<(i64, i64)>> {
        self.insights
            .run(move |connection| {
                let (from, to, code) = overview::weighed(piece);
                let sql = match piece.family {
                    Family::Commits => {
                        "SELECT project, count(*) * 200 AS bytes FROM insights_rollups
                         WHERE hour >= ?1 AND hour < ?2 AND metric = ?3 AND project BETWEEN ?4 AND ?5
                         GROUP BY project ORDER BY project"
                            .to_owned()
                    }
                    _ => format!(
                        "SELECT project, sum(length(state)) AS bytes FROM insights_items WHERE {OF_PIECE} GROUP BY project ORDER BY project"
                    ),
                };
                let mut statement = connection.prepare_cached(&sql)?;
                let parameters = (from, to, code, piece.first, piece.last);
                let found = statement.query_map(parameters, |row| Ok((row.get("project")?, row.get("bytes")?)))?;

                Ok(found.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn newest_items(&self, piece: Piece, bytes: usize) -> Result<(Vec<Item>, bool)> {
        self.insights
            .run(move |connection| {
                let sql = format!(
                    "SELECT state FROM insights_items WHERE {OF_PIECE}
                     ORDER BY settled_at IS NULL DESC, settled_at DESC, project, number"
                );
                let mut statement = connection.prepare_cached(&sql)?;
                let (from, to) = (piece.from.as_micros(), piece.to.as_micros());
                let mut found = statement.query((from, to, piece.family.code(), piece.first, piece.last))?;
                let (mut items, mut left) = (Vec::new(), bytes);

                while let Some(row) = found.next()? {
                    let state: Vec<u8> = scalar(row)?;
                    if state.len() > left {
                        return Ok((items, true));
                    }

                    left -= state.len();
                    items.push(insights::read_item(piece.family, &state)?);
                }

                Ok((items, false))
            })
            .await
    }

    async fn branches_after(&self, piece: Piece, after: (i64, i64), limit: usize) -> Result<Vec<KnownBranch>> {
        self.insights
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT state FROM insights_items WHERE family = ?1 AND (project, number) > (?2, ?3) AND project <= ?4
                       AND (opened_at IS NULL OR opened_at < ?5) ORDER BY project, number LIMIT ?6",
                )?;

                let before = piece.to.as_micros();
                let parameters =
                    (Family::Branches.code(), after.0, after.1, piece.last, before, columns::limit(limit));
                let found = statement.query_map(parameters, scalar::<Vec<u8>>)?;
                let mut known = Vec::new();

                for state in found {
                    if let Item::Branch(branch) = insights::read_item(Family::Branches, &state?)? {
                        let moves = moves_of_deleted(connection, &branch, before)?;
                        known.push(KnownBranch { branch, moves });
                    }
                }

                Ok(known)
            })
            .await
    }
}

/// The newest moves of a branch, if it was ever deleted before a time.
fn moves_of_deleted(connection: &Connection, branch: &Branch, before: i64) -> Result<Vec<Push>> {
    // The keys of the tables lead there.
    let mut deleted = connection.prepare_cached(
        "SELECT 1 FROM insights_pushes WHERE project = ?1 AND git_ref = ?2 AND after_sha BETWEEN '0' AND ?3
           AND ltrim(after_sha, '0') = '' AND received_at < ?4
         UNION ALL
         SELECT 1 FROM insights_reported_pushes WHERE project = ?1 AND git_ref = ?2 AND after_sha BETWEEN '0' AND ?3
           AND ltrim(after_sha, '0') = '' AND at < ?4",
    )?;
    if !deleted.exists((branch.project, &branch.git_ref, ZEROS, before))? {
        return Ok(Vec::new());
    }

    let mut moves = connection.prepare_cached(
        "SELECT * FROM (SELECT before_sha, after_sha, received_at FROM insights_pushes
             WHERE project = ?1 AND git_ref = ?2 AND received_at < ?3 ORDER BY received_at DESC LIMIT ?4)
         UNION ALL
         SELECT * FROM (SELECT before_sha, after_sha, at FROM insights_reported_pushes
             WHERE project = ?1 AND git_ref = ?2 AND at < ?3 ORDER BY at DESC LIMIT ?4)",
    )?;

    let parameters = (branch.project, &branch.git_ref, before, columns::limit(MAX_MOVES));
    let found = moves.query_map(parameters, |row| {
        Ok(Push {
            project: branch.project,
            git_ref: branch.git_ref.clone(),
            before: row.get("before_sha")?,
            after: row.get("after_sha")?,
            received_at: Timestamp::from_micros(row.get("received_at")?),
            pusher: None,
            is_default: false,
            total: 0,
            listed: 0,
            commits: Vec::new(),
            received: None,
        })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}
