//! Options and functions that the commands on the history share: filters, and following a list.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::moment;
use crate::api::{Api, Query, items, parameters};
use crate::exit::Exit;
use crate::output::{self, Column, Output, Rows, complain};

/// Pause between two looks at a list that is followed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Number of rows that a look usually reads.
const LOOK: usize = 200;
/// Maximum number of rows that a look reads after many new rows.
const CATCH_UP: usize = 10_000;
/// Maximum number of rows that are remembered, so that each is printed once.
const REMEMBERED: usize = 50_000;

/// Filters that every list of the history has.
#[derive(Args)]
pub(super) struct Filters {
    /// Only events of this project (full path or number).
    #[arg(long)]
    project: Option<String>,

    /// Only events of this group and everything below it (full path or number).
    #[arg(long)]
    group: Option<String>,

    /// Only events that arrived through this source (id or name).
    #[arg(long)]
    source: Option<String>,

    /// Only events of this kind, such as push_hooks.
    #[arg(long)]
    trigger: Option<String>,

    /// Only what happened at this time or later: a time, a day, or a duration such as 2h for two hours ago.
    #[arg(long)]
    since: Option<String>,

    /// Only what happened before this time: a time, a day, or a duration such as 2h for two hours ago.
    #[arg(long)]
    until: Option<String>,

    /// Only events of projects whose full path is this, or begins with it.
    #[arg(long)]
    path: Option<String>,

    /// Only events whose body contains exactly this text.
    #[arg(long)]
    text: Option<String>,

    /// Only events about this object, such as !12 for a merge request, #7 for an issue, or a tag.
    #[arg(long)]
    object: Option<String>,
}

impl Filters {
    pub(super) fn query(self) -> anyhow::Result<Query> {
        let since = self.since.as_deref().map(moment).transpose()?;
        let until = self.until.as_deref().map(moment).transpose()?;

        Ok(parameters([
            ("project", self.project),
            ("group", self.group),
            ("source", self.source),
            ("trigger", self.trigger),
            ("since", since),
            ("until", until),
            ("path", self.path),
            ("text", self.text),
            ("object", self.object),
        ]))
    }
}

/// The options for the rows of a list.
#[derive(Args)]
pub(super) struct Shown {
    #[command(flatten)]
    pub(super) rows: Rows,

    /// Keep running, and print new and changed rows. With --json, each row is one line.
    #[arg(long, short)]
    pub(super) follow: bool,
    #[command(flatten)]
    pub(super) output: Output,
}

/// A list of the history.
pub(super) struct History<'a> {
    pub(super) api: &'a Api,
    pub(super) path: &'a str,
    pub(super) query: Query,
    pub(super) columns: &'a [Column],
    pub(super) nothing: &'a str,
}

impl History<'_> {
    /// Prints the list, newest row first; or, if it is followed, oldest row first and without an end.
    pub(super) async fn show(&self, shown: &Shown) -> anyhow::Result<()> {
        if shown.follow {
            return self.follow(shown).await;
        }

        let limit = shown.rows.limit();
        let list = self.api.list(self.path, &self.query, limit, "before").await?;
        shown.output.list(&list, self.columns, self.nothing);

        Ok(())
    }

    async fn follow(&self, shown: &Shown) -> anyhow::Result<()> {
        let mut known = Known::default();
        let mut is_away = false;

        // The first look also remembers the rows before those that it prints, so the next look does not take them for
        // new ones.
        let limit = shown.rows.limit();
        let first = self.api.list(self.path, &self.query, limit.max(LOOK), "before").await?;
        if !shown.output.json {
            output::heading(self.columns);
        }
        self.print(shown, &known.start(items(&first.document), limit));

        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match self.look(&mut known).await {
                Ok(rows) => {
                    is_away = false;
                    self.print(shown, &rows);
                }
                // A restart of the server does not end a command that has already shown rows.
                Err(error) if Exit::of(&error) == Exit::Unreachable => {
                    if !is_away {
                        complain(format!("{error:#}; trying again"));
                    }

                    is_away = true;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the new and changed rows, oldest first.
    async fn look(&self, known: &mut Known) -> anyhow::Result<Vec<Value>> {
        let mut list = self.api.list(self.path, &self.query, LOOK, "before").await?;
        if list.is_cut && !known.has_any(items(&list.document)) {
            list = self.api.list(self.path, &self.query, CATCH_UP, "before").await?;
            if list.is_cut && !known.has_any(items(&list.document)) {
                complain(format!(
                    "more than {CATCH_UP} new rows at once; only the newest {CATCH_UP} are shown"
                ));
            }
        }

        Ok(known.news(items(&list.document), list.is_cut))
    }

    fn print(&self, shown: &Shown, rows: &[Value]) {
        for row in rows {
            if shown.output.json {
                super::say(row);
            } else {
                output::line(self.columns, row);
            }
        }
    }
}

/// Rows of a list that is followed, by their id.
#[derive(Default)]
struct Known(HashMap<String, Value>);

impl Known {
    fn has_any(&self, rows: &[Value]) -> bool {
        rows.iter().any(|row| self.0.contains_key(&id_of(row)))
    }

    /// Remembers the rows of the first look, newest first, and returns the newest of them, oldest first.
    fn start(&mut self, rows: &[Value], limit: usize) -> Vec<Value> {
        self.0.extend(rows.iter().map(|row| (id_of(row), row.clone())));
        rows.iter().take(limit).rev().cloned().collect()
    }

    /// Remembers the rows of a look, newest first, and returns those that are new or changed, oldest first. If the list
    /// has more rows than the look, rows older than all known rows are not new: they only moved up.
    fn news(&mut self, rows: &[Value], is_cut: bool) -> Vec<Value> {
        let last_known = rows.iter().rposition(|row| self.0.contains_key(&id_of(row)));
        let end = match last_known {
            Some(last) if is_cut => last + 1,
            _ => rows.len(),
        };

        let mut news = Vec::new();
        for (at, row) in rows.iter().enumerate().rev() {
            let before = self.0.insert(id_of(row), row.clone());
            if at < end && before.as_ref() != Some(row) {
                news.push(row.clone());
            }
        }

        // Only rows that the next look can show again matter.
        if self.0.len() > REMEMBERED {
            self.0 = rows.iter().map(|row| (id_of(row), row.clone())).collect();
        }
        news
    }
}

fn id_of(row: &Value) -> String {
    row["id"].to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Rows with these ids, newest first.
    fn rows(ids: impl IntoIterator<Item = u64>) -> Vec<Value> {
        ids.into_iter().map(|id| json!({ "id": id, "state": "sent" })).collect()
    }

    fn ids(rows: &[Value]) -> Vec<u64> {
        rows.iter().filter_map(|row| row["id"].as_u64()).collect()
    }

    #[test]
    fn old_rows_beyond_the_limit_are_not_new() {
        let mut known = Known::default();
        assert_eq!(ids(&known.start(&rows((1..=200).rev()), 3)), [198, 199, 200]);
        assert_eq!(ids(&known.news(&rows((1..=200).rev()), true)), [0; 0]);
        assert_eq!(ids(&known.news(&rows((3..=202).rev()), true)), [201, 202]);
    }

    #[test]
    fn rows_that_move_up_when_others_leave_the_list_are_not_new() {
        let mut known = Known::default();
        known.start(&rows([9, 8, 7]), 3);
        assert_eq!(ids(&known.news(&rows([10, 8, 7, 2, 1]), true)), [10]);
    }

    #[test]
    fn a_changed_row_is_printed_again() {
        let mut known = Known::default();
        known.start(&rows([2, 1]), 2);
        let mut changed = rows([2, 1]);
        changed[1]["state"] = json!("delivered");
        assert_eq!(ids(&known.news(&changed, false)), [1]);
        assert_eq!(ids(&known.news(&changed, false)), [0; 0]);
    }

    #[test]
    fn the_first_rows_of_an_empty_list_are_new() {
        let mut known = Known::default();
        assert!(known.start(&[], 50).is_empty());
        assert_eq!(ids(&known.news(&rows((1..=300).rev()), false)).len(), 300);
    }
}
