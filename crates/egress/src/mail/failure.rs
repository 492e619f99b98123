//! The reasons for which a mail server did not take a mail.

use std::error::Error as _;

use lettre::transport::smtp::Error as SmtpError;

/// Longest text of a server that is kept, in characters.
const MAX_TEXT: usize = 300;

/// The reason for which a mail server did not take a mail. `B` is the reason that the judge gives for a refusal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MailFailure<B> {
    /// The deadline passed.
    #[error("the mail server did not answer in time")]
    TimedOut,

    /// The name of the server could not be resolved.
    #[error("the name of the mail server could not be resolved: {0}")]
    Dns(String),

    /// The judge refused the address of the server.
    #[error("the address of the mail server is refused: {0}")]
    Blocked(B),

    /// No connection could be opened.
    #[error("could not connect to the mail server: {0}")]
    Connect(String),

    /// TLS could not be negotiated.
    #[error("TLS with the mail server failed: {0}")]
    Tls(String),

    /// The server does not offer STARTTLS.
    #[error(
        "the mail server does not offer STARTTLS, which mail.tls requires; set mail.tls to implicit if its port is 465"
    )]
    NoTls,

    /// The password would be sent without encryption.
    #[error("the mail server does not offer STARTTLS, and the password is not sent without encryption")]
    PlainPassword,

    /// The server refused the user or the password.
    #[error("the mail server refused mail.user or mail.password: {0}")]
    SignIn(String),

    /// The server refused the sender, the recipients or the mail.
    #[error("the mail server refused the mail: {0}")]
    Refused(String),

    /// The connection broke, or the server does not speak SMTP.
    #[error("the conversation with the mail server broke off: {0}")]
    Broken(String),

    /// The mail cannot be written.
    #[error("the mail cannot be sent: {0}")]
    Message(String),
}

/// Translates an error of the mail library.
pub(super) fn of_smtp<B>(error: SmtpError) -> MailFailure<B> {
    if error.status().is_some() {
        MailFailure::Refused(answer(&error))
    } else if error.is_tls() {
        MailFailure::Tls(shortened(&error.to_string()))
    } else {
        MailFailure::Broken(shortened(&error.to_string()))
    }
}

/// The answer of the server: `550 no such user`. Other errors have their own words.
pub(super) fn answer(error: &SmtpError) -> String {
    match (error.status(), error.source()) {
        (Some(code), Some(text)) => shortened(&format!("{code} {text}")),
        (Some(code), None) => code.to_string(),
        (None, _) => shortened(&error.to_string()),
    }
}

/// A text of limited length on one line.
pub(super) fn shortened(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_TEXT)
        .collect()
}
