//! [`TlsClient`]: the connecting side of TLS.
//!
//! It wraps connected streams. It opens no connections and moves no bytes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::server::unusable;
use super::{Pem, TlsSetupError, TlsStream};
use crate::net::{Layer, Stream};
pub use crate::service::TlsVersion;

/// Where systems keep their trusted authorities: Debian, Fedora, Alpine and the BSDs.
const SYSTEM_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Which server certificates a client accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Certificates signed by an authority that this machine trusts.
    #[default]
    System,
    /// Certificates signed by one of these authorities.
    Authorities(Pem),
    /// Any certificate. For tests only: an attacker on the path can read and change everything.
    AnyCertificate,
}

/// Options of a TLS client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsClientOptions {
    /// The server certificates that it accepts.
    pub trust: Trust,
    /// Certificate and key of the client, for servers that require them.
    pub identity: Option<(Pem, Pem)>,
    /// Protocols to offer by ALPN (RFC 7301), most preferred first. Empty: ALPN is not used.
    pub alpn: Vec<String>,
    /// The only version to accept. Unset: the newest that both sides support.
    pub version: Option<TlsVersion>,
}

/// The connecting side of TLS, versions 1.2 and 1.3, for any server.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Reads the files that the options name.
    ///
    /// # Errors
    /// A file cannot be read or used, certificate and key do not match, or other users can read the key.
    pub fn new(options: &TlsClientOptions) -> Result<Self, TlsSetupError> {
        let versions = match options.version {
            None => rustls::ALL_VERSIONS,
            Some(TlsVersion::Tls12) => &[&rustls::version::TLS12],
            Some(TlsVersion::Tls13) => &[&rustls::version::TLS13],
        };
        let provider = Arc::new(default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(unusable)?;
        let builder = match &options.trust {
            Trust::System => builder.with_root_certificates(system_bundle()?.authorities()?),
            Trust::Authorities(pem) => builder.with_root_certificates(pem.authorities()?),
            Trust::AnyCertificate => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate { provider }))
            }
        };
        let mut config = match &options.identity {
            Some((cert, key)) => {
                builder.with_client_auth_cert(cert.certificates()?, key.private_key()?).map_err(unusable)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = options.alpn.iter().map(|protocol| protocol.clone().into_bytes()).collect();
        Ok(Self { config: Arc::new(config) })
    }

    /// The layer for connections to one server, by host name or IP address.
    ///
    /// The server's certificate must be for `name`. A host name is sent unencrypted (SNI).
    ///
    /// # Errors
    /// `name` is neither a host name nor an IP address.
    pub fn to(&self, name: &str) -> Result<TlsTarget, TlsSetupError> {
        let unbracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        match ServerName::try_from(unbracketed.to_owned()) {
            Ok(name) => Ok(TlsTarget { config: Arc::clone(&self.config), name }),
            Err(_) => Err(TlsSetupError::BadName(name.to_owned())),
        }
    }
}

/// The connecting side of TLS, for one server.
#[derive(Clone, Debug)]
pub struct TlsTarget {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl<T: Stream> Layer<T> for TlsTarget {
    type Stream = TlsStream<T>;
    const HAS_HANDSHAKE: bool = true;

    fn wrap(&self, stream: T) -> io::Result<TlsStream<T>> {
        let tls = ClientConnection::new(Arc::clone(&self.config), self.name.clone()).map_err(io::Error::other)?;
        Ok(TlsStream::new(stream, tls))
    }

    fn inner<'a>(&self, stream: &'a mut TlsStream<T>) -> &'a mut T {
        stream.inner_mut()
    }

    fn open(&self, stream: &mut TlsStream<T>) -> io::Result<()> {
        stream.handshake()
    }

    fn failure(&self, stream: &TlsStream<T>) -> Option<io::Error> {
        stream.failure().map(io::Error::from)
    }

    fn reload(&mut self) -> Option<io::Result<()>> {
        None
    }
}

/// The authorities that this machine trusts. `SSL_CERT_FILE` overrides the file, as for OpenSSL.
fn system_bundle() -> Result<Pem, TlsSetupError> {
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        return Ok(Pem::File(path.into()));
    }
    let found = SYSTEM_BUNDLES.into_iter().find(|path| Path::new(path).exists());
    found.map(|path| Pem::File(path.into())).ok_or(TlsSetupError::NoSystemRoots)
}

/// Accepts any certificate. It still checks that the server has the certificate's private key.
#[derive(Debug)]
struct AcceptAnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
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
