//! Mail addresses of people who get notifications.

use std::fmt;

/// Longest address, in bytes (RFC 5321, section 4.5.3.1).
const MAX_LEN: usize = 254;
const MAX_LOCAL: usize = 64;

/// A mail address that a command of SMTP and a header can carry unchanged.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct MailAddress(String);

/// The reason for refusing a mail address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// Not of the form `name@domain`.
    #[error("is not a mail address; write it as name@example.com, without a display name")]
    Form,

    /// A domain with letters beyond ASCII.
    #[error("has letters beyond ASCII, which many mail servers refuse; write the domain as xn--…")]
    NotAscii,
}

impl MailAddress {
    /// Parses an address. Blanks at both ends are removed.
    ///
    /// # Errors
    /// Every reason of [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if !text.is_ascii() {
            return Err(AddressError::NotAscii);
        }

        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::Form)?;
        if text.len() > MAX_LEN || !is_local_part(local) || !is_domain(domain) {
            return Err(AddressError::Form);
        }

        Ok(Self(format!("{local}@{}", domain.to_ascii_lowercase())))
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the last `@`, in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The characters of an atom with dots (RFC 5322, section 3.2.3). Quoted names are not supported.
fn is_local_part(local: &str) -> bool {
    local.len() <= MAX_LOCAL
        && local.split('.').all(|atom| {
            !atom.is_empty()
                && atom
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
        })
}

fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_without_display_names() {
        for (text, expected) in [
            (" ida@Example.COM ", "ida@example.com"),
            ("Ida.K+ops@mail.example.com", "Ida.K+ops@mail.example.com"),
            ("root@localhost", "root@localhost"),
        ] {
            assert_eq!(MailAddress::parse(text).expect(text).as_str(), expected);
        }

        for text in [
            "",
            "ida",
            "@example.com",
            "ida@",
            "ida@.com",
            "ida@-a.com",
            ".ida@example.com",
            "ida..k@example.com",
            "Ida <ida@example.com>",
            "ida@example.com\r\nBcc: eve@example.com",
            "ida@example.com,eve@example.com",
            "\"a b\"@example.com",
        ] {
            assert_eq!(MailAddress::parse(text), Err(AddressError::Form), "{text:?}");
        }

        assert_eq!(MailAddress::parse("ida@exämple.com"), Err(AddressError::NotAscii));
    }

    #[test]
    fn the_domain_is_the_part_after_the_last_sign() {
        let address = MailAddress::parse("ida@Mail.example.com").expect("an address");
        assert_eq!(address.domain(), "mail.example.com");
    }
}
