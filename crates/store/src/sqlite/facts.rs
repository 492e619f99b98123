//! Projection in SQLite: joins of facts, and rollups corrected by taking the old contribution away and adding the new.

use std::collections::{BTreeMap, HashMap};

use quickdraw_domain::{EventId, Timestamp};
use quickdraw_insights::Fact;
use quickdraw_insights::branches::Push;
use quickdraw_insights::commits::{Author, Commit, CommitDetails, Paths};
use quickdraw_insights::entity::{Entity, Item};
use quickdraw_insights::gaps::Seen;
use rusqlite::{Connection, OptionalExtension, Row};

use super::rows::scalar;
use crate::error::Result;
use crate::insights::{self, AUTHOR, COMMIT, Gathered};

const HOUR: i64 = 3_600_000_000;

/// Joins a batch. It may come a second time, when the mark could not be set after it: joins are idempotent.
pub(super) fn apply(connection: &Connection, facts: Vec<Fact>) -> Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let mut batch = Batch {
        connection: &transaction,
        sums: BTreeMap::new(),
        identities: HashMap::new(),
        gathered: Gathered::default(),
    };
    for fact in facts {
        batch.apply(fact)?;
    }

    batch.write_sums()?;
    write_gathered(&transaction, &batch.gathered)?;
    drop(batch);

    Ok(transaction.commit()?)
}

/// Sums of a batch, so that a cell of the rollups is written once and not once for each commit.
struct Batch<'a> {
    connection: &'a Connection,

    /// By hour, metric, project and identity.
    sums: BTreeMap<(i64, i16, i64, i64), i64>,
    identities: HashMap<Author, i64>,
    gathered: Gathered,
}

/// Sets the marks of a batch, and puts aside what could not be read.
pub(super) fn mark(connection: &Connection, done: &[(EventId, Option<String>)]) -> Result<()> {
    let mut unmark = connection.prepare_cached("DELETE FROM projection_pending WHERE event_id = ?1")?;
    for (event, unreadable) in done {
        let waited = unmark.execute([event.0])? > 0;
        if let Some(reason) = unreadable.as_ref().filter(|_| waited) {
            connection.execute(
                "INSERT OR REPLACE INTO projection_set_aside VALUES (?1, ?2)",
                (event.0, reason),
            )?;
        }
    }

    Ok(())
}

impl Batch<'_> {
    fn apply(&mut self, fact: Fact) -> Result<()> {
        match fact {
            Fact::Commit(commit) => self.join_commit(*commit),
            Fact::Project { id, seen_at, path } => {
                self.gathered.project(id, seen_at, path);
                Ok(())
            }
            Fact::Seen(seen) => join_seen(self.connection, &seen),
            Fact::Item(item) => {
                self.gathered.item(*item);
                Ok(())
            }
            Fact::User(user) => {
                self.gathered.user(user);
                Ok(())
            }
            Fact::MergeCommit { project, sha } => {
                self.connection
                    .prepare_cached("INSERT OR IGNORE INTO insights_merge_commits VALUES (?1, ?2)")?
                    .execute((project, &sha))?;

                match find(self.connection, project, &sha)? {
                    Some((commit, identity)) if !commit.is_merge_commit => {
                        let merged = Commit {
                            is_merge_commit: true,
                            ..commit.clone()
                        };
                        self.replace(Some((&commit, identity)), &merged)
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    fn join_commit(&mut self, mut commit: Commit) -> Result<()> {
        match find(self.connection, commit.project, &commit.sha)? {
            Some((known, identity)) => {
                let joined = known.clone().join(commit);
                if joined == known {
                    Ok(())
                } else {
                    self.replace(Some((&known, identity)), &joined)
                }
            }

            None => {
                commit.is_merge_commit = self
                    .connection
                    .prepare_cached("SELECT 1 FROM insights_merge_commits WHERE project = ?1 AND sha = ?2")?
                    .exists((commit.project, &commit.sha))?;

                self.replace(None, &commit)
            }
        }
    }

    fn replace(&mut self, old: Option<(&Commit, i64)>, new: &Commit) -> Result<()> {
        if let Some((old, identity)) = old {
            self.add(old, identity, -1);
        }

        let identity = self.identity(&new.details.author)?;
        self.connection
            .prepare_cached(
                "INSERT INTO insights_commits (project, sha, at, identity, undated, committed_at,
                   offset_minutes, merge_message, change, paths, first_received_at, landed, is_merge_commit)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                 ON CONFLICT (project, sha) DO UPDATE SET at = excluded.at, identity = excluded.identity,
                   undated = excluded.undated, committed_at = excluded.committed_at,
                   offset_minutes = excluded.offset_minutes, merge_message = excluded.merge_message,
                   change = excluded.change, paths = excluded.paths, first_received_at = excluded.first_received_at,
                   landed = excluded.landed, is_merge_commit = excluded.is_merge_commit",
            )?
            .execute((
                new.project,
                &new.sha,
                new.at().as_micros(),
                identity,
                new.details.undated,
                new.details.committed_at.as_micros(),
                new.details.offset_minutes,
                new.details.merge_message,
                new.details.change,
                new.details.paths.to_bytes(),
                new.first_received_at.as_micros(),
                new.landed,
                new.is_merge_commit,
            ))?;

        self.add(new, identity, 1);
        Ok(())
    }

    fn add(&mut self, commit: &Commit, identity: i64, sign: i64) {
        let hour = commit.at().as_micros().div_euclid(HOUR) * HOUR;
        for (metric, value) in commit.contribution() {
            *self
                .sums
                .entry((hour, metric.code(), commit.project, identity))
                .or_default() += sign * value;
        }
    }

    fn write_sums(&self) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO insights_rollups VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (hour, metric, project, identity) DO UPDATE SET value = value + ?5",
        )?;
        for ((hour, metric, project, identity), value) in self.sums.iter().filter(|(_, value)| **value != 0) {
            statement.execute((hour, metric, project, identity, value))?;
        }

        Ok(())
    }

    fn identity(&mut self, author: &Author) -> Result<i64> {
        if let Some(id) = self.identities.get(author) {
            return Ok(*id);
        }

        let known = self
            .connection
            .prepare_cached("SELECT id FROM insights_identities WHERE email = ?1 AND name = ?2")?
            .query_row((&author.email, &author.name), scalar)
            .optional()?;

        let id = match known {
            Some(id) => id,
            None => {
                self.connection
                    .prepare_cached("INSERT INTO insights_identities (email, name) VALUES (?1, ?2)")?
                    .execute((&author.email, &author.name))?;
                self.connection.last_insert_rowid()
            }
        };
        self.identities.insert(author.clone(), id);
        Ok(id)
    }
}

fn find(connection: &Connection, project: i64, sha: &str) -> Result<Option<(Commit, i64)>> {
    let sql = format!("{} WHERE c.project = ?1 AND c.sha = ?2", insights::select_commits());
    Ok(connection
        .prepare_cached(&sql)?
        .query_row((project, sha), read_commit)
        .optional()?)
}

pub(super) fn read_commit(row: &Row<'_>) -> rusqlite::Result<(Commit, i64)> {
    let commit = Commit {
        project: row.get(COMMIT.project)?,
        sha: row.get(COMMIT.sha)?,
        details: CommitDetails {
            undated: row.get(COMMIT.undated)?,
            committed_at: Timestamp::from_micros(row.get(COMMIT.committed_at)?),
            offset_minutes: row.get(COMMIT.offset_minutes)?,
            author: Author {
                email: row.get(AUTHOR.email)?,
                name: row.get(AUTHOR.name)?,
            },
            merge_message: row.get(COMMIT.merge_message)?,
            change: row.get(COMMIT.change)?,
            paths: Paths::from_bytes(&row.get::<_, Vec<u8>>(COMMIT.paths)?),
        },
        first_received_at: Timestamp::from_micros(row.get(COMMIT.first_received_at)?),
        landed: row.get(COMMIT.landed)?,
        is_merge_commit: row.get(COMMIT.is_merge_commit)?,
    };
    Ok((commit, row.get(COMMIT.identity)?))
}

fn join_push(connection: &Connection, push: &Push) -> Result<()> {
    // Gaps lie between what was received.
    let Some(received) = push.received else { return Ok(()) };

    // The first receipt and the larger numbers win, in whatever order the copies come.
    connection
        .prepare_cached(
            "INSERT INTO insights_pushes (project, before_sha, after_sha, git_ref, received_at, total, listed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (project, before_sha, after_sha, git_ref) DO UPDATE SET
               received_at = min(received_at, excluded.received_at), total = max(total, excluded.total),
               listed = max(listed, excluded.listed)",
        )?
        .execute((
            push.project,
            &push.before,
            &push.after,
            &push.git_ref,
            received.at.as_micros(),
            received.total,
            received.listed,
        ))?;

    Ok(())
}

/// Writes a push that nobody received at that time; one that was `known` may no longer be such a one.
fn write_reported_push(connection: &Connection, push: &Push, known: bool) -> Result<()> {
    let key = (push.project, &push.git_ref, &push.after, &push.before);
    if let Some(at) = push.reported_at() {
        connection
            .prepare_cached(
                "INSERT INTO insights_reported_pushes (project, git_ref, after_sha, before_sha, at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (project, git_ref, after_sha, before_sha) DO UPDATE SET at = excluded.at",
            )?
            .execute((key.0, key.1, key.2, key.3, at.as_micros()))?;
    } else if known {
        connection
            .prepare_cached(
                "DELETE FROM insights_reported_pushes
                 WHERE project = ?1 AND git_ref = ?2 AND after_sha = ?3 AND before_sha = ?4",
            )?
            .execute(key)?;
    }

    Ok(())
}

fn join_seen(connection: &Connection, seen: &Seen) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO insights_received_iids VALUES (?1, ?2, ?3, ?4) ON CONFLICT (project, kind, iid)
             DO UPDATE SET received_at = excluded.received_at WHERE received_at > excluded.received_at",
        )?
        .execute((seen.project, seen.kind.code(), seen.iid, seen.received_at.as_micros()))?;

    Ok(())
}

fn write_gathered(connection: &Connection, gathered: &Gathered) -> Result<()> {
    let mut find = connection
        .prepare_cached("SELECT state FROM insights_items WHERE family = ?1 AND project = ?2 AND number = ?3")?;
    let mut write = connection.prepare_cached(
        "INSERT INTO insights_items VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (family, project, number)
         DO UPDATE SET opened_at = excluded.opened_at, settled_at = excluded.settled_at, state = excluded.state",
    )?;

    for ((family, project, number), item) in &gathered.items {
        if let Item::Push(push) = item {
            join_push(connection, push)?;
        }

        let stored: Option<Vec<u8>> = find.query_row((family, project, number), scalar).optional()?;
        if let Some(joined) = insights::join_stored(stored.as_deref(), item)? {
            let [opened, settled] =
                [joined.opened_at(), joined.settled_at()].map(|time| time.map(Timestamp::as_micros));
            write.execute((family, project, number, opened, settled, insights::write_item(&joined)?))?;

            if let Item::Push(push) = &joined {
                write_reported_push(connection, push, stored.is_some())?;
            }
        }
    }

    let mut path = connection.prepare_cached(
        "INSERT INTO insights_projects (id, seen_at, path) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE
         SET seen_at = excluded.seen_at, path = excluded.path
         WHERE (excluded.seen_at, excluded.path) > (insights_projects.seen_at, insights_projects.path)",
    )?;
    for (id, seen) in &gathered.projects {
        path.execute((id, seen.0, &seen.1))?;
    }

    let mut name = connection.prepare_cached(
        "INSERT INTO insights_users VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE
         SET seen_at = excluded.seen_at, username = excluded.username, name = excluded.name
         WHERE (excluded.seen_at, excluded.username, excluded.name) > (seen_at, username, name)",
    )?;
    for user in gathered.users.values() {
        name.execute((user.id, user.seen_at.as_micros(), &user.username, &user.name))?;
    }

    Ok(())
}
