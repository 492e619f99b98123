//! Facts and rollups: written by projection, read by insights.

use std::collections::BTreeMap;

use async_trait::async_trait;
use quickdraw_domain::event::Event;
use quickdraw_domain::{EventId, Timestamp};
use quickdraw_insights::Fact;
use quickdraw_insights::branches::Push;
use quickdraw_insights::commits::Commit;
pub use quickdraw_insights::commits::Identity;
use quickdraw_insights::entity::{Entity, Family, Item};
use quickdraw_insights::gaps::{After, Completeness, Gap};
use quickdraw_insights::people::User;
use quickdraw_insights::question::{Read, Wanted};
use quickdraw_insights::report::{Cell, Row};

use crate::SharedStore;
use crate::column_list::column_list;
use crate::documents::Document;
use crate::error::{Error, Result};
use crate::overview::Overview;
use crate::payload::Packed;

column_list! {
    /// Columns of `insights_commits`, as `c`.
    COMMIT: CommitColumns, "c.",
    [
        project, sha, undated, committed_at, offset_minutes, merge_message, change, paths, first_received_at, landed,
        is_merge_commit, identity,
    ]
}
column_list! {
    /// Columns of `insights_identities`, as `i`, which follow those of a commit.
    AUTHOR: AuthorColumns after COMMIT.identity, "i.", [email, name]
}
column_list! {
    /// Columns of `insights_rollups`, as `r`.
    CELL: CellColumns, "r.", [hour, metric, identity, value]
}
column_list! {
    /// Columns of `insights_pushes`.
    MOVE: MoveColumns, "", [project, git_ref, before_sha, after_sha, received_at, total, listed]
}

/// Reads commits with their authors: columns and tables, without a condition.
pub(crate) fn select_commits() -> String {
    format!(
        "SELECT {}, {} FROM insights_commits c JOIN insights_identities i ON i.id = c.identity",
        COMMIT.sql, AUTHOR.sql
    )
}

/// Bytes of packed bodies of one batch.
pub(crate) const LARGEST_BATCH: usize = 16 << 20;

/// Tables of what projects did, with the column of when it mattered last.
pub(crate) const FORGOTTEN: [(&str, &str); 4] = [
    ("insights_items", "settled_at"),
    ("insights_pushes", "received_at"),
    ("insights_reported_pushes", "at"),
    ("insights_commits", "at"),
];

/// Makes one identity of two, the second of which goes; each statement takes both.
pub(crate) const MERGE_IDENTITIES: [&str; 4] = [
    "UPDATE insights_commits SET identity = ?1 WHERE identity = ?2",
    "INSERT INTO insights_rollups AS r (hour, metric, project, identity, value)
     SELECT hour, metric, project, CAST(?1 AS BIGINT), value FROM insights_rollups WHERE identity = ?2
     ON CONFLICT (hour, metric, project, identity) DO UPDATE SET value = r.value + excluded.value",
    "DELETE FROM insights_rollups WHERE identity = ?2 AND identity <> ?1",
    "DELETE FROM insights_identities WHERE id = ?2 AND id <> ?1",
];

/// The facts that projection found in an event.
#[derive(Clone, Debug)]
pub struct Projected {
    /// Which event.
    pub event: EventId,

    /// Its facts; an error sets the event aside with its text.
    pub facts: std::result::Result<Vec<Fact>, String>,
}

/// Events that wait for their projection.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pending {
    /// The oldest of them.
    pub oldest: Option<EventId>,

    /// The newest of them.
    pub newest: Option<EventId>,

    /// How many there are, counted up to 100,000.
    pub count: i64,
}

/// The oldest and the newest waiting event, and how many there are, up to a bound that keeps counting cheap.
pub(crate) const PENDING: &str = "SELECT
    (SELECT event_id FROM projection_pending ORDER BY event_id LIMIT 1) AS oldest,
    (SELECT event_id FROM projection_pending ORDER BY event_id DESC LIMIT 1) AS newest,
    (SELECT count(*) FROM (SELECT 1 FROM projection_pending LIMIT 100000) p) AS count";

/// Which commits an answer covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitFilter {
    /// From this point …
    pub from: Timestamp,

    /// … to before this one.
    pub to: Timestamp,

    /// Only of these projects.
    pub projects: Option<Vec<i64>>,

    /// Only of these raw identities.
    pub identities: Option<Vec<i64>>,
}

/// Which projects an answer covers, by their numbers in events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Projects {
    /// This one.
    One(i64),

    /// Those with larger numbers.
    After(i64),
}

impl Projects {
    /// Everyone.
    pub const ALL: Self = Self::After(i64::MIN);

    /// The first and the last number.
    pub(crate) const fn span(self) -> (i64, i64) {
        match self {
            Self::One(project) => (project, project),
            Self::After(project) => (project.saturating_add(1), i64::MAX),
        }
    }
}

/// A filter for items that existed at some time of a window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lives {
    /// From this point …
    pub from: Timestamp,

    /// … to before this one.
    pub to: Timestamp,

    /// Only of these projects.
    pub projects: Option<Vec<i64>>,
}

/// A project that events named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedProject {
    /// Its number in events.
    pub id: i64,

    /// Its full path, as last seen.
    pub path: String,

    /// When the last event that named it was received.
    pub seen_at: Timestamp,
}

/// The commits of a raw identity in a project.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IdentityUse {
    /// Which identity.
    pub identity: Identity,

    /// The project.
    pub project: i64,

    /// How many commits that are no merges.
    pub commits: i64,

    /// How many merges.
    pub merge_commits: i64,

    /// The first of them …
    pub first: Timestamp,

    /// … and the last.
    pub last: Timestamp,
}

/// Facts and rollups: what can be done with them.
#[async_trait]
pub trait Insights: Overview {
    /// Events that wait for their projection, oldest first, with their bodies; fewer where those are large.
    async fn pending_projection(&self, limit: usize) -> Result<Vec<(Event, Packed)>>;

    /// Which events wait for their projection.
    async fn pending(&self) -> Result<Pending>;

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

    /// The commits of a filter, from the facts, by time.
    async fn commits(&self, filter: CommitFilter) -> Result<Vec<Commit>>;

    /// Items of a family that can affect a metric in a window. Commits are not items.
    async fn items(&self, family: Family, window: Lives) -> Result<Vec<Item>>;

    /// All moves of branches in a stretch of time, received then or reported later: pushes without their authors and
    /// commits. A move that a report dates earlier than it was received comes twice.
    async fn moves(&self, projects: Option<Vec<i64>>, from: Timestamp, before: Timestamp) -> Result<Vec<Push>>;

    /// Accounts that events named.
    async fn insights_users(&self) -> Result<Vec<User>>;

    /// Projects that events named, by their numbers.
    async fn insights_projects(&self) -> Result<Vec<NamedProject>>;

    /// Commits of raw identities, by identity and project.
    async fn identity_uses(&self) -> Result<Vec<IdentityUse>>;

    /// A document with its version; nothing when nobody has written any.
    async fn document(&self, name: Document) -> Result<Option<(i64, Vec<u8>)>>;

    /// Replaces the document of a version (0 where it was never written) by the next one. `false` when it has another
    /// version by now.
    async fn put_document(&self, name: Document, version: i64, document: Vec<u8>) -> Result<bool>;

    /// When the first push, merge request, issue or pipeline of these projects was received; nothing where none was.
    async fn first_received(&self, projects: Option<Vec<i64>>) -> Result<Option<Timestamp>>;

    /// Completeness by project and kind: of one project, or of the projects after a number.
    async fn completeness(&self, projects: Projects, limit: usize) -> Result<Vec<Completeness>>;

    /// Gaps of the kind of `after`, in the order of [`Gap::position`].
    async fn gaps(&self, project: i64, after: After, limit: usize) -> Result<Vec<Gap>>;

    /// Gives raw identities another spelling, and accounts other names: what is left of people who were erased.
    async fn rename(&self, identities: Vec<Identity>, users: Vec<User>) -> Result<()>;

    /// Deletes what a project did before a whole hour, about `limit` rows of a kind. What has not ended stays. Returns
    /// how many rows went.
    async fn forget_before(&self, project: i64, before: Timestamp, limit: usize) -> Result<usize>;

    /// Events that projection set aside, newest first, with the reason.
    async fn list_set_aside(&self, limit: usize) -> Result<Vec<(EventId, String)>>;

    /// Lets projection have events once more that it set aside: one, or all. What retention deleted meanwhile is
    /// forgotten. Returns how many there are.
    async fn retry_set_aside(&self, event: Option<EventId>) -> Result<usize>;
}

/// Reads items for a question about a metric, as [`Question::reads`](quickdraw_insights::question::Question::reads)
/// decides.
///
/// # Errors
/// When the store cannot be read.
pub async fn read_items(store: &SharedStore, read: Read, projects: Option<Vec<i64>>) -> Result<Vec<Item>> {
    let Read { wanted, from, to } = read;
    match wanted {
        Wanted::Moves => Ok(store
            .moves(projects, from, to)
            .await?
            .into_iter()
            .map(Item::Push)
            .collect()),
        // Commits have a table of their own.
        Wanted::Items(Family::Commits) => {
            let filter = CommitFilter {
                from,
                to,
                projects,
                identities: None,
            };
            Ok(store.commits(filter).await?.into_iter().map(Item::Commit).collect())
        }
        Wanted::Items(family) => store.items(family, Lives { from, to, projects }).await,
    }
}

/// Common table expressions that end in `gaps`: pushes that begin where no known push of their branch ended, but for
/// the first of a branch, with which coverage starts. `projects` is a condition on `p.project`.
pub(crate) fn gaps_of_pushes(projects: &str) -> String {
    format!(
        "WITH breaks AS (
            SELECT p.project, p.git_ref, p.before_sha, min(p.received_at) AS received_at FROM insights_pushes p
            WHERE {projects} AND ltrim(p.before_sha, '0') <> '' AND NOT EXISTS (
                SELECT 1 FROM insights_pushes q
                WHERE q.project = p.project AND q.git_ref = p.git_ref AND q.after_sha = p.before_sha)
            GROUP BY p.project, p.git_ref, p.before_sha),
         numbered AS (
            SELECT b.*, row_number() OVER (PARTITION BY project, git_ref ORDER BY received_at, before_sha) AS nth
            FROM breaks b),
         gaps AS (
            SELECT n.project, n.git_ref, n.before_sha, n.received_at FROM numbered n WHERE n.nth > 1 OR EXISTS (
                SELECT 1 FROM insights_pushes z WHERE z.project = n.project AND z.git_ref = n.git_ref
                    AND ltrim(z.before_sha, '0') = '' AND z.received_at < n.received_at))"
    )
}

/// Completeness by project and kind; `projects` as above, `of_received` the same on `s.project`.
pub(crate) fn completeness(projects: &str, of_received: &str, limit: &str) -> String {
    format!(
        "{gaps}, counted AS (SELECT project, count(*) AS missing FROM gaps GROUP BY project), completeness AS (
            SELECT p.project, 0 AS kind, NULL AS first, NULL AS last, count(*) AS known,
                (SELECT coalesce(max(c.missing), 0) FROM counted c WHERE c.project = p.project) AS missing,
                min(p.received_at) AS since
            FROM insights_pushes p WHERE {projects} GROUP BY p.project
            UNION ALL
            SELECT s.project, s.kind, min(s.iid), max(s.iid), count(*), max(s.iid) - min(s.iid) + 1 - count(*),
                min(s.received_at)
            FROM insights_received_iids s WHERE {of_received} GROUP BY s.project, s.kind
            UNION ALL
            SELECT m.project, 4, NULL, NULL, {sum_of_listed}, {sum_of_unlisted}, min(m.since) FROM (
                -- One move counts once, whatever branches it was made on.
                SELECT p.project, max(p.total) AS total, max(p.listed) AS listed, min(p.received_at) AS since
                FROM insights_pushes p WHERE {projects} GROUP BY p.project, p.before_sha, p.after_sha) m
            GROUP BY m.project HAVING sum(m.total) > 0)
         SELECT m.project, i.path, m.kind, m.first, m.last, m.known, m.missing, m.since
         FROM completeness m LEFT JOIN insights_projects i ON i.id = m.project
         ORDER BY m.project, m.kind LIMIT {limit}",
        gaps = gaps_of_pushes(projects),
        // PostgreSQL's sums are wider than what they sum.
        sum_of_listed = "CAST(sum(m.listed) AS bigint)",
        sum_of_unlisted = "CAST(sum(m.total - m.listed) AS bigint)",
    )
}

/// A page of [`gaps_of_pushes`], with where the last known push before each ended; `after` is the condition of the
/// page.
pub(crate) fn page_of_pushes(projects: &str, after: &str, limit: &str) -> String {
    format!(
        "{gaps} SELECT g.git_ref, (
                SELECT q.after_sha FROM insights_pushes q
                WHERE q.project = g.project AND q.git_ref = g.git_ref AND q.received_at < g.received_at
                    AND NOT EXISTS (
                        SELECT 1 FROM insights_pushes n
                        WHERE n.project = q.project AND n.before_sha = q.after_sha AND n.git_ref = q.git_ref)
                ORDER BY q.received_at DESC LIMIT 1) AS last_sha,
            g.before_sha, g.received_at
         FROM gaps g WHERE {after} ORDER BY g.received_at, g.before_sha LIMIT {limit}",
        gaps = gaps_of_pushes(projects),
    )
}

/// The contributions of commits, each at its time.
pub(crate) fn cells(commits: &[(Commit, i64)]) -> Vec<Cell> {
    let of_one = |(commit, identity): &(Commit, i64)| {
        let (at, identity) = (commit.at(), *identity);
        commit.contribution().into_iter().map(move |(metric, value)| Cell {
            at,
            metric,
            identity,
            value,
        })
    };
    commits.iter().flat_map(of_one).collect()
}

/// Items and accounts of a batch, joined within the batch, so that each is read and written once.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) items: BTreeMap<(i16, i64, i64), Item>,
    pub(crate) users: BTreeMap<i64, User>,

    /// Paths of projects, by when they were seen.
    pub(crate) projects: BTreeMap<i64, (i64, String)>,
}

impl Gathered {
    pub(crate) fn item(&mut self, one: Item) {
        let key = key(&one);
        let joined = match self.items.remove(&key) {
            Some(known) => known.join(one),
            None => one,
        };
        self.items.insert(key, joined);
    }

    pub(crate) fn project(&mut self, id: i64, seen_at: Timestamp, path: String) {
        let seen = (seen_at.as_micros(), path);
        let known = self.projects.entry(id).or_insert_with(|| seen.clone());
        if seen > *known {
            *known = seen;
        }
    }

    pub(crate) fn user(&mut self, user: User) {
        let known = self.users.entry(user.id).or_insert_with(|| user.clone());
        // The latest wins, and where two are as late, the same one everywhere.
        if user > *known {
            *known = user;
        }
    }
}

/// Family, project and number of an item.
pub(crate) fn key(item: &Item) -> (i16, i64, i64) {
    let (project, number) = item.key();
    (item.family().code(), project, number)
}

/// Joins what is stored of one with what is new; nothing where that changes nothing.
pub(crate) fn join_stored(stored: Option<&[u8]>, new: &Item) -> Result<Option<Item>> {
    let Some(stored) = stored else {
        return Ok(Some(new.clone()));
    };
    let known = read_item(new.family(), stored)?;
    let joined = known.clone().join(new.clone());
    Ok((joined != known).then_some(joined))
}

pub(crate) fn read_item(family: Family, state: &[u8]) -> Result<Item> {
    Item::read(family, state).map_err(|_| Error::Damaged("insights"))
}

pub(crate) fn write_item(item: &Item) -> Result<Vec<u8>> {
    item.write().map_err(|_| Error::Damaged("insights"))
}
