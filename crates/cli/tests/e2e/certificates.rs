//! Receivers that authenticate their client: mutual TLS with a certificate for each hook.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::http::eventually;
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

pub(crate) fn a_hook_presents_its_own_client_certificate(engine: Engine) {
    let [place, usual, own] = ["localhost", "quickdraw", "team"]
        .map(|name| generate_simple_self_signed([name.to_owned()]).expect("a certificate"));
    let pem = |one: &CertifiedKey<KeyPair>| format!("{}{}", one.cert.pem(), one.signing_key.serialize_pem());
    let (port, shown) = receiver(&place, &[&usual, &own]);
    let mut server = Server::new(&engine);

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
    let make = |more: Value| {
        let mut body = json!({ "url": url, "push_events": true });
        body.as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        server.call("POST", HOOKS, &body.to_string())
    };

    let refused = |more: Value, why: &str| {
        let reply = make(more);
        assert!(
            reply.status == 422 && reply.body.contains(why),
            "{}: {}",
            reply.status,
            reply.body
        );
    };
    refused(json!({ "tls_client_cert": "hello" }), "no private key");
    refused(json!({ "tls_client_cert": own.cert.pem() }), "no private key");

    refused(
        json!({ "tls_client_cert": own.signing_key.serialize_pem() }),
        "no certificate",
    );

    let mixed = format!("{}{}", own.cert.pem(), usual.signing_key.serialize_pem());
    refused(
        json!({ "tls_client_cert": mixed }),
        "does not belong to the certificate",
    );

    refused(
        json!({ "tls_client_cert_password": "x" }),
        "requires tls_client_cert in the same request",
    );

    refused(json!({ "tls_client_cert": "x".repeat(70_000) }), "too long");

    let hook = make(json!({ "tls_client_cert": pem(&own) }));
    assert_eq!(
        (hook.status, &hook.json()["tls_client_cert_present"]),
        (201, &json!(true)),
        "{}",
        hook.body
    );

    assert!(!hook.body.contains("CERTIFICATE"), "{}", hook.body);

    let path = format!("{HOOKS}/{}", hook.json()["id"]);
    let shown_for = |number| {
        let before = shown.lock().expect("no panic").len();
        server.report(number).expect("accepted");
        eventually("the receiver is called", || {
            shown.lock().expect("no panic").len() > before
        });

        shown.lock().expect("no panic").last().expect("one").clone()
    };
    assert_eq!(shown_for(1), own.cert.der().to_vec());

    let changed = server.call("PUT", &path, r#"{"name":"CI"}"#).json();
    assert_eq!(
        changed["tls_client_cert_present"], true,
        "other changes keep the certificate"
    );

    assert_eq!(shown_for(2), own.cert.der().to_vec());

    // The certificate is removed when the URL changes, because it was meant for the old receiver.
    let moved = json!({ "url": format!("{url}?more") }).to_string();
    assert_eq!(
        server.call("PUT", &path, &moved).json()["tls_client_cert_present"],
        false
    );

    assert_eq!(
        shown_for(3),
        usual.cert.der().to_vec(),
        "the certificate of the instance"
    );

    let back = json!({ "tls_client_cert": pem(&own) }).to_string();
    assert_eq!(server.call("PUT", &path, &back).json()["tls_client_cert_present"], true);
    assert_eq!(shown_for(4), own.cert.der().to_vec());

    assert_eq!(
        server.call("PUT", &path, r#"{"tls_client_cert":null}"#).json()["tls_client_cert_present"],
        false
    );

    assert_eq!(shown_for(5), usual.cert.der().to_vec());
    assert!(!server.output().contains("PRIVATE KEY"));
}
