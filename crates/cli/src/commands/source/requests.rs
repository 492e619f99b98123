//! Lists the last requests of a source.

use clap::Args;
use quickdraw_egress::Method;

use super::{ask, items, word};
use crate::client;
use crate::commands::say;

#[derive(Args)]
pub(crate) struct Requests {
    /// Id of the source, or default.
    #[arg(default_value = "default")]
    id: String,
    #[command(flatten)]
    server: client::Server,
}

pub(super) async fn run(Requests { id, server }: Requests) -> anyhow::Result<()> {
    let list = ask(&server, Method::GET, &format!("sources/{id}/requests"), None).await?;
    for one in items(&list).iter().rev() {
        let (at, event) = (word(one, "at"), word(one, "event"));
        let note = if one["note"].is_null() {
            word(one, "event_id")
        } else {
            word(one, "note")
        };

        let count = match one["count"].as_u64() {
            Some(count) if count > 1 => format!(" ({count} requests)"),
            _ => String::new(),
        };

        say(format!(
            "{at}  {:<39} {}  {event:<24} {note}{count}",
            word(one, "address"),
            one["status"]
        ));
    }

    Ok(())
}
