//! Projection in PostgreSQL: a batch reads what it touches, joins in memory, and writes what changed.
//!
//! Joins read and then write, so projectors take turns (an advisory lock); facts are not the hot path.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use deadpool_postgres::Transaction;
use quickdraw_domain::Timestamp;
use quickdraw_insights::Fact;
use quickdraw_insights::branches::{Push, Received};
use quickdraw_insights::commits::{Author, Commit, CommitDetails, Paths};
use quickdraw_insights::entity::{Entity, Item};
use quickdraw_insights::gaps::Seen;
use quickdraw_insights::people::User;
use tokio_postgres::Row;
use uuid::Uuid;

use super::scalar;
use crate::error::Result;
use crate::insights::{self, AUTHOR, COMMIT, Gathered, Projected};

const HOUR: i64 = 3_600_000_000;
type Key = (i64, String);

pub(super) async fn apply(transaction: &Transaction<'_>, batch: Vec<Projected>) -> Result<()> {
    let statement = transaction
        .prepare_cached("SELECT pg_advisory_xact_lock(hashtext('quickdraw projection'))")
        .await?;
    transaction.execute(&statement, &[]).await?;

    let ids: Vec<Uuid> = batch.iter().map(|projected| projected.event.0).collect();
    let sql = "DELETE FROM projection_pending WHERE event_id = ANY ($1) RETURNING event_id";
    let rows = transaction
        .query(&transaction.prepare_cached(sql).await?, &[&ids])
        .await?;
    let waiting: HashSet<Uuid> = rows.iter().map(scalar).collect();
    let mut facts = Vec::new();

    for projected in batch
        .into_iter()
        .filter(|projected| waiting.contains(&projected.event.0))
    {
        match projected.facts {
            Ok(found) => facts.extend(found),
            Err(reason) => {
                let sql = "INSERT INTO projection_set_aside VALUES ($1, $2) ON CONFLICT DO NOTHING";
                transaction.execute(sql, &[&projected.event.0, &reason]).await?;
            }
        }
    }

    let (mut commits, mut merges, mut seen) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut gathered = Gathered::default();

    for fact in facts {
        match fact {
            Fact::Commit(commit) => commits.push(*commit),
            Fact::MergeCommit { project, sha } => drop(merges.insert((project, sha))),
            Fact::Project { id, seen_at, path } => gathered.project(id, seen_at, path),
            Fact::Item(item) => gathered.item(*item),
            Fact::User(user) => gathered.user(user),
            Fact::Seen(one) => seen.push(one),
        }
    }

    join_commits(transaction, commits, merges).await?;
    join_projects(transaction, &gathered).await?;
    join_pushes(transaction, &gathered).await?;
    join_seen(transaction, &seen).await?;
    join_items(transaction, &gathered).await?;

    join_users(transaction, &gathered).await
}

async fn join_items(transaction: &Transaction<'_>, gathered: &Gathered) -> Result<()> {
    if gathered.items.is_empty() {
        return Ok(());
    }

    let columns = |keys: Vec<(i16, i64, i64)>| -> (Vec<i16>, Vec<i64>, Vec<i64>) {
        (
            keys.iter().map(|key| key.0).collect(),
            keys.iter().map(|key| key.1).collect(),
            keys.iter().map(|key| key.2).collect(),
        )
    };
    let (families, projects, numbers) = columns(gathered.items.keys().copied().collect());
    let sql = "SELECT i.family, i.project, i.number, i.state FROM insights_items i
        JOIN UNNEST($1::smallint[], $2::bigint[], $3::bigint[]) AS t(family, project, number)
            ON t.family = i.family AND t.project = i.project AND t.number = i.number";
    let statement = transaction.prepare_cached(sql).await?;
    let rows = transaction.query(&statement, &[&families, &projects, &numbers]).await?;

    let stored: HashMap<(i16, i64, i64), Vec<u8>> = rows
        .iter()
        .map(|row| {
            (
                (row.get("family"), row.get("project"), row.get("number")),
                row.get("state"),
            )
        })
        .collect();

    let mut changed = Vec::new();
    for (key, item) in &gathered.items {
        changed.extend(insights::join_stored(stored.get(key).map(Vec::as_slice), item)?);
    }

    write_reported_pushes(transaction, &changed).await?;

    let micros = |time: Option<Timestamp>| time.map(Timestamp::as_micros);
    let (families, projects, numbers) = columns(changed.iter().map(insights::key).collect());
    let opened: Vec<Option<i64>> = changed.iter().map(|item| micros(item.opened_at())).collect();
    let settled: Vec<Option<i64>> = changed.iter().map(|item| micros(item.settled_at())).collect();
    let states = changed.iter().map(insights::write_item).collect::<Result<Vec<_>>>()?;

    let sql = "INSERT INTO insights_items SELECT * FROM
        UNNEST($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[])
        ON CONFLICT (family, project, number) DO UPDATE
        SET opened_at = excluded.opened_at, settled_at = excluded.settled_at, state = excluded.state";
    let statement = transaction.prepare_cached(sql).await?;

    transaction
        .execute(
            &statement,
            &[&families, &projects, &numbers, &opened, &settled, &states],
        )
        .await?;

    Ok(())
}

/// Writes pushes that nobody received at that time, and takes away those that somebody did.
async fn write_reported_pushes(transaction: &Transaction<'_>, changed: &[Item]) -> Result<()> {
    let pushes: Vec<&Push> = changed
        .iter()
        .filter_map(|item| if let Item::Push(push) = item { Some(push) } else { None })
        .collect();

    if pushes.is_empty() {
        return Ok(());
    }

    let projects: Vec<i64> = pushes.iter().map(|push| push.project).collect();
    let refs: Vec<&str> = pushes.iter().map(|push| push.git_ref.as_str()).collect();
    let ends: Vec<&str> = pushes.iter().map(|push| push.after.as_str()).collect();
    let begins: Vec<&str> = pushes.iter().map(|push| push.before.as_str()).collect();

    let times: Vec<Option<i64>> = pushes
        .iter()
        .map(|push| push.reported_at().map(Timestamp::as_micros))
        .collect();

    let sql = "DELETE FROM insights_reported_pushes p
        USING UNNEST($1::bigint[], $2::text[], $3::text[], $4::text[]) AS t(project, git_ref, after_sha, before_sha)
        WHERE p.project = t.project AND p.git_ref = t.git_ref AND p.after_sha = t.after_sha AND p.before_sha = t.before_sha";
    let statement = transaction.prepare_cached(sql).await?;
    transaction
        .execute(&statement, &[&projects, &refs, &ends, &begins])
        .await?;

    if times.iter().all(Option::is_none) {
        return Ok(());
    }

    let sql = "INSERT INTO insights_reported_pushes (project, git_ref, after_sha, before_sha, at)
        SELECT * FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[])
            AS t(project, git_ref, after_sha, before_sha, at)
        WHERE t.at IS NOT NULL";
    let statement = transaction.prepare_cached(sql).await?;
    transaction
        .execute(&statement, &[&projects, &refs, &ends, &begins, &times])
        .await?;

    Ok(())
}

async fn join_users(transaction: &Transaction<'_>, gathered: &Gathered) -> Result<()> {
    let users: Vec<&User> = gathered.users.values().collect();
    if users.is_empty() {
        return Ok(());
    }

    let ids: Vec<i64> = users.iter().map(|user| user.id).collect();
    let times: Vec<i64> = users.iter().map(|user| user.seen_at.as_micros()).collect();
    let usernames: Vec<&str> = users.iter().map(|user| user.username.as_str()).collect();
    let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();

    // Compared by bytes, as in memory and on the other engine, whatever the database's language.
    let sql = r#"INSERT INTO insights_users AS u
        SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::text[], $4::text[]) ON CONFLICT (id) DO UPDATE
        SET seen_at = excluded.seen_at, username = excluded.username, name = excluded.name
        WHERE (excluded.seen_at, excluded.username COLLATE "C", excluded.name COLLATE "C")
            > (u.seen_at, u.username COLLATE "C", u.name COLLATE "C")"#;
    let statement = transaction.prepare_cached(sql).await?;
    transaction
        .execute(&statement, &[&ids, &times, &usernames, &names])
        .await?;

    Ok(())
}

async fn join_projects(transaction: &Transaction<'_>, gathered: &Gathered) -> Result<()> {
    if gathered.projects.is_empty() {
        return Ok(());
    }

    let projects: Vec<i64> = gathered.projects.keys().copied().collect();
    let times: Vec<i64> = gathered.projects.values().map(|seen| seen.0).collect();
    let paths: Vec<&str> = gathered.projects.values().map(|seen| seen.1.as_str()).collect();

    let sql = r#"INSERT INTO insights_projects AS p (id, seen_at, path)
        SELECT * FROM UNNEST($1::bigint[], $2::bigint[], $3::text[]) ON CONFLICT (id) DO UPDATE
        SET seen_at = excluded.seen_at, path = excluded.path
        WHERE (excluded.seen_at, excluded.path COLLATE "C") > (p.seen_at, p.path COLLATE "C")"#;
    let statement = transaction.prepare_cached(sql).await?;
    transaction.execute(&statement, &[&projects, &times, &paths]).await?;

    Ok(())
}

async fn join_seen(transaction: &Transaction<'_>, seen: &[Seen]) -> Result<()> {
    // One statement changes a row only once.
    let mut first: BTreeMap<(i64, i16, i64), Timestamp> = BTreeMap::new();
    for one in seen {
        let known = first
            .entry((one.project, one.kind.code(), one.iid))
            .or_insert(one.received_at);
        *known = one.received_at.min(*known);
    }

    if first.is_empty() {
        return Ok(());
    }

    let projects: Vec<i64> = first.keys().map(|key| key.0).collect();
    let kinds: Vec<i16> = first.keys().map(|key| key.1).collect();
    let iids: Vec<i64> = first.keys().map(|key| key.2).collect();
    let times: Vec<i64> = first.values().map(|time| time.as_micros()).collect();

    let statement = transaction
        .prepare_cached(
            "INSERT INTO insights_received_iids AS s
             SELECT * FROM UNNEST($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[])
             ON CONFLICT (project, kind, iid) DO UPDATE SET received_at = excluded.received_at
                WHERE s.received_at > excluded.received_at",
        )
        .await?;
    transaction
        .execute(&statement, &[&projects, &kinds, &iids, &times])
        .await?;
    Ok(())
}

async fn join_commits(transaction: &Transaction<'_>, commits: Vec<Commit>, merges: BTreeSet<Key>) -> Result<()> {
    let touched: BTreeSet<Key> = commits
        .iter()
        .map(|commit| (commit.project, commit.sha.clone()))
        .chain(merges.iter().cloned())
        .collect();

    if touched.is_empty() {
        return Ok(());
    }

    let (projects, shas): (Vec<i64>, Vec<&str>) = touched.iter().map(|(project, sha)| (*project, sha.as_str())).unzip();
    let (merged_in, merged): (Vec<i64>, Vec<&str>) =
        merges.iter().map(|(project, sha)| (*project, sha.as_str())).unzip();

    if !merged.is_empty() {
        let sql =
            "INSERT INTO insights_merge_commits SELECT * FROM UNNEST($1::bigint[], $2::text[]) ON CONFLICT DO NOTHING";
        transaction
            .execute(&transaction.prepare_cached(sql).await?, &[&merged_in, &merged])
            .await?;
    }

    let sql = "SELECT m.project, m.sha FROM insights_merge_commits m
        JOIN UNNEST($1::bigint[], $2::text[]) AS t(project, sha) ON t.project = m.project AND t.sha = m.sha";
    let rows = transaction
        .query(&transaction.prepare_cached(sql).await?, &[&projects, &shas])
        .await?;
    let known_merges: HashSet<Key> = rows.iter().map(|row| (row.get("project"), row.get("sha"))).collect();

    let sql = format!(
        "{} JOIN UNNEST($1::bigint[], $2::text[]) AS t(project, sha) ON t.project = c.project AND t.sha = c.sha",
        insights::select_commits()
    );
    let rows = transaction
        .query(&transaction.prepare_cached(&sql).await?, &[&projects, &shas])
        .await?;

    let old: HashMap<Key, (Commit, i64)> = rows
        .iter()
        .map(read_commit)
        .map(|(commit, identity)| ((commit.project, commit.sha.clone()), (commit, identity)))
        .collect();

    let mut new: BTreeMap<Key, Commit> = old
        .iter()
        .map(|(key, (commit, _))| (key.clone(), commit.clone()))
        .collect();

    for commit in commits {
        let key = (commit.project, commit.sha.clone());
        let joined = match new.remove(&key) {
            Some(known) => known.join(commit),
            None => commit,
        };
        new.insert(key, joined);
    }

    for (key, commit) in &mut new {
        commit.is_merge_commit |= known_merges.contains(key);
    }

    new.retain(|key, commit| old.get(key).is_none_or(|(known, _)| known != commit));

    let identities = identities(transaction, new.values().map(|commit| &commit.details.author)).await?;
    write_commits(transaction, &new, &identities).await?;
    write_rollups(transaction, &old, &new, &identities).await
}

/// Numbers of raw identities, made where they are new.
async fn identities(
    transaction: &Transaction<'_>,
    authors: impl Iterator<Item = &Author>,
) -> Result<HashMap<Author, i64>> {
    let authors: BTreeSet<&Author> = authors.collect();
    let (emails, names): (Vec<&str>, Vec<&str>) = authors
        .iter()
        .map(|author| (author.email.as_str(), author.name.as_str()))
        .unzip();

    let sql = "INSERT INTO insights_identities (email, name) SELECT * FROM UNNEST($1::text[], $2::text[])
        ON CONFLICT DO NOTHING";
    transaction
        .execute(&transaction.prepare_cached(sql).await?, &[&emails, &names])
        .await?;

    let sql = "SELECT i.id, i.email, i.name FROM insights_identities i
        JOIN UNNEST($1::text[], $2::text[]) AS t(email, name) ON t.email = i.email AND t.name = i.name";
    let rows = transaction
        .query(&transaction.prepare_cached(sql).await?, &[&emails, &names])
        .await?;

    Ok(rows
        .iter()
        .map(|row| {
            (
                Author {
                    email: row.get("email"),
                    name: row.get("name"),
                },
                row.get("id"),
            )
        })
        .collect())
}

async fn write_commits(
    transaction: &Transaction<'_>,
    new: &BTreeMap<Key, Commit>,
    identities: &HashMap<Author, i64>,
) -> Result<()> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO insights_commits (project, sha, at, identity, undated, committed_at, offset_minutes,
                merge_message, change, paths, first_received_at, landed, is_merge_commit)
             SELECT * FROM UNNEST($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::boolean[], $6::bigint[],
                $7::smallint[], $8::boolean[], $9::bytea[], $10::bytea[], $11::bigint[], $12::boolean[], $13::boolean[])
             ON CONFLICT (project, sha) DO UPDATE SET at = excluded.at, identity = excluded.identity,
                undated = excluded.undated, committed_at = excluded.committed_at,
                offset_minutes = excluded.offset_minutes, merge_message = excluded.merge_message,
                change = excluded.change, paths = excluded.paths, first_received_at = excluded.first_received_at,
                landed = excluded.landed, is_merge_commit = excluded.is_merge_commit",
        )
        .await?;

    let all: Vec<&Commit> = new.values().collect();
    let column = |of: &dyn Fn(&Commit) -> i64| -> Vec<i64> { all.iter().map(|commit| of(commit)).collect() };
    let flag = |of: &dyn Fn(&Commit) -> bool| -> Vec<bool> { all.iter().map(|commit| of(commit)).collect() };
    let shas: Vec<&str> = all.iter().map(|commit| commit.sha.as_str()).collect();
    let offsets: Vec<i16> = all.iter().map(|commit| commit.details.offset_minutes).collect();
    let changes: Vec<&[u8]> = all.iter().map(|commit| commit.details.change.as_slice()).collect();
    let paths: Vec<Vec<u8>> = all.iter().map(|commit| commit.details.paths.to_bytes()).collect();

    transaction
        .execute(
            &statement,
            &[
                &column(&|commit| commit.project),
                &shas,
                &column(&|commit| commit.at().as_micros()),
                &column(&|commit| identities.get(&commit.details.author).copied().unwrap_or_default()),
                &flag(&|commit| commit.details.undated),
                &column(&|commit| commit.details.committed_at.as_micros()),
                &offsets,
                &flag(&|commit| commit.details.merge_message),
                &changes,
                &paths,
                &column(&|commit| commit.first_received_at.as_micros()),
                &flag(&|commit| commit.landed),
                &flag(&|commit| commit.is_merge_commit),
            ],
        )
        .await?;

    Ok(())
}

/// Takes the old contributions away and adds the new ones, summed over the batch.
async fn write_rollups(
    transaction: &Transaction<'_>,
    old: &HashMap<Key, (Commit, i64)>,
    new: &BTreeMap<Key, Commit>,
    identities: &HashMap<Author, i64>,
) -> Result<()> {
    let mut sums: BTreeMap<(i64, i16, i64, i64), i64> = BTreeMap::new();
    let mut add = |commit: &Commit, identity: i64, sign: i64| {
        let hour = commit.at().as_micros().div_euclid(HOUR) * HOUR;
        for (metric, value) in commit.contribution() {
            *sums.entry((hour, metric.code(), commit.project, identity)).or_default() += sign * value;
        }
    };

    for (key, commit) in new {
        if let Some((known, identity)) = old.get(key) {
            add(known, *identity, -1);
        }

        add(
            commit,
            identities.get(&commit.details.author).copied().unwrap_or_default(),
            1,
        );
    }

    let hours: Vec<i64> = sums.keys().map(|key| key.0).collect();
    let metrics: Vec<i16> = sums.keys().map(|key| key.1).collect();
    let projects: Vec<i64> = sums.keys().map(|key| key.2).collect();
    let whose: Vec<i64> = sums.keys().map(|key| key.3).collect();
    let values: Vec<i64> = sums.values().copied().collect();

    let statement = transaction
        .prepare_cached(
            "INSERT INTO insights_rollups AS r
             SELECT * FROM UNNEST($1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[], $5::bigint[])
             ON CONFLICT (hour, metric, project, identity) DO UPDATE SET value = r.value + excluded.value",
        )
        .await?;
    transaction
        .execute(&statement, &[&hours, &metrics, &projects, &whose, &values])
        .await?;
    Ok(())
}

async fn join_pushes(transaction: &Transaction<'_>, gathered: &Gathered) -> Result<()> {
    let items = gathered.items.values();

    // Gaps lie between what was received.
    let pushes: Vec<(&Push, Received)> = items
        .filter_map(|item| {
            if let Item::Push(push) = item {
                Some((push, push.received?))
            } else {
                None
            }
        })
        .collect();

    if pushes.is_empty() {
        return Ok(());
    }

    let column = |of: fn(Received) -> i64| -> Vec<i64> { pushes.iter().map(|(_, received)| of(*received)).collect() };
    let text = |of: fn(&Push) -> &String| -> Vec<&str> { pushes.iter().map(|(push, _)| of(push).as_str()).collect() };
    let projects: Vec<i64> = pushes.iter().map(|(push, _)| push.project).collect();

    let statement = transaction
        .prepare_cached(
            "INSERT INTO insights_pushes AS p (project, before_sha, after_sha, git_ref, received_at, total, listed)
             SELECT * FROM UNNEST($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],
                $7::bigint[])
             ON CONFLICT (project, before_sha, after_sha, git_ref) DO UPDATE SET
                received_at = least(p.received_at, excluded.received_at), total = greatest(p.total, excluded.total),
                listed = greatest(p.listed, excluded.listed)",
        )
        .await?;

    transaction
        .execute(
            &statement,
            &[
                &projects,
                &text(|push| &push.before),
                &text(|push| &push.after),
                &text(|push| &push.git_ref),
                &column(|received| received.at.as_micros()),
                &column(|received| received.total),
                &column(|received| received.listed),
            ],
        )
        .await?;

    Ok(())
}

pub(super) fn read_commit(row: &Row) -> (Commit, i64) {
    let commit = Commit {
        project: row.get(COMMIT.project),
        sha: row.get(COMMIT.sha),
        details: CommitDetails {
            undated: row.get(COMMIT.undated),
            committed_at: Timestamp::from_micros(row.get(COMMIT.committed_at)),
            offset_minutes: row.get(COMMIT.offset_minutes),
            author: Author {
                email: row.get(AUTHOR.email),
                name: row.get(AUTHOR.name),
            },
            merge_message: row.get(COMMIT.merge_message),
            change: row.get::<_, Vec<u8>>(COMMIT.change).try_into().unwrap_or_default(),
            paths: Paths::from_bytes(&row.get::<_, Vec<u8>>(COMMIT.paths)),
        },
        first_received_at: Timestamp::from_micros(row.get(COMMIT.first_received_at)),
        landed: row.get(COMMIT.landed),
        is_merge_commit: row.get(COMMIT.is_merge_commit),
    };
    (commit, row.get(COMMIT.identity))
}
