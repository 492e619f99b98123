//! A client certificate: who we say we are to a receiver that asks (mutual TLS).

use sha2::{Digest, Sha256};

use crate::Secret;

/// A certificate with its key, which is not encrypted any more: the store seals it like any secret. Reading it is for
/// whoever makes the connection.
#[derive(Clone)]
pub struct ClientCertificate {
    /// PEM: our certificate, those above it, and its key.
    pub pem: Secret,
    digest: [u8; 32],
}

impl ClientCertificate {
    /// The longest PEM text that is taken, in bytes: a chain of a few certificates and a large key fit in.
    pub const MAX_LEN: usize = 64 << 10;

    /// Keeps a PEM text.
    #[must_use]
    pub fn new(pem: Secret) -> Self {
        let digest = Sha256::digest(pem.expose()).into();
        Self { pem, digest }
    }

    /// What tells it from others. Connections made with one are never used for another.
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }
}
