//! Text that must not be printed, compared with `==` or serialised.

use zeroize::Zeroize;

/// A secret value, wiped from memory when dropped.
///
/// Invariant: there is no `Debug`, `Display`, `Serialize` or `PartialEq`. A secret reaches a log line, an answer or a
/// comparison only through a visible call of [`Secret::expose`].
///
/// ```compile_fail
/// let a = quickdraw_domain::Secret::new("a");
/// let _ = a == quickdraw_domain::Secret::new("b");
/// ```
#[derive(Clone)]
pub struct Secret(String);

/// The reason for which a header cannot carry a secret unchanged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// A line break would end the header. Other control characters are not allowed in headers.
    #[error("contains a line break or another control character, which a header cannot carry")]
    ControlCharacter,

    /// HTTP removes blanks at the ends of a value.
    #[error("begins or ends with a blank, which HTTP removes")]
    Blank,
}

impl Secret {
    /// Checks that a header can carry the secret unchanged.
    ///
    /// # Errors
    /// Every reason of [`HeaderError`].
    pub fn check_header(&self) -> Result<(), HeaderError> {
        if self.0.chars().any(char::is_control) {
            return Err(HeaderError::ControlCharacter);
        }

        if self.0.starts_with(' ') || self.0.ends_with(' ') {
            return Err(HeaderError::Blank);
        }

        Ok(())
    }

    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. Reviewers check every call.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
