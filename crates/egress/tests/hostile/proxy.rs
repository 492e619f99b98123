//! Tests calls through an operator's proxy: the requests to the proxy, and whether the proxy or the receiver is at
//! fault.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use quickdraw_egress::{Call, Client, Failure, Method, Proxy, Report, Stage, Trust};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{Script, Server};
use crate::{OK, anything, limits, resolver};

/// The behaviour of a scripted proxy.
#[derive(Clone, Copy)]
enum Does {
    /// Opens a tunnel to a port of this machine. The requested target is ignored.
    Tunnels(u16),
    Answers(&'static str),
    Hangs,
}

/// Starts a proxy. Returns its port and the heads of the requests that it receives.
async fn start(does: Does) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = heads.clone();

    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let kept = kept.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.expect("a head"));
                }

                kept.lock()
                    .expect("no panic")
                    .push(String::from_utf8(head).expect("text"));

                match does {
                    Does::Tunnels(port) => {
                        stream
                            .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                            .await
                            .expect("sent");

                        let mut target = TcpStream::connect(("127.0.0.1", port)).await.expect("a receiver");
                        let _ = copy_bidirectional(&mut stream, &mut target).await;
                    }
                    Does::Answers(answer) => stream.write_all(answer.as_bytes()).await.expect("sent"),
                    Does::Hangs => std::future::pending().await,
                }
            });
        }
    });

    (port, heads)
}

fn through(port: u16, resolves: bool, trust: Trust) -> Client {
    let authorization = Some("Basic dXNlcjpwYXNz".to_owned());
    let proxy = Proxy {
        host: "127.0.0.1".to_owned(),
        port,
        authorization,
        resolves,
    };
    Client::new(limits(), resolver(&[&["93.184.216.34"]]), trust)
        .expect("TLS")
        .through(proxy)
}

async fn post(client: &Client, https: bool) -> Report<&'static str> {
    let call = Call {
        method: Method::POST,
        https,
        host: "hooks.example.com",
        literal: None,
        port: 8443,
        authority: "hooks.example.com:8443",
        path: "/in",
        headers: &[("X-Gitlab-Token".into(), "secret".to_owned())],
        body: Bytes::from_static(b"{}"),
        verify_tls: true,
        certificate: None,
    };
    client.call(call, anything).await
}

#[tokio::test]
async fn a_tunnel_goes_to_the_address_that_was_judged_and_is_kept() {
    let receiver = Server::start(Script::answers(&[OK, OK])).await;
    let (port, heads) = start(Does::Tunnels(receiver.port)).await;
    let client = through(port, false, Trust::default());

    for _ in 0..2 {
        let report = post(&client, false).await;
        assert_eq!(report.result.expect("an answer").status, 200);

        assert_eq!(
            report.address.map(|address| address.to_string()).as_deref(),
            Some("93.184.216.34:8443")
        );
    }

    let heads = heads.lock().expect("no panic").clone();
    assert_eq!(heads.len(), 1, "one tunnel for both: {heads:?}");

    let head = heads[0].to_lowercase();
    assert!(head.starts_with("connect 93.184.216.34:8443 http/1.1\r\n"), "{head}");

    assert!(
        head.contains("proxy-authorization: basic dxnlcjpwyxnz\r\n") && !head.contains("token"),
        "{head}"
    );

    assert!(
        receiver.received().contains("Host: hooks.example.com:8443\r\n"),
        "the receiver sees its own name"
    );

    assert!(
        !receiver.received().to_lowercase().contains("proxy-authorization"),
        "the proxy's password does not reach the receiver"
    );
}

#[tokio::test]
async fn a_resolving_proxy_receives_the_name_and_literal_addresses_are_still_judged() {
    let receiver = Server::start_tls(Script::answers(&[OK]), "hooks.example.com").await;
    let (port, heads) = start(Does::Tunnels(receiver.port)).await;

    let client = through(
        port,
        true,
        Trust {
            roots: vec![receiver.certificate()],
            identity: None,
        },
    );
    let report = post(&client, true).await;
    assert_eq!((report.result.expect("an answer").status, report.address), (200, None));
    assert_eq!(report.timing.tls_version, Some("TLSv1_3"));
    assert!(heads.lock().expect("no panic")[0].starts_with("CONNECT hooks.example.com:8443 HTTP/1.1\r\n"));

    let call = Call {
        method: Method::POST,
        https: false,
        host: "10.0.0.5",
        literal: Some(IpAddr::from([10, 0, 0, 5])),
        port: 80,
        authority: "10.0.0.5",
        path: "/",
        headers: &[],
        body: Bytes::new(),
        verify_tls: true,
        certificate: None,
    };
    let report = client.call(call, |_| Err("private")).await;
    assert!(matches!(report.result, Err(Failure::Blocked("private"))));

    assert_eq!(
        heads.lock().expect("no panic").len(),
        1,
        "no second request to the proxy"
    );
}

#[tokio::test]
async fn failures_of_the_proxy_and_of_the_receiver_are_distinguished() {
    for (does, ours) in [
        (Does::Answers("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"), true),
        (Does::Answers("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), false),
        (Does::Answers("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), true),
        (Does::Answers("nonsense\r\n\r\n"), true),
        (Does::Answers("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"), false),
        (Does::Answers("HTTP/1.1 504 No\r\nContent-Length: 0\r\n\r\n"), false),
    ] {
        let (port, _) = start(does).await;
        let result = post(&through(port, false, Trust::default()), false).await.result;

        match &result {
            Err(Failure::Proxy(text)) => assert!(ours && !text.contains("dXNlcjpwYXNz"), "{text}"),
            Err(Failure::Connect(_)) => assert!(!ours, "{result:?}"),
            other => panic!("{other:?}"),
        }
    }

    let (port, _) = start(Does::Hangs).await;
    let result = post(&through(port, false, Trust::default()), false).await.result;
    assert!(
        matches!(result, Err(Failure::TimedOut(Stage::Connecting))),
        "{result:?}"
    );

    let closed = Server::start(Script::silent()).await.into_closed_port();
    let result = post(&through(closed, false, Trust::default()), false).await.result;
    assert!(matches!(result, Err(Failure::Proxy(_))), "{result:?}");
}
