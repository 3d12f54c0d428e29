//! TLS over real sockets: the same bytes as without it, ends that are told apart, certificates
//! that change while the server runs, and peers that others have written.

mod certs;
pub(crate) mod endings;
mod fairness;
mod handshakes;
mod peers;
mod reload;
pub(crate) mod rows;

use std::time::Duration;

use readyloop::CloseReason;

use crate::support::tls::{Secure, VERSIONS};
use crate::support::{KIB, MIB, Role, TIMEOUT, exclusive_machine, wait_until};

#[test]
fn bytes_come_back_as_they_went_whatever_their_number() {
    for version in VERSIONS {
        let secure = Secure::start("");
        let mut talks = secure.talks(version);
        for len in [0, 1, 100, 64 * KIB, 10 * MIB] {
            talks.join(1, Role::Streams(len as u64));
        }
        talks.finish_all();
        let summary = secure.server.drain().summary();
        assert_eq!((summary.bytes_in, summary.bytes_out), (talks.received(), talks.received()));
        assert_eq!(summary.closed("finished"), 5);
    }
}

#[test]
fn both_ends_write_at_once_through_the_smallest_of_buffers() {
    for version in VERSIONS {
        let secure = Secure::start("--recv-buffer 4KiB --send-buffer 4KiB --queue-high 64KiB --queue-low 16KiB");
        let mut talks = secure.talks(version);
        talks.join(8, Role::Streams(2 * MIB as u64));
        talks.finish_all();
        secure.server.drain();
    }
}

#[test]
fn five_hundred_at_once_are_all_served() {
    for version in VERSIONS {
        let secure = Secure::start("");
        let mut talks = secure.talks(version);
        talks.join(500, Role::Streams(20_000));
        talks.finish_all();
        assert_eq!(secure.server.drain().summary().closed("finished"), 500);
    }
}

#[test]
fn records_of_one_byte_are_served_like_any() {
    for version in VERSIONS {
        let secure = Secure::start("");
        let mut hand = secure.hand(version);
        let bytes: Vec<u8> = (0..2_000_u32).map(|place| place as u8).collect();
        for byte in &bytes {
            hand.send(&[*byte]);
        }
        hand.expect(&bytes);
        hand.finish();
        hand.expect_end();
        secure.server.drain();
    }
}

#[test]
fn whoever_does_not_read_is_not_read_and_ends_at_its_deadline() {
    for version in VERSIONS {
        let secure = Secure::start("--recv-buffer 16KiB --send-buffer 16KiB --write-timeout 2s");
        let (before, descriptors) = (secure.server.process.memory_bytes(), secure.server.process.descriptors());
        let mut hands: Vec<_> = (0..20).map(|_| secure.hand(version)).collect();
        for hand in &mut hands {
            let sent = hand.send_until_full(Duration::from_millis(50));
            assert!(sent < 8 * MIB, "{sent} bytes were taken of one that does not read");
        }
        let used = secure.server.process.memory_bytes().saturating_sub(before);
        // What waits in the queue, one read more, and what TLS keeps.
        let each = (128 + 64 + 64) * KIB;
        assert!(used < MIB + hands.len() * each, "{used} bytes for {}", hands.len());
        wait_until(TIMEOUT, "all are ended", || secure.server.process.descriptors() <= descriptors);
        assert_eq!(secure.server.drain().summary().closed("write-timeout"), 20);
    }
}

#[test]
fn idle_peers_wake_nobody() {
    let _machine = exclusive_machine();
    for version in VERSIONS {
        let secure = Secure::start("");
        let mut talks = secure.talks(version);
        talks.join(300, Role::Silent);
        assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.is_open)));
        // One that has ended while its answer finds no room: it is finished and cannot be told.
        let mut stuck = secure.hand(version);
        stuck.send_until_full(Duration::from_millis(50));
        talks.run_for(Duration::from_millis(300));

        let (switches, cpu) = (secure.server.process.switches(), secure.server.process.cpu());
        talks.run_for(Duration::from_secs(2));
        assert_eq!(secure.server.process.switches(), switches, "somebody woke the server");
        assert_eq!(secure.server.process.cpu(), cpu, "an idle server used CPU");
        assert!(talks.all().iter().all(|talk| talk.reason.is_none()));
        drop(stuck);
        secure.server.signal("TERM");
        assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.reason.is_some())));
        assert!(talks.all().iter().all(|talk| talk.reason == Some(CloseReason::Finished)), "a clean end");
    }
}
