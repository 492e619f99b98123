//! Replaces the secret of a source.

use std::path::PathBuf;

use clap::Args;
use quickdraw_egress::Method;
use serde_json::json;

use super::{With, path_of, show};
use crate::client;

#[derive(Args)]
pub(crate) struct Secret {
    /// Id of the source.
    id: String,

    /// File with the new secret: a secret token, or a signing token (whsec_…); - reads standard input.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Seconds for which the previous secret stays valid.
    #[arg(long, default_value_t = 86_400)]
    overlap: u32,
    #[command(flatten)]
    with: With,
}

pub(super) async fn run(command: Secret) -> anyhow::Result<()> {
    let mut asked = json!({ "overlap": command.overlap });
    if let Some(file) = &command.secret_file {
        asked["secret"] = json!(client::secret_in(file)?);
    }

    let path = format!("{}/secret", path_of(&command.id));
    show(
        command.with.output,
        &command.with.send(Method::POST, &path, asked).await?,
    );

    Ok(())
}
