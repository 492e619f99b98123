//! The settings of the server: the sections of all crates, and where their values come from.
//!
//! Defaults are overridden by `quickdraw.toml`, then by `QUICKDRAW__SECTION__KEY`, then by the short names. An unknown
//! setting is refused, because a misspelt setting that is silently ignored is worse than an error.

mod in_force;
mod reading;
pub(crate) mod secrets;
mod telemetry;
mod validate;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use quickdraw_domain::guard::GuardSection;
use quickdraw_domain::settings::{Problem, Reference};
use quickdraw_engine::settings::{DeliverySection, HistorySection, InsightsSection, MailSection, OidcSection};
use quickdraw_server::settings::{LimitsSection, ServerSection, SourceSection};
use quickdraw_store::settings::DatabaseSection;
use serde::{Deserialize, Serialize};

pub(crate) use in_force::in_force;
pub(crate) use reading::SHORT_NAMES;
pub(crate) use telemetry::LogFormat;
use telemetry::TelemetrySection;
pub(crate) use validate::{ensure_none, read_trust, refusal};

/// All settings.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: ServerSection,
    pub(crate) database: DatabaseSection,
    pub(crate) source: SourceSection,
    pub(crate) delivery: DeliverySection,
    pub(crate) guard: GuardSection,
    pub(crate) limits: LimitsSection,
    pub(crate) history: HistorySection,
    pub(crate) insights: InsightsSection,
    pub(crate) oidc: OidcSection,
    pub(crate) mail: MailSection,
    pub(crate) telemetry: TelemetrySection,

    /// `server.external_url` is not set and was made from `server.listen`.
    #[serde(skip)]
    pub(crate) external_url_is_made: bool,

    /// The origin of every setting that somebody set.
    #[serde(skip)]
    pub(crate) origins: BTreeMap<String, Origin>,

    /// Problems of settings that could not be read and have their defaults here.
    #[serde(skip)]
    pub(crate) unread: Vec<Problem>,
}

/// The origin of a setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Origin {
    /// The settings file with this path.
    File(String),

    /// The environment variable with this name.
    Environment(String),
}

/// The warning about a server that other machines can reach, and whose own URL works on its machine only.
pub(crate) const NO_REACHABLE_URL: &str = "server.listen names all addresses and server.external_url is not set, so \
    every URL that the server shows works on this machine only; set QUICKDRAW_EXTERNAL_URL to a URL that GitLab can \
    reach";

impl Config {
    /// True if the server listens on all addresses, and nobody said under which URL others reach it.
    pub(crate) fn has_no_reachable_url(&self) -> bool {
        let listens_on_all = |address: SocketAddr| address.ip().is_unspecified();
        self.external_url_is_made && self.server.listen.parse().is_ok_and(listens_on_all)
    }
}

/// The sections in the order in which the reference shows them.
pub(crate) const SECTIONS: [Reference; 11] = [
    ServerSection::REFERENCE,
    DatabaseSection::REFERENCE,
    SourceSection::REFERENCE,
    DeliverySection::REFERENCE,
    GuardSection::REFERENCE,
    LimitsSection::REFERENCE,
    HistorySection::REFERENCE,
    InsightsSection::REFERENCE,
    OidcSection::REFERENCE,
    MailSection::REFERENCE,
    TelemetrySection::REFERENCE,
];

/// Reads the settings and keeps problems with single settings for [`Config::validate`].
pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    let mut config = reading::read(file)?;

    if config.server.external_url.is_empty() {
        config.server.external_url = base_url(&config.server.listen);
        config.external_url_is_made = true;
    }

    config.server.external_url = config.server.external_url.trim_end_matches('/').to_owned();

    if config.database.url.expose().is_empty() {
        let file = config.server.data_dir.join("quickdraw.db");
        config.database.url = format!("sqlite:{}", file.display()).into();
    }

    Ok(config)
}

/// Reads the settings for a command that uses only some of them. It refuses settings that cannot be read and checks no
/// further rule.
pub(crate) fn load_unchecked(file: Option<&Path>) -> anyhow::Result<Config> {
    let config = load(file)?;
    ensure_none(&config.unread)?;
    Ok(config)
}

/// The base URL of a server that has no other one set: it can be called at least from the same machine. `0.0.0.0` and
/// `[::]` stand for all addresses and cannot be called.
pub(crate) fn base_url(listen: &str) -> String {
    match listen.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => {
            let loopback = match address.ip() {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            };
            format!("http://{}", SocketAddr::new(loopback, address.port()))
        }
        _ => format!("http://{listen}"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes a settings file in a folder of its own.
    pub(crate) fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("quickdraw.toml");
        std::fs::write(&file, text).expect("written");

        (folder, file)
    }

    /// The settings of a file with this text.
    pub(crate) fn settings(text: &str) -> Config {
        let (_folder, file) = file(text);
        load(Some(&file)).unwrap_or_else(|error| panic!("{error:#}"))
    }

    #[test]
    fn every_setting_is_in_the_reference_and_nothing_else() {
        let tree = toml::Value::try_from(Config::default()).expect("it serialises");
        let mut keys = Vec::new();

        for (section, values) in tree.as_table().expect("sections") {
            keys.extend(
                values
                    .as_table()
                    .expect("a section")
                    .keys()
                    .map(|key| format!("{section}.{key}")),
            );
        }

        // A setting without a value does not serialise.
        keys.push("guard.allowed_ports".to_owned());
        keys.sort();

        let mut documented = Vec::new();
        for section in SECTIONS {
            documented.extend(
                section
                    .settings
                    .iter()
                    .map(|setting| format!("{}.{}", section.section, setting.name)),
            );
        }

        documented.sort_unstable();
        assert_eq!(keys, documented);
    }

    #[test]
    fn a_base_url_that_is_made_can_be_called() {
        for (listen, url) in [
            ("127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("0.0.0.0:8021", "http://127.0.0.1:8021"),
            ("[::]:8021", "http://[::1]:8021"),
            ("quickdraw.example:80", "http://quickdraw.example:80"),
        ] {
            assert_eq!(base_url(listen), url, "{listen}");
        }
    }

    #[test]
    fn values_are_read_in_their_units() {
        let text = "[delivery]\ntimeout = \"2s\"\nretry = [\"100ms\", \"1m\"]\n[source]\nbody_limit = \"1MiB\"\n";
        let config = settings(text);
        assert_eq!(config.unread, []);
        assert_eq!(config.delivery.timeout.0, std::time::Duration::from_secs(2));
        assert_eq!(config.source.body_limit.0.as_u64(), 1 << 20);
        assert_eq!(config.delivery.retry.policy().pauses.len(), 2);
    }
}
