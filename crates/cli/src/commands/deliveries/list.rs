//! Lists deliveries.

use clap::Args;

use crate::api::{Api, parameters};
use crate::client::Server;
use crate::commands::history::{Filters, History, Shown};
use crate::commands::silent;
use crate::output::{Column, column};

const COLUMNS: [Column; 6] = [
    column("CREATED", &["/created_at"]),
    column("ID", &["/id"]),
    column("HOOK", &["/hook_id"]),
    column("STATE", &["/state"]),
    column("ATTEMPTS", &["/attempts"]),
    column("NEXT ATTEMPT", &["/next_attempt_at"]),
];

#[derive(Args)]
pub(crate) struct List {
    /// Only deliveries of this event (id).
    #[arg(long)]
    event: Option<String>,

    /// Only deliveries to the webhook with this number.
    #[arg(long)]
    hook: Option<i64>,

    /// Only deliveries in this state: waiting, blocked, retrying, delivered, given_up or cancelled.
    #[arg(long)]
    state: Option<String>,

    /// Only deliveries whose last attempt had one of these HTTP statuses, separated by commas, such as 404,503.
    #[arg(long)]
    status: Option<String>,

    /// Only deliveries whose last attempt had this outcome, such as timed_out or rejected.
    #[arg(long)]
    class: Option<String>,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(command: List) -> anyhow::Result<()> {
    let mut query = command.filters.query()?;
    query.extend(parameters([
        ("event", command.event),
        ("hook", command.hook.map(|hook| hook.to_string())),
        ("state", command.state),
        ("status", command.status),
        ("class", command.class),
    ]));

    let history = History {
        api: &Api::new(&command.server)?,
        path: "v1/deliveries",
        query,
        columns: &COLUMNS,
        nothing: "there is no such delivery",
    };
    // A list that is followed has no end, so the warning comes first.
    silent::warn(&command.server).await?;
    history.show(&command.shown).await
}
