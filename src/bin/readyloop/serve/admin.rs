//! Checks the address of the administration endpoint, which has no users and passwords.

use readyloop::Address;

use crate::cli_error::CliError;

use super::settings::Settings;
use super::threads::Design;

/// Refuses an administration endpoint that other machines or users could read.
pub(super) fn check(settings: &Settings) -> Result<(), CliError> {
    let Some(address) = &settings.admin else { return Ok(()) };
    let refuse = |reason: &str| {
        let hint = "type a loopback address such as --admin 127.0.0.1:9007, or --admin unix:/run/admin.sock";
        Err(CliError::usage(format!("--admin {address} {reason}"), hint))
    };
    match address {
        Address::Tcp(_) if address.is_public() => {
            return refuse("is not a loopback address: other machines could connect");
        }
        Address::Unix(path) if path.as_os_str().as_encoded_bytes().starts_with(b"@") => {
            return refuse("has no file, so every user of this machine could connect");
        }
        Address::Tls(_) | Address::Udp(_) => return refuse("is neither TCP nor a Unix socket"),
        Address::Tcp(_) | Address::Unix(_) => {}
    }
    if settings.threads.design != Design::Reactor {
        return Err(CliError::usage("--admin needs --design reactor", "remove --admin or --design"));
    }
    Ok(())
}
