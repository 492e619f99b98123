//! Secrets of the settings: read literally wherever they come from, and refused where no request could carry them.

use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quickdraw_domain::Secret;
use quickdraw_domain::settings::Problem;
use quickdraw_domain::signature::SigningToken;
use quickdraw_store::Ring;

use super::Config;

/// Settings whose variables are read literally and whose values no problem shows. Otherwise digits would be read as a
/// number, and blanks would be cut off.
pub(super) const LITERAL: [&str; 11] = [
    "database.url",
    "server.root_token",
    "server.key",
    "source.secret",
    "source.signing_token",
    "delivery.tls_client_cert_password",
    "delivery.proxy_user",
    "delivery.proxy_password",
    "oidc.client_secret",
    "mail.user",
    "mail.password",
];

/// The error if no key is known and none may be generated.
pub(crate) const NO_KEY: &str = "no sealing key: set QUICKDRAW_KEY to 32 random bytes in base64 \
     (openssl rand -base64 32), the same on every node";

const SHORTEST_ROOT_TOKEN: usize = 16;

/// The variable of a setting: `QUICKDRAW__SERVER__KEY`.
pub(super) fn variable_of(key: &str) -> String {
    format!("QUICKDRAW__{}", key.replace('.', "__").to_ascii_uppercase())
}

/// Every problem of the secrets that are set.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();

    let token = &config.server.root_token;
    if !token.is_empty() {
        problems.extend(check_root_token("server.root_token", token.expose()).err());
    }

    let key = &config.server.key;
    if !key.is_empty() {
        let error = parse_ring(key.expose()).err();
        problems.extend(error.map(|error| Problem::new("server.key", format!("cannot be used: {error:#}"))));
    }

    let secret = &config.source.secret;
    if !secret.is_empty() {
        problems.extend(check_carried("source.secret", secret.expose()).err());
    }

    let token = &config.source.signing_token;
    if !token.is_empty() {
        let error = SigningToken::parse(token.expose()).err();
        problems.extend(error.map(|error| Problem::new("source.signing_token", error)));
    }

    problems
}

/// Parses keys that are separated by commas.
pub(crate) fn parse_ring(text: &str) -> anyhow::Result<Ring> {
    let keys = text.split(',').map(|key| {
        let bytes = STANDARD
            .decode(key.trim())
            .ok()
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.context("a sealing key is not 32 bytes in base64 (openssl rand -base64 32)")
    });
    Ok(Ring::new(keys.collect::<anyhow::Result<_>>()?)?)
}

/// Refuses a secret that no header can carry unchanged.
pub(crate) fn check_carried(name: &str, secret: &str) -> Result<(), Problem> {
    Secret::new(secret)
        .check_header()
        .map_err(|error| Problem::new(name, error))
}

/// Refuses an administrator's token that no request could carry, or that is too short.
pub(crate) fn check_root_token(name: &str, token: &str) -> Result<(), Problem> {
    check_carried(name, token)?;

    if token.len() < SHORTEST_ROOT_TOKEN {
        return Err(Problem::new(
            name,
            format!("is shorter than {SHORTEST_ROOT_TOKEN} characters"),
        ));
    }

    if !token.is_ascii() {
        return Err(Problem::new(
            name,
            "has characters beyond ASCII, which a token in a header cannot have",
        ));
    }

    Ok(())
}

/// Refuses a secret in a file that `serve` would refuse in the place of the given setting.
pub(super) fn check_kept(setting: &str, text: &str) -> anyhow::Result<()> {
    match setting {
        "server.key" => parse_ring(text).map(drop),
        "server.root_token" => Ok(check_root_token("the token in it", text)?),
        _ => Ok(check_carried("the secret in it", text)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SECTIONS;

    fn check_refused(set: impl Fn(&mut Config), words: &str) {
        let mut config = Config::default();
        set(&mut config);

        let found = problems(&config);
        assert!(
            matches!(found.as_slice(), [problem] if problem.to_string().contains(words)),
            "{words}: {found:?}"
        );

        assert!(!format!("{found:?}").contains("s3cret"), "{found:?}");
    }

    #[test]
    fn secrets_that_no_header_can_carry_are_refused_by_name() {
        for (secret, words) in [
            ("s3cret\n", "source.secret contains a line break"),
            (" s3cret", "source.secret begins or ends"),
        ] {
            check_refused(|config| config.source.secret = secret.to_owned().into(), words);
        }

        check_refused(
            |config| config.source.signing_token = "s3cret".to_owned().into(),
            "source.signing_token",
        );

        check_refused(
            |config| config.server.key = "s3cret".to_owned().into(),
            "server.key cannot be used",
        );

        for (token, words) in [
            (
                "s3cret-of-an-administrator\n",
                "server.root_token contains a line break",
            ),
            ("s3cret-of-an-administrator ", "server.root_token begins or ends"),
            ("s3cret", "server.root_token is shorter"),
            (
                "s3cret-of-an-ädministrator",
                "server.root_token has characters beyond ASCII",
            ),
        ] {
            check_refused(|config| config.server.root_token = token.to_owned().into(), words);
        }

        let mut good = Config::default();
        good.source.secret = "a secret with blänks".to_owned().into();
        assert_eq!(problems(&good), []);
    }

    #[test]
    fn every_setting_that_is_printed_masked_is_read_literally() {
        let mut keys = Vec::new();
        for section in SECTIONS {
            keys.extend(
                section
                    .settings
                    .iter()
                    .map(|setting| format!("{}.{}", section.section, setting.name)),
            );
        }

        for key in &keys {
            let (section, name) = key.split_once('.').expect("a section and a name");
            let text = format!("[{section}]\n{name} = 'postgres://me:canary@host/name'\n");
            let Ok(config) = toml::from_str::<Config>(&text) else {
                continue;
            };
            let is_masked = toml::to_string(&config).expect("it serialises").contains("[REDACTED]");

            assert!(!is_masked || LITERAL.contains(&key.as_str()), "{key}");
        }

        assert!(
            LITERAL.iter().all(|literal| keys.iter().any(|key| key == literal)),
            "all of {LITERAL:?} are settings"
        );

        assert_eq!(variable_of("server.root_token"), "QUICKDRAW__SERVER__ROOT_TOKEN");
    }
}
