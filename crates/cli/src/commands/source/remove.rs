//! Deletes a source.

use clap::Args;
use quickdraw_egress::Method;

use super::ask;
use crate::client;
use crate::commands::say;

#[derive(Args)]
pub(crate) struct Remove {
    /// Id of the source.
    id: String,
    #[command(flatten)]
    server: client::Server,
}

pub(super) async fn run(Remove { id, server }: Remove) -> anyhow::Result<()> {
    ask(&server, Method::DELETE, &format!("sources/{id}"), None).await?;
    say(format!("deleted source {id}"));

    Ok(())
}
