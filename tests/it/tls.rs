//! TLS over real sockets: transparent bytes, clean and truncated ends, reloaded certificates, and
//! other implementations as peers.

mod certs;
pub(crate) mod endings;
mod fairness;
mod handshakes;
mod peers;
mod reload;
pub(crate) mod rows;

use std::time::Duration;

use readyloop::CloseReason;

use crate::support::tls::for_each_version;
use crate::support::{KIB, MIB, Role, TIMEOUT, exclusive_machine, wait_until};

#[test]
fn an_echo_of_any_length_is_complete() {
    for_each_version("", |secure, version| {
        let mut talks = secure.talks(version);
        for len in [0, 1, 100, 64 * KIB, 10 * MIB] {
            talks.join(1, Role::Streams(len as u64));
        }
        talks.finish_all();
        let summary = secure.server.drain().summary();
        assert_eq!((summary.bytes_in, summary.bytes_out), (talks.received(), talks.received()));
        assert_eq!((summary.closed("finished"), summary.closed("probed")), (4, 1));
    });
}

#[track_caller]
fn check_streams(flags: &str, connections: usize, bytes: usize) {
    for_each_version(flags, |secure, version| {
        let mut talks = secure.talks(version);
        talks.join(connections, Role::Streams(bytes as u64));
        talks.finish_all();
        assert_eq!(secure.server.drain().summary().closed("finished"), connections as u64);
    });
}

#[test]
fn both_sides_write_at_once_through_small_buffers() {
    check_streams("--recv-buffer 4KiB --send-buffer 4KiB --queue-high 64KiB --queue-low 16KiB", 8, 2 * MIB);
}

#[test]
fn five_hundred_connections_at_once_are_served() {
    check_streams("", 500, 20_000);
}

#[test]
fn records_of_one_byte_are_served() {
    for_each_version("", |secure, version| {
        let mut client = secure.client(version);
        let bytes: Vec<u8> = (0..2_000_u32).map(|index| index as u8).collect();
        for byte in &bytes {
            client.send(&[*byte]);
        }
        client.expect(&bytes);
        client.finish();
        client.expect_end();
        secure.server.drain();
    });
}

#[test]
fn a_peer_that_does_not_read_is_closed_at_its_write_timeout() {
    for_each_version("--recv-buffer 16KiB --send-buffer 16KiB --write-timeout 2s", |secure, version| {
        let (before, descriptors) = (secure.server.process.memory_bytes(), secure.server.process.descriptors());
        let mut clients: Vec<_> = (0..20).map(|_| secure.client(version)).collect();
        for client in &mut clients {
            let sent = client.send_until_full(Duration::from_millis(50));
            assert!(sent < 8 * MIB, "the server read {sent} bytes from a peer that does not read");
        }
        let used = secure.server.process.memory_bytes().saturating_sub(before);
        // The queue, one more read, and the buffers of TLS.
        let each = (128 + 64 + 64) * KIB;
        assert!(used < MIB + clients.len() * each, "{used} bytes for {} peers", clients.len());
        wait_until(TIMEOUT, "all peers are closed", || secure.server.process.descriptors() <= descriptors);
        assert_eq!(secure.server.drain().summary().closed("write-timeout"), 20);
    });
}

#[test]
fn idle_peers_cause_no_wake_ups() {
    let _machine = exclusive_machine();
    for_each_version("", |secure, version| {
        let mut talks = secure.talks(version);
        talks.join(300, Role::Silent);
        assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.is_open)));
        // One peer is stuck: its replies fill all buffers, so nothing can be sent to it.
        let mut stuck = secure.client(version);
        stuck.send_until_full(Duration::from_millis(50));
        talks.run_for(Duration::from_millis(300));

        let (switches, cpu) = (secure.server.process.switches(), secure.server.process.cpu());
        talks.run_for(Duration::from_secs(2));
        assert_eq!(secure.server.process.switches(), switches, "the idle server was woken");
        assert_eq!(secure.server.process.cpu(), cpu, "an idle server used CPU");
        assert!(talks.all().iter().all(|talk| talk.reason.is_none()));
        drop(stuck);
        secure.server.signal("TERM");
        assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.reason.is_some())));
        assert!(talks.all().iter().all(|talk| talk.reason == Some(CloseReason::Finished)), "an end was not clean");
    });
}
