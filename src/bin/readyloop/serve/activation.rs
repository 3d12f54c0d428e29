//! Sockets that systemd or a predecessor has passed on, and their effect on the settings.

use readyloop::Address;
use readyloop::event_loop;
use readyloop::net::inherited::InheritedSockets;

use crate::cli_error::CliError;

use super::settings::Settings;

/// Takes the sockets of the environment, and changes the settings to use them.
///
/// A socket with the name `admin` is the administration endpoint, and `tls` is a TLS address. Without `--listen`,
/// the server listens on what was passed on, also as a successor.
///
/// # Errors
/// A variable or a descriptor is not what it has to be.
pub(super) fn take_sockets(settings: &mut Settings) -> Result<InheritedSockets, CliError> {
    let sockets = InheritedSockets::from_environment().map_err(|error| {
        CliError::usage(
            format!("the sockets that were passed on cannot be used: {error}"),
            "pass sockets in the form of systemd, as `man sd_listen_fds` describes, or unset LISTEN_FDS",
        )
    })?;
    if let Some(worker) = &settings.threads.worker {
        settings.admin = Some(Address::Unix(worker.admin.clone()));
        settings.output.ready_file = None;
    }
    let is_admin = |name: &str| name == event_loop::ADMIN;
    if settings.admin.is_none() {
        settings.admin = sockets.iter().find(|socket| is_admin(socket.name())).map(|socket| socket.address().clone());
    }
    if settings.endpoints.has_default_address() {
        let passed = sockets.iter().filter(|socket| !is_admin(socket.name()));
        let addresses: Vec<Address> = passed.map(|socket| with_tls(socket.address(), socket.name())).collect();
        if !addresses.is_empty() {
            settings.endpoints.listen = addresses;
            settings.endpoints.are_passed = true;
        }
    }
    Ok(sockets)
}

fn with_tls(address: &Address, name: &str) -> Address {
    match address {
        Address::Tcp(host_port) if name == event_loop::TLS => Address::Tls(host_port.clone()),
        Address::Tcp(_) | Address::Tls(_) | Address::Udp(_) | Address::Unix(_) => address.clone(),
    }
}
