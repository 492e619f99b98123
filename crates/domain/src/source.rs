//! Sources: endpoints of Quickdraw to which a GitLab posts its events.

mod bound;

use std::net::IpAddr;
use std::time::Duration;

pub use bound::{BoundError, BoundTo, InstanceMatch, match_instance, unnamed};
use serde::{Deserialize, Serialize};

use crate::guard::within;
use crate::{Secret, SourceId, Timestamp};

/// A configured source with its secrets decrypted. It has no `Debug` because of them.
#[derive(Clone)]
pub struct Source {
    /// Our number. The default source, which is defined in the settings, has 1.
    pub id: SourceId,

    /// Last part of its URL: random, so that it cannot be guessed. Empty for the default source.
    pub key: String,

    /// Shown name.
    pub name: String,

    /// The credentials that it requires.
    pub mode: Mode,

    /// Secrets that are valid now, the newest first.
    pub secrets: Vec<ActiveSecret>,

    /// The largest allowed difference between a signature's time and ours, in both directions.
    pub window: Duration,

    /// Addresses that may post. All may if the list is empty.
    pub addresses: Addresses,

    /// Maximum number of requests a minute without a valid credential from one address. `None` for no limit.
    pub per_minute: Option<u32>,

    /// Maximum number of requests a minute with a valid credential, from all addresses. `None` for no limit.
    pub sender_per_minute: Option<u32>,

    /// Largest body, in bytes.
    pub body_limit: usize,

    /// Whether an event is delivered once if it arrives through a hook of the project and one of its group.
    pub deduplicate: bool,

    /// Creation time.
    pub created_at: Timestamp,

    /// The time of the last change of its settings.
    pub updated_at: Timestamp,
}

/// A secret, and the end of its validity.
#[derive(Clone)]
pub struct ActiveSecret {
    /// A token. A token of the form `whsec_…` verifies signatures as well.
    pub secret: Secret,

    /// `None` until the secret is replaced.
    pub until: Option<Timestamp>,
}

/// The most secrets of a source at one time: the new one, and those that are being replaced.
pub const MAX_SECRETS: usize = 5;

impl Source {
    /// The default for `window`: five minutes, as in Standard Webhooks.
    pub const WINDOW: Duration = Duration::from_secs(300);
    /// The default for `per_minute`.
    pub const PER_MINUTE: u32 = 100;
    /// The default for `sender_per_minute`. GitLab does not send a refused event again, so this limit is generous.
    pub const SENDER_PER_MINUTE: u32 = 6_000;
    /// The default for `body_limit` and its maximum in the API: GitLab sends no larger body.
    pub const BODY_LIMIT: usize = 25 << 20;

    /// Replaces the secret. The previous secrets stay valid for the time of the overlap.
    pub fn replace_secret(&mut self, secret: Secret, overlap: Duration, now: Timestamp) {
        let until = now.plus(overlap);
        for before in &mut self.secrets {
            before.until = Some(before.until.map_or(until, |known| known.min(until)));
        }

        self.secrets
            .retain(|before| before.until.is_none_or(|until| until > now));
        self.secrets.insert(0, ActiveSecret { secret, until: None });
        self.secrets.truncate(MAX_SECRETS);
    }
}

/// The credentials that a source requires. Credentials that the mode does not mention are ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// At least one credential must be present, and every credential that is present must be valid.
    #[default]
    Any,

    /// The token.
    Token,

    /// A signature of the body. The token is never accepted in its place.
    Signature,

    /// The token and a signature.
    Both,
}

const MODES: [(Mode, i16, &str); 4] = [
    (Mode::Any, 0, "any"),
    (Mode::Token, 1, "token"),
    (Mode::Signature, 2, "signature"),
    (Mode::Both, 3, "both"),
];

impl Mode {
    /// The number in the databases. Never change a number.
    #[must_use]
    pub fn code(self) -> i16 {
        MODES
            .iter()
            .find(|(mode, ..)| *mode == self)
            .map_or(0, |(_, code, _)| *code)
    }

    /// The mode with this number in the databases.
    #[must_use]
    pub fn from_code(code: i16) -> Self {
        MODES
            .iter()
            .find(|(_, known, _)| *known == code)
            .map(|(mode, ..)| *mode)
            .unwrap_or_default()
    }

    /// The word of the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        MODES
            .iter()
            .find(|(mode, ..)| *mode == self)
            .map_or("", |(.., word)| word)
    }

    /// The mode with this word in the API.
    #[must_use]
    pub fn by_word(word: &str) -> Option<Self> {
        MODES.iter().find(|(.., known)| *known == word).map(|(mode, ..)| *mode)
    }
}

/// A list of addresses and blocks of addresses.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Addresses(Vec<(IpAddr, u32)>);

/// Maximum number of entries in a list.
const MAX_ADDRESSES: usize = 1000;

/// The reason for refusing a list.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// Over 1000 entries.
    #[error("has more than {MAX_ADDRESSES} entries")]
    TooMany,

    /// Neither an address nor a block.
    #[error("has {0:?}, which is neither an address nor a block such as 10.0.0.0/8")]
    Entry(String),
}

impl Addresses {
    /// Reads addresses and blocks, `10.0.0.0/8` or `2001:db8::/32`.
    ///
    /// # Errors
    /// Names the first entry that is neither.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, AddressError> {
        let mut list = Vec::new();
        for entry in entries {
            if list.len() == MAX_ADDRESSES {
                return Err(AddressError::TooMany);
            }

            list.push(block(entry.trim()).ok_or_else(|| AddressError::Entry(entry.chars().take(60).collect()))?);
        }

        Ok(Self(list))
    }

    /// Whether there is no entry.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the list contains an address. An IPv4 address in IPv6 form counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|(net, len)| within(address, *net, *len))
    }

    /// The entries in text form.
    pub fn texts(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(net, len)| match (net, len) {
            (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128) => net.to_string(),
            _ => format!("{net}/{len}"),
        })
    }
}

fn block(entry: &str) -> Option<(IpAddr, u32)> {
    let bits = |net: &IpAddr| if net.is_ipv4() { 32 } else { 128 };
    match entry.split_once('/') {
        Some((net, len)) => {
            let (net, len) = (net.parse::<IpAddr>().ok()?, len.parse::<u32>().ok()?);
            (len <= bits(&net)).then_some((net, len))
        }
        None => {
            let net = entry.parse::<IpAddr>().ok()?.to_canonical();
            Some((net, bits(&net)))
        }
    }
}

/// The unit by which clients are counted: an IPv4 address, or a network of 64 bits, because a client with one IPv6
/// address has all addresses of its network.
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => std::net::Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn lists_hold_addresses_and_blocks_of_both_kinds() {
        let list = Addresses::parse(["10.0.0.0/8", "192.0.2.7", " 2001:db8::/32 "]).expect("valid");
        for (address, inside) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("::ffff:10.1.2.3", true),
        ] {
            assert_eq!(list.contains(ip(address)), inside, "{address}");
        }

        assert_eq!(
            list.texts().collect::<Vec<_>>(),
            ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]
        );

        for wrong in ["example.com", "10.0.0.0/33", "10.0.0.1:80", ""] {
            assert_eq!(Addresses::parse([wrong]), Err(AddressError::Entry(wrong.to_owned())));
        }
    }

    #[test]
    fn one_client_has_a_whole_network_of_ipv6() {
        assert_eq!(client_network(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(client_network(ip("::ffff:192.0.2.7")), ip("192.0.2.7"));
    }

    #[test]
    fn a_replaced_secret_stays_valid_for_a_while_but_not_longer_than_before() {
        let at = Timestamp::from_seconds;
        let secret = |text: &str| Secret::new(text);

        let mut source = Source {
            id: SourceId(2),
            key: "k".to_owned(),
            name: "n".to_owned(),
            mode: Mode::Any,
            secrets: vec![ActiveSecret {
                secret: secret("a"),
                until: None,
            }],
            window: Source::WINDOW,
            addresses: Addresses::default(),
            per_minute: Some(100),
            sender_per_minute: Some(6000),
            body_limit: 1,
            deduplicate: true,
            created_at: at(0),
            updated_at: at(0),
        };
        let known = |source: &Source| -> Vec<(String, Option<i64>)> {
            let one = |one: &ActiveSecret| (one.secret.expose().to_owned(), one.until.map(Timestamp::as_seconds));
            source.secrets.iter().map(one).collect()
        };

        source.replace_secret(secret("b"), Duration::from_secs(10), at(100));
        assert_eq!(known(&source), [("b".to_owned(), None), ("a".to_owned(), Some(110))]);
        source.replace_secret(secret("c"), Duration::from_secs(100), at(105));

        let expected = [
            ("c".to_owned(), None),
            ("b".to_owned(), Some(205)),
            ("a".to_owned(), Some(110)),
        ];
        assert_eq!(known(&source), expected);
        source.replace_secret(secret("d"), Duration::ZERO, at(120));
        assert_eq!(known(&source), [("d".to_owned(), None)], "at once, after a leak");
    }
}
