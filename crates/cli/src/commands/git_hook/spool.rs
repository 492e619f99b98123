//! Reports that wait beside the repository until the server has them: each is a file before it is sent, and goes in the order in which
//! they were made.

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

/// Beside the repository's own files.
const FOLDER: &str = "quickdraw-spool";
/// Who holds it sends.
const LOCK: &str = "lock";
/// There while the server did not take reports: when it last did not, people have waited for that already.
const AWAY: &str = "away";
/// For so long after that, a push waits only this long for it.
const REMEMBERED: Duration = Duration::from_secs(60);
const BRIEFLY: Duration = Duration::from_secs(1);
/// What a process that died left half written is of no use after this.
const HALF_WRITTEN: Duration = Duration::from_secs(86_400);
/// Most reports that wait, and most bytes of them: a server that never comes back must not fill the disk.
const MOST: usize = 10_000;
const MOST_BYTES: u64 = 1 << 30;

/// Only a hook can use reports of this kind: they are not sent where no hook subscribes to them.
pub(super) const ONLY_IF_SUBSCRIBED: Trigger = Trigger::REPOSITORY_UPDATE;

/// A report with the key under which the server takes it once.
#[derive(Serialize, Deserialize)]
struct Waiting {
    key: String,
    report: Value,
}

/// What became of those that waited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sent {
    pub(super) sent: usize,
    /// They wait for the next push, or for `quickdraw git-hook send`.
    pub(super) left: usize,
}

/// What became of the oldest of them.
enum Next {
    Sent,
    /// It is of no use, or can never be taken.
    Gone,
    /// The server does not take it now, or the time is over.
    Later,
}

/// The reports of a repository that wait.
pub(super) struct Spool {
    folder: PathBuf,
    mode: u32,
    /// When this push began, in the order of time also of several processes, and how many reports it made.
    begun: Uuid,
    made: usize,
}

impl Spool {
    /// Opened before the reports are made: that of a short push may be made before that of a long one that came first.
    pub(super) fn open(repository: &gix::Repository) -> anyhow::Result<Self> {
        let (folder, mode) = (repository.git_dir().join(FOLDER), file_mode(repository));
        if !folder.exists() {
            fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
            // Whoever may read or write may list.
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode | (mode & 0o440) >> 2))?;
        }
        Ok(Self { folder, mode, begun: Uuid::now_v7(), made: 0 })
    }

    /// Writes a report down. It is on the disk when this returns.
    pub(super) fn add(&mut self, report: Value) -> anyhow::Result<()> {
        let waiting = self.waiting()?;
        let bytes: u64 = waiting.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum();
        anyhow::ensure!(
            waiting.len() < MOST && bytes < MOST_BYTES,
            "{} reports wait in {} already; look why the server does not take them",
            waiting.len(),
            self.folder.display()
        );
        let text = serde_json::to_vec(&Waiting { key: Uuid::new_v4().to_string(), report })?;
        self.made += 1;
        let name = format!("{}-{:06}", self.begun, self.made);
        let (partial, whole) = (self.folder.join(format!("{name}.partial")), self.folder.join(format!("{name}.json")));
        let mut file = File::options().write(true).create_new(true).mode(self.mode).open(&partial)?;
        file.set_permissions(fs::Permissions::from_mode(self.mode))?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&partial, &whole)?;
        File::open(&self.folder)?.sync_all().context("failed to write the spool down")
    }

    /// How long a push should wait, which would wait so long.
    pub(super) fn patience(&self, usual: Duration) -> Duration {
        let was_away = age(&self.folder.join(AWAY)).is_some_and(|age| age < REMEMBERED);
        if was_away { usual.min(BRIEFLY) } else { usual }
    }

    /// Sends what waits, the oldest first, until the server does not take one or the time is over. Where another process does so already,
    /// that one sends these too.
    pub(super) async fn send(&self, target: &Target, patience: Duration) -> anyhow::Result<Sent> {
        let begun = Instant::now();
        let mut until = begun + patience;
        let lock =
            File::options().write(true).create(true).truncate(false).mode(self.mode).open(self.folder.join(LOCK))?;
        let (mut sent, mut goes_on) = (0, true);
        // Others may add while we send, and see that we do until we let go: so it is looked once more after that.
        while goes_on && !self.waiting()?.is_empty() && lock.try_lock().is_ok() {
            while let Some(file) = self.waiting()?.into_iter().next() {
                match self.send_one(target, &file, until).await? {
                    Next::Sent => {
                        sent += 1;
                        // It is there: worth the whole time.
                        until = begun + patience.max(super::PATIENCE);
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
        Ok(Sent { sent, left: self.waiting()?.len() })
    }

    /// Notes whether the server took everything, and throws away what nobody finished writing.
    fn tidy(&self, is_there: bool) -> anyhow::Result<()> {
        let away = self.folder.join(AWAY);
        if is_there {
            // It may not be there.
            let _ = fs::remove_file(&away);
        } else {
            let mut options = File::options();
            // When it was written is what counts.
            options.write(true).create(true).truncate(true).mode(self.mode).open(&away)?.write_all(b"\n")?;
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
            // Another user's, where the repository is shared and git does not know.
            Err(error) => {
                complain(&format!("{} cannot be read ({error}); is core.sharedRepository set?", file.display()));
                return Ok(Next::Later);
            }
        };
        let read: Result<Waiting, _> = serde_json::from_slice(&bytes);
        let Ok(Waiting { key, report }) = read else {
            complain(&format!("{} is no report, and is set aside", file.display()));
            fs::rename(file, file.with_extension("refused"))?;
            return Ok(Next::Gone);
        };
        let Target { url, token, project } = target;
        if report["trigger"] == ONLY_IF_SUBSCRIBED.row().name
            && client::is_heard(url, token, project, ONLY_IF_SUBSCRIBED, left()).await == Some(false)
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
            // What cannot be taken as it is would hold up everything behind it.
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

    fn waiting(&self) -> anyhow::Result<Vec<PathBuf>> {
        self.files("json")
    }

    fn files(&self, end: &str) -> anyhow::Result<Vec<PathBuf>> {
        let entries =
            fs::read_dir(&self.folder).with_context(|| format!("failed to read {}", self.folder.display()))?;
        let files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
        let mut files: Vec<PathBuf> =
            files.into_iter().filter(|file| file.extension().is_some_and(|known| known == end)).collect();
        files.sort();
        Ok(files)
    }
}

/// How long ago a file was changed.
fn age(file: &Path) -> Option<Duration> {
    fs::metadata(file).and_then(|file| file.modified()).ok()?.elapsed().ok()
}
