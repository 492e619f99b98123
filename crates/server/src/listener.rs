//! Accepts connections. The framework's default loop installs no timer, so that a client could take any time to send
//! its head. This one limits connections in total and per address, and the size, fields and time of a head.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use quickdraw_domain::source::client_network;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::seats::{Full, KeyedPermit, KeyedPermits};
use crate::telemetry;

/// Limits on connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenerLimits {
    /// Largest number of open connections.
    pub connections: usize,

    /// Largest number of open connections from one IP address (IPv6: one /64). A reverse proxy is one address.
    pub per_address: usize,

    /// Longest time until the head of a request is complete, including idle time before it.
    pub head_time: Duration,

    /// Longest time until sent data is acknowledged. Only Linux supports it.
    pub write_time: Duration,

    /// Largest head in bytes.
    pub head_bytes: usize,

    /// Largest number of header fields.
    pub head_fields: usize,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            per_address: 200,
            head_time: Duration::from_secs(10),
            write_time: Duration::from_secs(60),
            head_bytes: 64 << 10,
            head_fields: 100,
        }
    }
}

/// A listener that serves until it is stopped.
pub struct Listener {
    listener: TcpListener,
    limits: ListenerLimits,
}

impl Listener {
    /// Binds an address.
    ///
    /// # Errors
    /// If the address is in use, or does not belong to this machine.
    pub async fn bind(address: &str, limits: ListenerLimits) -> std::io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            limits,
        })
    }

    /// The bound address, with the chosen port if the requested port was 0.
    ///
    /// # Errors
    /// If the operating system does not return it.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` becomes true, then waits for running requests to end.
    pub async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) {
        let ListenerLimits {
            connections: most,
            per_address,
            ..
        } = self.limits;

        let permits = KeyedPermits::new(most, per_address, telemetry::CONNECTIONS);
        let mut connections = JoinSet::new();

        while !*stop.borrow() {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.changed() => break,
            };

            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // File descriptors are probably exhausted. More connections are possible after others have ended.
                    tracing::warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };

            while connections.try_join_next().is_some() {}

            let permit = match permits.acquire(client_network(peer.ip())) {
                Ok(permit) => permit,
                Err(full) => {
                    let limit = if full == Full::All { "total" } else { "address" };
                    metrics::counter!(telemetry::CONNECTIONS_REFUSED, "limit" => limit).increment(1);
                    continue;
                }
            };

            connections.spawn(connection(
                stream,
                peer,
                router.clone(),
                self.limits,
                stop.clone(),
                permit,
            ));
        }

        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: ListenerLimits,
    mut stop: watch::Receiver<bool>,
    permit: KeyedPermit<IpAddr>,
) {
    let _ = stream.set_nodelay(true);

    // A client that does not read its answer is disconnected, so that the memory of the answer is released. Other
    // systems lack this option.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(limits.write_time));
    let service = TowerToHyperService::new(router.map_request(move |mut request: http::Request<_>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request
    }));

    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_headers(limits.head_fields)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);

    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Protocol errors of clients are not failures of the server.
        tracing::trace!(%error, "a connection ended badly");
    }

    drop(permit);
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn whoever_does_not_read_is_cut_off() {
        let limits = ListenerLimits {
            write_time: Duration::from_millis(500),
            ..ListenerLimits::default()
        };
        let listener = Listener::bind("127.0.0.1:0", limits).await.expect("a port");
        let address = listener.address().expect("an address");
        let (stop, stopped) = watch::channel(false);

        // More bytes than the buffers of both ends hold.
        let router = Router::new().route("/", get(|| async { vec![0_u8; 64 << 20] }));
        let reading = async {
            let mut reader = TcpStream::connect(address).await.expect("a connection");
            reader
                .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .expect("it listens");

            reader.readable().await.expect("an answer begins");
            stop.send(true).expect("it serves");
            reader
        };
        // Running requests are completed on a stop, but this one would never end.
        let both = async { tokio::join!(listener.serve(router, stopped), reading) };
        tokio::time::timeout(Duration::from_secs(60), both)
            .await
            .expect("it is cut off");
    }
}
