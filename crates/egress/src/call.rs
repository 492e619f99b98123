//! One attempt: sends a request and reads a bounded answer, or finds the reason for its absence.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::Notify;

use crate::connect::{ConnectOptions, Link, connect};
use crate::error::{Failure, Stage, of_hyper};
use crate::pool::{Key, Pool};
use crate::proxy::Proxy;
use crate::resolve::Resolve;
use crate::timing::{Timing, Trace};
use crate::tls::Tls;
use crate::trust::{Presented, Trust};

/// The time, header fields and bytes that one call to a receiver may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The deadline for the whole call: look-up, connecting, TLS, sending, head and body.
    pub deadline: Duration,

    /// The part of the deadline that connecting to one address may use.
    pub connect: Duration,

    /// Maximum number of header fields in an answer.
    pub head_fields: usize,

    /// Maximum size of the head of an answer, in bytes.
    pub head_bytes: usize,

    /// Maximum number of bytes that are read from the body. The connection is closed after that.
    pub body_read: usize,

    /// Maximum number of bytes of the body that are kept.
    pub body_kept: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            connect: Duration::from_secs(3),
            head_fields: 100,
            head_bytes: 64 << 10,
            body_read: 64 << 10,
            body_kept: 8 << 10,
        }
    }
}

/// A request whose URL the caller has already parsed and checked. Nothing here is parsed again.
pub struct Call<'a> {
    /// Deliveries use POST.
    pub method: Method,

    /// True for TLS.
    pub https: bool,

    /// Host name in ASCII, or an address; IPv6 in brackets.
    pub host: &'a str,

    /// The address, if the host is one. The resolver is not asked then.
    pub literal: Option<IpAddr>,

    /// Port.
    pub port: u16,

    /// Value of `Host`.
    pub authority: &'a str,

    /// Path and query.
    pub path: &'a str,

    /// Header names as they are documented. On the wire, every word begins with a capital letter.
    pub headers: &'a [(Cow<'static, str>, String)],

    /// The exact bytes to send.
    pub body: Bytes,

    /// True if the certificate of the receiver is verified.
    pub verify_tls: bool,

    /// Certificate for a receiver that asks for one. It replaces the client's own.
    pub certificate: Option<Presented<'a>>,
}

/// The answer of a receiver, cut to the limits.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,

    /// Header fields.
    pub headers: HeaderMap,

    /// The beginning of the body.
    pub body: Bytes,
}

/// The result of an attempt.
#[derive(Debug)]
pub struct Report<B> {
    /// The answer, or the reason for its absence.
    pub result: Result<Answer, Failure<B>>,

    /// The address of the receiver that was called. None if a proxy resolved the name.
    pub address: Option<SocketAddr>,

    /// The duration of each phase.
    pub timing: Timing,
}

/// The HTTP client. A process has one.
pub struct Client {
    pub(crate) limits: Limits,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) tls: Tls,
    pool: Pool,
    pub(crate) proxy: Option<Proxy>,
}

impl Client {
    /// Makes a client that trusts the system's certificate authorities and those in `trust`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(limits: Limits, resolver: Arc<dyn Resolve>, trust: Trust) -> Result<Self, rustls::Error> {
        Ok(Self {
            limits,
            resolver,
            tls: Tls::new(trust)?,
            pool: Pool::default(),
            proxy: None,
        })
    }

    /// Sends all calls through a proxy.
    #[must_use]
    pub fn through(self, proxy: Proxy) -> Self {
        Self {
            proxy: Some(proxy),
            ..self
        }
    }

    /// Makes one attempt. `judge` receives all addresses before a connection is opened. If it refuses, the attempt
    /// ends.
    pub async fn call<B>(&self, call: Call<'_>, judge: impl Fn(&[IpAddr]) -> Result<(), B>) -> Report<B> {
        let mut trace = Trace::begin();
        let mut address = None;
        let attempt = self.attempt(call, judge, &mut trace, &mut address);
        let result = tokio::time::timeout(self.limits.deadline, attempt).await;
        let result = result.unwrap_or_else(|_| Err(Failure::TimedOut(trace.stage())));

        Report {
            result,
            address,
            timing: trace.end(),
        }
    }

    /// Closes connections that have been idle for too long.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    async fn attempt<B>(
        &self,
        call: Call<'_>,
        judge: impl Fn(&[IpAddr]) -> Result<(), B>,
        trace: &mut Trace,
        address: &mut Option<SocketAddr>,
    ) -> Result<Answer, Failure<B>> {
        let addresses = self.judged(&call, judge).await?;
        let by_name = self.goes_by_name(&call);
        let key = Key::of(&call);
        let mut request = request(&call)?;

        trace.enter(Stage::Waiting);

        while let Some((mut link, judged)) = self.pool.take(&key, &addresses) {
            if link.is_gone().await {
                continue;
            }

            *address = Some(judged).filter(|_| !by_name);
            trace.tls_version(link.tls_version);

            match self.exchange(&mut link, request, trace).await {
                Ok((answer, reusable)) => {
                    if reusable {
                        self.pool.give(key, judged, link);
                    }

                    return Ok(answer);
                }

                // The peer closed the idle connection, and no byte was sent. A new connection repeats the request.
                Err(Exchange::NotSent(unsent)) => {
                    request = *unsent;
                    break;
                }
                // The peer closed the connection before the head of an answer, as peers do with idle connections. The
                // request may have been read, but its key makes a repeat harmless (RFC 9110 section 9.2.2). A closed
                // connection is no failure of the receiver, so a new connection repeats the request.
                Err(Exchange::Unanswered(Failure::Broken(_))) => {
                    request = self::request(&call)?;
                    break;
                }
                Err(Exchange::Failed(failure) | Exchange::Unanswered(failure)) => return Err(failure),
            }
        }

        let (mut link, judged) = connect(&self.connect_options(&call), &key, &addresses, trace).await?;
        *address = Some(judged).filter(|_| !by_name);
        trace.tls_version(link.tls_version);

        match self.exchange(&mut link, request, trace).await {
            Ok((answer, reusable)) => {
                if reusable {
                    self.pool.give(key, judged, link);
                }

                Ok(answer)
            }
            Err(Exchange::NotSent(_)) => Err(Failure::Broken("closed before the request was sent".to_owned())),
            Err(Exchange::Failed(failure) | Exchange::Unanswered(failure)) => Err(failure),
        }
    }

    /// The settings with which the connection of a call is opened.
    pub(crate) fn connect_options<'a>(&'a self, call: &'a Call<'_>) -> ConnectOptions<'a> {
        ConnectOptions {
            tls: &self.tls,
            certificate: call.certificate.as_ref(),
            limits: &self.limits,
            proxy: self.proxy.as_ref(),
            resolver: &*self.resolver,
        }
    }

    /// True if the proxy resolves the name.
    fn goes_by_name(&self, call: &Call<'_>) -> bool {
        call.literal.is_none() && self.proxy.as_ref().is_some_and(|proxy| proxy.resolves)
    }

    /// The addresses that the judge approved.
    pub(crate) async fn judged<B>(
        &self,
        call: &Call<'_>,
        judge: impl Fn(&[IpAddr]) -> Result<(), B>,
    ) -> Result<Vec<SocketAddr>, Failure<B>> {
        if self.goes_by_name(call) {
            // Only the proxy knows the address, so kept tunnels are identified by host and port alone.
            return Ok(vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), call.port)]);
        }

        let found = match call.literal {
            Some(literal) => vec![literal],
            None => self
                .resolver
                .resolve(call.host)
                .await
                .map_err(|error| Failure::Dns(error.0))?,
        };
        judge(&found).map_err(Failure::Blocked)?;

        if found.is_empty() {
            return Err(Failure::Dns("no address".to_owned()));
        }

        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, call.port)).collect())
    }

    /// Sends a request on an open connection and reads the answer. The flag is true if the connection can be used
    /// again.
    async fn exchange<B>(
        &self,
        link: &mut Link,
        mut request: Request<Full<Bytes>>,
        trace: &mut Trace,
    ) -> Result<(Answer, bool), Exchange<B>> {
        let (sender, mut drive) = link.split();
        if Link::drive(&mut drive, sender.ready()).await.is_err() {
            return Err(Exchange::NotSent(Box::new(request)));
        }

        let interim = Arc::new(Interim::default());
        let counted = Arc::clone(&interim);
        hyper::ext::on_informational(&mut request, move |_| counted.one_more());

        let response = tokio::select! {
            biased;
            response = Link::drive(&mut drive, sender.try_send_request(request)) => response,
            () = interim.over.notified() => return Err(Exchange::Failed(Interim::failure())),
        };

        if interim.count.load(Ordering::Relaxed) > MAX_INTERIM {
            return Err(Exchange::Failed(Interim::failure()));
        }

        let response = match response {
            Ok(response) => response,
            Err(mut error) => {
                return Err(match error.take_message() {
                    Some(unsent) => Exchange::NotSent(Box::new(unsent)),
                    None if interim.count.load(Ordering::Relaxed) == 0 => Exchange::Unanswered(of_hyper(error.error())),
                    None => Exchange::Failed(of_hyper(error.error())),
                });
            }
        };

        trace.enter(Stage::Reading);

        let answer = Link::drive(&mut drive, self.read(response)).await;
        let (answer, complete) = answer.map_err(Exchange::Failed)?;
        Ok((answer, complete && !link.is_gone().await))
    }

    async fn read<B>(&self, response: Response<Incoming>) -> Result<(Answer, bool), Failure<B>> {
        let (head, mut body) = response.into_parts();
        let status = head.status.as_u16();
        let (mut kept, mut read, mut complete) = (BytesMut::new(), 0, true);

        while let Some(frame) = body.frame().await {
            let data = match frame {
                Ok(frame) => frame.into_data().unwrap_or_default(),
                // The status decides: a success remains a success if the body breaks off.
                Err(_) if (200..300).contains(&status) => {
                    complete = false;
                    break;
                }
                Err(error) => return Err(of_hyper(&error)),
            };
            read += data.len();

            let room = self.limits.body_kept.saturating_sub(kept.len());
            kept.extend_from_slice(&data[..data.len().min(room)]);

            if read > self.limits.body_read {
                complete = false;
                break;
            }
        }

        Ok((
            Answer {
                status,
                headers: head.headers,
                body: kept.freeze(),
            },
            complete,
        ))
    }
}

/// Maximum number of interim answers (1xx) before the final one. A few are usual.
const MAX_INTERIM: usize = 10;

#[derive(Default)]
struct Interim {
    count: AtomicUsize,
    over: Notify,
}

impl Interim {
    fn one_more(&self) {
        if self.count.fetch_add(1, Ordering::Relaxed) == MAX_INTERIM {
            self.over.notify_one();
        }
    }

    fn failure<B>() -> Failure<B> {
        Failure::InvalidAnswer(format!("more than {MAX_INTERIM} interim answers"))
    }
}

enum Exchange<B> {
    /// No byte of the request was sent.
    NotSent(Box<Request<Full<Bytes>>>),

    /// The request was sent, as far as is known, and no head of an answer arrived.
    Unanswered(Failure<B>),
    Failed(Failure<B>),
}

pub(crate) fn request<B>(call: &Call<'_>) -> Result<Request<Full<Bytes>>, Failure<B>> {
    let refused = |what: &str| Failure::Request(what.to_owned());
    let uri: Uri = call
        .path
        .parse()
        .map_err(|_| refused("the path has an illegal character"))?;

    let mut request = Request::new(Full::new(call.body.clone()));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri;

    let headers = request.headers_mut();
    headers.reserve(call.headers.len() + 2);

    let host = HeaderValue::from_str(call.authority).map_err(|_| refused("the host has an illegal character"))?;
    headers.insert(HOST, host);

    for (name, value) in call.headers {
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused("a header name is illegal"))?;
        // The second check of header values. Line breaks, above all, must never be sent.
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refused("a header value is illegal"))?;
        headers.insert(header, value);
    }

    Ok(request)
}
