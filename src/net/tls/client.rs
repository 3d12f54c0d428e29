//! [`TlsClient`]: the connecting side of TLS.
//!
//! It wraps connected streams. It opens no connections and moves no bytes.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;

use super::pem::{alpn_protocols, identity_error};
use super::trust::Verifier;
use super::{Pem, TlsError, TlsSetupError, TlsStream, Trust};
use crate::net::Stream;
pub use crate::service::TlsVersion;

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
        let verifier = Verifier::new(&options.trust, Arc::clone(&provider))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("the provider supports every version")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &options.identity {
            Some((cert, key)) => builder
                .with_client_auth_cert(cert.certificates()?, key.private_key()?)
                .map_err(|error| identity_error(&error, cert, key))?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn_protocols(&options.alpn)?;
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

impl TlsTarget {
    /// TLS over a stream to the server. Moves no bytes.
    ///
    /// # Errors
    /// No randomness for it.
    pub fn wrap<T: Stream>(&self, stream: T) -> io::Result<TlsStream<T>> {
        let tls = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        Ok(TlsStream::new(stream, tls.map_err(|error| TlsError::from(&error))?))
    }
}
