//! `quickdraw config`: check the settings, print those in force, or explain every setting.

mod check;
mod print;
mod reference;

use std::path::Path;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether the configuration is valid.
    Check,

    /// Print the configuration in force; secrets are masked.
    Print,

    /// Print every setting with its default and meaning, as Markdown.
    Reference,
}

pub(crate) fn run(command: &ConfigCommand, file: Option<&Path>) -> anyhow::Result<()> {
    match command {
        ConfigCommand::Check => check::run(file),
        ConfigCommand::Print => print::run(file),
        ConfigCommand::Reference => reference::run(),
    }
}
