//! The spool: reports that wait in the git directory until the server has accepted them. Each report is stored in a
//! file before it is sent. Reports are sent in the order of their creation.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use quickdraw_domain::Trigger;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::complain;
use super::install::{Target, file_mode};
use crate::client::{self, Refused};

/// Longest time that a push waits for the server.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Name of the spool, in the git directory.
const FOLDER: &str = "quickdraw-spool";
/// Lock file. The process that holds the lock sends the reports.
const LOCK: &str = "lock";
/// File that exists after the server did not accept a report. Its age limits the time that the next push waits.
const AWAY: &str = "away";
/// For this time after a failure, a push waits only `BRIEFLY`.
const REMEMBERED: Duration = Duration::from_secs(60);
const BRIEFLY: Duration = Duration::from_secs(1);
/// Age after which a partial file is deleted, because its writer must have died.
const HALF_WRITTEN: Duration = Duration::from_secs(86_400);
/// Maximum number of waiting reports, and of their bytes, so that an unreachable server cannot fill the disk.
const MAX_REPORTS: usize = 10_000;
const MAX_BYTES: u64 = 1 << 30;

/// Kind of reports that only hooks use. They are not sent if no hook subscribes to them.
pub(super) const ONLY_IF_SUBSCRIBED: Trigger = Trigger::REPOSITORY_UPDATE;

/// A stored report, with the key by which the server recognises a repeated request.
#[derive(Serialize, Deserialize)]
struct Waiting {
    key: String,
    report: Value,
}

/// The number of reports that were sent, and that still wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sent {
    pub(super) sent: usize,

    /// These wait for the next push or for `quickdraw git-hook send`.
    pub(super) left: usize,
}

/// The result of an attempt to send the oldest report.
enum Next {
    Sent,

    /// The report is not needed, or the server will never accept it.
    Gone,

    /// The server did not accept the report now, or the time is over.
    Later,
}

/// The spool of a repository.
pub(super) struct Spool {
    folder: PathBuf,
    mode: u32,

    /// A time-ordered id of this push, which sorts the reports of several processes, and the number of reports so far.
    begun: Uuid,
    made: usize,
}

impl Spool {
    /// Opens the spool. This happens before reports are composed, so that a short push does not overtake a long one
    /// that started earlier.
    pub(super) fn open(repository: &gix::Repository) -> anyhow::Result<Self> {
        let (folder, mode) = (repository.git_dir().join(FOLDER), file_mode(repository));
        if !folder.exists() {
            fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
            // A user who may read files also needs the right to list the folder.
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode | (mode & 0o440) >> 2))?;
        }

        Ok(Self {
            folder,
            mode,
            begun: Uuid::now_v7(),
            made: 0,
        })
    }

    /// Stores a report. It is on the disk when this returns.
    pub(super) fn add(&mut self, report: Value) -> anyhow::Result<()> {
        let waiting = self.waiting()?;
        let bytes: u64 = waiting
            .iter()
            .filter_map(|file| fs::metadata(file).ok())
            .map(|file| file.len())
            .sum();

        anyhow::ensure!(
            waiting.len() < MAX_REPORTS && bytes < MAX_BYTES,
            "{} reports already wait in {}; find out why the server does not accept them",
            waiting.len(),
            self.folder.display()
        );

        let text = serde_json::to_vec(&Waiting {
            key: Uuid::new_v4().to_string(),
            report,
        })?;

        self.made += 1;

        let name = format!("{}-{:06}", self.begun, self.made);
        let (partial, whole) = (
            self.folder.join(format!("{name}.partial")),
            self.folder.join(format!("{name}.json")),
        );

        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(self.mode)
            .open(&partial)?;
        file.set_permissions(fs::Permissions::from_mode(self.mode))?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&partial, &whole)?;

        File::open(&self.folder)?.sync_all().context("failed to sync the spool")
    }

    /// Deletes the spool with all reports that wait.
    pub(super) fn remove(self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.folder).with_context(|| format!("failed to remove {}", self.folder.display()))
    }

    /// The time that a push waits: `usual`, or less if the server failed shortly before.
    pub(super) fn patience(&self, usual: Duration) -> Duration {
        let was_away = age(&self.folder.join(AWAY)).is_some_and(|age| age < REMEMBERED);
        if was_away { usual.min(BRIEFLY) } else { usual }
    }

    /// Sends the waiting reports, oldest first, until the server does not accept one or the time is over. If another
    /// process holds the lock, that process sends them.
    pub(super) async fn send(&self, target: &Target, patience: Duration) -> anyhow::Result<Sent> {
        let begun = Instant::now();
        let mut until = begun + patience;

        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(self.mode)
            .open(self.folder.join(LOCK))?;

        let (mut sent, mut goes_on) = (0, true);

        // Another process may add a report and see the lock held, so the folder is read again after the lock is
        // released.
        while goes_on && !self.waiting()?.is_empty() && lock.try_lock().is_ok() {
            while let Some(file) = self.waiting()?.into_iter().next() {
                match self.send_one(target, &file, until).await? {
                    Next::Sent => {
                        sent += 1;
                        // The server answers, so the full time may be used.
                        until = begun + patience.max(PATIENCE);
                    }
                    Next::Gone => {}
                    Next::Later => {
                        goes_on = false;
                        break;
                    }
                }
            }

            self.tidy(goes_on)?;
            lock.unlock()?;
        }

        Ok(Sent {
            sent,
            left: self.waiting()?.len(),
        })
    }

    /// Records whether the server accepted all reports, and deletes partial files of processes that died.
    fn tidy(&self, is_there: bool) -> anyhow::Result<()> {
        let away = self.folder.join(AWAY);
        if is_there {
            // Usually the file does not exist.
            let _ = fs::remove_file(&away);
        } else {
            let mut options = File::options();

            // Only the time of the last change matters.
            options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(self.mode)
                .open(&away)?
                .write_all(b"\n")?;
        }

        for file in self.files("partial")? {
            if age(&file).is_some_and(|age| age > HALF_WRITTEN) {
                fs::remove_file(file)?;
            }
        }

        Ok(())
    }

    async fn send_one(&self, target: &Target, file: &Path, until: Instant) -> anyhow::Result<Next> {
        let left = || until.saturating_duration_since(Instant::now());
        let bytes = match fs::read(file) {
            Ok(bytes) => bytes,
            // The file belongs to another user if people share the repository and core.sharedRepository is not set.
            Err(error) => {
                complain(&format!(
                    "{} cannot be read ({error}); is core.sharedRepository set?",
                    file.display()
                ));

                return Ok(Next::Later);
            }
        };
        let read: Result<Waiting, _> = serde_json::from_slice(&bytes);

        let Ok(Waiting { key, report }) = read else {
            complain(&format!(
                "{} does not contain a report; it is set aside",
                file.display()
            ));

            fs::rename(file, file.with_extension("refused"))?;
            return Ok(Next::Gone);
        };

        let Target {
            url, token, project, ..
        } = target;
        if report["trigger"] == ONLY_IF_SUBSCRIBED.row().name
            && client::has_subscriber(url, token, project, ONLY_IF_SUBSCRIBED, left()).await == Some(false)
        {
            fs::remove_file(file)?;
            return Ok(Next::Gone);
        }

        if left().is_zero() {
            return Ok(Next::Later);
        }

        match client::report(url, token, project, &report, &key, left()).await {
            Ok(_) => {
                fs::remove_file(file)?;
                Ok(Next::Sent)
            }
            // A report that the server never accepts must not block the others.
            Err(error) if error.downcast_ref::<Refused>().is_some_and(Refused::is_for_good) => {
                complain(&format!(
                    "{error:#}; the report is set aside as {}",
                    file.with_extension("refused").display()
                ));

                fs::rename(file, file.with_extension("refused"))?;
                Ok(Next::Gone)
            }

            Err(error) => {
                complain(&format!("{error:#}"));
                Ok(Next::Later)
            }
        }
    }

    pub(super) fn waiting(&self) -> anyhow::Result<Vec<PathBuf>> {
        self.files("json")
    }

    fn files(&self, end: &str) -> anyhow::Result<Vec<PathBuf>> {
        let entries =
            fs::read_dir(&self.folder).with_context(|| format!("failed to read {}", self.folder.display()))?;
        let files = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()?;
        let mut files: Vec<PathBuf> = files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|known| known == end))
            .collect();

        files.sort();
        Ok(files)
    }
}

/// The time since the last change of a file.
fn age(file: &Path) -> Option<Duration> {
    fs::metadata(file).and_then(|file| file.modified()).ok()?.elapsed().ok()
}
