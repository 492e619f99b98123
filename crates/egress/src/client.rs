//! One attempt: sends a request and reads a bounded answer, or finds the reason for its absence.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::Notify;

use crate::call::{Answer, Call, Report, request};
use crate::connect::{ConnectOptions, connect};
use crate::error::{Failure, Stage, of_hyper};
use crate::limits::Limits;
use crate::link::{Key, Link};
use crate::pool::Pool;
use crate::proxy::Proxy;
use crate::resolve::{Resolve, ResolveError};
use crate::timing::Trace;
use crate::tls::Tls;
use crate::trust::Trust;

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

    /// The addresses of a name, as an attempt would find them. `None` if the proxy resolves names.
    pub async fn resolve(&self, name: &str) -> Option<Result<Vec<IpAddr>, ResolveError>> {
        if self.proxy.as_ref().is_some_and(|proxy| proxy.resolves) {
            return None;
        }

        Some(self.resolver.resolve(name).await)
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
