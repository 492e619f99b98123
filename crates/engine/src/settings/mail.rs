//! The section `[mail]` of the settings: the server that sends the mails of notifications.

use quickdraw_domain::settings::{Problem, SecretText};
use quickdraw_egress::{MailServer, MailTls, Sender};
use serde::{Deserialize, Serialize};

quickdraw_domain::section! {
    /// The mail server for notifications. Without `mail.host`, notifications go to chats only.
    pub struct MailSection as "mail" {
        /// Name or address of the mail server (SMTP). It may be on a local network; addresses of cloud metadata
        /// services are refused.
        host: String = String::new(),

        /// Port of the mail server: usually 587 with `mail.tls = "required"`, and 465 with `mail.tls = "implicit"`.
        port: u16 = 587,

        /// Encryption. `required` uses STARTTLS and sends nothing to a server without it. `implicit` uses TLS from the
        /// first byte. `opportunistic` uses STARTTLS if the server offers it. `none` never encrypts. Certificates are
        /// verified; `delivery.tls_ca_file` adds authorities.
        tls: TlsMode = TlsMode::Required,

        /// User name for the mail server. If it is empty, the server is not asked to sign in.
        user: String = String::new(),

        /// Password for the mail server. It is never sent without encryption.
        password: SecretText = SecretText::default(),

        /// Sender of all mails: `quickdraw@example.com` or `Quickdraw <quickdraw@example.com>`. `mail.host` needs it.
        from: String = String::new(),

        /// Domains to which mails may be sent, such as `["example.com"]`. If the list is empty, all domains are
        /// allowed.
        recipient_domains: Vec<String> = Vec::new(),
    }
}

/// The encryption of connections to the mail server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// STARTTLS, or no mail.
    Required,

    /// TLS from the first byte.
    Implicit,

    /// STARTTLS if the server offers it.
    Opportunistic,

    /// No encryption.
    None,
}

impl From<TlsMode> for MailTls {
    fn from(mode: TlsMode) -> Self {
        match mode {
            TlsMode::Required => Self::Required,
            TlsMode::Implicit => Self::Implicit,
            TlsMode::Opportunistic => Self::Opportunistic,
            TlsMode::None => Self::None,
        }
    }
}

impl MailSection {
    /// Every problem of the section.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let is_host = |text: &str| !text.is_empty() && !text.contains(['/', '@', ' ']);

        if !self.host.is_empty() && !is_host(&self.host) {
            let text = "is not the name or address of a server; write it as smtp.example.com";
            problems.push(Problem::with_value("mail.host", &*self.host, text));
        }

        if self.port == 0 {
            problems.push(Problem::new("mail.port", "must not be 0"));
        }

        if (!self.host.is_empty() || !self.from.is_empty()) && Sender::parse(&self.from).is_none() {
            let text = "is not a sender; write it as quickdraw@example.com or Quickdraw <quickdraw@example.com>";
            problems.push(Problem::with_value("mail.from", &*self.from, text));
        }

        if self.user.is_empty() != self.password.is_empty() {
            let text = "must be set together with mail.password, or not at all";
            problems.push(Problem::new("mail.user", text));
        } else if !self.password.is_empty() && self.tls == TlsMode::None {
            let text = "would be sent without encryption; set mail.tls to required or implicit";
            problems.push(Problem::new("mail.password", text));
        }

        for domain in &self.recipient_domains {
            if !is_host(domain) {
                let text = "is not a domain; write it as example.com";
                problems.push(Problem::with_value("mail.recipient_domains", &**domain, text));
            }
        }

        problems
    }

    /// The mail server, if one is set. `hello` is the name under which the client introduces itself; without one, it is
    /// the domain of the sender.
    #[must_use]
    pub fn server(&self, hello: Option<&str>) -> Option<MailServer> {
        let from = Sender::parse(&self.from).filter(|_| !self.host.is_empty())?;
        let hello = hello.unwrap_or_else(|| from.domain()).to_owned();

        Some(MailServer {
            host: self.host.clone(),
            port: self.port,
            tls: self.tls.into(),
            credentials: (!self.user.is_empty()).then(|| (self.user.clone(), self.password.expose().to_owned())),
            hello,
            from,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section() -> MailSection {
        MailSection {
            host: "smtp.example.com".to_owned(),
            from: "Quickdraw <quickdraw@example.com>".to_owned(),
            ..MailSection::default()
        }
    }

    fn check_problem(change: impl Fn(&mut MailSection), expected: Option<&str>) {
        let mut section = section();
        change(&mut section);

        let found: Vec<String> = section.problems().iter().map(ToString::to_string).collect();
        match (found.as_slice(), expected) {
            ([], None) => {}
            ([problem], Some(part)) => assert!(problem.contains(part) && !problem.contains("s3cret"), "{problem}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_mail_server_needs_a_sender_and_never_gets_a_plain_password() {
        let password = || SecretText::from("s3cret".to_owned());
        let signed_in = |section: &mut MailSection| {
            section.user = "quickdraw".to_owned();
            section.password = password();
        };

        check_problem(|_| {}, None);
        check_problem(signed_in, None);
        check_problem(|section| section.from = String::new(), Some("mail.from"));
        check_problem(|section| section.host = "smtp://s".to_owned(), Some("mail.host"));
        check_problem(|section| section.port = 0, Some("mail.port"));
        check_problem(
            |section| section.password = password(),
            Some("mail.user must be set together"),
        );
        check_problem(
            |section| {
                signed_in(section);
                section.tls = TlsMode::None;
            },
            Some("mail.password would be sent without encryption"),
        );
        check_problem(
            |section| section.recipient_domains = vec!["@example.com".to_owned()],
            Some("mail.recipient_domains"),
        );
    }

    #[test]
    fn without_a_host_there_is_no_mail_server() {
        assert!(MailSection::default().server(None).is_none());

        let server = section().server(None).expect("a server");
        assert_eq!((&*server.hello, server.port), ("example.com", 587));
    }
}
