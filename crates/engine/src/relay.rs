//! Received events: where they belong, whose twins they are, and the way to the journal. From there they fan out like any
//! other, so a receiver and hooks make a relay.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quickdraw_domain::event::{DedupeKey, SeenProject, SeenUser, Source, Whereabouts};
use quickdraw_domain::receiver::Receiver;
use quickdraw_domain::recursion;
use quickdraw_domain::scope::Place;
use quickdraw_domain::{EventId, GroupId, NodeId, ReceiverId, Timestamp, Trigger};
use quickdraw_store::Error;
use quickdraw_store::events::Appended;
use quickdraw_store::known::apart;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use uuid::Uuid;

use crate::belt::Belt;
use crate::ingest::{Arrival, Origin};
use crate::lock;
use crate::telemetry;

/// Within which time an event by way of another hook is the same event.
const TWIN_WINDOW: Duration = Duration::from_secs(60);
/// Most bodies that are remembered for that.
const MOST_BODIES: usize = 20_000;
/// Requests of a receiver that are kept.
const MOST_REQUESTS: usize = 100;
/// Most users that wait to be taken up, and most that are remembered as known.
const MOST_FRESH: usize = 1_000;
const MOST_KNOWN: usize = 100_000;
/// How long the requests are kept that nodes saw which are gone.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// An event as it was received.
pub struct Received<'a> {
    /// By which receiver.
    pub receiver: &'a Receiver,
    /// What kind it is.
    pub trigger: Trigger,
    /// `X-Gitlab-Event`, as sent.
    pub sent_as: Option<&'a str>,
    /// `X-Gitlab-Instance`, as sent.
    pub instance: Option<&'a str>,
    /// `X-Gitlab-Event-UUID`.
    pub chain: Option<Uuid>,
    /// Full ref name, for pushes.
    pub git_ref: Option<String>,
    /// What recognises a second copy.
    pub key: Option<String>,
    /// The exact bytes.
    pub body: &'a [u8],
}

/// A request as a receiver saw it, refused or not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SeenRequest {
    /// When it came, in microseconds since 1970.
    pub at: i64,
    /// Whose it was.
    pub address: String,
    /// What it was answered.
    pub status: u16,
    /// Why it was refused, or that it was a duplicate or a twin.
    pub note: Option<String>,
    /// `X-Gitlab-Event`, as sent.
    pub event: Option<String>,
    /// Bytes of its body, as far as it was read.
    pub bytes: usize,
    /// The event that it became.
    pub event_id: Option<Uuid>,
}

/// What this node remembers of what it received.
#[derive(Default)]
pub(crate) struct Relay {
    twins: Mutex<Twins>,
    users: Mutex<Users>,
    requests: Mutex<HashMap<ReceiverId, Requests>>,
}

#[derive(Default)]
struct Requests {
    last: VecDeque<SeenRequest>,
    changed: bool,
}

#[derive(Default)]
struct Users {
    known: HashSet<String>,
    fresh: Vec<SeenUser>,
}

/// Where a received event goes.
enum Destination {
    /// To a place here.
    Place(Place),
    /// Nowhere: it repeats this event.
    Repeats(EventId),
}

type Hash = [u8; 16];

/// Where it is told what became of the first of several: under which number it was committed, or not at all.
type Outcome = watch::Sender<Option<Option<EventId>>>;

fn hash_of(before: &[u8], text: &[u8]) -> Hash {
    let digest = Sha256::new().chain_update(before).chain_update([0]).chain_update(text).finalize();
    let mut hash = [0; 16];
    hash.copy_from_slice(&digest[..16]);
    hash
}

#[derive(Default)]
struct Twins {
    bodies: HashMap<Hash, First>,
    order: VecDeque<(Timestamp, Hash)>,
}

/// The first of what may be several events with one body.
struct First {
    key: Hash,
    at: Timestamp,
    /// Once it is committed: under which number, or not at all.
    outcome: watch::Receiver<Option<Option<EventId>>>,
}

impl Belt {
    /// Journals a received event. When this returns `Ok`, it is on disk and will reach every hook it is owed. Tells whether
    /// it is a twin.
    ///
    /// # Errors
    /// When the store could not commit it, or too many wait already. Nothing is kept of it then.
    pub async fn receive(&self, received: Received<'_>) -> Result<(Appended, bool), Error> {
        let instance = received.instance.map(|text| text.trim_end_matches('/').chars().take(255).collect::<String>());
        let found = Whereabouts::read(received.body);
        let key = received.key.as_deref().map(|key| found.key(key));
        let place = match self.place_of(&received, &found, key.as_deref(), instance.as_deref()).await? {
            Destination::Place(place) => place,
            Destination::Repeats(first) => return Ok((Appended::Duplicate(first), false)),
        };
        if let Place::Project(project) = place {
            self.last_events.heard_of(project, self.clock.now());
        }
        let (twin_of, first) = match &key {
            Some(key) if received.receiver.twins && place != Place::Elsewhere => {
                self.twin(key, place, received.body).await
            }
            _ => (None, None),
        };
        let usual = received.trigger.row().header;
        let arrival = Arrival {
            place,
            trigger: received.trigger,
            source: Source::Receiver(received.receiver.id),
            chain: received.chain,
            git_ref: received.git_ref,
            key,
            body: received.body,
            origin: Origin {
                sent_as: received.sent_as.filter(|name| *name != usual).map(|name| name.chars().take(255).collect()),
                instance,
                twin_of,
            },
        };
        let appended = self.ingest(arrival).await;
        if let Some((hash, outcome)) = first {
            if appended.is_err() {
                lock(&self.relay.twins).bodies.remove(&hash);
            }
            let _ = outcome.send(Some(appended.as_ref().ok().map(|appended| appended.id())));
        }
        let appended = appended?;
        let is_twin = twin_of.is_some() && matches!(appended, Appended::New { .. });
        if is_twin {
            metrics::counter!(telemetry::TWINS).increment(1);
        }
        Ok((appended, is_twin))
    }

    /// Where a received event belongs here. The first event of a project makes it.
    async fn place_of(
        &self,
        received: &Received<'_>,
        found: &Whereabouts,
        key: Option<&str>,
        instance: Option<&str>,
    ) -> Result<Destination, Error> {
        if let Some(user) = &found.user {
            self.relay.see(user);
        }
        if self.is_our_own(received.chain, instance).await? {
            // Whoever hears of it here has heard of it.
            return Ok(Destination::Place(Place::Elsewhere));
        }
        let unnamed = || format!("receiver:{}", received.receiver.id);
        let instance = instance.map_or_else(unnamed, str::to_owned);
        if let Some(number) = found.project {
            if let Some(project) = self.index().known_project(&instance, number) {
                return Ok(Destination::Place(Place::Project(project)));
            }
            // A repeated event makes no project, whatever its headers say, which nobody signs.
            if let Some(key) = key {
                let source = Source::Receiver(received.receiver.id);
                let key = DedupeKey::new(source, Place::Elsewhere, key.to_owned());
                if let Some(first) = self.store.find_key(key).await? {
                    return Ok(Destination::Repeats(first));
                }
            }
            // What has no path, or none that can be had here, is heard on the instance.
            let Some(seen) = SeenProject::read(received.body).filter(|seen| seen.id == number) else {
                return Ok(Destination::Place(Place::Instance));
            };
            let known = self.store.know_project(instance, seen, self.clock.now()).await?;
            let Some(project) = known else { return Ok(Destination::Place(Place::Instance)) };
            if let Err(error) = self.refresh_directory().await {
                tracing::warn!(%error, "failed to read the directory after a new project");
            }
            return Ok(Destination::Place(Place::Project(project)));
        }
        let group = found.group.as_ref().filter(|_| !received.trigger.row().is_system_only());
        let group = group.and_then(|path| {
            let index = self.index();
            index.group_at(&apart(&instance, path)).or_else(|| index.group_at(path)).or_else(|| index.group_named(path))
        });
        Ok(Destination::Place(group.map_or(Place::Instance, Place::Group)))
    }

    /// Whether an event says that it comes from here, and its chain began here.
    async fn is_our_own(&self, chain: Option<Uuid>, instance: Option<&str>) -> Result<bool, Error> {
        let says_so = instance.is_some_and(|instance| instance == self.settings.instance.trim_end_matches('/'));
        match chain.filter(|_| says_so) {
            Some(chain) => Ok(self.store.find_delivery(recursion::origin(chain)).await?.is_some()),
            None => Ok(false),
        }
    }

    /// Whose twin an event is; and if it is nobody's, where to tell what became of it.
    async fn twin(&self, key: &str, place: Place, body: &[u8]) -> (Option<EventId>, Option<(Hash, Outcome)>) {
        let hash = hash_of(format!("{place:?}").as_bytes(), body);
        let key = hash_of(b"", key.as_bytes());
        let now = self.clock.now();
        let (sender, outcome) = watch::channel(None);
        let known = {
            let mut twins = lock(&self.relay.twins);
            twins.forget(now);
            match twins.bodies.get(&hash) {
                // The same key is a duplicate, which the journal knows.
                Some(first) if first.key == key => return (None, None),
                Some(first) => Some(first.outcome.clone()),
                None => {
                    twins.order.push_back((now, hash));
                    twins.bodies.insert(hash, First { key, at: now, outcome });
                    None
                }
            }
        };
        let Some(mut outcome) = known else { return (None, Some((hash, sender))) };
        // It may be on its way to the disk. If it does not get there, this one takes its place.
        let first = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.flatten());
        (first, None)
    }

    /// Remembers a request of a receiver.
    pub fn note_request(&self, receiver: ReceiverId, request: SeenRequest) {
        let mut requests = lock(&self.relay.requests);
        let of = requests.entry(receiver).or_default();
        of.changed = true;
        if of.last.len() == MOST_REQUESTS {
            of.last.pop_front();
        }
        of.last.push_back(request);
    }

    /// The last requests of a receiver that all nodes saw, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn last_requests(&self, receiver: ReceiverId) -> anyhow::Result<Vec<SeenRequest>> {
        let elsewhere = self.store.requests_elsewhere(receiver, self.node).await?;
        let mut all: Vec<SeenRequest> =
            elsewhere.iter().filter_map(|list| serde_json::from_str::<Vec<_>>(list).ok()).flatten().collect();
        all.extend(lock(&self.relay.requests).get(&receiver).into_iter().flat_map(|of| of.last.iter().cloned()));
        all.sort_by_key(|request| std::cmp::Reverse(request.at));
        all.truncate(MOST_REQUESTS);
        Ok(all)
    }

    /// Writes down what was seen since the last time.
    pub(crate) async fn save_seen(&self) -> anyhow::Result<()> {
        let users = std::mem::take(&mut lock(&self.relay.users).fresh);
        if !users.is_empty()
            && let Err(error) = self.store.know_users(users.clone(), self.clock.now()).await
        {
            tracing::warn!(%error, "failed to take up users; they are tried again");
            lock(&self.relay.users).fresh.extend(users);
        }
        let lists: Vec<(ReceiverId, String)> = {
            let mut requests = lock(&self.relay.requests);
            let changed = requests.iter_mut().filter_map(|(receiver, of)| {
                std::mem::take(&mut of.changed).then(|| serde_json::to_string(&of.last).map(|list| (*receiver, list)))
            });
            changed.filter_map(Result::ok).collect()
        };
        if lists.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        Ok(self.store.save_requests(self.node, lists, now, now.minus(KEPT)).await?)
    }

    /// Who this process is among others.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The directory as it is now.
    #[must_use]
    pub fn directory(&self) -> Arc<crate::directory::Index> {
        self.index().clone()
    }

    /// The group with this path. Answered from memory.
    #[must_use]
    pub fn group_at(&self, path: &str) -> Option<GroupId> {
        self.index().group_at(path)
    }
}

impl Relay {
    fn see(&self, user: &SeenUser) {
        let mut users = lock(&self.users);
        if users.known.contains(&user.username) || users.fresh.len() >= MOST_FRESH {
            return;
        }
        if users.known.len() >= MOST_KNOWN {
            users.known.clear();
        }
        users.known.insert(user.username.clone());
        users.fresh.push(user.clone());
    }
}

impl Twins {
    fn forget(&mut self, now: Timestamp) {
        while let Some((at, hash)) = self.order.front().copied()
            && (now.since(at) > TWIN_WINDOW || self.order.len() >= MOST_BODIES)
        {
            self.order.pop_front();
            if self.bodies.get(&hash).is_some_and(|first| first.at == at) {
                self.bodies.remove(&hash);
            }
        }
    }
}
