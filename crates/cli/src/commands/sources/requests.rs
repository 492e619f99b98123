//! Lists the last requests of a source.

use clap::Args;

use super::{With, path_of};
use crate::api::{Api, Query};
use crate::output::{Column, Rows, column};

const COLUMNS: [Column; 6] = [
    column("TIME", &["/at"]),
    column("ADDRESS", &["/address"]),
    column("STATUS", &["/status"]),
    column("COUNT", &["/count"]),
    column("EVENT", &["/event"]),
    column("NOTE", &["/note", "/event_id"]),
];

#[derive(Args)]
pub(crate) struct Requests {
    /// Id of the source, or default.
    #[arg(default_value = "default")]
    id: String,
    #[command(flatten)]
    rows: Rows,
    #[command(flatten)]
    with: With,
}

pub(super) async fn run(Requests { id, rows, with }: Requests) -> anyhow::Result<()> {
    let path = format!("{}/requests", path_of(&id));
    let list = Api::new(&with.server)?
        .list(&path, &Query::new(), rows.limit(), "")
        .await?;
    with.output.list(&list, &COLUMNS, "no request yet");

    Ok(())
}
