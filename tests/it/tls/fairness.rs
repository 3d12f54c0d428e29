//! Fire hoses over TLS beside one who asks now and then: encrypting for the many keeps the one
//! waiting no longer than the plain loop may.
//!
//! Every bound is a ratio to what the same client measured alone a moment before.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use readyloop::net::tls::TlsVersion;

use crate::support::tls::{Hand, Secure, VERSIONS};
use crate::support::{MIB, Role, TIMEOUT, exclusive_machine, print_note};

const HOSES: usize = 8;
/// How long the pinger asks, alone and beside the hoses.
const SPELL: Duration = Duration::from_millis(500);
/// Whoever else uses the machine may spoil a few spells; a server that is unfair is so in all.
const SPELLS: usize = 4;
/// On however busy a machine.
const PINGED_AT_ALL: Duration = Duration::from_millis(100);

/// The 99th percentile of the round trips of one spell, one after another.
#[track_caller]
fn ping(pinger: &mut Hand) -> Duration {
    let (started, mut trips) = (Instant::now(), Vec::new());
    while started.elapsed() < SPELL {
        let asked = Instant::now();
        pinger.send(b"ping");
        pinger.expect(b"ping");
        trips.push(asked.elapsed());
    }
    trips.sort_unstable();
    trips[trips.len() * 99 / 100]
}

/// What the pinger got, alone and beside the hoses.
#[derive(Debug)]
struct Spell {
    pinged_alone: Duration,
    pinged: Duration,
    /// What came back to the hoses meanwhile, in bytes.
    hosed: u64,
    /// How long the server was kept from a CPU while both were there.
    server_waited: Duration,
}

impl Spell {
    #[track_caller]
    fn new(secure: &Secure, version: TlsVersion, pinger: &mut Hand) -> Self {
        let pinged_alone = ping(pinger);
        let ((flow, flows), (over, is_over)) = (channel(), channel::<()>());
        thread::scope(|scope| {
            let hoses = scope.spawn(move || {
                let mut hoses = secure.talks(version);
                hoses.join(HOSES, Role::Repeats(MIB as u64));
                assert!(hoses.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.received > 0)));
                let before = hoses.received();
                flow.send(()).expect("the pinger waits for it");
                while is_over.try_recv().is_err() {
                    hoses.run_for(Duration::from_millis(5));
                }
                hoses.received() - before
            });
            flows.recv_timeout(TIMEOUT).expect("the hoses flow");
            let before = secure.server.process.waited_for_cpu();
            let pinged = ping(pinger);
            let server_waited = secure.server.process.waited_for_cpu() - before;
            over.send(()).expect("they flow until then");
            Self { pinged_alone, pinged, hosed: hoses.join().expect("every byte was right"), server_waited }
        })
    }

    fn is_fair(&self) -> bool {
        self.hosed > 0 && self.pinged <= Duration::from_millis(5).max(3 * self.pinged_alone)
    }

    /// Other programs had the CPUs for a good part of it: then it shows the scheduler, not the server.
    fn is_disturbed(&self) -> bool {
        self.server_waited > SPELL / 20
    }
}

#[test]
fn fire_hoses_keep_a_pinger_waiting_no_longer_than_without_tls() {
    let _machine = exclusive_machine();
    for version in VERSIONS {
        let secure = Secure::start("");
        let mut pinger = secure.hand(version);
        let mut spells = Vec::new();
        while spells.len() < SPELLS && !spells.last().is_some_and(Spell::is_fair) {
            spells.push(Spell::new(&secure, version, &mut pinger));
        }
        println!("{version:?}: {spells:#?}");
        if !spells.iter().any(Spell::is_fair) {
            assert!(spells.iter().all(Spell::is_disturbed), "{spells:#?}");
            assert!(spells.iter().any(|spell| spell.pinged < PINGED_AT_ALL), "{spells:#?}");
            print_note("fairness over TLS was judged by its outer bound only: other programs kept the CPUs busy");
        }
        drop(pinger);
        secure.server.drain();
    }
}
