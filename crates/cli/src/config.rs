//! One configuration tree: defaults here, then `quickdraw.toml`, then `QUICKDRAW__SECTION__KEY`, then the short names.
//! Keys that nobody knows are refused, because a misspelt setting that is silently ignored is worse than an error.

mod reference;
pub(crate) mod secrets;
mod values;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::{Figment, Provider};
use serde::{Deserialize, Serialize};

pub(crate) use reference::REFERENCE;
pub(crate) use values::{Retry, Span};

/// Everything that can be set.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) database: Database,
    pub(crate) source: Source,
    pub(crate) delivery: Delivery,
    pub(crate) guard: Guard,
    pub(crate) limits: Limits,
    pub(crate) history: History,
    pub(crate) insights: Insights,
    pub(crate) telemetry: Telemetry,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    pub(crate) listen: String,
    pub(crate) external_url: String,
    /// Nobody set the URL: it was made from the address that is listened on.
    #[serde(skip)]
    pub(crate) external_url_is_made: bool,
    pub(crate) upload_links: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) root_token: String,
    pub(crate) key: String,
    pub(crate) connections: usize,
    pub(crate) connections_per_address: usize,
    pub(crate) trusted_proxies: Vec<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8000".to_owned(),
            external_url: String::new(),
            external_url_is_made: false,
            upload_links: "project_path".to_owned(),
            data_dir: "quickdraw-data".into(),
            root_token: String::new(),
            key: String::new(),
            connections: 10_000,
            connections_per_address: 200,
            trusted_proxies: Vec::new(),
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) answer_within: Span,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: String::new(), answer_within: Span::seconds(5) }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) secret: String,
    pub(crate) signing_token: String,
    pub(crate) mode: String,
    pub(crate) window: Span,
    pub(crate) addresses: Vec<String>,
    pub(crate) rate_limit: String,
    pub(crate) deduplicate: bool,
    pub(crate) body_limit: bytesize::ByteSize,
    pub(crate) instance: String,
}

impl Default for Source {
    fn default() -> Self {
        Self {
            secret: String::new(),
            signing_token: String::new(),
            mode: "any".to_owned(),
            window: Span::seconds(300),
            addresses: Vec::new(),
            rate_limit: "100/min".to_owned(),
            deduplicate: true,
            body_limit: bytesize::ByteSize::mib(25),
            instance: String::new(),
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Delivery {
    pub(crate) retry: Retry,
    pub(crate) auto_disable: String,
    pub(crate) while_disabled: String,
    pub(crate) hold_longest: Span,
    pub(crate) hold_most: u32,
    pub(crate) timeout: Span,
    pub(crate) lease: Span,
    pub(crate) in_flight: usize,
    pub(crate) in_flight_per_hook: usize,
    pub(crate) in_flight_per_host: usize,
    pub(crate) tls_ca_file: PathBuf,
    pub(crate) tls_client_cert_file: PathBuf,
    pub(crate) tls_client_cert_password: String,
    pub(crate) proxy: String,
    pub(crate) proxy_user: String,
    pub(crate) proxy_password: String,
    pub(crate) proxy_resolves: bool,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            retry: Retry::Preset("standard".to_owned()),
            auto_disable: "published".to_owned(),
            while_disabled: "hold".to_owned(),
            hold_longest: Span::seconds(7 * 86_400),
            hold_most: 1_000_000,
            timeout: Span::seconds(10),
            lease: Span::seconds(30),
            in_flight: 768,
            in_flight_per_hook: 64,
            in_flight_per_host: 128,
            tls_ca_file: PathBuf::new(),
            tls_client_cert_file: PathBuf::new(),
            tls_client_cert_password: String::new(),
            proxy: String::new(),
            proxy_user: String::new(),
            proxy_password: String::new(),
            proxy_resolves: false,
        }
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Guard {
    pub(crate) allow_local_networks: bool,
    pub(crate) allowlist: Vec<String>,
    pub(crate) deny_all_except_allowlist: bool,
    pub(crate) allowed_ports: Option<Vec<u16>>,
    pub(crate) https_only: bool,
    pub(crate) nat64: Nat64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Nat64 {
    #[default]
    Deny,
    Decode,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) project_hooks: u32,
    pub(crate) group_hooks: u32,
    pub(crate) by_hand_per_minute: usize,
    pub(crate) deliveries_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { project_hooks: 100, group_hooks: 50, by_hand_per_minute: 5, deliveries_per_minute: 0 }
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct History {
    pub(crate) retention: Span,
}

impl Default for History {
    fn default() -> Self {
        Self { retention: Span::seconds(14 * 86_400) }
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Insights {
    pub(crate) incident_labels: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Telemetry {
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
    pub(crate) refs: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { log: "info".to_owned(), log_format: LogFormat::Text, refs: Vec::new() }
    }
}

/// Names that people know from elsewhere, and where they go. Each has a second form with `_FILE` that names a file to read.
const SHORT_NAMES: [(&str, &str); 8] = [
    ("QUICKDRAW_DATABASE_URL", "database.url"),
    ("QUICKDRAW_LISTEN", "server.listen"),
    ("QUICKDRAW_EXTERNAL_URL", "server.external_url"),
    ("QUICKDRAW_ROOT_TOKEN", "server.root_token"),
    ("QUICKDRAW_KEY", "server.key"),
    ("GITLAB_WEBHOOK_SECRET", "source.secret"),
    ("GITLAB_WEBHOOK_SIGNING_TOKEN", "source.signing_token"),
    ("QUICKDRAW_ALLOW_LOCAL_NETWORKS", "guard.allow_local_networks"),
];

/// Reads and checks the configuration.
pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    match file {
        Some(file) => {
            anyhow::ensure!(file.exists(), "the configuration file {} does not exist", file.display());
            figment = figment.merge(Toml::file_exact(file));
        }
        None => figment = figment.merge(Toml::file("quickdraw.toml")),
    }
    figment = figment.merge(Env::prefixed("QUICKDRAW__").split("__"));
    for key in secrets::LITERAL {
        if let Some(value) = text_of(&secrets::variable_of(key))? {
            figment = figment.merge((key, value));
        }
    }
    for (name, key) in SHORT_NAMES {
        if let Some(value) = variable(name)? {
            figment = match value.parse::<bool>() {
                Ok(flag) if key == "guard.allow_local_networks" => figment.merge((key, flag)),
                _ => figment.merge((key, value)),
            };
        }
    }
    let mut config: Config = match figment.extract() {
        Ok(config) => config,
        Err(first) => {
            let wrong = wrong_settings(&figment);
            // One is told with the file or variable that it stands in.
            if wrong.len() < 2 {
                return Err(first).context("the configuration is not valid");
            }
            anyhow::bail!("the configuration is not valid: {}", wrong.join("; "));
        }
    };
    if config.server.external_url.is_empty() {
        config.server.external_url = base_url(&config.server.listen);
        config.server.external_url_is_made = true;
    }
    config.server.external_url = config.server.external_url.trim_end_matches('/').to_owned();
    if config.database.url.is_empty() {
        config.database.url = format!("sqlite:{}", config.server.data_dir.join("quickdraw.db").display());
    }
    Ok(config)
}

/// A variable; `None` if it is not set.
fn text_of(name: &str) -> anyhow::Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => anyhow::bail!("{name} is not valid UTF-8"),
    }
}

/// The base URL of a server that listens on an address and was told no other: one that can be posted to, at least from the
/// same machine. `0.0.0.0` and `[::]` stand for all addresses, and are none that anybody can call.
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

/// Every setting that is unknown or of a wrong kind, each tried alone beside the defaults.
fn wrong_settings(figment: &Figment) -> Vec<String> {
    let mut sections = BTreeSet::new();
    for values in figment.data().unwrap_or_default().into_values() {
        sections.extend(values.into_keys());
    }
    let alone = |key: &str, value: &figment::value::Value| {
        let figment = Figment::from(Serialized::defaults(Config::default())).merge((key, value));
        figment.extract::<Config>().err().map(|error| format!("{key}: {}", error.kind))
    };
    let mut wrong = Vec::new();
    for section in sections {
        let Ok(value) = figment.find_value(&section) else { continue };
        let Some(settings) = value.as_dict() else {
            wrong.extend(alone(&section, &value));
            continue;
        };
        for (name, value) in settings {
            wrong.extend(alone(&format!("{section}.{name}"), value));
        }
    }
    wrong
}

/// A variable, or the content of the file that the variable with `_FILE` names.
fn variable(name: &str) -> anyhow::Result<Option<String>> {
    let file_name = format!("{name}_FILE");
    match (text_of(name)?, text_of(&file_name)?) {
        (Some(_), Some(_)) => anyhow::bail!("{name} and {file_name} are both set; set one of them"),
        (Some(value), None) => Ok(Some(value)),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(&file).with_context(|| format!("failed to read {file_name} {file}"))?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_stands_in_the_reference_and_nothing_else() {
        let tree = toml::Value::try_from(Config::default()).expect("it serialises");
        let mut keys = Vec::new();
        for (section, values) in tree.as_table().expect("sections") {
            keys.extend(values.as_table().expect("a section").keys().map(|key| format!("{section}.{key}")));
        }
        // Without a value it does not serialise, and is a setting all the same.
        keys.push("guard.allowed_ports".to_owned());
        keys.sort();
        let mut documented: Vec<&str> = REFERENCE.iter().map(|(key, ..)| *key).collect();
        documented.sort_unstable();
        assert_eq!(keys, documented);
    }

    #[test]
    fn a_misspelt_key_is_refused_with_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("quickdraw.toml");
        std::fs::write(&file, "[delivery]\ntimeuot = \"5s\"\n").expect("written");
        let error = format!("{:#}", load(Some(&file)).err().expect("it is refused"));
        assert!(error.contains("timeuot"), "{error}");
    }

    #[test]
    fn every_setting_of_a_wrong_kind_is_named_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("quickdraw.toml");
        std::fs::write(&file, "[delivery]\ntimeuot = \"5s\"\nlease = \"soon\"\n[limits]\ngroup_hooks = -1\n")
            .expect("written");
        let error = format!("{:#}", load(Some(&file)).err().expect("it is refused"));
        for key in ["delivery.timeuot", "delivery.lease", "limits.group_hooks"] {
            assert!(error.contains(key), "{key} in {error}");
        }
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
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("quickdraw.toml");
        let text = "[delivery]\ntimeout = \"2s\"\nretry = [\"100ms\", \"1m\"]\n[source]\nbody_limit = \"1MiB\"\n";
        std::fs::write(&file, text).expect("written");
        let config = load(Some(&file)).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(config.delivery.timeout.0, std::time::Duration::from_secs(2));
        assert_eq!(config.source.body_limit.as_u64(), 1 << 20);
        assert_eq!(config.delivery.retry.policy().expect("a policy").pauses.len(), 2);
    }
}
