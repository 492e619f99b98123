//! The audit log: changes, refusals, and bodies that administrators read. Entries are written once, never changed, and
//! deleted after a year.

use async_trait::async_trait;
use quickdraw_domain::Timestamp;
use quickdraw_domain::outcome::Answers;

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

    /// Only by the user with this login at that time, and by administrators who acted as that user.
    pub username: Option<String>,

    /// Only with this method.
    pub method: Option<String>,

    /// Only with a path that begins with this text.
    pub path: Option<String>,

    /// Only with one of these answers.
    pub answers: Answers,

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
    /// The search in the audit log. Entries have no index but that of their users, so everything else is a condition on
    /// a window of them.
    pub(crate) fn list(&self) -> List {
        let mut window = Vec::new();
        window.extend(self.before.map(|id| format!("a.id < {id}")));
        window.extend(
            self.user
                .map(|user| format!("(a.user_id = {user} OR a.behalf_user_id = {user})")),
        );

        let mut matches = Vec::new();
        if let Some(username) = self.username.as_deref().map(quoted) {
            matches.push(format!("(a.username = {username} OR a.behalf_username = {username})"));
        }

        matches.extend(
            self.method
                .as_deref()
                .map(|method| format!("a.method = {}", quoted(method))),
        );
        if let Some(path) = &self.path {
            let len = path.chars().count();
            matches.push(format!("substr(a.path, 1, {len}) = {}", quoted(path)));
        }

        let ranges = self.answers.ranges.iter();
        let ranges: Vec<String> = ranges
            .map(|(low, high)| format!("a.status BETWEEN {low} AND {high}"))
            .collect();
        if !self.answers.is_any() {
            matches.push(format!("(1 = 0 OR {})", ranges.join(" OR ")));
        }

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

/// A text as a literal of SQL. PostgreSQL knows no NUL in a text, so no entry contains one.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('\0', "\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_literal() {
        assert_eq!(quoted("/api/v4/hooks"), "'/api/v4/hooks'");
        assert_eq!(quoted("x' OR '1' = '1"), "'x'' OR ''1'' = ''1'");
        assert_eq!(quoted("a\0b"), "'a\u{fffd}b'");
    }
}
