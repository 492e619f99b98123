//! Duplicates: several events with one body, because several webhooks of a GitLab lead here. The first is delivered,
//! the others are only stored.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use quickdraw_domain::scope::Place;
use quickdraw_domain::{EventId, Timestamp};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::Relay;

/// Within this time, an event with the same body from another webhook is the same event.
const WINDOW: Duration = Duration::from_secs(60);

/// Maximum number of bodies that are remembered for that.
const MAX_BODIES: usize = 20_000;

type Hash = [u8; 16];

/// The progress of the first of several copies.
#[derive(Clone, Copy)]
enum Progress {
    /// It is being committed.
    OnItsWay,

    /// It was committed under this number.
    Committed(EventId),

    /// It was not committed.
    Failed,
}

fn hash_of(before: &[u8], text: &[u8]) -> Hash {
    let digest = Sha256::new()
        .chain_update(before)
        .chain_update([0])
        .chain_update(text)
        .finalize();

    let mut hash = [0; 16];
    hash.copy_from_slice(&digest[..16]);
    hash
}

#[derive(Default)]
pub(super) struct Duplicates {
    bodies: HashMap<Hash, First>,
    order: VecDeque<(Timestamp, Hash)>,
}

/// The first of what may be several events with one body.
struct First {
    key: Hash,
    at: Timestamp,
    progress: watch::Receiver<Progress>,
}

/// The first of several copies of a body, while it is being committed. A copy that is cut off on its way is forgotten,
/// so that the next copy takes its place.
pub(super) struct OnItsWay<'a> {
    relay: &'a Relay,
    hash: Hash,
    progress: Option<watch::Sender<Progress>>,
}

impl OnItsWay<'_> {
    /// Reports to the other copies under which number this one was committed, or that it was not.
    pub(super) fn ended(mut self, committed: Option<EventId>) {
        let Some(progress) = self.progress.take() else { return };
        let end = committed.map_or(Progress::Failed, Progress::Committed);
        if matches!(end, Progress::Failed) {
            self.relay.duplicates.lock().bodies.remove(&self.hash);
        }

        let _ = progress.send(end);
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if self.progress.is_some() {
            self.relay.duplicates.lock().bodies.remove(&self.hash);
        }
    }
}

impl Relay {
    /// The event that a received body duplicates; otherwise the entry that reports how this first copy ended.
    pub(super) async fn duplicate_of(
        &self,
        key: &str,
        place: Place,
        body: &[u8],
    ) -> (Option<EventId>, Option<OnItsWay<'_>>) {
        let hash = hash_of(format!("{place:?}").as_bytes(), body);
        let key = hash_of(b"", key.as_bytes());
        let now = self.context.clock.now();
        let (sender, progress) = watch::channel(Progress::OnItsWay);

        let known = {
            let mut known = self.duplicates.lock();
            known.forget(now);

            match known.bodies.get(&hash) {
                // The same key is a duplicate, which the journal knows.
                Some(first) if first.key == key => return (None, None),
                Some(first) => Some(first.progress.clone()),
                None => {
                    known.order.push_back((now, hash));
                    known.bodies.insert(hash, First { key, at: now, progress });
                    None
                }
            }
        };

        let Some(mut progress) = known else {
            return (
                None,
                Some(OnItsWay {
                    relay: self,
                    hash,
                    progress: Some(sender),
                }),
            );
        };

        // It may be on its way to the disk. If it does not get there, this one takes its place.
        let has_ended = |progress: &Progress| !matches!(progress, Progress::OnItsWay);
        match progress.wait_for(has_ended).await.map(|end| *end) {
            Ok(Progress::Committed(first)) => (Some(first), None),
            _ => (None, None),
        }
    }
}

impl Duplicates {
    fn forget(&mut self, now: Timestamp) {
        while let Some((at, hash)) = self.order.front().copied()
            && (now.since(at) > WINDOW || self.order.len() >= MAX_BODIES)
        {
            self.order.pop_front();
            if self.bodies.get(&hash).is_some_and(|first| first.at == at) {
                self.bodies.remove(&hash);
            }
        }
    }
}
