//! The addresses under which a listener of this process can be reached. This file contains no rules.

use std::net::SocketAddr;

/// Maximum number of addresses in the list. More are ignored.
const MAX_ADDRESSES: usize = 10_000;

/// The addresses under which a listener can be reached: its own address, or those of every interface if it listens on
/// all of them.
///
/// # Errors
/// When the system cannot list its interfaces.
pub fn own_addresses(listening: SocketAddr) -> std::io::Result<Vec<SocketAddr>> {
    if !listening.ip().is_unspecified() {
        return Ok(vec![listening]);
    }

    let mut own = Vec::new();
    for interface in if_addrs::get_if_addrs()? {
        let address = interface.ip();
        // `[::]` accepts connections to IPv4 addresses too; `0.0.0.0` accepts only those.
        if listening.is_ipv4() && address.is_ipv6() {
            continue;
        }

        if own.len() == MAX_ADDRESSES {
            break;
        }

        own.push(SocketAddr::new(address, listening.port()));
    }

    Ok(own)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn a_listener_on_all_addresses_has_those_of_every_interface() {
        let one = SocketAddr::from(([192, 0, 2, 1], 8000));
        assert_eq!(own_addresses(one).expect("nothing is asked"), [one]);

        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 8000));
        for all in [
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8000)),
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 8000)),
        ] {
            let own = own_addresses(all).expect("the system lists its interfaces");
            assert!(
                own.contains(&loopback) && own.iter().all(|address| address.port() == 8000),
                "{own:?}"
            );

            assert!(all.is_ipv6() || own.iter().all(SocketAddr::is_ipv4), "{own:?}");
        }
    }
}
