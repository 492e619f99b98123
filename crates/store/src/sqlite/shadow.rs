//! Facts beside the facts, in a file of their own, and the swap.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use quickdraw_domain::EventId;
use quickdraw_domain::event::Event;
use quickdraw_insights::Fact;
use quickdraw_insights::branch_numbers::BranchNumbers;
use quickdraw_insights::branches::Push;
use quickdraw_insights::entity::{Family, Item};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value};
use tokio::sync::mpsc::Sender;

use super::readers::Readers;
use super::rows::{self, scalar};
use super::{INSIGHTS_MIGRATIONS, Sqlite, beside, facts, make_private, migrate};
use crate::columns;
use crate::error::{Error, Result};
use crate::events::{BODY_COLUMN, EVENT_COLUMNS};
use crate::insights;
use crate::payload::Packed;
use crate::rebuild::{Digests, LISTS, Rebuild, Shadow, TABLES, part};

/// Rows of one page, and bytes.
const PAGE_ROWS: usize = 1_000;
const PAGE_BYTES: usize = 1 << 20;

/// The file of a shadow; removed when this goes.
pub(crate) struct ShadowFile {
    connection: Readers,
    path: PathBuf,
}

impl ShadowFile {
    /// Makes an empty shadow in a new file.
    pub(crate) async fn create(path: PathBuf) -> Result<Self> {
        let created = tokio::task::spawn_blocking(move || Self::create_file(path));
        created.await.map_err(Error::task)?
    }

    fn create_file(path: PathBuf) -> Result<Self> {
        let _ = std::fs::remove_file(&path);
        make_private(&path)?;

        let mut connection = Connection::open(&path)?;
        // Nobody misses it after a crash.
        connection.pragma_update(None, "journal_mode", "off")?;
        connection.pragma_update(None, "synchronous", "off")?;
        connection.pragma_update(None, "cache_size", -65_536)?;
        connection.set_prepared_statement_cache_capacity(64);
        migrate(&mut connection, INSIGHTS_MIGRATIONS)?;

        Ok(Self {
            connection: Readers::start(vec![connection])?,
            path,
        })
    }
}

#[async_trait]
impl Shadow for ShadowFile {
    async fn apply(&self, facts: Vec<Fact>) -> Result<()> {
        self.connection
            .run(move |connection| facts::apply(connection, facts))
            .await
    }

    async fn digests(&self) -> Result<Digests> {
        self.connection.run(digests).await
    }

    async fn branch_numbers(&self) -> Result<BTreeMap<i64, BranchNumbers>> {
        self.connection.run(branch_numbers).await
    }

    fn path(&self) -> &Path {
        &self.path
    }

    async fn rows(&self, table: &'static str, pages: Sender<Vec<Value>>) -> Result<()> {
        self.connection
            .run(move |connection| {
                let mut statement = connection.prepare(&format!("SELECT * FROM {table}"))?;
                let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
                let mut found = statement.query([])?;
                let (mut page, mut bytes) = (Vec::new(), 0);

                while let Some(row) = found.next()? {
                    let mut object = Map::new();
                    for (at, name) in names.iter().enumerate() {
                        let value = row.get_ref(at)?;
                        bytes += value.as_bytes().map_or(8, <[u8]>::len);
                        object.insert(name.clone(), json(value));
                    }

                    page.push(Value::Object(object));

                    if bytes > PAGE_BYTES || page.len() >= PAGE_ROWS {
                        bytes = 0;

                        // The receiver of the pages is gone, so nothing more is read.
                        if pages.blocking_send(std::mem::take(&mut page)).is_err() {
                            return Ok(());
                        }
                    }
                }

                drop(pages.blocking_send(page));
                Ok(())
            })
            .await
    }
}

impl Drop for ShadowFile {
    fn drop(&mut self) {
        self.connection.stop();

        let _ = std::fs::remove_file(&self.path);
    }
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
        ValueRef::Blob(bytes) => format!("\\x{}", hex::encode(bytes)).into(),
    }
}

fn digests(connection: &Connection) -> Result<Digests> {
    let mut digests = Digests::default();
    let mut statement = connection.prepare(&insights::select_commits())?;
    for commit in statement.query_map([], facts::read_commit)? {
        let (commit, _) = commit?;
        digests.add("commits", commit.at().as_micros(), &commit)?;
    }

    for (part, list, from, at) in LISTS {
        let mut statement = connection.prepare(&format!("SELECT {list} FROM {from}"))?;
        let width = statement.column_count();
        let mut found = statement.query([])?;

        while let Some(row) = found.next()? {
            let values = (0..width)
                .map(|column| Ok(json(row.get_ref(column)?)))
                .collect::<Result<Vec<_>>>()?;
            digests.add(part, values[at].as_i64().unwrap_or_default(), &values)?;
        }
    }

    let mut statement = connection.prepare("SELECT family, project, number, opened_at, state FROM insights_items")?;
    let mut found = statement.query([])?;

    while let Some(row) = found.next()? {
        let (family, opened_at): (i16, Option<i64>) = (row.get("family")?, row.get("opened_at")?);
        let key: (i64, i64) = (row.get("project")?, row.get("number")?);

        let state = String::from_utf8_lossy(
            row.get_ref("state")?
                .as_blob()
                .map_err(|_| Error::Damaged("insights"))?,
        );
        digests.add(part(family), opened_at.unwrap_or_default(), &(key, &state))?;
    }

    Ok(digests)
}

/// Reads the pushes of one project after the other.
fn branch_numbers(connection: &Connection) -> Result<BTreeMap<i64, BranchNumbers>> {
    let mut numbers = BTreeMap::new();
    let mut of_one: (i64, Vec<Push>) = (i64::MIN, Vec::new());
    let sql = "SELECT project, state FROM insights_items WHERE family = ?1 ORDER BY project";
    let mut statement = connection.prepare(sql)?;
    let mut found = statement.query([Family::Pushes.code()])?;

    while let Some(row) = found.next()? {
        let project: i64 = row.get("project")?;
        if project != of_one.0 {
            let (known, pushes) = std::mem::replace(&mut of_one, (project, Vec::new()));
            if !pushes.is_empty() {
                numbers.insert(known, BranchNumbers::of(&pushes));
            }
        }

        let state = row
            .get_ref("state")?
            .as_blob()
            .map_err(|_| Error::Damaged("insights"))?;
        if let Item::Push(push) = insights::read_item(Family::Pushes, state)? {
            of_one.1.push(push);
        }
    }

    let (known, pushes) = of_one;
    if !pushes.is_empty() {
        numbers.insert(known, BranchNumbers::of(&pushes));
    }

    Ok(numbers)
}

#[async_trait]
impl Rebuild for Sqlite {
    async fn shadow(&self) -> Result<Box<dyn Shadow>> {
        Ok(Box::new(ShadowFile::create(beside(&self.path, "-shadow")).await?))
    }

    async fn digests(&self) -> Result<Digests> {
        self.insights.run(digests).await
    }

    async fn event_ids(&self, after: EventId, limit: usize) -> Result<Vec<EventId>> {
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT id FROM events WHERE id > ?1 ORDER BY id LIMIT ?2")?;
            let found = statement.query_map((after.0, columns::limit(limit)), |row| scalar(row).map(EventId))?;
            Ok(found.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    async fn bodies(&self, ids: Vec<EventId>) -> Result<Vec<(Event, Packed)>> {
        self.read(move |connection| {
            let sql = format!("SELECT {EVENT_COLUMNS}, {BODY_COLUMN} FROM events e WHERE e.id = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut all = Vec::with_capacity(ids.len());
            for id in ids {
                all.extend(statement.query_row([id.0], rows::event_with_body).optional()?);
            }

            Ok(all)
        })
        .await
    }

    async fn project_again(&self, ids: Vec<EventId>) -> Result<()> {
        self.write(move |tx| {
            let mut mark = tx
                .connection
                .prepare_cached("INSERT OR IGNORE INTO projection_pending SELECT id FROM events WHERE id = ?1")?;
            for id in &ids {
                mark.execute([id.0])?;
            }

            Ok(())
        })
        .await
    }

    async fn swap_insights(&self, shadow: &dyn Shadow) -> Result<()> {
        let path = shadow.path().to_string_lossy().into_owned();
        self.insights
            .run(move |connection| {
                connection.execute("ATTACH ?1 AS shadow", [&path])?;

                let swapped = swap(connection);
                connection.execute("DETACH shadow", [])?;
                swapped
            })
            .await
    }
}

fn swap(connection: &Connection) -> Result<()> {
    let transaction = connection.unchecked_transaction()?;
    for table in TABLES {
        transaction.execute(&format!("DELETE FROM main.{table}"), [])?;
        transaction.execute(&format!("INSERT INTO main.{table} SELECT * FROM shadow.{table}"), [])?;
    }

    Ok(transaction.commit()?)
}
