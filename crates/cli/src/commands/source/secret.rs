//! Replaces the secret of a source.

use clap::Args;
use quickdraw_egress::Method;
use serde_json::json;

use super::{ask, show};
use crate::client;

#[derive(Args)]
pub(crate) struct Secret {
    /// Id of the source.
    id: String,

    /// The new secret: a secret token, or a signing token (whsec_…).
    #[arg(long)]
    secret: Option<String>,

    /// Seconds for which the previous secret stays valid.
    #[arg(long, default_value_t = 86_400)]
    overlap: u32,
    #[command(flatten)]
    server: client::Server,
}

pub(super) async fn run(command: Secret) -> anyhow::Result<()> {
    let mut asked = json!({ "overlap": command.overlap });
    if let Some(secret) = command.secret {
        asked["secret"] = json!(secret);
    }

    let path = format!("sources/{}/secret", command.id);
    show(&ask(&command.server, Method::POST, &path, Some(asked)).await?);

    Ok(())
}
