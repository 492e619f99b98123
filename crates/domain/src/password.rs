//! The rules for passwords of local accounts.
//!
//! Source: NIST SP 800-63B, sections 3.1.1.2 and 3.2.2: a minimum length, no rules about kinds of characters, and no
//! regular change.

use crate::Secret;

/// Least number of characters of a password.
pub const MIN_CHARACTERS: usize = 10;
/// Largest length of a password in bytes. Hashing takes work for each byte.
pub const MAX_BYTES: usize = 128;

/// A password that follows the rules.
#[derive(Clone)]
pub struct Password(Secret);

/// The rule that a password breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PasswordError {
    /// There are too few characters.
    #[error("is too short (minimum is {MIN_CHARACTERS} characters)")]
    TooShort,

    /// There are too many bytes.
    #[error("is too long (maximum is {MAX_BYTES} bytes)")]
    TooLong,

    /// A browser cannot send these characters in a field of one line.
    #[error("must not contain line breaks or other control characters")]
    ControlCharacter,

    /// The password is the name of the account, or one character several times.
    #[error("is too easy to guess: it must not be the username, or one character repeated")]
    Guessable,
}

impl Password {
    /// Checks a new password of the account with this username.
    ///
    /// # Errors
    /// Every reason of [`PasswordError`].
    pub fn parse(text: &str, username: &str) -> Result<Self, PasswordError> {
        if text.len() > MAX_BYTES {
            return Err(PasswordError::TooLong);
        }

        if text.chars().any(char::is_control) {
            return Err(PasswordError::ControlCharacter);
        }

        if text.chars().count() < MIN_CHARACTERS {
            return Err(PasswordError::TooShort);
        }

        let first = text.chars().next();
        let is_repeated = text.chars().all(|character| Some(character) == first);
        if is_repeated || text.to_lowercase() == username.to_lowercase() {
            return Err(PasswordError::Guessable);
        }

        Ok(Self(Secret::new(text)))
    }

    /// The bytes to hash. Reviewers check every call.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<PasswordError>) {
        let found = Password::parse(text, "elisabeth.w").err();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_password_has_ten_characters_and_at_most_128_bytes() {
        check("correct ho", None);
        check("correct h", Some(PasswordError::TooShort));
        check("žltý kôň_1", None);

        let longest = "ab".repeat(64);
        check(&longest, None);
        check(&format!("{longest}c"), Some(PasswordError::TooLong));
        check(&"ž1".repeat(50), Some(PasswordError::TooLong));
    }

    #[test]
    fn a_password_that_everybody_guesses_is_refused() {
        check("Elisabeth.W", Some(PasswordError::Guessable));
        check("aaaaaaaaaaaa", Some(PasswordError::Guessable));
        check("elisabeth.w1", None);
        check("correct\nhorse", Some(PasswordError::ControlCharacter));
    }
}
