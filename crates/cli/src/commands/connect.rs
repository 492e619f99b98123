//! `quickdraw connect`: creates the webhooks at another system that post to this Quickdraw, checks them later, and
//! removes them.

mod gitlab;
mod hook;
mod places;
mod report;
mod source;
mod version;
mod work;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Connect {
    /// Create, check, repair or remove the webhooks of a GitLab that post to a Quickdraw server.
    ///
    /// The command may be repeated, and interrupted at any time. It recognises its webhooks by the URL of the source,
    /// and never creates a second one. The exit code is 1 if a place is not as it should be.
    Gitlab(Box<gitlab::Gitlab>),
}

pub(crate) async fn run(command: Connect) -> anyhow::Result<()> {
    match command {
        Connect::Gitlab(command) => gitlab::run(*command).await,
    }
}
