//! Shows a delivery; with `--why`, also the verdict of each webhook about its event.

use clap::Args;
use serde_json::{Value, json};

use crate::api::{Api, Query, items};
use crate::client::Server;
use crate::commands::{encoded, say};
use crate::output::{self, Column, Output, column};

pub(super) const ATTEMPTS: [Column; 6] = [
    column("NO", &["/number"]),
    column("STARTED", &["/started_at"]),
    column("OUTCOME", &["/outcome"]),
    column("STATUS", &["/response_status"]),
    column("MICROSECONDS", &["/duration_us"]),
    column("ERROR", &["/error"]),
];

const VERDICTS: [Column; 4] = [
    column("HOOK", &["/hook_id"]),
    column("VERDICT", &["/verdict"]),
    column("ATTEMPTS", &["/attempts"]),
    column("DELIVERY", &["/delivery"]),
];

#[derive(Args)]
pub(crate) struct Show {
    /// Id of the delivery.
    id: String,

    /// Also explain the event: which webhooks got it, and which did not and why. With --json, the document has the
    /// fields delivery and event.
    #[arg(long)]
    why: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(command: Show) -> anyhow::Result<()> {
    let api = Api::new(&command.server)?;
    let path = format!("v1/deliveries/{}", encoded(&command.id));
    let mut delivery = api.get(&path, &Query::new()).await?;

    let event = if command.why {
        let id = delivery["event_id"].as_str().unwrap_or_default();
        Some(api.get(&format!("v1/events/{}", encoded(id)), &Query::new()).await?)
    } else {
        None
    };

    if command.output.json {
        match event {
            Some(event) => output::json(&json!({ "delivery": delivery, "event": event })),
            None => output::json(&delivery),
        }

        return Ok(());
    }

    let mut attempts = items(&delivery["history"]).to_vec();
    attempts.reverse();

    if let Some(fields) = delivery.as_object_mut() {
        fields.shift_remove("history");
    }
    command.output.object(&delivery);

    if !attempts.is_empty() {
        say("");
        output::table(&ATTEMPTS, &attempts);
    }

    if let Some(event) = event {
        let (trigger, at) = (&event["trigger"], &event["received_at"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        say(format!(
            "\nevent {} of {}, and each webhook that subscribes to it:",
            text(trigger),
            text(at)
        ));
        output::table(&VERDICTS, &verdicts(&event));
    }

    Ok(())
}

/// A row for each webhook that got the event, and for each that did not.
fn verdicts(event: &Value) -> Vec<Value> {
    let mut rows = Vec::new();
    for delivery in items(&event["deliveries"]) {
        rows.push(json!({
            "hook_id": delivery["hook_id"],
            "verdict": delivery["state"],
            "attempts": delivery["attempts"],
            "delivery": delivery["id"],
        }));
    }

    for skipped in items(&event["skipped"]) {
        let reason = skipped["reason"].as_str().unwrap_or_default();
        rows.push(json!({ "hook_id": skipped["hook_id"], "verdict": format!("not called: {reason}") }));
    }

    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_webhook_has_a_verdict() {
        let event = json!({
            "deliveries": [{ "id": "d", "hook_id": 1, "state": "delivered", "attempts": 2 }],
            "skipped": [{ "hook_id": 2, "reason": "branch_filter" }],
        });

        let rows = verdicts(&event);
        assert_eq!(rows[0]["verdict"], "delivered");
        assert_eq!(rows[1], json!({ "hook_id": 2, "verdict": "not called: branch_filter" }));
    }
}
