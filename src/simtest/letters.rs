//! `Letters`: what goes to the UDP endpoint of a run, and what may come back.
//!
//! Each answer must be the very datagram that was asked with, at most once for each, and never go
//! to where it could start a conversation of two machines.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::datagram::{DatagramCounters, DatagramLimits};
use crate::net::{Address, DatagramOptions};
use crate::server::Server;
use crate::service::Echo;
use crate::sim::{Rng, SimNet, World, pattern};

/// The most that are sent before one turn.
const BATCH_MAX: usize = 8;
/// The longest; what one Ethernet frame carries.
const LEN_MAX: usize = 1472;
/// Ports whose answers would be answered: echo, chargen, DNS; and none at all.
const TRAPS: [u16; 4] = [7, 19, 53, 0];

/// The letters of a run.
#[derive(Debug)]
pub(super) struct Letters {
    to: Address,
    bound: SocketAddr,
    /// How many were sent of each kind, less those that were answered.
    open: HashMap<(SocketAddr, Vec<u8>), u64>,
    sent: u64,
    sent_bytes: u64,
    answered: u64,
    probability: f64,
}

impl Letters {
    /// Opens a UDP endpoint that echoes.
    pub(super) fn open(server: &mut Server<SimNet>, rng: &mut Rng) -> Self {
        let usual = DatagramLimits::default();
        // From a single answer a second on.
        let source_rate = if rng.chance(0.5) { 1 << rng.below(10) } else { usual.source_rate };
        let waiting_bytes_max = if rng.chance(0.5) { rng.below(4096) } else { usual.waiting_bytes_max };
        let limits = DatagramLimits { source_rate, waiting_bytes_max, ..usual };
        let address: Address = "udp://127.0.0.1:0".parse().expect("an address");
        let options = DatagramOptions::default();
        let endpoint = server.listen_datagrams(&address, &options, limits, Echo::new());
        let to = server.local_address(&endpoint.expect("nobody else is bound there")).clone();
        let Address::Udp(host_port) = &to else { unreachable!("it is as it was asked for") };
        let bound = host_port.parse().expect("a bound address is a number");
        let probability = 0.5_f64.powi(rng.below(6) as i32);
        Self { to, bound, open: HashMap::new(), sent: 0, sent_bytes: 0, answered: 0, probability }
    }

    /// Sends some, sometimes, from whom they need not come.
    pub(super) fn send_some(&mut self, world: &World, rng: &mut Rng) {
        if !rng.chance(self.probability) {
            return;
        }
        for _ in 0..rng.up_to(BATCH_MAX) {
            let port = match rng.below(8) {
                0 => rng.pick(&TRAPS),
                1 => self.bound.port(),
                _ => 20_000 + rng.below(4) as u16,
            };
            let ip = if rng.chance(0.1) { Ipv4Addr::BROADCAST } else { Ipv4Addr::new(10, 0, rng.below(3) as u8, 1) };
            let source = SocketAddr::from((ip, port));
            let longest = LEN_MAX >> rng.below(11);
            let len = rng.below(longest + 1);
            let letter = pattern(self.sent, 0, len);
            world.send_datagram(source, &self.to, &letter);
            self.sent += 1;
            self.sent_bytes += len as u64;
            *self.open.entry((source, letter)).or_default() += 1;
        }
    }

    /// Looks at what came back.
    pub(super) fn take_answers(&mut self, world: &World) {
        for (from, to, letter) in world.take_datagrams() {
            // After the end nobody is bound there, and letters come back as they were sent.
            if from != self.bound {
                continue;
            }
            assert!(!self.is_trap(&to), "an answer to {to}, which may answer it");
            self.answered += 1;
            let left = self.open.get_mut(&(to, letter)).filter(|left| **left > 0);
            *left.unwrap_or_else(|| panic!("{to} got an answer to what it never asked")) -= 1;
        }
    }

    fn is_trap(&self, to: &SocketAddr) -> bool {
        TRAPS.contains(&to.port()) || to.port() == self.bound.port() || to.ip() == IpAddr::V4(Ipv4Addr::BROADCAST)
    }

    /// Every letter is accounted for, and no more goes out than came in.
    pub(super) fn check(&self, counters: &DatagramCounters) {
        assert!(counters.reconciles(), "{counters:?}");
        assert!(
            counters.received <= self.sent && counters.bytes_in <= self.sent_bytes,
            "more came than was sent: {counters:?}"
        );
        assert_eq!(counters.answered, self.answered, "answers that went out, and that came back");
        assert!(counters.bytes_out <= counters.bytes_in, "more goes out than came in: {counters:?}");
    }
}
