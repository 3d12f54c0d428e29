//! Reaching the peer, and saying why it cannot be reached.

use std::io;

use readyloop::client::{Backoff, Connect, ConnectError, Connected};
use readyloop::net::{Address, ConnectOptions, Destination};

use crate::cli_error::{CliError, io_message};

use super::settings::Settings;

/// Connects.
///
/// # Errors
/// What the user can act on: the name, the address, the time.
pub(super) fn connect(address: &Address, settings: &Settings) -> Result<Connected, CliError> {
    let connect = Connect {
        timeout: settings.connect_timeout,
        retries: settings.retries,
        backoff: Backoff::default(),
        options: ConnectOptions::default(),
    };
    connect.to(address).map_err(|error| connect_error(address, &error))
}

/// Why there is no way to that address, and what to type.
pub(super) fn connect_error(address: &Address, error: &ConnectError) -> CliError {
    match error {
        ConnectError::LookUp { name, error } => CliError::failure(
            format!("cannot look up {name}: {}", io_message(error)),
            "check the name; an address such as 127.0.0.1:7007 needs no look-up",
        ),
        ConnectError::TimedOut { after, failures } => CliError::failure(
            format!("cannot connect to {address}: nothing came back within {after:?}{}", suffix(failures)),
            "the host is down, a firewall is silent, or the server does not accept; \
             --connect-timeout 30s waits longer",
        ),
        ConnectError::Failed { retries, failures } => {
            let tries = if *retries == 0 { String::new() } else { format!(" ({} tries)", retries + 1) };
            CliError::failure(format!("cannot connect to {address}: {}{tries}", reasons(failures)), hint(failures))
        }
        ConnectError::System(error) => CliError::failure(
            format!("cannot connect to {address}: {}", io_message(error)),
            "the system has run out of something: descriptors, threads or memory",
        ),
    }
}

/// One reason where all have the same, else each address with its own.
fn reasons(failures: &[(Destination, io::Error)]) -> String {
    let Some((_, first)) = failures.first() else { return "the name stands for no address".to_owned() };
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
            "nobody listens there: start the server (`readyloop serve`) or check host and port"
        }
        Some(io::ErrorKind::NotFound) => "there is no such socket: start the server or check the path",
        Some(io::ErrorKind::PermissionDenied) => "you may not use it: check its permissions, or the firewall",
        Some(io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable) => {
            "this machine has no way there: check the network, or the address family"
        }
        _ => "check the address",
    }
}
