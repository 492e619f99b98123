//! Insights in PostgreSQL, for reading; what is written is in `facts.rs`.

use async_trait::async_trait;
use quickdraw_domain::event::Event;
use quickdraw_domain::{EventId, Timestamp};
use quickdraw_insights::branches::Push;
use quickdraw_insights::commits::{Author, Commit, Metric};
use quickdraw_insights::entity::{Family, Item};
use quickdraw_insights::gaps::{After, Completeness, Gap, Sequence};
use quickdraw_insights::people::User;
use quickdraw_insights::report::{Cell, Row as CommitRow};

use super::events::event_with_body;
use super::{Postgres, facts, scalar};
use crate::columns;
use crate::documents::Document;
use crate::error::Result;
use crate::events::{BODY_COLUMN, EVENT_COLUMNS};
use crate::insights::{
    self, CELL, CommitFilter, FORGOTTEN, Identity, IdentityUse, Insights, Lives, MERGE_IDENTITIES, MOVE, NamedProject,
    Pending, Projected, Projects,
};
use crate::payload::Packed;

#[async_trait]
impl Insights for Postgres {
    async fn pending_projection(&self, limit: usize) -> Result<Vec<(Event, Packed)>> {
        let client = self.client().await?;
        let sql = format!(
            "WITH p AS MATERIALIZED (SELECT event_id FROM projection_pending ORDER BY event_id LIMIT $1),
             sized AS (
                SELECT p.event_id, sum(octet_length(e.payload)) OVER (ORDER BY p.event_id) - octet_length(e.payload) AS before
                FROM p CROSS JOIN LATERAL (SELECT payload FROM events WHERE id = p.event_id) e)
             SELECT {EVENT_COLUMNS}, {BODY_COLUMN} FROM sized CROSS JOIN LATERAL (
                SELECT * FROM events WHERE id = sized.event_id) e WHERE sized.before <= $2 ORDER BY sized.event_id"
        );
        let statement = client.prepare_cached(&sql).await?;
        let most = i64::try_from(insights::LARGEST_BATCH).unwrap_or(i64::MAX);
        let rows = client.query(&statement, &[&columns::limit(limit), &most]).await?;

        Ok(rows.iter().map(event_with_body).collect())
    }

    async fn pending(&self) -> Result<Pending> {
        let client = self.client().await?;
        let row = client
            .query_one(&client.prepare_cached(insights::PENDING).await?, &[])
            .await?;
        Ok(Pending {
            oldest: row.get::<_, Option<uuid::Uuid>>("oldest").map(EventId),
            newest: row.get::<_, Option<uuid::Uuid>>("newest").map(EventId),
            count: row.get("count"),
        })
    }

    async fn apply_facts(&self, batch: Vec<Projected>) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        facts::apply(&transaction, batch).await?;

        Ok(transaction.commit().await?)
    }

    async fn commit_cells(&self, filter: CommitFilter) -> Result<Vec<Cell>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {} FROM insights_rollups r
             WHERE r.hour >= $1 AND r.hour < $2 AND ($3::bigint[] IS NULL OR r.project = ANY ($3))
               AND ($4::bigint[] IS NULL OR r.identity = ANY ($4)) ORDER BY r.hour",
            CELL.sql
        );
        let statement = client.prepare_cached(&sql).await?;
        let parameters = (filter.from.as_micros(), filter.to.as_micros());

        let rows = client
            .query(
                &statement,
                &[&parameters.0, &parameters.1, &filter.projects, &filter.identities],
            )
            .await?;

        let cell = |row: &tokio_postgres::Row| {
            let metric = Metric::from_code(row.get(CELL.metric))?;
            Some(Cell {
                at: Timestamp::from_micros(row.get(CELL.hour)),
                metric,
                identity: row.get(CELL.identity),
                value: row.get(CELL.value),
            })
        };
        Ok(rows.iter().filter_map(cell).collect())
    }

    async fn commit_rows(&self, filter: CommitFilter) -> Result<Vec<CommitRow>> {
        let found = self.found_commits(&filter).await?;
        Ok(found
            .iter()
            .filter_map(|(commit, identity)| CommitRow::of(commit, *identity))
            .collect())
    }

    async fn commit_cells_from_facts(&self, filter: CommitFilter) -> Result<Vec<Cell>> {
        Ok(insights::cells(&self.found_commits(&filter).await?))
    }

    async fn commits(&self, filter: CommitFilter) -> Result<Vec<Commit>> {
        Ok(self
            .found_commits(&filter)
            .await?
            .into_iter()
            .map(|(commit, _)| commit)
            .collect())
    }

    async fn commits_unlisted(&self, filter: CommitFilter) -> Result<i64> {
        let client = self.client().await?;

        // One move counts once, whatever refs it was made on.
        let statement = client
            .prepare_cached(
                "SELECT coalesce(sum(total - listed), 0)::bigint FROM (
                    SELECT max(total) AS total, max(listed) AS listed FROM insights_pushes
                    WHERE received_at >= $1 AND received_at < $2 AND ($3::bigint[] IS NULL OR project = ANY ($3))
                    GROUP BY project, before_sha, after_sha) p",
            )
            .await?;

        let (from, to) = (filter.from.as_micros(), filter.to.as_micros());
        Ok(scalar(
            &client.query_one(&statement, &[&from, &to, &filter.projects]).await?,
        ))
    }

    async fn find_identities(&self, text: Option<String>) -> Result<Vec<Identity>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT id, email, name FROM insights_identities
                 WHERE $1::text IS NULL OR email = lower($1) OR lower(name) = lower($1) ORDER BY id",
            )
            .await?;
        let rows = client.query(&statement, &[&text]).await?;

        let identity = |row: &tokio_postgres::Row| Identity {
            id: row.get("id"),
            author: Author {
                email: row.get("email"),
                name: row.get("name"),
            },
        };
        Ok(rows.iter().map(identity).collect())
    }

    async fn items(&self, family: Family, window: Lives) -> Result<Vec<Item>> {
        let client = self.client().await?;
        let statement = client
            .prepare_cached(
                "SELECT state FROM insights_items WHERE family = $1 AND ($2::bigint[] IS NULL OR project = ANY ($2))
                   AND (opened_at IS NULL OR opened_at < $4) AND (settled_at IS NULL OR settled_at >= $3)
                 ORDER BY project, number",
            )
            .await?;

        let (from, to) = (window.from.as_micros(), window.to.as_micros());
        let rows = client
            .query(&statement, &[&family.code(), &window.projects, &from, &to])
            .await?;
        rows.iter()
            .map(|row| insights::read_item(family, scalar(row)))
            .collect()
    }

    async fn moves(&self, projects: Option<Vec<i64>>, from: Timestamp, before: Timestamp) -> Result<Vec<Push>> {
        let client = self.client().await?;
        let sql = format!(
            "SELECT {} FROM insights_pushes
             WHERE ($1::bigint[] IS NULL OR project = ANY ($1)) AND received_at >= $2 AND received_at < $3
             UNION ALL
             SELECT project, git_ref, before_sha, after_sha, at, 0, 0 FROM insights_reported_pushes
             WHERE ($1::bigint[] IS NULL OR project = ANY ($1)) AND at >= $2 AND at < $3",
            MOVE.sql
        );

        let times = (from.as_micros(), before.as_micros());
        let rows = client
            .query(&client.prepare_cached(&sql).await?, &[&projects, &times.0, &times.1])
            .await?;

        let push = |row: &tokio_postgres::Row| Push {
            project: row.get(MOVE.project),
            git_ref: row.get(MOVE.git_ref),
            before: row.get(MOVE.before_sha),
            after: row.get(MOVE.after_sha),
            received_at: Timestamp::from_micros(row.get(MOVE.received_at)),
            pusher: None,
            is_default: false,
            total: row.get(MOVE.total),
            listed: row.get(MOVE.listed),
            commits: Vec::new(),
            received: None,
        };
        Ok(rows.iter().map(push).collect())
    }

    async fn insights_users(&self) -> Result<Vec<User>> {
        let client = self.client().await?;
        let rows = client
            .query("SELECT id, seen_at, username, name FROM insights_users", &[])
            .await?;

        let user = |row: &tokio_postgres::Row| User {
            id: row.get("id"),
            seen_at: Timestamp::from_micros(row.get("seen_at")),
            username: row.get("username"),
            name: row.get("name"),
        };
        Ok(rows.iter().map(user).collect())
    }

    async fn insights_projects(&self) -> Result<Vec<NamedProject>> {
        let client = self.client().await?;
        let rows = client
            .query("SELECT id, path, seen_at FROM insights_projects ORDER BY id", &[])
            .await?;

        let named = |row: &tokio_postgres::Row| NamedProject {
            id: row.get("id"),
            path: row.get("path"),
            seen_at: Timestamp::from_micros(row.get("seen_at")),
        };
        Ok(rows.iter().map(named).collect())
    }

    async fn identity_uses(&self) -> Result<Vec<IdentityUse>> {
        let client = self.client().await?;
        let sql = "SELECT i.id, i.email, i.name, c.project,
                count(*) FILTER (WHERE NOT (c.merge_message OR c.is_merge_commit)) AS commits,
                count(*) FILTER (WHERE c.merge_message OR c.is_merge_commit) AS merge_commits, min(c.at) AS first,
                max(c.at) AS last
            FROM insights_commits c JOIN insights_identities i ON i.id = c.identity
            GROUP BY i.id, i.email, i.name, c.project ORDER BY i.id, c.project";
        let rows = client.query(sql, &[]).await?;

        let one = |row: &tokio_postgres::Row| IdentityUse {
            identity: Identity {
                id: row.get("id"),
                author: Author {
                    email: row.get("email"),
                    name: row.get("name"),
                },
            },
            project: row.get("project"),
            commits: row.get("commits"),
            merge_commits: row.get("merge_commits"),
            first: Timestamp::from_micros(row.get("first")),
            last: Timestamp::from_micros(row.get("last")),
        };
        Ok(rows.iter().map(one).collect())
    }

    async fn first_received(&self, projects: Option<Vec<i64>>) -> Result<Option<Timestamp>> {
        let client = self.client().await?;
        let sql = "SELECT min(since) FROM (
                SELECT min(received_at) AS since FROM insights_pushes WHERE $1::bigint[] IS NULL OR project = ANY ($1)
                UNION ALL
                SELECT min(received_at) FROM insights_received_iids WHERE $1::bigint[] IS NULL OR project = ANY ($1)) r";
        let row = client
            .query_one(&client.prepare_cached(sql).await?, &[&projects])
            .await?;
        Ok(scalar::<Option<i64>>(&row).map(Timestamp::from_micros))
    }

    async fn document(&self, name: Document) -> Result<Option<(i64, Vec<u8>)>> {
        let client = self.client().await?;
        let sql = "SELECT version, document FROM documents WHERE name = $1";
        let row = client.query_opt(sql, &[&name.name()]).await?;
        Ok(row.map(|row| (row.get("version"), row.get("document"))))
    }

    async fn put_document(&self, name: Document, version: i64, document: Vec<u8>) -> Result<bool> {
        let client = self.client().await?;
        let sql = if version == 0 {
            "INSERT INTO documents VALUES ($3, $1::bigint + 1, $2) ON CONFLICT DO NOTHING"
        } else {
            "UPDATE documents SET version = version + 1, document = $2 WHERE version = $1 AND name = $3"
        };
        Ok(client.execute(sql, &[&version, &document, &name.name()]).await? == 1)
    }

    async fn completeness(&self, projects: Projects, limit: usize) -> Result<Vec<Completeness>> {
        let client = self.client().await?;
        let (first, last) = projects.span();
        let of = |column: &str| format!("{column} BETWEEN $1 AND $2");
        let statement = client
            .prepare_cached(&insights::completeness(&of("p.project"), &of("s.project"), "$3"))
            .await?;
        let rows = client
            .query(&statement, &[&first, &last, &columns::limit(limit)])
            .await?;

        let completeness = |row: &tokio_postgres::Row| Completeness {
            project: row.get("project"),
            project_path: row.get("path"),
            kind: i16::try_from(row.get::<_, i32>("kind"))
                .ok()
                .and_then(Sequence::from_code)
                .unwrap_or(Sequence::Push),
            first: row.get("first"),
            last: row.get("last"),
            known: row.get("known"),
            missing: row.get("missing"),
            since: Timestamp::from_micros(row.get("since")),
        };
        Ok(rows.iter().map(completeness).collect())
    }

    async fn gaps(&self, project: i64, after: After, limit: usize) -> Result<Vec<Gap>> {
        let (client, limit) = (self.client().await?, columns::limit(limit));
        match after {
            After::Pushes(time, sha) => {
                let after = "(g.received_at, g.before_sha) > ($2, $3)";
                let sql = insights::page_of_pushes("p.project = $1", after, "$4");
                let statement = client.prepare_cached(&sql).await?;
                let rows = client
                    .query(&statement, &[&project, &time.as_micros(), &sha, &limit])
                    .await?;

                let gap = |row: &tokio_postgres::Row| Gap::Pushes {
                    git_ref: row.get("git_ref"),
                    before: row.get("last_sha"),
                    after: row.get("before_sha"),
                    received_at: Timestamp::from_micros(row.get("received_at")),
                };
                Ok(rows.iter().map(gap).collect())
            }

            After::Objects(kind, iid) => {
                let sql = "SELECT before + 1 AS first, iid - 1 AS last FROM (
                        SELECT iid, lag(iid) OVER (ORDER BY iid) AS before FROM insights_received_iids
                        WHERE project = $1 AND kind = $2 AND iid > $3) s
                    WHERE iid - before > 1 ORDER BY iid LIMIT $4";
                let statement = client.prepare_cached(sql).await?;
                let rows = client
                    .query(&statement, &[&project, &kind.code(), &iid, &limit])
                    .await?;

                Ok(rows
                    .iter()
                    .map(|row| Gap::Objects {
                        kind,
                        first: row.get("first"),
                        last: row.get("last"),
                    })
                    .collect())
            }
        }
    }

    async fn rename(&self, identities: Vec<Identity>, users: Vec<User>) -> Result<()> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;

        for one in &identities {
            let spelled: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                [&one.author.email, &one.author.name, &one.id];
            let there = "SELECT id FROM insights_identities WHERE email = $1 AND name = $2 AND id <> $3";
            let there: Option<i64> = tx.query_opt(there, &spelled).await?.as_ref().map(scalar);

            let Some(there) = there else {
                let sql = "UPDATE insights_identities SET email = $1, name = $2 WHERE id = $3";
                tx.execute(sql, &spelled).await?;
                continue;
            };

            for sql in MERGE_IDENTITIES {
                tx.execute(&sql.replace('?', "$"), &[&there, &one.id]).await?;
            }
        }

        let user = tx
            .prepare_cached("UPDATE insights_users SET username = $2, name = $3 WHERE id = $1")
            .await?;
        for one in &users {
            tx.execute(&user, &[&one.id, &one.username, &one.name]).await?;
        }

        Ok(tx.commit().await?)
    }

    async fn forget_before(&self, project: i64, before: Timestamp, limit: usize) -> Result<usize> {
        let mut client = self.client().await?;
        let tx = client.transaction().await?;
        let mut gone = 0;

        for (table, time) in FORGOTTEN {
            let sql = format!(
                "DELETE FROM {table} WHERE ctid = ANY (ARRAY(
                    SELECT ctid FROM {table} WHERE project = $1 AND {time} < $2 LIMIT $3))"
            );
            let statement = tx.prepare_cached(&sql).await?;
            gone += tx
                .execute(&statement, &[&project, &before.as_micros(), &columns::limit(limit)])
                .await?;
        }

        let sums = tx
            .prepare_cached("DELETE FROM insights_rollups WHERE project = $1 AND hour < $2")
            .await?;
        gone += tx.execute(&sums, &[&project, &before.as_micros()]).await?;
        tx.commit().await?;

        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }

    async fn list_set_aside(&self, limit: usize) -> Result<Vec<(EventId, String)>> {
        let client = self.client().await?;
        let sql = "SELECT event_id, reason FROM projection_set_aside ORDER BY event_id DESC LIMIT $1";
        let rows = client.query(sql, &[&columns::limit(limit)]).await?;
        Ok(rows
            .iter()
            .map(|row| (EventId(row.get("event_id")), row.get("reason")))
            .collect())
    }

    async fn retry_set_aside(&self, event: Option<EventId>) -> Result<usize> {
        let sql =
            "WITH gone AS (DELETE FROM projection_set_aside WHERE $1::uuid IS NULL OR event_id = $1 RETURNING event_id)
            INSERT INTO projection_pending SELECT e.id FROM gone g JOIN events e ON e.id = g.event_id
            ON CONFLICT DO NOTHING";

        let retried = self
            .client()
            .await?
            .execute(sql, &[&event.map(|event| event.0)])
            .await?;
        Ok(usize::try_from(retried).unwrap_or(usize::MAX))
    }
}

impl Postgres {
    async fn found_commits(&self, filter: &CommitFilter) -> Result<Vec<(Commit, i64)>> {
        let client = self.client().await?;
        let sql = format!(
            "{} WHERE c.at >= $1 AND c.at < $2 AND ($3::bigint[] IS NULL OR c.project = ANY ($3))
               AND ($4::bigint[] IS NULL OR c.identity = ANY ($4)) ORDER BY c.at",
            insights::select_commits()
        );
        let statement = client.prepare_cached(&sql).await?;
        let (from, to) = (filter.from.as_micros(), filter.to.as_micros());
        let rows = client
            .query(&statement, &[&from, &to, &filter.projects, &filter.identities])
            .await?;

        Ok(rows.iter().map(facts::read_commit).collect())
    }
}
