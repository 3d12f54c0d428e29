//! Connects to the server, and explains why a connection failed.

use std::io;

use readyloop::client::{Backoff, Connect, ConnectError, Connected};
use readyloop::net::{Address, ConnectOptions, Destination};

use crate::cli_error::{CliError, io_message};

use super::settings::Settings;

/// Connects to `address`, with the timeout and retries of the settings.
///
/// # Errors
/// The name cannot be looked up, no server accepts, or the time is up.
pub(super) fn connect(address: &Address, settings: &Settings) -> Result<Connected, CliError> {
    let connect = Connect {
        timeout: settings.connect_timeout,
        retries: settings.retries,
        backoff: Backoff::default(),
        options: ConnectOptions::default(),
    };
    connect.to(address).map_err(|error| connect_error(address, &error))
}

/// The error message and hint for a failed connection.
pub(crate) fn connect_error(address: &Address, error: &ConnectError) -> CliError {
    match error {
        ConnectError::LookUp { name, error } => CliError::failure(
            format!("cannot look up {name}: {}", io_message(error)),
            "check the name, or type an IP address such as 127.0.0.1:7007",
        ),
        ConnectError::TimedOut { after, failures } => CliError::failure(
            format!("cannot connect to {address}: no reply within {after:?}{}", suffix(failures)),
            "the host may be down, a firewall may drop packets, or the server may not accept; \
             --connect-timeout 30s waits longer",
        ),
        ConnectError::Failed { retries, failures } => {
            let tries = if *retries == 0 { String::new() } else { format!(" ({} tries)", retries + 1) };
            CliError::failure(format!("cannot connect to {address}: {}{tries}", reasons(failures)), hint(failures))
        }
        ConnectError::System(error) => CliError::failure(
            format!("cannot connect to {address}: {}", io_message(error)),
            "free some descriptors, threads or memory",
        ),
    }
}

/// The reason of the failures, once if it is the same for every address.
fn reasons(failures: &[(Destination, io::Error)]) -> String {
    let Some((_, first)) = failures.first() else { return "the name has no address".to_owned() };
    let first = io_message(first);
    if failures.iter().all(|(_, error)| io_message(error) == first) {
        return first;
    }
    let reasons: Vec<String> = failures.iter().map(|(to, error)| format!("{to}: {}", io_message(error))).collect();
    reasons.join("; ")
}

fn suffix(failures: &[(Destination, io::Error)]) -> String {
    if failures.is_empty() { String::new() } else { format!("; {}", reasons(failures)) }
}

fn hint(failures: &[(Destination, io::Error)]) -> &'static str {
    match failures.first().map(|(_, error)| error.kind()) {
        Some(io::ErrorKind::ConnectionRefused) => {
            "no server listens there: start one with `readyloop serve`, or check host and port"
        }
        Some(io::ErrorKind::NotFound) => "no socket exists there: start the server, or check the path",
        Some(io::ErrorKind::PermissionDenied) => "check the permissions of the socket, or the firewall",
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
            "this machine has no route to the address: check the network and the address family"
        }
        _ => "check host and port",
    }
}
