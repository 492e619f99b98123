//! Text that must not be printed, compared with `==` or serialised.

use zeroize::Zeroize;

/// A secret value, wiped from memory when dropped.
///
/// Invariant, above all in what is absent: no `Debug`, no `Display`, no `Serialize`, no `PartialEq`. A secret reaches a
/// log line, an answer or a comparison only where somebody wrote [`Secret::expose`].
///
/// ```compile_fail
/// let a = quickdraw_domain::Secret::new("a");
/// let _ = a == quickdraw_domain::Secret::new("b");
/// ```
#[derive(Clone)]
pub struct Secret(String);

/// Why no header can carry a secret as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// A line break ends the header; other control characters are not allowed in one.
    #[error("has a line break or another control character in it, which no header can carry")]
    ControlCharacter,
    /// HTTP does not count blanks at the ends as part of the value.
    #[error("begins or ends with a blank, which HTTP cuts off")]
    Blank,
}

impl Secret {
    /// Whether a header that carries the secret arrives with the same value.
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

    /// Takes possession of a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. Every call is a place to look at in a review.
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
