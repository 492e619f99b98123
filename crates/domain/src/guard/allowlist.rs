//! The operator's list of allowed destinations, in GitLab's grammar: names, addresses and blocks. Names and addresses
//! may have a port (`example.com:8080`, `[::1]:8080`). There are no wildcards.

use std::net::{IpAddr, SocketAddr};

use super::address::within;

/// Maximum number of entries in a list.
pub(super) const MAX_ENTRIES: usize = 1000;
/// Longest entry, in characters.
pub(super) const MAX_ENTRY_LEN: usize = 255;

/// A parsed list. An entry that does not parse is an error with its text and is never ignored silently: that is how
/// lists become outdated.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Allowlist {
    names: Vec<(String, Option<u16>)>,
    blocks: Vec<(IpAddr, u32, Option<u16>)>,
}

/// The reason for refusing a list.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AllowlistError {
    /// Over 1000 entries.
    #[error("has more than {MAX_ENTRIES} entries")]
    TooMany,

    /// Neither a name, nor an address, nor a block.
    #[error("entry {0}, {1:?}, is not a host name, an address or a block; wildcards are not supported")]
    Entry(usize, String),
}

impl Allowlist {
    /// Parses entries. Each may itself be a list separated by semicolons, commas, blanks or line breaks.
    ///
    /// # Errors
    /// Names the first entry that does not parse, counted from 1.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, AllowlistError> {
        let mut list = Self::default();
        let entries = entries
            .into_iter()
            .flat_map(|entry| entry.split([';', ',', ' ', '\t', '\r', '\n']));

        for (at, entry) in entries.filter(|entry| !entry.is_empty()).enumerate() {
            if at >= MAX_ENTRIES {
                return Err(AllowlistError::TooMany);
            }

            list.add(entry)
                .ok_or_else(|| AllowlistError::Entry(at + 1, entry.to_owned()))?;
        }

        Ok(list)
    }

    fn add(&mut self, entry: &str) -> Option<()> {
        if entry.chars().count() > MAX_ENTRY_LEN {
            return None;
        }

        if let Some((net, len)) = entry.split_once('/') {
            let net: IpAddr = net.parse().ok()?;
            let len: u32 = len.parse().ok()?;
            let bits = if net.is_ipv4() { 32 } else { 128 };
            (len <= bits).then(|| self.blocks.push((net.to_canonical(), len, None)))
        } else if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
            self.push_address(address, None);
            Some(())
        } else if let Ok(socket) = entry.parse::<SocketAddr>() {
            self.push_address(socket.ip(), Some(socket.port()));
            Some(())
        } else {
            let (name, port) = match entry.split_once(':') {
                Some((name, port)) => (name, Some(port.parse().ok()?)),
                None => (entry, None),
            };

            self.names.push((name_in_ascii(name)?, port));
            Some(())
        }
    }

    fn push_address(&mut self, address: IpAddr, port: Option<u16>) {
        let address = address.to_canonical();
        self.blocks
            .push((address, if address.is_ipv4() { 32 } else { 128 }, port));
    }

    /// Whether a host name is allowed on this port. Case and the root dot do not matter. Names below an entry are not
    /// allowed.
    pub(super) fn has_name(&self, name: &str, port: u16) -> bool {
        self.matching(name)
            .any(|listed| listed.is_none_or(|listed| listed == port))
    }

    /// Whether an entry names exactly this host and port.
    pub(super) fn has_port(&self, name: &str, port: u16) -> bool {
        self.matching(name).any(|listed| listed == Some(port))
    }

    fn matching(&self, name: &str) -> impl Iterator<Item = Option<u16>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        self.names
            .iter()
            .filter(move |(listed, _)| listed.eq_ignore_ascii_case(name))
            .map(|(_, port)| *port)
    }

    /// Whether a canonical address is allowed on this port.
    pub(super) fn has_address(&self, address: IpAddr, port: u16) -> bool {
        self.blocks
            .iter()
            .any(|(net, len, listed)| within(address, *net, *len) && listed.is_none_or(|listed| listed == port))
    }
}

/// Converts an international name to ASCII, the form that the URL parser produces.
fn name_in_ascii(name: &str) -> Option<String> {
    let parsed = url::Host::parse(name).ok()?;
    let url::Host::Domain(name) = parsed else { return None };

    let legal = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && !name.starts_with(['.', '-'])
        && !name.contains("..");
    legal.then(|| name.strip_suffix('.').unwrap_or(&name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gitlabs_grammar_is_read() {
        let text = [
            "example.com;10.0.0.0/8, bücher.example:8080\n[::1]:9000",
            "fd00::1 [fd00::2]",
        ];
        let list = Allowlist::parse(text).expect("legal");
        assert!(list.has_name("EXAMPLE.com.", 1) && !list.has_name("sub.example.com", 1));
        assert!(list.has_name("xn--bcher-kva.example", 8080) && !list.has_name("xn--bcher-kva.example", 80));

        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(list.has_address(address("10.200.0.1"), 5) && !list.has_address(address("11.0.0.1"), 5));
        assert!(list.has_address(address("::1"), 9000) && !list.has_address(address("::1"), 9001));
        assert!(list.has_address(address("fd00::1"), 1) && list.has_address(address("fd00::2"), 1));
    }

    #[test]
    fn an_entry_that_does_not_parse_is_named() {
        for bad in [
            "*.example.com",
            "garbage$%^",
            "10.0.0.0/33",
            "example.com:99999",
            "a..b",
            "http://x",
        ] {
            let error = Allowlist::parse(["ok.example", bad]).expect_err(bad);
            assert!(matches!(error, AllowlistError::Entry(2, _)), "{bad}: {error}");
        }

        assert_eq!(Allowlist::parse(["a.b "; 1001]).err(), Some(AllowlistError::TooMany));
    }
}
