//! Mail by SMTP, sent to one server that the operator's settings name.
//!
//! The connection is opened here and not by the mail library, so that the judge sees every address before it is called.
//! One deadline covers the look-up, the connection, TLS and the conversation.

mod encrypted;
mod failure;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail as MailCommand, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, transport::smtp::Error as SmtpError};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::innermost;
use crate::resolve::Resolve;
use crate::tls::{roots, verifying};
use encrypted::Encrypted;
pub use failure::MailFailure;
use failure::{of_smtp, shortened};

/// The deadline for one mail.
const DEADLINE: Duration = Duration::from_secs(15);
/// The part of the deadline that connecting to one address may use.
const CONNECT: Duration = Duration::from_secs(5);

/// The encryption of a connection to the mail server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MailTls {
    /// TLS from the first byte.
    Implicit,

    /// STARTTLS. A server that does not offer it gets no mail.
    Required,

    /// STARTTLS if the server offers it.
    Opportunistic,

    /// No encryption.
    None,
}

/// The mail server. There is no `Debug`, because of the password.
pub struct MailServer {
    /// Its name or address.
    pub host: String,

    /// Its port.
    pub port: u16,

    /// The encryption.
    pub tls: MailTls,

    /// The user and the password, if the server asks for them.
    pub credentials: Option<(String, String)>,

    /// The name under which the client introduces itself.
    pub hello: String,

    /// The sender of all mails.
    pub from: Sender,
}

/// The sender of mails: `quickdraw@example.com` or `Quickdraw <quickdraw@example.com>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sender(Mailbox);

impl Sender {
    /// Parses a sender; `None` if the text is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mailbox: Mailbox = text.parse().ok()?;
        mailbox.email.to_string().is_ascii().then_some(Self(mailbox))
    }

    /// The part of its address after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

/// A mail. Recipients see each other.
pub struct Mail<'a> {
    /// The recipients: addresses in ASCII.
    pub to: Vec<&'a str>,

    /// The subject.
    pub subject: &'a str,

    /// The body, as plain text.
    pub text: &'a str,

    /// The first part of `Message-ID`. A mail that is sent again has the same one, so that readers see it once.
    pub id: &'a str,

    /// The time in the header `Date`.
    pub at: SystemTime,
}

/// A recipient that the server refused, although it took the mail for others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusedRecipient {
    /// The address.
    pub address: String,

    /// The answer of the server.
    pub answer: String,
}

/// The client of one mail server.
pub struct Mailer {
    server: MailServer,
    resolver: Arc<dyn Resolve>,
    starttls: TlsParameters,
    implicit: Arc<ClientConfig>,
}

impl Mailer {
    /// Makes a client that trusts the system's certificate authorities and `additional` ones.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(
        server: MailServer,
        resolver: Arc<dyn Resolve>,
        additional: &[CertificateDer<'static>],
    ) -> Result<Self, MailFailure<std::convert::Infallible>> {
        let tls = |error: &dyn std::error::Error| MailFailure::Tls(innermost(error));
        let implicit = verifying(additional).map_err(|error| tls(&error))?;
        let starttls = starttls(&server.host, additional).map_err(|error| tls(&error))?;

        Ok(Self {
            server,
            resolver,
            starttls,
            implicit,
        })
    }

    /// Sends a mail. `judge` receives all addresses of the server before a connection is opened. Returns the recipients
    /// that the server refused; a mail that it refused for all of them is an error.
    ///
    /// # Errors
    /// The reason for which the server did not take the mail.
    pub async fn send<B>(
        &self,
        mail: &Mail<'_>,
        judge: impl Fn(&[IpAddr]) -> Result<(), B>,
    ) -> Result<Vec<RefusedRecipient>, MailFailure<B>> {
        let sent = tokio::time::timeout(DEADLINE, self.converse(mail, judge)).await;
        sent.unwrap_or(Err(MailFailure::TimedOut))
    }

    async fn converse<B>(
        &self,
        mail: &Mail<'_>,
        judge: impl Fn(&[IpAddr]) -> Result<(), B>,
    ) -> Result<Vec<RefusedRecipient>, MailFailure<B>> {
        let message = self.message(mail)?;
        let stream = self.connect(judge).await?;
        let mut connection = self.open(stream).await?;

        let from = self.server.from.0.email.clone();
        connection
            .command(MailCommand::new(Some(from), Vec::new()))
            .await
            .map_err(of_smtp)?;

        let mut refused = Vec::new();
        for to in &mail.to {
            let address: Address = to
                .parse()
                .map_err(|_| MailFailure::Message(format!("{to} is not a mail address")))?;

            match connection.command(Rcpt::new(address, Vec::new())).await {
                Ok(_) => {}
                // A later attempt does not help an address that the server refuses for good, and must not keep the
                // mail from the others.
                Err(error) if error.is_permanent() => refused.push(RefusedRecipient {
                    address: (*to).to_owned(),
                    answer: failure::answer(&error),
                }),
                Err(error) => return Err(of_smtp(error)),
            }
        }

        if refused.len() == mail.to.len() {
            connection.abort().await;
            let answers: Vec<String> = refused
                .iter()
                .map(|one| format!("{}: {}", one.address, one.answer))
                .collect();
            return Err(MailFailure::Refused(shortened(&answers.join("; "))));
        }

        connection.command(Data).await.map_err(of_smtp)?;
        connection.message(&message).await.map_err(of_smtp)?;
        // The mail is taken; how the server ends the conversation does not matter.
        let _ = connection.quit().await;

        Ok(refused)
    }

    /// The bytes of a mail. All of them are ASCII: the library encodes everything else.
    fn message<B>(&self, mail: &Mail<'_>) -> Result<Vec<u8>, MailFailure<B>> {
        let wrong = |error: &dyn std::error::Error| MailFailure::Message(error.to_string());
        let sender = &self.server.from;

        let mut builder = Message::builder()
            .from(sender.0.clone())
            .subject(mail.subject)
            .date(mail.at)
            .message_id(Some(format!("<{}@{}>", mail.id, sender.domain())))
            .header(ContentType::TEXT_PLAIN);
        for to in &mail.to {
            builder = builder.to(to.parse::<Mailbox>().map_err(|error| wrong(&error))?);
        }

        let mut message = builder.body(mail.text.to_owned()).map_err(|error| wrong(&error))?;
        // RFC 3834: programs that answer mails do not answer this one.
        message.headers_mut().insert_raw(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));

        Ok(message.formatted())
    }

    /// Connects to the first address that answers.
    async fn connect<B>(&self, judge: impl Fn(&[IpAddr]) -> Result<(), B>) -> Result<TcpStream, MailFailure<B>> {
        let host = self.server.host.trim_matches(['[', ']']);
        let found = match host.parse() {
            Ok(literal) => vec![literal],
            Err(_) => self
                .resolver
                .resolve(host)
                .await
                .map_err(|error| MailFailure::Dns(error.0))?,
        };
        judge(&found).map_err(MailFailure::Blocked)?;

        let mut last = "no address".to_owned();
        for ip in found {
            let address = SocketAddr::new(ip, self.server.port);
            match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = innermost(&error),
                Err(_) => last = format!("no answer within {} s", CONNECT.as_secs()),
            }
        }

        Err(MailFailure::Connect(last))
    }

    /// Encrypts a connection as the settings want it, and signs in.
    async fn open<B>(&self, stream: TcpStream) -> Result<AsyncSmtpConnection, MailFailure<B>> {
        let server = &self.server;
        let is_implicit = server.tls == MailTls::Implicit;
        let stream: Box<dyn AsyncTokioStream> = if is_implicit {
            let name = ServerName::try_from(server.host.trim_matches(['[', ']']).to_owned())
                .map_err(|error| MailFailure::Tls(error.to_string()))?;
            let connector = TlsConnector::from(Arc::clone(&self.implicit));
            let stream = connector.connect(name, stream).await;
            Box::new(Encrypted(stream.map_err(|error| MailFailure::Tls(innermost(&error)))?))
        } else {
            Box::new(stream)
        };

        let hello = ClientId::Domain(server.hello.clone());
        let mut connection = AsyncSmtpConnection::connect_with_transport(stream, &hello)
            .await
            .map_err(of_smtp)?;

        match server.tls {
            MailTls::Implicit | MailTls::None => {}
            MailTls::Required | MailTls::Opportunistic if connection.can_starttls() => {
                let encrypted = connection.starttls(self.starttls.clone(), &hello).await;
                encrypted.map_err(|error| MailFailure::Tls(shortened(&innermost(&error))))?;
            }
            MailTls::Required => return Err(MailFailure::NoTls),
            MailTls::Opportunistic => {}
        }

        if let Some((user, password)) = &server.credentials {
            if !is_implicit && !connection.is_encrypted() {
                return Err(MailFailure::PlainPassword);
            }

            let credentials = Credentials::new(user.clone(), password.clone());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            let signed_in = connection.auth(&mechanisms, &credentials).await;
            signed_in.map_err(|error| MailFailure::SignIn(failure::answer(&error)))?;
        }

        Ok(connection)
    }
}

/// The parameters of STARTTLS, with the same authorities as the client's.
fn starttls(host: &str, additional: &[CertificateDer<'static>]) -> Result<TlsParameters, SmtpError> {
    let mut builder = TlsParameters::builder(host.trim_matches(['[', ']']).to_owned());
    builder = match roots(additional) {
        Some(roots) => {
            builder = builder.certificate_store(CertificateStore::None);
            for root in roots {
                builder = builder.add_root_certificate(Certificate::from_der(root.to_vec())?);
            }

            builder
        }
        None => {
            builder = builder.certificate_store(CertificateStore::WebpkiRoots);
            for root in additional {
                builder = builder.add_root_certificate(Certificate::from_der(root.to_vec())?);
            }

            builder
        }
    };

    builder.build()
}
