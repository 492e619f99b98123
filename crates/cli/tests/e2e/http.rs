//! A minimal HTTP client with one request per connection, and receivers with scripted answers.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

pub(crate) struct Reply {
    pub(crate) status: u16,

    /// Status line and header fields, in lower case.
    head: String,

    /// The same as the server sent it.
    sent_head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn content_type(&self) -> &str {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix("content-type: "))
            .unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The value of a header field in its own case.
    pub(crate) fn header_as_sent(&self, name: &str) -> Option<String> {
        let lines = self.sent_head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends a request. `Err` if there is no answer: the connection was refused or reset, or the server died.
pub(crate) fn send(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;

    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }

    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;

    // A server may refuse a request and close before it has read the body. Its answer can still be read.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.get(9..12).and_then(|status| status.parse().ok());

    match (status, read) {
        (Some(status), _) => {
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
            Ok(Reply {
                status,
                head: head.to_ascii_lowercase(),
                sent_head: head.to_owned(),
                body: body.to_owned(),
            })
        }
        (None, Err(error)) => Err(error),
        (None, Ok(_)) => Err(std::io::ErrorKind::ConnectionAborted.into()),
    }
}

/// A request that a receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// The status that stands for an answer which echoes the request.
const ECHO: u16 = 299;

/// A receiver on its own port. `answer` returns the status for each request, counted from 1; with `None` the receiver
/// hangs.
pub(crate) struct Sink {
    pub(crate) port: u16,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Sink {
    pub(crate) fn start(answer: impl Fn(usize) -> Option<u16> + Send + Sync + 'static) -> Self {
        Self::serving(move |number, _| answer(number))
    }

    /// A receiver whose answer depends on the request.
    pub(crate) fn scripted(answer: impl Fn(&Got) -> Option<u16> + Send + Sync + 'static) -> Self {
        Self::serving(move |_, got| answer(got))
    }

    fn serving(answer: impl Fn(usize, &Got) -> Option<u16> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (answer, kept) = (Arc::new(answer), got.clone());

        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, kept) = (answer.clone(), kept.clone());
                std::thread::spawn(move || serve(stream, &*answer, &kept));
            }
        });

        Self { port, got }
    }

    /// A receiver whose answer can be changed later.
    pub(crate) fn switchable(status: u16) -> (Self, Arc<AtomicU16>) {
        let answer = Arc::new(AtomicU16::new(status));
        let said = answer.clone();
        (Self::start(move |_| Some(said.load(Ordering::Relaxed))), answer)
    }

    /// A receiver that returns all header fields of the request, in its body and in a header.
    pub(crate) fn echo() -> Self {
        Self::start(|_| Some(ECHO))
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().expect("no panic").clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/in", self.port)
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(usize, &Got) -> Option<u16>, kept: &Mutex<Vec<Got>>) {
    while let Some(got) = read_request(&mut stream) {
        let told: Vec<String> = got
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();

        let number = {
            let mut kept = kept.lock().expect("no panic");
            kept.push(got.clone());
            kept.len()
        };

        let Some(status) = answer(number, &got) else {
            // Hang until the client closes the connection.
            let _ = stream.read(&mut [0; 1]);
            return;
        };

        let (echo, body) = match status {
            ECHO => (format!("X-Echo: {}\r\n", told.join("; ")), told.join("\n")),
            _ => (String::new(), "ok".to_owned()),
        };

        let length = body.len();
        if write!(
            stream,
            "HTTP/1.1 {status} X\r\n{echo}Content-Length: {length}\r\n\r\n{body}"
        )
        .is_err()
        {
            return;
        }
    }
}

/// Reads one request. `None` if the client has closed the connection.
pub(crate) fn read_request(stream: &mut TcpStream) -> Option<Got> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];

    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let mut headers: HashMap<String, String> = head
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();

            headers.insert("line".to_owned(), head.lines().next().unwrap_or_default().to_owned());

            let length: usize = headers
                .get("Content-Length")
                .and_then(|length| length.parse().ok())
                .unwrap_or(0);

            if bytes.len() >= end + 4 + length {
                return Some(Got {
                    headers,
                    body: bytes[end + 4..end + 4 + length].to_vec(),
                });
            }
        }

        match stream.read(&mut chunk) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&chunk[..n]),
            _ => return None,
        }
    }
}

/// Checks that a condition stays true for a second.
pub(crate) fn stays(what: &str, mut condition: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_secs(1) {
        assert!(condition(), "not true any more: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Waits until the condition is true, for at most a minute.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "not true within a minute: {what}"
        );

        std::thread::park_timeout(Duration::from_millis(10));
    }
}

impl Reply {
    /// Checks the status. Returns the reply, so that a test can continue with it.
    #[track_caller]
    pub(crate) fn check(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// Checks the status and a part of the body.
    #[track_caller]
    pub(crate) fn check_says(&self, status: u16, part: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert!(self.body.contains(part), "{part}: {}", self.body);
    }

    /// The id of the object in the body.
    #[track_caller]
    pub(crate) fn id(&self) -> i64 {
        self.json()["id"].as_i64().expect("a number")
    }
}

/// Checks some attributes of an object. The name of an attribute may be a JSON pointer, as `/labels/0/title`.
#[track_caller]
pub(crate) fn check_parts(found: &Value, expected: Value) {
    for (name, part) in expected.as_object().expect("an object") {
        let value = if name.starts_with('/') {
            found.pointer(name)
        } else {
            found.get(name)
        };

        assert_eq!(value.unwrap_or(&Value::Null), part, "{name} of {found}");
    }
}
