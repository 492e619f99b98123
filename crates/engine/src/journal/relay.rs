//! Received events: the place where they belong, the event that they duplicate, and the way to the journal. From there
//! they fan out like any other event, so a source and hooks make a relay.

mod duplicates;
mod requests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quickdraw_domain::envelope::{Envelope, Group, User};
use quickdraw_domain::event::{DedupeKey, Event, Origin};
use quickdraw_domain::identity::apart;
use quickdraw_domain::recursion;
use quickdraw_domain::scope::Place;
use quickdraw_domain::source::{BoundTo, InstanceMatch, Source, match_instance, unnamed};
use quickdraw_domain::{EventId, GroupId, ProjectId, SourceId, Timestamp, Trigger};
use quickdraw_store::Error;
use quickdraw_store::events::Appended;
use uuid::Uuid;

use self::duplicates::Duplicates;
use self::requests::{MinuteCount, Requests};
pub use self::requests::{RequestRecord, Traffic};
use super::Journal;
use crate::context::Context;
use crate::telemetry;

/// Maximum number of new users that wait to be created, and of users that are remembered as known.
const MAX_NEW_USERS: usize = 1_000;
const MAX_KNOWN_USERS: usize = 100_000;
/// The longest delay of an event that has the path which its project had before it moved.
const LATE: Duration = Duration::from_secs(600);
/// Maximum number of projects whose last path is remembered; all are forgotten then.
const MAX_OLD_PATHS: usize = 10_000;
/// How long the requests are kept that nodes saw which are gone.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// An event as it was received.
pub struct Received<'a> {
    /// The source that received it.
    pub source: &'a Source,

    /// The kind of event.
    pub trigger: Trigger,

    /// `X-Gitlab-Event`, as sent.
    pub sent_as: Option<&'a str>,

    /// `X-Gitlab-Instance`, as sent.
    pub instance: Option<&'a str>,

    /// `X-Gitlab-Event-UUID`.
    pub chain: Option<Uuid>,

    /// The key that recognises a second copy.
    pub key: Option<String>,

    /// The exact bytes.
    pub body: &'a [u8],

    /// The envelope of the body.
    pub envelope: &'a Envelope<'a>,
}

/// The reason why a received event is refused.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Its source is for another instance.
    #[error("this source serves {}, but X-Gitlab-Instance names another GitLab; change the source's instance, or create a source for that GitLab", .0.text())]
    Instance(BoundTo),

    /// Its source knows no instance yet, and another source is for this one.
    #[error(
        "another source already serves {0} (X-Gitlab-Instance); to use this source for the same GitLab too, set its instance"
    )]
    Taken(String),

    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] Error),
}

/// The relay: finds the places of received events, and remembers bodies, users and requests that this node received.
pub(super) struct Relay {
    context: Arc<Context>,
    duplicates: Mutex<Duplicates>,
    users: Mutex<Users>,
    requests: Mutex<Requests>,

    /// The last path of projects that moved, and when they did.
    left: Mutex<HashMap<ProjectId, (String, Timestamp)>>,
}

#[derive(Default)]
struct Users {
    known: HashSet<String>,
    fresh: Vec<User>,
}

/// The destination of a received event.
enum Destination {
    /// A place here.
    Place(Place),

    /// None: the event repeats this one.
    Repeats(EventId),
}

impl Journal {
    /// Journals a received event. When this returns `Ok`, it is on disk and will reach every hook that it is owed. The
    /// flag says whether it duplicates an event that another webhook sent.
    ///
    /// # Errors
    /// When its source is for another instance, the store could not commit it, or too many wait already. The event is
    /// not kept then.
    pub async fn receive(&self, received: Received<'_>) -> Result<(Appended, bool), ReceiveError> {
        let instance = received
            .instance
            .map(|text| text.trim_end_matches('/').chars().take(255).collect::<String>());
        let key = received.key.as_deref().map(|key| received.envelope.dedupe_key(key));

        let place = match self
            .relay
            .place_of(&received, key.as_deref(), instance.as_deref())
            .await?
        {
            Destination::Place(place) => place,
            Destination::Repeats(first) => return Ok((Appended::Duplicate(first), false)),
        };
        if let Place::Project(project) = place {
            self.last_events.note(project, self.context.clock.now());
        }

        let (duplicate_of, first) = match &key {
            Some(key) if received.source.deduplicate && place != Place::Elsewhere => {
                self.relay.duplicate_of(key, place, received.body).await
            }
            _ => (None, None),
        };

        let usual = received.trigger.row().header;
        let sent_as = received.sent_as.filter(|name| *name != usual);

        let event = Event {
            chain: received.chain,
            git_ref: received.envelope.git_ref.as_deref().map(str::to_owned),
            sent_as: sent_as.map(|name| name.chars().take(255).collect()),
            instance,
            duplicate_of,
            ..self.new_event(place, received.trigger, Origin::Source(received.source.id))
        };
        let appended = self.ingest(event, key, received.body, Some(received.envelope)).await;
        if let Some(first) = first {
            first.ended(appended.as_ref().ok().map(|appended| appended.id()));
        }

        let appended = appended?;
        let is_duplicate = duplicate_of.is_some() && matches!(appended, Appended::New { .. });
        if is_duplicate {
            metrics::counter!(telemetry::DUPLICATES).increment(1);
        }

        Ok((appended, is_duplicate))
    }

    /// Remembers a request of a source.
    pub fn note_request(&self, source: SourceId, request: RequestRecord) {
        self.relay.requests.lock().note(source, request);
    }

    /// The last requests of a source that all nodes saw, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn last_requests(&self, source: SourceId) -> anyhow::Result<Vec<RequestRecord>> {
        self.relay.last_requests(source).await
    }

    /// Stores the users and requests that were seen since the last time.
    pub(crate) async fn save_requests(&self) -> anyhow::Result<()> {
        self.relay.save_requests().await
    }
}

/// The requests of the last hour by source, as all nodes saw them. A source without requests is not among them.
///
/// # Errors
/// When the store fails.
pub async fn traffic(journal: &Journal) -> anyhow::Result<HashMap<SourceId, Traffic>> {
    journal.relay.traffic().await
}

impl Relay {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            duplicates: Mutex::default(),
            users: Mutex::default(),
            requests: Mutex::default(),
            left: Mutex::default(),
        }
    }

    /// The place of a received event here. The first event of a project creates the project.
    async fn place_of(
        &self,
        received: &Received<'_>,
        key: Option<&str>,
        instance: Option<&str>,
    ) -> Result<Destination, ReceiveError> {
        if self.is_our_own(received.chain, instance).await? {
            // The hooks here got this event when it began its chain.
            return Ok(Destination::Place(Place::Elsewhere));
        }

        let instance = self.sending_instance(received).await?;
        let envelope = received.envelope;
        if let Some(user) = envelope.user() {
            self.see(user);
        }

        if let Some(number) = envelope.project_id() {
            return Ok(self.project_of(received, number, key, instance).await?);
        }

        let group = match envelope.group() {
            Some(seen) => match self.group_of(received, &seen, key, &instance).await? {
                Destination::Place(Place::Group(group)) => Some(group),
                other => return Ok(other),
            },
            None => self.group_without_path(envelope, &instance),
        };
        let group = group.filter(|_| !received.trigger.row().is_system_only());
        Ok(Destination::Place(group.map_or(Place::Instance, Place::Group)))
    }

    /// The instance of a received event. A source without a known instance is bound to the first that an event names.
    async fn sending_instance(&self, received: &Received<'_>) -> Result<String, ReceiveError> {
        let id = received.source.id;
        let bound = self.context.index().bound_to(id).cloned();

        let named = match match_instance(bound.as_ref(), received.instance) {
            InstanceMatch::Accepted(named) => named,
            InstanceMatch::Other => return Err(ReceiveError::Instance(bound.unwrap_or(BoundTo::Any))),
            InstanceMatch::First(named) => {
                let noted = self
                    .context
                    .store
                    .learn_instance(id, BoundTo::Instance(named.clone()))
                    .await?;
                let Some(noted) = noted else {
                    return Err(ReceiveError::Taken(named));
                };
                self.refresh_after_a_move().await;

                // Another request may have been the first.
                match match_instance(Some(&noted), received.instance) {
                    InstanceMatch::Other => return Err(ReceiveError::Instance(noted)),
                    InstanceMatch::Accepted(_) | InstanceMatch::First(_) => {
                        tracing::info!("source {id} is for {named} from now on")
                    }
                }

                Some(named)
            }
        };
        Ok(named.unwrap_or_else(|| unnamed(id)))
    }

    /// The project of a received event. A project whose path there has changed moves here before the event fans out.
    async fn project_of(
        &self,
        received: &Received<'_>,
        number: i64,
        key: Option<&str>,
        instance: String,
    ) -> Result<Destination, Error> {
        let (mut place, mut before, now) = (Place::Instance, None, self.context.clock.now());
        if let Some(known) = self.context.index().known_project(&instance, number).cloned() {
            place = Place::Project(known.project);
            if received.envelope.project_path().is_none_or(|path| path == known.path) {
                return Ok(Destination::Place(place));
            }

            before = Some((known.project, known.path));
        }

        if let Some(first) = self.repeated(received, key).await? {
            return Ok(Destination::Repeats(first));
        }

        // An event of a project without a path, or with a path that is not valid here, is an event of the instance.
        let Some(seen) = received.envelope.project() else {
            return Ok(Destination::Place(place));
        };
        if let Some((project, _)) = &before
            && seen.old_path.is_none()
            && self.left_lately(*project, &seen.path_with_namespace, now)
        {
            // It was sent before the project moved, and came after.
            return Ok(Destination::Place(place));
        }

        let known = self
            .context
            .store
            .know_project(instance, seen, received.source.id, now)
            .await?;

        if let Some((project, path)) = before {
            self.leaves(project, path, now);
        }

        self.refresh_after_a_move().await;
        Ok(Destination::Place(known.map_or(Place::Instance, Place::Project)))
    }

    /// The group of a received event, moved like a project.
    async fn group_of(
        &self,
        received: &Received<'_>,
        seen: &Group,
        key: Option<&str>,
        instance: &str,
    ) -> Result<Destination, Error> {
        let known = self.context.index().known_group(instance, seen.number).cloned();
        if let Some(known) = &known
            && known.path == seen.path
        {
            return Ok(Destination::Place(Place::Group(known.group)));
        }

        let paths = [Some(&seen.path), seen.old_path.as_ref()].into_iter().flatten();
        let is_here = |path: &String| {
            self.context.group_at(path).is_some() || self.context.group_at(&apart(instance, path)).is_some()
        };
        if known.is_none() && !paths.into_iter().any(is_here) {
            return Ok(Destination::Place(Place::Instance));
        }

        if let Some(first) = self.repeated(received, key).await? {
            return Ok(Destination::Repeats(first));
        }

        let source = received.source.id;
        let known = self
            .context
            .store
            .know_group(instance.to_owned(), seen.clone(), source, self.context.clock.now())
            .await?;

        self.refresh_after_a_move().await;
        Ok(Destination::Place(known.map_or(Place::Instance, Place::Group)))
    }

    /// The group of an event that has no full path of it.
    fn group_without_path(&self, envelope: &Envelope<'_>, instance: &str) -> Option<GroupId> {
        let index = self.context.index();
        let known = envelope
            .group_id()
            .and_then(|number| index.known_group(instance, number));
        known
            .map(|known| known.group)
            .or_else(|| index.group_by_path(instance, &envelope.group_path()?))
    }

    /// The event that a received one repeats. A repeated event creates and moves nothing: its headers are not signed.
    async fn repeated(&self, received: &Received<'_>, key: Option<&str>) -> Result<Option<EventId>, Error> {
        let Some(key) = key else { return Ok(None) };
        let source = Origin::Source(received.source.id);
        self.context
            .store
            .find_key(DedupeKey::new(source, Place::Elsewhere, key.to_owned()))
            .await
    }

    async fn refresh_after_a_move(&self) {
        if let Err(error) = self.context.refresh_directory().await {
            tracing::warn!(%error, "failed to read the directory after a project or group was found, made or moved");
        }
    }

    /// Whether an event says that it comes from here, and its chain began here.
    async fn is_our_own(&self, chain: Option<Uuid>, instance: Option<&str>) -> Result<bool, Error> {
        let says_so = instance.is_some_and(|instance| instance == self.context.settings.instance.trim_end_matches('/'));
        match chain.filter(|_| says_so) {
            Some(chain) => Ok(self
                .context
                .store
                .find_delivery(recursion::origin(chain))
                .await?
                .is_some()),
            None => Ok(false),
        }
    }

    /// The last requests of a source that all nodes saw, the newest first.
    async fn last_requests(&self, source: SourceId) -> anyhow::Result<Vec<RequestRecord>> {
        let elsewhere = self.context.store.requests_elsewhere(source, self.context.node).await?;
        let mut all: Vec<RequestRecord> = elsewhere
            .iter()
            .filter_map(|list| serde_json::from_str::<Vec<_>>(list).ok())
            .flatten()
            .collect();

        all.extend(self.requests.lock().of(source).cloned());

        Ok(requests::newest(all))
    }

    /// The requests of the last hour by source, as all nodes saw them.
    async fn traffic(&self) -> anyhow::Result<HashMap<SourceId, Traffic>> {
        let now = self.context.clock.now().as_micros();
        let mut traffic: HashMap<SourceId, Traffic> = HashMap::new();

        for (source, list) in self.context.store.minutes_elsewhere(self.context.node).await? {
            let minutes: Vec<MinuteCount> = serde_json::from_str(&list).unwrap_or_default();
            traffic.entry(source).or_default().add(&minutes, now);
        }

        for (source, minutes) in self.requests.lock().minutes() {
            traffic.entry(source).or_default().add(minutes, now);
        }

        Ok(traffic)
    }

    /// Stores the users and requests that were seen since the last time.
    async fn save_requests(&self) -> anyhow::Result<()> {
        let users = std::mem::take(&mut self.users.lock().fresh);
        if !users.is_empty()
            && let Err(error) = self
                .context
                .store
                .know_users(users.clone(), self.context.clock.now())
                .await
        {
            tracing::warn!(%error, "failed to take up users; they are tried again");
            self.users.lock().fresh.extend(users);
        }

        let lists = self.requests.lock().take_changed();
        if lists.is_empty() {
            return Ok(());
        }

        let now = self.context.clock.now();
        Ok(self
            .context
            .store
            .save_requests(self.context.node, lists, now, now.minus(KEPT))
            .await?)
    }

    /// Remembers the path that a project had on its instance.
    fn leaves(&self, project: ProjectId, path: String, now: Timestamp) {
        let mut left = self.left.lock();
        if left.len() >= MAX_OLD_PATHS {
            left.clear();
        }

        left.insert(project, (path, now));
    }

    /// Whether a project had this path until a moment ago.
    fn left_lately(&self, project: ProjectId, path: &str, now: Timestamp) -> bool {
        self.left
            .lock()
            .get(&project)
            .is_some_and(|(known, at)| known == path && now.since(*at) < LATE)
    }

    fn see(&self, user: User) {
        let mut users = self.users.lock();
        if users.known.contains(&user.username) || users.fresh.len() >= MAX_NEW_USERS {
            return;
        }

        if users.known.len() >= MAX_KNOWN_USERS {
            users.known.clear();
        }

        users.known.insert(user.username.clone());
        users.fresh.push(user);
    }
}
