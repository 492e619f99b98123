//! Secrets that a new address of a hook drops.

use std::fmt;

use super::super::{Hook, NamedValues};

/// A secret that was set for the old address of a hook, and that does not follow it to another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dropped {
    /// The secret token.
    Token,

    /// The signing token.
    SigningToken,

    /// The previous signing token, which still signed.
    PreviousSigningToken,

    /// The client certificate.
    ClientCertificate,

    /// The custom header with this name.
    CustomHeader(String),

    /// The URL variable with this name.
    UrlVariable(String),
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token => f.write_str("the secret token"),
            Self::SigningToken => f.write_str("the signing token"),
            Self::PreviousSigningToken => f.write_str("the previous signing token"),
            Self::ClientCertificate => f.write_str("the client certificate"),
            Self::CustomHeader(name) => write!(f, "the custom header {name}"),
            Self::UrlVariable(name) => write!(f, "the URL variable {name}"),
        }
    }
}

impl Hook {
    /// Removes every secret that was set for the address, and returns what was removed.
    pub(super) fn drop_secrets(&mut self) -> Vec<Dropped> {
        let mut dropped = Vec::new();
        dropped.extend(self.token.take().map(|_| Dropped::Token));
        dropped.extend(self.signing_token.take().map(|_| Dropped::SigningToken));

        let previous = self.previous_signing_token.take();
        dropped.extend(previous.map(|_| Dropped::PreviousSigningToken));
        dropped.extend(self.client_certificate.take().map(|_| Dropped::ClientCertificate));

        let headers = std::mem::take(&mut self.custom_headers);
        dropped.extend(headers.iter().map(|(name, _)| Dropped::CustomHeader(name.to_owned())));

        let variables = std::mem::take(&mut self.url_variables);
        dropped.extend(variables.iter().map(|(name, _)| Dropped::UrlVariable(name.to_owned())));

        dropped
    }

    /// Whether a secret is set again after it was dropped.
    pub(super) fn has_again(&self, dropped: &Dropped) -> bool {
        let has = |values: &NamedValues, name: &str| values.get(name).is_some();
        match dropped {
            Dropped::Token => self.token.is_some(),
            Dropped::SigningToken => self.signing_token.is_some(),
            Dropped::PreviousSigningToken => self.previous_signing_token.is_some(),
            Dropped::ClientCertificate => self.client_certificate.is_some(),
            Dropped::CustomHeader(name) => has(&self.custom_headers, name),
            Dropped::UrlVariable(name) => has(&self.url_variables, name),
        }
    }
}
