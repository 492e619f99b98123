//! The sections of the settings that the HTTP server uses: `[server]`, `[source]` and `[limits]`.

mod source;

use std::path::PathBuf;

use quickdraw_domain::compose::UploadLinks;
use quickdraw_domain::settings::{Problem, SecretText};
use quickdraw_domain::source::Addresses;
use url::{Host, Url};

pub use source::{RateLimit, Size, SourceSection};

use crate::{Limits, ListenerLimits};

quickdraw_domain::section! {
    /// The server itself: its address, its data directory and its secrets.
    pub struct ServerSection as "server" {
        /// Address and port to listen on.
        listen: String = "127.0.0.1:8000".to_owned(),

        /// Base URL at which GitLab and users reach this server. It is sent as `X-Gitlab-Instance`. If this is not set,
        /// it is made from `server.listen`, with the loopback address in place of `0.0.0.0` and `[::]`.
        external_url: String = String::new(),

        /// More host names at which browsers may open the pages, such as `["quickdraw.internal"]`. Names have no port.
        /// The name in `server.external_url`, `localhost` and IP addresses need no entry. Links, and the way back from
        /// an OpenID Connect provider, always lead to `server.external_url`.
        host_names: Vec<String> = Vec::new(),

        /// Form of links to uploaded images in composed bodies. `project_path` makes
        /// `<base>/<group>/<project>/uploads/…`. `project_id` makes `<base>/-/project/<id>/uploads/…`, as GitLab 19
        /// does.
        upload_links: UploadLinks = UploadLinks::ProjectPath,

        /// Directory for the SQLite files, and for the key and the tokens that the first start generates.
        data_dir: PathBuf = "quickdraw-data".into(),

        /// Token of the administrator: at least 16 ASCII characters. If this is not set, the first start generates a
        /// token.
        root_token: SecretText = SecretText::default(),

        /// Keys that encrypt secrets in the database: 32 bytes in base64 each, separated by commas. The first key
        /// encrypts, and all keys decrypt. If this is not set, the first start on SQLite generates a key; PostgreSQL
        /// requires one.
        key: SecretText = SecretText::default(),

        /// Maximum number of open connections.
        connections: usize = 10_000,

        /// Maximum number of open connections from one address. A reverse proxy counts as one address.
        connections_per_address: usize = 200,

        /// Require a token of an administrator for `/metrics`, with the scope `metrics`, `read_api` or `api`.
        /// Otherwise, everyone who reaches the server can read the metrics that name no project.
        metrics_token_required: bool = false,

        /// Addresses and address blocks of reverse proxies whose `X-Forwarded-For` header is trusted, such as
        /// `["127.0.0.1"]`.
        trusted_proxies: Vec<String> = Vec::new(),

        /// Origins whose pages may show the pages of a portal link in an iframe, such as
        /// `["https://platform.example.com"]`. Browsers keep the cookie of an iframe only if both servers use HTTPS.
        portal_origins: Vec<String> = Vec::new(),
    }
}

quickdraw_domain::section! {
    /// Limits for users, projects and groups.
    pub struct LimitsSection as "limits" {
        /// Maximum number of webhooks of one project.
        project_hooks: u32 = 100,

        /// Maximum number of webhooks of one group. Webhooks of its subgroups do not count.
        group_hooks: u32 = 50,

        /// Maximum number of tests per minute by one user in one project or group. Resends have a separate limit of the
        /// same size. All users of a project or group together have three times this limit, all users of a top-level
        /// group twelve times, and all users of a node sixty times; these three limits do not apply to administrators.
        /// 0 disables the limits.
        manual_per_minute: usize = 5,

        /// Maximum number of deliveries per minute by the project and group webhooks of one top-level group. Each node
        /// counts separately. Deliveries beyond the limit are skipped. 0 disables the limit.
        deliveries_per_minute: u32 = 0,
    }
}

impl ServerSection {
    /// Every problem of the section. Secrets are checked by the program that generates them.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();

        if !is_listen_address(&self.listen) {
            let text = "is not an address with a port, such as 127.0.0.1:8000, [::]:8000 or localhost:8000";
            problems.push(Problem::with_value("server.listen", &self.listen, text));
        }

        if !is_base_url(&self.external_url) {
            let text = "is not a base URL, such as https://quickdraw.example.com";
            problems.push(Problem::with_value("server.external_url", &self.external_url, text));
        } else if names_all_addresses(&self.external_url) {
            let text =
                "stands for all addresses, which no other machine can call; give the name or address of this one";
            problems.push(Problem::with_value("server.external_url", &self.external_url, text));
        }

        for name in &self.host_names {
            if !is_host_name(name) {
                let text = format!("has {name:?}, which is not a host name, such as quickdraw.example.com");
                problems.push(Problem::new("server.host_names", text));
            }
        }

        problems.extend(self.read_trusted_proxies().err());

        for origin in &self.portal_origins {
            if !is_origin(origin) {
                let text = format!("has {origin:?}, which is not an origin, such as https://platform.example.com");
                problems.push(Problem::new("server.portal_origins", text));
            }
        }

        problems
    }

    /// The reverse proxies whose `X-Forwarded-For` header is trusted.
    ///
    /// # Errors
    /// When an entry is neither an address nor a block.
    pub fn read_trusted_proxies(&self) -> Result<Addresses, Problem> {
        let entries = self.trusted_proxies.iter().map(String::as_str);
        Addresses::parse(entries).map_err(|error| Problem::new("server.trusted_proxies", error))
    }

    /// The bounds of the listener.
    #[must_use]
    pub fn listener_limits(&self) -> ListenerLimits {
        ListenerLimits {
            connections: self.connections,
            per_address: self.connections_per_address,
            ..ListenerLimits::default()
        }
    }
}

impl LimitsSection {
    /// The limits that requests are held to.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            project_hooks: i64::from(self.project_hooks),
            group_hooks: i64::from(self.group_hooks),
            manual_per_minute: self.manual_per_minute,
        }
    }
}

fn is_listen_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    port.parse::<u16>().is_ok() && Host::parse(host).is_ok()
}

/// Checks a host name as browsers send it: without a port, in ASCII. An asterisk would stand for no name.
fn is_host_name(text: &str) -> bool {
    let is_plain = text.is_ascii() && !text.contains('*');
    is_plain && matches!(Host::parse(text), Ok(Host::Domain(name)) if name.eq_ignore_ascii_case(text))
}

/// Checks an origin, which becomes a part of a header: scheme, host and port, without a path.
fn is_origin(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    // A policy would take an asterisk for all names.
    let is_http = matches!(url.scheme(), "http" | "https");
    is_http && !text.contains('*') && url.origin().ascii_serialization() == text
}

fn is_base_url(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_http = matches!(url.scheme(), "http" | "https");
    // The URL is shown everywhere, so it cannot have credentials.
    let is_public = url.username().is_empty() && url.password().is_none();
    is_http && is_public && url.has_host() && url.query().is_none() && url.fragment().is_none()
}

/// Checks whether the host of a URL is `0.0.0.0` or `[::]`.
fn names_all_addresses(text: &str) -> bool {
    match Url::parse(text).ok().as_ref().and_then(Url::host) {
        Some(Host::Ipv4(address)) => address.is_unspecified(),
        Some(Host::Ipv6(address)) => address.is_unspecified(),
        Some(Host::Domain(_)) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_url_names_one_machine() {
        for (url, expected) in [
            ("http://0.0.0.0:8080", true),
            ("http://[::]", true),
            ("http://127.0.0.1:8080", false),
            ("https://quickdraw.example.com", false),
        ] {
            assert_eq!(names_all_addresses(url), expected, "{url}");
        }
    }

    #[test]
    fn an_address_to_listen_on_has_a_host_and_a_port() {
        for good in ["127.0.0.1:8000", "0.0.0.0:0", "[::]:8000", "localhost:80"] {
            assert!(is_listen_address(good), "{good}");
        }

        for wrong in [
            "nonsense",
            "127.0.0.1",
            "127.0.0.1:70000",
            ":8000",
            "::1:8000",
            "a b:80",
            "http://x:80",
        ] {
            assert!(!is_listen_address(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_host_name_has_neither_a_port_nor_a_scheme() {
        for good in ["quickdraw.example.com", "Quickdraw.internal", "quickdraw"] {
            assert!(is_host_name(good), "{good}");
        }

        for wrong in [
            "",
            "a.example:80",
            "https://a.example",
            "*.example.com",
            "a.example/x",
            "10.0.0.1",
            "bücher.example",
        ] {
            assert!(!is_host_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_origin_has_no_path() {
        for good in [
            "https://platform.example.com",
            "http://127.0.0.1:3000",
            "https://a.example:8443",
        ] {
            assert!(is_origin(good), "{good}");
        }

        for wrong in [
            "https://platform.example.com/",
            "https://platform.example.com/a",
            "https://a.example; script-src *",
            "platform.example.com",
            "https://*.example.com",
            "data:text/html,x",
            "*",
        ] {
            assert!(!is_origin(wrong), "{wrong}");
        }
    }

    #[test]
    fn the_default_limits_of_the_listener_are_those_of_the_settings() {
        assert_eq!(ServerSection::default().listener_limits(), ListenerLimits::default());
    }
}
