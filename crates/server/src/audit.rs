//! The audit log: every request that changes something, or is refused by somebody's role, leaves an entry.
//!
//! It is written around the handlers, so that none can forget it. Reported events are not in it: they are the journal's.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use quickdraw_engine::outage;
use quickdraw_store::access::Actor;
use quickdraw_store::audit::AuditEntry;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::error::ApiError;
use crate::state::App;

/// Longest list of attribute names that is kept, in bytes.
const LONGEST: usize = 1000;

/// What the extractors learn of a request on its way to the handler.
#[derive(Clone, Default)]
pub(crate) struct Note(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    actor: Option<Actor>,
    attributes: String,
    hidden: bool,
}

impl Note {
    pub(crate) fn actor(&self, actor: &Actor) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).actor = Some(actor.clone());
    }

    /// What was asked for is there, and must not be known to whoever asked.
    pub(crate) fn hidden(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).hidden = true;
    }

    /// Names only: values may be secrets.
    pub(crate) fn attributes<'a>(&self, names: impl Iterator<Item = &'a String>) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An attribute's name is a word. What is none may be a secret that slipped.
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

/// Notes who asks for what, and writes it down when it was a change or a refusal.
///
/// A change goes on when whoever asked hangs up, because it may be committed already; so it and its entry are made beside
/// the connection.
pub(crate) async fn record(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return noted(&app, request, next).await;
    }
    let (answer, answered) = oneshot::channel();
    let one = Arc::clone(&app);
    app.changes.run(async move {
        // Nobody may be waiting any more.
        let _ = answer.send(noted(&one, request, next).await);
    });
    let failed = || ApiError::internal(anyhow::anyhow!("a handler panicked")).into_response();
    answered.await.unwrap_or_else(|_| failed())
}

async fn noted(app: &App, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let is_report = path.starts_with("/api/v1") && path.ends_with("/events");
    let (note, method) = (Note::default(), request.method().clone());
    let address = request.extensions().get::<ConnectInfo<std::net::SocketAddr>>().map(|peer| peer.0.ip().to_string());
    request.extensions_mut().insert(note.clone());
    let response = next.run(request).await;
    let status = response.status();
    let noted = std::mem::take(&mut *note.0.lock().unwrap_or_else(PoisonError::into_inner));
    let refused = status == StatusCode::FORBIDDEN || noted.hidden;
    // Reports are in the journal. Whoever has no token at all has no name either: those are counted, and a flood of them
    // fills no table.
    let is_change = !(method.is_safe() || is_report && status.is_success());
    let Some(actor) = noted.actor.filter(|_| is_change || refused) else { return response };
    let entry = AuditEntry {
        id: 0,
        at: app.belt.clock().now(),
        user_id: actor.user_id,
        username: actor.username,
        address,
        method: method.to_string(),
        path: path.chars().filter(|c| !c.is_control()).take(LONGEST).collect(),
        status: i64::from(status.as_u16()),
        attributes: noted.attributes,
    };
    if let Err(error) = app.store().append_audit(entry).await
        && outage::stands_alone(&error)
    {
        tracing::error!(%error, "an audit entry was not written");
    }
    response
}

/// Changes under way.
#[derive(Default)]
pub(crate) struct Changes(Mutex<JoinSet<()>>);

impl Changes {
    fn run(&self, change: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(change);
    }

    /// Waits for all of them.
    pub(crate) async fn finish(&self) {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.join_all().await;
    }
}
