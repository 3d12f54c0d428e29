//! `TlsServer`: what the listening side shows, and whom it lets in.
//!
//! It makes streams, it moves no bytes. Its files can be read again while it is in use; a stream
//! keeps what it began with.

use std::io;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection};

use super::{Pem, TlsSetupError, TlsStream};
use crate::net::{Layer, Stream};

/// What a server shows its clients, and what it wants of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServerOptions {
    /// The certificate of the server, and behind it those that lead to its authority.
    pub cert: Pem,
    /// The private key of that certificate.
    pub key: Pem,
    /// Clients must show a certificate that one of these has signed; unset asks for none.
    pub client_ca: Option<Pem>,
    /// Protocols for ALPN (RFC 7301), the best first; none takes any client. With some, a client
    /// that offers none of them is refused.
    pub alpn: Vec<String>,
}

/// The listening side of TLS: versions 1.2 and 1.3.
#[derive(Clone, Debug)]
pub struct TlsServer {
    options: TlsServerOptions,
    config: Arc<ServerConfig>,
}

impl TlsServer {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// They cannot be read or do not fit together, or the key can be read by others than its owner.
    pub fn new(options: TlsServerOptions) -> Result<Self, TlsSetupError> {
        Ok(Self { config: Arc::new(config_of(&options)?), options })
    }

    /// Reads certificate and key again, for the streams from now on.
    ///
    /// # Errors
    /// As [`Self::new`]; then all stays as it was.
    pub fn reload(&mut self) -> Result<(), TlsSetupError> {
        self.config = Arc::new(config_of(&self.options)?);
        Ok(())
    }
}

fn config_of(options: &TlsServerOptions) -> Result<ServerConfig, TlsSetupError> {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match &options.client_ca {
        Some(client_ca) => builder.with_client_cert_verifier(verifier_of(client_ca, provider)?),
        None => builder.with_no_client_auth(),
    };
    let (cert, key) = (options.cert.certificates()?, options.key.private_key()?);
    let mut config = builder.with_single_cert(cert, key).map_err(|error| {
        if let rustls::Error::InconsistentKeys(_) = error {
            TlsSetupError::Mismatch { cert: options.cert.to_string(), key: options.key.to_string() }
        } else {
            unusable(error)
        }
    })?;
    config.alpn_protocols = options.alpn.iter().map(|protocol| protocol.clone().into_bytes()).collect();
    Ok(config)
}

fn verifier_of(
    client_ca: &Pem,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsSetupError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(client_ca.authorities()?), provider)
        .build()
        .map_err(|error| TlsSetupError::Unusable(error.to_string()))
}

pub(super) fn unusable(error: rustls::Error) -> TlsSetupError {
    TlsSetupError::Unusable(error.to_string())
}

impl<T: Stream> Layer<T> for TlsServer {
    type Stream = TlsStream<T>;
    const HAS_HANDSHAKE: bool = true;

    fn wrap(&self, stream: T) -> io::Result<TlsStream<T>> {
        let tls = ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)?;
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

    fn reload(&mut self) -> Option<io::Result<()>> {
        Some(Self::reload(self).map_err(io::Error::other))
    }
}
