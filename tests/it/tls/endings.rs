//! How conversations over TLS end: by close_notify, without it, by us, by them, by SIGTERM.

use std::io::{ErrorKind, Write as _};
use std::time::Duration;

use readyloop::CloseReason;
use readyloop::net::tls::TlsVersion;

use crate::support::tls::{Secure, VERSIONS, is_silent};
use crate::support::{Conversation, MIB, Role, TIMEOUT};

#[test]
fn close_notify_alone_ends_a_direction_and_the_other_is_still_served() {
    for version in VERSIONS {
        let secure = Secure::start("");
        let mut hand = secure.hand(version);
        hand.send(b"last words");
        hand.send_close_notify();
        hand.expect(b"last words");
        hand.expect_end();
        drop(hand);
        assert_eq!(secure.server.drain().summary().closed("finished"), 1);
    }
}

#[test]
fn an_end_without_close_notify_is_told_from_a_clean_one_and_answered_all_the_same() {
    for version in VERSIONS {
        let secure = Secure::start("");
        let mut hand = secure.hand(version);
        hand.send(b"cut off here");
        hand.socket.shutdown(std::net::Shutdown::Write).expect("it is open");
        hand.expect(b"cut off here");
        hand.expect_end();
        let summary = secure.server.drain().summary();
        assert_eq!((summary.closed("truncated"), summary.closed("finished")), (1, 0));
    }
}

#[test]
fn what_comes_after_close_notify_is_never_served() {
    for version in VERSIONS {
        let secure = Secure::start("");
        let mut hand = secure.hand(version);
        hand.send(b"all that I say");
        hand.send_close_notify();
        hand.socket.write_all(b"and what somebody adds").expect("it is open");
        hand.expect(b"all that I say");
        // The rest is thrown away, or its sender thrown out.
        match hand.receive() {
            Ok(rest) => assert_eq!(rest, b""),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        let summary = secure.server.drain().summary();
        assert_eq!((summary.bytes_in, summary.closed("finished")), (14, 1));
    }
}

#[test]
fn whom_the_server_ends_hears_close_notify_first() {
    for version in VERSIONS {
        let secure = Secure::start("--idle-timeout 300ms");
        let mut hand = secure.hand(version);
        hand.send(b"hello");
        hand.expect(b"hello");
        hand.expect_end();
        hand.finish();
        assert_eq!(secure.server.drain().summary().closed("idle-timeout"), 1);
    }
}

#[test]
fn sigterm_mid_stream_loses_nothing_and_ends_everybody_cleanly() {
    VERSIONS.into_iter().for_each(|version| ends_all_cleanly(version, 200, 0));
}

/// So many in the middle of closed loops, a few with long ones, and in the backlog a fifth as many
/// that have not been greeted yet.
#[track_caller]
pub(crate) fn ends_all_cleanly(version: TlsVersion, mid_stream: usize, round: u64) {
    let secure = Secure::start("");
    let mut talks = secure.talks(version);
    talks.join(mid_stream, Role::Repeats(64 + round % 1000));
    talks.join(8, Role::Repeats(MIB as u64));
    assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.received > 0)));
    // At another moment of the loops each time.
    talks.run_for(Duration::from_micros(round * 977 % 10_000));
    // While it stands still, everything below has surely happened before the signal.
    secure.server.process.stop();
    let waiting = talks.join(mid_stream / 5, Role::SendsOnce(100));
    talks.start_all();
    talks.run_for(Duration::from_millis(50));
    // Short enough to be in the server's hands as a whole.
    let sent: Vec<u64> = talks.all()[..mid_stream].iter().map(|talk| talk.sent).collect();
    secure.server.signal("TERM");
    secure.server.process.resume();

    let is_over = |talk: &Conversation| talk.reason.is_some() || talk.failure.is_some();
    let gone = talks.run_until(TIMEOUT, |talks| talks.iter().all(is_over));
    assert!(gone, "{:?} is still connected", talks.all().iter().find(|talk| !is_over(talk)));
    let broken = talks.all().iter().find(|talk| talk.reason != Some(CloseReason::Finished));
    assert!(broken.is_none(), "{broken:?} has seen no clean end");
    assert!(talks.all()[waiting].iter().all(|talk| talk.is_open), "the backlog was let in");
    let mut loops = talks.all().iter().zip(sent);
    assert!(loops.all(|(talk, sent)| talk.received >= sent), "what was sent before the stop was answered");
    let ended = secure.server.wait(TIMEOUT);
    let summary = ended.summary();
    assert_eq!((ended.code, summary.bytes_out), (Some(0), talks.received()), "{}", ended.log_text());
    assert_eq!((summary.connections, summary.closed_in_all()), (talks.all().len() as u64, summary.connections));
    ended.check_log_rate();
}

#[test]
fn a_second_signal_does_not_wait_for_who_does_not_read() {
    for version in VERSIONS {
        let secure = Secure::start("--recv-buffer 16KiB --send-buffer 16KiB --drain-timeout 1m");
        let mut slow: Vec<_> = (0..20).map(|_| secure.hand(version)).collect();
        for hand in &mut slow {
            hand.send_until_full(Duration::from_millis(50));
        }
        secure.server.signal("TERM");
        secure.server.logs("draining");
        secure.server.signal("INT");
        let ended = secure.server.wait(Duration::from_secs(1));
        assert_eq!(ended.summary().closed("stopped"), slow.len() as u64, "{}", ended.log_text());
    }
}

#[test]
fn a_stop_in_the_middle_of_a_handshake_does_not_wait_for_its_deadline() {
    let secure = Secure::start("--drain-timeout 1s");
    let mut silent = crate::support::connect(secure.address());
    assert!(is_silent(&mut silent, Duration::from_millis(100)));
    secure.server.signal("TERM");
    let ended = secure.server.wait(TIMEOUT);
    assert_eq!((ended.code, ended.summary().closed("drained")), (Some(0), 1), "{}", ended.log_text());
    assert!(ended.took < Duration::from_millis(900), "it took {:?}", ended.took);
}
