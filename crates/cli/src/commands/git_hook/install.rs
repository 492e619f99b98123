//! Putting the hook into a repository, and finding again what it reports to.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// Beside the repository's own files; readable by its owner only, because of the token, or by its group where that shares the repository.
const FILE: &str = "quickdraw.json";
const MARK: &str = "# installed by quickdraw git-hook install";

/// Where a repository reports to.
#[derive(Serialize, Deserialize)]
pub(super) struct Target {
    pub(super) project: String,
    pub(super) url: String,
    pub(super) token: String,
}

pub(super) fn install(repository: &Path, target: &Target) -> anyhow::Result<PathBuf> {
    let opened = super::commits::open(repository)?;
    quickdraw_domain::hook::HookUrl::parse(&target.url).map_err(|error| anyhow::anyhow!("the URL {error}"))?;
    let folder = opened.git_dir();
    let settings = opened.config_snapshot();
    if let Some(elsewhere) = settings.string("core.hooksPath") {
        anyhow::bail!(
            "{} has its hooks in {elsewhere} (core.hooksPath), which other repositories may share; add the line \
             `quickdraw git-hook post-receive` there by hand",
            repository.display()
        );
    }
    let form = settings.string("extensions.refStorage");
    anyhow::ensure!(
        form.as_ref().is_none_or(|form| form.as_slice() == b"files"),
        "{} keeps its refs as {}, which quickdraw cannot read yet; `git refs migrate --ref-format=files` makes files of them",
        repository.display(),
        form.unwrap_or_default()
    );
    let hook = folder.join("hooks").join("post-receive");
    if let Ok(present) = std::fs::read_to_string(&hook) {
        anyhow::ensure!(
            present.contains(MARK),
            "{} exists and is not ours; add the line `quickdraw git-hook post-receive` to it by hand",
            hook.display()
        );
    }
    let mode = file_mode(&opened);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(folder.join(FILE))?;
    // It may have been there.
    file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    file.write_all(&serde_json::to_vec_pretty(target)?)?;
    let program = std::env::current_exe()?;
    let program = program.to_str().context("the path of this program is not UTF-8")?.replace('\'', "'\\''");
    std::fs::create_dir_all(folder.join("hooks"))?;
    std::fs::write(&hook, format!("#!/bin/sh\n{MARK}\nexec '{program}' git-hook post-receive\n"))?;
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755))?;
    Ok(hook)
}

/// Who may read and write what lies beside a repository: its owner, and its group where git lets that write (`core.sharedRepository`).
pub(super) fn file_mode(repository: &gix::Repository) -> u32 {
    let shared = repository.config_snapshot().string("core.sharedRepository").unwrap_or_default();
    match std::str::from_utf8(&shared).unwrap_or_default() {
        "" | "umask" | "false" | "0" | "no" | "off" => 0o600,
        _ => 0o660,
    }
}

pub(super) fn read(git_dir: &Path) -> anyhow::Result<Target> {
    let path = git_dir.join(FILE);
    let text = std::fs::read(&path)
        .with_context(|| format!("failed to read {}; run quickdraw git-hook install", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
}
