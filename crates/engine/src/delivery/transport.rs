//! The way out: what carries a built request to a receiver. The real one is the guarded client; a simulation has its
//! own receivers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use quickdraw_domain::guard::{self, Rule, judge_operators_server, judge_resolved, judge_url};
use quickdraw_domain::hook::{ClientCertificate, HookUrl};
use quickdraw_domain::notification::MailAddress;
use quickdraw_domain::outcome::{Outcome, Unreachable, classify, retry_after};
use quickdraw_domain::phases::Phases;
use quickdraw_domain::request::Request;
use quickdraw_domain::{Secret, Timestamp};
use quickdraw_egress::{
    Answer, Call, Client, Failure, Mail, Mailer, Method, PemError, Presented, Report, Stage, Timing, opened,
    own_addresses,
};

use crate::telemetry;

/// Header fields of an answer that history keeps, and bytes of each value, as GitLab does.
const KEPT_FIELDS: usize = 50;
const KEPT_VALUE: usize = 1024;

/// The result of sending a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The verdict.
    pub outcome: Outcome,

    /// The address that was called.
    pub address: Option<String>,

    /// Where the time went, if anybody was called.
    pub phases: Option<Phases>,

    /// Why there was no answer.
    pub error: Option<String>,

    /// Header fields of the answer, one a line.
    pub response_headers: Option<String>,

    /// Beginning of its body.
    pub response_body: Option<Vec<u8>>,
}

/// The addresses of a URL's host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resolved {
    /// The host has these addresses now.
    Addresses(Vec<IpAddr>),

    /// The look-up failed, for this reason.
    Failed(String),

    /// The proxy resolves names, or there is no resolver.
    Elsewhere,
}

/// Carries requests out.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends one request; takes no longer than the deadline. Never fails: a failure is a verdict.
    async fn send(&self, request: Request, now: Timestamp) -> Sent;

    /// Sends one mail. Returns the recipients that the server refused, in words, if it took the mail for others.
    ///
    /// # Errors
    /// The reason for which the mail was not sent, and how to correct it.
    async fn mail(&self, _mail: OutgoingMail<'_>, _now: Timestamp) -> Result<Option<String>, String> {
        Err(NO_MAIL_SERVER.to_owned())
    }

    /// Whether a mail server is set.
    fn sends_mail(&self) -> bool {
        false
    }

    /// Looks up the host of a URL as an attempt would, for a person who tests the guard.
    async fn resolve(&self, _url: &HookUrl) -> Resolved {
        Resolved::Elsewhere
    }

    /// Called now and then, to drop what is no longer needed.
    fn sweep(&self) {}

    /// The number of requests that each rule of the guard has refused.
    fn refusals(&self) -> Vec<(Rule, u64)> {
        Vec::new()
    }
}

/// The error of a mail without a mail server.
const NO_MAIL_SERVER: &str = "no mail server is set; set mail.host and mail.from";

/// A mail to people. There is no `Debug`, because addresses are never logged.
pub struct OutgoingMail<'a> {
    /// The recipients.
    pub to: &'a [MailAddress],

    /// The subject.
    pub subject: String,

    /// The body, as plain text.
    pub text: String,

    /// The first part of `Message-ID`.
    pub id: &'a str,
}

/// The real one.
pub struct Guarded {
    client: Client,
    mailer: Option<Mailer>,
    guard: Arc<guard::Settings>,
    listening: Option<SocketAddr>,

    /// The number of requests that each rule has refused, in the order of [`Rule::ALL`].
    refusals: [AtomicU64; Rule::ALL.len()],

    /// Whether the machine's addresses could not be listed the last time, which is said once.
    failed_before: AtomicBool,
}

impl Guarded {
    /// Puts the guard in front of a client.
    #[must_use]
    pub const fn new(client: Client, guard: Arc<guard::Settings>) -> Self {
        Self {
            client,
            mailer: None,
            guard,
            listening: None,
            refusals: [const { AtomicU64::new(0) }; Rule::ALL.len()],
            failed_before: AtomicBool::new(false),
        }
    }

    /// Sends mails with this client. Without one, mails are refused.
    #[must_use]
    pub fn with_mailer(self, mailer: Option<Mailer>) -> Self {
        Self { mailer, ..self }
    }

    /// Lets the guard know under which addresses this process is reached, now and whenever they change.
    #[must_use]
    pub fn listening_on(mut self, address: SocketAddr) -> Self {
        self.listening = Some(address);
        self.guard.own.set([address]);
        self.learn_own();

        self
    }

    /// Reads the machine's addresses again: interfaces come and go while a server runs.
    fn learn_own(&self) {
        let Some(listening) = self.listening else { return };
        match own_addresses(listening) {
            Ok(own) => {
                self.guard.own.set(own);
                self.failed_before.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                if !self.failed_before.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "failed to list the machine's addresses; the guard goes by those known before");
                }
            }
        }
    }
}

impl Guarded {
    async fn send_if_allowed(&self, request: Request, now: Timestamp) -> Sent {
        // The second gate: rules may have changed since the hook was saved, and names answer differently each time.
        if let Err(rule) = judge_url(&request.url, &self.guard) {
            return blocked(rule);
        }

        let (host, authority, path) = (
            request.url.host().to_string(),
            request.url.authority(),
            request.url.path_and_query(),
        );

        let call = Call {
            method: Method::POST,
            https: request.url.is_https(),
            host: &host,
            literal: literal(&request),
            port: request.url.port(),
            authority: &authority,
            path: &path,
            headers: &request.headers,
            body: request.body.clone(),
            verify_tls: request.verify_tls,
            certificate: request.client_certificate.as_ref().map(|certificate| Presented {
                digest: certificate.digest(),
                pem: certificate.pem.expose(),
            }),
        };
        let report = self
            .client
            .call(call, |found| judge_resolved(&request.url, found, &self.guard))
            .await;
        sent(report, now)
    }

    /// Counts a refusal of the guard.
    fn count(&self, rule: Rule) {
        metrics::counter!(telemetry::BLOCKED, "rule" => rule.name()).increment(1);

        let counted = Rule::ALL.iter().zip(&self.refusals).find(|(known, _)| **known == rule);
        if let Some((_, count)) = counted {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl Transport for Guarded {
    async fn send(&self, request: Request, now: Timestamp) -> Sent {
        let sent = self.send_if_allowed(request, now).await;
        if let Outcome::Unreachable(Unreachable::Blocked(rule)) = sent.outcome {
            self.count(rule);
        }

        sent
    }

    async fn mail(&self, mail: OutgoingMail<'_>, now: Timestamp) -> Result<Option<String>, String> {
        let Some(mailer) = &self.mailer else {
            return Err(NO_MAIL_SERVER.to_owned());
        };
        let since_1970 = Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or(0));
        let mail = Mail {
            to: mail.to.iter().map(MailAddress::as_str).collect(),
            subject: &mail.subject,
            text: &mail.text,
            id: mail.id,
            at: UNIX_EPOCH + since_1970,
        };

        // The operator chose the server, so that local addresses are allowed, and those of metadata services are not.
        let judge = |found: &[std::net::IpAddr]| judge_operators_server(found, &self.guard);
        let refused = mailer.send(&mail, judge).await.map_err(|failure| failure.to_string())?;
        if refused.is_empty() {
            return Ok(None);
        }

        let refused: Vec<String> = refused
            .iter()
            .map(|one| format!("{}: {}", one.address, one.answer))
            .collect();
        Ok(Some(format!("the mail server refused {}", refused.join("; "))))
    }

    fn sends_mail(&self) -> bool {
        self.mailer.is_some()
    }

    async fn resolve(&self, url: &HookUrl) -> Resolved {
        let host = url.host().to_string();
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Resolved::Addresses(vec![address]);
        }

        match self.client.resolve(&host).await {
            Some(Ok(addresses)) => Resolved::Addresses(addresses),
            Some(Err(error)) => Resolved::Failed(error.to_string()),
            None => Resolved::Elsewhere,
        }
    }

    fn sweep(&self) {
        self.client.sweep();
        self.learn_own();
    }

    fn refusals(&self) -> Vec<(Rule, u64)> {
        let counts = self.refusals.iter().map(|count| count.load(Ordering::Relaxed));
        Rule::ALL.into_iter().zip(counts).collect()
    }
}

/// Reads a client certificate that a person entered. Its key is opened here, once, so that no delivery waits for it:
/// that can take a second of work.
///
/// # Errors
/// Says what is wrong with it, and how to mend that.
pub fn open_certificate(pem: &Secret, password: &Secret) -> Result<ClientCertificate, PemError> {
    opened(pem.expose(), password.expose()).map(|pem| ClientCertificate::new(Secret::new(pem)))
}

fn literal(request: &Request) -> Option<IpAddr> {
    // `Host` is the URL crate's; its text form is the only thing both sides of this crate need to agree on.
    request.url.host().to_string().trim_matches(['[', ']']).parse().ok()
}

fn blocked(rule: Rule) -> Sent {
    Sent {
        outcome: Outcome::Unreachable(Unreachable::Blocked(rule)),
        address: None,
        phases: None,
        error: Some(rule.to_string()),
        response_headers: None,
        response_body: None,
    }
}

/// The engine's words for what the client measured.
fn phases(timing: Timing) -> Phases {
    Phases {
        took: [timing.resolve, timing.connect, timing.tls, timing.wait, timing.read],
        tls_minor: timing
            .tls_version
            .and_then(|version| version.strip_prefix("TLSv1_")?.parse().ok()),
    }
}

fn sent(report: Report<Rule>, now: Timestamp) -> Sent {
    let phases = Some(phases(report.timing));
    let address = report.address.map(|address| address.to_string());

    match report.result {
        Ok(answer) => {
            let after = answer.headers.get("retry-after").and_then(|value| value.to_str().ok());
            let after: Option<Duration> = after.and_then(|value| retry_after(value, now));

            Sent {
                outcome: classify(Ok(answer.status), after),
                address,
                phases,
                error: None,
                response_headers: Some(header_lines(&answer)),
                response_body: Some(answer.body.to_vec()),
            }
        }
        Err(Failure::Blocked(rule)) => blocked(rule),
        Err(failure) => {
            let why = match failure {
                Failure::Dns(_) => Unreachable::Dns,
                Failure::Blocked(rule) => Unreachable::Blocked(rule),
                Failure::Proxy(_) | Failure::TimedOut(Stage::Proxying) => Unreachable::Proxy,
                Failure::Connect(_) => Unreachable::Connect,
                Failure::TimedOut(_) => Unreachable::TimedOut,
                Failure::Tls(_) | Failure::Certificate(_) => Unreachable::Tls,
                Failure::Broken(_) => Unreachable::Broken,
                Failure::InvalidAnswer(_) => Unreachable::InvalidAnswer,
                Failure::Request(_) => Unreachable::Request,
            };

            Sent {
                outcome: classify(Err(why), None),
                address,
                phases,
                error: Some(failure.to_string()),
                response_headers: None,
                response_body: None,
            }
        }
    }
}

/// The header fields that history keeps: names and values, one field a line, with likely credentials masked.
fn header_lines(answer: &Answer) -> String {
    let mut lines = String::new();
    for (name, value) in answer.headers.iter().take(KEPT_FIELDS) {
        let name = name.as_str();
        let secret = ["token", "secret", "key", "auth", "cookie", "session"]
            .iter()
            .any(|word| name.contains(word));

        let value = if secret {
            "[REDACTED]".into()
        } else {
            String::from_utf8_lossy(value.as_bytes())
        };

        let end = value
            .char_indices()
            .map(|(at, c)| at + c.len_utf8())
            .take_while(|end| *end <= KEPT_VALUE)
            .last();

        lines.push_str(name);
        lines.push_str(": ");
        lines.push_str(&value[..end.unwrap_or(0)]);
        lines.push('\n');
    }

    lines
}
