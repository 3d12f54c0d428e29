//! Bulk transfers over TLS next to a client with small requests: encryption for the bulk must not
//! delay the small requests more than a plain server may.
//!
//! Every bound is relative to a measurement of the same client alone, a moment before.

use std::sync::mpsc::{TryRecvError, channel};
use std::thread;
use std::time::Duration;

use readyloop::net::tls::TlsVersion;

use crate::support::tls::{ManualClient, Secure, for_each_version};
use crate::support::{Attempt, MIB, Role, TIMEOUT, exclusive_machine, p99_within, repeat_attempts};

const STREAMS: usize = 8;
/// How long the pinger measures, alone and beside the streams.
const SPAN: Duration = Duration::from_millis(500);
/// The bound on a disturbed machine.
const PING_MAX: Duration = Duration::from_millis(100);

/// The 99th percentile of the round-trip times within one `SPAN`.
#[track_caller]
fn ping(pinger: &mut ManualClient) -> Duration {
    p99_within(SPAN, || pinger.echoes(b"ping"))
}

/// Measures the pinger, first alone and then beside the streams.
#[track_caller]
fn measure(secure: &Secure, version: TlsVersion, pinger: &mut ManualClient) -> Attempt {
    let ping_alone = ping(pinger);
    let ((flow_sender, flow_receiver), (stop_sender, stop_receiver)) = (channel(), channel::<()>());
    let (ping, hosed, server_waited) = thread::scope(|scope| {
        let streams = scope.spawn(move || {
            let mut streams = secure.talks(version);
            streams.join(STREAMS, Role::Repeats(MIB as u64));
            assert!(streams.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.received > 0)));
            let before = streams.received();
            flow_sender.send(()).expect("the pinger waits for it");
            // The test stops the streams, or its panic drops the sender.
            while stop_receiver.try_recv() == Err(TryRecvError::Empty) {
                streams.run_for(Duration::from_millis(5));
            }
            streams.received() - before
        });
        flow_receiver.recv_timeout(TIMEOUT).expect("the streams flow");
        let waited_before = secure.server.process.waited_for_cpu();
        let ping = ping(pinger);
        let server_waited = secure.server.process.waited_for_cpu() - waited_before;
        drop(stop_sender);
        (ping, streams.join().expect("every byte is correct"), server_waited)
    });
    println!(
        "{version:?}: alone {ping_alone:?}; together {ping:?}, {hosed} bytes; the server waited {server_waited:?}"
    );
    Attempt {
        is_good: hosed > 0 && ping <= Duration::from_millis(5).max(3 * ping_alone),
        is_disturbed: server_waited > SPAN / 20,
        is_bounded: ping < PING_MAX,
    }
}

#[test]
fn fire_hoses_keep_a_pinger_waiting_no_longer_than_without_tls() {
    let _machine = exclusive_machine();
    for_each_version("", |secure, version| {
        let mut pinger = secure.client(version);
        repeat_attempts("fairness over TLS", || measure(&secure, version, &mut pinger));
        drop(pinger);
        secure.server.drain();
    });
}
