//! `quickdraw migrate`: opens the store, which migrates its schema.

use super::say;
use crate::first_start::{self, FirstStart};
use crate::settings::Config;
use crate::system;

pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let mut first = FirstStart::default();
    let store = first_start::open_store(&config, &mut first).await?;

    for note in first.notes.iter().chain(&first.warnings) {
        say(note);
    }

    let condition = store.condition(system::now()).await?;
    say(format!("{}: schema {}", condition.engine, condition.schema_version));
    store.close().await;

    Ok(())
}
