//! Lists the sources of a server.

use clap::Args;
use quickdraw_egress::Method;

use super::{ask, items, word};
use crate::client;
use crate::commands::say;

#[derive(Args)]
pub(crate) struct List {
    #[command(flatten)]
    server: client::Server,
}

pub(super) async fn run(List { server }: List) -> anyhow::Result<()> {
    let list = ask(&server, Method::GET, "sources", None).await?;
    for one in items(&list) {
        let limit = one["rate_limit"]
            .as_u64()
            .map_or_else(|| "off".to_owned(), |number| format!("{number}/min"));
        let (id, mode, name) = (word(one, "id"), word(one, "mode"), word(one, "name"));

        say(format!(
            "{id:<34} {mode:<10} {limit:<9} {:<30} {name}",
            word(one, "instance")
        ));
    }

    Ok(())
}
