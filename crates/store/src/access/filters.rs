//! Filters for lists of users, members and tokens. The conditions are the same for both engines, because nothing but
//! numbers is put into their text.

use quickdraw_domain::Timestamp;
use quickdraw_domain::scope::Scope;

use super::Tokens;
use crate::details::list;
use crate::lists::Numbers;

/// A stretch of time, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Between {
    /// Not before this.
    pub after: Option<Timestamp>,

    /// Not after this.
    pub before: Option<Timestamp>,
}

impl Between {
    fn conditions(self, column: &str) -> String {
        let mut all = String::new();
        if let Some(after) = self.after {
            all += &format!(" AND {column} >= {}", after.as_micros());
        }

        if let Some(before) = self.before {
            all += &format!(" AND {column} <= {}", before.as_micros());
        }

        all
    }
}

/// Which users to list. All conditions hold together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UserFilter {
    /// Only the one with this login, compared without case.
    pub username: Option<String>,

    /// Only those with this in login or name, compared without case; with less than three characters, those that are
    /// called so.
    pub search: Option<String>,

    /// `search` also finds the one whose address is this text.
    pub by_email: bool,

    /// Only those who are not blocked.
    pub active: bool,

    /// Only those who are blocked.
    pub blocked: bool,

    /// Only administrators.
    pub admins: bool,

    /// Only people: no bots of projects and groups.
    pub humans: bool,

    /// Only bots of projects and groups.
    pub bots: bool,

    /// When they were created.
    pub created: Between,

    /// Only with such numbers.
    pub numbers: Numbers,
}

impl UserFilter {
    /// The conditions without a parameter, on rows of this name.
    pub(crate) fn conditions(&self, rows: &str) -> String {
        let is_bot = format!("({rows}.project_id IS NOT NULL OR {rows}.group_id IS NOT NULL)");
        let flags = [
            (self.active, format!(" AND NOT {rows}.blocked")),
            (self.blocked, format!(" AND {rows}.blocked")),
            (self.admins, format!(" AND {rows}.is_admin")),
            (self.humans, format!(" AND NOT {is_bot}")),
            (self.bots, format!(" AND {is_bot}")),
        ];

        let mut all = self.created.conditions(&format!("{rows}.created_at"));
        all += &self.numbers.conditions(&format!("{rows}.id"));

        for (asked, condition) in flags {
            if asked {
                all += &condition;
            }
        }

        all
    }
}

/// Which members to list. All conditions hold together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemberFilter {
    /// Only those with this in login or name, compared without case.
    pub search: Option<String>,

    /// `search` looks into addresses too.
    pub by_email: bool,

    /// Only these users.
    pub users: Option<Vec<i64>>,

    /// Not these users.
    pub without: Vec<i64>,
}

impl MemberFilter {
    /// The conditions on users `u`. The parameter with this name is [`MemberFilter::pattern`].
    pub(crate) fn conditions(&self, parameter: &str) -> String {
        let pattern = format!("lower(CAST({parameter} AS TEXT)) ESCAPE '\\'");
        let email = if self.by_email {
            format!(" OR lower(u.email) LIKE {pattern}")
        } else {
            String::new()
        };
        let mut all = format!(
            " AND (CAST({parameter} AS TEXT) IS NULL OR lower(u.username) LIKE {pattern} OR lower(u.name) LIKE {pattern}{email})"
        );
        if let Some(users) = &self.users {
            all += &format!(" AND u.id IN ({})", list(users.iter().copied()));
        }

        if !self.without.is_empty() {
            all += &format!(" AND u.id NOT IN ({})", list(self.without.iter().copied()));
        }

        all
    }

    /// The pattern with which `LIKE` finds the text.
    pub(crate) fn pattern(&self) -> Option<String> {
        self.search.as_deref().map(anywhere)
    }
}

/// Which tokens to list. All conditions hold together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenFilter {
    /// Only those that can be used at this time, or only the others.
    pub active: Option<(bool, Timestamp)>,

    /// Only those that were taken back, or only the others.
    pub revoked: Option<bool>,

    /// Only those with this in their name, compared without case.
    pub search: Option<String>,

    /// When they were created.
    pub created: Between,

    /// When they end.
    pub expires: Between,

    /// When they were used last.
    pub last_used: Between,
}

impl TokenFilter {
    /// The pattern with which `LIKE` finds the text.
    pub(crate) fn pattern(&self) -> Option<String> {
        self.search.as_deref().map(anywhere)
    }
}

/// Which tokens a list has: a condition, and the number that is its first parameter; its second is
/// [`TokenFilter::pattern`]. `mark` begins a parameter's name.
pub(crate) fn tokens_of(which: Tokens, filter: &TokenFilter, mark: char) -> (String, i64) {
    let (mut condition, number) = match which {
        Tokens::All => (
            format!("u.id > {mark}1 AND u.project_id IS NULL AND u.group_id IS NULL"),
            0,
        ),
        Tokens::Of(user) => (
            format!("t.user_id = {mark}1 AND u.project_id IS NULL AND u.group_id IS NULL"),
            user,
        ),
        Tokens::In(Scope::Group(group)) => (format!("u.group_id = {mark}1"), group.0),
        Tokens::In(Scope::Project(project)) => (format!("u.project_id = {mark}1"), project.0),
        Tokens::In(Scope::Instance) => (format!("u.id < {mark}1"), 0),
    };

    condition +=
        &format!(" AND (CAST({mark}2 AS TEXT) IS NULL OR lower(t.name) LIKE lower(CAST({mark}2 AS TEXT)) ESCAPE '\\')");

    if let Some((active, now)) = filter.active {
        let good = format!(
            "NOT t.revoked AND (t.expires_at IS NULL OR t.expires_at > {})",
            now.as_micros()
        );

        condition += &if active {
            format!(" AND {good}")
        } else {
            format!(" AND NOT ({good})")
        };
    }

    if let Some(revoked) = filter.revoked {
        condition += if revoked {
            " AND t.revoked"
        } else {
            " AND NOT t.revoked"
        };
    }

    condition += &filter.created.conditions("t.created_at");
    condition += &filter.expires.conditions("t.expires_at");
    condition += &filter.last_used.conditions("t.last_used_at");

    (condition, number)
}

/// The pattern with which `LIKE` finds a text anywhere. `\` stands before characters that have a meaning there.
fn anywhere(text: &str) -> String {
    format!(
        "%{}%",
        text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_narrows_nothing_has_no_condition() {
        assert_eq!(UserFilter::default().conditions("u"), "");

        let filter = UserFilter {
            blocked: true,
            created: Between {
                after: None,
                before: Some(Timestamp::default()),
            },
            ..UserFilter::default()
        };
        assert_eq!(filter.conditions("u"), " AND u.created_at <= 0 AND u.blocked");
        assert_eq!(anywhere(r"50%_\"), r"%50\%\_\\%");
    }
}
