//! Reading request bodies within bounds: size, time, and bytes in memory over all requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::state::App;

/// Longest that a body may take to arrive.
const TIME: Duration = Duration::from_secs(30);
/// What has to arrive each second, after the first few.
const BYTES_A_SECOND: u64 = 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// Beginning of a body, in bytes, for which there is room of its own: whoever sends little does not wait for those who send much.
const SHORT: usize = 64 << 10;
/// Room is taken by the KiB: what a semaphore of 32-bit permits can count.
const KIB: usize = 1 << 10;
/// Room for beginnings, in KiB; for all of longer bodies of events, and those of one source; and for those of parameters.
const SHORT_KIB: usize = 64 << 10;
const EVENTS_KIB: usize = 160 << 10;
const EVENTS_OF_ONE_KIB: usize = 96 << 10;
const PARAMETERS_KIB: usize = 32 << 10;

/// Room for bodies in memory.
pub(crate) struct Rooms {
    short: Arc<Semaphore>,
    events: Arc<Semaphore>,
    parameters: Arc<Semaphore>,
}

impl Rooms {
    pub(crate) fn new() -> Self {
        let room = |kib| Arc::new(Semaphore::new(kib));
        Self { short: room(SHORT_KIB), events: room(EVENTS_KIB), parameters: room(PARAMETERS_KIB) }
    }
}

/// The share that one source has of the room for long bodies of events.
pub(crate) fn share() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(EVENTS_OF_ONE_KIB))
}

/// What a body is, and with whom it shares its room.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// An event that a source gets, with the source's share.
    Received(&'a Arc<Semaphore>),
    /// An event that is reported.
    Reported,
    /// Parameters of a request.
    Parameters,
}

/// Why a body was not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused(pub StatusCode, pub &'static str);

/// A body in memory; the room it takes is given back when it is dropped.
pub struct Held {
    /// The exact bytes.
    pub bytes: Bytes,
    _room: Taken,
}

/// Room that a body takes.
#[derive(Default)]
struct Taken {
    short: Option<OwnedSemaphorePermit>,
    long: Option<OwnedSemaphorePermit>,
    of_share: Option<OwnedSemaphorePermit>,
}

impl Taken {
    /// Takes room for what is beyond the beginning: in the share first, so that nobody waits with room that others could have.
    async fn long(&mut self, rooms: &Rooms, kind: Kind<'_>, kib: u32) -> Result<(), Refused> {
        if let Kind::Received(share) = kind {
            add(&mut self.of_share, share, kib).await?;
        }
        let room = if matches!(kind, Kind::Parameters) { &rooms.parameters } else { &rooms.events };
        add(&mut self.long, room, kib).await
    }
}

/// Waits for more room. Never closed.
async fn add(taken: &mut Option<OwnedSemaphorePermit>, room: &Arc<Semaphore>, kib: u32) -> Result<(), Refused> {
    let busy = |_| Refused(StatusCode::SERVICE_UNAVAILABLE, "too many bodies are being received; try again");
    let more = Arc::clone(room).acquire_many_owned(kib).await.map_err(busy)?;
    match taken {
        Some(taken) => taken.merge(more),
        None => *taken = Some(more),
    }
    Ok(())
}

/// Reads a body of at most `limit` bytes. Declared lengths are looked at first, so that nothing is read in vain.
///
/// # Errors
/// 415 for a content coding, 413 for too much, 408 for too slow, 400 for a broken one, 503 when memory is short.
pub(crate) async fn read(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    kind: Kind<'_>,
) -> Result<Held, Refused> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    if codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content codings are not accepted; send it plain"));
    }
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > limit) {
        return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
    }
    match tokio::time::timeout(TIME, collect(app, body, declared.unwrap_or(0), limit, kind)).await {
        Ok(held) => held,
        Err(_) => Err(Refused(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

/// Room is taken as bytes arrive: what a client only declares costs nobody anything. Of a body whose beginning has arrived and that
/// declares its length, it is taken for all of it: bodies that took it bit by bit would wait for one another.
async fn collect(app: &App, mut body: Body, declared: usize, limit: usize, kind: Kind<'_>) -> Result<Held, Refused> {
    let mut room = Taken::default();
    // Bytes for which there is room.
    let mut roomy = 0;
    // Waiting for room is not the sender's slowness.
    let mut waited = Duration::ZERO;
    // Most bodies come in one piece, which is then passed on without a copy.
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let started = Instant::now();
    loop {
        let so_far = first.as_ref().map_or(0, Bytes::len) + rest.len();
        // Slow bodies hold memory and a place: thirty seconds of ten thousand of them would be too much.
        let owed = Duration::from_millis(so_far as u64 * 1000 / BYTES_A_SECOND);
        let patience = (PATIENCE + owed + waited).saturating_sub(started.elapsed());
        let frame = tokio::time::timeout(patience, body.frame()).await;
        let slow = |_| Refused(StatusCode::REQUEST_TIMEOUT, "the body came too slowly");
        let Some(frame) = frame.map_err(slow)? else { break };
        let broken = |_| Refused(StatusCode::BAD_REQUEST, "the body broke off");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        let read = first.as_ref().map_or(0, Bytes::len) + rest.len() + data.len();
        if read > limit {
            return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
        }
        if read > roomy {
            let is_short = read <= SHORT;
            let wanted = if is_short { read } else { declared.max(read) }.next_multiple_of(KIB);
            let more = u32::try_from((wanted - roomy) / KIB).unwrap_or(u32::MAX);
            let since = Instant::now();
            match is_short {
                true => add(&mut room.short, &app.bodies.short, more).await?,
                false => room.long(&app.bodies, kind, more).await?,
            }
            waited += since.elapsed();
            roomy = wanted;
        }
        match first.take() {
            None if rest.is_empty() => first = Some(data),
            None => rest.extend_from_slice(&data),
            Some(before) => {
                rest.reserve(declared.min(1 << 20).max(before.len() + data.len()));
                rest.extend_from_slice(&before);
                rest.extend_from_slice(&data);
            }
        }
    }
    Ok(Held { bytes: first.unwrap_or_else(|| rest.freeze()), _room: room })
}
