//! What the user can do about TLS that does not come about.

use std::io;

use readyloop::Address;
use readyloop::net::tls::{TlsError, TlsSetupError};

use crate::cli_error::{CliError, io_message};

/// TLS cannot be set up as asked.
pub(crate) fn setup_error(error: &TlsSetupError) -> CliError {
    let hint = match error {
        TlsSetupError::Unreadable { .. } => {
            "type the path of a file that can be read; `readyloop cert` makes all of them for development".to_owned()
        }
        TlsSetupError::KeyIsPublic { path, .. } => format!("chmod 600 {}", path.display()),
        TlsSetupError::NotPem { .. } => {
            "a PEM file has lines such as -----BEGIN CERTIFICATE-----; `readyloop cert` makes some".to_owned()
        }
        TlsSetupError::Mismatch { .. } => "type --cert and --key as they were made together".to_owned(),
        TlsSetupError::BadName(_) => "type a host name or an IP address".to_owned(),
        TlsSetupError::NoSystemRoots => "type --ca FILE with the authorities to trust".to_owned(),
        TlsSetupError::Unusable(_) => "`readyloop cert` makes files that can be used".to_owned(),
    };
    CliError::failure(error.to_string(), hint)
}

/// There is no TLS with a server, or no more.
pub(crate) fn connection_error(address: &Address, error: &io::Error) -> CliError {
    let Some(tls) = TlsError::of(error) else { return handshake_error(address, error) };
    let hint = match tls {
        TlsError::NotTls => "something else answers there: type tcp:// before host and port, or check the port",
        TlsError::WrongName(_) => "type the name that the certificate is for; --insecure takes any, for a trial",
        TlsError::Expired | TlsError::NotYetValid => {
            "the server needs another certificate, or the clock of this machine is wrong"
        }
        TlsError::UnknownSigner | TlsError::BadCertificate(_) => {
            "type --ca FILE with the authority that signed it; --insecure takes any, for a trial"
        }
        TlsError::NoCertificate => "the server is set up in a way that this client does not take",
        TlsError::Refused(_) => "type --cert FILE --key FILE with a certificate that the server takes",
        TlsError::NothingInCommon(_) => "the server may want another --alpn, or is too old",
        TlsError::Other(_) => "-v tells what happened before",
    };
    CliError::failure(format!("no TLS with {address}: {tls}"), hint)
}

fn handshake_error(address: &Address, error: &io::Error) -> CliError {
    let what = if error.kind() == io::ErrorKind::UnexpectedEof {
        "the peer ended the connection in the handshake".to_owned()
    } else {
        io_message(error)
    };
    CliError::failure(format!("no TLS with {address}: {what}"), "does a TLS server listen there, and is it well?")
}
