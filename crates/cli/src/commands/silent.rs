//! `quickdraw silent`: switches silent mode on or off.

use std::time::Duration;

use clap::Subcommand;
use quickdraw_egress::Method;
use serde_json::{Value, json};

use crate::api::{Api, Query};
use crate::client::{self, Server};
use crate::commands::with::With;
use crate::output::{complain, plain};

const SETTINGS: &str = "v4/application/settings";
/// The longest wait for the warnings of a server.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Subcommand)]
pub(crate) enum Silent {
    /// Stop all deliveries. Events are still accepted and kept.
    On(With),

    /// Deliver again. Events that arrived meanwhile are delivered only by `quickdraw replay --skipped silent_mode`.
    Off(With),

    /// Show whether silent mode is on.
    Status(With),
}

pub(crate) async fn run(command: Silent) -> anyhow::Result<()> {
    match command {
        Silent::On(with) => switch(&with, true).await,
        Silent::Off(with) => off(&with).await,
        Silent::Status(with) => {
            let settings = Api::new(&with.server)?.get(SETTINGS, &Query::new()).await?;
            let is_on = is_on(&settings);
            with.output.done(&settings, sentence(is_on));
            Ok(())
        }
    }
}

/// Prints a warning if silent mode is on. A server that does not answer has none here, because the command itself fails
/// then.
pub(crate) async fn warn(server: &Server) -> anyhow::Result<()> {
    for warning in warnings(&server.url()?).await {
        complain(format!("warning: {}", plain(&warning)));
    }

    Ok(())
}

/// The warnings about silent mode of the server with this URL. They are public, so no token is sent.
pub(crate) async fn warnings(url: &str) -> Vec<String> {
    let health = format!("{url}/api/v1/health");
    let Ok(answer) = client::call(Method::GET, &health, &[], Vec::new(), PATIENCE).await else {
        return Vec::new();
    };

    let condition: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let mut warnings = Vec::new();
    for warning in condition["warnings"].as_array().into_iter().flatten() {
        let warning = warning.as_str().unwrap_or_default();
        if warning.starts_with("silent mode") {
            warnings.push(warning.to_owned());
        }
    }

    warnings
}

/// Switches silent mode off, and says how the events of the silent time can be delivered.
async fn off(with: &With) -> anyhow::Result<()> {
    let before = Api::new(&with.server)?.get(SETTINGS, &Query::new()).await?;
    switch(with, false).await?;

    if let Some(since) = before["silent_mode_since"].as_str() {
        complain(format!(
            "to deliver the events of the silent time: quickdraw replay --since {} --skipped silent_mode",
            plain(since)
        ));
    }

    Ok(())
}

async fn switch(with: &With, on: bool) -> anyhow::Result<()> {
    let body = json!({ "silent_mode_enabled": on });
    let settings = Api::new(&with.server)?.send(Method::PUT, SETTINGS, body).await?;
    with.output.done(&settings, sentence(is_on(&settings)));

    Ok(())
}

fn is_on(settings: &Value) -> bool {
    settings["silent_mode_enabled"] == json!(true)
}

const fn sentence(is_on: bool) -> &'static str {
    if is_on {
        "silent mode is on: events are kept, and nothing is delivered"
    } else {
        "silent mode is off"
    }
}
