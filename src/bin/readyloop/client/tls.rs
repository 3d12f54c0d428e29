//! Builds the TLS client of the library from the settings.

use readyloop::Address;
use readyloop::net::tls::{Pem, TlsClient, TlsClientOptions, TlsTarget, Trust};

use crate::cli_error::CliError;
use crate::tls::setup_error;

use super::settings::Tls;

/// Returns the TLS layer for connections to `address`, or `None` for an address without TLS.
pub(crate) fn target(address: &Address, tls: &Tls) -> Result<Option<TlsTarget>, CliError> {
    let Address::Tls(host_port) = address else { return Ok(None) };
    let trust = match (&tls.ca, tls.insecure) {
        (_, true) => Trust::AnyCertificate,
        (Some(path), false) => Trust::Authorities(Pem::File(path.clone())),
        (None, false) => Trust::System,
    };
    let identity = tls.cert.clone().zip(tls.key.clone());
    let identity = identity.map(|(cert, key)| (Pem::File(cert), Pem::File(key)));
    let options = TlsClientOptions { trust, identity, alpn: tls.alpn.clone(), ..TlsClientOptions::default() };
    let host = host_port.rsplit_once(':').map_or(host_port.as_str(), |(host, _)| host);
    let target = TlsClient::new(&options).and_then(|client| client.to(host));
    target.map(Some).map_err(|error| setup_error(&error))
}
