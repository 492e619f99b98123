//! Load generators: bare hyper connections that send as fast as possible, or at a fixed rate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// The request to send.
#[derive(Clone)]
pub(crate) struct Shot {
    pub(crate) port: u16,

    /// `{project}` in the path is replaced by a project's number, each in turn.
    pub(crate) path: String,
    pub(crate) projects: usize,
    pub(crate) headers: Vec<(&'static str, String)>,

    /// Whether each request has a new key.
    pub(crate) keyed: bool,

    /// Creates the body of each request, so that bodies are unique and can contain their time of sending.
    pub(crate) body: fn() -> Vec<u8>,
}

pub(crate) async fn connect(port: u16) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;

    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn fire(sender: &mut SendRequest<Full<Bytes>>, shot: &Shot) -> anyhow::Result<u16> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);

    let project = NEXT.fetch_add(1, Ordering::Relaxed) % shot.projects + 1;
    let path = shot.path.replace("{project}", &project.to_string());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("Host", "127.0.0.1");
    for (name, value) in &shot.headers {
        request = request.header(*name, value);
    }

    if shot.keyed {
        request = request.header("Idempotency-Key", uuid::Uuid::new_v4().to_string());
    }

    let request = request.body(Full::new(Bytes::from((shot.body)())))?;
    sender.ready().await?;

    let mut response = sender.send_request(request).await?;
    while let Some(frame) = response.frame().await {
        frame?;
    }

    Ok(response.status().as_u16())
}

/// Sends as many requests as `connections` can within `time`. Returns requests per second. A refused request is an
/// error.
pub(crate) async fn closed(shot: &Shot, connections: usize, time: Duration) -> anyhow::Result<f64> {
    let (started, count) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();

    for _ in 0..connections {
        let (shot, count) = (shot.clone(), count.clone());
        workers.spawn(async move {
            let mut sender = connect(shot.port).await?;
            while started.elapsed() < time {
                let status = fire(&mut sender, &shot).await?;
                anyhow::ensure!((200..300).contains(&status), "answered {status}");
                count.fetch_add(1, Ordering::Relaxed);
            }

            anyhow::Ok(())
        });
    }

    while let Some(worker) = workers.join_next().await {
        worker??;
    }

    Ok(crate::stats::rate(count.load(Ordering::Relaxed), started.elapsed()))
}

/// Sends a number of requests over `connections` as fast as possible. Returns the time.
pub(crate) async fn fixed(shot: &Shot, connections: usize, number: usize) -> anyhow::Result<Duration> {
    let (started, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();

    for _ in 0..connections {
        let (shot, next) = (shot.clone(), next.clone());
        workers.spawn(async move {
            let mut sender = connect(shot.port).await?;
            while next.fetch_add(1, Ordering::Relaxed) < number {
                let status = fire(&mut sender, &shot).await?;
                anyhow::ensure!((200..300).contains(&status), "answered {status}");
            }

            anyhow::Ok(())
        });
    }

    while let Some(worker) = workers.join_next().await {
        worker??;
    }

    Ok(started.elapsed())
}

/// Sends requests at a fixed rate, independent of the answers. Returns the time of each request.
pub(crate) async fn open(shot: &Shot, per_second: u32, time: Duration) -> anyhow::Result<Vec<Duration>> {
    const CONNECTIONS: u32 = 32;

    let mut workers = JoinSet::new();
    let started = Instant::now() + Duration::from_millis(50);
    let gap = Duration::from_secs(1) / per_second;

    for n in 0..CONNECTIONS {
        let shot = shot.clone();
        workers.spawn(async move {
            let mut sender = connect(shot.port).await?;
            let mut times = Vec::new();
            let mut due = started + gap * n;

            while due.duration_since(started) < time {
                tokio::time::sleep_until(due.into()).await;

                let begun = Instant::now();
                let status = fire(&mut sender, &shot).await?;
                anyhow::ensure!((200..300).contains(&status), "answered {status}");

                // The timer's delay is not included. It is not the server's.
                times.push(begun.elapsed());
                due += gap * CONNECTIONS;
            }

            anyhow::Ok(times)
        });
    }

    let mut all = Vec::new();
    while let Some(worker) = workers.join_next().await {
        all.extend(worker??);
    }

    Ok(all)
}

/// Sends a small GET and returns the body.
pub(crate) async fn get(port: u16, path: &str, token: Option<&str>) -> anyhow::Result<String> {
    let mut sender = connect(port).await?;
    let mut request = Request::builder().uri(path).header("Host", "127.0.0.1");
    if let Some(token) = token {
        request = request.header("PRIVATE-TOKEN", token);
    }

    let response = sender.send_request(request.body(Full::default())?).await?;
    let body = response.into_body().collect().await?.to_bytes();
    String::from_utf8(body.to_vec()).context("the answer is not text")
}

/// Floods a source from another address: posts with a wrong token on new connections, sixteen at a time, until `stop`
/// is set. Returns the number of answered requests.
pub(crate) async fn flood(port: u16, stop: Arc<AtomicBool>) -> anyhow::Result<usize> {
    const REQUEST: &[u8] = b"POST /api/v1/webhooks/gitlab HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Gitlab-Token: wrong\r\n\
        Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

    let (mut workers, answered) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..16 {
        let (stop, answered) = (stop.clone(), answered.clone());
        workers.spawn(async move {
            let mut chunk = [0; 1024];
            while !stop.load(Ordering::Relaxed) {
                let socket = TcpSocket::new_v4()?;
                socket.bind(SocketAddr::from(([127, 0, 0, 2], 0)))?;

                let mut stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], port))).await?;
                // The server may close the connection at any time.
                if stream.write_all(REQUEST).await.is_ok() && stream.read(&mut chunk).await.is_ok_and(|read| read > 0) {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }

            anyhow::Ok(())
        });
    }

    while let Some(worker) = workers.join_next().await {
        worker??;
    }

    Ok(answered.load(Ordering::Relaxed))
}
