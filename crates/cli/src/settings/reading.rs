//! Reading the settings: the file and the environment in layers. A setting that cannot be read becomes a problem and
//! gets its default, so that all problems are reported at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use figment::error::{Actual, Kind};
use figment::providers::{Env, Format, Serialized, Toml};
use figment::{Figment, Provider};
use quickdraw_domain::settings::Problem;

use super::secrets::{LITERAL, variable_of};
use super::{Config, Origin, SECTIONS};

/// Short names of settings. Each has a second form with `_FILE` that names a file to read.
pub(crate) const SHORT_NAMES: [(&str, &str); 8] = [
    ("QUICKDRAW_DATABASE_URL", "database.url"),
    ("QUICKDRAW_LISTEN", "server.listen"),
    ("QUICKDRAW_EXTERNAL_URL", "server.external_url"),
    ("QUICKDRAW_ROOT_TOKEN", "server.root_token"),
    ("QUICKDRAW_KEY", "server.key"),
    ("GITLAB_WEBHOOK_SECRET", "source.secret"),
    ("GITLAB_WEBHOOK_SIGNING_TOKEN", "source.signing_token"),
    ("QUICKDRAW_ALLOW_LOCAL_NETWORKS", "guard.allow_local_networks"),
];

/// Reads the settings. Problems with single settings are in [`Config::unread`].
pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Config> {
    let mut problems = Vec::new();
    let figment = layers(file, &mut problems)?;

    let mut config = match figment.extract::<Config>() {
        Ok(config) => config,
        Err(_) => readable(&figment, &mut problems).extract()?,
    };
    config.unread = problems;
    config.origins = origins(&figment);
    Ok(config)
}

/// The origin of every setting that somebody set.
fn origins(figment: &Figment) -> BTreeMap<String, Origin> {
    let mut origins = BTreeMap::new();
    for section in SECTIONS {
        for setting in section.settings {
            let key = format!("{}.{}", section.section, setting.name);
            if let Some(origin) = origin_of(figment, &key) {
                origins.insert(key, origin);
            }
        }
    }

    origins
}

/// The variable or file that a setting comes from, in the order of precedence. `None` for a default.
fn origin_of(figment: &Figment, key: &str) -> Option<Origin> {
    if let Some(name) = short_name(key) {
        return Some(Origin::Environment(name));
    }

    // The names of variables are read in any case.
    let wanted = variable_of(key);
    let is_variable = |name: &std::ffi::OsString| name.to_str().is_some_and(|name| name.eq_ignore_ascii_case(&wanted));
    if let Some(name) = std::env::vars_os().map(|(name, _)| name).find(is_variable) {
        return Some(Origin::Environment(name.to_string_lossy().into_owned()));
    }

    let source = figment.find_metadata(key)?.source.as_ref()?;
    let file = source.file_path()?;
    Some(Origin::File(file.display().to_string()))
}

/// The short name, or its form with `_FILE`, that sets a setting.
fn short_name(key: &str) -> Option<String> {
    for (name, of) in SHORT_NAMES {
        if of != key {
            continue;
        }

        let file_name = format!("{name}_FILE");
        for name in [name, file_name.as_str()] {
            if std::env::var_os(name).is_some() {
                return Some(name.to_owned());
            }
        }
    }

    None
}

/// Defaults, file, variables and short names, the last of which wins.
fn layers(file: Option<&Path>, problems: &mut Vec<Problem>) -> anyhow::Result<Figment> {
    let mut figment = defaults();
    match file {
        Some(file) => {
            anyhow::ensure!(
                file.exists(),
                "the configuration file {} does not exist",
                file.display()
            );

            figment = figment.merge(Toml::file_exact(file));
        }
        None => figment = figment.merge(Toml::file("quickdraw.toml")),
    }

    // A file that is not TOML has no settings that could be checked one by one.
    figment.data().context("the configuration is not valid")?;
    figment = figment.merge(Env::prefixed("QUICKDRAW__").split("__"));

    for key in LITERAL {
        match variable(&variable_of(key), key) {
            Ok(Some(value)) => figment = figment.merge((key, value)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }

    for (name, key) in SHORT_NAMES {
        let value = match variable_or_file(name, key) {
            Ok(Some(value)) => value,
            Ok(None) => continue,
            Err(problem) => {
                problems.push(problem);
                continue;
            }
        };
        figment = match value.parse::<bool>() {
            Ok(flag) if key == "guard.allow_local_networks" => figment.merge((key, flag)),
            _ => figment.merge((key, value)),
        };
    }

    Ok(figment)
}

fn defaults() -> Figment {
    Figment::from(Serialized::defaults(Config::default()))
}

/// The environment variable of a setting; `None` if it is not set.
fn variable(name: &str, key: &str) -> Result<Option<String>, Problem> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Problem::new(key, format!("cannot be read: {name} is not valid UTF-8")))
        }
    }
}

/// The value of a variable, or the content of the file that the variable with `_FILE` names.
fn variable_or_file(name: &str, key: &str) -> Result<Option<String>, Problem> {
    let file_name = format!("{name}_FILE");

    match (variable(name, key)?, variable(&file_name, key)?) {
        (Some(_), Some(_)) => Err(Problem::new(
            key,
            format!("is ambiguous: {name} and {file_name} are both set; set one of them"),
        )),
        (Some(value), None) => Ok(Some(value)),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(&file);
            let text =
                text.map_err(|error| Problem::new(key, format!("cannot be read from {file_name} {file}: {error}")))?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        (None, None) => Ok(None),
    }
}

/// The defaults with every setting that can be read. The others become problems.
fn readable(figment: &Figment, problems: &mut Vec<Problem>) -> Figment {
    let mut sections = BTreeSet::new();
    for values in figment.data().unwrap_or_default().into_values() {
        sections.extend(values.into_keys());
    }

    let mut good = defaults();
    for section in sections {
        let Ok(value) = figment.find_value(&section) else {
            continue;
        };
        let known = SECTIONS.iter().any(|known| known.section == section);
        let Some(settings) = value.as_dict().filter(|_| known) else {
            problems.push(not_a_section(&section, known));
            continue;
        };

        for (name, value) in settings {
            let key = format!("{section}.{name}");
            let with = good.clone().merge((key.as_str(), value));
            match with.extract::<Config>() {
                Ok(_) => good = with,
                Err(error) => problems.push(not_readable(&key, &error.kind, &origin(figment, &key))),
            }
        }
    }

    good
}

fn not_a_section(section: &str, known: bool) -> Problem {
    if known {
        return Problem::new(section, format!("is a section; put its settings below [{section}]"));
    }

    let names: Vec<&str> = SECTIONS.iter().map(|known| known.section).collect();
    Problem::new(
        section,
        format!("is not a section; the sections are {}", names.join(", ")),
    )
}

/// The problem of a setting whose value has a wrong type or form. The value of a secret is not shown.
fn not_readable(key: &str, kind: &Kind, origin: &str) -> Problem {
    let is_secret = LITERAL.contains(&key);
    let text = match kind {
        Kind::UnknownField(_, settings) => format!("is not a setting; the section has {}", settings.join(", ")),
        Kind::UnknownVariant(found, words) => {
            format!("{found:?} is not a valid value; set it to one of {}", words.join(", "))
        }
        Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) if is_secret => {
            format!("must be {}", plain(expected))
        }
        Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
            format!("{} is not a valid value; it must be {}", shown(found), plain(expected))
        }
        Kind::Message(text) if !is_secret => text.clone(),
        _ if is_secret => "cannot be read".to_owned(),
        other => format!("cannot be read: {other}"),
    };
    Problem::new(key, format!("{text} (from {origin})"))
}

/// A value as it is written in the file.
fn shown(found: &Actual) -> String {
    match found {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => value.to_string(),
        Actual::Signed(value) => value.to_string(),
        Actual::Float(value) => value.to_string(),
        Actual::Str(value) => format!("{value:?}"),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// The name of a type in words.
fn plain(expected: &str) -> &str {
    match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number that is not negative",
        "a string" | "string" | "path string" => "a text in quotation marks",
        "a boolean" => "true or false",
        "a sequence" => "a list, such as [\"a\", \"b\"]",
        other => other,
    }
}

/// The file or variable that a setting comes from.
fn origin(figment: &Figment, key: &str) -> String {
    let source = figment.find_metadata(key).and_then(|metadata| metadata.source.as_ref());
    if let Some(file) = source.and_then(|source| source.file_path()) {
        return file.display().to_string();
    }

    short_name(key).unwrap_or_else(|| variable_of(key))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{file, settings};
    use crate::settings::load_unchecked;

    fn check_unread(text: &str, parts: &[&str]) {
        let (_folder, file) = file(text);
        let error = format!("{:#}", load_unchecked(Some(&file)).err().expect("it is refused"));
        for part in parts {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn a_misspelt_key_is_refused_with_its_name_and_file() {
        check_unread(
            "[delivery]\ntimeuot = \"5s\"\n",
            &["delivery.timeuot", "timeout", "quickdraw.toml"],
        );

        check_unread("[servre]\nlisten = \"x\"\n", &["servre is not a section", "server"]);
        check_unread("server = 5\n", &["server is a section"]);
    }

    #[test]
    fn every_setting_of_a_wrong_kind_is_named_at_once() {
        let text = "[delivery]\ntimeuot = \"5s\"\nlease = \"soon\"\nretry = [\"10s\", \"later\"]\n\
            [limits]\ngroup_hooks = -1\n[source]\nmode = \"maybe\"\n";
        check_unread(
            text,
            &[
                "delivery.timeuot",
                "delivery.lease \"soon\" is not a duration",
                "delivery.retry \"later\" is not a duration",
                "limits.group_hooks -1",
                "source.mode \"maybe\" is not a valid value; set it to one of any, token, signature, both",
            ],
        );
    }

    #[test]
    fn a_secret_of_a_wrong_kind_is_not_shown() {
        let problems = settings("[server]\nkey = 12345678\nroot_token = [\"s3cret\"]\n").unread;
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 2, "{text:?}");

        assert!(
            !text.concat().contains("1234") && !text.concat().contains("s3cret"),
            "{text:?}"
        );
    }

    #[test]
    fn settings_that_can_be_read_are_kept_beside_those_that_cannot() {
        let config = settings("[limits]\ngroup_hooks = -1\nproject_hooks = 7\n");
        assert_eq!((config.limits.group_hooks, config.limits.project_hooks), (50, 7));
    }
}
