//! The log of a webhook, and resending its entries.

use clap::Args;
use quickdraw_egress::Method;
use serde_json::json;

use super::path_of;
use super::test::unaccepted;
use crate::api::{Api, parameters};
use crate::client::{Misused, Server};
use crate::commands::place::Level;
use crate::output::{Column, Output, Rows, column};

/// Largest page of the log, as in GitLab.
const PAGE: &str = "20";

const COLUMNS: [Column; 5] = [
    column("ID", &["/id"]),
    column("TRIGGER", &["/trigger"]),
    column("STATUS", &["/response_status"]),
    column("SECONDS", &["/execution_duration"]),
    column("URL", &["/url"]),
];

#[derive(Args)]
pub(crate) struct Events {
    /// Number of the webhook.
    id: i64,
    #[command(flatten)]
    level: Level,

    /// Only requests with these results: HTTP statuses, successful, client_failure or server_failure, separated by
    /// commas.
    #[arg(long)]
    status: Option<String>,
    #[command(flatten)]
    rows: Rows,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn events(command: Events) -> anyhow::Result<()> {
    refuse_instance(&command.level)?;

    let api = Api::new(&command.server)?;
    let path = format!("{}/events", path_of(&command.level, command.id));
    let query = parameters([("status", command.status), ("per_page", Some(PAGE.to_owned()))]);
    let list = api.list(&path, &query, command.rows.limit(), "").await?;
    command
        .output
        .list(&list, &COLUMNS, "no request in the last seven days");

    Ok(())
}

#[derive(Args)]
pub(crate) struct Resend {
    /// Number of the webhook.
    id: i64,

    /// Number of the request, as listed by `quickdraw hooks events`.
    request: i64,
    #[command(flatten)]
    level: Level,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn resend(command: Resend) -> anyhow::Result<()> {
    refuse_instance(&command.level)?;

    let api = Api::new(&command.server)?;
    let path = format!(
        "{}/events/{}/resend",
        path_of(&command.level, command.id),
        command.request
    );

    let answer = api.send(Method::POST, &path, json!({})).await;
    let answer = answer.map_err(|error| unaccepted(error, "request"))?;
    let status = answer["response_status"].clone();
    command
        .output
        .done(&answer, format!("sent again; the receiver answered {status}"));

    Ok(())
}

fn refuse_instance(level: &Level) -> anyhow::Result<()> {
    if level.is_instance() {
        let why = "webhooks of the instance have no log, as in GitLab; use quickdraw attempts list --hook ID";
        return Err(Misused(why.to_owned()).into());
    }

    Ok(())
}
