//! A question to the guard as JSON: what `quickdraw guard check` reads, and what the table of cases is written in.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::{Allowlist, AllowlistError, OwnAddresses, Settings};

/// A URL, and all that its verdict depends on.
#[derive(Clone, Deserialize, Default, Debug)]
#[serde(default)]
pub struct Question {
    /// The URL as a user stores it.
    pub url: String,
    /// What its name resolves to, if nobody is to be asked.
    pub resolves_to: Option<Vec<IpAddr>>,
    /// What it resolves to from the second look-up on.
    pub resolves_then: Option<Vec<IpAddr>>,
    /// For which look-up the verdict is wanted: `connect` is the one within the first attempt.
    pub stage: String,
    /// What stands for `{name}` in the URL.
    pub url_variables: HashMap<String, String>,
    /// A redirect that the receiver answers with.
    pub redirect: Option<serde_json::Value>,
    /// Settings in place of the server's own.
    pub config: Option<Overrides>,
}

/// Settings of one question.
#[derive(Clone, Deserialize, Default, Debug)]
#[serde(default)]
pub struct Overrides {
    allow_local_networks: bool,
    allowlist: Vec<String>,
    deny_all_except_allowlist: bool,
    allowed_ports: Option<Vec<u16>>,
    https_only: bool,
    nat64: String,
}

impl Question {
    /// The settings in force: its own, or `own`.
    ///
    /// # Errors
    /// When its allowlist is none.
    pub fn settings(&self, own: &Settings) -> Result<Settings, AllowlistError> {
        let Some(config) = &self.config else { return Ok(own.clone()) };
        Ok(Settings {
            allow_local_networks: config.allow_local_networks,
            allowlist: Allowlist::parse(config.allowlist.iter().map(String::as_str))?,
            deny_all_except_allowlist: config.deny_all_except_allowlist,
            allowed_ports: config.allowed_ports.clone(),
            https_only: config.https_only,
            decode_nat64: config.nat64 == "decode",
            own: OwnAddresses::default(),
        })
    }

    /// Whether the verdict is wanted for a later attempt than the first: its look-up gives the later answer.
    #[must_use]
    pub fn is_later(&self) -> bool {
        self.stage != "connect" && self.resolves_then.is_some()
    }

    /// What the look-up that the verdict is wanted for gives.
    #[must_use]
    pub fn answer(&self) -> Option<&[IpAddr]> {
        if self.is_later() { self.resolves_then.as_deref() } else { self.resolves_to.as_deref() }
    }
}
