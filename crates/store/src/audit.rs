//! The audit log: changes, refusals, and bodies that administrators read. Entries are written once, never changed, and
//! deleted after a year.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;

use crate::error::Result;
use crate::history::{List, Search};
use crate::lists::Scanned;

/// How long entries are kept.
pub const KEPT_DAYS: u64 = 365;

/// An entry. It names attributes and never their values, which may be secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// Its number; 0 before it is written.
    pub id: i64,

    /// When.
    pub at: Timestamp,

    /// GitLab's number of the user.
    pub user_id: i64,

    /// Their login at that time.
    pub username: String,

    /// The user as whom they acted, if they are an administrator who did so.
    pub behalf: Option<Behalf>,

    /// Where they called from, past the proxies that are trusted.
    pub address: Option<String>,

    /// HTTP method; `MOVE` for a project or group that moved because a received event has another path of it.
    pub method: String,

    /// Path that was asked for, without its query; of a move, what moved from where to where.
    pub path: String,

    /// HTTP status of the answer: 2xx is a change (with GET, a reading), 4xx a refusal.
    pub status: i64,

    /// Names of the attributes that were sent, in their order, with blanks between.
    pub attributes: String,
}

/// The user as whom an administrator acted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behalf {
    /// GitLab's number of the user.
    pub user_id: i64,

    /// Their login at that time.
    pub username: String,
}

/// A filter for entries, which are listed newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditFilter {
    /// Only by this user, and by administrators who acted as this user.
    pub user: Option<i64>,

    /// Only of this time or later.
    pub since: Option<Timestamp>,

    /// Only before this time.
    pub until: Option<Timestamp>,

    /// Only older than this entry: the cursor.
    pub before: Option<i64>,

    /// Maximum number of rows.
    pub limit: usize,
}

/// The audit log: what can be done with it.
#[async_trait]
pub trait Audit {
    /// Writes an entry; returns when it is flushed.
    async fn append_audit(&self, entry: AuditEntry) -> Result<()>;

    /// Entries by filter. With a time, a page can be short although more follow.
    async fn list_audit(&self, filter: AuditFilter) -> Result<Scanned<AuditEntry, i64>>;

    /// Deletes entries older than a point, at most `limit`. Returns how many.
    async fn prune_audit(&self, before: Timestamp, limit: usize) -> Result<usize>;
}

const COLUMNS: &str =
    "id, at, user_id, username, behalf_user_id, behalf_username, address, method, path, status, attributes";

/// The user as whom an administrator acted, as it is stored.
pub(crate) fn behalf_of(user_id: Option<i64>, username: Option<String>) -> Option<Behalf> {
    Some(Behalf {
        user_id: user_id?,
        username: username?,
    })
}

impl AuditFilter {
    /// The search in the audit log. Entries have no index by time, so the times are conditions on a window of them.
    pub(crate) fn list(&self) -> List {
        let mut window = Vec::new();
        window.extend(self.before.map(|id| format!("a.id < {id}")));
        window.extend(
            self.user
                .map(|user| format!("(a.user_id = {user} OR a.behalf_user_id = {user})")),
        );

        let mut matches = Vec::new();
        matches.extend(self.since.map(|since| format!("a.at >= {}", since.as_micros())));
        matches.extend(self.until.map(|until| format!("a.at < {}", until.as_micros())));

        List {
            search: Search::new(window, matches),
            columns: COLUMNS,
            from: "audit a",
            alias: "a",
            order: "a.id DESC",
            key: "a.id AS id",
            limit: self.limit,
        }
    }
}
