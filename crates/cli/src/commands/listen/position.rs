//! Where a listener is, in a file of its own.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;

use crate::commands::write_whole;

/// A file with a position and the stream that it is of: one of another stream would pass over events, or repeat them.
pub(super) struct PositionFile<'a> {
    pub(super) file: &'a Path,
    /// The stream's address, with what chooses its events.
    pub(super) stream: &'a str,
}

impl PositionFile<'_> {
    /// Nothing where there is no file yet. A file that says nothing is an error, and not a beginning.
    pub(super) fn read(&self) -> anyhow::Result<Option<String>> {
        let name = self.file.display();
        let text = match std::fs::read_to_string(self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("failed to read {name}")),
        };
        let (position, stream) = text.trim().split_once(' ').with_context(|| {
            format!("{name} holds no position; remove it to begin anew, with --since for what was received meanwhile")
        })?;
        anyhow::ensure!(
            stream == self.stream,
            "{name} holds the position in {stream}, and this is {}; name another file",
            self.stream
        );
        Ok(Some(position.to_owned()))
    }

    /// Whole or not at all: half a position would be another one.
    pub(super) fn write(&self, position: &str) -> anyhow::Result<()> {
        write_whole(self.file, format!("{position} {}\n", self.stream).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_kept_with_its_stream_and_nothing_is_no_beginning() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("taken.txt");
        let of = |stream| PositionFile { file: &file, stream };
        assert_eq!(of("http://a/?trigger=x").read().expect("no file"), None);
        of("http://a/?trigger=x").write("12-3").expect("written");
        of("http://a/?trigger=x").write("13-0").expect("written");
        assert_eq!(of("http://a/?trigger=x").read().expect("read").as_deref(), Some("13-0"));
        assert!(of("http://b/").read().is_err_and(|error| error.to_string().contains("name another file")));
        std::fs::write(&file, "").expect("written");
        assert!(of("http://b/").read().is_err_and(|error| error.to_string().contains("holds no position")));
    }
}
