//! The profile that `quickdraw login` saves: the address of a server, and a token for it.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::private_file;

/// A server, and a token that is sent to no other server.
#[derive(Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) server: String,
    pub(crate) token: String,
}

impl Profile {
    /// The file of the profile.
    pub(crate) fn path() -> anyhow::Result<PathBuf> {
        let folder = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let folder = folder.filter(|folder| folder.is_absolute());

        let folder = match folder {
            Some(folder) => folder,
            None => {
                let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
                PathBuf::from(home.context("set HOME or XDG_CONFIG_HOME to a folder for the profile")?).join(".config")
            }
        };

        Ok(folder.join("quickdraw").join("profile.json"))
    }

    /// Reads the profile, if there is one.
    pub(crate) fn read() -> anyhow::Result<Option<Self>> {
        let Ok(path) = Self::path() else { return Ok(None) };
        if !path.exists() {
            return Ok(None);
        }

        let text = private_file::read(&path)?;
        let profile = serde_json::from_str(&text);
        let profile = profile.with_context(|| format!("{} is damaged; run quickdraw login", path.display()))?;
        Ok(Some(profile))
    }

    /// Writes the profile into a file that only its owner can read.
    pub(crate) fn write(&self) -> anyhow::Result<PathBuf> {
        let path = Self::path()?;
        if let Some(folder) = path.parent() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.with_context(|| format!("failed to create {}", folder.display()))?;
        }

        private_file::write(&path, &serde_json::to_string(self)?)?;
        Ok(path)
    }

    /// Returns true if the profile is for this server.
    pub(super) fn is_for(&self, url: &str) -> bool {
        self.server.trim_end_matches('/') == url.trim_end_matches('/')
    }
}
