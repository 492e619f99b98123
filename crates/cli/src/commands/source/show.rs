//! Shows a source, and its secret.

use clap::Args;
use quickdraw_egress::Method;

use super::{ask, word};
use crate::client;
use crate::commands::say;

#[derive(Args)]
pub(crate) struct Show {
    /// Id of the source, or default.
    #[arg(default_value = "default")]
    id: String,

    /// Also print the secret. The audit log of the server records this.
    #[arg(long)]
    secret: bool,
    #[command(flatten)]
    server: client::Server,
}

pub(super) async fn run(Show { id, secret, server }: Show) -> anyhow::Result<()> {
    super::show(&ask(&server, Method::GET, &format!("sources/{id}"), None).await?);
    if !secret {
        return Ok(());
    }

    let path = format!("sources/{id}/secret/show");
    let shown = ask(&server, Method::POST, &path, None).await?;
    say(format!("  secret: {}", word(&shown, "secret")));

    if shown["is_setting"] == true {
        say("  the setting source.secret of this node determines it; set the same value on every node");
    } else {
        say("  all nodes of the database accept it");
    }

    Ok(())
}
