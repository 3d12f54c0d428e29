//! Converts errors of TLS to messages, with a hint for each cause.

use std::io;

use readyloop::Address;
use readyloop::net::tls::{PemProblem, TlsError, TlsSetupError};

use crate::cli_error::{CliError, io_message};

/// The error message and hint for certificates, keys or names that cannot be used.
pub(crate) fn setup_error(error: &TlsSetupError) -> CliError {
    let hint = match error {
        TlsSetupError::Unreadable { .. } => {
            "type the path of a readable file; `readyloop cert` makes certificates for development".to_owned()
        }
        TlsSetupError::KeyIsPublic { path, .. } => format!("restrict its permissions: chmod 600 {}", path.display()),
        TlsSetupError::NotPem { name, problem } => pem_hint(*problem, name),
        TlsSetupError::BadCertificate { name, .. } => {
            format!("type another file, or remove that certificate; openssl x509 -in {name} -text prints the first one")
        }
        TlsSetupError::KeyOnP521(_) => {
            "make another key: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out NEW.pem".to_owned()
        }
        TlsSetupError::UnsupportedKey(_) => {
            "supported are RSA from 2048 bits, ECDSA on P-256 and P-384, and Ed25519; `readyloop cert` makes such keys"
                .to_owned()
        }
        TlsSetupError::Mismatch { .. } => "type a certificate and a key that were made together".to_owned(),
        TlsSetupError::BadName(_) => "type a host name or an IP address".to_owned(),
        TlsSetupError::BadAlpn(_) => "type --alpn with a name of 1 to 255 bytes, such as http/1.1".to_owned(),
        TlsSetupError::NoSystemRoots => "type --ca FILE with the certificate authorities to trust".to_owned(),
        _ => "type another file; `readyloop cert` makes certificates for development".to_owned(),
    };
    if let TlsSetupError::Unreadable { path, error } = error {
        return CliError::system(format_args!("cannot read {}", path.display()), error, hint);
    }
    let is_usage = matches!(error, TlsSetupError::BadName(_) | TlsSetupError::BadAlpn(_));
    if is_usage { CliError::usage(error.to_string(), hint) } else { CliError::failure(error.to_string(), hint) }
}

/// The hint for a PEM file that cannot be used.
fn pem_hint(problem: PemProblem, name: &str) -> String {
    match problem {
        PemProblem::Encrypted(_) => format!("decrypt it into a new file: openssl pkey -in {name} -out NEW.pem"),
        PemProblem::Trusted(_) => format!("convert it: openssl x509 -in {name} -out NEW.pem"),
        PemProblem::Binary => {
            format!("convert DER: openssl x509 -in {name} -inform der -out NEW.pem, or openssl pkey for a key")
        }
        PemProblem::Utf16 => format!("convert it: iconv -f utf-16 -t utf-8 {name} > NEW.pem"),
        PemProblem::LostLineBreaks(_) => "restore the line breaks, or copy the original file again".to_owned(),
        PemProblem::OtherSection { .. } => {
            "check that the files for certificate and key are not exchanged; `readyloop cert` makes such files"
                .to_owned()
        }
        PemProblem::NoSection(_) | PemProblem::TooLong(_) | PemProblem::NoEnd(_) | PemProblem::NotBase64(_) | _ => {
            "a PEM file has lines such as -----BEGIN CERTIFICATE-----; `readyloop cert` makes such files".to_owned()
        }
    }
}

/// The error message and hint for a failed handshake or a broken TLS connection.
pub(crate) fn connection_error(address: &Address, error: &io::Error) -> CliError {
    let (reason, hint) = reason_and_hint(error);
    CliError::failure(format!("TLS with {address} failed: {reason}"), hint)
}

/// The reason why TLS with a server failed, and a hint for this cause.
pub(crate) fn reason_and_hint(error: &io::Error) -> (String, &'static str) {
    match TlsError::of(error) {
        Some(tls) => (tls.to_string(), tls_hint(tls)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => (
            "the server closed the connection during the handshake".to_owned(),
            "check that a TLS server listens there",
        ),
        None => (io_message(error), "check that a TLS server listens there"),
    }
}

fn tls_hint(error: &TlsError) -> &'static str {
    match error {
        TlsError::NotTls => "the server there speaks another protocol: type tcp://HOST:PORT, or check the port",
        TlsError::WrongName(_) => "type a name that is in the certificate; --insecure skips the check, for tests only",
        TlsError::Expired | TlsError::NotYetValid => "renew the certificate of the server, or check the clock here",
        TlsError::UnknownSigner => {
            "type --ca FILE with the authority that signed it; --insecure skips the check, for tests only"
        }
        TlsError::Authority => "type --ca FILE with this very certificate; --insecure skips the check, for tests only",
        TlsError::BadCertificate(_) => {
            "the server needs another certificate; --insecure skips the check, for tests only"
        }
        TlsError::NoCertificate => "the server must send a certificate",
        TlsError::Refused(alert) if alert.is_certificate_required() => {
            "type --cert FILE --key FILE with a certificate for this client"
        }
        TlsError::Refused(_) => "type --cert FILE --key FILE with a certificate that the server accepts",
        TlsError::NoAlpn => "type another --alpn, or none",
        TlsError::NoVersion => "the server must support TLS 1.2 or 1.3",
        TlsError::NothingInCommon(_) => "check which versions, cipher suites and protocols the server supports",
        TlsError::Aborted(_) | TlsError::Other(_) | _ => "check the server; its log may name the reason",
    }
}
