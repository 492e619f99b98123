//! Limits the memory of requests and answers in total: of parameter trees until the request is answered, and of large
//! answers until they are sent. The memory of arriving bodies is limited in `body`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{Extensions, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;
use crate::places::{Full, Requester, SharedPermit, SharedPermits, Shares};
use crate::telemetry::LARGE_ANSWERS;

/// Memory in KiB for parameter trees and the values read from them.
const TREES_KIB: u32 = 128 << 10;
/// Memory in KiB for large answers.
const ANSWERS_KIB: u32 = 256 << 10;
/// Number of large answers at once. Slow readers of one top-level group leave memory for others.
const READERS: Shares = Shares {
    all: 64,
    of_admins: 8,
    of_namespace: 12,
    of_scope: 10,
    of_user: 8,
};
/// Longest time that a request waits for memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// Memory of the node for requests and answers.
pub(crate) struct Memory {
    trees: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    readers: Arc<SharedPermits>,
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self {
            trees: Arc::new(Semaphore::new(TREES_KIB as usize)),
            answers: Arc::new(Semaphore::new(ANSWERS_KIB as usize)),
            readers: SharedPermits::new(READERS, LARGE_ANSWERS),
        }
    }

    /// Acquires memory for a tree of the given size in bytes, until the request is answered.
    ///
    /// # Errors
    /// 503 if no memory becomes free in time.
    pub(crate) async fn tree(&self, until: &UntilAnswered, bytes: usize) -> Result<(), ApiError> {
        let permit = acquire(&self.trees, bytes, TREES_KIB).await.ok_or_else(busy)?;
        until.0.lock().push(permit);
        Ok(())
    }

    /// Acquires memory for a large answer, including all that is needed to build it. `bytes` is the total size.
    ///
    /// # Errors
    /// 429 if the user, the project, the group or the top-level group has too many large answers in progress; 503 if
    /// the server has, or if no memory becomes free in time.
    pub(crate) async fn answer(&self, reader: &Requester, bytes: usize) -> Result<Reservation, ApiError> {
        let acquired = self.readers.acquire(reader).map_err(|full| match full {
            Full::All => busy(),
            Full::User | Full::Scope | Full::Namespace => ApiError::too_many(1),
        })?;

        let permit = acquire(&self.answers, bytes, ANSWERS_KIB).await.ok_or_else(busy)?;
        Ok(Reservation {
            permit,
            _answer: acquired,
        })
    }
}

fn busy() -> ApiError {
    ApiError::Error(
        StatusCode::SERVICE_UNAVAILABLE,
        "too many large answers are in progress; try again".to_owned(),
    )
}

/// Acquires memory. A request for more than the total waits for all of it.
async fn acquire(semaphore: &Arc<Semaphore>, bytes: usize, most: u32) -> Option<OwnedSemaphorePermit> {
    let acquired = Arc::clone(semaphore).acquire_many_owned(kib(bytes).min(most));
    tokio::time::timeout(PATIENCE, acquired).await.ok()?.ok()
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX)
}

/// Memory that extractors acquired for a request. It is released when the answer is ready, and not when the extractor
/// returns, because the handler still uses the values.
#[derive(Clone, Default)]
pub(crate) struct UntilAnswered(Arc<Mutex<Vec<OwnedSemaphorePermit>>>);

impl UntilAnswered {
    /// Returns that of a request. Without [`until_answered`] around the handler, memory is released immediately.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }
}

/// Keeps the memory that extractors acquire until the handler has returned its answer.
pub(crate) async fn until_answered(mut request: Request, next: Next) -> Response {
    let acquired = UntilAnswered::default();
    request.extensions_mut().insert(acquired.clone());

    let response = next.run(request).await;
    drop(acquired);
    response
}

/// Memory for a large answer; released on drop.
pub(crate) struct Reservation {
    permit: OwnedSemaphorePermit,
    _answer: SharedPermit,
}

impl Reservation {
    /// Ties the memory to the answer until it is sent, or until the client disconnects. Memory that was only needed
    /// to build it is released.
    pub(crate) fn keep_with(mut self, response: Response) -> Response {
        // A buffer that grew by doubling is at most twice as large as its content.
        let left = response
            .body()
            .size_hint()
            .exact()
            .and_then(|bytes| usize::try_from(bytes * 2).ok());
        let needed = left.map_or(u32::MAX, kib) as usize;
        if let Some(spare) = self.permit.num_permits().checked_sub(needed) {
            drop(self.permit.split(spare));
        }

        response.map(|body| Body::new(Kept { body, _memory: self }))
    }
}

/// A body that holds its memory.
struct Kept {
    body: Body,
    _memory: Reservation,
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use quickdraw_domain::scope::Scope;
    use quickdraw_domain::{GroupId, ProjectId};
    use tower::ServiceExt;

    use super::*;

    /// A user of a project in a top-level group.
    fn reader(user: i64, group: i64) -> Requester {
        let scope = Scope::Project(ProjectId(group));
        Requester {
            user,
            portal: None,
            is_admin: false,
            scope,
            namespace: Some(GroupId(group)),
        }
    }

    #[tokio::test]
    async fn a_tree_has_its_room_until_the_request_is_answered() {
        let memory = Arc::new(Memory::new());
        let inside = Arc::clone(&memory);

        let handler = move |request: Request| {
            let inside = Arc::clone(&inside);
            async move {
                let until = UntilAnswered::of(request.extensions());
                drop(request);
                inside.tree(&until, 8 << 20).await.expect("there is room");
                drop(until);

                inside.trees.available_permits().to_string()
            }
        };
        let router = Router::new()
            .route("/", get(handler))
            .layer(axum::middleware::from_fn(until_answered));
        let answer = router.oneshot(Request::new(Body::empty())).await.expect("an answer");
        let during = answer.into_body().collect().await.expect("a body").to_bytes();
        let all = TREES_KIB as usize;

        assert_eq!(
            during,
            (all - (8 << 10) - 1).to_string(),
            "the extractor is done, and the handler is not"
        );

        assert_eq!(memory.trees.available_permits(), all);
    }

    #[tokio::test]
    async fn a_large_answer_has_its_room_until_it_is_sent() {
        let memory = Memory::new();
        let all = ANSWERS_KIB as usize;
        let room = memory.answer(&reader(1, 1), 32 << 20).await.expect("there is room");

        assert_eq!(memory.answers.available_permits(), all - (32 << 10) - 1);

        let answer = room.keep_with(Response::new(Body::from(vec![0_u8; 1 << 20])));
        assert_eq!(
            memory.answers.available_permits(),
            all - (2 << 10) - 1,
            "the rest was needed to make it"
        );

        assert_eq!(
            answer.body().size_hint().exact(),
            Some(1 << 20),
            "its length is still known"
        );

        assert_eq!(
            answer.into_body().collect().await.expect("a body").to_bytes().len(),
            1 << 20
        );

        assert_eq!(memory.answers.available_permits(), all);
    }

    #[tokio::test]
    async fn users_who_read_slowly_leave_room_for_others_whatever_bots_they_make() {
        let memory = Memory::new();
        let mut unread = Vec::new();
        for _ in 0..READERS.of_user {
            unread.push(memory.answer(&reader(1, 1), 16 << 20).await.expect("there is room"));
        }

        assert!(matches!(
            memory.answer(&reader(1, 1), 1 << 20).await.err(),
            Some(ApiError::TooMany(_))
        ));

        for bot in 2..10 {
            unread.extend(memory.answer(&reader(bot, 1), 16 << 20).await.ok());
        }

        assert_eq!(unread.len(), READERS.of_scope, "bots of a project share what it has");
        assert!(
            memory.answer(&reader(20, 2), 16 << 20).await.is_ok(),
            "others have room"
        );

        drop(unread);
        assert!(
            memory.answer(&reader(2, 1), usize::MAX / 2).await.is_ok(),
            "the largest takes all of the room"
        );
    }
}
