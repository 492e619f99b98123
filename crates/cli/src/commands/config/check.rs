//! Checks the settings.

use std::path::Path;

use crate::commands::say;
use crate::settings::{ensure_none, load};

pub(super) fn run(file: Option<&Path>) -> anyhow::Result<()> {
    ensure_none(&load(file)?.validate())?;
    say("the configuration is valid");

    Ok(())
}
