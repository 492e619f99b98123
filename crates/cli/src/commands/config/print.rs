//! Prints the settings in force.

use std::path::Path;

use crate::commands::say;
use crate::settings::load_unchecked;

pub(super) fn run(file: Option<&Path>) -> anyhow::Result<()> {
    // Secrets mask themselves when they are serialised.
    say(toml::to_string(&load_unchecked(file)?)?);
    Ok(())
}
