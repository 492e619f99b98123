//! Facts and rollups: written by projection, read by insights.

use async_trait::async_trait;
use quickdraw_domain::event::Event;
use quickdraw_domain::insights::Fact;
use quickdraw_domain::insights::commits::Author;
use quickdraw_domain::insights::report::{Cell, Row};
use quickdraw_domain::{EventId, Timestamp};

use crate::error::Result;
use crate::payload::Packed;

/// What projection found in an event.
#[derive(Clone, Debug)]
pub struct Projected {
    /// Which event.
    pub event: EventId,
    /// Its facts; an error sets the event aside with its text.
    pub facts: std::result::Result<Vec<Fact>, String>,
}

/// Which commits an answer covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitFilter {
    /// From this point …
    pub from: Timestamp,
    /// … to before this one.
    pub to: Timestamp,
    /// Only of this project.
    pub project: Option<i64>,
    /// Only of these raw identities.
    pub identities: Option<Vec<i64>>,
}

/// A raw identity: a name and address as commits spell them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The store's number.
    pub id: i64,
    /// The spelling.
    pub author: Author,
}

/// Facts and rollups: what can be done with them.
#[async_trait]
pub trait Insights {
    /// Events that wait for their projection, oldest first, with their bodies.
    async fn pending_projection(&self, limit: usize) -> Result<Vec<(Event, Packed)>>;
    /// Joins facts, corrects rollups and sets marks in one transaction. An event that is no longer waiting is left out,
    /// so that a second node does no harm.
    async fn apply_facts(&self, batch: Vec<Projected>) -> Result<()>;
    /// Hourly sums from the rollups.
    async fn commit_cells(&self, filter: CommitFilter) -> Result<Vec<Cell>>;
    /// The commits that count, from the facts.
    async fn commit_rows(&self, filter: CommitFilter) -> Result<Vec<Row>>;
    /// The same cells as [`Insights::commit_cells`], one per commit and metric, from the facts.
    async fn commit_cells_from_facts(&self, filter: CommitFilter) -> Result<Vec<Cell>>;
    /// Commits that pushes received in the window counted and did not list.
    async fn commits_unlisted(&self, filter: CommitFilter) -> Result<i64>;
    /// Raw identities whose address or name is this text, without case; all of them without a text.
    async fn find_identities(&self, text: Option<String>) -> Result<Vec<Identity>>;
    /// Number of a project by the path seen in events.
    async fn find_insights_project(&self, path: String) -> Result<Option<i64>>;
    /// Events that projection set aside, newest first, with the reason.
    async fn list_poison(&self, limit: usize) -> Result<Vec<(EventId, String)>>;
}
