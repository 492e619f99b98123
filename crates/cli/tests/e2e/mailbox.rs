//! A mail server: it speaks enough SMTP to take mails, and keeps them.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A mail that the server took.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    pub(crate) to: Vec<String>,

    /// Head and body, with lines as they arrived.
    pub(crate) text: String,
}

impl Mail {
    /// The value of a header. A long one has several lines, of which the further ones begin with a blank.
    pub(crate) fn header(&self, name: &str) -> String {
        let prefix = format!("{name}: ");
        let unfolded = self.text.replace("\n ", " ");
        let line = unfolded.lines().find_map(|line| line.strip_prefix(&prefix));
        line.unwrap_or_default().to_owned()
    }
}

/// A mail server on its own port. `answer` decides about each command: `None` takes it, a text refuses it.
pub(crate) struct Mailbox {
    pub(crate) port: u16,
    mails: Arc<Mutex<Vec<Mail>>>,
}

type Answer = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Mailbox {
    /// A server that takes every mail.
    pub(crate) fn start() -> Self {
        Self::scripted(|_| None)
    }

    pub(crate) fn scripted(answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let (answer, kept): (Arc<Answer>, _) = (Arc::new(answer), mails.clone());

        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, kept) = (answer.clone(), kept.clone());
                std::thread::spawn(move || converse(&stream, &*answer, &kept));
            }
        });

        Self { port, mails }
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mails.lock().expect("no panic").clone()
    }

    /// The settings of a server that sends its mails here.
    pub(crate) fn settings(&self) -> [(&'static str, String); 4] {
        [
            ("QUICKDRAW__MAIL__HOST", "127.0.0.1".to_owned()),
            ("QUICKDRAW__MAIL__PORT", self.port.to_string()),
            ("QUICKDRAW__MAIL__TLS", "none".to_owned()),
            ("QUICKDRAW__MAIL__FROM", "quickdraw@example.com".to_owned()),
        ]
    }
}

fn converse(mut stream: &TcpStream, answer: &Answer, kept: &Mutex<Vec<Mail>>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let mut to = Vec::new();
    stream.write_all(b"220 mailbox\r\n").ok()?;

    while let Some(Ok(line)) = lines.next() {
        if let Some(refusal) = answer(&line) {
            stream.write_all(format!("{refusal}\r\n").as_bytes()).ok()?;
            continue;
        }

        if let Some(address) = line.strip_prefix("RCPT TO:<") {
            to.push(address.trim_end_matches('>').to_owned());
        }

        if line != "DATA" {
            let reply: &[u8] = if line == "QUIT" { b"221 bye\r\n" } else { b"250 ok\r\n" };
            stream.write_all(reply).ok()?;
            continue;
        }

        stream.write_all(b"354 go on\r\n").ok()?;
        let body = lines.by_ref().map_while(Result::ok).take_while(|line| line != ".");
        let text = body.collect::<Vec<_>>().join("\n");
        kept.lock().expect("no panic").push(Mail {
            to: std::mem::take(&mut to),
            text,
        });
        stream.write_all(b"250 taken\r\n").ok()?;
    }

    Some(())
}
