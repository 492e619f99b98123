//! `quickdraw config`: check the settings, print those in force, or explain every setting.

mod check;
mod print;
mod reference;

use std::path::Path;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration, and list all problems.
    Check,

    /// Print the value of every setting, with secrets masked.
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
