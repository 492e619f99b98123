//! Building blocks of the settings: how a section is declared and documented, and how a problem with a setting is
//! reported.
//!
//! The sections themselves are in the crates that use them. [`section!`](crate::section) declares a section once: type,
//! default and reference text of each setting stand together, and the text is the doc comment.

mod retry;
mod section;
mod values;

use std::fmt;

pub use retry::{Retry, RetryPreset};
#[doc(hidden)]
pub use section::without_blank;
pub use values::{SecretText, Span};

/// The reference of one section, made by [`section!`](crate::section).
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    /// Name of the section in `quickdraw.toml`.
    pub section: &'static str,

    /// Purpose of the section.
    pub about: &'static str,

    /// Its settings, in the order of their declaration.
    pub settings: &'static [Setting],
}

/// The reference of one setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name within the section.
    pub name: &'static str,

    /// Meaning, from the doc comment. Lines are joined by blanks.
    pub meaning: &'static str,
}

/// A reason why the server does not start with the given settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Name of the setting: `delivery.lease`.
    pub setting: String,

    /// The refused value; `None` for secrets and where the value would not help.
    pub value: Option<String>,

    /// The rest of the sentence that begins with the setting: the defect, and how to correct it.
    pub text: String,
}

impl Problem {
    /// A problem whose value is not shown.
    pub fn new(setting: impl Into<String>, text: impl fmt::Display) -> Self {
        Self {
            setting: setting.into(),
            value: None,
            text: text.to_string(),
        }
    }

    /// A problem with a value that is not secret.
    pub fn with_value(setting: impl Into<String>, value: impl Into<String>, text: impl fmt::Display) -> Self {
        Self {
            setting: setting.into(),
            value: Some(value.into()),
            text: text.to_string(),
        }
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} {value:?} {}", self.setting, self.text),
            None => write!(f, "{} {}", self.setting, self.text),
        }
    }
}
