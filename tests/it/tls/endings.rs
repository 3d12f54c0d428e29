//! How conversations over TLS end: by close_notify, without it, by us, by them, by SIGTERM.

use std::io::{ErrorKind, Write as _};
use std::time::Duration;

use readyloop::CloseReason;

use crate::support::tls::{Secure, VERSIONS, is_silent};
use crate::support::{Manner, PATIENCE};

#[test]
fn close_notify_alone_ends_a_direction_and_the_other_is_still_served() {
    for version in VERSIONS {
        let secure = Secure::start("");
        let mut hand = secure.hand(version);
        hand.send(b"last words");
        hand.farewell();
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
        hand.farewell();
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
    for version in VERSIONS {
        let secure = Secure::start("");
        let mut talks = secure.talks(version);
        talks.join(200, Manner::Repeats(1_000));
        talks.join(4, Manner::Repeats(1 << 20));
        assert!(talks.run_until(PATIENCE, |talks| talks.iter().all(|talk| talk.received > 0)));
        secure.server.signal("TERM");
        let gone = talks.run_until(PATIENCE, |talks| talks.iter().all(|talk| talk.reason.is_some()));
        assert!(gone, "somebody is still connected");
        for talk in talks.all() {
            assert_eq!(talk.reason, Some(CloseReason::Finished), "{talk:?}");
        }
        let ended = secure.server.wait(PATIENCE);
        assert_eq!((ended.code, ended.summary().bytes_out), (Some(0), talks.received()), "{}", ended.log_text());
    }
}

#[test]
fn a_stop_in_the_middle_of_a_handshake_does_not_wait_for_its_deadline() {
    let secure = Secure::start("--drain-timeout 1s");
    let mut silent = crate::support::connect(secure.address());
    assert!(is_silent(&mut silent, Duration::from_millis(100)));
    secure.server.signal("TERM");
    let ended = secure.server.wait(PATIENCE);
    assert_eq!((ended.code, ended.summary().closed("drained")), (Some(0), 1), "{}", ended.log_text());
    assert!(ended.took < Duration::from_millis(900), "it took {:?}", ended.took);
}
