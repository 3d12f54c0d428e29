//! `DatagramClients`: the datagrams that a run sends to its UDP endpoint, and their answers.
//!
//! An answer must repeat the request, come from the address that was asked, and come at most once for each
//! request. It must never go to an address that may answer again.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::datagram::{DatagramCounters, DatagramLimits};
use crate::event_loop::EventLoop;
use crate::net::{Address, DatagramOptions};
use crate::service::Echo;
use crate::sim::{Rng, SimNet, World, pattern};

/// The most datagrams that are sent before one turn.
const BATCH_MAX: usize = 8;
/// The longest datagram, which fits into one Ethernet frame.
const LEN_MAX: usize = 1472;
/// Ports that must not be answered: echo, chargen and DNS would answer again, 0 is invalid.
const FORBIDDEN_PORTS: [u16; 4] = [7, 19, 53, 0];

/// The clients of the UDP endpoint of a run.
#[derive(Debug)]
pub(super) struct DatagramClients {
    bound: SocketAddr,
    /// The number of unanswered requests, by destination, source and content.
    unanswered: HashMap<(SocketAddr, SocketAddr, Vec<u8>), u64>,
    sent: u64,
    sent_bytes: u64,
    answered: u64,
    probability: f64,
}

impl DatagramClients {
    /// Opens a UDP echo endpoint.
    pub(super) fn open(server: &mut EventLoop<SimNet>, rng: &mut Rng) -> Self {
        let usual = DatagramLimits::default();
        // The lowest rate is a single answer per second.
        let source_rate = if rng.chance(0.5) { 1 << rng.below(10) } else { usual.source_rate };
        let waiting_bytes_max = if rng.chance(0.5) { rng.below(4096) } else { usual.waiting_bytes_max };
        let limits = DatagramLimits { source_rate, waiting_bytes_max, ..usual };
        let host = if rng.chance(0.5) { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let address = Address::Udp(format!("{host}:0"));
        let options = DatagramOptions::default();
        let to = server.listen_datagrams(&address, &options, limits, Echo::new()).expect("the address is free");
        let Address::Udp(host_port) = &to else { unreachable!("a UDP address was requested") };
        let bound = host_port.parse().expect("a bound address is numeric");
        let probability = 0.5_f64.powi(rng.below(6) as i32);
        Self { bound, unanswered: HashMap::new(), sent: 0, sent_bytes: 0, answered: 0, probability }
    }

    /// At random sends some datagrams, partly with forged sources.
    pub(super) fn send_some(&mut self, world: &World, rng: &mut Rng) {
        if !rng.chance(self.probability) {
            return;
        }
        for _ in 0..rng.up_to(BATCH_MAX) {
            let port = match rng.below(8) {
                0 => rng.pick(&FORBIDDEN_PORTS),
                1 => self.bound.port(),
                _ => 20_000 + rng.below(4) as u16,
            };
            let ip = if rng.chance(0.1) { Ipv4Addr::BROADCAST } else { Ipv4Addr::new(10, 0, rng.below(3) as u8, 1) };
            let source = SocketAddr::from((ip, port));
            let len_max = LEN_MAX >> rng.below(11);
            let len = rng.below(len_max + 1);
            let datagram = pattern(self.sent, 0, len);
            let host = if self.bound.ip().is_unspecified() { 1 + rng.below(3) as u8 } else { 1 };
            let to = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), self.bound.port()));
            world.send_datagram(source, &Address::Udp(to.to_string()), &datagram);
            self.sent += 1;
            self.sent_bytes += len as u64;
            *self.unanswered.entry((to, source, datagram)).or_default() += 1;
        }
    }

    /// Takes and checks the answers.
    pub(super) fn take_answers(&mut self, world: &World) {
        for (from, to, datagram) in world.take_datagrams() {
            // After the end of the server its address is free, and the world returns our own datagrams.
            if !from.ip().is_loopback() {
                continue;
            }
            assert!(!self.is_forbidden(&to), "an answer to {to}, which may answer again");
            self.answered += 1;
            let left = self.unanswered.get_mut(&(from, to, datagram)).filter(|left| **left > 0);
            *left.unwrap_or_else(|| panic!("{to} got an answer from {from} without a request")) -= 1;
        }
    }

    fn is_forbidden(&self, to: &SocketAddr) -> bool {
        let is_broadcast = to.ip() == IpAddr::V4(Ipv4Addr::BROADCAST);
        FORBIDDEN_PORTS.contains(&to.port()) || to.port() == self.bound.port() || is_broadcast
    }

    /// Checks the counters of the endpoint. No more may go out than came in.
    pub(super) fn check(&self, counters: &DatagramCounters) {
        assert!(counters.reconciles(), "{counters:?}");
        assert!(
            counters.received <= self.sent && counters.bytes_in <= self.sent_bytes,
            "more was received than sent: {counters:?}"
        );
        assert_eq!(counters.answered, self.answered, "answers counted by the server, and answers that arrived");
        assert!(counters.bytes_out <= counters.bytes_in, "more bytes out than in: {counters:?}");
    }
}
