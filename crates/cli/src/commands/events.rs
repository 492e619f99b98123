//! `quickdraw events`: reads the journal, and reports events.

use clap::{Args, Subcommand};

use super::emit::{self, Emit};
use super::history::{Filters, History, Shown};
use super::silent;
use super::{encoded, say};
use crate::api::{Api, Query, items};
use crate::client::Server;
use crate::output::{self, Column, Output, column};

const COLUMNS: [Column; 6] = [
    column("RECEIVED", &["/received_at"]),
    column("ID", &["/id"]),
    column("TRIGGER", &["/trigger"]),
    column("PROJECT", &["/project_id"]),
    column("GROUP", &["/group_id"]),
    column("ORIGIN", &["/origin"]),
];

const DELIVERIES: [Column; 4] = [
    column("HOOK", &["/hook_id"]),
    column("DELIVERY", &["/id"]),
    column("STATE", &["/state"]),
    column("ATTEMPTS", &["/attempts"]),
];

const SKIPPED: [Column; 2] = [
    column("HOOK", &["/hook_id"]),
    column("NOT CALLED BECAUSE OF", &["/reason"]),
];

#[derive(Subcommand)]
pub(crate) enum Events {
    /// List events, newest first.
    List(List),

    /// Show an event with its body, its deliveries, and the webhooks that did not get it.
    Show(Show),

    /// Report an event, as `quickdraw emit` does.
    Report(Emit),
}

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    server: Server,
}

#[derive(Args)]
pub(crate) struct Show {
    /// Id of the event.
    id: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(crate) async fn run(command: Events) -> anyhow::Result<()> {
    match command {
        Events::List(command) => list(command).await,
        Events::Show(command) => show(command).await,
        Events::Report(command) => emit::run(command).await,
    }
}

async fn list(command: List) -> anyhow::Result<()> {
    let history = History {
        api: &Api::new(&command.server)?,
        path: "v1/events",
        query: command.filters.query()?,
        columns: &COLUMNS,
        nothing: "there is no such event",
    };
    silent::warn(&command.server).await?;
    history.show(&command.shown).await
}

async fn show(command: Show) -> anyhow::Result<()> {
    let api = Api::new(&command.server)?;
    let path = format!("v1/events/{}", encoded(&command.id));
    let mut event = api.get(&path, &Query::new()).await?;

    if command.output.json {
        output::json(&event);
        return Ok(());
    }

    let (deliveries, skipped) = (event["deliveries"].take(), event["skipped"].take());
    let body = event["payload"].take();
    command.output.object(&event);

    if !items(&deliveries).is_empty() {
        say("");
        output::table(&DELIVERIES, items(&deliveries));
    }

    if !items(&skipped).is_empty() {
        say("");
        output::table(&SKIPPED, items(&skipped));
    }

    say("");
    match body.as_str() {
        Some(text) => say(super::plain(text)),
        None => output::json(&body),
    }

    Ok(())
}
