//! The settings in force with their origins, as the server shows them to administrators. Values of secrets are not
//! among them.

use anyhow::Context;
use quickdraw_server::process::{SettingInForce, SettingSource};
use serde_json::Value;

use super::secrets::LITERAL;
use super::{Config, Origin, SECTIONS};

/// A setting that is read literally because it can contain a password, and whose value can be shown without it.
const MASKED: &str = "database.url";

/// Lists the settings in force, in the order of the reference.
pub(crate) fn in_force(config: &Config) -> anyhow::Result<Vec<SettingInForce>> {
    let tree = serde_json::to_value(config).context("failed to list the settings")?;
    let mut all = Vec::new();

    for section in SECTIONS {
        for setting in section.settings {
            let name = format!("{}.{}", section.section, setting.name);
            let value = tree.get(section.section).and_then(|values| values.get(setting.name));
            let value = value.cloned().unwrap_or_default();

            let is_secret = LITERAL.contains(&name.as_str()) && name != MASKED;
            let is_set = !value.is_null() && value != "";
            let (source, source_name) = shown_origin(config.origins.get(&name));

            all.push(SettingInForce {
                value: if is_secret || !is_set { Value::Null } else { value },
                is_secret,
                is_set,
                source,
                source_name,
                meaning: setting.meaning,
                name,
            });
        }
    }

    Ok(all)
}

fn shown_origin(origin: Option<&Origin>) -> (SettingSource, Option<String>) {
    match origin {
        None => (SettingSource::Default, None),
        Some(Origin::File(path)) => (SettingSource::File, Some(path.clone())),
        Some(Origin::Environment(name)) => (SettingSource::Environment, Some(name.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{file, settings};
    use super::*;
    use crate::settings::load;

    fn one(all: &[SettingInForce], name: &str) -> SettingInForce {
        let found = all.iter().find(|setting| setting.name == name);
        found.expect("the setting is listed").clone()
    }

    #[test]
    fn a_setting_shows_its_value_and_its_file() {
        let (_folder, file) = file("[delivery]\ntimeout = \"2s\"\n");
        let config = load(Some(&file)).expect("settings");
        let all = in_force(&config).expect("a list");

        let timeout = one(&all, "delivery.timeout");
        assert_eq!(
            (timeout.value, timeout.source),
            (Value::from("2s"), SettingSource::File)
        );
        assert!(timeout.source_name.expect("a file").ends_with("quickdraw.toml"));

        let lease = one(&all, "delivery.lease");
        assert_eq!((lease.is_set, lease.source), (true, SettingSource::Default));
        assert_eq!(lease.source_name, None);
    }

    #[test]
    fn a_secret_shows_only_whether_it_is_set() {
        let text = "[server]\nroot_token = \"canary-of-an-administrator\"\n\
            [source]\nsecret = \"canary-of-a-source\"\n\
            [database]\nurl = \"postgres://me:canary@host/name\"\n";
        let all = in_force(&settings(text)).expect("a list");

        for (name, is_set) in [
            ("server.root_token", true),
            ("source.secret", true),
            ("server.key", false),
        ] {
            let setting = one(&all, name);
            assert!(setting.is_secret && setting.value.is_null(), "{setting:?}");
            assert_eq!(setting.is_set, is_set, "{name}");
        }

        let url = one(&all, "database.url");
        assert_eq!(url.value, Value::from("postgres://[REDACTED]@host/name"));
        assert!(!format!("{all:?}").contains("canary"));
    }
}
