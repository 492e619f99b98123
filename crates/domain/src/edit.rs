//! Changes of values that can be taken away.

/// A change of an optional value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Edit<T> {
    /// It stays as it is.
    #[default]
    Keep,

    /// It is taken away.
    Clear,

    /// It is replaced, or set for the first time.
    Set(T),
}

impl<T> Edit<T> {
    /// Whether nothing changes.
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The value after the change.
    pub fn apply(self, known: Option<T>) -> Option<T> {
        match self {
            Self::Keep => known,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// The new value, if there is one.
    pub fn value(self) -> Option<T> {
        self.apply(None)
    }

    /// The same change of a reference.
    pub const fn as_ref(&self) -> Edit<&T> {
        match self {
            Self::Keep => Edit::Keep,
            Self::Clear => Edit::Clear,
            Self::Set(value) => Edit::Set(value),
        }
    }

    /// The same change with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Edit<U> {
        match self {
            Self::Keep => Edit::Keep,
            Self::Clear => Edit::Clear,
            Self::Set(value) => Edit::Set(change(value)),
        }
    }

    /// The same change with another value, which may be refused.
    ///
    /// # Errors
    /// The reason for which the new value is refused.
    pub fn try_map<U, E>(self, change: impl FnOnce(T) -> Result<U, E>) -> Result<Edit<U>, E> {
        match self {
            Self::Keep => Ok(Edit::Keep),
            Self::Clear => Ok(Edit::Clear),
            Self::Set(value) => change(value).map(Edit::Set),
        }
    }
}

/// A value that is given replaces the one that is known; no value takes it away.
impl<T> From<Option<T>> for Edit<T> {
    fn from(given: Option<T>) -> Self {
        given.map_or(Self::Clear, Self::Set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_keeps_clears_or_sets_a_value() {
        let known = Some("known");
        assert_eq!(Edit::Keep.apply(known), known);
        assert_eq!(Edit::Clear.apply(known), None);
        assert_eq!(Edit::Set("new").apply(known), Some("new"));
        assert_eq!(Edit::from(Some(1)), Edit::Set(1));
        assert_eq!(Edit::from(None::<u8>), Edit::Clear);
    }
}
