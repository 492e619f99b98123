//! The version of a GitLab, and the credential that it can send.

use std::fmt;

use quickdraw_domain::source::Mode;

/// A version of GitLab, such as 18.2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Version {
    pub(super) major: u32,
    pub(super) minor: u32,
}

/// The first version that signs requests with a signing token.
const SIGNING: Version = Version { major: 19, minor: 0 };

impl Version {
    /// Reads the text of GitLab's API, such as `18.2.1-ee`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(['.', '-', '+']);
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;

        Some(Self { major, minor })
    }

    pub(super) fn signs(self) -> bool {
        self >= SIGNING
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The credential of the requests of a webhook.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Credential {
    /// `X-Gitlab-Token`.
    Token,

    /// A signature with a signing token.
    SigningToken,

    /// A token and a signature.
    Both,
}

impl Credential {
    /// The mode of a new source for a GitLab of this version.
    pub(super) fn mode_for(version: Version) -> Mode {
        if version.signs() { Mode::Signature } else { Mode::Token }
    }

    /// Chooses the credential that a source accepts and that GitLab can send.
    ///
    /// # Errors
    /// A reason for the user if there is no such credential.
    pub(super) fn choose(mode: Mode, version: Version, secret: &str) -> Result<Self, String> {
        let is_signing_token = secret.starts_with("whsec_");
        if matches!(mode, Mode::Signature | Mode::Both) {
            if !version.signs() {
                return Err(format!(
                    "the source requires a signature, and GitLab {version} does not sign: GitLab signs from version \
                     {SIGNING}; change the source to the mode token (quickdraw sources change ID --mode token)"
                ));
            }

            if !is_signing_token {
                return Err(
                    "the source requires a signature, and its secret is not a signing token (whsec_…); replace it \
                     (quickdraw sources secret ID) and run this command again"
                        .to_owned(),
                );
            }
        }

        Ok(match mode {
            Mode::Token => Self::Token,
            Mode::Signature => Self::SigningToken,
            Mode::Both => Self::Both,
            Mode::Any if is_signing_token && version.signs() => Self::SigningToken,
            Mode::Any => Self::Token,
        })
    }

    pub(super) const fn has_token(self) -> bool {
        matches!(self, Self::Token | Self::Both)
    }

    pub(super) const fn has_signing_token(self) -> bool {
        matches!(self, Self::SigningToken | Self::Both)
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "secret token",
            Self::SigningToken => "signing token",
            Self::Both => "secret token and signing token",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Version = Version { major: 18, minor: 11 };
    const NEW: Version = Version { major: 19, minor: 1 };
    const SIGNING_TOKEN: &str = "whsec_c2lnbmluZy1rZXktb2YtdGhpcnR5LXR3by1ieXRlcyE=";

    #[test]
    fn versions_are_read_from_the_texts_of_gitlab() {
        let check = |text: &str, expected: Option<(u32, u32)>| {
            let found = Version::parse(text).map(|version| (version.major, version.minor));
            assert_eq!(found, expected, "{text}");
        };

        check("18.2.1-ee", Some((18, 2)));
        check("19.0.0-pre", Some((19, 0)));
        check("17.11", Some((17, 11)));
        check("17", None);
        check("", None);
        check("unknown", None);
    }

    #[test]
    fn gitlab_signs_from_version_19_on() {
        assert_eq!(Credential::mode_for(OLD), Mode::Token);
        assert_eq!(Credential::mode_for(NEW), Mode::Signature);
        assert_eq!(Credential::mode_for(SIGNING), Mode::Signature);
    }

    #[test]
    fn the_credential_is_one_that_the_source_accepts_and_gitlab_sends() {
        let check = |mode, version, secret: &str, expected: Option<Credential>| {
            assert_eq!(
                Credential::choose(mode, version, secret).ok(),
                expected,
                "{mode:?} {version} {secret}"
            );
        };

        check(Mode::Token, NEW, "plain-secret", Some(Credential::Token));
        check(Mode::Token, NEW, SIGNING_TOKEN, Some(Credential::Token));
        check(Mode::Signature, NEW, SIGNING_TOKEN, Some(Credential::SigningToken));
        check(Mode::Signature, OLD, SIGNING_TOKEN, None);
        check(Mode::Signature, NEW, "plain-secret", None);
        check(Mode::Both, NEW, SIGNING_TOKEN, Some(Credential::Both));
        check(Mode::Both, NEW, "plain-secret", None);
        check(Mode::Any, NEW, SIGNING_TOKEN, Some(Credential::SigningToken));
        check(Mode::Any, OLD, SIGNING_TOKEN, Some(Credential::Token));
        check(Mode::Any, NEW, "plain-secret", Some(Credential::Token));
    }
}
