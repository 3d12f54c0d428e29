//! Fire hoses beside people who ask now and then: neither takes the other's share.
//!
//! Every bound is a ratio to what the same client measured alone a moment before.

use std::net::SocketAddr;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Behavior, Crowd, MIB, Serve, Server, TIMEOUT, exclusive_machine, print_note};

const HOSES: usize = 8;
const IN_FLIGHT: u64 = MIB as u64;
const PINGERS: usize = 200;
/// Each pinger asks once in so many milliseconds; every millisecond it is others' turn.
const PING_EVERY_MS: usize = 20;
const SPELL: Duration = Duration::from_millis(1500);
/// Whoever else uses the machine may spoil a few spells; a server that is unfair is so in all.
const SPELLS: usize = 4;
/// On however busy a machine: a tenth of what a loop without budgets lets them wait.
const PINGED_AT_ALL: Duration = Duration::from_millis(100);

/// How many bytes came back to the hoses in one spell.
fn hose(crowd: &mut Crowd) -> u64 {
    let before = crowd.bytes_received();
    crowd.run_for(SPELL);
    crowd.bytes_received() - before
}

/// The 99th percentile of the pingers' round trips in one spell.
fn ping(crowd: &mut Crowd) -> Duration {
    crowd.round_trips.clear();
    let started = Instant::now();
    let group = PINGERS / PING_EVERY_MS;
    for millisecond in 0.. {
        let now = started.elapsed();
        if now >= SPELL {
            break;
        }
        let first = millisecond % PING_EVERY_MS * group;
        ask_the_answered(crowd, first..first + group);
        let next = Duration::from_millis(millisecond as u64 + 1);
        crowd.run_for(next.saturating_sub(now).max(Duration::from_micros(1)));
    }
    assert!(crowd.run_until(TIMEOUT, |members| members.iter().all(|member| member.is_answered())));
    crowd.round_trips.sort_unstable();
    crowd.round_trips[crowd.round_trips.len() * 99 / 100]
}

fn ask_the_answered(crowd: &mut Crowd, who: Range<usize>) {
    for pinger in who {
        if crowd.members[pinger].is_answered() {
            crowd.ask(pinger..pinger + 1, 64);
        }
    }
}

/// The hoses run on a thread of their own, so that they cannot delay the pingers in this process.
fn both(hoses: &mut Crowd, pingers: &mut Crowd) -> (u64, Duration) {
    thread::scope(|scope| {
        let hosed = scope.spawn(|| hose(hoses));
        let pinged = ping(pingers);
        (hosed.join().expect("every byte was right"), pinged)
    })
}

fn join(address: SocketAddr, count: usize, habit: Behavior) -> Crowd {
    let mut crowd = Crowd::new();
    crowd.join(address, count, habit);
    crowd
}

/// What the pingers and the hoses got, alone and beside each other.
#[derive(Debug)]
struct Spell {
    pinged_alone: Duration,
    hosed_alone: u64,
    pinged: Duration,
    hosed: u64,
    /// How long the server was kept from a CPU while both were there.
    server_waited: Duration,
}

impl Spell {
    fn new(server: &Server, pingers: &mut Crowd) -> Self {
        let pinged_alone = ping(pingers);
        let mut hoses = join(server.address(), HOSES, Behavior::Streams { in_flight: IN_FLIGHT });
        let hosed_alone = hose(&mut hoses);
        let before = server.process.waited_for_cpu();
        let (hosed, pinged) = both(&mut hoses, pingers);
        let server_waited = server.process.waited_for_cpu() - before;
        Self { pinged_alone, hosed_alone, pinged, hosed, server_waited }
    }

    fn is_fair(&self) -> bool {
        let prompt = self.pinged <= Duration::from_millis(5).max(3 * self.pinged_alone);
        prompt && self.hosed * 10 >= self.hosed_alone * 8
    }

    /// Other programs had the CPUs for a good part of it: then it shows the scheduler, not the server.
    fn is_disturbed(&self) -> bool {
        self.server_waited > SPELL / 20
    }
}

#[test]
fn fire_hoses_and_pingers_leave_each_other_their_share() {
    let _machine = exclusive_machine();
    let server = Serve::new().start();
    let mut pingers = join(server.address(), PINGERS, Behavior::OnRequest);
    let mut spells = Vec::new();
    for _ in 0..SPELLS {
        let spell = Spell::new(&server, &mut pingers);
        println!("{spell:?}");
        if spell.is_fair() {
            return;
        }
        spells.push(spell);
    }
    assert!(spells.iter().all(Spell::is_disturbed), "{spells:#?}");
    assert!(spells.iter().any(|spell| spell.pinged < PINGED_AT_ALL), "{spells:#?}");
    print_note("fairness was judged by its outer bound only: other programs kept the CPUs busy all the time");
}

#[test]
fn equal_hoses_get_equal_shares() {
    let _machine = exclusive_machine();
    let server = Serve::new().start();
    let mut crowd = join(server.address(), HOSES, Behavior::Streams { in_flight: IN_FLIGHT });
    hose(&mut crowd);
    let shares = crowd.members.iter().map(|member| member.received);
    let (least, most) = (shares.clone().min().unwrap_or(0), shares.max().unwrap_or(0));
    assert!(least * 2 >= most, "one got {least} bytes, another {most}");
    drop(crowd);
    server.drain();
}
