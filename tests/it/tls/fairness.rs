//! Bulk transfers over TLS next to a client with small requests: encryption for the bulk must not
//! delay the small requests more than a plain server may.
//!
//! Every bound is relative to a measurement of the same client alone, a moment before.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use readyloop::net::tls::TlsVersion;

use crate::support::tls::{ManualClient, Secure, VERSIONS};
use crate::support::{MIB, Role, TIMEOUT, exclusive_machine, print_note};

const HOSES: usize = 8;
/// How long the pinger measures, alone and beside the hoses.
const SPELL: Duration = Duration::from_millis(500);
/// Other programs may disturb some measurements. An unfair server fails all of them.
const SPELLS: usize = 4;
/// The bound on a disturbed machine.
const PING_MAX: Duration = Duration::from_millis(100);

/// The 99th percentile of the round-trip times within one `SPELL`.
#[track_caller]
fn ping(pinger: &mut ManualClient) -> Duration {
    let (started, mut times) = (Instant::now(), Vec::new());
    while started.elapsed() < SPELL {
        let asked = Instant::now();
        pinger.send(b"ping");
        pinger.expect(b"ping");
        times.push(asked.elapsed());
    }
    times.sort_unstable();
    times[times.len() * 99 / 100]
}

/// One measurement, alone and beside the hoses.
#[derive(Debug)]
struct Measurement {
    pinged_alone: Duration,
    pinged: Duration,
    /// The bytes echoed to the hoses meanwhile.
    hosed: u64,
    /// How long the server waited for a CPU meanwhile.
    server_waited: Duration,
}

impl Measurement {
    #[track_caller]
    fn new(secure: &Secure, version: TlsVersion, pinger: &mut ManualClient) -> Self {
        let pinged_alone = ping(pinger);
        let ((flow_sender, flow_receiver), (stop_sender, stop_receiver)) = (channel(), channel::<()>());
        thread::scope(|scope| {
            let hoses = scope.spawn(move || {
                let mut hoses = secure.talks(version);
                hoses.join(HOSES, Role::Repeats(MIB as u64));
                assert!(hoses.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.received > 0)));
                let before = hoses.received();
                flow_sender.send(()).expect("the pinger waits for it");
                while stop_receiver.try_recv().is_err() {
                    hoses.run_for(Duration::from_millis(5));
                }
                hoses.received() - before
            });
            flow_receiver.recv_timeout(TIMEOUT).expect("the hoses flow");
            let before = secure.server.process.waited_for_cpu();
            let pinged = ping(pinger);
            let server_waited = secure.server.process.waited_for_cpu() - before;
            stop_sender.send(()).expect("the hoses flow until then");
            Self { pinged_alone, pinged, hosed: hoses.join().expect("every byte is correct"), server_waited }
        })
    }

    fn is_fair(&self) -> bool {
        self.hosed > 0 && self.pinged <= Duration::from_millis(5).max(3 * self.pinged_alone)
    }

    /// Whether other programs used the CPUs so much that this measures the scheduler, not the server.
    fn is_disturbed(&self) -> bool {
        self.server_waited > SPELL / 20
    }
}

#[test]
fn fire_hoses_keep_a_pinger_waiting_no_longer_than_without_tls() {
    let _machine = exclusive_machine();
    for version in VERSIONS {
        let secure = Secure::start("");
        let mut pinger = secure.client(version);
        let mut measurements = Vec::new();
        while measurements.len() < SPELLS && !measurements.last().is_some_and(Measurement::is_fair) {
            measurements.push(Measurement::new(&secure, version, &mut pinger));
        }
        println!("{version:?}: {measurements:#?}");
        if !measurements.iter().any(Measurement::is_fair) {
            assert!(measurements.iter().all(Measurement::is_disturbed), "{measurements:#?}");
            assert!(measurements.iter().any(|one| one.pinged < PING_MAX), "{measurements:#?}");
            print_note("fairness over TLS was tested by its outer bound only: other programs kept the CPUs busy");
        }
        drop(pinger);
        secure.server.drain();
    }
}
