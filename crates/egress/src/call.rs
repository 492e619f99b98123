//! One attempt: from a request to a bounded answer or the reason why there is none.

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

use crate::connect::{Link, Way, connect};
use crate::error::{Failure, Stage, of_hyper};
use crate::pool::{Key, Pool};
use crate::proxy::Proxy;
use crate::resolve::Resolve;
use crate::timing::{Timing, Trace};
use crate::tls::Tls;
use crate::trust::{Presented, Trust};

/// How much a receiver may cost us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// One deadline over look-up, connecting, TLS, sending, head and body.
    pub deadline: Duration,
    /// Share of the deadline for connecting to one address.
    pub connect: Duration,
    /// Most header fields of an answer.
    pub head_fields: usize,
    /// Most bytes of its head.
    pub head_bytes: usize,
    /// Most bytes of its body that are read before the connection is closed.
    pub body_read: usize,
    /// Most bytes of its body that are kept.
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

/// A request, taken apart by whoever judged it: nothing here is parsed again.
pub struct Call<'a> {
    /// What to do: deliveries post.
    pub method: Method,
    /// TLS or not.
    pub https: bool,
    /// Name in ASCII, or an address; IPv6 in brackets.
    pub host: &'a str,
    /// The host, when it is an address: the resolver is not asked then.
    pub literal: Option<IpAddr>,
    /// Port.
    pub port: u16,
    /// Value of `Host`.
    pub authority: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// Names in the spelling of their documentation; on the wire every word begins with a capital.
    pub headers: &'a [(Cow<'static, str>, String)],
    /// The exact bytes.
    pub body: Bytes,
    /// Whether the certificate is checked.
    pub verify_tls: bool,
    /// What is shown to a receiver that asks for a certificate, instead of the client's own.
    pub certificate: Option<Presented<'a>>,
}

/// What a receiver answered, within bounds.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// Beginning of the body.
    pub body: Bytes,
}

/// What came of an attempt.
#[derive(Debug)]
pub struct Report<B> {
    /// The answer, or why there is none.
    pub result: Result<Answer, Failure<B>>,
    /// The address that was called.
    pub address: Option<SocketAddr>,
    /// Where the time went.
    pub timing: Timing,
}

/// The client. One for the whole process.
pub struct Client {
    pub(crate) limits: Limits,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) tls: Tls,
    pool: Pool,
    pub(crate) proxy: Option<Proxy>,
}

impl Client {
    /// Makes a client that trusts the system's certificate authorities and the given ones.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(limits: Limits, resolver: Arc<dyn Resolve>, trust: Trust) -> Result<Self, rustls::Error> {
        Ok(Self { limits, resolver, tls: Tls::new(trust)?, pool: Pool::default(), proxy: None })
    }

    /// Goes through a proxy from now on.
    #[must_use]
    pub fn through(self, proxy: Proxy) -> Self {
        Self { proxy: Some(proxy), ..self }
    }

    /// Makes one attempt. `judge` sees every address before any of them is connected to; one refusal refuses the lot.
    pub async fn call<B>(&self, call: Call<'_>, judge: impl Fn(&[IpAddr]) -> Result<(), B>) -> Report<B> {
        let mut trace = Trace::begin();
        let mut address = None;
        let attempt = self.attempt(call, judge, &mut trace, &mut address);
        let result = tokio::time::timeout(self.limits.deadline, attempt).await;
        let result = result.unwrap_or_else(|_| Err(Failure::TimedOut(trace.stage())));
        Report { result, address, timing: trace.end() }
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
                // The peer closed it while we took it up, and not a byte was sent: once more on a new one.
                Err(Exchange::NotSent(unsent)) => {
                    request = *unsent;
                    break;
                }
                // It closed before there was the head of an answer, as peers do with connections that were idle. Whether it
                // read the request cannot be told, but its key makes sending it again harmless (RFC 9110 section 9.2.2), and
                // a failure of the connection is not one of the receiver.
                Err(Exchange::Unanswered(Failure::Broken(_))) => {
                    request = self::request(&call)?;
                    break;
                }
                Err(Exchange::Failed(failure) | Exchange::Unanswered(failure)) => return Err(failure),
            }
        }
        let (mut link, judged) = connect(&self.way(&call), &key, &addresses, trace).await?;
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

    /// How the connection of a call is opened.
    pub(crate) fn way<'a>(&'a self, call: &'a Call<'_>) -> Way<'a> {
        Way {
            tls: &self.tls,
            certificate: call.certificate.as_ref(),
            limits: &self.limits,
            proxy: self.proxy.as_ref(),
            resolver: &*self.resolver,
        }
    }

    /// Whether the proxy looks the name up.
    fn goes_by_name(&self, call: &Call<'_>) -> bool {
        call.literal.is_none() && self.proxy.as_ref().is_some_and(|proxy| proxy.resolves)
    }

    /// The addresses that may be connected to.
    pub(crate) async fn judged<B>(
        &self,
        call: &Call<'_>,
        judge: impl Fn(&[IpAddr]) -> Result<(), B>,
    ) -> Result<Vec<SocketAddr>, Failure<B>> {
        if self.goes_by_name(call) {
            // Who looks the name up is the one to know its address: a kept tunnel is told apart by the name alone.
            return Ok(vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), call.port)]);
        }
        let found = match call.literal {
            Some(literal) => vec![literal],
            None => self.resolver.resolve(call.host).await.map_err(|error| Failure::Dns(error.0))?,
        };
        judge(&found).map_err(Failure::Blocked)?;
        if found.is_empty() {
            return Err(Failure::Dns("no address".to_owned()));
        }
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, call.port)).collect())
    }

    /// Sends on an open connection and reads the answer. Tells whether the connection can be used again.
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
        if interim.count.load(Ordering::Relaxed) > MOST_INTERIM {
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
                // The status is known, and that is what counts: a success stays one although its body broke off.
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
        Ok((Answer { status, headers: head.headers, body: kept.freeze() }, complete))
    }
}

/// Interim answers (1xx) before the one that counts: a few are usual, and nobody needs many.
const MOST_INTERIM: usize = 10;

#[derive(Default)]
struct Interim {
    count: AtomicUsize,
    over: Notify,
}

impl Interim {
    fn one_more(&self) {
        if self.count.fetch_add(1, Ordering::Relaxed) == MOST_INTERIM {
            self.over.notify_one();
        }
    }

    fn failure<B>() -> Failure<B> {
        Failure::InvalidAnswer(format!("more than {MOST_INTERIM} interim answers"))
    }
}

enum Exchange<B> {
    /// Nothing of it left us.
    NotSent(Box<Request<Full<Bytes>>>),
    /// It was sent, as far as is known, and there is no head of an answer.
    Unanswered(Failure<B>),
    Failed(Failure<B>),
}

pub(crate) fn request<B>(call: &Call<'_>) -> Result<Request<Full<Bytes>>, Failure<B>> {
    let refused = |what: &str| Failure::Request(what.to_owned());
    let uri: Uri = call.path.parse().map_err(|_| refused("its path has an illegal character"))?;
    let mut request = Request::new(Full::new(call.body.clone()));
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.reserve(call.headers.len() + 2);
    let host = HeaderValue::from_str(call.authority).map_err(|_| refused("its host has an illegal character"))?;
    headers.insert(HOST, host);
    for (name, value) in call.headers {
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused("a header name is illegal"))?;
        // Whatever is not allowed in a value, line breaks above all, is refused here once more.
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| refused("a header value is illegal"))?;
        headers.insert(header, value);
    }
    Ok(request)
}
