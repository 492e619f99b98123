//! Receivers that authenticate their client: mutual TLS with a certificate for each webhook.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::http::{Reply, eventually};
use crate::server::{Engine, Server};

const HOOKS: &str = "/api/v4/projects/1/hooks";

/// A receiver at `localhost` that accepts these client certificates and records the certificate of each request.
fn receiver(own: &CertifiedKey<KeyPair>, clients: &[&CertifiedKey<KeyPair>]) -> (u16, Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut roots = RootCertStore::empty();
    for client in clients {
        roots.add(client.cert.der().clone()).expect("a root");
    }

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");

    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.expect("a verifier"))
        .with_single_cert(vec![own.cert.der().clone()], key)
        .expect("a certificate");
    let (config, shown) = (Arc::new(config), Arc::new(Mutex::new(Vec::new())));
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
    let (port, kept) = (listener.local_addr().expect("an address").port(), shown.clone());

    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = StreamOwned::new(connection, stream);
            let mut chunk = [0; 64 << 10];

            if stream.read(&mut chunk).is_ok_and(|n| n > 0) {
                let peer = stream
                    .conn
                    .peer_certificates()
                    .and_then(|chain| chain.first())
                    .map(|one| one.as_ref().to_vec());
                kept.lock()
                    .expect("no panic")
                    .push(peer.expect("a client certificate is required"));

                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                stream.conn.send_close_notify();

                let _ = stream.flush();
            }
        }
    });

    (port, shown)
}

/// A certificate and its private key, as a webhook takes them.
fn pem(certificate: &CertifiedKey<KeyPair>) -> String {
    let key = certificate.signing_key.serialize_pem();
    format!("{}{key}", certificate.cert.pem())
}

/// A server with a certificate of its own, and a receiver that asks for certificates.
struct Place {
    server: Server,
    url: String,

    /// The certificates that the receiver was shown.
    shown: Arc<Mutex<Vec<Vec<u8>>>>,

    /// The certificate of the server.
    usual: CertifiedKey<KeyPair>,

    /// The certificate of a webhook.
    own: CertifiedKey<KeyPair>,
}

impl Place {
    fn start(engine: &Engine) -> Self {
        let [place, usual, own] = ["localhost", "quickdraw", "team"]
            .map(|name| generate_simple_self_signed([name.to_owned()]).expect("a certificate"));
        let (port, shown) = receiver(&place, &[&usual, &own]);
        let mut server = Server::new(engine);

        for (name, text, setting) in [
            ("ca.pem", place.cert.pem(), "QUICKDRAW__DELIVERY__TLS_CA_FILE"),
            ("ours.pem", pem(&usual), "QUICKDRAW__DELIVERY__TLS_CLIENT_CERT_FILE"),
        ] {
            let file = server.folder.path().join(name);
            std::fs::write(&file, text).expect("written");
            server.set(setting, file.to_str().expect("a path"));
        }

        server.set("QUICKDRAW_ROOT_TOKEN", crate::server::TOKEN);
        server.set("GITLAB_WEBHOOK_SECRET", crate::server::SECRET);
        server.restart();
        server.make_project();

        let url = format!("https://localhost:{port}/in");
        Self {
            server,
            url,
            shown,
            usual,
            own,
        }
    }

    /// Tries to create a webhook with an attribute.
    fn make(&self, attribute: &str, value: &str) -> Reply {
        let body = json!({ "url": self.url, "push_events": true, attribute: value });
        self.server.call("POST", HOOKS, &body.to_string())
    }

    /// Creates a webhook with its own certificate and returns its path.
    fn make_hook(&self) -> String {
        let hook = self.make("tls_client_cert", &pem(&self.own)).check(201);
        assert!(!hook.body.contains("CERTIFICATE"), "{}", hook.body);
        assert_eq!(hook.json()["tls_client_cert_present"], true, "{}", hook.body);

        format!("{HOOKS}/{}", hook.id())
    }

    /// Changes a webhook, and checks if it still has a certificate.
    #[track_caller]
    fn change(&self, hook: &str, change: Value, is_present: bool) {
        let changed = self.server.call("PUT", hook, &change.to_string()).json();
        assert_eq!(changed["tls_client_cert_present"], is_present, "{changed}");
    }

    /// Reports a push, and checks the certificate that the receiver is shown.
    #[track_caller]
    fn check_shown(&self, number: usize, expected: &CertifiedKey<KeyPair>) {
        let count = || self.shown.lock().expect("no panic").len();
        let before = count();
        self.server.report(number).expect("accepted");
        eventually("the receiver is called", || count() > before);

        let last = self.shown.lock().expect("no panic").last().cloned();
        assert_eq!(last.as_deref(), Some(expected.cert.der().as_ref()));
    }
}

pub(crate) fn a_hook_presents_its_own_client_certificate(engine: Engine) {
    let place = Place::start(&engine);
    let hook = place.make_hook();
    place.check_shown(1, &place.own);

    // Other changes keep the certificate.
    place.change(&hook, json!({ "name": "CI" }), true);
    place.check_shown(2, &place.own);
    assert!(!place.server.output().contains("PRIVATE KEY"));
}

/// The certificate was meant for the old receiver.
pub(crate) fn a_client_certificate_is_removed_when_the_url_changes(engine: Engine) {
    let place = Place::start(&engine);
    let hook = place.make_hook();
    let moved = format!("{}?more", place.url);
    place.change(&hook, json!({ "url": moved }), false);
    place.check_shown(1, &place.usual);

    place.change(&hook, json!({ "tls_client_cert": pem(&place.own) }), true);
    place.check_shown(2, &place.own);
}

pub(crate) fn a_hook_without_a_client_certificate_presents_the_usual_one(engine: Engine) {
    let place = Place::start(&engine);
    let hook = place.make_hook();
    place.change(&hook, json!({ "tls_client_cert": null }), false);
    place.check_shown(1, &place.usual);
    assert!(!place.server.output().contains("PRIVATE KEY"));
}

pub(crate) fn a_damaged_client_certificate_is_refused(engine: Engine) {
    let place = Place::start(&engine);
    let certificate = place.own.cert.pem();
    let key = place.own.signing_key.serialize_pem();
    let foreign = place.usual.signing_key.serialize_pem();
    let mixed = format!("{certificate}{foreign}");

    for (text, reason) in [
        ("hello", "no private key"),
        (&certificate, "no private key"),
        (&key, "no certificate"),
        (&mixed, "does not belong to the certificate"),
        (&"x".repeat(70_000), "too long"),
    ] {
        place.make("tls_client_cert", text).check_says(422, reason);
    }

    let alone = place.make("tls_client_cert_password", "x");
    alone.check_says(422, "requires tls_client_cert in the same request");
}
