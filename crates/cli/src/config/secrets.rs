//! Secrets of the settings: taken literally wherever they come from, and refused where no request could show them.

use anyhow::Context;
use quickdraw_domain::Secret;
use quickdraw_domain::signature::SigningToken;

use super::Config;

/// Settings whose variables are taken as they are. Otherwise digits would be read as a number, blanks would be cut off, and
/// the error would show the value.
pub(super) const LITERAL: [&str; 8] = [
    "database.url",
    "server.root_token",
    "server.key",
    "source.secret",
    "source.signing_token",
    "delivery.tls_client_cert_password",
    "delivery.proxy_user",
    "delivery.proxy_password",
];

const SHORTEST_ROOT_TOKEN: usize = 16;

/// The variable of a setting: `QUICKDRAW__SERVER__KEY`.
pub(super) fn variable_of(key: &str) -> String {
    format!("QUICKDRAW__{}", key.replace('.', "__").to_ascii_uppercase())
}

/// Checks the secrets that are set: the administrator's token, and the default source's secret and signing token.
pub(crate) fn check(config: &Config) -> [anyhow::Result<()>; 3] {
    let (token, source) = (&config.server.root_token, &config.source);
    let when_set = |text: &str, check: &dyn Fn() -> anyhow::Result<()>| if text.is_empty() { Ok(()) } else { check() };
    [
        when_set(token, &|| check_root_token("server.root_token", token)),
        when_set(&source.secret, &|| check_carried("source.secret", &source.secret)),
        when_set(&source.signing_token, &|| {
            SigningToken::parse(&source.signing_token).map(drop).context("source.signing_token")
        }),
    ]
}

/// Refuses a secret that no header can carry as it is.
pub(crate) fn check_carried(name: &str, secret: &str) -> anyhow::Result<()> {
    Secret::new(secret).check_header().map_err(|error| anyhow::anyhow!("{name} {error}"))
}

/// Refuses an administrator's token that nobody could show.
pub(crate) fn check_root_token(name: &str, token: &str) -> anyhow::Result<()> {
    check_carried(name, token)?;
    anyhow::ensure!(token.len() >= SHORTEST_ROOT_TOKEN, "{name} is shorter than {SHORTEST_ROOT_TOKEN} characters");
    anyhow::ensure!(token.is_ascii(), "{name} has characters beyond ASCII, which a token in a header cannot have");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_refused(set: impl Fn(&mut Config), words: &str) {
        let mut config = Config::default();
        set(&mut config);
        let error = check(&config).into_iter().find_map(Result::err).expect("it is refused");
        let error = format!("{error:#}");
        assert!(error.contains(words) && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn secrets_that_no_header_can_carry_are_refused_by_name() {
        check_refused(|config| "s3cret\n".clone_into(&mut config.source.secret), "source.secret has a line break");
        check_refused(|config| " s3cret".clone_into(&mut config.source.secret), "source.secret begins or ends");
        check_refused(|config| "s3cret".clone_into(&mut config.source.signing_token), "source.signing_token");
        for (token, words) in [
            ("s3cret-of-an-administrator\n", "server.root_token has a line break"),
            ("s3cret-of-an-administrator ", "server.root_token begins or ends"),
            ("s3cret", "server.root_token is shorter"),
            ("s3cret-of-an-ädministrator", "server.root_token has characters beyond ASCII"),
        ] {
            check_refused(|config| token.clone_into(&mut config.server.root_token), words);
        }
        let mut good = Config::default();
        "a secret with blänks".clone_into(&mut good.source.secret);
        assert!(check(&good).iter().all(Result::is_ok));
    }

    #[test]
    fn every_literal_setting_is_one() {
        let documented: Vec<&str> = crate::config::REFERENCE.iter().map(|(key, ..)| *key).collect();
        for key in LITERAL {
            assert!(documented.contains(&key), "{key}");
        }
        assert_eq!(variable_of("server.root_token"), "QUICKDRAW__SERVER__ROOT_TOKEN");
    }
}
