//! Receivers that misbehave on the level of connections and of HTTP.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::http::read_request;

/// The time limit of an attempt.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Starts a receiver. `play` handles each connection, and may count in the returned number.
pub(crate) fn rogue(play: impl Fn(TcpStream, &AtomicUsize) + Send + Sync + 'static) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (play, figure) = (Arc::new(play), Arc::new(AtomicUsize::new(0)));
    let counted = figure.clone();

    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (play, counted) = (play.clone(), counted.clone());
            std::thread::spawn(move || play(stream, &counted));
        }
    });

    (port, figure)
}

/// Answers every request with these bytes and closes.
pub(crate) fn answers(answer: impl Into<Vec<u8>>) -> u16 {
    let answer = answer.into();
    rogue(move |mut stream, _| {
        if read_request(&mut stream).is_some() {
            let _ = stream.write_all(&answer);
        }
    })
    .0
}

/// Sends the beginning at once, and then one byte after the other without end.
pub(crate) fn drips(beginning: &'static str) -> u16 {
    rogue(move |mut stream, _| {
        if read_request(&mut stream).is_none() || stream.write_all(beginning.as_bytes()).is_err() {
            return;
        }

        while stream.write_all(b"a").is_ok() {
            std::thread::sleep(DEADLINE / 10);
        }
    })
    .0
}

/// Hangs until the client closes the connection.
pub(crate) fn hangs(mut stream: TcpStream, _: &AtomicUsize) {
    let mut chunk = [0; 1024];
    while stream.read(&mut chunk).is_ok_and(|n| n > 0) {}
}

/// A port whose backlog is full, so that further connections are not answered. It stays so while the value lives.
pub(crate) struct FullBacklog {
    pub(crate) port: u16,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl FullBacklog {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
            waiting.push(stream);
            assert!(waiting.len() < 10_000, "the backlog has no limit");
        }

        Self {
            port: address.port(),
            _listener: listener,
            _waiting: waiting,
        }
    }
}

/// Closes each connection at once.
pub(crate) fn closes_at_once() -> u16 {
    rogue(|_, _| {}).0
}

/// Resets the connection while it gets the body of the request.
pub(crate) fn resets_in_the_request() -> u16 {
    rogue(|mut stream, _| drop(stream.read(&mut [0; 64]))).0
}

/// Closes the connection without an answer.
pub(crate) fn closes_after_the_request() -> u16 {
    rogue(|mut stream, _| drop(read_request(&mut stream))).0
}

/// Answers before it has read the body of the request.
pub(crate) fn answers_early() -> u16 {
    rogue(|mut stream, _| {
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
        std::thread::sleep(Duration::from_millis(200));
    })
    .0
}

/// Sends a chunked answer without end, and counts its bytes.
pub(crate) fn answers_without_end() -> (u16, Arc<AtomicUsize>) {
    rogue(|mut stream, sent| {
        let _ = read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");

        while stream
            .write_all(b"400\r\n")
            .and_then(|()| stream.write_all(&[b'x'; 0x400]))
            .and_then(|()| stream.write_all(b"\r\n"))
            .is_ok()
        {
            sent.fetch_add(0x400, Ordering::Relaxed);
        }
    })
}

/// Claims that its answer is compressed.
pub(crate) fn answers_compressed() -> u16 {
    let answer = [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n".as_slice(),
        &[0x1f; 100_000],
    ];
    answers(answer.concat())
}

/// Sends two answers to each request on one connection, and counts the requests.
pub(crate) fn answers_twice() -> (u16, Arc<AtomicUsize>) {
    rogue(|mut stream, served| {
        while read_request(&mut stream).is_some() {
            let number = served.fetch_add(1, Ordering::Relaxed);
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-Number: {number}\r\n\r\na{}",
                String::from_utf8_lossy(OK)
            );

            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// Redirects to a port.
pub(crate) fn redirects_to(port: u16) -> u16 {
    answers(format!(
        "HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n"
    ))
}

/// Answers as if the connection stayed open, and closes it. Counts the requests.
pub(crate) fn closes_idle_connections() -> (u16, Arc<AtomicUsize>) {
    rogue(|mut stream, requests| {
        if read_request(&mut stream).is_some() {
            requests.fetch_add(1, Ordering::Relaxed);

            let _ = stream.write_all(OK);
        }
    })
}

/// Answers 503 with a value of `Retry-After`.
pub(crate) fn asks_to_wait(value: &str) -> u16 {
    answers(format!(
        "HTTP/1.1 503 Later\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n"
    ))
}

pub(crate) fn is_gone() -> u16 {
    answers(*b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
}
