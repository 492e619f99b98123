//! Shows a source, and its secret.

use clap::Args;
use quickdraw_egress::Method;
use serde_json::Value;

use super::{With, path_of, word};
use crate::api::{Api, Query};
use crate::commands::say;

#[derive(Args)]
pub(crate) struct Show {
    /// Id of the source, or default.
    #[arg(default_value = "default")]
    id: String,

    /// Also print the secret. The audit log of the server records this.
    #[arg(long)]
    secret: bool,
    #[command(flatten)]
    with: With,
}

pub(super) async fn run(Show { id, secret, with }: Show) -> anyhow::Result<()> {
    let mut source = Api::new(&with.server)?.get(&path_of(&id), &Query::new()).await?;
    if !secret {
        with.output.object(&source);
        return Ok(());
    }

    let path = format!("{}/secret/show", path_of(&id));
    let shown = with.send(Method::POST, &path, Value::Null).await?;

    if with.output.json {
        source["secret"] = shown["secret"].clone();
        source["is_setting"] = shown["is_setting"].clone();
        with.output.object(&source);
        return Ok(());
    }

    with.output.object(&source);
    say(format!("secret: {}", word(&shown, "secret")));

    if shown["is_setting"] == true {
        say("the setting source.secret of this node determines it; set the same value on every node");
    } else {
        say("all nodes of the database accept it");
    }

    Ok(())
}
