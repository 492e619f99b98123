//! Every line of a request, read as raw bytes at a socket, with fixed signature vectors.

use std::sync::Arc;

use bytes::Bytes;
use quickdraw_domain::event::{Event, Origin};
use quickdraw_domain::guard;
use quickdraw_domain::hook::{Hook, HookUrl};
use quickdraw_domain::request::build;
use quickdraw_domain::scope::{Place, Scope};
use quickdraw_domain::signature::SigningToken;
use quickdraw_domain::{DeliveryId, EventId, ProjectId, Secret, Timestamp, Trigger};
use quickdraw_egress::{Client, Hickory, Limits, Trust};
use quickdraw_engine::Transport;
use quickdraw_engine::delivery::transport::Guarded;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

const AT: Timestamp = Timestamp::from_seconds(1_744_578_123);
/// The delivery id of the signature vectors.
const ID: &str = "f5e5f430-f57b-4e6e-9fac-d9128cd7232f";
const KEY: &str = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=";

/// Delivers an event and returns the port and the bytes that arrive at the socket.
async fn received(hook: impl FnOnce(String) -> Hook, chain: Option<Uuid>, body: &'static str) -> (u16, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();

    let client = Client::new(
        Limits::default(),
        Arc::new(Hickory::from_system().expect("a resolver")),
        Trust::default(),
    );

    let settings = guard::Settings {
        allow_local_networks: true,
        ..guard::Settings::default()
    };
    let transport = Guarded::new(client.expect("a client"), Arc::new(settings));

    let event = Event {
        chain,
        ..Event::new(
            EventId(Uuid::from_u128(1)),
            Place::Project(ProjectId(1)),
            Trigger::PUSH,
            Origin::Api,
            AT,
        )
    };

    let delivery = DeliveryId(Uuid::parse_str(ID).expect("a UUID"));
    let hook = hook(format!("127.0.0.1:{port}/in"));

    let request = build(
        &hook,
        &event,
        delivery,
        Bytes::from_static(body.as_bytes()),
        "https://git.example.com",
        AT,
    );

    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);

        while !bytes.ends_with(body.as_bytes()) {
            let read = stream.read(&mut chunk).await.expect("bytes");
            assert!(read > 0, "the request ended early: {}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&chunk[..read]);
        }

        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
            .expect("sent");

        String::from_utf8(bytes).expect("UTF-8")
    };
    let (sent, bytes) = tokio::join!(transport.send(request.expect("no template"), AT), serve);
    assert!(sent.outcome.is_delivered(), "{sent:?}");

    (port, bytes)
}

fn hook(scope: Scope, url: &str) -> Hook {
    Hook::new(scope, HookUrl::parse(url).expect("a URL"), Uuid::from_u128(7), AT)
}

pub(crate) async fn every_line_of_a_request_matches_byte_for_byte() {
    let project = Scope::Project(ProjectId(1));
    let version = env!("CARGO_PKG_VERSION");

    // A hook with nothing but a URL has these headers.
    let chain = Uuid::from_u128(0xc4a1);
    let plain = |at: String| hook(project, &format!("http://{at}"));
    let (port, bytes) = received(plain, Some(chain), r#"{"object_kind":"push"}"#).await;

    let always = |event: &str, chain: &str, port: u16| {
        format!(
            "POST /in HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n\
             User-Agent: GitLab/19.1 Quickdraw/{version}\r\nX-Gitlab-Event: {event}\r\n\
             X-Gitlab-Instance: https://git.example.com\r\n\
             X-Gitlab-Webhook-Uuid: 00000000-0000-0000-0000-000000000007\r\nX-Gitlab-Event-Uuid: {chain}\r\n\
             Idempotency-Key: {ID}\r\nWebhook-Id: {ID}\r\nWebhook-Timestamp: 1744578123\r\n"
        )
    };
    let expected = always("Push Hook", &chain.to_string(), port);
    assert_eq!(
        bytes,
        format!("{expected}Content-Length: 22\r\n\r\n{{\"object_kind\":\"push\"}}")
    );

    // A hook with both tokens, user info in the URL (form-encoded, with an empty password), and custom headers that do
    // not replace standard ones.
    let all = |at: String| {
        let mut hook = hook(Scope::Instance, &format!("http://us%40er+x:@{at}"));
        hook.token = Some(Secret::new("s3\r\ncret"));
        hook.signing_token = Some(SigningToken::parse(KEY).expect("a token"));

        for (name, value) in [
            ("X-Team", "rope"),
            ("x-gitlab-event", "Mine"),
            ("Webhook-Signature", "v1,mine"),
        ] {
            hook.custom_headers.set(name, Secret::new(value)).expect("a header");
        }

        hook
    };

    for (body, signature, hub) in [
        (
            r#"{"object_kind":"push"}"#,
            "v1,Q/Xs0AQwFCrSU+Jqzp4d4uGCI2fQlx3ls7vaEn5SqGY=",
            "715f829797c7e3aef25031967946b3e25aa29669ec370fd72c25f7d8c64761c4",
        ),
        (
            r#"{"text":"héllo"}"#,
            "v1,y7jd0xojgOlUa92ticQq35hvvQiDEkcML9M/cSYX1Sg=",
            "",
        ),
    ] {
        let (port, bytes) = received(all, None, body).await;
        // The delivery starts a chain. Its id is derived from the delivery id.
        let begun = quickdraw_domain::recursion::begun_by(DeliveryId(Uuid::parse_str(ID).expect("a UUID")));
        let (head, rest) = bytes.split_once("X-Gitlab-Token: ").expect("a token");

        assert_eq!(head, always("System Hook", &begun.to_string(), port));

        let lines: Vec<&str> = rest.split("\r\n").collect();
        let length = format!("Content-Length: {}", body.len());
        let (signature, sha) = (format!("Webhook-Signature: {signature}"), lines[1]);

        // "us@er x", a colon and an empty password in base64.
        let basic = "Authorization: Basic dXNAZXIgeDo=";
        assert_eq!(
            lines,
            ["s3cret", sha, &signature, basic, "X-Team: rope", &length, "", body]
        );

        // The token is sent without line breaks, but the key of the signature is the secret as it was entered.
        let typed = quickdraw_domain::signature::hub_signature(&Secret::new("s3\r\ncret"), body.as_bytes());
        assert_eq!(sha, format!("X-Hub-Signature-256: {typed}"));

        if !hub.is_empty() {
            let vector = |at: String| Hook {
                token: Some(Secret::new("s3cret")),
                ..plain(at)
            };
            let (_, bytes) = received(vector, None, body).await;

            assert!(
                bytes.contains(&format!("X-Hub-Signature-256: sha256={hub}\r\n")),
                "{bytes}"
            );
        }
    }
}
