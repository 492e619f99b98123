//! Tests the mail client against servers with and without encryption, and against those that refuse.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use quickdraw_egress::{Mail, MailFailure, MailServer, MailTls, Mailer, RefusedRecipient, Sender};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::server::{acceptor_of, self_signed};
use crate::{anything, resolver};

const NAME: &str = "smtp.example.com";

/// Encryption that a server offers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offers {
    Nothing,
    StartTls,
    Tls,
}

/// A mail server on loopback, and the lines that it read. Lines that were encrypted begin with a plus.
struct Smtp {
    port: u16,
    certificate: CertificateDer<'static>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Smtp {
    async fn start(offers: Offers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let identity = self_signed(NAME);
        let acceptor = acceptor_of(&identity);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);

        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, offers, acceptor.clone(), Arc::clone(&kept)));
            }
        });

        Self {
            port,
            certificate: identity.cert.der().clone(),
            lines,
        }
    }

    fn got(&self, line: &str) -> bool {
        self.lines.lock().expect("no panic").iter().any(|known| known == line)
    }

    fn text(&self) -> String {
        self.lines.lock().expect("no panic").join("\n")
    }

    fn mailer(&self, tls: MailTls, credentials: bool, is_trusted: bool) -> Mailer {
        let server = MailServer {
            host: NAME.to_owned(),
            port: self.port,
            tls,
            credentials: credentials.then(|| ("ida".to_owned(), "s3cret".to_owned())),
            hello: "quickdraw.example.com".to_owned(),
            from: Sender::parse("Quickdraw <quickdraw@example.com>").expect("a sender"),
        };
        let roots: &[_] = if is_trusted {
            std::slice::from_ref(&self.certificate)
        } else {
            &[]
        };
        Mailer::new(server, resolver(&[&["127.0.0.1"]]), roots).expect("TLS can be set up")
    }
}

async fn serve(
    mut stream: tokio::net::TcpStream,
    offers: Offers,
    acceptor: TlsAcceptor,
    kept: Arc<Mutex<Vec<String>>>,
) -> Option<()> {
    if offers == Offers::Tls {
        let encrypted = acceptor.accept(stream).await.ok()?;
        return converse(encrypted, "+", true, &kept).await.map(drop);
    }

    stream.write_all(b"220 hello\r\n").await.ok()?;
    let offer = if offers == Offers::StartTls { "STARTTLS" } else { "SIZE" };
    if say(&mut stream, "", offer, &kept).await? {
        let encrypted = acceptor.accept(stream).await.ok()?;
        converse(encrypted, "+", false, &kept).await?;
    }

    Some(())
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mark: &str,
    greets: bool,
    kept: &Mutex<Vec<String>>,
) -> Option<bool> {
    if greets {
        stream.write_all(b"220 hello\r\n").await.ok()?;
    }

    say(&mut stream, mark, "AUTH PLAIN", kept).await
}

/// Answers commands until the end. Returns true after STARTTLS.
async fn say(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    mark: &str,
    offer: &str,
    kept: &Mutex<Vec<String>>,
) -> Option<bool> {
    let mut reader = BufReader::new(stream);
    let mut is_body = false;

    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await.ok()? == 0 {
            return Some(false);
        }

        let line = line.trim_end().to_owned();
        kept.lock().expect("no panic").push(format!("{mark}{line}"));

        let reply = match line.as_str() {
            "." if is_body => {
                is_body = false;
                "250 taken".to_owned()
            }
            _ if is_body => continue,
            "DATA" => {
                is_body = true;
                "354 go on".to_owned()
            }
            "STARTTLS" => {
                reader.write_all(b"220 go on\r\n").await.ok()?;
                return Some(true);
            }
            "QUIT" => "221 bye".to_owned(),
            _ if line.starts_with("EHLO") => format!("250-hello\r\n250 {offer}"),
            _ if line.starts_with("AUTH") => "235 welcome".to_owned(),
            _ if line.starts_with("RCPT TO:<gone@") => "550 no such user".to_owned(),
            _ if line.starts_with("RCPT TO:<busy@") => "451 later".to_owned(),
            _ => "250 ok".to_owned(),
        };
        reader.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
    }
}

async fn send(mailer: &Mailer, to: &[&'static str]) -> Result<Vec<RefusedRecipient>, MailFailure<&'static str>> {
    let mail = Mail {
        to: to.to_vec(),
        subject: "[Quickdraw] a söbject",
        text: "a line\n.a line with a dot\n",
        id: "quickdraw-1",
        at: UNIX_EPOCH,
    };
    mailer.send(&mail, anything).await
}

#[tokio::test]
async fn a_mail_arrives_by_starttls_and_the_password_only_after_it() {
    let server = Smtp::start(Offers::StartTls).await;
    for tls in [MailTls::Required, MailTls::Opportunistic] {
        let sent = send(&server.mailer(tls, true, true), &["ida@example.com"]).await;
        assert_eq!(sent, Ok(Vec::new()));
    }

    assert!(server.got("EHLO quickdraw.example.com") && server.got("STARTTLS"));
    assert!(server.got("+MAIL FROM:<quickdraw@example.com>") && server.got("+RCPT TO:<ida@example.com>"));
    assert!(server.got("+..a line with a dot"), "{}", server.text());
    assert!(
        server.got("+Message-ID: <quickdraw-1@example.com>"),
        "{}",
        server.text()
    );
    assert!(server.text().contains("+AUTH PLAIN ") && !server.text().contains("\nAUTH"));
}

#[tokio::test]
async fn a_mail_arrives_by_tls_from_the_first_byte() {
    let server = Smtp::start(Offers::Tls).await;
    let sent = send(&server.mailer(MailTls::Implicit, true, true), &["ida@example.com"]).await;
    assert_eq!(sent, Ok(Vec::new()));
    assert!(server.got("+DATA"));
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    for (offers, tls) in [(Offers::StartTls, MailTls::Required), (Offers::Tls, MailTls::Implicit)] {
        let server = Smtp::start(offers).await;
        let sent = send(&server.mailer(tls, true, false), &["ida@example.com"]).await;
        assert!(matches!(sent, Err(MailFailure::Tls(_))), "{sent:?}");
        assert!(!server.text().contains("AUTH"));
    }
}

#[tokio::test]
async fn nothing_is_sent_without_the_encryption_that_is_required() {
    let server = Smtp::start(Offers::Nothing).await;
    let sent = send(&server.mailer(MailTls::Required, false, true), &["ida@example.com"]).await;
    assert_eq!(sent, Err(MailFailure::NoTls));

    let sent = send(&server.mailer(MailTls::Opportunistic, true, true), &["ida@example.com"]).await;
    assert_eq!(sent, Err(MailFailure::PlainPassword));
    assert!(!server.got("DATA") && !server.text().contains("AUTH"));

    for tls in [MailTls::Opportunistic, MailTls::None] {
        assert_eq!(
            send(&server.mailer(tls, false, true), &["ida@example.com"]).await,
            Ok(Vec::new())
        );
    }
}

#[tokio::test]
async fn a_refused_recipient_is_named_and_a_busy_server_is_tried_later() {
    let server = Smtp::start(Offers::Nothing).await;
    let mailer = server.mailer(MailTls::None, false, true);

    let sent = send(&mailer, &["gone@example.com", "ida@example.com"])
        .await
        .expect("taken");
    assert_eq!((sent.len(), &*sent[0].address), (1, "gone@example.com"));
    assert!(sent[0].answer.contains("550") && sent[0].answer.contains("no such user"));

    for address in ["gone@example.com", "busy@example.com"] {
        let sent = send(&mailer, &[address]).await;
        assert!(matches!(sent, Err(MailFailure::Refused(_))), "{sent:?}");
    }
}

#[tokio::test]
async fn the_judge_sees_the_address_before_a_connection_is_opened() {
    let server = Smtp::start(Offers::Nothing).await;
    let mailer = server.mailer(MailTls::None, false, true);
    let mail = Mail {
        to: vec!["ida@example.com"],
        subject: "s",
        text: "t",
        id: "i",
        at: UNIX_EPOCH,
    };

    let sent = mailer.send(&mail, |_: &[IpAddr]| Err("refused")).await;
    assert_eq!(sent, Err(MailFailure::Blocked("refused")));
    assert_eq!(server.text(), "");
}
