//! Removes the hook and its settings from a repository.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::spool::Spool;
use super::{commits, install, token};
use crate::commands::say;

#[derive(Args)]
pub(crate) struct Uninstall {
    /// Path of the bare repository.
    repository: PathBuf,

    /// Delete reports that still wait to be sent.
    #[arg(long)]
    discard: bool,
}

pub(super) async fn run(Uninstall { repository, discard }: &Uninstall) -> anyhow::Result<()> {
    let opened = commits::open(repository)?;
    let folder = opened.git_dir();
    let hook = folder.join("hooks").join("post-receive");

    let text = match std::fs::read_to_string(&hook) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            anyhow::bail!("{} has no post-receive hook", repository.display())
        }
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", hook.display())),
    };

    anyhow::ensure!(
        install::is_own(&text),
        "{} was not installed by quickdraw, or was changed since: remove the line `quickdraw git-hook post-receive` from \
         it yourself",
        hook.display()
    );

    let spool = Spool::open(&opened)?;
    let waiting = spool.waiting()?.len();
    anyhow::ensure!(
        *discard || waiting == 0,
        "reports that wait: {waiting}; send them with quickdraw git-hook send {}, or give --discard",
        repository.display()
    );

    if let Ok(target) = install::read(folder) {
        token::revoke_made(&target).await;
    }

    // The settings are removed last, so that a second run can finish an interrupted one.
    std::fs::remove_file(&hook).with_context(|| format!("failed to remove {}", hook.display()))?;
    spool.remove()?;
    install::remove_settings(folder)?;
    say(format!("removed {}", hook.display()));

    Ok(())
}
