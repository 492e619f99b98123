//! Sends a delivery again, through the log of its webhook.

use anyhow::Context;
use clap::Args;
use quickdraw_egress::Method;
use serde_json::{Value, json};

use crate::api::{Api, Query};
use crate::client::{Refused, Server};
use crate::commands::encoded;
use crate::output::Output;

#[derive(Args)]
pub(crate) struct Resend {
    /// Id of the delivery.
    id: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

pub(super) async fn run(command: Resend) -> anyhow::Result<()> {
    let api = Api::new(&command.server)?;
    let path = format!("v1/deliveries/{}", encoded(&command.id));
    let delivery = api.get(&path, &Query::new()).await?;

    let attempt = delivery["history"][0]["id"].as_i64();
    let attempt = attempt.context("the delivery has no attempt yet; the first one is made without a resend")?;

    let hooks = hooks_of(&api, &delivery).await?;
    let path = format!("{hooks}/{}/events/{attempt}/resend", delivery["hook_id"]);

    let answer = match api.send(Method::POST, &path, json!({})).await {
        Ok(answer) => answer,
        Err(error) => match error.downcast_ref::<Refused>() {
            Some(refused) if refused.status() == 422 => {
                anyhow::bail!("the delivery was not accepted: {}", refused.text())
            }
            _ => return Err(error),
        },
    };

    let status = &answer["response_status"];
    command
        .output
        .done(&answer, format!("sent again; the receiver answered {status}"));

    Ok(())
}

/// The path of the project or group that the webhook of a delivery belongs to. A webhook can belong to the project of
/// the event, or to one of the groups above it.
async fn hooks_of(api: &Api, delivery: &Value) -> anyhow::Result<String> {
    let event = delivery["event_id"].as_str().unwrap_or_default();
    let event = api.get(&format!("v1/events/{}", encoded(event)), &Query::new()).await?;
    let (mut places, mut group) = (Vec::new(), String::new());

    if let Some(project) = event["project_id"].as_i64() {
        places.push(format!("v4/projects/{project}/hooks"));
        let project = api.get(&format!("v4/projects/{project}"), &Query::new()).await?;
        group = project["namespace"]["full_path"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
    } else if let Some(number) = event["group_id"].as_i64() {
        let found = api.get(&format!("v4/groups/{number}"), &Query::new()).await?;
        group = found["full_path"].as_str().unwrap_or_default().to_owned();
    }

    while !group.is_empty() {
        places.push(format!("v4/groups/{}/hooks", encoded(&group)));
        group = group
            .rsplit_once('/')
            .map(|(above, _)| above.to_owned())
            .unwrap_or_default();
    }

    for place in places {
        match api
            .get(&format!("{place}/{}", delivery["hook_id"]), &Query::new())
            .await
        {
            Ok(_) => return Ok(place),
            Err(error) => match error.downcast_ref::<Refused>() {
                Some(refused) if matches!(refused.status(), 403 | 404) => {}
                _ => return Err(error),
            },
        }
    }

    anyhow::bail!(
        "webhook {} belongs to the instance or was deleted; use quickdraw replay --hook {} for its deliveries",
        delivery["hook_id"],
        delivery["hook_id"]
    )
}
