//! Reading request bodies within bounds: size, time, and bytes in memory over all requests.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::OwnedSemaphorePermit;

use crate::state::App;

/// Longest that a body may take to arrive.
const TIME: Duration = Duration::from_secs(30);
/// What has to arrive each second, after the first few.
const BYTES_A_SECOND: u64 = 1024;
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a body was not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused(pub StatusCode, pub &'static str);

/// A body in memory; the room it takes is given back when it is dropped.
pub struct Held {
    /// The exact bytes.
    pub bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Reads a body of at most `limit` bytes. Declared lengths are looked at first, so that nothing is read in vain.
///
/// # Errors
/// 415 for a content coding, 413 for too much, 408 for too slow, 400 for a broken one, 503 when memory is short.
pub async fn read(app: &App, headers: &HeaderMap, body: Body, limit: usize) -> Result<Held, Refused> {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    if codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")) {
        return Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content codings are not accepted; send it plain"));
    }
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > limit) {
        return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
    }
    match tokio::time::timeout(TIME, collect(app, body, declared.unwrap_or(0), limit)).await {
        Ok(held) => held,
        Err(_) => Err(Refused(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

/// Room is taken as bytes arrive: what a client only declares costs nobody anything.
async fn collect(app: &App, mut body: Body, declared: usize, limit: usize) -> Result<Held, Refused> {
    let mut room: Option<OwnedSemaphorePermit> = None;
    // Most bodies come in one piece, which is then passed on without a copy.
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let started = Instant::now();
    loop {
        let so_far = first.as_ref().map_or(0, Bytes::len) + rest.len();
        // Slow bodies hold memory and a place: thirty seconds of ten thousand of them would be too much.
        let owed = Duration::from_millis(so_far as u64 * 1000 / BYTES_A_SECOND);
        let patience = (PATIENCE + owed).saturating_sub(started.elapsed());
        let frame = tokio::time::timeout(patience, body.frame()).await;
        let slow = |_| Refused(StatusCode::REQUEST_TIMEOUT, "the body came too slowly");
        let Some(frame) = frame.map_err(slow)? else { break };
        let broken = |_| Refused(StatusCode::BAD_REQUEST, "the body broke off");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        let read = first.as_ref().map_or(0, Bytes::len) + rest.len() + data.len();
        if read > limit {
            return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
        }
        let kib = u32::try_from(data.len() / 1024 + 1).unwrap_or(u32::MAX);
        let busy = |_| Refused(StatusCode::SERVICE_UNAVAILABLE, "too many bodies are being received; try again");
        let more = app.bodies.clone().acquire_many_owned(kib).await.map_err(busy)?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
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
