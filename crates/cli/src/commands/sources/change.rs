//! Changes settings of a source.

use clap::Args;
use quickdraw_egress::Method;

use super::settings::Settings;
use super::{With, path_of, show, word};
use crate::commands::say;

#[derive(Args)]
pub(crate) struct Change {
    /// Id of the source.
    id: String,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    with: With,
}

pub(super) async fn run(Change { id, settings, with }: Change) -> anyhow::Result<()> {
    let changed = with.send(Method::PUT, &path_of(&id), settings.json()?.into()).await?;
    show(with.output, &changed);

    if !with.output.json && settings.mode.is_some() && matches!(word(&changed, "mode"), "signature" | "both") {
        say("  the secret is unchanged; GitLab needs a signing token (whsec_…), which this command generates:");
        say(format!("  quickdraw sources secret {id}"));
    }

    Ok(())
}
