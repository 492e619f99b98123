//! `quickdraw attempts`: reads single requests to receivers.

use clap::{Args, Subcommand};

use super::history::{Filters, History, Shown};
use super::silent;
use crate::api::{Api, items, parameters};
use crate::client::{Refused, Server};
use crate::output::{Column, Output, column};

const COLUMNS: [Column; 7] = [
    column("STARTED", &["/started_at"]),
    column("ID", &["/id"]),
    column("HOOK", &["/hook_id"]),
    column("NO", &["/number"]),
    column("OUTCOME", &["/outcome"]),
    column("STATUS", &["/response_status"]),
    column("ERROR", &["/error"]),
];

#[derive(Subcommand)]
pub(crate) enum Attempts {
    /// List attempts, newest first.
    List(Box<List>),

    /// Show an attempt with the answer of the receiver.
    Show(Show),
}

#[derive(Args)]
pub(crate) struct List {
    /// Only attempts of this event (id).
    #[arg(long)]
    event: Option<String>,

    /// Only attempts of this delivery (id).
    #[arg(long)]
    delivery: Option<String>,

    /// Only attempts to the webhook with this number.
    #[arg(long)]
    hook: Option<i64>,

    /// Only attempts with one of these HTTP statuses, separated by commas, such as 404,503.
    #[arg(long)]
    status: Option<String>,

    /// Only attempts with this outcome, such as timed_out or rejected.
    #[arg(long)]
    class: Option<String>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    server: Server,
}

#[derive(Args)]
pub(crate) struct Show {
    /// Number of the attempt.
    id: i64,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(crate) async fn run(command: Attempts) -> anyhow::Result<()> {
    match command {
        Attempts::List(command) => list(*command).await,
        Attempts::Show(command) => show(command).await,
    }
}

async fn list(command: List) -> anyhow::Result<()> {
    let mut query = command.filters.query()?;
    query.extend(parameters([
        ("event", command.event),
        ("delivery", command.delivery),
        ("hook", command.hook.map(|hook| hook.to_string())),
        ("status", command.status),
        ("class", command.class),
    ]));

    let history = History {
        api: &Api::new(&command.server)?,
        path: "v1/attempts",
        query,
        columns: &COLUMNS,
        nothing: "there is no such attempt",
    };
    silent::warn(&command.server).await?;
    history.show(&command.shown).await
}

/// The API lists attempts only, so the newest attempt before the next number is read.
async fn show(command: Show) -> anyhow::Result<()> {
    let api = Api::new(&command.server)?;
    let before = command.id.saturating_add(1).to_string();
    let query = parameters([("before", Some(before))]);
    let list = api.list("v1/attempts", &query, 1, "before").await?;

    let found = items(&list.document).first();
    match found.filter(|attempt| attempt["id"].as_i64() == Some(command.id)) {
        Some(attempt) => command.output.object(attempt),
        None => return Err(Refused::new(404, "there is no attempt with this number").into()),
    }

    Ok(())
}
