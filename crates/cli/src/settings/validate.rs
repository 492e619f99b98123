//! Every rule for settings, checked at once. `serve`, `config check` and `doctor` share this list, so that none of them
//! accepts a setting that another one refuses. Nothing here writes, connects or resolves a name.

use std::path::Path;

use quickdraw_domain::settings::Problem;
use quickdraw_egress::{Identity, Trust, authorities};
use quickdraw_engine::settings::DeliverySection;

use super::secrets::NO_KEY;
use super::{Config, secrets};
use crate::private_file;

impl Config {
    /// Every problem of the settings; empty when `serve` accepts them.
    pub(crate) fn validate(&self) -> Vec<Problem> {
        let mut found = self.server.problems();
        found.extend(self.database.problems());
        found.extend(self.source.problems());
        found.extend(self.delivery.problems());
        found.extend(self.guard.problems());
        found.extend(self.oidc.problems());
        found.extend(self.mail.problems());
        found.extend(self.telemetry.problems());
        found.extend(secrets::problems(self));
        found.extend(read_trust(&self.delivery).err().unwrap_or_default());
        found.extend(self.kept_secrets());

        // A setting that could not be read has its default here, so further rules say nothing about it.
        found.retain(|problem| self.unread.iter().all(|unread| unread.setting != problem.setting));

        let mut problems = self.unread.clone();
        problems.extend(found);
        problems
    }

    /// Problems of the secrets that an earlier start generated and that the settings do not replace.
    fn kept_secrets(&self) -> Vec<Problem> {
        let kept = [
            ("server.key", self.server.key.is_empty(), "key"),
            ("server.root_token", self.server.root_token.is_empty(), "root-token"),
            ("source.secret", self.source.secret.is_empty(), "webhook-secret"),
        ];

        let mut problems = Vec::new();

        for (setting, is_kept, name) in kept {
            let file = self.server.data_dir.join(name);
            if is_kept && file.exists() {
                let checked = private_file::read(&file).and_then(|text| secrets::check_kept(setting, &text));
                problems.extend(
                    checked.err().map(|error| {
                        Problem::new(setting, format!("is not set, and its file cannot be used: {error:#}"))
                    }),
                );
            } else if is_kept && setting == "server.key" && self.database.url.is_postgres() {
                problems.push(Problem::new(setting, format!("is not set: {NO_KEY}")));
            }
        }

        problems
    }
}

/// Refuses settings that have problems.
pub(crate) fn ensure_none(problems: &[Problem]) -> anyhow::Result<()> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(refusal(problems))
    }
}

/// The error that names all problems, one a line.
pub(crate) fn refusal(problems: &[Problem]) -> anyhow::Error {
    let mut text = String::from("the configuration is not valid:");
    for problem in problems {
        text.push_str(&format!("\n  {problem}"));
    }

    anyhow::Error::msg(text)
}

/// The certificate authorities and the client certificate for deliveries, from the files that the settings name.
pub(crate) fn read_trust(delivery: &DeliverySection) -> Result<Trust, Vec<Problem>> {
    let (mut trust, mut problems) = (Trust::default(), Vec::new());

    let file = &delivery.tls_ca_file;
    if !file.as_os_str().is_empty() {
        match read_pem("delivery.tls_ca_file", file, authorities) {
            Ok(roots) => trust.roots = roots,
            Err(problem) => problems.push(problem),
        }
    }

    let file = &delivery.tls_client_cert_file;
    if !file.as_os_str().is_empty() {
        let password = delivery.tls_client_cert_password.expose();
        match read_pem("delivery.tls_client_cert_file", file, |pem| {
            Identity::from_pem(pem, password)
        }) {
            Ok(identity) => trust.identity = Some(identity),
            Err(problem) => problems.push(problem),
        }
    }

    if problems.is_empty() { Ok(trust) } else { Err(problems) }
}

fn read_pem<T, E: std::fmt::Display>(
    setting: &str,
    file: &Path,
    parse: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T, Problem> {
    let shown = file.display().to_string();
    let pem = match std::fs::read(file) {
        Ok(pem) => pem,
        Err(error) => return Err(Problem::with_value(setting, shown, format!("cannot be read: {error}"))),
    };
    parse(&pem).map_err(|error| Problem::with_value(setting, shown, error))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{file, settings};
    use crate::commands::config::{ConfigCommand, run};
    use crate::commands::serve;
    use crate::settings::load;

    /// Texts of settings that are refused, each with a part of the reason.
    const REFUSED: [(&str, &str); 27] = [
        (
            "server.listen = 'nonsense'",
            "server.listen \"nonsense\" is not an address with a port",
        ),
        (
            "server.external_url = 'example.com'",
            "server.external_url \"example.com\" is not a base URL",
        ),
        (
            "server.upload_links = 'name'",
            "server.upload_links \"name\" is not a valid value",
        ),
        ("server.root_token = 'short'", "server.root_token is shorter"),
        ("server.key = 'AAAA'", "server.key"),
        (
            "server.trusted_proxies = ['moon']",
            "server.trusted_proxies has \"moon\"",
        ),
        (
            "server.host_names = ['quickdraw.internal:8000']",
            "server.host_names has \"quickdraw.internal:8000\"",
        ),
        (
            "server.portal_origins = ['https://platform.example.com/x']",
            "server.portal_origins has \"https://platform.example.com/x\"",
        ),
        ("database.url = 'mysql://x'", "database.url is not usable"),
        ("database.url = 'postgres://db/quickdraw'", "server.key is not set"),
        ("database.answer_within = '1ms'", "database.answer_within is shorter"),
        ("source.mode = 'maybe'", "source.mode \"maybe\""),
        (
            "source.rate_limit = 'often'",
            "source.rate_limit \"often\" is neither off nor a number",
        ),
        ("source.body_limit = '65MiB'", "source.body_limit"),
        ("source.instance = 'moon'", "source.instance \"moon\""),
        ("delivery.auto_disable = 'never'", "delivery.auto_disable \"never\""),
        (
            "delivery.lease = '5s'",
            "delivery.lease must be at least one second longer",
        ),
        (
            "delivery.proxy = 'http://me:s3cret@proxy:1'",
            "delivery.proxy contains credentials",
        ),
        (
            "delivery.tls_ca_file = 'no-such-file'",
            "delivery.tls_ca_file \"no-such-file\" cannot be read",
        ),
        ("guard.allowlist = ['*']", "guard.allowlist entry"),
        ("mail.tls = 'maybe'", "mail.tls \"maybe\""),
        ("mail.host = 'smtp.example.com'", "mail.from \"\" is not a sender"),
        ("mail.password = 's3cret'", "mail.user must be set together"),
        (
            "oidc.issuer = 'http://id.example.com'\noidc.client_id = 'quickdraw'",
            "oidc.issuer \"http://id.example.com\" is not the URL of a provider",
        ),
        (
            "telemetry.log = 'quickdraw=loud'",
            "telemetry.log \"quickdraw=loud\" is not a log filter",
        ),
        ("telemetry.refs = ['']", "telemetry.refs has an empty pattern"),
        ("telemetry.colour = true", "telemetry.colour is not a setting"),
    ];

    #[test]
    fn the_default_settings_have_no_problem() {
        assert_eq!(settings("").validate(), []);
    }

    #[tokio::test]
    async fn config_check_refuses_what_serve_refuses_in_the_same_words() {
        for (text, part) in REFUSED {
            let (folder, file) = file(text);
            let checked = run(&ConfigCommand::Check, Some(&file)).expect_err(text);
            let served = serve::run(load(Some(&file)).expect("a file that can be read"), |_| ())
                .await
                .expect_err(text);

            let (checked, served) = (format!("{checked:#}"), format!("{served:#}"));
            assert_eq!(checked, served);

            assert!(
                checked.contains(part) && !checked.contains("s3cret"),
                "{part} in {checked}"
            );

            assert_eq!(checked.lines().count(), 2, "one problem: {checked}");
            assert_eq!(
                std::fs::read_dir(folder.path()).expect("a folder").count(),
                1,
                "nothing was written"
            );
        }
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let text: Vec<&str> = REFUSED
            .iter()
            .map(|(text, _)| *text)
            .filter(|text| !text.contains("postgres"))
            .collect();

        let found = settings(&text.join("\n")).validate();
        assert_eq!(found.len(), text.len(), "{found:?}");
    }

    #[test]
    fn a_problem_with_a_value_that_cannot_be_read_is_named_once() {
        let found = settings("delivery = { timeout = '60s', lease = 'soon' }").validate();
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn a_file_of_a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("root-token"), "a-token-of-an-administrator\n").expect("written");

        let config = settings(&format!("server.data_dir = {:?}", folder.path()));
        let found = config.validate();
        assert!(
            matches!(found.as_slice(), [problem] if problem.setting == "server.root_token"),
            "{found:?}"
        );
    }
}
