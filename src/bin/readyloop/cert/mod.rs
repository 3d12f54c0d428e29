//! `readyloop cert`: an authority for development, and certificates that it signs, as files.
//!
//! For machines and trials of one's own: it asks nobody who he is and takes nothing back.

mod authority;
mod files;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use readyloop::net::tls::Pem;

use crate::cli_error::CliError;
use crate::command_line::EXIT_STATUS;
use crate::units::{above_zero, duration};

use authority::Authority;
use files::Secrecy;

/// The name of this subcommand.
pub(crate) const NAME: &str = "cert";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a server on this machine is called by its clients.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What is asked of `cert`.
#[derive(Args, Clone, Debug)]
struct Settings {
    /// What the certificate is for: host names, IP addresses, the name of a client [default: localhost 127.0.0.1 ::1]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// The directory of the files; the authority that is there already is used
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    dir: PathBuf,

    /// What the files are called: STEM.pem for the certificate, STEM-key.pem for its key
    #[arg(long, value_name = "STEM", default_value = "cert")]
    stem: String,

    /// How long the certificate is valid [default: 30d]
    #[arg(long, value_name = "DURATION", value_parser = above_zero(duration))]
    valid_for: Option<Duration>,

    /// Write over a certificate and a key that are there
    #[arg(long)]
    replace: bool,
}

/// Makes what is asked for, and tells which files there are now.
pub(crate) fn run(matches: &ArgMatches) -> Result<(), CliError> {
    let settings = Settings::from_arg_matches(matches).expect("clap has checked what it declares");
    let names = if settings.names.is_empty() { own_names() } else { settings.names };
    let place = |name: String| settings.dir.join(name);
    let (cert, key) = (place(format!("{}.pem", settings.stem)), place(format!("{}-key.pem", settings.stem)));

    files::make_directory(&settings.dir)?;
    if !settings.replace {
        files::check_absent(&cert)?;
        files::check_absent(&key)?;
    }
    let authority = authority_of(&place("ca.pem".to_owned()), &place("ca-key.pem".to_owned()))?;
    let issued = authority.issue(&names, settings.valid_for.unwrap_or(30 * DAY))?;
    // The key first: whoever waits for the certificate finds both.
    files::write(&key, &issued.key, Secrecy::OwnerOnly)?;
    files::write(&cert, &issued.cert, Secrecy::Public)?;
    println!("{}: a certificate for {}", cert.display(), names.join(", "));
    println!("{}: its key", key.display());
    Ok(())
}

/// The authority of these files; a new one when there is none.
fn authority_of(cert: &Path, key: &Path) -> Result<Authority, CliError> {
    if cert.exists() || key.exists() {
        return Authority::from_pem(&files::read(cert)?, &files::read(key)?);
    }
    let authority = Authority::new()?;
    files::write(key, &authority.key_pem(), Secrecy::OwnerOnly)?;
    files::write(cert, authority.cert_pem(), Secrecy::Public)?;
    println!("{}: a new authority, for those who are to trust what it signs", cert.display());
    println!("{}: its key", key.display());
    Ok(authority)
}

/// A certificate that nobody has signed but its own authority, of which nothing is kept.
pub(crate) fn self_signed(names: &[String]) -> Result<(Pem, Pem), CliError> {
    let issued = Authority::new()?.issue(names, 365 * DAY)?;
    Ok((Pem::Text(issued.cert.into()), Pem::Text(issued.key.into())))
}

fn own_names() -> Vec<String> {
    OWN_NAMES.map(ToOwned::to_owned).to_vec()
}

/// The flags and the help of `cert`.
pub(crate) fn command() -> Command {
    Settings::augment_args(Command::new(NAME))
        .about("Makes a certificate for development, and the authority that signs it")
        .long_about(None)
        .after_help("A duration is 90d, 12h or 5m.")
        .after_long_help(format!("{HELP}\n\n{EXIT_STATUS}"))
}

const HELP: &str = "\
FILES
  ca.pem, ca-key.pem      the authority, made once; ca.pem is for those who are to trust it
  cert.pem, cert-key.pem  the certificate and its key

EXAMPLES
  readyloop cert
  readyloop serve --listen tls://127.0.0.1:7443 --cert cert.pem --key cert-key.pem
      A server; a client that trusts it: curl --cacert ca.pem telnet... or openssl s_client -CAfile ca.pem
  readyloop cert --stem ann ann
  readyloop serve --listen tls://127.0.0.1:7443 --cert cert.pem --key cert-key.pem --client-ca ca.pem
      A certificate for a client, and a server that lets in only such clients.
  readyloop cert --replace && kill -HUP $(pidof readyloop)
      A new certificate for a server that is running.";
