//! SSH keys of users. Quickdraw stores them for the events about them, and lets nobody in with them.
//!
//! Only the form of a key is checked. Sources: RFC 4253, section 6.6, and the manual of `sshd` for the text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Maximum number of keys of a user.
pub const MAX_KEYS: i64 = 100;

/// Maximum length of the text of a key, in bytes.
pub const MAX_LEN: usize = 8 << 10;

/// The types of keys that GitLab accepts.
const TYPES: [&str; 8] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ssh-dss",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The reason for which a text is not a public SSH key. The text follows the name of the parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SshKeyError {
    /// The text is longer than [`MAX_LEN`].
    #[error("is too long (maximum is {} bytes)", MAX_LEN)]
    TooLong,

    /// The text does not consist of a type, base64 and a comment.
    #[error("must be one line with a type, base64 and an optional comment, such as the content of id_ed25519.pub")]
    Form,

    /// The type is unknown.
    #[error("has an unknown type; the type must be one of {}", TYPES.join(", "))]
    Type,

    /// The base64 does not contain a key of the type.
    #[error("is damaged or incomplete: its base64 is not a key of its type")]
    Damaged,
}

/// A public SSH key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SshKey {
    text: String,

    /// Length of type and base64 in the text.
    public: usize,
    fingerprint: [u8; 32],
}

impl SshKey {
    /// Parses the content of a file such as `id_ed25519.pub`.
    ///
    /// # Errors
    /// If the text is too long, or has another form.
    pub fn parse(text: &str) -> Result<Self, SshKeyError> {
        let text = text.trim();
        if text.len() > MAX_LEN {
            return Err(SshKeyError::TooLong);
        }

        if text.chars().any(char::is_control) {
            return Err(SshKeyError::Form);
        }

        let (kind, rest) = text.split_once(' ').ok_or(SshKeyError::Form)?;
        if !TYPES.contains(&kind) {
            return Err(SshKeyError::Type);
        }

        let rest = rest.trim_start();
        let (encoded, comment) = rest.split_once(' ').unwrap_or((rest, ""));
        let data = STANDARD.decode(encoded).map_err(|_| SshKeyError::Damaged)?;
        if !is_key(&data, kind) {
            return Err(SshKeyError::Damaged);
        }

        let mut text = format!("{kind} {encoded}");
        let public = text.len();
        let comment = comment.trim();
        if !comment.is_empty() {
            text.push(' ');
            text.push_str(comment);
        }

        Ok(Self {
            text,
            public,
            fingerprint: Sha256::digest(&data).into(),
        })
    }

    /// Type, base64 and comment.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Type and base64, without the comment, which is often an e-mail address.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.text[..self.public]
    }

    /// The SHA-256 of the key, as `ssh-keygen -l` shows it. Two texts with the same fingerprint are the same key.
    #[must_use]
    pub const fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }
}

/// Whether data consists of fields with their lengths in front, of which the first one is the type.
fn is_key(mut data: &[u8], kind: &str) -> bool {
    let mut fields = 0;
    while !data.is_empty() {
        let Some((length, rest)) = data.split_first_chunk::<4>() else {
            return false;
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((field, rest)) = rest.split_at_checked(length) else {
            return false;
        };

        if fields == 0 && field != kind.as_bytes() {
            return false;
        }

        fields += 1;
        data = rest;
    }

    fields > 1
}

/// The use of an SSH key. GitLab has the same three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// Access to repositories.
    Auth,

    /// Signatures of commits.
    Signing,

    /// Both.
    AuthAndSigning,
}

impl Usage {
    /// All uses.
    pub const ALL: [Self; 3] = [Self::Auth, Self::Signing, Self::AuthAndSigning];

    /// GitLab's word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Signing => "signing",
            Self::AuthAndSigning => "auth_and_signing",
        }
    }

    /// The use with this word.
    #[must_use]
    pub fn by_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|usage| usage.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn check(text: &str, expected: SshKeyError) {
        assert_eq!(SshKey::parse(text), Err(expected), "{text}");
    }

    #[test]
    fn the_comment_is_no_part_of_the_key() {
        let [plain, named] = [KEY.to_owned(), format!(" {KEY}  jo@rope two \n")].map(|text| SshKey::parse(&text));
        let (plain, named) = (plain.expect("a key"), named.expect("a key"));

        assert_eq!(named.text(), format!("{KEY} jo@rope two"));
        assert_eq!([plain.text(), plain.public(), named.public()], [KEY; 3]);
        assert_eq!(plain.fingerprint(), named.fingerprint());
    }

    #[test]
    fn other_texts_are_refused() {
        check("", SshKeyError::Form);
        check("ssh-ed25519", SshKeyError::Form);
        check("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1", SshKeyError::Form);
        check(&KEY.replace("ssh-ed25519", "ssh-ed448"), SshKeyError::Type);
        check(&KEY.replace("ssh-ed25519", "ssh-rsa"), SshKeyError::Damaged);
        check(&KEY[..KEY.len() - 4], SshKeyError::Damaged);
        check(&format!("{KEY}AAAA"), SshKeyError::Damaged);
        check("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", SshKeyError::Damaged);
        check("ssh-ed25519 not-base64!", SshKeyError::Damaged);
        check(&format!("{KEY} {}", "x".repeat(MAX_LEN)), SshKeyError::TooLong);
    }

    #[test]
    fn each_use_has_a_word() {
        for usage in Usage::ALL {
            assert_eq!(Usage::by_word(usage.word()), Some(usage));
        }
    }
}
