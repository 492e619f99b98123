//! An open connection, and the properties by which it may be used again.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::call::Call;

/// A byte stream, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(crate) type Connection = http1::Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

/// An open connection. Its user drives it; it has no task of its own. An idle connection therefore costs nothing, and
/// anything that the peer did meanwhile is noticed at the next use.
pub(crate) struct Link {
    sender: SendRequest<Full<Bytes>>,

    /// The negotiated version of TLS, if the connection is encrypted.
    pub(crate) tls_version: Option<&'static str>,
    connection: Option<Pin<Box<Connection>>>,
}

impl Link {
    pub(crate) fn new(
        sender: SendRequest<Full<Bytes>>,
        connection: Connection,
        tls_version: Option<&'static str>,
    ) -> Self {
        Self {
            sender,
            tls_version,
            connection: Some(Box::pin(connection)),
        }
    }

    /// Runs a future that uses this connection, and moves the bytes of the connection meanwhile.
    pub(crate) async fn drive<F: Future>(connection: &mut Drive<'_>, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        poll_fn(|context| {
            connection.poll(context);
            future.as_mut().poll(context)
        })
        .await
    }

    /// Separates the sender from the driver that moves bytes, so that both can be borrowed at once.
    pub(crate) fn split(&mut self) -> (&mut SendRequest<Full<Bytes>>, Drive<'_>) {
        (&mut self.sender, Drive(&mut self.connection))
    }

    /// True if the peer has closed the connection or sent bytes without a request.
    pub(crate) async fn is_gone(&mut self) -> bool {
        let (_, mut drive) = self.split();

        // A single poll is enough: it reads all bytes that have arrived.
        poll_fn(|context| {
            drive.poll(context);
            Poll::Ready(())
        })
        .await;

        self.connection.is_none() || self.sender.is_closed()
    }
}

/// The half of a [`Link`] that moves its bytes.
pub(crate) struct Drive<'a>(&'a mut Option<Pin<Box<Connection>>>);

impl Drive<'_> {
    pub(crate) fn poll(&mut self, context: &mut std::task::Context<'_>) {
        if let Some(connection) = self.0
            && connection.as_mut().poll(context).is_ready()
        {
            // The future that waits for the answer reports how the connection ended.
            *self.0 = None;
        }
    }
}

/// The properties that two interchangeable connections share, apart from the address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    pub(crate) https: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) verify_tls: bool,

    /// Digest of the client certificate, if it is not the default one.
    pub(crate) certificate: Option<[u8; 32]>,
}

impl Key {
    pub(crate) fn of(call: &Call<'_>) -> Self {
        Self {
            https: call.https,
            host: call.host.to_owned(),
            port: call.port,
            verify_tls: call.verify_tls,
            certificate: call.certificate.as_ref().map(|certificate| certificate.digest),
        }
    }
}
