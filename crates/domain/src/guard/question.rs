//! A question to the guard as JSON. `quickdraw guard check` and the table of test cases use this format.

use std::collections::HashMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::{Allowlist, AllowlistError, OwnAddresses, Settings};

/// A URL, and everything on which the decision depends.
#[derive(Clone, Deserialize, Default, Debug)]
#[serde(default)]
pub struct Question {
    /// The URL as a user stores it.
    pub url: String,

    /// The addresses of its host name, in place of a look-up.
    pub resolves_to: Option<Vec<IpAddr>>,

    /// The addresses from the second look-up on.
    pub resolves_then: Option<Vec<IpAddr>>,

    /// The look-up to judge: `connect` is the look-up within the first attempt.
    pub stage: String,

    /// The values of `{name}` in the URL.
    pub url_variables: HashMap<String, String>,

    /// A redirect in the receiver's answer.
    pub redirect: Option<serde_json::Value>,

    /// Settings in place of the server's own.
    pub config: Option<Overrides>,
}

/// The settings of one question.
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
    /// The settings to use: those of the question, or `own`.
    ///
    /// # Errors
    /// When its allowlist does not parse.
    pub fn settings(&self, own: &Settings) -> Result<Settings, AllowlistError> {
        let Some(config) = &self.config else {
            return Ok(own.clone());
        };
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

    /// Whether the question is about an attempt after the first, whose look-up gives the later addresses.
    #[must_use]
    pub fn is_later(&self) -> bool {
        self.stage != "connect" && self.resolves_then.is_some()
    }

    /// The result of the look-up to judge.
    #[must_use]
    pub fn answer(&self) -> Option<&[IpAddr]> {
        if self.is_later() {
            self.resolves_then.as_deref()
        } else {
            self.resolves_to.as_deref()
        }
    }
}
