//! Opens a connection to an address that was approved for this attempt.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::call::Limits;
use crate::error::{Failure, Stage, innermost};
use crate::pool::Key;
use crate::proxy::{Proxy, tunnel};
use crate::resolve::Resolve;
use crate::timing::Trace;
use crate::tls::Tls;
use crate::trust::Presented;

/// A byte stream, encrypted or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Connection = http1::Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

/// An open connection. Its user drives it; it has no task of its own. An idle connection therefore costs nothing, and
/// anything that the peer did meanwhile is noticed at the next use.
pub(crate) struct Link {
    pub(crate) sender: SendRequest<Full<Bytes>>,

    /// The negotiated version of TLS, if the connection is encrypted.
    pub(crate) tls_version: Option<&'static str>,
    connection: Option<Pin<Box<Connection>>>,
}

impl Link {
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

/// The settings for opening a connection.
pub(crate) struct ConnectOptions<'a> {
    pub(crate) tls: &'a Tls,
    pub(crate) certificate: Option<&'a Presented<'a>>,
    pub(crate) limits: &'a Limits,
    pub(crate) proxy: Option<&'a Proxy>,
    pub(crate) resolver: &'a dyn Resolve,
}

/// Tries the approved addresses one after the other until one of them answers.
pub(crate) async fn connect<B>(
    options: &ConnectOptions<'_>,
    key: &Key,
    addresses: &[SocketAddr],
    trace: &mut Trace,
) -> Result<(Link, SocketAddr), Failure<B>> {
    let mut last = Failure::Connect("no address".to_owned());
    for address in addresses {
        match reach(options, key, address, trace).await {
            Ok(stream) => return Ok((open(options, key, stream, trace).await?, *address)),
            Err(failure @ (Failure::Connect(_) | Failure::TimedOut(_))) => last = failure,
            Err(other) => return Err(other),
        }
    }

    Err(last)
}

async fn reach<B>(
    options: &ConnectOptions<'_>,
    key: &Key,
    address: &SocketAddr,
    trace: &mut Trace,
) -> Result<Box<dyn Stream>, Failure<B>> {
    if let Some(proxy) = options.proxy {
        let target = if address.ip().is_unspecified() {
            format!("{}:{}", key.host, key.port)
        } else {
            address.to_string()
        };
        return tunnel(proxy, options.resolver, options.limits, &target, trace).await;
    }

    trace.enter(Stage::Connecting);

    match tokio::time::timeout(options.limits.connect, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            // The peer must be the address that was approved.
            let peer = stream
                .peer_addr()
                .map_err(|error| Failure::Connect(error.to_string()))?;
            if peer != *address {
                return Err(Failure::Broken("another address answered".to_owned()));
            }

            // Requests are written as a whole, so waiting for more bytes would only add latency.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        Ok(Err(error)) => Err(Failure::Connect(innermost(&error))),
        Err(_) => Err(Failure::TimedOut(Stage::Connecting)),
    }
}

async fn open<B>(
    options: &ConnectOptions<'_>,
    key: &Key,
    stream: Box<dyn Stream>,
    trace: &mut Trace,
) -> Result<Link, Failure<B>> {
    let ConnectOptions {
        tls,
        limits,
        certificate,
        ..
    } = options;

    let mut tls_version = None;
    let stream: Box<dyn Stream> = if key.https {
        trace.enter(Stage::Handshaking);

        let configs = tls.configs(*certificate);
        let configs = configs.map_err(|error| Failure::Request(format!("the client certificate {error}")))?;

        let config = if key.verify_tls {
            configs.checked
        } else {
            configs.unchecked
        };

        let host = key.host.trim_end_matches('.').trim_matches(['[', ']']);
        let name = ServerName::try_from(host.to_owned()).map_err(|error| Failure::Tls(error.to_string()))?;
        let connector = TlsConnector::from(config);
        let stream = connector
            .connect(name, stream)
            .await
            .map_err(|error| Failure::Tls(innermost(&error)))?;

        tls_version = stream
            .get_ref()
            .1
            .protocol_version()
            .and_then(|version| version.as_str());

        Box::new(stream)
    } else {
        stream
    };

    trace.enter(Stage::Waiting);

    let (sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .max_headers(limits.head_fields)
        .max_buf_size(limits.head_bytes)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Failure::Broken(innermost(&error)))?;

    Ok(Link {
        sender,
        tls_version,
        connection: Some(Box::pin(connection)),
    })
}
