//! [`TlsServer`]: the listening side of TLS.
//!
//! It wraps accepted streams and moves no bytes. Its files can be reloaded while it is in use; open
//! streams are not affected.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::{ServerConfig, ServerConnection};

use super::pem::{alpn_protocols, identity_error};
use super::trust::ClientVerifier;
use super::{Pem, TlsError, TlsSetupError, TlsStream};
use crate::net::Stream;

/// Options of a TLS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServerOptions {
    /// The server's certificate, followed by the intermediate certificates.
    pub cert: Pem,
    /// The private key of that certificate.
    pub key: Pem,
    /// Authorities for client certificates. If set, a client needs a certificate that is signed by one of
    /// them, or is one of them.
    pub client_ca: Option<Pem>,
    /// Protocols for ALPN (RFC 7301), most preferred first. A client that uses ALPN and offers none of
    /// them is refused. Empty: ALPN is not used.
    pub alpn: Vec<String>,
}

/// The listening side of TLS, versions 1.2 and 1.3.
#[derive(Clone, Debug)]
pub struct TlsServer {
    options: TlsServerOptions,
    config: Arc<ServerConfig>,
}

impl TlsServer {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// A file cannot be read or used, certificate and key do not match, or other users can read the key.
    pub fn new(options: TlsServerOptions) -> Result<Self, TlsSetupError> {
        Ok(Self { config: Arc::new(config_of(&options)?), options })
    }

    /// TLS over an accepted stream. Moves no bytes.
    ///
    /// # Errors
    /// No randomness for it.
    pub fn wrap<T: Stream>(&self, stream: T) -> io::Result<TlsStream<T>> {
        let tls = ServerConnection::new(Arc::clone(&self.config));
        Ok(TlsStream::new(stream, tls.map_err(|error| TlsError::from(&error))?))
    }

    /// Reads certificate and key again. Streams wrapped afterwards use the new ones.
    ///
    /// # Errors
    /// As [`Self::new`]. The old certificate and key then stay in use.
    pub fn reload(&mut self) -> Result<(), TlsSetupError> {
        self.config = Arc::new(config_of(&self.options)?);
        Ok(())
    }
}

fn config_of(options: &TlsServerOptions) -> Result<ServerConfig, TlsSetupError> {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider supports every version");
    let builder = match &options.client_ca {
        Some(client_ca) => builder.with_client_cert_verifier(Arc::new(ClientVerifier::new(client_ca, provider)?)),
        None => builder.with_no_client_auth(),
    };
    let (cert, key) = (options.cert.certificates()?, options.key.private_key()?);
    let mut config =
        builder.with_single_cert(cert, key).map_err(|error| identity_error(&error, &options.cert, &options.key))?;
    config.alpn_protocols = alpn_protocols(&options.alpn)?;
    Ok(config)
}
