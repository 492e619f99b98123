//! A server that follows a script, byte by byte.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The behaviour of every connection.
#[derive(Clone, Default)]
pub(crate) struct Script {
    /// One answer for each request on a connection. After the last one, the server waits or closes.
    answers: Vec<String>,
    drip: String,
    at_once: bool,
    close: bool,
}

impl Script {
    pub(crate) fn answers(answers: &[&str]) -> Self {
        Self {
            answers: answers.iter().map(|answer| (*answer).to_owned()).collect(),
            ..Self::default()
        }
    }

    pub(crate) fn silent() -> Self {
        Self::default()
    }

    /// Sends `beginning` at once, and `rest` one byte at a time.
    pub(crate) fn drips(beginning: &str, rest: &str) -> Self {
        Self {
            answers: vec![beginning.to_owned()],
            drip: rest.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn answers_at_once(answer: &str) -> Self {
        Self {
            answers: vec![answer.to_owned()],
            at_once: true,
            close: true,
            ..Self::default()
        }
    }

    pub(crate) fn then_close(self) -> Self {
        Self { close: true, ..self }
    }
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    bytes: Mutex<Vec<u8>>,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    seen: Arc<Seen>,
    certificate: Option<CertificateDer<'static>>,
    task: tokio::task::JoinHandle<()>,
}

/// Accepts TLS with a certificate, without asking for one.
pub(crate) fn acceptor_of(identity: &CertifiedKey<KeyPair>) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![identity.cert.der().clone()], key)
        .expect("a certificate");
    TlsAcceptor::from(Arc::new(config))
}

pub(crate) fn self_signed(name: &str) -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate")
}

impl Server {
    pub(crate) async fn start(script: Script) -> Self {
        Self::bind(script, None, None).await
    }

    pub(crate) async fn start_tls(script: Script, name: &str) -> Self {
        Self::bind(script, Some(self_signed(name)), None).await
    }

    /// Starts a server that accepts only clients with a certificate of the authority `clients`.
    pub(crate) async fn start_mutual_tls(script: Script, name: &str, clients: CertificateDer<'static>) -> Self {
        Self::bind(script, Some(self_signed(name)), Some(clients)).await
    }

    async fn bind(
        script: Script,
        identity: Option<CertifiedKey<KeyPair>>,
        clients: Option<CertificateDer<'static>>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Seen::default());
        let certificate = identity.as_ref().map(|identity| identity.cert.der().clone());

        let acceptor = identity.map(|identity| {
            let key = PrivateKeyDer::try_from(identity.signing_key.serialize_der()).expect("a key");
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ServerConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .expect("versions");

            let config = match clients {
                Some(authority) => {
                    let mut roots = RootCertStore::empty();
                    roots.add(authority).expect("an authority");

                    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                    config.with_client_cert_verifier(verifier.build().expect("a verifier"))
                }
                None => config.with_no_client_auth(),
            };
            let config = config
                .with_single_cert(vec![identity.cert.der().clone()], key)
                .expect("a certificate");
            TlsAcceptor::from(Arc::new(config))
        });

        let counted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);

                let (script, seen, acceptor) = (script.clone(), Arc::clone(&counted), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => play(stream, &script, &seen).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                play(stream, &script, &seen).await;
                            }
                        }
                    }
                });
            }
        });

        Self {
            port,
            seen,
            certificate,
            task,
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn received(&self) -> String {
        String::from_utf8_lossy(&self.seen.bytes.lock().expect("no panic")).into_owned()
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone().expect("a TLS server")
    }

    /// Stops the server, and returns its port, which is closed now.
    pub(crate) fn into_closed_port(self) -> u16 {
        self.task.abort();
        self.port
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn play(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: &Script, seen: &Seen) {
    for answer in &script.answers {
        if !script.at_once && !read_request(&mut stream, seen).await {
            return;
        }

        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }

        for byte in script.drip.bytes() {
            let _ = stream.flush().await;
            tokio::time::sleep(Duration::from_millis(60)).await;

            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
        }

        let _ = stream.flush().await;
    }

    if script.answers.is_empty() {
        read_request(&mut stream, seen).await;
    }

    if script.close {
        let _ = stream.shutdown().await;
        return;
    }

    // The connection stays open in silence until the client leaves.
    while matches!(stream.read(&mut [0; 4096]).await, Ok(n) if n > 0) {}
}

/// Reads one request with its body. Returns `false` if the client has left.
async fn read_request(stream: &mut (impl AsyncRead + Unpin), seen: &Seen) -> bool {
    let mut request = Vec::new();
    let mut chunk = [0; 16 << 10];

    loop {
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
            let length = head
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.lines().next()?.parse().ok());
            if request.len() >= end + 4 + length.unwrap_or(0_usize) {
                break;
            }
        }

        match stream.read(&mut chunk).await {
            Ok(n) if n > 0 => request.extend_from_slice(&chunk[..n]),
            _ => return false,
        }
    }

    seen.requests.fetch_add(1, Ordering::SeqCst);
    seen.bytes.lock().expect("no panic").extend_from_slice(&request);
    true
}
