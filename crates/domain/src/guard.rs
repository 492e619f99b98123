//! The guard: pure rules about the addresses that Quickdraw may call, against server-side request forgery.
//!
//! The rules apply when a hook is saved, at every attempt, and at the socket itself. The result of the name look-up is
//! an argument, so "why is my URL refused?" can be answered without a network (`quickdraw guard check`). The rules and
//! their reasons are in `docs/guide/guard.md`.

mod address;
mod allowlist;
#[cfg(test)]
mod cases;
mod own;
mod ports;
mod question;
mod section;

use std::fmt;
use std::net::IpAddr;

use url::Host;

pub use address::METADATA;
pub(crate) use address::within;
pub use allowlist::{Allowlist, AllowlistError};
pub use own::OwnAddresses;
pub use question::Question;
pub use section::{GuardSection, Nat64};

use crate::hook::HookUrl;
use crate::hook::url::UrlError;
use crate::inspector;

/// The operator's settings. The default refuses every address that is not public.
#[derive(Clone, Default, Debug)]
pub struct Settings {
    /// Allows loopback, private, shared, link-local and unique-local addresses, and `localhost` names. Metadata
    /// addresses stay refused.
    pub allow_local_networks: bool,

    /// Names, addresses and blocks that are always allowed, except metadata addresses.
    pub allowlist: Allowlist,

    /// Refuses everything that is not on the allowlist.
    pub deny_all_except_allowlist: bool,

    /// The allowed ports. `None` allows all ports except those that no HTTP client should use.
    pub allowed_ports: Option<Vec<u16>>,

    /// Refuses `http://`.
    pub https_only: bool,

    /// Checks the IPv4 address inside `64:ff9b::/96` instead of refusing it. Hosts with IPv6 only and DNS64 need this.
    pub decode_nat64: bool,

    /// Addresses and ports of this process itself.
    pub own: OwnAddresses,
}

/// The rule that refuses a destination. Its name is stable, because errors, history and metric labels contain it. It
/// never reveals the addresses of a name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rule {
    /// A cloud's metadata service, refused under every setting.
    Metadata,

    /// This machine.
    Loopback,

    /// `0.0.0.0/8` or `::`.
    Unspecified,

    /// RFC 1918 and IPv6 unique local.
    Private,

    /// Carrier-grade NAT, `100.64.0.0/10`.
    Shared,

    /// Link-local.
    LinkLocal,

    /// Multicast and broadcast.
    Multicast,

    /// Documentation, benchmarking, protocol assignments, future use: no receiver has such an address.
    Reserved,

    /// An IPv6 form with another address inside: 6to4, Teredo, NAT64, IPv4-compatible.
    Embedded,

    /// A name that means the local network, independent of its addresses.
    LocalName,

    /// A name of one label, whose meaning depends on the search domain.
    SingleLabel,

    /// A port that is not allowed.
    Port,

    /// Plain `http`, where the operator requires TLS.
    HttpsOnly,

    /// A destination outside the allowlist, where only the allowlist is allowed.
    NotAllowlisted,

    /// The name has no address.
    Unresolvable,

    /// An address of Quickdraw itself.
    OwnAddress,
}

impl Rule {
    /// Every rule, for metrics and documentation.
    pub const ALL: [Self; 16] = [
        Self::Metadata,
        Self::Loopback,
        Self::Unspecified,
        Self::Private,
        Self::Shared,
        Self::LinkLocal,
        Self::Multicast,
        Self::Reserved,
        Self::Embedded,
        Self::LocalName,
        Self::SingleLabel,
        Self::Port,
        Self::HttpsOnly,
        Self::NotAllowlisted,
        Self::Unresolvable,
        Self::OwnAddress,
    ];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Loopback => "loopback",
            Self::Unspecified => "unspecified",
            Self::Private => "private",
            Self::Shared => "shared",
            Self::LinkLocal => "link_local",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
            Self::Embedded => "embedded",
            Self::LocalName => "local_name",
            Self::SingleLabel => "single_label",
            Self::Port => "port",
            Self::HttpsOnly => "https_only",
            Self::NotAllowlisted => "not_allowlisted",
            Self::Unresolvable => "unresolvable",
            Self::OwnAddress => "own_address",
        }
    }

    /// The meaning of the rule and a remedy for an administrator, as one part of a sentence.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Metadata => "cloud metadata addresses are refused under every setting",
            Self::Loopback | Self::Private | Self::Shared | Self::LinkLocal => {
                "local network addresses are refused unless allow_local_networks is on or the address is allowlisted"
            }
            Self::Unspecified | Self::Multicast | Self::Reserved => "no receiver can have this address",
            Self::Embedded => "addresses with another address inside are refused",
            Self::LocalName | Self::SingleLabel => {
                "names of the local network are refused unless they are on the allowlist"
            }
            Self::Port => "this port is not for HTTP, or not among the allowed ports",
            Self::HttpsOnly => "only https:// URLs are allowed here",
            Self::NotAllowlisted => "only allowlisted destinations are allowed here",
            Self::Unresolvable => "the host name has no address",
            Self::OwnAddress => "this is an address of Quickdraw itself, of which only inspectors can be called",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocked by rule {}: {}", self.name(), self.advice())
    }
}

impl std::error::Error for Rule {}

/// The guard's decision about a URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The URL may be called.
    Allowed,

    /// The URL is well-formed, but its destination is refused.
    Blocked(Rule),

    /// The text is not a valid URL.
    Invalid(UrlError),
}

/// Judges a URL as a user stored it, with the values of its variables and, if available, the result of the name
/// look-up. Without a result, a name is judged by itself.
#[must_use]
pub fn verdict<'a>(
    template: &str,
    value_of: impl Fn(&str) -> Option<&'a str>,
    resolved: Option<&[IpAddr]>,
    settings: &Settings,
) -> Verdict {
    let url = match crate::hook::url::fill(template, value_of).and_then(|filled| HookUrl::parse(&filled)) {
        Ok(url) => url,
        Err(error) => return Verdict::Invalid(error),
    };
    let judged = judge_url(&url, settings).and_then(|()| match (url.host(), resolved) {
        (Host::Domain(_), Some(addresses)) => judge_resolved(&url, addresses, settings),
        _ => Ok(()),
    });
    judged.map_or_else(Verdict::Blocked, |()| Verdict::Allowed)
}

/// Judges everything that needs no look-up: scheme, port, name, and the address if the host is one.
///
/// # Errors
/// The rule that refuses the URL.
pub fn judge_url(url: &HookUrl, settings: &Settings) -> Result<(), Rule> {
    if settings.https_only && !url.is_https() {
        return Err(Rule::HttpsOnly);
    }

    let listed_name = match url.host() {
        Host::Domain(name) => settings.allowlist.has_name(name, url.port()),
        _ => false,
    };
    ports::judge(url, settings, listed_name)?;

    match url.host() {
        Host::Ipv4(address) => judge_address(url, IpAddr::V4(address), listed_name, settings),
        Host::Ipv6(address) => judge_address(url, IpAddr::V6(address), listed_name, settings),
        Host::Domain(_) if listed_name => Ok(()),
        Host::Domain(name) => judge_name(name, settings),
    }
}

/// Judges the addresses of a host name. One refused address refuses the URL, and so does an empty list.
///
/// # Errors
/// The rule that refuses the URL.
pub fn judge_resolved(url: &HookUrl, addresses: &[IpAddr], settings: &Settings) -> Result<(), Rule> {
    if addresses.is_empty() {
        return Err(Rule::Unresolvable);
    }

    let listed_name = match url.host() {
        Host::Domain(name) => settings.allowlist.has_name(name, url.port()),
        _ => false,
    };
    for address in addresses {
        judge_address(url, *address, listed_name, settings)?;
    }

    Ok(())
}

/// Judges the addresses of a server that the operator's own settings name, such as the mail server. Every address is
/// allowed except those of metadata services.
///
/// # Errors
/// [`Rule::Metadata`], or [`Rule::Unresolvable`] for an empty list.
pub fn judge_operators_server(addresses: &[IpAddr], settings: &Settings) -> Result<(), Rule> {
    if addresses.is_empty() {
        return Err(Rule::Unresolvable);
    }

    for address in addresses {
        if address::is_metadata(address::canonical(*address, settings.decode_nat64)) {
            return Err(Rule::Metadata);
        }
    }

    Ok(())
}

fn judge_name(name: &str, settings: &Settings) -> Result<(), Rule> {
    const LOCAL: [&str; 9] = [
        "localhost",
        "localdomain",
        "local",
        "internal",
        "home.arpa",
        "onion",
        "metadata.goog",
        "instance-data",
        "ip6-localhost",
    ];

    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let below = |root: &str| name == root || name.strip_suffix(root).is_some_and(|rest| rest.ends_with('.'));

    if settings.allow_local_networks && below("localhost") {
        return if settings.deny_all_except_allowlist {
            Err(Rule::NotAllowlisted)
        } else {
            Ok(())
        };
    }

    if LOCAL.iter().any(|root| below(root)) {
        return Err(Rule::LocalName);
    }

    if !name.contains('.') {
        return Err(Rule::SingleLabel);
    }

    Ok(())
}

fn judge_address(url: &HookUrl, address: IpAddr, listed_name: bool, settings: &Settings) -> Result<(), Rule> {
    let port = url.port();
    let address = address::canonical(address, settings.decode_nat64);
    if address::is_metadata(address) {
        return Err(Rule::Metadata);
    }

    if listed_name || settings.allowlist.has_address(address, port) {
        return Ok(());
    }

    if settings.deny_all_except_allowlist {
        return Err(Rule::NotAllowlisted);
    }

    if settings.own.contains(address, port) {
        // Everyone who knows the address of an inspector can post to it, so such a call gives a hook no right. It
        // cannot begin a chain of events either, because an inspector only keeps the request.
        if inspector::is_address(&url.path_and_query()) {
            return Ok(());
        }

        if !settings.allow_local_networks {
            return Err(Rule::OwnAddress);
        }
    }

    match address::special(address) {
        Some(Rule::Loopback | Rule::Private | Rule::Shared | Rule::LinkLocal) if settings.allow_local_networks => {
            Ok(())
        }
        Some(rule) => Err(rule),
        None => Ok(()),
    }
}
