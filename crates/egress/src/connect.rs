//! Opens a connection to an address that was approved for this attempt.

use std::net::SocketAddr;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::{Failure, Stage, innermost, of_handshake};
use crate::limits::Limits;
use crate::link::{Key, Link, Stream};
use crate::proxy::{Proxy, tunnel};
use crate::resolve::Resolve;
use crate::timing::Trace;
use crate::tls::Tls;
use crate::trust::Presented;

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
            .map_err(|error| of_handshake(&error))?;

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

    Ok(Link::new(sender, connection, tls_version))
}
