//! Lists and shows the sources of a server.

use clap::Args;

use super::{COLUMNS, With, path_of};
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

#[derive(Args)]
pub(crate) struct Show {
    /// Id of the source, or default.
    id: String,
    #[command(flatten)]
    with: With,
}

pub(super) async fn show(Show { id, with }: Show) -> anyhow::Result<()> {
    let source = Api::new(&with.server)?.get(&path_of(&id), &Query::new()).await?;
    with.output.object(&source);

    Ok(())
}
