//! Tests a webhook.

use clap::Args;
use quickdraw_egress::Method;
use serde_json::json;

use super::path_of;
use crate::api::Api;
use crate::client::{Refused, Server};
use crate::commands::place::Level;
use crate::output::Output;

#[derive(Args)]
pub(crate) struct Test {
    /// Number of the webhook.
    id: i64,

    /// Trigger whose newest event is sent. Without an event, and to a webhook of the instance, a sample is sent.
    #[arg(long, default_value = "push_events")]
    trigger: String,
    #[command(flatten)]
    level: Level,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(command: Test) -> anyhow::Result<()> {
    let api = Api::new(&command.server)?;
    let hook = path_of(&command.level, command.id);

    let path = if command.level.is_instance() {
        hook
    } else {
        format!("{hook}/test/{}", command.trigger)
    };

    let answer = match api.send(Method::POST, &path, json!({})).await {
        Ok(answer) => answer,
        Err(error) => return Err(unaccepted(error, "test")),
    };

    // The server does not wait for the receiver of a webhook of the instance.
    let result = if command.level.is_instance() {
        "sent"
    } else {
        "accepted"
    };
    let sentence = format!("webhook {}: the test was {result}", command.id);
    command.output.done(&answer, sentence);

    Ok(())
}

/// An answer of the receiver is the result of the command, and not an invalid request.
pub(super) fn unaccepted(error: anyhow::Error, what: &str) -> anyhow::Error {
    match error.downcast_ref::<Refused>() {
        Some(refused) if refused.status() == 422 => {
            anyhow::anyhow!("the {what} was not accepted: {}", refused.text())
        }
        _ => error,
    }
}
