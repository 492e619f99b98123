//! Pages of lists.

/// A page of a list ordered by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// Where it begins.
    pub start: Start,

    /// Maximum number of rows to return.
    pub limit: i64,
}

/// Where a page begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// After so many rows: what costs more the further it goes.
    Offset(i64),

    /// Behind the row of this number: what costs the same everywhere. Nothing is counted.
    After(i64),

    /// As [`Start::Offset`], with the greatest number first.
    OffsetDown(i64),

    /// As [`Start::After`], going down: rows have lower numbers than this.
    Before(i64),
}

/// A range of numbers that rows have, both ends excluded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    /// Greater than this.
    pub after: Option<i64>,

    /// Lower than this.
    pub before: Option<i64>,
}

impl Numbers {
    /// The conditions on a column, for both engines.
    pub(crate) fn conditions(self, column: &str) -> String {
        let after = self
            .after
            .map(|number| format!(" AND {column} > {number}"))
            .unwrap_or_default();

        let before = self
            .before
            .map(|number| format!(" AND {column} < {number}"))
            .unwrap_or_default();
        after + &before
    }
}

impl Page {
    /// Rows to pass over.
    #[must_use]
    pub const fn offset(self) -> i64 {
        match self.start {
            Start::Offset(rows) | Start::OffsetDown(rows) => rows,
            Start::After(_) | Start::Before(_) => 0,
        }
    }

    /// Rows have greater numbers than this.
    #[must_use]
    pub const fn after(self) -> i64 {
        match self.start {
            Start::After(number) => number,
            Start::Offset(_) | Start::OffsetDown(_) | Start::Before(_) => i64::MIN,
        }
    }

    /// How many rows are counted at most for the total.
    pub(crate) const fn counted(self) -> i64 {
        match self.start {
            Start::Offset(_) | Start::OffsetDown(_) => MAX_COUNTED,
            Start::After(_) | Start::Before(_) => 0,
        }
    }

    /// The condition that a page which goes down begins behind a row.
    pub(crate) fn before(self, column: &str) -> String {
        match self.start {
            Start::Before(number) => Numbers {
                after: None,
                before: Some(number),
            }
            .conditions(column),
            _ => String::new(),
        }
    }

    /// The direction, as SQL has it.
    pub(crate) const fn order(self) -> &'static str {
        match self.start {
            Start::Offset(_) | Start::After(_) => "ASC",
            Start::OffsetDown(_) | Start::Before(_) => "DESC",
        }
    }
}

/// Counting a list stops here: like GitLab, answers have no total beyond 10,000.
pub const MAX_COUNTED: i64 = 10_001;

/// Rows of one page, and how many there are in all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paged<T> {
    /// This page.
    pub rows: Vec<T>,

    /// All pages, up to [`MAX_COUNTED`].
    pub total: i64,
}

/// Whether a text is searched for inside of names and paths. One of fewer than three characters has no run of three
/// that an index could know: it must be a name or a path as a whole, as in GitLab.
pub(crate) fn is_part(text: &str) -> bool {
    text.chars().nth(2).is_some()
}

/// Rows that are looked at for one page where a filter has no index: what a page costs at most.
pub const MAX_SCANNED: usize = 20_000;

/// A page of a list that goes back in time, and where the next one begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scanned<T, Id> {
    /// Newest first.
    pub rows: Vec<T>,

    /// Older rows come before this one; `None` on the last page. A page can be short, even empty, and not be the last.
    pub next: Option<Id>,
}

impl<T, Id> Scanned<T, Id> {
    /// A page of at most `limit` rows; `last` reads the id of a row. `looked_at` is where looking ended, if it ended
    /// early.
    pub(crate) fn new(rows: Vec<T>, limit: usize, last: impl Fn(&T) -> Id, looked_at: Option<Id>) -> Self {
        let next = if rows.len() >= limit {
            rows.last().map(last)
        } else {
            looked_at
        };
        Self { rows, next }
    }
}
