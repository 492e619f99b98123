//! The address of a client behind reverse proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use quickdraw_domain::source::Addresses;

/// Returns the address of the client. It is the peer, unless the peer is a trusted proxy. Then the chain of
/// `X-Forwarded-For` is followed from right to left, past all trusted proxies. Entries left of the first untrusted
/// address are ignored, because any client can send them.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &Addresses) -> IpAddr {
    let mut client = peer.to_canonical();
    if trusted.is_empty() {
        return client;
    }

    let lines: Vec<&[u8]> = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|line| line.as_bytes())
        .collect();

    let entries = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
    let mut chain = entries.map(|entry| std::str::from_utf8(entry).unwrap_or_default());

    while trusted.contains(client) {
        match chain.next().map(|entry| parse(entry.trim())) {
            Some(Some(before)) => client = before.to_canonical(),
            // The chain ends here, or the entry is not an address.
            Some(None) | None => break,
        }
    }

    client
}

fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.trim_matches(['[', ']']);
    bare.parse()
        .ok()
        .or_else(|| entry.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_chain_is_walked_from_the_right_past_trusted_proxies() {
        let trusted = Addresses::parse(["10.0.0.0/8", "::1"]).expect("valid");
        for (peer, lines, expected) in [
            ("203.0.113.9", &["198.51.100.1"][..], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["6.6.6.6", "198.51.100.1 , 10.2.2.2"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["\u{e9}, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1, \u{e9}"], "10.0.0.1"),
            ("::1", &["[2001:db8::7]:443"], "2001:db8::7"),
            ("10.0.0.1", &["192.0.2.1:5555"], "192.0.2.1"),
            ("::ffff:10.0.0.1", &["10.0.0.3"], "10.0.0.3"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(
                    "x-forwarded-for",
                    HeaderValue::from_bytes(line.as_bytes()).expect("a value"),
                );
            }

            let peer: IpAddr = peer.parse().expect("an address");
            assert_eq!(client(peer, &headers, &trusted).to_string(), expected, "{lines:?}");
        }

        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("198.51.100.1"));

        let peer: IpAddr = "10.0.0.1".parse().expect("an address");
        assert_eq!(
            client(peer, &headers, &Addresses::default()),
            peer,
            "nobody is trusted unless somebody says so"
        );
    }
}
