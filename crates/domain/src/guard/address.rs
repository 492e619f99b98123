//! Kinds of addresses: tables from the IANA special-purpose registries (IPv6 as of 2025-10), and the metadata addresses
//! of the large clouds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Rule;

/// Metadata services and similar endpoints, refused under every setting. `168.63.129.16` is in a public range, so only
/// this list refuses it.
pub const METADATA: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// The first match counts.
const V4: &[(Ipv4Addr, u32, Rule)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, Rule::Unspecified),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Rule::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Rule::Shared),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Rule::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Rule::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Rule::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Rule::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Rule::Reserved),
    (Ipv4Addr::new(192, 31, 196, 0), 24, Rule::Reserved),
    (Ipv4Addr::new(192, 52, 193, 0), 24, Rule::Reserved),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Rule::Reserved),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Rule::Private),
    (Ipv4Addr::new(192, 175, 48, 0), 24, Rule::Reserved),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Rule::Reserved),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Rule::Reserved),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Rule::Reserved),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Rule::Multicast),
    (Ipv4Addr::new(255, 255, 255, 255), 32, Rule::Multicast),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Rule::Reserved),
];

/// The first match counts. Addresses that match no row and are outside `2000::/3` are reserved too.
const V6: &[(Ipv6Addr, u32, Rule)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, Rule::Unspecified),
    (Ipv6Addr::LOCALHOST, 128, Rule::Loopback),
    (Ipv6Addr::UNSPECIFIED, 96, Rule::Embedded),
    (Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96, Rule::Embedded),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, Rule::Embedded),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, Rule::Embedded),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Rule::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Rule::LinkLocal),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Rule::Private),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Rule::Multicast),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32, Rule::Embedded),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Rule::Reserved),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Rule::Reserved),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, Rule::Embedded),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48, Rule::Reserved),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Rule::Reserved),
];

const GLOBAL_UNICAST: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// The effective address: IPv4-mapped IPv6 becomes IPv4, and so does NAT64 if the setting allows it.
pub(super) fn canonical(address: IpAddr, decode_nat64: bool) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return IpAddr::V4(v4);
    }

    if decode_nat64 && within_v6(v6, NAT64.0, NAT64.1) {
        let [.., a, b, c, d] = v6.octets();
        return IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    }

    address
}

pub(super) fn is_metadata(address: IpAddr) -> bool {
    METADATA.contains(&address)
}

/// The rule for the special block that contains a canonical address, if any.
pub(super) fn special(address: IpAddr) -> Option<Rule> {
    match address {
        IpAddr::V4(v4) => V4
            .iter()
            .find(|(net, len, _)| within_v4(v4, *net, *len))
            .map(|(.., rule)| *rule),
        IpAddr::V6(v6) => V6
            .iter()
            .find(|(net, len, _)| within_v6(v6, *net, *len))
            .map(|(.., rule)| *rule)
            .or_else(|| (!within_v6(v6, GLOBAL_UNICAST.0, GLOBAL_UNICAST.1)).then_some(Rule::Reserved)),
    }
}

/// Whether a block, given by its first address and prefix length, contains an address.
pub(crate) fn within(address: IpAddr, net: IpAddr, len: u32) -> bool {
    match (address, net) {
        (IpAddr::V4(address), IpAddr::V4(net)) => within_v4(address, net, len),
        (IpAddr::V6(address), IpAddr::V6(net)) => within_v6(address, net, len),
        _ => false,
    }
}

fn within_v4(address: Ipv4Addr, net: Ipv4Addr, len: u32) -> bool {
    (address.to_bits() ^ net.to_bits()).leading_zeros() >= len
}

fn within_v6(address: Ipv6Addr, net: Ipv6Addr, len: u32) -> bool {
    (address.to_bits() ^ net.to_bits()).leading_zeros() >= len
}
