//! Putting the hook into a repository, and finding again what it reports to.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// Beside the repository's own files; readable by its owner only, because of the token.
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
    let hook = folder.join("hooks").join("post-receive");
    if let Ok(present) = std::fs::read_to_string(&hook) {
        anyhow::ensure!(
            present.contains(MARK),
            "{} exists and is not ours; add the line `quickdraw git-hook post-receive` to it by hand",
            hook.display()
        );
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(folder.join(FILE))?;
    file.write_all(&serde_json::to_vec_pretty(target)?)?;
    let program = std::env::current_exe()?;
    let program = program.to_str().context("the path of this program is not UTF-8")?.replace('\'', "'\\''");
    std::fs::create_dir_all(folder.join("hooks"))?;
    std::fs::write(&hook, format!("#!/bin/sh\n{MARK}\nexec '{program}' git-hook post-receive\n"))?;
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755))?;
    Ok(hook)
}

pub(super) fn read(git_dir: &Path) -> anyhow::Result<Target> {
    let path = git_dir.join(FILE);
    let text = std::fs::read(&path)
        .with_context(|| format!("failed to read {}; run quickdraw git-hook install", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
}
