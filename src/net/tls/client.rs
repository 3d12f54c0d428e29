//! `TlsClient`: whom the connecting side trusts, and what it shows.
//!
//! It makes streams of those that are connected; it neither connects nor moves bytes.

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

/// Where systems keep the authorities they trust: Debian, Fedora, Alpine and the BSDs.
const SYSTEM_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Whose word a client takes for who a server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// That of the authorities that this machine trusts.
    #[default]
    System,
    /// That of these authorities only.
    Authorities(Pem),
    /// Nobody's: whoever answers is taken for the server. For trials; anybody in between can read
    /// and change everything.
    Anybody,
}

/// Whom a client trusts, and what it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsClientOptions {
    /// Whom it trusts.
    pub trust: Trust,
    /// Certificate and key, for servers that ask for them.
    pub identity: Option<(Pem, Pem)>,
    /// Protocols to offer by ALPN (RFC 7301), the best first; none offers none.
    pub alpn: Vec<String>,
    /// The only version to agree on; unset takes the best that both know.
    pub version: Option<TlsVersion>,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// The connecting side of TLS: versions 1.2 and 1.3.
#[derive(Clone, Debug)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

impl TlsClient {
    /// Reads what the options name.
    ///
    /// # Errors
    /// Something cannot be read, does not fit together, or the key can be read by others than its owner.
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
            Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(TakesAnybody { provider })),
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

    /// Connections to the server that `name` names: a host name, or an IP address.
    ///
    /// The name goes to the server in clear (SNI), and its certificate must be for it.
    ///
    /// # Errors
    /// The name can be in no certificate.
    pub fn to(&self, name: &str) -> Result<TlsTarget, TlsSetupError> {
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        match ServerName::try_from(bare.to_owned()) {
            Ok(name) => Ok(TlsTarget { config: Arc::clone(&self.config), name }),
            Err(_) => Err(TlsSetupError::BadName(name.to_owned())),
        }
    }
}

/// The connecting side of TLS to one server.
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
        stream.beneath_mut()
    }

    fn open(&self, stream: &mut TlsStream<T>) -> io::Result<()> {
        stream.handshake()
    }

    fn failure(&self, stream: &TlsStream<T>) -> Option<io::Error> {
        stream.failure().map(io::Error::from)
    }

    /// Whom a client trusts is decided once.
    fn reload(&mut self) -> Option<io::Result<()>> {
        None
    }
}

/// The list of authorities this machine trusts; `SSL_CERT_FILE` names another, as it does for OpenSSL.
fn system_bundle() -> Result<Pem, TlsSetupError> {
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        return Ok(Pem::File(path.into()));
    }
    let found = SYSTEM_BUNDLES.into_iter().find(|path| Path::new(path).exists());
    found.map(|path| Pem::File(path.into())).ok_or(TlsSetupError::NoSystemRoots)
}

/// Checks that the server holds the key of the certificate it shows, and nothing else.
#[derive(Debug)]
struct TakesAnybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for TakesAnybody {
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
