//! Pauses and resumes webhooks.

use clap::Args;
use quickdraw_egress::Method;
use serde_json::json;

use super::path_of;
use crate::api::Api;
use crate::client::Server;
use crate::commands::place::Level;
use crate::commands::silent;
use crate::output::Output;

#[derive(Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Which {
    /// Number of the webhook.
    id: i64,
    #[command(flatten)]
    level: Level,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn pause(Pause { which }: Pause) -> anyhow::Result<()> {
    act(&which, "pause", "is paused; its events wait").await
}

pub(super) async fn resume(Resume { which }: Resume) -> anyhow::Result<()> {
    act(&which, "resume", "is resumed").await
}

async fn act(which: &Which, action: &str, result: &str) -> anyhow::Result<()> {
    let api = Api::new(&which.server)?;
    let path = format!("{}/{action}", path_of(&which.level, which.id));
    let hook = api.send(Method::POST, &path, json!({})).await?;
    which.output.done(&hook, format!("webhook {} {result}", which.id));

    silent::warn(&which.server).await
}
