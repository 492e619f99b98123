//! Parts of pages that update by themselves, by Server-Sent Events. The server renders a part again every two seconds
//! and sends it if it has changed, so that a page shows the same with and without its script.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use quickdraw_domain::scope::Scope;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::Instant;

use std::sync::Arc;

use super::Ui;
use super::error::PageError;
use super::person::Rights;
use super::place::Visit;
use crate::places::{Requester, SharedPermit};
use crate::streams::SHARES;

/// Time between two looks.
const PACE: Duration = Duration::from_secs(2);
/// Time after which a stream ends. The browser opens it again if somebody still looks at the page.
const LONGEST: Duration = Duration::from_secs(3600);
/// Time between two comments on a quiet connection.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// A stream of one part of a page.
struct Live<R> {
    ui: Arc<Ui>,
    cookies: HeaderMap,
    render: R,

    /// The rights with which the part is made. The stream ends if they change.
    rights: Rights,

    /// Hash of what was sent last.
    sent: Option<[u8; 32]>,
    ends_at: Instant,
    closing: watch::Receiver<bool>,
    _permit: SharedPermit,
}

/// Sends a part of a page whenever it has changed. `render` makes the part.
///
/// # Errors
/// If too many streams are open.
pub(super) fn live<R, F>(ui: Arc<Ui>, at: &Visit, cookies: HeaderMap, render: R) -> Result<Response, PageError>
where
    R: Fn() -> F + Send + 'static,
    F: Future<Output = Result<String, PageError>> + Send,
{
    live_of(ui, at, at.place.scope(), cookies, render)
}

/// Like [`live`], for a part that does not belong to the place: it takes no share of the streams of the place.
pub(super) fn live_of_person<R, F>(
    ui: Arc<Ui>,
    at: &Visit,
    cookies: HeaderMap,
    render: R,
) -> Result<Response, PageError>
where
    R: Fn() -> F + Send + 'static,
    F: Future<Output = Result<String, PageError>> + Send,
{
    live_of(ui, at, Scope::Instance, cookies, render)
}

fn live_of<R, F>(ui: Arc<Ui>, at: &Visit, of: Scope, cookies: HeaderMap, render: R) -> Result<Response, PageError>
where
    R: Fn() -> F + Send + 'static,
    F: Future<Output = Result<String, PageError>> + Send,
{
    let requester = Requester {
        portal: at.person.portal.as_ref().map(|portal| portal.id),
        ..ui.app.requester(&at.person.actor, of)
    };
    let permit = ui.app.streams.permits.acquire(&requester);
    let permit = permit.map_err(|full| full.refusal("open streams", &SHARES))?;

    let live = Live {
        closing: ui.app.streams.closing(),
        ui,
        cookies,
        render,
        rights: at.person.rights(),
        sent: None,
        ends_at: Instant::now() + LONGEST,
        _permit: permit,
    };

    let parts = stream::unfold(live, |mut live| async move {
        let part = live.next().await?;
        Some((Ok::<_, Infallible>(Event::default().data(part)), live))
    });
    let sse = Sse::new(parts).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE));
    Ok(sse.into_response())
}

impl<R, F> Live<R>
where
    R: Fn() -> F,
    F: Future<Output = Result<String, PageError>>,
{
    /// Waits until the part has changed. None at the end of the stream: the session has ended, the rights of the person
    /// have changed, or the server stops. The browser opens the stream again, with the new rights.
    async fn next(&mut self) -> Option<String> {
        loop {
            if *self.closing.borrow_and_update() || Instant::now() >= self.ends_at {
                return None;
            }

            // The first look comes at once, because events can have arrived since the page was made.
            if self.sent.is_some() {
                tokio::select! {
                    () = tokio::time::sleep(PACE) => {}
                    changed = self.closing.changed() => { changed.ok()?; continue; }
                }
            }

            if Rights::find(&self.cookies, &self.ui).await.as_ref() != Some(&self.rights) {
                return None;
            }

            let part = (self.render)().await.ok()?;
            let hash: [u8; 32] = Sha256::digest(part.as_bytes()).into();
            if self.sent.replace(hash) != Some(hash) {
                return Some(part);
            }
        }
    }
}
