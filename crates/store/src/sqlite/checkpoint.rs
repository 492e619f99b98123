//! Copying the log into the file without keeping the writer from its work.
//!
//! A checkpoint flushes the whole file, which takes a hundred milliseconds on a bad day. So a thread of its own copies
//! what is in the log by then, while the writer goes on; what came in meanwhile is little, and the writer copies that
//! itself, between two commits. Then everything is in the file, and the log starts at its beginning.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::error::{Error, Result};

/// Pages in the log when the thread begins: half of what the log was made for.
const BEGIN_PAGES: i32 = (super::LOG_BYTES / super::PAGE_BYTES / 2) as i32;
/// Pages in the log when the writer waits for nobody any more, and copies them itself.
const ENOUGH_PAGES: i32 = BEGIN_PAGES * 8;

const IDLE: u8 = 0;
const COPYING: u8 = 1;
const COPIED: u8 = 2;

thread_local! {
    /// Pages in the log after this thread's last commit.
    static PAGES: Cell<i32> = const { Cell::new(0) };
}

pub(super) struct Checkpointer {
    progress: Arc<AtomicU8>,
    begin: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(path: PathBuf) -> Result<Self> {
        let progress = Arc::new(AtomicU8::new(IDLE));
        let (begin, begun) = sync_channel(1);
        let shared = Arc::clone(&progress);
        let thread = std::thread::Builder::new()
            .name("sqlite-checkpoint".into())
            .spawn(move || copy(&path, &begun, &shared))
            .map_err(Error::thread)?;

        Ok(Self {
            progress,
            begin: Some(begin),
            thread: Some(thread),
        })
    }

    /// Has a connection report the length of the log, instead of copying by itself.
    pub(super) fn watch(connection: &Connection) {
        connection.wal_hook(Some(|_, pages| {
            PAGES.set(pages);
            Ok(())
        }));
    }

    /// Called on the writer's thread after a commit, when every caller has its answer.
    pub(super) fn after_commit(&self, connection: &Connection) {
        let pages = PAGES.get();
        let progress = self.progress.load(Ordering::Acquire);

        if progress == COPIED || pages >= ENOUGH_PAGES {
            passive(connection);
            if progress == COPIED {
                self.progress.store(IDLE, Ordering::Release);
            }
        } else if progress == IDLE && pages >= BEGIN_PAGES {
            self.progress.store(COPYING, Ordering::Release);

            // The thread takes each signal before the next can be sent.
            let _ = self.begin.as_ref().map(|begin| begin.try_send(()));
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.begin.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn copy(path: &Path, begun: &Receiver<()>, progress: &AtomicU8) {
    let mut connection: Option<Connection> = None;
    while begun.recv().is_ok() {
        if connection.is_none() {
            match super::connect(path) {
                Ok(fresh) => connection = Some(fresh),
                Err(error) => tracing::warn!(%error, "failed to open the database for a checkpoint"),
            }
        }

        if let Some(connection) = &connection {
            passive(connection);
        }

        // Also after a failure: then the writer copies all of it.
        progress.store(COPIED, Ordering::Release);
    }
}

/// Copies what no reader needs in the log any more. One that cannot be done now is done next time.
fn passive(connection: &Connection) {
    let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    if let Err(error) = copied {
        tracing::warn!(%error, "failed to copy the log into the database file");
    }
}
