//! The one thread that writes. It takes every job that is waiting, runs them in one transaction, flushes once, and only
//! then answers. No timer: a batch is what arrived while the last commit was running.
//!
//! Invariant: no answer leaves before the flush that covers it. When a commit fails, every caller of the batch gets the
//! error, the connection is opened again, and the state in memory is read again, because after a failed flush the state
//! of the disk is not known.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpoint::Checkpointer;
use super::claims::Claims;
use super::keys::Keys;
use crate::error::{Error, Result};
use crate::telemetry::{self, COMMIT_JOBS, COMMIT_SECONDS};

/// Maximum number of jobs that share a transaction: bounds how long the first of them waits.
const MAX_JOBS: usize = 64;
/// Maximum number of jobs that wait. Each is a batch already; more means that the disk does not keep up, and callers
/// get an error.
const MAX_WAITING: usize = 1024;

/// The tools of a job: the open transaction, and the state that this process keeps in memory beside the file.
pub(super) struct Tx<'a> {
    pub(super) connection: &'a Connection,
    pub(super) keys: &'a mut Keys,
    pub(super) claims: &'a mut Claims,
}

/// Answers a caller, once the fate of the commit is known.
type Answer = Box<dyn FnOnce(std::result::Result<(), &Error>) + Send>;
/// Gives the answer, and whether the transaction may still be committed.
type Job = Box<dyn FnOnce(&mut Tx<'_>) -> (Answer, Result<()>) + Send>;

/// The effect of a failed job on the other jobs of its transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failing {
    /// Only its own changes go. It costs a copy of every page that the job touches.
    Alone,

    /// The whole transaction is rolled back. For the steps of the pipeline, which fail only when the engine does.
    Together,
}

pub(super) struct Writer {
    jobs: Mutex<Option<SyncSender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, path: PathBuf) -> Result<Self> {
        let (jobs, waiting) = sync_channel(MAX_WAITING);
        let checkpointer = Checkpointer::start(path.clone())?;
        let mut state = State::load(connection, path)?;
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || state.work(&waiting, &checkpointer))
            .map_err(Error::thread)?;

        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        failing: Failing,
        job: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        telemetry::called("sqlite");

        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |tx| {
            // A job that panics must not take the writer along.
            let run = AssertUnwindSafe(|| match failing {
                Failing::Alone => in_savepoint(tx, job),
                Failing::Together => job(tx),
            });
            let (result, failing) = match catch_unwind(run) {
                Ok(result) => (result, failing),
                Err(_) => (Err(Error::panicked()), Failing::Together),
            };

            let keep = match (&result, failing) {
                (Err(error), Failing::Together) => Err(error.clone()),
                _ => Ok(()),
            };

            let answer: Answer = Box::new(move |commit| {
                // The caller may have gone; what was committed stays committed.
                let _ = answer.send(commit.map_err(Clone::clone).and(result));
            });

            (answer, keep)
        });

        let sent = match &*self.jobs.lock() {
            Some(jobs) => jobs.try_send(job),
            None => Err(TrySendError::Disconnected(job)),
        };

        match sent {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(Error::Busy("too many writes are waiting".into())),
            Err(TrySendError::Disconnected(_)) => return Err(Error::unavailable("the store is closed")),
        }

        answered.await.map_err(|_| Error::unavailable("the store is closed"))?
    }

    /// Ends the thread after everything that waits has been committed.
    pub(super) fn stop(&self) {
        drop(self.jobs.lock().take());

        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // A panic of the writer has already failed every job in flight.
            let _ = thread.join();
        }
    }
}

fn in_savepoint<T>(tx: &mut Tx<'_>, job: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
    tx.connection.execute_batch("SAVEPOINT job")?;

    let result = job(tx);
    if result.is_err() {
        tx.connection.execute_batch("ROLLBACK TO job")?;
    }

    tx.connection.execute_batch("RELEASE job")?;
    result
}

struct State {
    connection: Option<Connection>,
    path: PathBuf,
    keys: Keys,
    claims: Claims,

    /// The last commit failed: that is logged once, and once more when one succeeds.
    failing: bool,
}

impl State {
    fn load(connection: Connection, path: PathBuf) -> Result<Self> {
        Checkpointer::watch(&connection);

        let keys = Keys::load(&connection)?;
        Ok(Self {
            connection: Some(connection),
            path,
            keys,
            claims: Claims::default(),
            failing: false,
        })
    }

    fn work(&mut self, waiting: &Receiver<Job>, checkpointer: &Checkpointer) {
        while let Ok(first) = waiting.recv() {
            let started = Instant::now();
            let (answers, committed) = self.commit(first, waiting);
            metrics::histogram!(COMMIT_JOBS).record(f64::from(u32::try_from(answers.len()).unwrap_or(u32::MAX)));
            metrics::histogram!(COMMIT_SECONDS, "engine" => "sqlite").record(started.elapsed());

            match &committed {
                Ok(()) if self.failing => tracing::warn!("commits succeed again"),
                Ok(()) => {}
                Err(error) => {
                    if !self.failing {
                        tracing::error!(%error, "a commit failed; the database is opened again until one succeeds");
                    }

                    self.connection = None;
                }
            }

            self.failing = committed.is_err();
            for answer in answers {
                answer(committed.as_ref().copied());
            }

            if let Some(connection) = &self.connection {
                checkpointer.after_commit(connection);
            }
        }
    }

    /// Runs a job, and every other that is waiting by the time it is done, and flushes once for all of them.
    fn commit(&mut self, first: Job, waiting: &Receiver<Job>) -> (Vec<Answer>, Result<()>) {
        let Self {
            connection,
            path,
            keys,
            claims,
            ..
        } = self;

        // The caller of a dropped job gets the error that the store is closed.
        let refuse = |job: Job, error: Error| {
            drop(job);
            (Vec::new(), Err(error))
        };

        if connection.is_none() {
            match super::connect(path).and_then(|connection| Self::load(connection, path.clone())) {
                Ok(fresh) => {
                    *connection = fresh.connection;
                    *keys = fresh.keys;

                    // Leases of the batch that failed are not known to be on disk: what they claimed is due again, and
                    // a settle under them is refused.
                    *claims = Claims::default();
                }
                Err(error) => return refuse(first, error),
            }
        }

        let Some(connection) = connection else {
            return refuse(first, Error::unavailable("not open"));
        };
        if let Err(error) = connection
            .prepare_cached("BEGIN IMMEDIATE")
            .and_then(|mut begin| begin.execute([]))
        {
            return refuse(first, error.into());
        }

        let mut tx = Tx {
            connection,
            keys,
            claims,
        };
        let (answer, mut kept) = first(&mut tx);
        let mut answers = vec![answer];

        while answers.len() < MAX_JOBS
            && kept.is_ok()
            && let Ok(job) = waiting.try_recv()
        {
            let (answer, keep) = job(&mut tx);
            answers.push(answer);
            kept = keep;
        }

        let committed = kept.and_then(|()| {
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(())
        });
        if committed.is_err() {
            // Harmless when a failed commit has already rolled back.
            let _ = connection.execute_batch("ROLLBACK");
        }

        (answers, committed)
    }
}
