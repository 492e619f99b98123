//! The audit log. Every request that changes something, and every request that is refused because of a role, leaves
//! an entry. Every read of bodies by an administrator does too, because administrators see the bodies of all
//! projects.
//!
//! The log is written around the handlers, so that no handler can forget it. Reported events are not logged here,
//! because they are in the journal.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use quickdraw_domain::source::{Addresses, client_network};
use quickdraw_engine::{Context, outage};
use quickdraw_store::access::Actor;
use quickdraw_store::audit::{AuditEntry, Behalf};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::error::ApiError;
use crate::receive::address;
use crate::seats::{KeyedPermit, KeyedPermits};
use crate::telemetry::DETACHED_REQUESTS;

/// Largest number of changes that continue although their client has disconnected, in total and per client.
const MAX_DETACHED: usize = 256;
const MAX_DETACHED_PER_CLIENT: usize = 32;
/// Longest stored list of attribute names, in bytes.
const LONGEST: usize = 1000;
/// Time in which repeated reads by the same user leave one entry, so that a page that refreshes every few seconds
/// does not fill the table.
const ONE_READING: Duration = Duration::from_secs(600);
/// Largest number of remembered reads. Beyond it, all are forgotten, and entries can repeat.
const MAX_READINGS: usize = 4096;

/// The state of the audit log on this node.
pub(crate) struct Log {
    context: Arc<Context>,

    /// Reverse proxies whose `X-Forwarded-For` is trusted.
    trusted_proxies: Addresses,

    /// Running changes, which continue if their client disconnects.
    changes: Changes,

    /// Reads of bodies that were logged recently.
    readings: Readings,
}

impl Log {
    pub(crate) fn new(context: Arc<Context>, trusted_proxies: Addresses) -> Arc<Self> {
        Arc::new(Self {
            context,
            trusted_proxies,
            changes: Changes::default(),
            readings: Readings::default(),
        })
    }

    /// The address of the client of a request, past the proxies that are trusted. None if the request comes from within
    /// the process.
    pub(crate) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = extensions.get::<ConnectInfo<std::net::SocketAddr>>()?.0.ip();
        Some(address::client(peer, headers, &self.trusted_proxies))
    }

    /// Writes an entry about a person who signs in or out.
    pub(crate) async fn sign_in(&self, act: SignIn) {
        write(&self.context, act.entry(&self.context)).await;
    }

    /// Writes an entry about a person who is refused, after the answer. Otherwise the time of the answer would show
    /// whether the user exists.
    pub(crate) fn sign_in_later(&self, act: SignIn) {
        let context = Arc::clone(&self.context);
        let entry = act.entry(&context);
        self.changes.spawn(async move { write(&context, entry).await });
    }

    /// Waits for changes whose clients may have disconnected.
    pub(crate) async fn finish(&self) {
        self.changes.finish().await;
    }
}

/// A person who signs in or out, or is refused.
pub(crate) struct SignIn {
    user_id: i64,
    username: String,
    address: Option<IpAddr>,
    path: &'static str,
    status: StatusCode,
    with: &'static str,
}

impl SignIn {
    /// An act at the path of a page, with the status of the answer.
    pub(crate) const fn new(path: &'static str, status: StatusCode) -> Self {
        Self {
            user_id: 0,
            username: String::new(),
            address: None,
            path,
            status,
            with: "",
        }
    }

    /// Adds the user.
    pub(crate) fn of(mut self, user_id: i64, username: &str) -> Self {
        self.user_id = user_id;
        username.clone_into(&mut self.username);
        self
    }

    /// Adds the address of the client.
    pub(crate) const fn from(mut self, address: Option<IpAddr>) -> Self {
        self.address = address;
        self
    }

    /// Adds the names of the values that were sent, such as `password`.
    pub(crate) const fn with(mut self, names: &'static str) -> Self {
        self.with = names;
        self
    }

    fn entry(self, context: &Context) -> AuditEntry {
        AuditEntry {
            id: 0,
            at: context.clock().now(),
            user_id: self.user_id,
            username: self.username,
            behalf: None,
            address: self.address.map(|address| address.to_string()),
            method: "POST".to_owned(),
            path: self.path.to_owned(),
            status: i64::from(self.status.as_u16()),
            attributes: self.with.to_owned(),
        }
    }
}

async fn write(context: &Context, entry: AuditEntry) {
    if let Err(error) = context.store().append_audit(entry).await
        && outage::stands_alone(&error)
    {
        tracing::error!(%error, "an audit entry was not written");
    }
}

/// Facts about a request that extractors and handlers collect for its entry.
#[derive(Clone, Default)]
pub(crate) struct Note(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    actor: Option<Actor>,
    behalf: Option<Behalf>,
    attributes: String,
    hidden: bool,
    shows_bodies: bool,
}

impl Note {
    pub(crate) fn actor(&self, actor: &Actor) {
        self.0.lock().actor = Some(actor.clone());
    }

    /// Notes the user as whom an administrator acts.
    pub(crate) fn on_behalf_of(&self, user: &Actor) {
        self.0.lock().behalf = Some(Behalf {
            user_id: user.user_id,
            username: user.username.clone(),
        });
    }

    /// Notes that the answer hides the existence of the requested object from the caller.
    pub(crate) fn hidden(&self) {
        self.0.lock().hidden = true;
    }

    /// Notes that the answer contains bodies of events, or answers of receivers, which can repeat them.
    pub(crate) fn shows_bodies(&self) {
        self.0.lock().shows_bodies = true;
    }

    /// Notes the names of attributes. Values are never stored, because they can be secrets.
    pub(crate) fn attributes<'a>(&self, names: impl Iterator<Item = &'a String>) {
        let mut noted = self.0.lock();
        // Names of attributes are plain words. Another name could be a misplaced secret.
        let is_word = |name: &&String| name.len() <= 64 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');

        for name in names.filter(is_word) {
            if noted.attributes.len() + name.len() >= LONGEST {
                break;
            }

            if !noted.attributes.is_empty() {
                noted.attributes.push(' ');
            }

            noted.attributes.push_str(name);
        }
    }
}

/// Writes an audit entry for a request if it is a change, a refusal or a read of bodies.
///
/// A change continues if its client disconnects, because it may already be committed. Therefore the change and its
/// entry run in a task of their own.
pub(crate) async fn record(State(log): State<Arc<Log>>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return noted(&log, request, next).await;
    }

    let client = log.client(request.extensions(), request.headers());
    let client = client_network(client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
    let one = Arc::clone(&log);

    match log
        .changes
        .run(client, async move { noted(&one, request, next).await })
        .await
    {
        Some(Ok(response)) => response,
        Some(Err(_)) => ApiError::internal(anyhow::anyhow!("a handler panicked")).into_response(),
        None => {
            let text = "too many requests whose client disconnected are still being processed; try again later";
            let mut response = ApiError::problem(StatusCode::SERVICE_UNAVAILABLE, text).into_response();
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));

            response
        }
    }
}

async fn noted(log: &Log, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let is_report = path.starts_with("/api/v1") && path.ends_with("/events");
    let is_preview = path.starts_with("/api/v1/previews/");
    let (note, method) = (Note::default(), request.method().clone());

    let address = log.client(request.extensions(), request.headers());
    request.extensions_mut().insert(note.clone());

    let response = next.run(request).await;
    let status = response.status();
    let noted = std::mem::take(&mut *note.0.lock());
    let refused = status == StatusCode::FORBIDDEN || noted.hidden;

    // Reports are in the journal. Requests without a valid token have no user, and are counted by metrics only, so
    // that a flood of them does not fill the table.
    // Previews change nothing, and pages ask for one with each pause in typing.
    let is_change = !(method.is_safe() || is_preview || is_report && status.is_success());
    let Some(actor) = noted.actor else { return response };
    let path: String = path.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    let is_reading = noted.shows_bodies && actor.is_admin && status.is_success();

    if !(is_change || refused || is_reading && log.readings.is_new(actor.user_id, &path)) {
        return response;
    }

    let entry = AuditEntry {
        id: 0,
        at: log.context.clock().now(),
        user_id: actor.user_id,
        username: actor.username,
        behalf: noted.behalf,
        address: address.map(|address| address.to_string()),
        method: method.to_string(),
        path,
        status: i64::from(status.as_u16()),
        attributes: noted.attributes,
    };

    write(&log.context, entry).await;
    response
}

/// Reads that were logged recently.
#[derive(Default)]
struct Readings(Mutex<HashMap<(i64, String), Instant>>);

impl Readings {
    /// Checks whether a read was not logged recently.
    fn is_new(&self, user: i64, path: &str) -> bool {
        let mut known = self.0.lock();
        let reading = (user, path.to_owned());
        if known.get(&reading).is_some_and(|since| since.elapsed() < ONE_READING) {
            return false;
        }

        if known.len() >= MAX_READINGS {
            known.clear();
        }

        known.insert(reading, Instant::now());
        true
    }
}

/// Changes that are running.
struct Changes {
    tasks: Mutex<JoinSet<()>>,

    /// Permits of changes whose client has disconnected, per client. Other changes are limited by connections.
    detached: Arc<KeyedPermits<IpAddr>>,
}

impl Default for Changes {
    fn default() -> Self {
        Self::new(MAX_DETACHED, MAX_DETACHED_PER_CLIENT)
    }
}

/// The permit of a change; set when its client disconnects.
type DetachedPermit = Arc<Mutex<Option<KeyedPermit<IpAddr>>>>;

/// A client that waits for a change. It is dropped when the client disconnects.
struct Waiting {
    permits: Arc<KeyedPermits<IpAddr>>,
    client: IpAddr,
    detached: DetachedPermit,
    is_over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_over {
            // Without a permit, the change continues uncounted. Only changes that had already begun can do so.
            *self.detached.lock() = self.permits.acquire(self.client).ok();
        }
    }
}

impl Changes {
    fn new(most: usize, most_of_one: usize) -> Self {
        Self {
            tasks: Mutex::default(),
            detached: KeyedPermits::new(most, most_of_one, DETACHED_REQUESTS),
        }
    }

    /// Runs a change, which continues if the client disconnects. Returns `None` if too many changes of this client do
    /// so already.
    async fn run<T: Send + 'static>(
        &self,
        client: IpAddr,
        change: impl Future<Output = T> + Send + 'static,
    ) -> Option<Result<T, oneshot::error::RecvError>> {
        if !self.detached.is_available(&client) {
            return None;
        }

        let (answer, answered) = oneshot::channel();
        let detached = DetachedPermit::default();
        let kept = Arc::clone(&detached);

        {
            let mut tasks = self.tasks.lock();
            while tasks.try_join_next().is_some() {}

            tasks.spawn(async move {
                // Sending fails if the client has disconnected.
                let _ = answer.send(change.await);
                drop(kept);
            });
        }

        let mut waiting = Waiting {
            permits: Arc::clone(&self.detached),
            client,
            detached,
            is_over: false,
        };

        let answer = answered.await;
        waiting.is_over = true;
        Some(answer)
    }

    /// Runs work for which no client waits.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}

        tasks.spawn(work);
    }

    /// Waits for all running changes.
    async fn finish(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.join_all().await;
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn changes_whose_sender_has_hung_up_are_bounded_and_go_on() {
        let (changes, go) = (Changes::new(3, 2), Arc::new(Semaphore::new(0)));
        let [one, other] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));

        let begin = |client| {
            let go = Arc::clone(&go);
            changes.run(client, async move { drop(go.acquire().await) })
        };

        // Each change begins, and then its client disconnects.
        for client in [one, one, other] {
            let mut change = Box::pin(begin(client));
            assert!(
                change
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );

            drop(change);
        }

        let refused = async |client| changes.run(client, async {}).await.is_none();
        assert_eq!(
            (refused(one).await, refused(other).await),
            (true, true),
            "the client has two, and all have three"
        );

        go.add_permits(1);
        while refused(other).await {
            tokio::task::yield_now().await;
        }

        changes.finish().await;
        assert!(
            changes
                .run(one, async { 7 })
                .await
                .is_some_and(|answer| answer == Ok(7)),
            "they have ended"
        );
    }
}
