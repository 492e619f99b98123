//! Additional certificate authorities and client certificates, read from PEM files.

use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::ScryptParams;
use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

/// Trust in addition to the system's authorities. The default adds nothing and has no client certificate.
#[derive(Default)]
pub struct Trust {
    /// Authorities of receivers, in addition to the system's.
    pub roots: Vec<CertificateDer<'static>>,

    /// The client certificate for receivers that ask for one.
    pub identity: Option<Identity>,
}

/// A client certificate, its intermediate certificates and its key. There is no `Debug`, because of the key.
pub struct Identity {
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// A client certificate for one call, instead of the default one.
pub struct Presented<'a> {
    /// Digest that identifies the certificate.
    pub digest: [u8; 32],

    /// The certificates and the key, which is not encrypted: see [`opened`].
    pub pem: &'a str,
}

/// The reason for which a PEM text cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PemError {
    /// The text has no block between BEGIN CERTIFICATE and END CERTIFICATE.
    #[error("has no certificate in it")]
    NoCertificate,

    /// The text has no key in a supported form.
    #[error("has no private key in it; put it into the same file, as PKCS#8 (openssl pkcs8 -topk8)")]
    NoKey,

    /// The key is in OpenSSL's old form, whose encryption is broken.
    #[error("has a key in OpenSSL's old encrypted form; convert it (openssl pkcs8 -topk8 -v2 aes-256-cbc)")]
    OldEncryption,

    /// The key is encrypted, and no password was given.
    #[error("has an encrypted key, and no password is set")]
    NoPassword,

    /// The password is wrong, or the encryption is not supported.
    #[error("has a key that this password does not decrypt")]
    WrongPassword,

    /// Decrypting the key would take seconds of work or a lot of memory.
    #[error("has a key that is too costly to decrypt; convert it (openssl pkcs8 -topk8 -v2 aes-256-cbc)")]
    TooCostly,

    /// The key does not belong to the certificate.
    #[error(
        "has a key that does not belong to the certificate; put the certificate before its intermediate certificates"
    )]
    NotAPair,

    /// The text is damaged.
    #[error("is damaged: {0}")]
    Damaged(String),
}

/// Reads the certificates of a PEM text.
///
/// # Errors
/// When the text has no certificates, or they are damaged.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| PemError::Damaged(error.to_string()))?;

    if found.is_empty() {
        Err(PemError::NoCertificate)
    } else {
        Ok(found)
    }
}

/// The certificate authorities of a PEM text.
///
/// # Errors
/// When the system has no authorities, or TLS cannot use them.
pub fn authorities(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let found = certificates(pem)?;
    let mut roots = RootCertStore::empty();

    for certificate in &found {
        roots
            .add(certificate.clone())
            .map_err(|error| PemError::Damaged(error.to_string()))?;
    }

    Ok(found)
}

impl Identity {
    /// Reads certificates and their key from a PEM text. The key may be encrypted with `password` (PKCS#8 with PBES2).
    ///
    /// # Errors
    /// All reasons of [`PemError`].
    pub fn from_pem(pem: &[u8], password: &str) -> Result<Self, PemError> {
        // The key is read first: the search for certificates fails on OpenSSL's old form of keys.
        let key = key(pem, password)?;
        let certificates = certificates(pem)?;

        match CertifiedKey::from_der(certificates.clone(), key.clone_key(), &ring::default_provider()) {
            Ok(_) => Ok(Self { certificates, key }),
            Err(rustls::Error::InconsistentKeys(_)) => Err(PemError::NotAPair),
            Err(error) => Err(PemError::Damaged(error.to_string())),
        }
    }
}

/// Decrypts the key of a PEM text, if it is encrypted, and returns the text with the plain key. This takes up to a
/// second and 32 MiB of memory.
///
/// # Errors
/// All reasons of [`PemError`], among them that key and certificate do not belong together.
pub fn opened(pem: &str, password: &str) -> Result<String, PemError> {
    let opened = match encrypted_block(pem) {
        Some(block) => {
            let key = decrypt(block, password)?.to_pem("PRIVATE KEY", pkcs8::LineEnding::LF);
            let key = key.map_err(|error| PemError::Damaged(error.to_string()))?;
            pem.replace(block, key.trim_end())
        }
        None => pem.to_owned(),
    };
    Identity::from_pem(opened.as_bytes(), "")?;
    Ok(opened)
}

/// Maximum number of iterations, bytes of memory and passes for decrypting a key. Common tools ask for far less. The
/// work takes less than a second.
const MAX_ITERATIONS: u32 = 600_000;
const MAX_MEMORY: u64 = 32 << 20;
const MAX_PASSES: u16 = 4;

fn is_costly(scheme: &EncryptionScheme) -> bool {
    let Some(parameters) = scheme.pbes2() else { return true };
    if let Some(kdf) = parameters.kdf.pbkdf2() {
        return kdf.iteration_count > MAX_ITERATIONS;
    }

    let fits = |kdf: &ScryptParams| {
        let memory = kdf.cost_parameter.saturating_mul(u64::from(kdf.block_size) * 128);
        // The library accepts any cost, but fails on one that is not a power of two.
        kdf.cost_parameter.is_power_of_two() && memory <= MAX_MEMORY && kdf.parallelization <= MAX_PASSES
    };
    !parameters.kdf.scrypt().is_some_and(fits)
}

fn encrypted_block(text: &str) -> Option<&str> {
    const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";

    let start = text.find(BEGIN)?;
    Some(&text[start..start + text[start..].find(END)? + END.len()])
}

fn decrypt(block: &str, password: &str) -> Result<SecretDocument, PemError> {
    if password.is_empty() {
        return Err(PemError::NoPassword);
    }

    let damaged = |error: String| PemError::Damaged(error);
    let (_, sealed) = SecretDocument::from_pem(block).map_err(|error| damaged(error.to_string()))?;
    let sealed = EncryptedPrivateKeyInfoRef::try_from(sealed.as_bytes()).map_err(|error| damaged(error.to_string()))?;
    if is_costly(&sealed.encryption_algorithm) {
        return Err(PemError::TooCostly);
    }

    sealed.decrypt(password).map_err(|_| PemError::WrongPassword)
}

fn key(pem: &[u8], password: &str) -> Result<PrivateKeyDer<'static>, PemError> {
    let text = String::from_utf8_lossy(pem);
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(PemError::OldEncryption);
    }

    match encrypted_block(&text) {
        Some(block) => Ok(PrivatePkcs8KeyDer::from(decrypt(block, password)?.as_bytes().to_vec()).into()),
        None => PrivateKeyDer::from_pem_slice(pem).map_err(|_| PemError::NoKey),
    }
}
