//! Changes settings of a source.

use clap::Args;
use quickdraw_egress::Method;

use super::settings::Settings;
use super::{ask, show, word};
use crate::client;
use crate::commands::say;

#[derive(Args)]
pub(crate) struct Change {
    /// Id of the source.
    id: String,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    server: client::Server,
}

pub(super) async fn run(Change { id, settings, server }: Change) -> anyhow::Result<()> {
    let path = format!("sources/{id}");
    let changed = ask(&server, Method::PUT, &path, Some(settings.json()?.into())).await?;
    show(&changed);

    if settings.mode.is_some() && matches!(word(&changed, "mode"), "signature" | "both") {
        say("  the secret is unchanged; GitLab needs a signing token (whsec_…), which this command generates:");
        say(format!("  quickdraw source secret {id}"));
    }

    Ok(())
}
