//! The section `[guard]` of the settings.

use serde::{Deserialize, Serialize};

use super::{Allowlist, OwnAddresses, Settings};
use crate::settings::Problem;

crate::section! {
    /// Addresses that webhooks may call. Everything that is not a public address is refused unless a setting permits
    /// it.
    pub struct GuardSection as "guard" {
        /// Permits webhooks to call loopback, private and link-local addresses. Addresses of cloud metadata services
        /// stay refused.
        allow_local_networks: bool = false,

        /// Host names, addresses and address blocks that webhooks may call although another rule refuses them. An entry
        /// may end with a port.
        allowlist: Vec<String> = Vec::new(),

        /// Refuses every destination that is not on the allowlist.
        deny_all_except_allowlist: bool = false,

        /// Ports that webhooks may call, such as `[443, 8443]`. If this is not set, all ports are permitted except
        /// those of protocols other than HTTP.
        allowed_ports: Option<Vec<u16>> = None,

        /// Refuses URLs that begin with `http://`.
        https_only: bool = false,

        /// Handling of addresses in `64:ff9b::/96`, which contain an IPv4 address. `deny` refuses them. `decode`
        /// applies the rules to the IPv4 address inside; hosts that reach IPv4 through DNS64 need it.
        nat64: Nat64 = Nat64::Deny,
    }
}

/// Handling of addresses in `64:ff9b::/96`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Nat64 {
    /// Refuse them.
    Deny,

    /// Apply the rules to the IPv4 address inside.
    Decode,
}

impl GuardSection {
    /// The rules for destinations, for a server with the given addresses of its own.
    ///
    /// # Errors
    /// When the allowlist has an entry that cannot be read.
    pub fn rules(&self, own: OwnAddresses) -> Result<Settings, Problem> {
        Ok(Settings {
            allow_local_networks: self.allow_local_networks,
            allowlist: self.read_allowlist()?,
            deny_all_except_allowlist: self.deny_all_except_allowlist,
            allowed_ports: self.allowed_ports.clone(),
            https_only: self.https_only,
            decode_nat64: self.nat64 == Nat64::Decode,
            own,
        })
    }

    /// Every problem of the section.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        self.read_allowlist().err().into_iter().collect()
    }

    fn read_allowlist(&self) -> Result<Allowlist, Problem> {
        let entries = self.allowlist.iter().map(String::as_str);
        Allowlist::parse(entries).map_err(|error| Problem::new("guard.allowlist", error))
    }
}
