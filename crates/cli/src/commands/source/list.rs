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
        let limit = |name: &str| {
            let number = one[name].as_u64();
            number.map_or_else(|| "off".to_owned(), |number| format!("{number}/min"))
        };
        let (id, mode, name) = (word(one, "id"), word(one, "mode"), word(one, "name"));

        say(format!(
            "{id:<34} {mode:<10} {:<9} {:<9} {:<30} {name}",
            limit("rate_limit"),
            limit("sender_rate_limit"),
            word(one, "instance")
        ));
    }

    Ok(())
}
