//! Sends the reports of a repository that wait because the server was unreachable.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::spool::{Sent, Spool};
use super::{commits, install};
use crate::commands::say;

/// Longest time that the command runs.
const UNHURRIED: Duration = Duration::from_secs(600);

#[derive(Args)]
pub(crate) struct Send {
    /// Path of the bare repository.
    repository: PathBuf,
}

pub(super) async fn run(Send { repository }: Send) -> anyhow::Result<()> {
    let repository = commits::open(&repository)?;
    let target = install::read(repository.git_dir())?;
    let Sent { sent, left } = Spool::open(&repository)?.send(&target, UNHURRIED).await?;

    say(format!("sent: {sent}, left: {left}"));
    anyhow::ensure!(left == 0, "the server did not accept all reports; the rest is kept");
    Ok(())
}
