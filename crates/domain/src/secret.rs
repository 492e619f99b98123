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

impl Secret {
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
