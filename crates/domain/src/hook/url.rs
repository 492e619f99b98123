//! The URL of a hook: checked as text, parsed once, and then used only in its parsed form.
//!
//! Differences between parsers are the oldest way around an address guard. So the URL that is checked, stored, shown
//! and called always comes from the one [`url::Url`] inside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::{Host, Url};

use super::values::NamedValues;
use crate::Secret;

/// Longest URL that is accepted, in characters.
pub const MAX_LEN: usize = 2048;

/// The reason for refusing a hook's URL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UrlError {
    /// The text is empty.
    #[error("is empty")]
    Empty,

    /// Longer than [`MAX_LEN`].
    #[error("is longer than {MAX_LEN} characters")]
    TooLong,

    /// A control character anywhere, or a blank inside. Lenient parsers remove them silently.
    #[error("has a blank or control character in it; percent-encode it")]
    ControlCharacter,

    /// A backslash before the query. Some parsers read it as a slash, others as user info.
    #[error("has a backslash in it")]
    Backslash,

    /// Neither `http` nor `https`, or no host.
    #[error("must begin with http:// or https:// and a host")]
    Scheme,

    /// The parser refuses it.
    #[error("is not a valid URL")]
    Syntax,

    /// A host name with an empty or too long label, a host name that is too long, or one that begins with a character
    /// other than a letter, digit or bracket.
    #[error("has a host name that cannot exist")]
    Host,

    /// Port 0.
    #[error("has port 0")]
    PortZero,

    /// The user info is the mask under which it is shown. Stored, it would be sent.
    #[error("has the mask ***** in place of its credentials; send the credentials, or the URL exactly as it was shown")]
    Mask,

    /// A `{name}` without a variable.
    #[error("uses a variable that is not defined")]
    MissingVariable,
}

/// A well-formed `http` or `https` URL. [`crate::guard`] decides whether its address may be called.
#[derive(Clone, PartialEq, Eq)]
pub struct HookUrl {
    text: String,
    url: Url,
}

impl HookUrl {
    /// Parses a URL as a user typed it. Blanks at both ends are removed.
    ///
    /// # Errors
    /// Every reason of [`UrlError`] except the missing variable.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        Self::parse_filled(text, text)
    }

    /// Parses a URL as a user typed it, with the values of its variables. The result is checked and called; the typed
    /// text is shown.
    ///
    /// # Errors
    /// Every reason of [`UrlError`]. Text in braces that is not a variable's name is not changed, as in GitLab.
    pub fn parse_with(text: &str, variables: &NamedValues) -> Result<Self, UrlError> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        check_text(text)?;

        let filled = fill(text, |name| variables.get(name).map(Secret::expose))?;
        Self::parse_filled(text, &filled)
    }

    fn parse_filled(text: &str, filled: &str) -> Result<Self, UrlError> {
        check_text(filled)?;

        let url = Url::parse(filled).map_err(|_| UrlError::Syntax)?;
        check_host(&url)?;

        if !url.username().is_empty() && url.username().chars().all(|c| c == '*') {
            return Err(UrlError::Mask);
        }

        if url.port() == Some(0) {
            return Err(UrlError::PortZero);
        }

        Ok(Self {
            text: text.to_owned(),
            url,
        })
    }

    /// The URL as the user typed it, including user info, for storing (sealed) and for showing it to its owner.
    #[must_use]
    pub fn as_typed(&self) -> &str {
        &self.text
    }

    /// The URL with its user info masked, for the REST API and history.
    #[must_use]
    pub fn masked(&self) -> String {
        // Taken from the text, because the parsed URL contains the values of variables.
        let Some((scheme, rest)) = self.text.split_once("://") else {
            return self.text.clone();
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let Some(at) = rest[..end].rfind('@') else {
            return self.text.clone();
        };

        let mask = if rest[..at].contains(':') {
            "*****:*****"
        } else {
            "*****"
        };
        format!("{scheme}://{mask}{}", &rest[at..])
    }

    /// Whether both call the same URL with the same credentials.
    #[must_use]
    pub fn calls_same(&self, other: &Self) -> bool {
        self.url == other.url
    }

    /// Whether the URL uses TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The host: a name in its ASCII form, or an address.
    #[must_use]
    pub fn host(&self) -> Host<&str> {
        self.url.host().expect("HookUrl::parse refuses URLs without a host")
    }

    /// The port, or the scheme's default port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url
            .port_or_known_default()
            .expect("http and https have default ports")
    }

    /// Value of the `Host` header: the name or address, with the port unless it is the scheme's default.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Path and query of the request line. The fragment is never sent.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        }
    }

    /// The parts of the URL that are never shown: its user info, as typed and decoded, and a host with variables.
    #[must_use]
    pub fn secret_parts(&self) -> Vec<Secret> {
        let mut parts = Vec::new();
        for part in [self.url.username(), self.url.password().unwrap_or_default()] {
            parts.push(Secret::new(part));
        }

        if let Some(authorization) = self.basic_authorization() {
            let encoded = authorization.expose().trim_start_matches("Basic ");
            parts.push(Secret::new(encoded));

            let pair = STANDARD.decode(encoded).unwrap_or_default();
            parts.push(Secret::new(String::from_utf8_lossy(&pair)));
        }

        if self.has_variable_in_host() {
            parts.push(Secret::new(
                self.url.host_str().unwrap_or_default().trim_matches(['[', ']']),
            ));
        }

        parts
    }

    fn has_variable_in_host(&self) -> bool {
        let Some((_, rest)) = self.text.split_once("://") else {
            return false;
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host_and_port = rest[..end].rsplit('@').next().unwrap_or_default();
        host_and_port.split(':').next().unwrap_or_default().contains('{')
    }

    /// Value of the `Authorization` header for the user info. Each part is percent-decoded, and a plus is a blank, as
    /// in GitLab's form decoding. The password may be empty.
    #[must_use]
    pub fn basic_authorization(&self) -> Option<Secret> {
        if self.url.username().is_empty() && self.url.password().is_none() {
            return None;
        }

        let decode = |part: &str| {
            // Separators are escaped first, so that nothing in the user info can act as one.
            let escaped = part.replace('&', "%26").replace('=', "%3D");
            url::form_urlencoded::parse(escaped.as_bytes())
                .next()
                .map(|(key, _)| key.into_owned())
                .unwrap_or_default()
        };

        let pair = format!(
            "{}:{}",
            decode(self.url.username()),
            decode(self.url.password().unwrap_or_default())
        );
        Some(Secret::new(format!("Basic {}", STANDARD.encode(pair))))
    }
}

/// Replaces each `{name}` by its value, literally: values must already be encoded. Text in braces that is not a
/// variable's name is not changed, as in GitLab.
///
/// # Errors
/// [`UrlError::MissingVariable`] when a name has no value.
pub fn fill<'a>(template: &str, value_of: impl Fn(&str) -> Option<&'a str>) -> Result<String, UrlError> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;

    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        rest = &rest[open..];

        let name = rest[1..]
            .split_once('}')
            .map(|(name, _)| name)
            .filter(|name| is_variable_name(name));

        if let Some(name) = name {
            filled.push_str(value_of(name).ok_or(UrlError::MissingVariable)?);
            rest = &rest[name.len() + 2..];
        } else {
            filled.push('{');
            rest = &rest[1..];
        }
    }

    filled.push_str(rest);
    Ok(filled)
}

/// `[A-Za-z]+[0-9]*(?:[._-][A-Za-z0-9]+)*`, GitLab's pattern for variables and custom headers.
#[must_use]
pub fn is_variable_name(name: &str) -> bool {
    let mut groups = name.split(['.', '_', '-']);
    let first = groups.next().unwrap_or_default();
    let letters = first.trim_end_matches(|c: char| c.is_ascii_digit());
    !letters.is_empty()
        && letters.bytes().all(|b| b.is_ascii_alphabetic())
        && groups.all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Checks the raw text before any parser interprets it.
fn check_text(text: &str) -> Result<(), UrlError> {
    if text.is_empty() {
        return Err(UrlError::Empty);
    }

    if text.chars().count() > MAX_LEN {
        return Err(UrlError::TooLong);
    }

    if text.chars().any(|c| c.is_ascii_control() || c == ' ') {
        return Err(UrlError::ControlCharacter);
    }

    if text
        .split(['?', '#'])
        .next()
        .is_some_and(|before| before.contains('\\'))
    {
        return Err(UrlError::Backslash);
    }

    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let after = if lower.starts_with("https://") {
        &text[8..]
    } else if lower.starts_with("http://") {
        &text[7..]
    } else {
        return Err(UrlError::Scheme);
    };

    if after.is_empty() || after.starts_with(['/', '?', '#']) {
        Err(UrlError::Scheme)
    } else {
        Ok(())
    }
}

fn check_host(url: &Url) -> Result<(), UrlError> {
    let Some(host) = url.host() else {
        return Err(UrlError::Host);
    };
    let Host::Domain(name) = host else { return Ok(()) };
    let name = name.strip_suffix('.').unwrap_or(name);
    let label_fits = |label: &str| !label.is_empty() && label.len() <= 63 && label != "xn--";

    let fits = name.len() <= 253
        && !name.contains('%')
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.split('.').all(label_fits);
    if fits { Ok(()) } else { Err(UrlError::Host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> HookUrl {
        HookUrl::parse(text).unwrap_or_else(|error| panic!("{text} {error}"))
    }

    #[test]
    fn the_parts_are_those_of_the_request() {
        let url = parse(" https://Hooks.Example.com:8443/a%20b?x={y}#frag ");
        assert_eq!(url.authority(), "hooks.example.com:8443");
        assert_eq!(url.path_and_query(), "/a%20b?x={y}");
        assert_eq!((url.port(), url.is_https()), (8443, true));
        assert_eq!(parse("http://example.com").path_and_query(), "/");
        assert_eq!(parse("https://example.com:443/").authority(), "example.com");
    }

    #[test]
    fn user_info_becomes_basic_authorization_and_is_masked() {
        let url = parse("https://us%40er:p%3Aa+ss@example.com/hook");
        let header = url.basic_authorization().expect("there is user info");
        assert_eq!(header.expose(), format!("Basic {}", STANDARD.encode("us@er:p:a ss")));
        assert_eq!(url.masked(), "https://*****:*****@example.com/hook");
        assert_eq!(url.authority(), "example.com");

        let bare = parse("https://user@example.com/")
            .basic_authorization()
            .expect("there is a name");
        assert_eq!(bare.expose(), format!("Basic {}", STANDARD.encode("user:")));
        assert!(parse("https://example.com/").basic_authorization().is_none());
    }

    #[test]
    fn variables_are_replaced_literally() {
        let value_of = |name: &str| match name {
            "path" => Some("a/b"),
            "MY_TOKEN" => Some("{path}"),
            _ => None,
        };
        assert_eq!(
            fill("https://h/{path}?k={MY_TOKEN}", value_of).as_deref(),
            Ok("https://h/a/b?k={path}")
        );

        assert_eq!(
            fill("https://h/{1x}/{}/{a b}", value_of).as_deref(),
            Ok("https://h/{1x}/{}/{a b}")
        );

        assert_eq!(fill("https://h/{other}", value_of), Err(UrlError::MissingVariable));
    }

    #[test]
    fn variable_names_follow_gitlabs_pattern() {
        for good in ["a", "A1", "x-y", "X-Api.Key2", "a.2b"] {
            assert!(is_variable_name(good), "{good}");
        }

        for bad in ["", "1a", "_a", "a_", "a__b", "X2Y", "a b", "a-\r\n"] {
            assert!(!is_variable_name(bad), "{bad}");
        }
    }
}
