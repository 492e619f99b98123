//! `quickdraw setup-link`: a link with which an administrator chooses a name and a password in a browser.
//!
//! The link comes from the running server. Only one process can open a SQLite database, so a command that opened the
//! database would need the server to be stopped.

use clap::Args;
use quickdraw_egress::Method;
use serde_json::json;

use crate::api::Api;
use crate::commands::with::With;
use crate::output::plain;

#[derive(Args)]
pub(crate) struct SetupLink {
    #[command(flatten)]
    with: With,
}

pub(crate) async fn run(SetupLink { with }: SetupLink) -> anyhow::Result<()> {
    let link = Api::new(&with.server)?
        .send(Method::POST, "v1/setup_links", json!({}))
        .await?;

    let url = plain(link["url"].as_str().unwrap_or_default());
    let sentence = format!("open within 30 minutes; the link can be used once:\n{url}");
    with.output.done(&link, &sentence);

    Ok(())
}
