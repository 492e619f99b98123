//! Named secret values: custom headers of a hook, and variables of its URL. Both follow the same rules.

use super::url::is_variable_name;
use crate::Secret;

/// The maximum number of values of one kind on one hook.
pub const MAX_VALUES: usize = 20;
/// Longest value, in characters.
pub const MAX_VALUE_LEN: usize = 2048;
/// Longest name. GitLab also has a limit, but does not document it.
pub const MAX_NAME_LEN: usize = 255;

/// The reason for refusing a named value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ValueError {
    /// The name does not match GitLab's pattern.
    #[error("a name must be letters, then digits, then groups of '.', '_' or '-' and letters or digits")]
    Name,

    /// Empty, or longer than [`MAX_VALUE_LEN`].
    #[error("a value must have 1 to {MAX_VALUE_LEN} characters")]
    Length,

    /// A control character would end a header or a request line.
    #[error("a value must not contain control characters")]
    ControlCharacter,

    /// More than [`MAX_VALUES`].
    #[error("there are more than {MAX_VALUES}")]
    TooMany,

    /// A name without a value, under which no value is stored.
    #[error("a name has no value")]
    Missing,

    /// Two values under one name in one request.
    #[error("a name is given twice")]
    Twice,

    /// A header's value that would not arrive unchanged.
    #[error("a value must not begin or end with a blank, which HTTP removes")]
    Blank,
}

/// Values by name, in the order in which they were added. It has no `Debug` because the values are secrets.
#[derive(Clone, Default)]
pub struct NamedValues(Vec<(String, Secret)>);

impl NamedValues {
    /// Adds a value, or replaces the value with this name.
    ///
    /// # Errors
    /// Every reason of [`ValueError`] except `Missing`.
    pub fn set(&mut self, name: &str, value: Secret) -> Result<(), ValueError> {
        if !is_variable_name(name) || name.len() > MAX_NAME_LEN {
            return Err(ValueError::Name);
        }

        if value.expose().is_empty() || value.expose().chars().count() > MAX_VALUE_LEN {
            return Err(ValueError::Length);
        }

        if value.expose().chars().any(char::is_control) {
            return Err(ValueError::ControlCharacter);
        }

        if let Some((_, known)) = self.0.iter_mut().find(|(known, _)| known == name) {
            *known = value;
        } else if self.0.len() == MAX_VALUES {
            return Err(ValueError::TooMany);
        } else {
            self.0.push((name.to_owned(), value));
        }

        Ok(())
    }

    /// Removes a value. Returns false if there was none.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| known != name);
        self.0.len() < before
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there are no values.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_by_name_and_bounded() {
        let mut values = NamedValues::default();
        for number in 0..MAX_VALUES {
            assert_eq!(values.set(&format!("k{number}"), Secret::new("v")), Ok(()));
        }

        assert_eq!(values.set("more", Secret::new("v")), Err(ValueError::TooMany));
        assert_eq!(values.set("k3", Secret::new("w")), Ok(()));
        assert_eq!(values.get("k3").map(Secret::expose), Some("w"));
        assert_eq!(values.set("k3", Secret::new("")), Err(ValueError::Length));

        assert_eq!(
            values.set("k3", Secret::new("a\r\nb")),
            Err(ValueError::ControlCharacter)
        );

        assert_eq!(values.set("X2Y", Secret::new("v")), Err(ValueError::Name));
        assert!(values.remove("k3") && !values.remove("k3"));
    }
}
