//! The space that is left on the disks of the data folder and of an SQLite database.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::findings::Findings;
use crate::settings::Config;

/// Less than this is worth a warning, in bytes: a server that cannot write accepts no events.
const LOW: u64 = 1 << 30;

/// The space of a file system.
#[derive(Clone, Copy)]
struct Space {
    left: u64,
    size: u64,
}

/// Shows the space that is left, once for each file system.
pub(super) fn show(config: &Config, findings: &mut Findings) {
    let folder = &config.server.data_dir;
    line("data folder", folder, findings);

    let Some(database) = database_folder(config) else {
        return;
    };
    if device(&database) != device(folder) {
        line("database", &database, findings);
    }
}

fn line(owner: &str, folder: &Path, findings: &mut Findings) {
    let topic = "disk";
    match space(folder) {
        Ok(space) => {
            let text = format!("{} of the {owner} {}", words(space), folder.display());
            if space.left < LOW {
                findings.warn(
                    topic,
                    format!("{text}; free or add space, or shorten history.retention"),
                );
            } else {
                findings.ok(topic, text);
            }
        }

        Err(error) => findings.warn(
            topic,
            format!("not shown for the {owner} {}: {error:#}", folder.display()),
        ),
    }
}

/// The folder of an SQLite database.
fn database_folder(config: &Config) -> Option<PathBuf> {
    let rest = config.database.url.expose().strip_prefix("sqlite:")?;
    let file = rest.split('?').next().unwrap_or(rest);
    let file = Path::new(file.strip_prefix("//").unwrap_or(file));
    file.parent().map(Path::to_owned)
}

/// The folder, or the nearest folder above it that exists, because the first start creates the rest.
fn existing(folder: &Path) -> PathBuf {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let found = whole.ancestors().find(|above| above.exists());
    found.unwrap_or(&whole).to_owned()
}

fn device(folder: &Path) -> Option<u64> {
    std::fs::metadata(existing(folder)).ok().map(|found| found.dev())
}

fn space(folder: &Path) -> anyhow::Result<Space> {
    let found = rustix::fs::statvfs(existing(folder)).context("failed to ask the file system")?;

    // Blocks that only root may use are not counted.
    Ok(Space {
        left: found.f_bavail.saturating_mul(found.f_frsize),
        size: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

fn words(Space { left, size }: Space) -> String {
    format!("{} of {} left on the disk", gibibytes(left), gibibytes(size))
}

/// A size in GiB with one digit after the point, rounded down.
fn gibibytes(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10) >> 30;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_down() {
        let check = |bytes: u64, expected: &str| assert_eq!(gibibytes(bytes), expected, "{bytes}");

        check(0, "0.0 GiB");
        check((1 << 30) - 1, "0.9 GiB");
        check(3 << 29, "1.5 GiB");
        check(u64::MAX, "17179869183.9 GiB");
    }

    #[test]
    fn a_folder_that_does_not_exist_has_the_space_of_the_folder_above() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("data/inner");
        assert_eq!(existing(&missing), folder.path());
        assert!(space(&missing).expect("a size").size > 0);
        assert_eq!(device(&missing), device(folder.path()));
    }
}
