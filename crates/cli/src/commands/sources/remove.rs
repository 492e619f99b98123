//! Deletes a source.

use clap::Args;
use quickdraw_egress::Method;
use serde_json::json;

use super::{With, path_of};

#[derive(Args)]
pub(crate) struct Remove {
    /// Id of the source.
    id: String,
    #[command(flatten)]
    with: With,
}

pub(super) async fn run(Remove { id, with }: Remove) -> anyhow::Result<()> {
    let answer = with.send(Method::DELETE, &path_of(&id), json!({})).await?;
    with.output.done(&answer, format!("deleted source {id}"));

    Ok(())
}
