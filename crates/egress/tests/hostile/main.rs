//! Tests the client against misbehaving receivers. Each case has a scripted server on loopback.

mod proxy;
mod server;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use quickdraw_egress::{
    Answer, Call, Client, Failure, Identity, Limits, Method, PemError, Presented, Report, Resolve, ResolveError, Stage,
    Trust, opened,
};
use server::{Script, Server};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A resolver that answers each look-up with the next list. The last list repeats.
struct Scripted(Vec<Vec<IpAddr>>, AtomicUsize);

impl Resolve for Scripted {
    fn resolve<'a>(
        &'a self,
        _name: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, ResolveError>> + Send + 'a>> {
        let turn = self.1.fetch_add(1, Ordering::Relaxed).min(self.0.len() - 1);
        Box::pin(async move { Ok(self.0[turn].clone()) })
    }
}

fn resolver(answers: &[&[&str]]) -> Arc<Scripted> {
    let parse = |list: &&[&str]| list.iter().map(|text| text.parse().expect("an address")).collect();
    Arc::new(Scripted(answers.iter().map(parse).collect(), AtomicUsize::new(0)))
}

fn limits() -> Limits {
    Limits {
        deadline: Duration::from_millis(600),
        connect: Duration::from_millis(300),
        ..Limits::default()
    }
}

fn client() -> Client {
    Client::new(limits(), resolver(&[&["127.0.0.1"]]), Trust::default()).expect("TLS can be set up")
}

fn anything(_: &[IpAddr]) -> Result<(), &'static str> {
    Ok(())
}

async fn post(client: &Client, port: u16, body: Bytes) -> Report<&'static str> {
    let headers = [
        ("Content-Type".into(), "application/json".to_owned()),
        ("X-Gitlab-Token".into(), "s".to_owned()),
        ("webhook-id".into(), "1".to_owned()),
    ];

    let authority = format!("hooks.example.com:{port}");
    let call = Call {
        method: Method::POST,
        https: false,
        host: "hooks.example.com",
        literal: None,
        port,
        authority: &authority,
        path: "/in?x={y}",
        headers: &headers,
        body,
        verify_tls: true,
        certificate: None,
    };
    client.call(call, anything).await
}

async fn get_answer(script: Script) -> Result<Answer, Failure<&'static str>> {
    let server = Server::start(script).await;
    post(&client(), server.port, Bytes::from_static(b"{}")).await.result
}

#[tokio::test]
async fn the_bytes_on_the_wire_are_the_ones_we_promise() {
    let server = Server::start(Script::answers(&[OK])).await;
    let report = post(&client(), server.port, Bytes::from_static(b"{\"a\":1}")).await;
    let answer = report.result.expect("an answer");
    assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));

    let expected = format!(
        "POST /in?x={{y}} HTTP/1.1\r\nHost: hooks.example.com:{}\r\nContent-Type: application/json\r\n\
         X-Gitlab-Token: s\r\nWebhook-Id: 1\r\nContent-Length: 7\r\n\r\n{{\"a\":1}}",
        server.port
    );
    assert_eq!(server.received(), expected);
    assert_eq!(report.address.map(|address| address.port()), Some(server.port));
}

#[tokio::test]
async fn a_kept_connection_is_used_again_only_while_it_is_clean() {
    let server = Server::start(Script::answers(&[OK, OK])).await;
    let client = client();
    for _ in 0..2 {
        assert!(post(&client, server.port, Bytes::new()).await.result.is_ok());
    }

    assert_eq!(server.connections(), 1);

    // Bytes after an answer must never be read as the next answer.
    let chatty = format!("{OK}HTTP/1.1 500 Unrequested\r\nContent-Length: 0\r\n\r\n");
    let server = Server::start(Script::answers(&[&chatty])).await;

    for _ in 0..3 {
        assert_eq!(
            post(&client, server.port, Bytes::new())
                .await
                .result
                .expect("an answer")
                .status,
            200
        );
    }

    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_attempt() {
    let server = Server::start(Script::answers(&[OK]).then_close()).await;
    let client = client();

    for _ in 0..20 {
        assert_eq!(
            post(&client, server.port, Bytes::new())
                .await
                .result
                .expect("an answer")
                .status,
            200
        );
    }

    assert_eq!(server.requests(), 20, "each request arrived once");

    // The peer closes the kept connection without an answer. The request may have been read, so it is repeated once.
    let server = Server::start(Script::answers(&[OK, ""]).then_close()).await;
    for _ in 0..2 {
        assert_eq!(
            post(&client, server.port, Bytes::new())
                .await
                .result
                .expect("an answer")
                .status,
            200
        );
    }

    assert_eq!((server.requests(), server.connections()), (3, 2));

    // A new connection that breaks counts as a failure of the receiver.
    let server = Server::start(Script::answers(&[""]).then_close()).await;
    assert!(matches!(
        post(&client, server.port, Bytes::new()).await.result,
        Err(Failure::Broken(_))
    ));

    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn the_time_of_each_phase_is_known_even_when_the_deadline_ends_it() {
    let server = Server::start(Script::answers(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"; 2])).await;
    let client = client();
    let first = post(&client, server.port, Bytes::new()).await.timing;
    assert!(first.resolve.is_some() && first.connect.is_some() && first.wait.is_some() && first.read.is_some());
    assert_eq!((first.tls, first.tls_version), (None, None));

    let kept = post(&client, server.port, Bytes::new()).await.timing;
    assert!(
        kept.connect.is_none() && kept.wait.is_some(),
        "a kept connection needs no connecting"
    );

    let silent = Server::start(Script::silent()).await;
    let report = post(&client, silent.port, Bytes::new()).await;
    assert!(matches!(report.result, Err(Failure::TimedOut(Stage::Waiting))));

    let waited = report.timing.wait.expect("it waited");
    assert!(
        waited > limits().deadline / 2 && report.timing.read.is_none(),
        "{:?}",
        report.timing
    );
}

#[tokio::test]
async fn one_deadline_covers_every_way_of_being_slow() {
    let (head, body) = (
        "HTTP/1.1 200 OK\r\nX-Slow: ",
        "HTTP/1.1 500 Oops\r\nContent-Length: 900\r\n\r\n",
    );

    for (script, stage) in [
        (Script::silent(), Stage::Waiting),
        (Script::drips("", "HTTP/1.1 200 OK\r\n"), Stage::Waiting),
        (
            Script::drips(head, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            Stage::Waiting,
        ),
        (
            Script::drips(body, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"),
            Stage::Reading,
        ),
    ] {
        let started = Instant::now();
        let failure = get_answer(script).await.expect_err("it is too slow");
        assert!(matches!(failure, Failure::TimedOut(at) if at == stage), "{failure}");
        assert!(started.elapsed() < limits().deadline * 3);
    }
}

#[tokio::test]
async fn answers_are_read_and_kept_within_bounds() {
    let endless = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n{}",
        "x".repeat(200_000)
    );
    let answer = get_answer(Script::answers(&[&endless]))
        .await
        .expect("2xx is a success with any body");
    assert_eq!((answer.status, answer.body.len()), (200, 8 << 10));

    let chunks = format!(
        "HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        "5\r\nhello\r\n".repeat(40_000)
    );

    assert_eq!(
        get_answer(Script::answers(&[&chunks]))
            .await
            .expect("an answer")
            .body
            .len(),
        8 << 10
    );

    let fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(100_000));
    let long = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\n\r\n", "b".repeat(10_000_000));
    for bomb in [fields, long] {
        let failure = get_answer(Script::answers(&[&bomb])).await.expect_err("over the limit");
        assert!(matches!(failure, Failure::InvalidAnswer(_)), "{failure:?}");
    }
}

#[tokio::test]
async fn a_few_interim_answers_are_passed_over_and_many_are_not() {
    let after = |interim: &str, count| format!("{}{OK}", format!("{interim}\r\n\r\n").repeat(count));
    for few in [
        after("HTTP/1.1 103 Early Hints\r\nLink: x", 3),
        after("HTTP/1.1 100 Continue", 10),
    ] {
        assert_eq!(
            get_answer(Script::answers(&[&few])).await.expect("an answer").status,
            200
        );
    }

    for count in [11, 1000, 1_000_000] {
        let many = after("HTTP/1.1 100 Continue", count);
        let failure = get_answer(Script::answers(&[&many])).await.expect_err("too many");
        assert!(matches!(failure, Failure::InvalidAnswer(_)), "{failure:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_not_http_are_an_invalid_answer() {
    for answer in [
        "hello\r\n\r\n",
        "HTTP/0.9\r\n\r\n",
        "HTTP/1.1 99 Odd\r\n\r\n",
        "HTTP/1.1 1000 Odd\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nX-A: a\0b\r\n\r\n",
    ] {
        let failure = get_answer(Script::answers(&[answer]).then_close())
            .await
            .expect_err(answer);
        assert!(matches!(failure, Failure::InvalidAnswer(_)), "{answer:?}: {failure:?}");
    }

    let broken = "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\nabc\r\n";
    assert!(get_answer(Script::answers(&[broken]).then_close()).await.is_err());
}

#[tokio::test]
async fn resets_and_refusals_are_different_failures() {
    let failure = get_answer(Script::answers(&[]).then_close())
        .await
        .expect_err("closed without an answer");
    assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");

    let failure = get_answer(Script::answers(&["HTTP/1.1 50"]).then_close())
        .await
        .expect_err("cut in its head");
    assert!(
        matches!(failure, Failure::Broken(_) | Failure::InvalidAnswer(_)),
        "{failure:?}"
    );

    let cut = "HTTP/1.1 204 OK\r\nContent-Length: 50\r\n\r\nabc";
    assert!(
        get_answer(Script::answers(&[cut]).then_close()).await.is_ok(),
        "the status was a success"
    );

    let nobody = Server::start(Script::silent()).await.into_closed_port();
    let report = post(&client(), nobody, Bytes::new()).await;
    assert!(matches!(report.result, Err(Failure::Connect(_))));
}

#[tokio::test]
async fn an_answer_before_the_body_is_read_counts() {
    let server = Server::start(Script::answers_at_once(OK)).await;
    let report = post(&client(), server.port, Bytes::from(vec![b'x'; 20 << 20])).await;
    assert_eq!(report.result.expect("an answer").status, 200);
}

#[tokio::test]
async fn redirects_are_reported_and_never_followed() {
    let inside = Server::start(Script::answers(&[OK])).await;
    for status in [301, 302, 303, 307, 308] {
        let redirect = format!(
            "HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.1:{}/\r\nContent-Length: 0\r\n\r\n",
            inside.port
        );

        assert_eq!(
            get_answer(Script::answers(&[&redirect]))
                .await
                .expect("an answer")
                .status,
            status
        );
    }

    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn a_refused_address_is_never_connected_to() {
    let server = Server::start(Script::answers(&[OK])).await;
    let judge = |addresses: &[IpAddr]| {
        if addresses.iter().any(|address| address.is_loopback()) {
            Err("loopback")
        } else {
            Ok(())
        }
    };

    for answer in [&["127.0.0.1"][..], &["93.184.216.34", "127.0.0.1"][..]] {
        let client = Client::new(limits(), resolver(&[answer]), Trust::default()).expect("TLS");
        let call = Call {
            method: Method::POST,
            https: false,
            host: "hooks.example.com",
            literal: None,
            port: server.port,
            authority: "hooks.example.com",
            path: "/",
            headers: &[],
            body: Bytes::new(),
            verify_tls: true,
            certificate: None,
        };
        let report = client.call(call, judge).await;
        assert!(matches!(report.result, Err(Failure::Blocked("loopback"))));
        assert_eq!(report.address, None);
    }

    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_judged_even_when_the_name_moves() {
    let server = Server::start(Script::answers(&[OK, OK])).await;
    // The second look-up returns another address. The kept connection to the first address must not be used.
    let client = Client::new(limits(), resolver(&[&["127.0.0.1"], &["127.0.0.2"]]), Trust::default()).expect("TLS");
    let first = post(&client, server.port, Bytes::new()).await;
    assert_eq!(
        first.address.map(|address| address.ip().to_string()).as_deref(),
        Some("127.0.0.1")
    );

    let second = post(&client, server.port, Bytes::new()).await;
    let ip = second.address.map(|address| address.ip().to_string());
    assert!(ip.is_none() || ip.as_deref() == Some("127.0.0.2"), "{ip:?}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn header_values_with_line_breaks_are_refused_at_the_last_gate() {
    let server = Server::start(Script::answers(&[OK])).await;
    let headers = [("X-Gitlab-Token".into(), "a\r\nX-Injected: 1".to_owned())];

    let call = Call {
        method: Method::POST,
        https: false,
        host: "127.0.0.1",
        literal: Some(IpAddr::from([127, 0, 0, 1])),
        port: server.port,
        authority: "127.0.0.1",
        path: "/",
        headers: &headers,
        body: Bytes::new(),
        verify_tls: true,
        certificate: None,
    };
    let report = client().call(call, anything).await;
    assert!(matches!(report.result, Err(Failure::Request(_))));
    assert_eq!(server.received(), "");
}

#[tokio::test]
async fn certificates_are_checked_unless_the_hook_says_otherwise() {
    let server = Server::start_tls(Script::answers(&[OK, OK]), "hooks.example.com").await;
    let call = |verify_tls, host: &'static str| Call {
        method: Method::POST,
        https: true,
        host,
        literal: None,
        port: server.port,
        authority: host,
        path: "/",
        headers: &[],
        body: Bytes::new(),
        verify_tls,
        certificate: None,
    };

    let ours = Client::new(
        limits(),
        resolver(&[&["127.0.0.1"]]),
        Trust {
            roots: vec![server.certificate()],
            identity: None,
        },
    )
    .expect("TLS");

    let strangers = client();
    assert!(
        ours.call(call(true, "hooks.example.com"), anything)
            .await
            .result
            .is_ok()
    );

    for (client, host) in [(&strangers, "hooks.example.com"), (&ours, "other.example.com")] {
        let report = client.call(call(true, host), anything).await;
        assert!(matches!(report.result, Err(Failure::Tls(_))), "{:?}", report.result);
        assert!(client.call(call(false, host), anything).await.result.is_ok());

        // The idle connection without verification must not serve a call that requires it.
        assert!(matches!(
            client.call(call(true, host), anything).await.result,
            Err(Failure::Tls(_))
        ));
    }

    let plain = Server::start(Script::answers(&["hello"])).await;
    let report = strangers
        .call(
            Call {
                port: plain.port,
                ..call(true, "hooks.example.com")
            },
            anything,
        )
        .await;
    assert!(matches!(
        report.result,
        Err(Failure::Tls(_) | Failure::TimedOut(Stage::Handshaking))
    ));
}

#[tokio::test]
async fn a_client_certificate_is_sent_on_request_and_its_key_may_be_encrypted() {
    let own = server::self_signed("quickdraw");
    let (certificate, plain) = (own.cert.pem(), own.signing_key.serialize_pem());

    let sealed = pkcs8::PrivateKeyInfoRef::try_from(own.signing_key.serialized_der())
        .expect("a key")
        .encrypt_with_params(
            pkcs8::pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(2048, &[1; 16], [2; 16])
                .expect("parameters"),
            "climbing",
        )
        .expect("sealed")
        .to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF)
        .expect("PEM");
    let sealed = format!("{certificate}{}", sealed.as_str());
    let error = |pem: &str, password: &str| Identity::from_pem(pem.as_bytes(), password).err();
    assert_eq!(error(&sealed, ""), Some(PemError::NoPassword));
    assert_eq!(error(&sealed, "falling"), Some(PemError::WrongPassword));
    assert_eq!(error(&plain, ""), Some(PemError::NoCertificate));
    assert_eq!(error(&certificate, ""), Some(PemError::NoKey));

    // A key with an excessive number of iterations is refused, because decrypting it would take too long.
    let parameters = pkcs8::pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(600_001, &[1; 16], [2; 16]);
    let costly = pkcs8::EncryptedPrivateKeyInfoRef {
        encryption_algorithm: parameters.expect("parameters").into(),
        encrypted_data: pkcs8::der::asn1::OctetStringRef::new(&[0; 16]).expect("bytes"),
    };
    let costly = pkcs8::SecretDocument::encode_msg(&costly).expect("encoded");
    let costly = costly
        .to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF)
        .expect("PEM");

    assert_eq!(
        error(&format!("{certificate}{}", costly.as_str()), "x"),
        Some(PemError::TooCostly)
    );

    let stranger = server::self_signed("stranger").signing_key.serialize_pem();
    assert_eq!(error(&format!("{certificate}{stranger}"), ""), Some(PemError::NotAPair));

    let old = format!("{certificate}-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n");
    assert_eq!(error(&old, "x"), Some(PemError::OldEncryption));

    let text = opened(&sealed, "climbing").expect("it opens");
    assert!(!text.contains("ENCRYPTED") && Identity::from_pem(text.as_bytes(), "").is_ok());
    assert_eq!(opened(&text, "").as_deref(), Ok(&*text), "a plain key stays as it is");
    assert_eq!(opened(&sealed, "falling"), Err(PemError::WrongPassword));

    let scrypt = |cost_parameter| {
        let mut parameters =
            pkcs8::pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(1000, &[1; 16], [2; 16]).expect("valid");
        parameters.kdf = pkcs8::pkcs5::pbes2::Kdf::Scrypt(pkcs8::pkcs5::pbes2::ScryptParams {
            salt: pkcs8::pkcs5::pbes2::Salt::new([1; 16]).expect("a salt"),
            cost_parameter,
            block_size: 8,
            parallelization: 1,
            key_length: None,
        });

        let key = pkcs8::EncryptedPrivateKeyInfoRef {
            encryption_algorithm: parameters.into(),
            encrypted_data: pkcs8::der::asn1::OctetStringRef::new(&[0; 16]).expect("bytes"),
        };
        let key = pkcs8::SecretDocument::encode_msg(&key).expect("encoded");
        let key = key.to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF).expect("PEM");
        error(&format!("{certificate}{}", key.as_str()), "x")
    };
    for cost in [0, 3, 1 << 40] {
        assert_eq!(scrypt(cost), Some(PemError::TooCostly), "{cost}");
    }

    let server =
        Server::start_mutual_tls(Script::answers(&[OK, OK]), "hooks.example.com", own.cert.der().clone()).await;
    let call = |verify_tls| Call {
        method: Method::POST,
        https: true,
        host: "hooks.example.com",
        literal: None,
        port: server.port,
        authority: "hooks.example.com",
        path: "/",
        headers: &[],
        body: Bytes::new(),
        verify_tls,
        certificate: None,
    };

    let client = |identity| {
        let roots = vec![server.certificate()];
        Client::new(limits(), resolver(&[&["127.0.0.1"]]), Trust { roots, identity }).expect("TLS")
    };
    let nobody = client(None).call(call(true), anything).await;
    assert!(nobody.result.is_err(), "{:?}", nobody.result);

    for (pem, password) in [(format!("{certificate}{plain}"), ""), (sealed, "climbing")] {
        let identity = Identity::from_pem(pem.as_bytes(), password).expect("it opens");
        let client = client(Some(identity));
        for verify_tls in [true, false] {
            let report = client.call(call(verify_tls), anything).await;
            assert!(report.result.is_ok(), "{:?}", report.result);
        }
    }

    // The certificate of a hook is used for its own calls only, and so are the connections made with it.
    let pem = format!("{certificate}{plain}");
    let client = client(None);
    let own = |pem, digest| Some(Presented { digest, pem });

    for _ in 0..2 {
        let report = client
            .call(
                Call {
                    certificate: own(&pem, [1; 32]),
                    ..call(true)
                },
                anything,
            )
            .await;
        assert!(report.result.is_ok(), "{:?}", report.result);
    }

    assert!(
        client.call(call(true), anything).await.result.is_err(),
        "a call without a certificate"
    );

    let other = server::self_signed("other");
    let other = format!("{}{}", other.cert.pem(), other.signing_key.serialize_pem());

    let report = client
        .call(
            Call {
                certificate: own(&other, [2; 32]),
                ..call(true)
            },
            anything,
        )
        .await;
    assert!(report.result.is_err(), "{:?}", report.result);

    let report = client
        .call(
            Call {
                certificate: own("nothing", [3; 32]),
                ..call(true)
            },
            anything,
        )
        .await;
    assert!(matches!(report.result, Err(Failure::Request(_))), "{:?}", report.result);
}
