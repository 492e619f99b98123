//! A client certificate: who we say we are to a receiver that asks (mutual TLS).

use sha2::{Digest, Sha256};

use crate::Secret;

/// A certificate with its key, as somebody typed it in. Reading it is for whoever makes the connection.
#[derive(Clone)]
pub struct ClientCertificate {
    /// PEM: our certificate, those above it, and its key.
    pub pem: Secret,
    /// What opens the key, when it is encrypted.
    pub password: Option<Secret>,
    digest: [u8; 32],
}

impl ClientCertificate {
    /// The longest PEM text that is taken, in bytes: a chain of a few certificates and a large key fit in.
    pub const MAX_LEN: usize = 64 << 10;

    /// Keeps what was typed in.
    #[must_use]
    pub fn new(pem: Secret, password: Option<Secret>) -> Self {
        let digest = Sha256::new()
            .chain_update(pem.expose())
            .chain_update([0])
            .chain_update(password.as_ref().map_or("", |password| password.expose()))
            .finalize();
        Self { pem, password, digest: digest.into() }
    }

    /// What tells it from others. Connections made with one are never used for another.
    #[must_use]
    pub const fn digest(&self) -> [u8; 32] {
        self.digest
    }
}
