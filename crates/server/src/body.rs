//! Reads request bodies within limits: size, time, and total memory of all requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Longest time for a body to arrive.
const TIME: Duration = Duration::from_secs(30);
/// Smallest rate in bytes per second, and the time before it applies.
const BYTES_A_SECOND: u64 = 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// Size in bytes up to which a body uses memory of its own, so that small requests never wait for large ones.
const SHORT: usize = 64 << 10;
/// Unit of memory in bytes, because semaphores count permits in 32 bits.
const KIB: usize = 1 << 10;
/// Memory in KiB: for short bodies, for long bodies of events, for those of one source, and for parameters.
const SHORT_KIB: usize = 64 << 10;
const EVENTS_KIB: usize = 160 << 10;
const EVENTS_OF_ONE_KIB: usize = 96 << 10;
const PARAMETERS_KIB: usize = 32 << 10;

/// Memory for request bodies.
pub(crate) struct BodyMemory {
    short: Arc<Semaphore>,
    events: Arc<Semaphore>,
    parameters: Arc<Semaphore>,
}

impl BodyMemory {
    pub(crate) fn new() -> Self {
        let memory = |kib| Arc::new(Semaphore::new(kib));
        Self {
            short: memory(SHORT_KIB),
            events: memory(EVENTS_KIB),
            parameters: memory(PARAMETERS_KIB),
        }
    }
}

/// Creates the limit on long event bodies of one source.
pub(crate) fn share() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(EVENTS_OF_ONE_KIB))
}

/// Kind of a body, which decides about the memory that it uses.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// An event that a source receives, with the limit of the source.
    Received(&'a Arc<Semaphore>),

    /// A reported event.
    Reported,

    /// Parameters of a request.
    Parameters,
}

/// Reason for refusing a body: status and text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused(pub StatusCode, pub &'static str);

/// A body in memory. Its memory is released when it is dropped.
pub struct Held {
    /// The exact bytes.
    pub bytes: Bytes,
    _permits: BodyPermits,
}

/// Memory that a body uses.
#[derive(Default)]
struct BodyPermits {
    short: Option<OwnedSemaphorePermit>,
    long: Option<OwnedSemaphorePermit>,
    of_share: Option<OwnedSemaphorePermit>,
}

impl BodyPermits {
    /// Acquires memory for a long body. The limit of the source comes first, so that a waiting body holds no memory
    /// that others could use.
    async fn long(&mut self, memory: &BodyMemory, kind: Kind<'_>, kib: u32) -> Result<(), Refused> {
        if let Kind::Received(share) = kind {
            add(&mut self.of_share, share, kib).await?;
        }

        let memory = if matches!(kind, Kind::Parameters) {
            &memory.parameters
        } else {
            &memory.events
        };
        add(&mut self.long, memory, kib).await
    }
}

/// Waits for more memory. The semaphores are never closed.
async fn add(permit: &mut Option<OwnedSemaphorePermit>, memory: &Arc<Semaphore>, kib: u32) -> Result<(), Refused> {
    let busy = |_| {
        Refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many request bodies are being received; try again",
        )
    };
    let more = Arc::clone(memory).acquire_many_owned(kib).await.map_err(busy)?;
    match permit {
        Some(permit) => permit.merge(more),
        None => *permit = Some(more),
    }

    Ok(())
}

/// Reads a body of at most `limit` bytes. The declared length is checked before anything is read.
///
/// # Errors
/// 415 for a `Content-Encoding`, 413 if the body is too large, 408 if it is too slow, 400 if it is incomplete, 503 if
/// memory is short.
pub(crate) async fn read(
    rooms: &BodyMemory,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    kind: Kind<'_>,
) -> Result<Held, Refused> {
    let mut codings = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .map(HeaderValue::as_bytes);

    if codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Encoding is not supported; send the body without compression",
        ));
    }

    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > limit) {
        return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
    }

    match tokio::time::timeout(TIME, collect(rooms, body, declared.unwrap_or(0), limit, kind)).await {
        Ok(held) => held,
        Err(_) => Err(Refused(StatusCode::REQUEST_TIMEOUT, "the body took too long to arrive")),
    }
}

/// Reads a body, and acquires memory as its bytes arrive, so that a declared length alone costs nothing. When more than
/// `SHORT` bytes have arrived, memory for the declared length is acquired at once. Bodies that acquired memory in small
/// steps could wait for each other forever.
async fn collect(
    bodies: &BodyMemory,
    mut body: Body,
    declared: usize,
    limit: usize,
    kind: Kind<'_>,
) -> Result<Held, Refused> {
    let mut memory = BodyPermits::default();
    // Number of bytes for which memory is acquired.
    let mut roomy = 0;

    // The time spent waiting for memory does not count as slowness of the client.
    let mut waited = Duration::ZERO;
    // Most bodies arrive in one piece, which is used without a copy.
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let started = Instant::now();

    loop {
        let so_far = first.as_ref().map_or(0, Bytes::len) + rest.len();
        // Slow bodies hold memory and a connection. Ten thousand of them for thirty seconds would be too many.
        let owed = Duration::from_millis(so_far as u64 * 1000 / BYTES_A_SECOND);
        let patience = (PATIENCE + owed + waited).saturating_sub(started.elapsed());
        let frame = tokio::time::timeout(patience, body.frame()).await;
        let slow = |_| Refused(StatusCode::REQUEST_TIMEOUT, "the body arrived too slowly");
        let Some(frame) = frame.map_err(slow)? else { break };
        let broken = |_| Refused(StatusCode::BAD_REQUEST, "the body is incomplete");
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
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
                true => add(&mut memory.short, &bodies.short, more).await?,
                false => memory.long(bodies, kind, more).await?,
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

    Ok(Held {
        bytes: first.unwrap_or_else(|| rest.freeze()),
        _permits: memory,
    })
}
