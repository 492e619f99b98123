//! Files with a secret, which only their owner can read.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;

/// Writes a secret into a file that only its owner can read.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    // Whole or not at all: an empty file would be an empty secret at the next start.
    let beside = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();

    let opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside);
    let mut file = opened.with_context(|| format!("failed to create {}", beside.display()))?;
    writeln!(file, "{text}")?;
    file.sync_all()?;

    std::fs::rename(&beside, path).with_context(|| format!("failed to create {}", path.display()))
}

/// Reads a secret from a file, and refuses one that others could have read.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    anyhow::ensure!(
        mode & 0o077 == 0,
        "{} can be read by others (mode {mode:o}); run chmod 600 on it",
        path.display()
    );

    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let text = text.trim().to_owned();

    anyhow::ensure!(
        text.len() >= 16,
        "{} holds no secret of at least 16 characters; delete it to have a new one made",
        path.display()
    );

    Ok(text)
}
