//! Builds the TLS server of the library from the settings.

use readyloop::Address;
use readyloop::net::tls::{Pem, TlsServer, TlsServerOptions};

use crate::cert::self_signed;
use crate::cli_error::CliError;
use crate::tls::setup_error;

use super::settings::Settings;

/// Builds the TLS server, if the settings name a certificate. The settings must have been checked.
pub(super) fn server(settings: &Settings) -> Result<Option<TlsServer>, CliError> {
    let tls = &settings.tls;
    let (cert, key) = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => (Pem::File(cert.clone()), Pem::File(key.clone())),
        _ if tls.self_signed => self_signed(&names(&settings.endpoints.listen))?,
        _ => return Ok(None),
    };
    let options =
        TlsServerOptions { cert, key, client_ca: tls.client_ca.clone().map(Pem::File), alpn: tls.alpn.clone() };
    TlsServer::new(options).map(Some).map_err(|error| setup_error(&error))
}

/// The names for a self-signed certificate: those of this machine and the hosts of `tls://` addresses.
fn names(addresses: &[Address]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for address in addresses {
        if let Address::Tls(host_port) = address {
            let host = host_port.rsplit_once(':').map_or(host_port.as_str(), |(host, _)| host);
            // A certificate has no zone of an IPv6 address.
            let host = host.trim_matches(['[', ']']).split('%').next().unwrap_or(host);
            names.push(host.to_owned());
        }
    }
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_signed_certificate_is_for_every_tls_host() {
        let addresses =
            ["tls://[::1%lo]:1", "tls://example.org:2", "tcp://other.org:3"].map(|text| text.parse().unwrap());
        assert_eq!(names(&addresses), ["127.0.0.1", "::1", "example.org", "localhost"]);
    }
}
