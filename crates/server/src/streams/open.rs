//! The open streams of this node: who follows which events, and how far each stream is. They are in memory only,
//! because a stream ends with its connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use quickdraw_domain::scope::Scope;
use quickdraw_domain::{Timestamp, Trigger};
use tokio::sync::watch;

/// The open streams, by number.
#[derive(Default)]
pub(crate) struct OpenStreams(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The last number that was given to a stream.
    last: i64,
    streams: BTreeMap<i64, Arc<OpenStream>>,
}

/// The settings of a stream that is opened.
pub(crate) struct NewStream {
    /// Username of the user who opens it.
    pub(crate) user: String,
    pub(crate) scope: Scope,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) has_filter: bool,
    pub(crate) opened_at: Timestamp,
}

/// An open stream.
pub(crate) struct OpenStream {
    pub(crate) id: i64,
    pub(crate) of: NewStream,
    progress: Mutex<Progress>,
    end: watch::Sender<bool>,
}

/// The progress of a stream.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Progress {
    /// The last position that was sent, or that of the start.
    pub(crate) position: String,

    /// The batch of the journal that the position names.
    pub(crate) batch: i64,

    /// Number of events that were sent.
    pub(crate) sent: u64,

    /// Time of the last event.
    pub(crate) sent_at: Option<Timestamp>,
}

impl OpenStreams {
    /// Adds a stream until the returned value is dropped.
    pub(crate) fn add(self: &Arc<Self>, of: NewStream) -> Listed {
        let mut known = self.0.lock();
        known.last += 1;

        let stream = Arc::new(OpenStream {
            id: known.last,
            of,
            progress: Mutex::default(),
            end: watch::Sender::new(false),
        });
        known.streams.insert(stream.id, Arc::clone(&stream));
        Listed {
            open: Arc::clone(self),
            stream,
        }
    }

    /// All streams, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<OpenStream>> {
        self.0.lock().streams.values().cloned().collect()
    }

    /// Finds a stream.
    pub(crate) fn find(&self, id: i64) -> Option<Arc<OpenStream>> {
        self.0.lock().streams.get(&id).cloned()
    }
}

impl OpenStream {
    pub(crate) fn progress(&self) -> Progress {
        self.progress.lock().clone()
    }

    /// Ends the stream. Its client can connect again.
    pub(crate) fn end(&self) {
        self.end.send_replace(true);
    }
}

/// A stream that is in the list until this value is dropped.
pub(crate) struct Listed {
    open: Arc<OpenStreams>,
    stream: Arc<OpenStream>,
}

impl Listed {
    /// Becomes true when the stream must end.
    pub(crate) fn ending(&self) -> watch::Receiver<bool> {
        self.stream.end.subscribe()
    }

    /// Notes a position that was sent.
    pub(crate) fn moved(&self, position: String, batch: i64) {
        let mut progress = self.stream.progress.lock();
        progress.position = position;
        progress.batch = batch;
    }

    /// Notes an event that was sent.
    pub(crate) fn sent(&self, now: Timestamp) {
        let mut progress = self.stream.progress.lock();
        progress.sent += 1;
        progress.sent_at = Some(now);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.open.0.lock().streams.remove(&self.stream.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> NewStream {
        NewStream {
            user: "ida".to_owned(),
            scope: Scope::Instance,
            triggers: Vec::new(),
            has_filter: false,
            opened_at: Timestamp::default(),
        }
    }

    #[test]
    fn a_stream_is_listed_with_its_progress_until_it_ends() {
        let open = Arc::new(OpenStreams::default());
        let (one, other) = (open.add(stream()), open.add(stream()));
        one.moved("7-1".to_owned(), 7);
        one.sent(Timestamp::from_seconds(3));

        let progress = open.all()[0].progress();
        assert_eq!((progress.position.as_str(), progress.sent), ("7-1", 1));

        drop(one);
        assert_eq!(open.all().len(), 1);
        assert!(open.find(1).is_none(), "numbers are not used again");
        drop(other);
    }

    #[test]
    fn a_stream_learns_that_it_must_end() {
        let open = Arc::new(OpenStreams::default());
        let listed = open.add(stream());
        let ending = listed.ending();
        assert!(!*ending.borrow());

        open.find(1).expect("an open stream").end();
        assert!(*ending.borrow());
    }
}
