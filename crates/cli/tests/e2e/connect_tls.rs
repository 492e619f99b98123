//! `quickdraw connect gitlab` over TLS: certificates of private authorities, and certificates that cannot be verified.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::server::{Engine, Server, TOKEN};
use crate::stand_in::GITLAB_TOKEN;

/// Checks the system hook of a GitLab at `localhost` that shows this certificate. Returns the errors of the command.
fn connect(engine: &Engine, own: &CertifiedKey<KeyPair>, arguments: &[&str]) -> String {
    let server = Server::start(engine, &[]);
    std::fs::write(server.folder.path().join("ca.pem"), own.cert.pem()).expect("written");

    let url = format!("https://localhost:{}", tls_gitlab(own));
    let to = format!("http://127.0.0.1:{}", server.port);
    let usual = [
        "connect", "gitlab", "--url", &url, "--server", &to, "--system", "--check",
    ];

    let mut command = server.command(&[&usual, arguments].concat());
    command
        .env("QUICKDRAW_GITLAB_TOKEN", GITLAB_TOKEN)
        .env("QUICKDRAW_TOKEN", TOKEN);

    let done = command.output().expect("it runs");
    String::from_utf8_lossy(&done.stderr).into_owned()
}

/// Checks that the command ends at once, and names the reason and the remedy.
fn check_unverified(errors: &str, reason: &str) {
    assert!(errors.contains(reason), "{errors}");
    assert!(errors.contains("--ca-file"), "{errors}");
    assert!(!errors.contains("next attempt"), "{errors}");
}

fn localhost() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate")
}

pub(crate) fn a_gitlab_with_a_private_authority_is_trusted_by_its_file(engine: Engine) {
    let errors = connect(&engine, &localhost(), &["--ca-file", "ca.pem"]);
    assert!(
        errors.contains("Quickdraw has no source for https://localhost:"),
        "{errors}"
    );
}

pub(crate) fn an_unknown_authority_ends_the_run_at_once(engine: Engine) {
    let errors = connect(&engine, &localhost(), &[]);
    check_unverified(&errors, "UnknownIssuer");
}

pub(crate) fn a_certificate_for_another_name_ends_the_run_at_once(engine: Engine) {
    let own = generate_simple_self_signed(["gitlab.example.com".to_owned()]).expect("a certificate");
    let errors = connect(&engine, &own, &["--ca-file", "ca.pem"]);
    check_unverified(&errors, "not valid for name");
}

pub(crate) fn an_expired_certificate_ends_the_run_at_once(engine: Engine) {
    let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2021, 1, 1);

    let signing_key = KeyPair::generate().expect("a key");
    let cert = parameters.self_signed(&signing_key).expect("a certificate");
    let errors = connect(&engine, &CertifiedKey { cert, signing_key }, &["--ca-file", "ca.pem"]);
    check_unverified(&errors, "expired");
}

/// A GitLab over TLS at `localhost`, which has a version and nothing else.
fn tls_gitlab(own: &CertifiedKey<KeyPair>) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .expect("a certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();

    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = StreamOwned::new(connection, stream);
            let mut chunk = [0; 16 << 10];
            let length = stream.read(&mut chunk).unwrap_or_default();
            let is_version = chunk[..length].starts_with(b"GET /api/v4/version ");

            let answer = if is_version {
                "200 OK\r\nContent-Length: 20\r\n\r\n{\"version\":\"18.5.0\"}"
            } else {
                "404 Not Found\r\nContent-Length: 0\r\n\r\n"
            };
            let _ = stream.write_all(format!("HTTP/1.1 {answer}").as_bytes());
            stream.conn.send_close_notify();

            let _ = stream.flush();
        }
    });

    port
}
