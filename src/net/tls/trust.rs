//! [`Trust`]: which server certificates a client accepts, and the verifier for it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_native_certs::{ErrorKind, load_native_certs};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Pem, TlsSetupError};

/// Which server certificates a client accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Certificates signed by an authority that this machine trusts. `SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// override the list of the system, as for OpenSSL.
    #[default]
    System,
    /// Certificates signed by one of these authorities, and these certificates themselves. Name and
    /// dates are checked in both cases.
    Authorities(Pem),
    /// Any certificate. For tests only: an attacker on the path can read and change everything.
    AnyCertificate,
}

/// Verifies certificates of servers. In any case the server must have the certificate's private key.
#[derive(Debug)]
pub(super) struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None` accepts any certificate.
    trusted: Option<Trusted>,
}

#[derive(Debug)]
struct Trusted {
    chains: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// Reads the certificates to trust.
    ///
    /// # Errors
    /// A file cannot be read or used.
    pub(super) fn new(trust: &Trust, provider: Arc<CryptoProvider>) -> Result<Self, TlsSetupError> {
        let (roots, listed) = match trust {
            Trust::System => system_roots()?,
            Trust::Authorities(pem) => {
                let listed = pem.certificates()?;
                (root_store(pem, &listed)?, listed)
            }
            Trust::AnyCertificate => return Ok(Self { provider, trusted: None }),
        };
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let chains = chains.expect("the store is not empty, and there are no revocation lists");
        Ok(Self { provider, trusted: Some(Trusted { chains, listed }) })
    }
}

/// A store of the authorities from `pem`.
pub(super) fn root_store(pem: &Pem, listed: &[CertificateDer<'static>]) -> Result<RootCertStore, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(listed) {
        let added = roots.add(certificate.clone());
        added.map_err(|_| TlsSetupError::BadCertificate { name: pem.to_string(), number })?;
    }
    Ok(roots)
}

/// The authorities that this machine trusts, without those that cannot be parsed.
fn system_roots() -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsSetupError> {
    let loaded = load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs.iter().cloned());
    if roots.is_empty() {
        let unreadable = loaded.errors.into_iter().find_map(|error| match error.kind {
            ErrorKind::Io { inner, path } => Some(TlsSetupError::Unreadable { path, error: inner }),
            _ => None,
        });
        return Err(unreadable.unwrap_or(TlsSetupError::NoSystemRoots));
    }
    Ok((roots, loaded.certs))
}

/// Whether a certificate was refused only because it is one of an authority.
///
/// The dates of a certificate are checked before this.
fn is_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return false };
    other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(Trusted { chains, listed }) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        let verified = chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            Err(error) if is_authority(&error) && listed.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
