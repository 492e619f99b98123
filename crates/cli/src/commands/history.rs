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
/// Maximum number of rows that a look reads.
const LOOK: usize = 200;
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
        let mut printed: HashMap<String, Value> = HashMap::new();
        let mut limit = shown.rows.limit().min(LOOK);
        let (mut has_looked, mut is_away) = (false, false);

        loop {
            let looked = self.api.list(self.path, &self.query, limit, "before").await;
            let list = match looked {
                Ok(list) => list,
                // A restart of the server does not end a command that has already shown rows.
                Err(error) if has_looked && Exit::of(&error) == Exit::Unreachable => {
                    if !is_away {
                        complain(format!("{error:#}; trying again"));
                    }

                    is_away = true;
                    tokio::time::sleep(LOOK_EVERY).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            (has_looked, is_away) = (true, false);

            for row in items(&list.document).iter().rev() {
                let id = row["id"].to_string();
                if printed.get(&id) == Some(row) {
                    continue;
                }

                if shown.output.json {
                    super::say(row);
                } else {
                    output::line(self.columns, row);
                }
                printed.insert(id, row.clone());
            }

            // Only rows that the next look can show again matter.
            if printed.len() > REMEMBERED {
                let recent = items(&list.document).iter();
                printed = recent.map(|row| (row["id"].to_string(), row.clone())).collect();
            }

            limit = LOOK;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
