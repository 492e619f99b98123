//! Threads with a connection each. Readers see the last commit and never wait for the writer.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::telemetry;

type Job = Box<dyn FnOnce(&Connection) + Send>;

pub(super) struct Readers {
    jobs: Mutex<Option<Sender<Job>>>,
}

impl Readers {
    pub(super) fn start(connections: Vec<Connection>) -> Result<Self> {
        let (jobs, waiting) = channel();
        let waiting = Arc::new(Mutex::new(waiting));

        for connection in connections {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new()
                .name("sqlite-reader".into())
                .spawn(move || work(&connection, &waiting))
                .map_err(Error::thread)?;
        }

        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
        })
    }

    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        telemetry::called("sqlite");

        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| drop(answer.send(job(connection))));
        let closed = || Error::unavailable("the store is closed");
        match &*self.jobs.lock() {
            Some(jobs) => jobs.send(job).map_err(|_| closed())?,
            None => return Err(closed()),
        }

        answered.await.map_err(|_| closed())?
    }

    pub(super) fn stop(&self) {
        drop(self.jobs.lock().take());
    }
}

fn work(connection: &Connection, waiting: &Mutex<Receiver<Job>>) {
    loop {
        let job = waiting.lock().recv();
        match job {
            // The caller gets an error, because its answer is dropped. The thread goes on.
            Ok(job) => drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                job(connection)
            }))),
            Err(_) => return,
        }
    }
}
