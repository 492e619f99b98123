//! TLS to receivers: the system's certificate authorities, TLS 1.2 and later. As in GitLab, a hook can turn the
//! verification off. A hook can also have a client certificate of its own.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::trust::{Identity, PemError, Presented, Trust};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The TLS configurations of the client.
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    usual: Configs,

    /// Configurations for hooks with their own certificate, by its digest.
    own: Mutex<HashMap<[u8; 32], Configs>>,
}

/// Maximum number of configurations in `own`. When it is reached, all are dropped and built again on demand.
const MAX_OWN_CONFIGS: usize = 256;

/// The configurations with and without verification. The pool never uses a connection of one for the other, because its
/// key contains `verify_tls`.
#[derive(Clone)]
pub(crate) struct Configs {
    pub(crate) checked: Arc<ClientConfig>,
    pub(crate) unchecked: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(trust: Trust) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);

        if roots.is_empty() {
            // A container may have no certificates. The authorities that browsers trust are used then.
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }

        for root in trust.roots {
            roots.add(root)?;
        }

        let roots = Arc::new(roots);
        let usual = Configs::new(&provider, &roots, trust.identity)?;

        Ok(Self {
            provider,
            roots,
            usual,
            own: Mutex::default(),
        })
    }

    /// The configurations for a hook, with its own certificate or the default one.
    pub(crate) fn configs(&self, own: Option<&Presented<'_>>) -> Result<Configs, PemError> {
        let Some(own) = own else { return Ok(self.usual.clone()) };
        let mut known = self.own.lock();
        if let Some(known) = known.get(&own.digest) {
            return Ok(known.clone());
        }

        let identity = Identity::from_pem(own.pem.as_bytes(), "")?;
        let configs = Configs::new(&self.provider, &self.roots, Some(identity));
        let configs = configs.map_err(|error| PemError::Damaged(error.to_string()))?;

        if known.len() >= MAX_OWN_CONFIGS {
            known.clear();
        }

        known.insert(own.digest, configs.clone());
        Ok(configs)
    }
}

impl Configs {
    fn new(
        provider: &Arc<CryptoProvider>,
        roots: &Arc<RootCertStore>,
        identity: Option<Identity>,
    ) -> Result<Self, Error> {
        let builder = || ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let checked = builder()?.with_root_certificates(roots.clone());
        let unchecked = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Unchecked(provider.clone())));

        let (checked, unchecked) = match identity {
            Some(Identity { certificates, key }) => (
                checked.with_client_auth_cert(certificates.clone(), key.clone_key())?,
                unchecked.with_client_auth_cert(certificates, key)?,
            ),
            None => (checked.with_no_client_auth(), unchecked.with_no_client_auth()),
        };

        Ok(Self {
            checked: Arc::new(checked),
            unchecked: Arc::new(unchecked),
        })
    }
}

/// The authorities of the system and additional ones, as far as TLS can use them. `None` if the system has none.
pub(crate) fn roots(additional: &[CertificateDer<'static>]) -> Option<Vec<CertificateDer<'static>>> {
    let mut usable = Vec::new();
    for root in rustls_native_certs::load_native_certs().certs {
        if RootCertStore::empty().add(root.clone()).is_ok() {
            usable.push(root);
        }
    }

    if usable.is_empty() {
        return None;
    }

    usable.extend(additional.iter().cloned());
    Some(usable)
}

/// A configuration that verifies certificates and presents none.
pub(crate) fn verifying(additional: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, Error> {
    let trust = Trust {
        roots: additional.to_vec(),
        identity: None,
    };
    Ok(Tls::new(trust)?.usual.checked)
}

/// Accepts any certificate. The signatures of the handshake are still verified.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
