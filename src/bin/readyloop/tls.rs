//! Converts errors of TLS to messages, with a hint for each cause.

use std::io;

use readyloop::Address;
use readyloop::net::tls::{TlsError, TlsSetupError};

use crate::cli_error::{CliError, io_message};

/// The error message and hint for certificates, keys or names that cannot be used.
pub(crate) fn setup_error(error: &TlsSetupError) -> CliError {
    let hint = match error {
        TlsSetupError::Unreadable { .. } => {
            "type the path of a readable file; `readyloop cert` makes certificates for development".to_owned()
        }
        TlsSetupError::KeyIsPublic { path, .. } => format!("restrict its permissions: chmod 600 {}", path.display()),
        TlsSetupError::NotPem { .. } => {
            "a PEM file has lines such as -----BEGIN CERTIFICATE-----; `readyloop cert` makes such files".to_owned()
        }
        TlsSetupError::Mismatch { .. } => "type --cert and --key files that were made together".to_owned(),
        TlsSetupError::BadName(_) => "type a host name or an IP address".to_owned(),
        TlsSetupError::NoSystemRoots => "type --ca FILE with the certificate authorities to trust".to_owned(),
        TlsSetupError::Unusable(_) => {
            "type another file; `readyloop cert` makes certificates for development".to_owned()
        }
    };
    let message = if let TlsSetupError::Unreadable { path, error } = error {
        format!("cannot read {}: {}", path.display(), io_message(error))
    } else {
        error.to_string()
    };
    CliError::failure(message, hint)
}

/// The error message and hint for a failed handshake or a broken TLS connection.
pub(crate) fn connection_error(address: &Address, error: &io::Error) -> CliError {
    let (reason, hint) = match TlsError::of(error) {
        Some(tls) => (tls.to_string(), tls_hint(tls)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => (
            "the server closed the connection during the handshake".to_owned(),
            "check that a TLS server listens there",
        ),
        None => (io_message(error), "check that a TLS server listens there"),
    };
    CliError::failure(format!("TLS with {address} failed: {reason}"), hint)
}

fn tls_hint(error: &TlsError) -> &'static str {
    match error {
        TlsError::NotTls => "the server there speaks another protocol: type tcp://HOST:PORT, or check the port",
        TlsError::WrongName(_) => "type a name that is in the certificate; --insecure skips the check, for tests only",
        TlsError::Expired | TlsError::NotYetValid => "renew the certificate of the server, or check the clock here",
        TlsError::UnknownSigner => {
            "type --ca FILE with the authority that signed it; --insecure skips the check, for tests only"
        }
        TlsError::BadCertificate(_) => {
            "the server needs another certificate; --insecure skips the check, for tests only"
        }
        TlsError::NoCertificate => "the server must send a certificate",
        TlsError::Refused(_) => "type --cert FILE --key FILE with a certificate that the server accepts",
        TlsError::NothingInCommon(_) => "try another --alpn, or check which TLS versions the server supports",
        TlsError::Other(_) => "run again with -v for details",
    }
}
