//! `quickdraw migrate`: opens the store, which migrates its schema.

use super::say;
use crate::config::Config;
use crate::wiring::{self, FirstStart};

pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let mut first = FirstStart::default();
    let store = wiring::open_store(&config, &mut first).await?;

    for note in first.notes.iter().chain(&first.warnings) {
        say(note);
    }

    let condition = store.condition(wiring::now()).await?;
    say(format!("{}: schema {}", condition.engine, condition.schema_version));
    store.close().await;

    Ok(())
}
