//! Rebuilding insights: a shadow that counts all facts again, digests that compare two sets of facts, and the swap.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use quickdraw_domain::EventId;
use quickdraw_domain::event::Event;
use quickdraw_insights::Fact;
use quickdraw_insights::branch_numbers::BranchNumbers;
use quickdraw_insights::entity::Family;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::Sender;

use crate::error::{Error, Result};
use crate::payload::Packed;

const DAY: i64 = 86_400_000_000;

/// The tables that a swap replaces.
pub(crate) const TABLES: [&str; 10] = [
    "insights_identities",
    "insights_projects",
    "insights_commits",
    "insights_merge_commits",
    "insights_pushes",
    "insights_reported_pushes",
    "insights_rollups",
    "insights_received_iids",
    "insights_items",
    "insights_users",
];

/// Rows that are compared as lists of numbers and texts: what they are called, the columns, where from, and which
/// column is the time; where none is, a zero stands in.
pub(crate) const LISTS: [(&str, &str, &str, usize); 7] = [
    ("merge commits", "0, project, sha", "insights_merge_commits", 0),
    (
        "pushes",
        "project, before_sha, after_sha, git_ref, received_at, total, listed",
        "insights_pushes",
        4,
    ),
    (
        "pushes that were not received",
        "project, before_sha, after_sha, git_ref, at",
        "insights_reported_pushes",
        4,
    ),
    (
        "sums of commits",
        "r.hour, r.metric, r.project, i.email, i.name, r.value",
        "insights_rollups r JOIN insights_identities i ON i.id = r.identity WHERE r.value <> 0",
        0,
    ),
    (
        "received numbers",
        "project, kind, iid, received_at",
        "insights_received_iids",
        3,
    ),
    ("accounts", "0, id, seen_at, username, name", "insights_users", 0),
    ("paths of projects", "0, id, seen_at, path", "insights_projects", 0),
];

/// Digests of facts, as far as they decide over numbers: how many rows there are and a digest of them that does not
/// depend on their order, by part and by day.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Digests(BTreeMap<(&'static str, i64), (u64, [u64; 4])>);

/// A difference between stored and rebuilt rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Kind of the rows.
    pub part: &'static str,

    /// The UTC day, counted from 1970; 0 for rows without a time.
    pub day: i64,

    /// Number of stored rows.
    pub stored: u64,

    /// Number of rows after a rebuild.
    pub rebuilt: u64,
}

impl Digests {
    /// Adds a row of some time, in microseconds.
    pub(crate) fn add(&mut self, part: &'static str, micros: i64, row: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(row).map_err(|_| Error::Damaged("insights"))?;
        let (rows, sum) = self.0.entry((part, micros.div_euclid(DAY))).or_default();
        *rows += 1;

        // Sums do not depend on the order. They detect accidental differences and need not resist an attack.
        for (lane, eight) in sum.iter_mut().zip(Sha256::digest(bytes).chunks_exact(8)) {
            *lane = lane.wrapping_add(u64::from_be_bytes(eight.try_into().unwrap_or_default()));
        }

        Ok(())
    }

    /// The differences between these facts and those of a rebuild.
    #[must_use]
    pub fn differences(&self, rebuilt: &Self) -> Vec<Difference> {
        let keys: std::collections::BTreeSet<_> = self.0.keys().chain(rebuilt.0.keys()).copied().collect();
        let differ = keys.into_iter().filter(|key| self.0.get(key) != rebuilt.0.get(key));
        let rows = |of: &Self, key: &(&'static str, i64)| of.0.get(key).map_or(0, |(rows, _)| *rows);

        differ
            .map(|key| Difference {
                part: key.0,
                day: key.1,
                stored: rows(self, &key),
                rebuilt: rows(rebuilt, &key),
            })
            .collect()
    }

    /// How many rows there are of each part.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<&'static str, u64> {
        let mut parts = BTreeMap::new();
        for ((part, _), (rows, _)) in &self.0 {
            *parts.entry(*part).or_default() += rows;
        }

        parts
    }
}

/// The name of a family's rows in digests.
pub(crate) fn part(family: i16) -> &'static str {
    const NAMES: [(Family, &str); 7] = [
        (Family::MergeRequests, "merge requests"),
        (Family::Issues, "issues"),
        (Family::Pipelines, "pipelines"),
        (Family::Jobs, "jobs"),
        (Family::Deployments, "deployments"),
        (Family::Pushes, "pushes with their commits"),
        (Family::Branches, "branches"),
    ];

    NAMES
        .iter()
        .find(|(known, _)| known.code() == family)
        .map_or("things of no kind", |(_, name)| name)
}

/// A second set of facts that no query reads. Dropping it removes it. The engines make it; the others know only this
/// trait.
#[async_trait]
pub trait Shadow: Send + Sync {
    /// Joins facts.
    ///
    /// # Errors
    /// When the file cannot be written.
    async fn apply(&self, facts: Vec<Fact>) -> Result<()>;

    /// The digests of its facts.
    ///
    /// # Errors
    /// When the file cannot be read.
    async fn digests(&self) -> Result<Digests>;

    /// Numbers about the branches of each project, by its number in events.
    ///
    /// # Errors
    /// When the file cannot be read.
    async fn branch_numbers(&self) -> Result<BTreeMap<i64, BranchNumbers>>;

    /// The path of its file.
    fn path(&self) -> &Path;

    /// Sends all rows of a table, in pages, as JSON objects by column; bytes as PostgreSQL writes them.
    ///
    /// # Errors
    /// When the file cannot be read.
    async fn rows(&self, table: &'static str, pages: Sender<Vec<Value>>) -> Result<()>;
}

/// The methods that a rebuild needs of a store.
#[async_trait]
pub trait Rebuild {
    /// An empty shadow.
    async fn shadow(&self) -> Result<Box<dyn Shadow>>;

    /// The digests of the facts.
    async fn digests(&self) -> Result<Digests>;

    /// Ids of events of the journal after this one, in their order.
    async fn event_ids(&self, after: EventId, limit: usize) -> Result<Vec<EventId>>;

    /// These events with their bodies, in any order; those that are gone are left out.
    async fn bodies(&self, ids: Vec<EventId>) -> Result<Vec<(Event, Packed)>>;

    /// Has events projected once more; joins make that harmless.
    async fn project_again(&self, ids: Vec<EventId>) -> Result<()>;

    /// Puts what a shadow holds in place of what is counted, at once.
    async fn swap_insights(&self, shadow: &dyn Shadow) -> Result<()>;
}
