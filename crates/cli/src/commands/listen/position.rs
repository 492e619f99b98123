//! The file that stores the position of a listener.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;

use crate::commands::write_whole;

/// A file with a position and its stream. A position of another stream would skip or repeat events.
pub(super) struct PositionFile<'a> {
    pub(super) file: &'a Path,

    /// The URL of the stream, with its filters.
    pub(super) stream: &'a str,
}

impl PositionFile<'_> {
    /// Reads the position. `None` if the file does not exist. An empty or damaged file is an error, because starting
    /// over could lose events.
    pub(super) fn read(&self) -> anyhow::Result<Option<String>> {
        let name = self.file.display();
        let text = match std::fs::read_to_string(self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("failed to read {name}")),
        };
        let (position, stream) = text.trim().split_once(' ').with_context(|| {
            format!("{name} does not contain a position; remove it to start over, or also give --since")
        })?;

        anyhow::ensure!(
            stream == self.stream,
            "{name} contains a position of the stream {stream}, and this stream is {}; name another file",
            self.stream
        );

        Ok(Some(position.to_owned()))
    }

    /// Writes the file atomically, because a part of a position would be a valid other position.
    pub(super) fn write(&self, position: &str) -> anyhow::Result<()> {
        write_whole(self.file, format!("{position} {}\n", self.stream).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_belongs_to_its_stream_and_an_empty_file_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("taken.txt");
        let of = |stream| PositionFile { file: &file, stream };
        assert_eq!(of("http://a/?trigger=x").read().expect("no file"), None);
        of("http://a/?trigger=x").write("12-3").expect("written");
        of("http://a/?trigger=x").write("13-0").expect("written");
        assert_eq!(of("http://a/?trigger=x").read().expect("read").as_deref(), Some("13-0"));

        assert!(
            of("http://b/")
                .read()
                .is_err_and(|error| error.to_string().contains("name another file"))
        );

        std::fs::write(&file, "").expect("written");
        assert!(
            of("http://b/")
                .read()
                .is_err_and(|error| error.to_string().contains("does not contain a position"))
        );
    }
}
