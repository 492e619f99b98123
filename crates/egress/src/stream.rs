//! Answers without an end, such as event streams. They are read piece by piece.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming};
use tokio::time::{Instant, Sleep};

use crate::call::{Call, request};
use crate::client::Client;
use crate::connect::connect;
use crate::error::{Failure, of_hyper};
use crate::link::{Key, Link};
use crate::timing::Trace;

/// An open answer. Its body ends when the peer ends it, or after a silence that is too long.
pub struct Streamed {
    /// HTTP status.
    pub status: u16,

    /// Header fields.
    pub headers: HeaderMap,
    link: Link,
    body: Incoming,
    silence: Duration,
    until: Pin<Box<Sleep>>,
}

/// The reason for which an answer broke off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Connection(#[from] hyper::Error),

    /// No bytes arrived for too long.
    #[error("no data arrived for {} seconds", .0.as_secs())]
    Silent(Duration),
}

impl Client {
    /// Sends a request on a connection of its own, and returns the answer as soon as its head has arrived. The deadline
    /// applies until then. After that, the body breaks off if nothing arrives for `silence`. `judge` is used as in
    /// [`Client::call`].
    ///
    /// # Errors
    /// The reason for which there is no answer.
    pub async fn stream<B>(
        &self,
        call: Call<'_>,
        silence: Duration,
        judge: impl Fn(&[IpAddr]) -> Result<(), B>,
    ) -> Result<Streamed, Failure<B>> {
        let mut trace = Trace::begin();
        let opening = self.open(call, silence, judge, &mut trace);
        let opened = tokio::time::timeout(self.limits.deadline, opening).await;
        opened.unwrap_or_else(|_| Err(Failure::TimedOut(trace.stage())))
    }

    async fn open<B>(
        &self,
        call: Call<'_>,
        silence: Duration,
        judge: impl Fn(&[IpAddr]) -> Result<(), B>,
        trace: &mut Trace,
    ) -> Result<Streamed, Failure<B>> {
        let addresses: Vec<SocketAddr> = self.judged(&call, judge).await?;
        let (mut link, _) = connect(&self.connect_options(&call), &Key::of(&call), &addresses, trace).await?;
        let (sender, mut drive) = link.split();
        let request = request(&call)?;
        let response = Link::drive(&mut drive, sender.send_request(request)).await;
        let (head, body) = response.map_err(|error| of_hyper(&error))?.into_parts();
        let until = Box::pin(tokio::time::sleep(silence));

        Ok(Streamed {
            status: head.status.as_u16(),
            headers: head.headers,
            link,
            body,
            silence,
            until,
        })
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        this.link.split().1.poll(context);

        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.until.as_mut().reset(Instant::now() + this.silence);
            return Poll::Ready(frame.map(|frame| frame.map_err(Broken::Connection)));
        }

        match this.until.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(Broken::Silent(this.silence)))),
            Poll::Pending => Poll::Pending,
        }
    }
}
