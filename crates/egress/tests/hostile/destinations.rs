//! Destinations that a call must not reach: redirects, refused addresses and names that move.

use std::net::IpAddr;

use bytes::Bytes;
use quickdraw_egress::{Call, Client, Failure, Method, Trust};

use crate::server::{Script, Server};
use crate::{OK, get_answer, limits, post, resolver};

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
