//! Checks the settings.

use std::path::Path;

use crate::commands::say;
use crate::settings::{NO_REACHABLE_URL, ensure_none, load};

pub(super) fn run(file: Option<&Path>) -> anyhow::Result<()> {
    let config = load(file)?;
    ensure_none(&config.validate())?;

    say("the configuration is valid");
    if config.has_no_reachable_url() {
        say(format!("warning: {NO_REACHABLE_URL}"));
    }

    Ok(())
}
