//! Rows about datagrams: each comes back whole, to its sender, and to no other server.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::lifecycle::SETTLE;
use crate::conform::datagram::{DATAGRAM_LEN_MAX, DatagramPeer, datagram};
use crate::conform::row_run::RowRun;
use crate::conform::verdict::{Checked, Stop};
use crate::quantity::{counted, grouped};

/// Datagrams of every kind of length.
pub(super) fn udp_sizes(run: &mut RowRun<'_>) -> Checked<String> {
    const LENGTHS: [usize; 9] = [1, 2, 100, 512, 1_472, 1_473, 9_000, 32_768, DATAGRAM_LEN_MAX];
    run.wait_for_datagrams()?;
    for len in LENGTHS.into_iter().chain([0]) {
        run.datagram_peer()?.echo(&datagram(len as u64, len))?;
    }
    Ok(format!("0 to {} bytes came back", grouped(DATAGRAM_LEN_MAX as u64)))
}

/// Datagrams that follow each other at once stay apart.
pub(super) fn udp_boundaries(run: &mut RowRun<'_>) -> Checked<String> {
    const COUNT: u64 = 16;
    /// A datagram may be lost, but not in each round.
    const ROUNDS: u32 = 4;
    const QUIET: Duration = Duration::from_millis(300);
    run.wait_for_datagrams()?;
    let mut missing = Vec::new();
    for _ in 0..ROUNDS {
        // A new socket receives no late answers of the last round.
        let peer = run.datagram_peer()?;
        missing = (0..COUNT).map(|number| datagram(number, 10 + number as usize * 7)).collect();
        missing.iter().try_for_each(|datagram| peer.send(datagram))?;
        while let Some(answer) = peer.receive(QUIET)? {
            let Some(place) = missing.iter().position(|datagram| *datagram == answer) else {
                let len = counted(answer.len() as u64, "byte");
                return Err(Stop::Failed(format!("{COUNT} datagrams were sent, and one of {len} came back too many")));
            };
            missing.swap_remove(place);
        }
        if missing.is_empty() {
            return Ok(format!("{} in a row came back as they were", counted(COUNT, "datagram")));
        }
    }
    Err(Stop::Failed(format!("{} of {COUNT} datagrams did not come back", missing.len())))
}

/// Several clients at once: each receives its own datagram.
pub(super) fn udp_peers(run: &mut RowRun<'_>) -> Checked<String> {
    const PEERS: u64 = 16;
    let peers: Vec<DatagramPeer<'_>> = (0..PEERS).map(|_| run.datagram_peer()).collect::<Checked<_>>()?;
    run.wait_for_datagrams()?;
    let own = |number: usize| datagram(number as u64, 100);
    peers.iter().enumerate().try_for_each(|(number, peer)| peer.send(&own(number)))?;
    // A lost datagram is sent again.
    peers.iter().enumerate().try_for_each(|(number, peer)| peer.echo(&own(number)))?;
    Ok(format!("each of {} at once received its own datagram", counted(PEERS, "client")))
}

/// Clients that are gone before their answer arrives, so that the kernel reports errors to the server.
pub(super) fn udp_errors(run: &mut RowRun<'_>) -> Checked<String> {
    const GONE: u64 = 20;
    /// So many that a server still answers when the client is gone, and so few that all fit a receive buffer.
    const DATAGRAMS: u64 = 10;
    run.wait_for_datagrams()?;
    // A server that this program has started is suspended meanwhile, so that no client gets an answer.
    if let Some(server) = &run.server {
        server.signal_all(Signal::STOP);
        run.wait.pause(SETTLE)?;
    }
    for _ in 0..GONE {
        let peer = run.datagram_peer()?;
        (0..DATAGRAMS).try_for_each(|number| peer.send(&datagram(number, 100)))?;
    }
    run.server.iter().for_each(|server| server.signal_all(Signal::CONT));
    run.datagram_peer()?.echo(&datagram(GONE, 100))?;
    Ok(format!("it answered after {} that were gone", counted(GONE, "client")))
}

/// A datagram from another echo server does not bounce forever.
pub(super) fn udp_loop(run: &mut RowRun<'_>) -> Checked<String> {
    /// A limited rate of answers ends a loop as well, after some bounces.
    const BOUNCES_ALLOWED: u64 = 1_000;
    const SPAN: Duration = Duration::from_secs(1);
    const QUIET: Duration = Duration::from_millis(300);
    run.wait_for_datagrams()?;
    let other = other_server(run)?;
    other.send(b"ping")?;
    let (started, mut bounces) = (Instant::now(), 0_u64);
    while let Some(answer) = other.receive(QUIET)? {
        bounces += 1;
        if bounces > BOUNCES_ALLOWED || started.elapsed() > SPAN {
            let times = grouped(bounces);
            return Err(Stop::Failed(format!("1 datagram bounced {times} times to another echo server and back")));
        }
        other.send(&answer)?;
    }
    Ok(format!("1 datagram from the port of an echo server was answered {}", counted(bounces, "time")))
}

/// A socket that looks like another echo server: at the same port of another address of this machine, or at port 7.
fn other_server<'a>(run: &RowRun<'a>) -> Checked<DatagramPeer<'a>> {
    const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    const ECHO_PORT: u16 = 7;
    if run.address.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        return Err(Stop::skipped("it needs a server on 127.0.0.1"));
    }
    let same_port = UdpSocket::bind((OTHER, run.address.port()));
    match same_port.or_else(|_| UdpSocket::bind((OTHER, ECHO_PORT))) {
        Ok(socket) => DatagramPeer::new(socket, run.address, run.wait),
        Err(_) => {
            Err(Stop::skipped("this machine lets it use neither the port of the server at 127.0.0.2, nor port 7"))
        }
    }
}
