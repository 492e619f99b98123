//! Insights in SQLite, for reading; what is written is in `facts.rs`.

use async_trait::async_trait;
use quickdraw_domain::event::Event;
use quickdraw_domain::{EventId, Timestamp};
use quickdraw_insights::branches::Push;
use quickdraw_insights::commits::{Author, Commit, Metric};
use quickdraw_insights::entity::{Family, Item};
use quickdraw_insights::gaps::{After, Completeness, Gap, Sequence};
use quickdraw_insights::people::User;
use quickdraw_insights::report::{Cell, Row as CommitRow};
use rusqlite::{Connection, OptionalExtension};

use super::Sqlite;
use super::facts;
use super::rows::{self, scalar};
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
impl Insights for Sqlite {
    async fn pending_projection(&self, limit: usize) -> Result<Vec<(Event, Packed)>> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {EVENT_COLUMNS}, {BODY_COLUMN} FROM projection_pending p JOIN events e ON e.id = p.event_id
                 ORDER BY p.event_id LIMIT ?1"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut found = statement.query([columns::limit(limit)])?;
            let (mut all, mut bytes) = (Vec::new(), 0);

            while let Some(row) = found.next()? {
                let (event, body) = rows::event_with_body(row)?;
                bytes += body.as_bytes().len();
                all.push((event, body));

                if bytes > insights::LARGEST_BATCH {
                    break;
                }
            }

            Ok(all)
        })
        .await
    }

    async fn pending(&self) -> Result<Pending> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(insights::PENDING)?;
            let pending = statement.query_row([], |row| {
                Ok(Pending {
                    oldest: row.get::<_, Option<uuid::Uuid>>("oldest")?.map(EventId),
                    newest: row.get::<_, Option<uuid::Uuid>>("newest")?.map(EventId),
                    count: row.get("count")?,
                })
            })?;
            Ok(pending)
        })
        .await
    }

    async fn apply_facts(&self, batch: Vec<Projected>) -> Result<()> {
        let (mut done, mut facts) = (Vec::with_capacity(batch.len()), Vec::new());
        for projected in batch {
            match projected.facts {
                Ok(found) => {
                    facts.extend(found);
                    done.push((projected.event, None));
                }
                Err(reason) => done.push((projected.event, Some(reason))),
            }
        }

        // First the facts, then the marks: a crash in between repeats the batch, which changes nothing.
        self.insights
            .run(move |connection| facts::apply(connection, facts))
            .await?;
        self.write(move |tx| facts::mark(tx.connection, &done)).await
    }

    async fn commit_cells(&self, filter: CommitFilter) -> Result<Vec<Cell>> {
        self.insights
            .run(move |connection| {
                let sql = format!(
                    "SELECT {} FROM insights_rollups r
                 WHERE r.hour >= ?1 AND r.hour < ?2 AND {} AND {} ORDER BY r.hour",
                    CELL.sql,
                    is_among("r.project", filter.projects.as_deref()),
                    is_among("r.identity", filter.identities.as_deref())
                );
                let mut statement = connection.prepare(&sql)?;
                let parameters = (filter.from.as_micros(), filter.to.as_micros());

                let found = statement.query_map(parameters, |row| {
                    let metric: i16 = row.get(CELL.metric)?;
                    let at = Timestamp::from_micros(row.get(CELL.hour)?);
                    let (identity, value) = (row.get(CELL.identity)?, row.get(CELL.value)?);

                    Ok(Metric::from_code(metric).map(|metric| Cell {
                        at,
                        metric,
                        identity,
                        value,
                    }))
                })?;
                let cells: Vec<_> = found.collect::<rusqlite::Result<_>>()?;
                Ok(cells.into_iter().flatten().collect())
            })
            .await
    }

    async fn commit_rows(&self, filter: CommitFilter) -> Result<Vec<CommitRow>> {
        let found = self
            .insights
            .run(move |connection| commits(connection, &filter))
            .await?;
        Ok(found
            .iter()
            .filter_map(|(commit, identity)| CommitRow::of(commit, *identity))
            .collect())
    }

    async fn commit_cells_from_facts(&self, filter: CommitFilter) -> Result<Vec<Cell>> {
        let found = self
            .insights
            .run(move |connection| commits(connection, &filter))
            .await?;
        Ok(insights::cells(&found))
    }

    async fn commits(&self, filter: CommitFilter) -> Result<Vec<Commit>> {
        let found = self
            .insights
            .run(move |connection| commits(connection, &filter))
            .await?;
        Ok(found.into_iter().map(|(commit, _)| commit).collect())
    }

    async fn commits_unlisted(&self, filter: CommitFilter) -> Result<i64> {
        self.insights
            .run(move |connection| {
                // One move counts once, whatever refs it was made on.
                let sql = format!(
                    "SELECT coalesce(sum(total - listed), 0) FROM (SELECT max(total) AS total, max(listed) AS listed
                   FROM insights_pushes WHERE received_at >= ?1 AND received_at < ?2 AND {}
                   GROUP BY project, before_sha, after_sha)",
                    is_among("project", filter.projects.as_deref())
                );
                let mut statement = connection.prepare(&sql)?;
                let parameters = (filter.from.as_micros(), filter.to.as_micros());
                Ok(statement.query_row(parameters, scalar)?)
            })
            .await
    }

    async fn find_identities(&self, text: Option<String>) -> Result<Vec<Identity>> {
        self.insights
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT id, email, name FROM insights_identities
                 WHERE ?1 IS NULL OR email = lower(?1) OR lower(name) = lower(?1) ORDER BY id",
                )?;

                let found = statement.query_map([text], |row| {
                    Ok(Identity {
                        id: row.get("id")?,
                        author: Author {
                            email: row.get("email")?,
                            name: row.get("name")?,
                        },
                    })
                })?;
                Ok(found.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn items(&self, family: Family, window: Lives) -> Result<Vec<Item>> {
        self.insights
            .run(move |connection| {
                let sql = format!(
                    "SELECT state FROM insights_items WHERE family = ?1 AND {}
                       AND (opened_at IS NULL OR opened_at < ?3) AND (settled_at IS NULL OR settled_at >= ?2)
                     ORDER BY project, number",
                    is_among("project", window.projects.as_deref())
                );
                let mut statement = connection.prepare(&sql)?;
                let parameters = (family.code(), window.from.as_micros(), window.to.as_micros());
                let found = statement.query_map(parameters, scalar::<Vec<u8>>)?;

                found.map(|state| insights::read_item(family, &state?)).collect()
            })
            .await
    }

    async fn moves(&self, projects: Option<Vec<i64>>, from: Timestamp, before: Timestamp) -> Result<Vec<Push>> {
        self.insights
            .run(move |connection| {
                let of_these = is_among("project", projects.as_deref());
                let sql = format!(
                    "SELECT {} FROM insights_pushes
                     WHERE received_at >= ?1 AND received_at < ?2 AND {of_these}
                     UNION ALL
                     SELECT project, git_ref, before_sha, after_sha, at, 0, 0 FROM insights_reported_pushes
                     WHERE at >= ?1 AND at < ?2 AND {of_these}",
                    MOVE.sql
                );
                let mut statement = connection.prepare(&sql)?;

                let found = statement.query_map([from.as_micros(), before.as_micros()], |row| {
                    Ok(Push {
                        project: row.get(MOVE.project)?,
                        git_ref: row.get(MOVE.git_ref)?,
                        before: row.get(MOVE.before_sha)?,
                        after: row.get(MOVE.after_sha)?,
                        received_at: Timestamp::from_micros(row.get(MOVE.received_at)?),
                        pusher: None,
                        is_default: false,
                        total: row.get(MOVE.total)?,
                        listed: row.get(MOVE.listed)?,
                        commits: Vec::new(),
                        received: None,
                    })
                })?;
                Ok(found.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn insights_users(&self) -> Result<Vec<User>> {
        self.insights
            .run(move |connection| {
                let mut statement =
                    connection.prepare_cached("SELECT id, seen_at, username, name FROM insights_users")?;
                let found = statement.query_map([], |row| {
                    let seen_at = Timestamp::from_micros(row.get("seen_at")?);
                    Ok(User {
                        id: row.get("id")?,
                        seen_at,
                        username: row.get("username")?,
                        name: row.get("name")?,
                    })
                })?;
                Ok(found.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn insights_projects(&self) -> Result<Vec<NamedProject>> {
        self.insights
            .run(move |connection| {
                let sql = "SELECT id, path, seen_at FROM insights_projects ORDER BY id";
                let mut statement = connection.prepare_cached(sql)?;

                let found = statement.query_map([], |row| {
                    let seen_at = Timestamp::from_micros(row.get("seen_at")?);
                    Ok(NamedProject {
                        id: row.get("id")?,
                        path: row.get("path")?,
                        seen_at,
                    })
                })?;
                Ok(found.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn identity_uses(&self) -> Result<Vec<IdentityUse>> {
        self.insights
            .run(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT i.id, i.email, i.name, c.project,
                        count(*) FILTER (WHERE NOT (c.merge_message OR c.is_merge_commit)) AS commits,
                        count(*) FILTER (WHERE c.merge_message OR c.is_merge_commit) AS merge_commits, min(c.at) AS first,
                        max(c.at) AS last
                     FROM insights_commits c JOIN insights_identities i ON i.id = c.identity
                     GROUP BY i.id, c.project ORDER BY i.id, c.project",
                )?;

                let found = statement.query_map([], |row| {
                    Ok(IdentityUse {
                        identity: Identity {
                            id: row.get("id")?,
                            author: Author { email: row.get("email")?, name: row.get("name")? },
                        },
                        project: row.get("project")?,
                        commits: row.get("commits")?,
                        merge_commits: row.get("merge_commits")?,
                        first: Timestamp::from_micros(row.get("first")?),
                        last: Timestamp::from_micros(row.get("last")?),
                    })
                })?;
                Ok(found.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn first_received(&self, projects: Option<Vec<i64>>) -> Result<Option<Timestamp>> {
        self.insights
            .run(move |connection| {
                let is_asked = is_among("project", projects.as_deref());
                let sql = format!(
                    "SELECT min(since) FROM (SELECT min(received_at) AS since FROM insights_pushes WHERE {is_asked}
                     UNION ALL SELECT min(received_at) FROM insights_received_iids WHERE {is_asked})"
                );
                let first: Option<i64> = connection.prepare(&sql)?.query_row([], scalar)?;

                Ok(first.map(Timestamp::from_micros))
            })
            .await
    }

    async fn document(&self, name: Document) -> Result<Option<(i64, Vec<u8>)>> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached("SELECT version, document FROM documents WHERE name = ?1")?;
            Ok(statement
                .query_row([name.name()], |row| Ok((row.get("version")?, row.get("document")?)))
                .optional()?)
        })
        .await
    }

    async fn put_document(&self, name: Document, version: i64, document: Vec<u8>) -> Result<bool> {
        self.write(move |tx| {
            let sql = if version == 0 {
                "INSERT OR IGNORE INTO documents VALUES (?3, ?1 + 1, ?2)"
            } else {
                "UPDATE documents SET version = version + 1, document = ?2 WHERE version = ?1 AND name = ?3"
            };

            Ok(tx
                .connection
                .prepare_cached(sql)?
                .execute((version, document, name.name()))?
                == 1)
        })
        .await
    }

    async fn completeness(&self, projects: Projects, limit: usize) -> Result<Vec<Completeness>> {
        self.insights
            .run(move |connection| {
                let (first, last) = projects.span();
                let of = |column: &str| format!("{column} BETWEEN ?1 AND ?2");
                let sql = insights::completeness(&of("p.project"), &of("s.project"), "?3");
                let mut statement = connection.prepare_cached(&sql)?;

                let found = statement.query_map((first, last, columns::limit(limit)), |row| {
                    Ok(Completeness {
                        project: row.get("project")?,
                        project_path: row.get("path")?,
                        kind: Sequence::from_code(row.get("kind")?).unwrap_or(Sequence::Push),
                        first: row.get("first")?,
                        last: row.get("last")?,
                        known: row.get("known")?,
                        missing: row.get("missing")?,
                        since: Timestamp::from_micros(row.get("since")?),
                    })
                })?;
                Ok(found.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn gaps(&self, project: i64, after: After, limit: usize) -> Result<Vec<Gap>> {
        self.insights
            .run(move |connection| match after {
                After::Pushes(time, sha) => {
                    let after = "(g.received_at, g.before_sha) > (?2, ?3)";
                    let mut statement =
                        connection.prepare_cached(&insights::page_of_pushes("p.project = ?1", after, "?4"))?;
                    let parameters = (project, time.as_micros(), sha, columns::limit(limit));

                    let found = statement.query_map(parameters, |row| {
                        let received_at = Timestamp::from_micros(row.get("received_at")?);
                        Ok(Gap::Pushes {
                            git_ref: row.get("git_ref")?,
                            before: row.get("last_sha")?,
                            after: row.get("before_sha")?,
                            received_at,
                        })
                    })?;
                    Ok(found.collect::<rusqlite::Result<_>>()?)
                }

                After::Objects(kind, iid) => {
                    let sql = "SELECT before + 1 AS first, iid - 1 AS last FROM (
                            SELECT iid, lag(iid) OVER (ORDER BY iid) AS before FROM insights_received_iids
                            WHERE project = ?1 AND kind = ?2 AND iid > ?3)
                        WHERE iid - before > 1 ORDER BY iid LIMIT ?4";
                    let mut statement = connection.prepare_cached(sql)?;
                    let parameters = (project, kind.code(), iid, columns::limit(limit));

                    let found = statement.query_map(parameters, |row| {
                        Ok(Gap::Objects {
                            kind,
                            first: row.get("first")?,
                            last: row.get("last")?,
                        })
                    })?;
                    Ok(found.collect::<rusqlite::Result<_>>()?)
                }
            })
            .await
    }

    async fn rename(&self, identities: Vec<Identity>, users: Vec<User>) -> Result<()> {
        self.insights
            .run(move |connection| {
                let tx = connection.unchecked_transaction()?;
                {
                    for one in &identities {
                        let spelled = (&one.author.email, &one.author.name, one.id);
                        let there = "SELECT id FROM insights_identities WHERE email = ?1 AND name = ?2 AND id <> ?3";
                        let there: Option<i64> = tx.prepare_cached(there)?.query_row(spelled, scalar).optional()?;

                        let Some(there) = there else {
                            let sql = "UPDATE insights_identities SET email = ?1, name = ?2 WHERE id = ?3";
                            tx.prepare_cached(sql)?.execute(spelled)?;
                            continue;
                        };

                        for sql in MERGE_IDENTITIES {
                            tx.prepare_cached(sql)?.execute((there, one.id))?;
                        }
                    }

                    let mut user =
                        tx.prepare_cached("UPDATE insights_users SET username = ?2, name = ?3 WHERE id = ?1")?;
                    for one in &users {
                        user.execute((one.id, &one.username, &one.name))?;
                    }
                }

                Ok(tx.commit()?)
            })
            .await
    }

    async fn forget_before(&self, project: i64, before: Timestamp, limit: usize) -> Result<usize> {
        self.insights
            .run(move |connection| {
                let tx = connection.unchecked_transaction()?;
                let mut gone = 0;

                for (table, time) in FORGOTTEN {
                    let sql = format!(
                        "DELETE FROM {table} WHERE rowid IN (
                            SELECT rowid FROM {table} WHERE project = ?1 AND {time} < ?2 LIMIT ?3)"
                    );
                    gone += tx
                        .prepare_cached(&sql)?
                        .execute((project, before.as_micros(), columns::limit(limit)))?;
                }

                let sums = "DELETE FROM insights_rollups WHERE project = ?1 AND hour < ?2";
                gone += tx.prepare_cached(sums)?.execute((project, before.as_micros()))?;
                tx.commit()?;

                Ok(gone)
            })
            .await
    }

    async fn list_set_aside(&self, limit: usize) -> Result<Vec<(EventId, String)>> {
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT event_id, reason FROM projection_set_aside ORDER BY event_id DESC LIMIT ?1")?;
            let found = statement.query_map([columns::limit(limit)], |row| {
                Ok((EventId(row.get("event_id")?), row.get("reason")?))
            })?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn retry_set_aside(&self, event: Option<EventId>) -> Result<usize> {
        self.write(move |tx| {
            let event = event.map(|event| event.0);
            let retried = tx.connection.execute(
                "INSERT OR IGNORE INTO projection_pending SELECT p.event_id FROM projection_set_aside p
                 JOIN events e ON e.id = p.event_id WHERE ?1 IS NULL OR p.event_id = ?1",
                [event],
            )?;

            tx.connection.execute(
                "DELETE FROM projection_set_aside WHERE ?1 IS NULL OR event_id = ?1",
                [event],
            )?;

            Ok(retried)
        })
        .await
    }
}

fn commits(connection: &Connection, filter: &CommitFilter) -> Result<Vec<(Commit, i64)>> {
    let sql = format!(
        "{} WHERE c.at >= ?1 AND c.at < ?2 AND {} AND {} ORDER BY c.at",
        insights::select_commits(),
        is_among("c.project", filter.projects.as_deref()),
        is_among("c.identity", filter.identities.as_deref())
    );
    let mut statement = connection.prepare(&sql)?;
    let parameters = (filter.from.as_micros(), filter.to.as_micros());
    let found = statement.query_map(parameters, facts::read_commit)?;

    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// The condition that a column is one of some numbers, if any are given. They are numbers, so they can stand in the
/// text.
fn is_among(column: &str, numbers: Option<&[i64]>) -> String {
    match numbers {
        None => "1".to_owned(),
        Some(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            format!("{column} IN ({})", numbers.join(", "))
        }
    }
}
