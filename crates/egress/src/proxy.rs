//! Tunnels through an operator's proxy (`CONNECT`, RFC 9110 9.3.6). The address is approved as for a direct connection.
//! Environment variables do not enable a proxy.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

use crate::error::{Failure, Stage, innermost};
use crate::limits::Limits;
use crate::link::Stream;
use crate::resolve::Resolve;
use crate::timing::Trace;

/// The address of the proxy, and the credentials for it. There is no `Debug`, because of the password.
pub struct Proxy {
    /// Name or address.
    pub host: String,

    /// Port.
    pub port: u16,

    /// Value of `Proxy-Authorization`.
    pub authorization: Option<String>,

    /// True if the proxy receives host names, resolves them and checks the addresses itself. Otherwise it receives the
    /// address that was approved here.
    pub resolves: bool,
}

/// A reason why a text is not the address of a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProxyError {
    /// Not an `http` URL with a host and without a path.
    #[error("is not the address of a proxy")]
    Address,

    /// The URL contains a user name or a password. It would be shown where addresses are shown.
    #[error("contains credentials")]
    Credentials,
}

impl Proxy {
    /// Reads an address such as `http://proxy.example.com:3128`.
    ///
    /// # Errors
    /// Every reason of [`ProxyError`].
    pub fn parse(address: &str, resolves: bool) -> Result<Self, ProxyError> {
        let url = Url::parse(address).map_err(|_| ProxyError::Address)?;
        let is_plain = url.scheme() == "http" && url.path() == "/";
        let host = url.host_str().filter(|_| is_plain).ok_or(ProxyError::Address)?;

        if !url.username().is_empty() || url.password().is_some() {
            return Err(ProxyError::Credentials);
        }

        let port = url.port_or_known_default().unwrap_or(80);
        Ok(Self {
            host: host.to_owned(),
            port,
            authorization: None,
            resolves,
        })
    }

    /// The same proxy, with a user name and a password (`Basic`).
    #[must_use]
    pub fn with_credentials(self, user: &str, password: &str) -> Self {
        let encoded = STANDARD.encode(format!("{user}:{password}"));
        Self {
            authorization: Some(format!("Basic {encoded}")),
            ..self
        }
    }
}

/// Opens a tunnel to `target`, which is written as in a URL.
///
/// A proxy that cannot be reached or that refuses is [`Failure::Proxy`]: the receiver is not at fault. If the proxy
/// reports that it could not reach the receiver, or does not answer while it connects, the receiver failed.
pub(crate) async fn tunnel<B>(
    proxy: &Proxy,
    resolver: &dyn Resolve,
    limits: &Limits,
    target: &str,
    trace: &mut Trace,
) -> Result<Box<dyn Stream>, Failure<B>> {
    trace.enter(Stage::Proxying);

    let failed = |text: String| Failure::Proxy(text);
    let found = match proxy.host.trim_matches(['[', ']']).parse() {
        Ok(address) => vec![address],
        Err(_) => resolver.resolve(&proxy.host).await.map_err(|error| failed(error.0))?,
    };

    let mut opened = Err(failed("no address".to_owned()));
    for address in found {
        let address = SocketAddr::new(address, proxy.port);
        opened = match tokio::time::timeout(limits.connect, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(failed(innermost(&error))),
            Err(_) => Err(failed("it did not answer in time".to_owned())),
        };

        if opened.is_ok() {
            break;
        }
    }

    let stream = opened?;
    let _ = stream.set_nodelay(true);

    let handshake = http1::Builder::new()
        .max_buf_size(limits.head_bytes)
        .handshake(TokioIo::new(stream))
        .await;
    let (mut sender, connection) = handshake.map_err(|error| failed(innermost(&error)))?;
    let mut connection = std::pin::pin!(connection.with_upgrades());
    let request = connect_request(proxy, target).map_err(failed)?;

    // A proxy that accepted the connection and does not answer is waiting for the receiver.
    trace.enter(Stage::Connecting);

    let exchange = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| failed(innermost(&error)))?;

        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT) => {
                return Err(Failure::Connect(format!(
                    "the proxy could not reach the receiver ({status})"
                )));
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => return Err(failed("it rejected the credentials".to_owned())),
            status if status.is_client_error() => {
                return Err(Failure::Connect(format!(
                    "the proxy refused to connect to the receiver ({status})"
                )));
            }
            status => return Err(failed(format!("it answered {status}"))),
        }

        hyper::upgrade::on(response)
            .await
            .map_err(|error| failed(innermost(&error)))
    };
    let mut exchange = std::pin::pin!(exchange);

    // `connection` moves the bytes of the exchange, and ends when the tunnel is open.
    let upgraded: Upgraded = tokio::select! {
        biased;
        upgraded = &mut exchange => upgraded?,
        ended = &mut connection => {
            ended.map_err(|error| failed(innermost(&error)))?;
            exchange.await?
        }
    };

    Ok(Box::new(TokioIo::new(upgraded)))
}

fn connect_request(proxy: &Proxy, target: &str) -> Result<Request<Empty<Bytes>>, String> {
    let uri: Uri = target
        .parse()
        .map_err(|_| "the target has an illegal character".to_owned())?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = uri;

    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| "a header value is illegal".to_owned());
    request.headers_mut().insert(HOST, value(target)?);

    if let Some(authorization) = &proxy.authorization {
        request.headers_mut().insert(PROXY_AUTHORIZATION, value(authorization)?);
    }

    Ok(request)
}
