//! Runs a plan: resolves the address, and runs the generator to its end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use readyloop::client::{Connect, look_up, resolve};
use readyloop::load::{self, LoadError, LoadResult, LoadTarget, Plan, RunProgress};
use readyloop::net::{Address, ControlEvent, Destination};
use readyloop::{Dial, Reactor};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli_error::{BUG, CliError};
use crate::client::{connect_error, tls_target};
use crate::progress::Progress;
use crate::quantity::{Unit, counted, grouped};

use super::settings::Settings;

/// Runs the plan to its end.
pub(super) fn measure(plan: &Plan, settings: &Settings) -> Result<LoadResult, CliError> {
    let target = target(plan, settings)?;
    let progress = Progress::start();
    let show = progress.is_shown().then_some(|state: &RunProgress| progress.show(&progress_line(state)));
    let control = control().map_err(|error| cannot_start(&error))?;
    let result = load::run(plan, &target, settings.pid, control, show);
    progress.show("");
    let mut result = result.map_err(|error| match error {
        LoadError::Inspect(error) => {
            let hint = "type the id of a running process of yours; `pidof readyloop` prints those of readyloop";
            let pid = settings.pid.unwrap_or_default();
            CliError::system(format_args!("cannot inspect process {pid}"), &error, hint)
        }
        LoadError::Start(error) => cannot_start(&error),
        LoadError::Turn(error) => CliError::system("the event loop failed", &error, BUG),
    })?;
    result.record.name = settings.name();
    Ok(result)
}

fn target(plan: &Plan, settings: &Settings) -> Result<LoadTarget, CliError> {
    if let Address::Udp(host_port) = &plan.address {
        let found = look_up(host_port, plan.timeout).map_err(|error| connect_error(&plan.address, &error))?;
        let Some(&server) = found.first() else { return Err(no_address(&plan.address)) };
        let server = reachable(server);
        check_family(plan, server)?;
        return Ok(LoadTarget::Datagrams(server));
    }
    let server = destination(plan)?;
    if let Destination::Tcp(server) = server {
        check_family(plan, server)?;
    }
    let dial = Dial { tls: tls_target(&plan.address, &settings.tls)?, ..Dial::default() };
    Ok(LoadTarget::Connections(Box::new(dial), server))
}

/// The address to connect to. If a host name has several addresses, the first one that accepts.
fn destination(plan: &Plan) -> Result<Destination, CliError> {
    let address = &plan.address;
    let found = resolve(address, plan.timeout).map_err(|error| connect_error(address, &error))?;
    match &found[..] {
        [only] => Ok(only.clone()),
        [] => Err(no_address(address)),
        [..] => {
            let connect = Connect { timeout: plan.timeout, ..Connect::default() };
            connect.to(address).map(|connected| connected.to).map_err(|error| connect_error(address, &error))
        }
    }
}

/// The address to send to. A server that listens on all addresses answers a datagram to the unspecified one
/// from the loopback address.
fn reachable(server: SocketAddr) -> SocketAddr {
    match server.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, server.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, server.port()).into(),
        IpAddr::V4(_) | IpAddr::V6(_) => server,
    }
}

fn check_family(plan: &Plan, server: SocketAddr) -> Result<(), CliError> {
    match plan.sources.iter().find(|source| source.is_ipv4() != server.is_ipv4()) {
        None => Ok(()),
        Some(source) => Err(CliError::usage(
            format!("cannot connect from {source} to {server}: one is IPv4, the other is IPv6"),
            "type --source with addresses of the same family as the server",
        )),
    }
}

fn no_address(address: &Address) -> CliError {
    CliError::failure(
        format!("cannot connect to {address}: the name has no address"),
        "type an IP address such as 127.0.0.1:7007",
    )
}

/// A reactor that stops the run on SIGINT and SIGTERM.
fn control() -> io::Result<Reactor> {
    let mut reactor = Reactor::new()?;
    reactor.watch_signal(SIGINT, ControlEvent::Stop)?;
    reactor.watch_signal(SIGTERM, ControlEvent::Stop)?;
    Ok(reactor)
}

fn cannot_start(error: &io::Error) -> CliError {
    CliError::system("cannot start the generator", error, "raise the descriptor limit: `ulimit -n 1024`")
}

/// The state of a run in one line.
fn progress_line(progress: &RunProgress) -> String {
    let RunProgress { open, measured, answered, errors } = progress;
    let open = counted(*open as u64, "connection");
    let seconds = measured.as_secs_f64();
    let state = if measured.is_zero() {
        "warming up".to_owned()
    } else {
        format!("{seconds:.1} s   {}   {}", counted(*answered, "request"), Unit::Rate.print(*answered as f64 / seconds))
    };
    format!("{open}   {state}   errors {}", grouped(*errors))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_line_shows_the_state_of_the_run() {
        let progress = RunProgress { open: 19_000, measured: Duration::ZERO, answered: 0, errors: 2 };
        assert_eq!(progress_line(&progress), "19,000 connections   warming up   errors 2");
        let progress = RunProgress { open: 1, measured: Duration::from_secs(2), answered: 4_000, errors: 0 };
        assert_eq!(progress_line(&progress), "1 connection   2.0 s   4,000 requests   2.00 k/s   errors 0");
    }
}
