//! TLS for `client`: whom it trusts and what it shows.

use readyloop::Address;
use readyloop::net::tls::{Pem, TlsClient, TlsClientOptions, TlsTarget, Trust};

use crate::problem::Problem;
use crate::tls::setup_problem;

use super::settings::Settings;

/// What to lay over the connection; `None` for an address without TLS.
pub(super) fn target(settings: &Settings) -> Result<Option<TlsTarget>, Problem> {
    let tls = &settings.tls;
    let Address::Tls(host_port) = &settings.address else {
        return tls.given().map_or(Ok(None), |flag| {
            Err(Problem::usage(
                format!("{flag} is for tls:// addresses, and {} is none", settings.address),
                format!("leave {flag} out, or type tls:// before host and port"),
            ))
        });
    };
    let trust = match (&tls.ca, tls.insecure) {
        (_, true) => Trust::Anybody,
        (Some(path), false) => Trust::Authorities(Pem::File(path.clone())),
        (None, false) => Trust::System,
    };
    let identity = tls.cert.clone().zip(tls.key.clone());
    let identity = identity.map(|(cert, key)| (Pem::File(cert), Pem::File(key)));
    let options = TlsClientOptions { trust, identity, alpn: tls.alpn.clone(), ..TlsClientOptions::default() };
    let host = host_port.rsplit_once(':').map_or(host_port.as_str(), |(host, _)| host);
    let target = TlsClient::new(&options).and_then(|client| client.to(host));
    target.map(Some).map_err(|error| setup_problem(&error))
}
