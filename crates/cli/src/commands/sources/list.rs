//! Lists the sources of a server.

use clap::Args;

use super::{COLUMNS, With};
use crate::api::{Api, Query};
use crate::output::Rows;

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    rows: Rows,
    #[command(flatten)]
    with: With,
}

pub(super) async fn run(List { rows, with }: List) -> anyhow::Result<()> {
    let api = Api::new(&with.server)?;
    let list = api.list("v1/sources", &Query::new(), rows.limit(), "").await?;
    with.output.list(&list, &COLUMNS, "there is no source");

    Ok(())
}
