//! Runs a plan: resolves the address, chooses the generator, and runs it to its end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use readyloop::client::{Connect, look_up, resolve};
use readyloop::load::{DatagramGenerator, Generator, LoadRun, Plan, Record, RunProgress};
use readyloop::net::{Address, ControlEvent, Destination};
use readyloop::{Dial, Reactor};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli_error::{BUG, CliError};
use crate::client::{connect_error, tls_target};
use crate::progress::Progress;
use crate::quantity::{Unit, counted, grouped};

use super::settings::Settings;

/// A run that has ended.
pub(super) struct Measured {
    pub(super) record: Record,
    /// The first error of TLS.
    pub(super) tls_error: Option<io::Error>,
}

/// Runs the plan to its end.
pub(super) fn measure(plan: Plan, settings: &Settings) -> Result<Measured, CliError> {
    if let Address::Udp(host_port) = &plan.address {
        let found = look_up(host_port, plan.timeout).map_err(|error| connect_error(&plan.address, &error))?;
        let Some(&server) = found.first() else { return Err(no_address(&plan.address)) };
        let server = reachable(server);
        check_family(&plan, server)?;
        return run(settings, |reactor| DatagramGenerator::new(reactor, server, plan, settings.pid));
    }
    let server = destination(&plan)?;
    if let Destination::Tcp(server) = server {
        check_family(&plan, server)?;
    }
    let dial = Dial { tls: tls_target(&plan.address, &settings.tls)?, ..Dial::default() };
    run(settings, |reactor| Generator::new(reactor, dial, server, plan, settings.pid))
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

fn run<R: LoadRun>(settings: &Settings, begin: impl FnOnce(Reactor) -> io::Result<R>) -> Result<Measured, CliError> {
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let reactor = reactor().map_err(|error| cannot_start(&error))?;
    let mut generator = begin(reactor).map_err(|error| match settings.pid {
        Some(pid) => {
            let hint = "type the id of a running process of yours; `pidof readyloop` prints those of readyloop";
            CliError::system(format_args!("cannot inspect process {pid}"), &error, hint)
        }
        None => cannot_start(&error),
    })?;
    let progress = Progress::start();
    loop {
        match generator.turn() {
            Ok(None) => progress.update(|| progress_line(&generator.progress())),
            Ok(Some(_)) => break,
            Err(error) => return Err(CliError::system("the event loop failed", &error, BUG)),
        }
    }
    progress.show("");
    let tls_error = generator.take_tls_error();
    Ok(Measured { record: generator.into_record(settings.name(), begun), tls_error })
}

/// A reactor that stops the run on SIGINT and SIGTERM.
fn reactor() -> io::Result<Reactor> {
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
