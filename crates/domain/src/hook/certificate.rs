//! Client certificates, with which Quickdraw identifies itself to a receiver that requires one (mutual TLS).

use sha2::{Digest, Sha256};

use crate::Secret;

/// A certificate with its key, which is not encrypted: the store seals it like any secret. The HTTP client parses it.
#[derive(Clone)]
pub struct ClientCertificate {
    /// PEM text: our certificate, the certificates above it, and the key.
    pub pem: Secret,
    digest: [u8; 32],
}

impl ClientCertificate {
    /// The longest accepted PEM text, in bytes: enough for a chain of a few certificates and a large key.
    pub const MAX_LEN: usize = 64 << 10;

    /// Wraps a PEM text.
    #[must_use]
    pub fn new(pem: Secret) -> Self {
        let digest = Sha256::digest(pem.expose()).into();
        Self { pem, digest }
    }

    /// The digest that identifies the certificate. A connection that was opened with one certificate is never used for
    /// another.
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }
}
