//! Certificates of receivers, and client certificates.

use bytes::Bytes;
use quickdraw_egress::{Call, Client, Failure, Identity, Method, PemError, Presented, Stage, Trust, opened};

use crate::server::{Script, Server, self_signed};
use crate::{OK, anything, client, limits, resolver};

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
        assert!(
            matches!(report.result, Err(Failure::Certificate(_))),
            "{:?}",
            report.result
        );
        assert!(client.call(call(false, host), anything).await.result.is_ok());

        // The idle connection without verification must not serve a call that requires it.
        assert!(matches!(
            client.call(call(true, host), anything).await.result,
            Err(Failure::Certificate(_))
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
    let own = self_signed("quickdraw");
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

    let stranger = self_signed("stranger").signing_key.serialize_pem();
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

    let other = self_signed("other");
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
