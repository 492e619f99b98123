//! Creates a source.

use std::path::PathBuf;

use clap::Args;
use quickdraw_egress::Method;
use serde_json::json;

use super::settings::Settings;
use super::{With, show};
use crate::client;

#[derive(Args)]
pub(crate) struct Add {
    /// File with the secret of the source: a secret token, or a signing token (whsec_…); - reads standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    with: With,
}

pub(super) async fn run(command: Add) -> anyhow::Result<()> {
    let mut asked = command.settings.json()?;
    let secret = command.secret_file.as_deref().map(client::secret_in).transpose()?;
    asked.extend(secret.map(|secret| ("secret".to_owned(), json!(secret))));

    let made = command.with.send(Method::POST, "v1/sources", asked.into()).await?;
    show(command.with.output, &made);

    Ok(())
}
