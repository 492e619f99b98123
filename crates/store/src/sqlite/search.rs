//! Texts that are looked for in names and paths.

use crate::lists::is_part;

/// Rows `l` of a table in which a text is found.
pub(super) struct Found {
    /// A `FROM` with the condition in its `WHERE`.
    pub(super) from: String,

    /// The number of a row, in the order that rows are found in.
    pub(super) id: &'static str,

    /// The parameter of the condition.
    pub(super) text: String,
}

/// Finds users by a text in login or name, or by their whole address. Addresses have no quotes, which the phrase begins
/// and ends with.
pub(super) fn find_users(text: &str, parameter: &str) -> Found {
    let by_email = format!("lower(l.email) = lower(trim({parameter}, '\"'))");
    let within = format!("SELECT rowid FROM users_search WHERE users_search MATCH {parameter}");

    Found {
        from: format!("FROM users l WHERE (l.id IN ({within}) OR {by_email})"),
        id: "l.id",
        text: phrase(text),
    }
}

/// One phrase, which has no operators: <https://sqlite.org/fts5.html#fts5_strings>
fn phrase(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Finds a text. `parameter` is where the statement has [`Found::text`], `whole` the condition that a name or path is
/// it.
pub(super) fn find(table: &str, text: &str, parameter: &str, whole: &str) -> Found {
    if !is_part(text) {
        return Found {
            from: format!("FROM {table} l WHERE ({whole})"),
            id: "l.id",
            text: text.to_owned(),
        };
    }

    Found {
        // A cross join keeps the order: a page begins behind its number and ends when it is full.
        from: format!(
            "FROM {table}_search s CROSS JOIN {table} l ON l.id = s.rowid WHERE s.{table}_search MATCH {parameter}"
        ),
        id: "s.rowid",
        text: phrase(text),
    }
}
