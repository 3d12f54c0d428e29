//! `readyloop cert`: makes a certificate authority for development, and certificates that it signs.
//!
//! It verifies no identity and revokes no certificate, so it is for tests only.

mod authority;
mod files;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use readyloop::net::tls::Pem;
use rustls_pki_types::DnsName;

use crate::cli_error::CliError;
use crate::standard_output::print;
use crate::units::{ParseError, above_zero, duration};

use authority::{Authority, DAY, Issued};
use files::{Existing, OWNER_ONLY, PUBLIC};

/// The stem of the files of the authority.
const AUTHORITY_STEM: &str = "ca";

/// The names under which clients reach a server on this machine.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The arguments of `cert`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Host names, IP addresses or a client name for the certificate [default: localhost 127.0.0.1 ::1]
    #[arg(value_name = "NAME", value_parser = name)]
    names: Vec<String>,

    /// Directory for the files; an authority in it is reused
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    dir: PathBuf,

    /// Name of the files: STEM.pem is the certificate, STEM-key.pem its private key
    #[arg(long, value_name = "STEM", default_value = "cert", value_parser = stem)]
    stem: String,

    /// Validity of the certificate [default: 30d]
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    valid_for: Option<Duration>,

    /// Replace an existing certificate and its key
    #[arg(long)]
    replace: bool,
}

/// Parses a name for a certificate. Brackets around an IPv6 address are removed.
fn name(text: &str) -> Result<String, ParseError> {
    let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if unbracketed.parse::<IpAddr>().is_ok() {
        return Ok(unbracketed.to_owned());
    }
    let message = match text.rsplit_once(':') {
        _ if DnsName::try_from(text.strip_prefix("*.").unwrap_or(text)).is_ok() => return Ok(text.to_owned()),
        _ if text.is_empty() => "a name cannot be empty",
        _ if !text.is_ascii() => "a name must be ASCII, such as xn--bcher-kva.example",
        Some((_, port)) if port.parse::<u16>().is_ok() => "a certificate is for a host, and not for a port",
        _ => "neither a host name nor an IP address",
    };
    Err(ParseError::new(message, "type a host name or an IP address, such as localhost or ::1"))
}

/// Parses the name of the files.
fn stem(text: &str) -> Result<String, ParseError> {
    let hint = "type a name such as cert; --dir is for the directory";
    let authority = [AUTHORITY_STEM.to_owned(), format!("{AUTHORITY_STEM}-key")];
    if authority.iter().any(|reserved| reserved.eq_ignore_ascii_case(text)) {
        return Err(ParseError::new("these are the files of the authority", hint));
    }
    if text.is_empty() || text.contains(|char: char| char == '/' || char.is_control()) {
        return Err(ParseError::new("not the name of a file", hint));
    }
    Ok(text.to_owned())
}

/// The paths of a certificate and of its key.
fn paths(directory: &Path, stem: &str) -> (PathBuf, PathBuf) {
    (directory.join(format!("{stem}.pem")), directory.join(format!("{stem}-key.pem")))
}

/// Makes the certificate and prints the path of each file.
pub(crate) fn run(settings: Settings) -> Result<(), CliError> {
    let names = if settings.names.is_empty() { LOCAL_NAMES.map(str::to_owned).to_vec() } else { settings.names };
    let (cert, key) = paths(&settings.dir, &settings.stem);
    let existing = if settings.replace { Existing::Replace } else { Existing::Keep };

    // Two processes would make two authorities, and the certificates of one would not be trusted.
    let _lock = files::lock_directory(&settings.dir)?;
    if existing == Existing::Keep {
        files::check_absent(&cert)?;
        files::check_absent(&key)?;
    }
    let (authority, mut report) = authority_in(&settings.dir)?;
    let issued = authority.issue(&names, settings.valid_for.unwrap_or(30 * DAY))?;
    write(&issued, (&cert, &key), existing)?;
    report += &lines(&cert, &format!("certificate for {}", names.join(", ")), &key);
    print(&report)
}

/// Writes both files. The key comes first, so that a script that waits for the certificate finds both.
fn write(issued: &Issued, (cert, key): (&Path, &Path), existing: Existing) -> Result<(), CliError> {
    let staged_key = files::stage(key, &issued.key, OWNER_ONLY)?;
    let staged_cert = files::stage(cert, &issued.cert, PUBLIC)?;
    files::commit(staged_key, key, existing)?;
    files::commit(staged_cert, cert, existing)
}

/// Reads the authority from its files, or makes a new one and reports its files.
fn authority_in(directory: &Path) -> Result<(Authority, String), CliError> {
    let (cert, key) = paths(directory, AUTHORITY_STEM);
    match (files::read(&cert)?, files::read(&key)?) {
        (Some(cert), Some(key)) => return Ok((Authority::from_pem(&cert, &key)?, String::new())),
        (None, None) => {}
        (Some(_), None) | (None, Some(_)) => {
            return Err(CliError::usage(
                format!("{} has only one of ca.pem and ca-key.pem", directory.display()),
                "restore the other file, or type --dir with another directory",
            ));
        }
    }
    let authority = Authority::new()?;
    write(&authority.issued(), (&cert, &key), Existing::Keep)?;
    Ok((authority, lines(&cert, "new certificate authority for the clients to trust", &key)))
}

/// Two lines of output: a certificate, and its key.
fn lines(cert: &Path, what: &str, key: &Path) -> String {
    [(cert, what), (key, "private key")].map(|(path, what)| format!("{}: {what}\n", path.display())).concat()
}

/// Makes a certificate and its key. The key of its authority is discarded.
pub(crate) fn self_signed(names: &[String]) -> Result<(Pem, Pem), CliError> {
    let issued = Authority::new()?.issue(names, 365 * DAY)?;
    Ok((Pem::Text(issued.cert.into()), Pem::Text(issued.key.into())))
}

/// Writes an authority and a certificate for this machine to an empty directory. Returns the paths of the
/// authority, of the certificate and of its key.
pub(crate) fn write_local(directory: &Path) -> Result<[PathBuf; 3], CliError> {
    let (authority, _) = authority_in(directory)?;
    let (ca, _) = paths(directory, AUTHORITY_STEM);
    let (cert, key) = paths(directory, "cert");
    write(&authority.issue(&LOCAL_NAMES.map(str::to_owned), 30 * DAY)?, (&cert, &key), Existing::Keep)?;
    Ok([ca, cert, key])
}

pub(crate) const UNITS: &str = "Durations are 90d, 12h, 5m or never.";

pub(crate) const HELP: &str = "\
FILES
  ca.pem, ca-key.pem      the authority, made once; --ca ca.pem makes a client trust it
  cert.pem, cert-key.pem  the certificate and its private key

EXAMPLES
  readyloop cert
  readyloop serve --listen tls://127.0.0.1:7443 --cert cert.pem --key cert-key.pem
      Make a certificate and serve with it. Connect to this server with one of:
        readyloop client --ca ca.pem tls://localhost:7443
        openssl s_client -connect localhost:7443 -CAfile ca.pem
  readyloop cert --stem ann ann
  readyloop serve --listen tls://127.0.0.1:7443 \\
      --cert cert.pem --key cert-key.pem --client-ca ca.pem
      Make a client certificate, and accept only clients that have one. Connect with:
        readyloop client --ca ca.pem --cert ann.pem --key ann-key.pem tls://localhost:7443
  readyloop cert --replace && kill -HUP $(pidof readyloop)
      Renew the certificate of a running server.

EXIT STATUS
  0  the files were written
  1  a failure at run time: a file cannot be read or written
  2  wrong usage, or the certificate already exists";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parsed: Result<String, ParseError>, expected: Result<&str, &str>) {
        assert_eq!(parsed.map_err(|error| error.to_string()), expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn a_name_is_a_host_or_an_address() {
        for text in ["localhost", "*.example.org", "ann", "::1", "10.0.0.1"] {
            check(name(text), Ok(text));
        }
        check(name("[::1]"), Ok("::1"));
        check(name(""), Err("a name cannot be empty"));
        check(name("größe"), Err("a name must be ASCII, such as xn--bcher-kva.example"));
        for text in ["localhost:7443", "[::1]:7443", "10.0.0.1:0"] {
            check(name(text), Err("a certificate is for a host, and not for a port"));
        }
        for text in ["a b", "[localhost]", "a..b", "*", "https://example.org"] {
            check(name(text), Err("neither a host name nor an IP address"));
        }
    }

    #[test]
    fn a_stem_is_a_file_name_and_not_that_of_the_authority() {
        check(stem("ann"), Ok("ann"));
        for text in ["ca", "CA", "ca-key"] {
            check(stem(text), Err("these are the files of the authority"));
        }
        for text in ["", "../x", "/x", "a\nb"] {
            check(stem(text), Err("not the name of a file"));
        }
    }
}
