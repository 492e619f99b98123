//! Every rule for settings, asked at once and without making anything. `config check`, `doctor` and `serve` share this list,
//! so that none of them accepts what another one refuses.

use anyhow::Context;
use quickdraw_domain::source::Addresses;
use tracing_subscriber::EnvFilter;

use crate::config::{Config, secrets};
use crate::{first_start, wiring};

/// All problems of the settings, each in words; empty when `serve` would accept them.
pub(crate) fn problems(config: &Config) -> Vec<String> {
    let source = &config.source;
    let checked = [
        listen(&config.server.listen),
        external_url(&config.server.external_url),
        wiring::upload_links(config).map(drop),
        key(&config.server.key),
        wiring::trusted_proxies(config).map(drop),
        quickdraw_store::check_url(&config.database.url).context("database.url"),
        wiring::mode(&source.mode).map(drop),
        wiring::instance(config).map(drop),
        Addresses::parse(source.addresses.iter().map(String::as_str)).map(drop).context("source.addresses"),
        wiring::per_minute(&source.rate_limit).map(drop),
        config.delivery.retry.policy().map(drop),
        wiring::disable_policy(config).map(drop),
        wiring::while_disabled(config).map(drop),
        wiring::timeout_and_lease(config).map(drop),
        wiring::answer_within(config).map(drop),
        wiring::trust(config).map(drop),
        wiring::proxy(config).map(drop),
        wiring::guard(config).map(drop),
        EnvFilter::try_new(&config.telemetry.log).map(drop).context("telemetry.log"),
        wiring::shown_refs(config).map(drop),
    ];
    let mut problems = Vec::new();
    for result in secrets::check(config).into_iter().chain(checked) {
        if let Err(error) = result {
            problems.push(format!("{error:#}"));
        }
    }
    problems
}

/// Refuses settings that have a problem, and names all of them.
pub(crate) fn ensure_none(config: &Config) -> anyhow::Result<()> {
    let problems = problems(config);
    anyhow::ensure!(problems.is_empty(), "the configuration is not valid: {}", problems.join("; "));
    Ok(())
}

fn listen(text: &str) -> anyhow::Result<()> {
    let example = || {
        format!(
            "server.listen {text:?} is no address with a port, such as 127.0.0.1:8000, [::1]:8000 or localhost:8000"
        )
    };
    let (host, port) = text.rsplit_once(':').with_context(example)?;
    port.parse::<u16>().with_context(example)?;
    url::Host::parse(host).with_context(example)?;
    Ok(())
}

fn external_url(text: &str) -> anyhow::Result<()> {
    let example = || format!("server.external_url {text:?} is no base URL, such as https://quickdraw.example.com");
    let url = url::Url::parse(text).with_context(example)?;
    let is_base = url.has_host() && url.query().is_none() && url.fragment().is_none();
    anyhow::ensure!(is_base && matches!(url.scheme(), "http" | "https"), "{}", example());
    Ok(())
}

fn key(text: &str) -> anyhow::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    first_start::parse_ring(text).map(drop).context("server.key")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings of a file with this text.
    fn settings(text: &str) -> Config {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("quickdraw.toml");
        std::fs::write(&file, text).expect("written");
        crate::config::load(Some(&file)).unwrap_or_else(|error| panic!("{error:#}"))
    }

    #[test]
    fn the_default_settings_have_no_problem() {
        assert_eq!(problems(&settings("")), Vec::<String>::new());
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let text = "
            server = { listen = 'nonsense', root_token = 'short', key = 'AAAA', external_url = 'quickdraw.example.com' }
            database = { url = 'mysql://x' }
            source = { mode = 'maybe', signing_token = 'abc', addresses = ['moon'], rate_limit = 'often' }
            delivery = { timeout = '10s', lease = '5s', auto_disable = 'never', while_disabled = 'wait', retry = 'often' }
            telemetry = { log = 'quickdraw=loud', refs = [''] }
        ";
        let found = problems(&settings(text)).join("\n");
        for part in [
            "server.listen",
            "server.external_url",
            "server.root_token",
            "server.key",
            "database.url",
            "source.mode",
            "source.signing_token",
            "source.addresses",
            "source.rate_limit",
            "delivery.retry",
            "delivery.auto_disable",
            "delivery.while_disabled",
            "delivery.lease",
            "telemetry.log",
            "telemetry.refs",
        ] {
            assert!(found.contains(part), "{part} in {found}");
        }
    }

    #[test]
    fn an_address_to_listen_on_has_a_host_and_a_port() {
        for good in ["127.0.0.1:8000", "0.0.0.0:0", "[::]:8000", "localhost:80"] {
            assert!(listen(good).is_ok(), "{good}");
        }
        for wrong in ["nonsense", "127.0.0.1", "127.0.0.1:70000", ":8000", "::1:8000", "a b:80", "http://x:80"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }
}
