//! Checks of this machine before a run: descriptors, local ports and source addresses.

use std::fs;
use std::net::SocketAddr;

use readyloop::load::Plan;
use readyloop::load::plan::ConnectionReuse;
use readyloop::load::record::Transport;
use socket2::{Domain, Socket, Type};

use crate::cli_error::{CliError, io_message};
use crate::descriptors::{self, OF_A_THREAD};
use crate::quantity::counted;

/// Descriptors for other uses than connections: standard streams, the poll, signals and files of `/proc`.
const RESERVE: u64 = 32;

/// Size of the default port range of Linux, used if the real one cannot be read.
const PORTS: u64 = 28_232;

/// Rejects a run that would exceed the limits of this machine.
pub(super) fn check(plan: &Plan) -> Result<(), CliError> {
    let reserve = RESERVE + OF_A_THREAD * plan.threads as u64;
    descriptors::check(plan.connections_max() as u64, reserve, descriptors::raise_limit())?;
    check_sources(plan)?;
    check_ports(plan, ports())
}

fn check_sources(plan: &Plan) -> Result<(), CliError> {
    let kind = if plan.transport() == Transport::Udp { Type::DGRAM } else { Type::STREAM };
    for source in &plan.sources {
        let address = SocketAddr::new(*source, 0);
        let socket = Socket::new(Domain::for_address(address), kind, None);
        if let Err(error) = socket.and_then(|socket| socket.bind(&address.into())) {
            return Err(CliError::usage(
                format!("cannot connect from {source}: {}", io_message(&error)),
                "use addresses of this machine: `ip -brief address` lists them",
            ));
        }
    }
    Ok(())
}

fn check_ports(plan: &Plan, ports: u64) -> Result<(), CliError> {
    let sources = plan.sources.len().max(1) as u64;
    let needed = plan.connections_max() as u64;
    let has_ports = plan.transport() != Transport::Unix;
    if !has_ports || needed <= ports.saturating_mul(sources) {
        return Ok(());
    }
    let last = needed.div_ceil(ports.max(1)) + 1;
    let hint = match plan.reuse {
        ConnectionReuse::Persistent if last < 255 => {
            format!("use --source 127.0.0.2-127.0.0.{last}, if the server runs on this machine")
        }
        ConnectionReuse::Persistent
        | ConnectionReuse::PerRequest
        | ConnectionReuse::Requests(_)
        | ConnectionReuse::Time(_) => "use a lower -c, or more addresses with --source".to_owned(),
    };
    let available = ports.saturating_mul(sources);
    let many = counted(needed, "connection");
    Err(CliError::failure(format!("too few local ports for {many}: there are {available}"), hint))
}

/// Number of local ports that the kernel assigns to outgoing connections.
fn ports() -> u64 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let ends: Vec<u64> = range.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    match ends[..] {
        [first, last] if first <= last => last - first + 1,
        _ => PORTS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(connections: usize, sources: &[&str]) -> Plan {
        let sources = sources.iter().map(|source| source.parse().unwrap()).collect();
        Plan { connections, sources, ..Plan::new("127.0.0.1:7".parse().unwrap()) }
    }

    #[test]
    fn each_source_address_has_its_own_ports() {
        assert_eq!(check_ports(&plan(100, &[]), 100), Ok(()));
        assert_eq!(check_ports(&plan(200, &["127.0.0.2", "127.0.0.3"]), 100), Ok(()));
        let refused = check_ports(&plan(201, &["127.0.0.2", "127.0.0.3"]), 100).unwrap_err();
        assert!(refused.hint.contains("--source 127.0.0.2-127.0.0.4"), "{}", refused.hint);
        let unix = Plan { connections: 200, ..Plan::new("unix:/tmp/a".parse().unwrap()) };
        assert_eq!(check_ports(&unix, 100), Ok(()));
    }

    #[test]
    fn a_foreign_address_cannot_be_a_source() {
        assert_eq!(check_sources(&plan(1, &["127.0.0.1"])), Ok(()));
        assert!(check_sources(&plan(1, &["192.0.2.1"])).is_err());
    }
}
