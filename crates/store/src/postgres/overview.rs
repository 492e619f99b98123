//! How things stand, read in pieces from PostgreSQL.

use async_trait::async_trait;
use futures_util::TryStreamExt;
use quickdraw_domain::Timestamp;
use quickdraw_insights::branches::Push;
use quickdraw_insights::commits::{Author, Metric};
use quickdraw_insights::entity::{Family, Item};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{Postgres, scalar};
use crate::columns;
use crate::error::Result;
use crate::insights;
use crate::overview::{self, CommitCount, KnownBranch, MAX_MOVES, Overview, Piece, ZEROS};

/// The condition that selects the items of a piece.
const OF_PIECE: &str =
    "family = $3 AND (opened_at IS NULL OR opened_at < $2) AND (settled_at IS NULL OR settled_at >= $1)
    AND project BETWEEN $4 AND $5";

#[async_trait]
impl Overview for Postgres {
    async fn commit_counts(&self, piece: Piece) -> Result<Vec<CommitCount>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT s.project, i.email, i.name, s.hour, s.commits FROM (
                    SELECT project, identity, hour, value AS commits FROM insights_rollups
                    WHERE hour >= $2 AND hour < $3 AND metric = $7 AND value > 0 AND project BETWEEN $5 AND $6
                    UNION ALL
                    SELECT project, identity, at - at % 3600000000 AS hour, count(*) AS commits FROM insights_commits
                    WHERE ((at >= $1 AND at < $2) OR (at >= $3 AND at < $4)) AND project BETWEEN $5 AND $6
                        AND NOT merge_message AND NOT is_merge_commit
                    GROUP BY project, identity, at - at % 3600000000) s
                 JOIN insights_identities i ON i.id = s.identity",
            )
            .await?;

        let (from, to) = (piece.from.as_micros(), piece.to.as_micros());
        let (first, last) = overview::whole_hours(from, to);
        let metric = Metric::Commits.code();
        let parameters: [&(dyn ToSql + Sync); 7] = [&from, &first, &last, &to, &piece.first, &piece.last, &metric];
        let rows = client.query(&statement, &parameters).await?;

        let counted = |row: &Row| CommitCount {
            project: row.get("project"),
            author: Author {
                email: row.get("email"),
                name: row.get("name"),
            },
            hour: Timestamp::from_micros(row.get("hour")),
            commits: row.get("commits"),
        };
        Ok(rows.iter().map(counted).collect())
    }

    async fn bytes_by_project(&self, piece: Piece) -> Result<Vec<(i64, i64)>> {
        let client = self.client().await?;
        let sql = match piece.family {
            Family::Commits => "SELECT project, count(*) * 200 AS bytes FROM insights_rollups
                 WHERE hour >= $1 AND hour < $2 AND metric = $3 AND project BETWEEN $4 AND $5
                 GROUP BY project ORDER BY project"
                .to_owned(),
            _ => format!(
                "SELECT project, sum(octet_length(state))::bigint AS bytes FROM insights_items WHERE {OF_PIECE}
                 GROUP BY project ORDER BY project"
            ),
        };
        let statement = client.prepare_cached(&sql).await?;
        let (from, to, code) = overview::weighed(piece);
        let rows = client
            .query(&statement, &[&from, &to, &code, &piece.first, &piece.last])
            .await?;

        Ok(rows.iter().map(|row| (row.get("project"), row.get("bytes"))).collect())
    }

    async fn newest_items(&self, piece: Piece, bytes: usize) -> Result<(Vec<Item>, bool)> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT state FROM insights_items WHERE {OF_PIECE}
             ORDER BY settled_at IS NULL DESC, settled_at DESC, project, number"
        );
        let statement = client.prepare_cached(&sql).await?;
        let (from, to, code) = (piece.from.as_micros(), piece.to.as_micros(), piece.family.code());
        let parameters: [&(dyn ToSql + Sync); 5] = [&from, &to, &code, &piece.first, &piece.last];
        let mut found = std::pin::pin!(client.query_raw(&statement, parameters).await?);
        let (mut items, mut left) = (Vec::new(), bytes);

        while let Some(row) = found.try_next().await? {
            let state: &[u8] = scalar(&row);
            if state.len() > left {
                return Ok((items, true));
            }

            left -= state.len();
            items.push(insights::read_item(piece.family, state)?);
        }

        Ok((items, false))
    }

    async fn branches_after(&self, piece: Piece, after: (i64, i64), limit: usize) -> Result<Vec<KnownBranch>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT state FROM insights_items WHERE family = $1 AND (project, number) > ($2, $3) AND project <= $4
                   AND (opened_at IS NULL OR opened_at < $5) ORDER BY project, number LIMIT $6",
            )
            .await?;

        let (code, before) = (Family::Branches.code(), piece.to.as_micros());
        let parameters: [&(dyn ToSql + Sync); 6] =
            [&code, &after.0, &after.1, &piece.last, &before, &columns::limit(limit)];

        let mut known = Vec::new();
        for row in client.query(&statement, &parameters).await? {
            if let Item::Branch(branch) = insights::read_item(Family::Branches, scalar(&row))? {
                known.push(KnownBranch {
                    branch,
                    moves: Vec::new(),
                });
            }
        }

        let projects: Vec<i64> = known.iter().map(|one| one.branch.project).collect();
        let names: Vec<String> = known.iter().map(|one| one.branch.git_ref.clone()).collect();

        // Only of branches that were ever deleted.
        let statement = client
            .prepare_cached(
                "SELECT b.place, m.before_sha, m.after_sha, m.moved_at
                 FROM UNNEST($1::bigint[], $2::text[]) WITH ORDINALITY AS b (project, git_ref, place)
                 CROSS JOIN LATERAL (
                    (SELECT p.before_sha, p.after_sha, p.received_at AS moved_at FROM insights_pushes p
                     WHERE p.project = b.project AND p.git_ref = b.git_ref AND p.received_at < $3
                     ORDER BY p.received_at DESC LIMIT $5)
                    UNION ALL
                    (SELECT t.before_sha, t.after_sha, t.at FROM insights_reported_pushes t
                     WHERE t.project = b.project AND t.git_ref = b.git_ref AND t.at < $3 ORDER BY t.at DESC LIMIT $5)) m
                 WHERE EXISTS (SELECT 1 FROM insights_pushes d WHERE d.project = b.project AND d.git_ref = b.git_ref
                    AND d.after_sha BETWEEN '0' AND $4 AND ltrim(d.after_sha, '0') = '' AND d.received_at < $3)
                 OR EXISTS (SELECT 1 FROM insights_reported_pushes d WHERE d.project = b.project AND d.git_ref = b.git_ref
                    AND d.after_sha BETWEEN '0' AND $4 AND ltrim(d.after_sha, '0') = '' AND d.at < $3)",
            )
            .await?;

        let most = columns::limit(MAX_MOVES);
        for row in client
            .query(&statement, &[&projects, &names, &before, &ZEROS, &most])
            .await?
        {
            let place: i64 = row.get("place");
            let Some(one) = usize::try_from(place - 1).ok().and_then(|place| known.get_mut(place)) else {
                continue;
            };

            one.moves.push(Push {
                project: one.branch.project,
                git_ref: one.branch.git_ref.clone(),
                before: row.get("before_sha"),
                after: row.get("after_sha"),
                received_at: Timestamp::from_micros(row.get("moved_at")),
                pusher: None,
                is_default: false,
                total: 0,
                listed: 0,
                commits: Vec::new(),
                received: None,
            });
        }

        Ok(known)
    }
}
