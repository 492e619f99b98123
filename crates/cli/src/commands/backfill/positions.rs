//! The file that stores the positions of a backfill, so that an interrupted run can continue.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;

use crate::commands::write_whole;

/// Positions by the key of their list, stored in a file.
pub(super) struct Positions {
    file: PathBuf,
    known: BTreeMap<String, String>,
}

impl Positions {
    /// Reads the file. There are no positions if the file does not exist.
    pub(super) fn read(file: PathBuf) -> anyhow::Result<Self> {
        let known = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", file.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("failed to read {}", file.display())),
        };
        Ok(Self { file, known })
    }

    pub(super) fn get(&self, of: &str) -> Option<&str> {
        self.known.get(of).map(String::as_str)
    }

    /// Changes a position and writes the file atomically.
    pub(super) fn set(&mut self, of: &str, position: &str) -> anyhow::Result<()> {
        self.known.insert(of.to_owned(), position.to_owned());
        write_whole(&self.file, &serde_json::to_vec_pretty(&self.known)?)
    }
}
