//! `readyloop cert`: makes a certificate authority for development, and certificates that it signs.
//!
//! It verifies no identity and revokes no certificate, so it is for tests only.

mod authority;
mod files;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use readyloop::net::tls::Pem;

use crate::cli_error::CliError;
use crate::standard_output::print;
use crate::units::{above_zero, duration};

use authority::{Authority, DAY};
use files::Secrecy;

/// The names under which clients reach a server on this machine.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// The arguments of `cert`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Host names, IP addresses or a client name for the certificate [default: localhost 127.0.0.1 ::1]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// Directory for the files; an authority in it is reused
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    dir: PathBuf,

    /// Name of the files: STEM.pem is the certificate, STEM-key.pem its private key
    #[arg(long, value_name = "STEM", default_value = "cert")]
    stem: String,

    /// Validity of the certificate [default: 30d]
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    valid_for: Option<Duration>,

    /// Replace an existing certificate and its key
    #[arg(long)]
    replace: bool,
}

/// Makes the certificate and prints the path of each file.
pub(crate) fn run(settings: Settings) -> Result<(), CliError> {
    let names = if settings.names.is_empty() { local_names() } else { settings.names };
    let path = |name: String| settings.dir.join(name);
    let (cert, key) = (path(format!("{}.pem", settings.stem)), path(format!("{}-key.pem", settings.stem)));

    files::make_directory(&settings.dir)?;
    if !settings.replace {
        files::check_absent(&cert)?;
        files::check_absent(&key)?;
    }
    let authority = authority_of(&path("ca.pem".to_owned()), &path("ca-key.pem".to_owned()))?;
    let issued = authority.issue(&names, settings.valid_for.unwrap_or(30 * DAY))?;
    // The key comes first, so that a script that waits for the certificate finds both.
    files::write(&key, &issued.key, Secrecy::OwnerOnly)?;
    files::write(&cert, &issued.cert, Secrecy::Public)?;
    print(&format!("{}: certificate for {}\n{}: private key\n", cert.display(), names.join(", "), key.display()))
}

/// Reads the authority from its files, or makes a new one.
fn authority_of(cert: &Path, key: &Path) -> Result<Authority, CliError> {
    if cert.exists() || key.exists() {
        return Authority::from_pem(&files::read(cert)?, &files::read(key)?);
    }
    let authority = Authority::new()?;
    files::write(key, &authority.key_pem(), Secrecy::OwnerOnly)?;
    files::write(cert, authority.cert_pem(), Secrecy::Public)?;
    print(&format!(
        "{}: new certificate authority for the clients to trust\n{}: private key\n",
        cert.display(),
        key.display()
    ))?;
    Ok(authority)
}

/// Makes a certificate and its key. The key of its authority is discarded.
pub(crate) fn self_signed(names: &[String]) -> Result<(Pem, Pem), CliError> {
    let issued = Authority::new()?.issue(names, 365 * DAY)?;
    Ok((Pem::Text(issued.cert.into()), Pem::Text(issued.key.into())))
}

fn local_names() -> Vec<String> {
    LOCAL_NAMES.map(ToOwned::to_owned).to_vec()
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
