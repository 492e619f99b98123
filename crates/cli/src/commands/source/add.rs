//! Creates a source.

use clap::Args;
use quickdraw_egress::Method;
use serde_json::json;

use super::settings::Settings;
use super::{ask, show};
use crate::client;

#[derive(Args)]
pub(crate) struct Add {
    /// Secret of the source: a secret token, or a signing token (whsec_…).
    #[arg(long)]
    secret: Option<String>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    server: client::Server,
}

pub(super) async fn run(command: Add) -> anyhow::Result<()> {
    let mut asked = command.settings.json()?;
    asked.extend(command.secret.map(|secret| ("secret".to_owned(), json!(secret))));
    show(&ask(&command.server, Method::POST, "sources", Some(asked.into())).await?);

    Ok(())
}
