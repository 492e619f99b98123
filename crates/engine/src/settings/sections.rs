//! The sections of the settings that the workers use: `[delivery]`, `[history]` and `[insights]`.

use std::path::PathBuf;
use std::time::Duration;

use quickdraw_domain::health::DisablePolicy;
use quickdraw_domain::settings::{Problem, Retry, RetryPreset, SecretText, Span};
use quickdraw_domain::settle::Policies;
use quickdraw_egress::{Proxy, ProxyError};
use serde::{Deserialize, Serialize};

use super::PermitLimits;
use super::WhileDisabled;

quickdraw_domain::section! {
    /// Deliveries to the receivers of webhooks.
    pub struct DeliverySection as "delivery" {
        /// Retry policy: `standard` (5 attempts in all), `gitlab` (1 attempt), `patient` (10 attempts in up to three
        /// days), or a list of the longest pauses before each further attempt, such as `["10s", "5m"]`. A webhook may
        /// have a policy of its own.
        retry: Retry = Retry::Preset(RetryPreset::Standard),

        /// Rule that disables failing webhooks. `published` follows GitLab's documentation: the fourth failure in a row
        /// disables a webhook. After a 4xx it stays disabled until somebody re-enables it. After any other failure it
        /// is disabled for a minute, and each further failure doubles this time, up to 24 hours. `current` follows
        /// GitLab 17.11 and later: all failures count alike, the fourth in a row pauses a webhook, and the fortieth
        /// disables it. `off` never disables a webhook.
        auto_disable: DisablePolicy = DisablePolicy::Published,

        /// Silent mode: no webhook is called. Events are stored, with the skip reason `silent_mode` for each webhook
        /// that would have got them. While it is true, `silent_mode_enabled` of the API cannot turn silent mode off.
        silent: bool = false,

        /// Handling of events while their webhook is disabled or paused. `hold` keeps them and delivers them when
        /// the webhook is enabled again or resumed. `drop` discards them, as GitLab does.
        while_disabled: HoldOrDrop = HoldOrDrop::Hold,

        /// Longest time that a delivery is held for a disabled or paused webhook. Older deliveries fail for good.
        hold_max_age: Span = Span::days(7),

        /// Maximum number of deliveries that are held for one disabled or paused webhook. Beyond this number the oldest
        /// deliveries fail for good.
        hold_max_deliveries: u32 = 1_000_000,

        /// Time limit of one attempt. It includes name resolution, connection, TLS, request and response.
        timeout: Span = Span::seconds(10),

        /// Time for which a node owns a delivery that it claimed. Other nodes may repeat the delivery afterwards. It
        /// must be at least one second longer than `delivery.timeout`.
        lease: Span = Span::seconds(30),

        /// Maximum number of attempts that run at the same time on this node. One third is reserved for first attempts.
        in_flight: usize = 768,

        /// Maximum number of attempts that run at the same time for one webhook.
        in_flight_per_hook: usize = 64,

        /// Maximum number of attempts that run at the same time for one host and port.
        in_flight_per_host: usize = 128,

        /// PEM file with additional certificate authorities. They are trusted for receivers beside those of the system.
        tls_ca_file: PathBuf = PathBuf::new(),

        /// PEM file with a client certificate, its intermediate certificates and its private key. It is presented to
        /// receivers that request a certificate (mutual TLS).
        tls_client_cert_file: PathBuf = PathBuf::new(),

        /// Password of the private key in `delivery.tls_client_cert_file`, if the key is encrypted (PKCS#8).
        tls_client_cert_password: SecretText = SecretText::default(),

        /// HTTP proxy for all deliveries, such as `http://proxy.example.com:3128`. Deliveries use `CONNECT`. Variables
        /// such as `HTTPS_PROXY` are ignored.
        proxy: String = String::new(),

        /// User name for the proxy.
        proxy_user: String = String::new(),

        /// Password for the proxy.
        proxy_password: SecretText = SecretText::default(),

        /// Sends host names to the proxy instead of the addresses that the guard has checked. Enable this only if the
        /// proxy itself refuses forbidden addresses.
        proxy_resolves: bool = false,
    }
}

quickdraw_domain::section! {
    /// The history of events, deliveries and attempts.
    pub struct HistorySection as "history" {
        /// Time for which events, deliveries and attempts are kept.
        retention: Span = Span::days(14),
    }
}

quickdraw_domain::section! {
    /// Metrics of projects.
    pub struct InsightsSection as "insights" {
        /// Labels that mark an issue as an incident, in addition to `incident`. A label includes its scoped labels:
        /// `outage` includes `outage::major`.
        incident_labels: Vec<String> = Vec::new(),
    }
}

/// Handling of events while their webhook is disabled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoldOrDrop {
    /// Deliver them when the webhook is enabled again.
    Hold,

    /// Discard them.
    Drop,
}

impl DeliverySection {
    /// Every problem of the section that shows without reading the TLS files.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();

        if self.lease.0 < self.timeout.0.saturating_add(Duration::from_secs(1)) {
            let text =
                "must be at least one second longer than delivery.timeout, or healthy attempts would be repeated";
            problems.push(Problem::new("delivery.lease", text));
        }

        problems.extend(self.read_proxy().err());
        problems
    }

    /// The rules for retries and for disabling.
    #[must_use]
    pub fn policies(&self) -> Policies {
        Policies {
            retry: self.retry.policy(),
            disable: self.auto_disable,
        }
    }

    /// The bounds of concurrent attempts.
    #[must_use]
    pub fn permits(&self) -> PermitLimits {
        PermitLimits {
            total: self.in_flight.max(3),
            reserved_for_first: self.in_flight / 3,
            per_hook: self.in_flight_per_hook.max(1),
            initial_per_hook: self.in_flight_per_hook.clamp(1, 4),
            per_host: self.in_flight_per_host.max(1),
        }
    }

    /// The handling of events while their webhook is disabled.
    #[must_use]
    pub fn while_disabled(&self) -> WhileDisabled {
        match self.while_disabled {
            HoldOrDrop::Hold => WhileDisabled::Hold {
                longest: self.hold_max_age.0,
                most: self.hold_max_deliveries,
            },
            HoldOrDrop::Drop => WhileDisabled::Drop,
        }
    }

    /// The proxy for deliveries, if one is set.
    ///
    /// # Errors
    /// When `delivery.proxy` is not the address of a proxy, or contains credentials.
    pub fn read_proxy(&self) -> Result<Option<Proxy>, Problem> {
        if self.proxy.is_empty() {
            return Ok(None);
        }

        let proxy = Proxy::parse(&self.proxy, self.proxy_resolves).map_err(|error| {
            // The value is not shown, because it may contain a password.
            let text = match error {
                ProxyError::Address => "is not the address of a proxy, such as http://proxy.example.com:3128",
                ProxyError::Credentials => {
                    "contains credentials; put them into delivery.proxy_user and delivery.proxy_password"
                }
            };
            Problem::new("delivery.proxy", text)
        })?;

        if self.proxy_user.is_empty() {
            return Ok(Some(proxy));
        }

        Ok(Some(
            proxy.with_credentials(&self.proxy_user, self.proxy_password.expose()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_outlasts_the_timeout_by_a_second() {
        for (lease, is_good) in [(10, false), (11, true), (30, true)] {
            let section = DeliverySection {
                lease: Span::seconds(lease),
                ..DeliverySection::default()
            };
            assert_eq!(section.problems().is_empty(), is_good, "{lease}");
        }
    }

    #[test]
    fn a_problem_of_the_proxy_shows_no_password() {
        for (proxy, part) in [
            ("http://me:s3cret@proxy.example.com", "contains credentials"),
            ("socks5://me:s3cret@proxy.example.com", "is not the address of a proxy"),
            ("proxy.example.com", "is not the address of a proxy"),
        ] {
            let section = DeliverySection {
                proxy: proxy.to_owned(),
                ..DeliverySection::default()
            };
            let found = section.read_proxy().err().expect("a problem").to_string();
            assert!(found.contains(part) && !found.contains("s3cret"), "{found}");
        }
    }
}
