//! Lists and shows webhooks.

use clap::Args;

use super::path_of;
use crate::api::{Api, Query};
use crate::client::Server;
use crate::commands::place::Level;
use crate::commands::silent;
use crate::output::{Column, Output, Rows, column};

const COLUMNS: [Column; 5] = [
    column("ID", &["/id"]),
    column("NAME", &["/name"]),
    column("STATUS", &["/alert_status"]),
    column("PAUSED", &["/paused"]),
    column("URL", &["/url"]),
];

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    level: Level,
    #[command(flatten)]
    rows: Rows,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn list(command: List) -> anyhow::Result<()> {
    let api = Api::new(&command.server)?;
    let path = command.level.hooks();
    let list = api.list(&path, &Query::new(), command.rows.limit(), "").await?;
    command.output.list(&list, &COLUMNS, "there is no webhook here");

    silent::warn(&command.server).await
}

#[derive(Args)]
pub(crate) struct Show {
    /// Number of the webhook.
    id: i64,
    #[command(flatten)]
    level: Level,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn show(command: Show) -> anyhow::Result<()> {
    let api = Api::new(&command.server)?;
    let hook = api.get(&path_of(&command.level, command.id), &Query::new()).await?;
    command.output.object(&hook);

    silent::warn(&command.server).await
}
