//! The section `[oidc]` of the settings.

use quickdraw_domain::settings::{Problem, SecretText};
use url::{Host, Url};

quickdraw_domain::section! {
    /// Sign-in at an OpenID Connect provider, such as GitLab or Keycloak.
    pub struct OidcSection as "oidc" {
        /// URL of the provider, such as `https://gitlab.example.com`. The provider describes itself at
        /// `/.well-known/openid-configuration` below it. If this is not set, people sign in with a password or an
        /// access token only. Register `/-/sign_in/oidc/callback` below `server.external_url` as redirect URI at the
        /// provider.
        issuer: String = String::new(),

        /// Id of this server at the provider.
        client_id: String = String::new(),

        /// Secret of this server at the provider. It can be empty for a public client.
        client_secret: SecretText = SecretText::default(),

        /// Name of the provider on the sign-in page, after "Sign in with".
        name: String = "OpenID Connect".to_owned(),

        /// Scopes that are requested in addition to `openid`.
        scopes: Vec<String> = vec!["profile".to_owned(), "email".to_owned()],

        /// Claim that lists the groups of a user.
        groups_claim: String = "groups".to_owned(),

        /// Groups whose members may sign in. If this is empty, every user with an account at the provider may.
        allowed_groups: Vec<String> = Vec::new(),

        /// Groups whose members are administrators. If this is not empty, each sign-in makes the user an administrator
        /// or takes the role away. User 1, to whom the root token belongs, always stays an administrator.
        admin_groups: Vec<String> = Vec::new(),

        /// Let an existing user with the same e-mail address use the account at the provider, if the provider has
        /// verified the address. Set it only for a provider at which nobody can get the address of another person.
        link_by_email: bool = false,

        /// Create a user at the first sign-in. Otherwise only people who have a user already can sign in.
        create_users: bool = true,
    }
}

impl OidcSection {
    /// True if people can sign in at a provider.
    #[must_use]
    pub const fn is_enabled(&self) -> bool {
        !self.issuer.is_empty()
    }

    /// Every problem of the section.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !self.is_enabled() {
            return problems;
        }

        if !is_issuer(&self.issuer) {
            let text = "is not the URL of a provider, such as https://gitlab.example.com; http is accepted for a provider \
                        on this machine only";
            problems.push(Problem::with_value("oidc.issuer", &self.issuer, text));
        }

        if self.client_id.is_empty() {
            let text = "is not set; register this server at the provider, which gives it an id";
            problems.push(Problem::new("oidc.client_id", text));
        }

        problems
    }
}

/// Checks an issuer. Its token would cross the network unprotected with `http`.
fn is_issuer(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_local = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return false,
    };

    let is_protected = url.scheme() == "https" || url.scheme() == "http" && is_local;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    is_protected && is_plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(issuer: &str, client_id: &str, settings: &[&str]) {
        let section = OidcSection {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            ..OidcSection::default()
        };
        let found: Vec<String> = section.problems().into_iter().map(|problem| problem.setting).collect();
        assert_eq!(found, settings, "{issuer}");
    }

    #[test]
    fn a_provider_has_an_https_url_and_an_id_for_this_server() {
        check("", "", &[]);
        check("https://gitlab.example.com", "quickdraw", &[]);
        check("https://id.example.com/realms/team", "quickdraw", &[]);
        check("http://127.0.0.1:3000", "quickdraw", &[]);
        check("http://localhost:3000", "quickdraw", &[]);

        check("https://gitlab.example.com", "", &["oidc.client_id"]);
        check("http://gitlab.example.com", "quickdraw", &["oidc.issuer"]);
        check("gitlab.example.com", "quickdraw", &["oidc.issuer"]);
        check("https://gitlab.example.com?a=b", "quickdraw", &["oidc.issuer"]);
    }
}
