//! What is promised to connections holds over TLS as well: caps, the descriptor limit, resets, a
//! killed server, a stalled one, a server that ends first.

use std::time::Duration;

use readyloop::CloseReason;
use readyloop::net::tls::TlsVersion;
use socket2::SockRef;

use crate::descriptors::{ACCEPTED_WITHIN, CROWD, LIMIT};
use crate::support::tls::{Hand, Secure, VERSIONS, greeting_of};
use crate::support::{Conversation, KIB, MIB, Role, Serve, TIMEOUT, connect, connect_with_buffers, exclusive_machine};

/// Connects and resets after so many of five steps.
#[track_caller]
pub(crate) fn reset_after(steps: usize, secure: &Secure, version: TlsVersion) {
    let socket = connect(secure.address());
    // A linger time of zero makes the drop a reset.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO)).expect("the connection is open");
    if steps <= 1 {
        let greeting = greeting_of(&secure.options(Some(version)));
        let said = if steps == 1 { greeting.len() } else { 10 };
        std::io::Write::write_all(&mut &socket, &greeting[..said]).expect("the connection is open");
        return;
    }
    let mut hand = Hand::open(socket, &secure.options(Some(version))).expect("the handshake succeeds");
    if steps >= 3 {
        hand.send(b"hello");
        hand.expect(b"hello");
    }
    if steps >= 4 {
        hand.send(&[b'r'; 3000]);
    }
}

#[test]
fn resets_in_every_phase_disturb_nobody_and_are_all_accounted_for() {
    resets_beside_pingers(300);
}

#[track_caller]
pub(crate) fn resets_beside_pingers(resets: usize) {
    for version in VERSIONS {
        let secure = Secure::start("");
        let mut pingers = secure.talks(version);
        pingers.join(20, Role::Repeats(64));
        assert!(pingers.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.received > 0)));
        let (base, received) = (secure.server.process.descriptors(), pingers.received());
        for round in 0..resets {
            reset_after(round % 5, &secure, version);
            pingers.run_for(Duration::ZERO);
        }
        assert!(pingers.run_until(TIMEOUT, |talks| talks.iter().map(|talk| talk.received).sum::<u64>() > received));
        assert!(pingers.all().iter().all(|talk| talk.reason.is_none()));
        secure.server.descriptors_return_to(base);
        drop(pingers);
        let ended = secure.server.drain();
        let summary = ended.summary();
        assert_eq!(summary.connections, resets as u64 + 20);
        assert!(summary.reconciles_as_echo(), "{summary:?}");
        assert!(summary.closed("reset") >= resets as u64 * 4 / 5, "{summary:?}");
    }
}

#[test]
fn short_connections_of_every_ending_leave_no_memory_behind() {
    short_connections_of_every_ending(250, 2);
}

/// `many` connections, and so many `times` as many again: neither memory nor descriptors grow.
#[track_caller]
pub(crate) fn short_connections_of_every_ending(many: usize, times: usize) {
    for version in VERSIONS {
        let secure = Secure::start("");
        let base = secure.server.process.descriptors();
        let all_endings = || {
            for round in 0..many {
                if round % 7 < 5 {
                    reset_after(round % 7, &secure, version);
                    continue;
                }
                let mut hand = secure.hand(version);
                hand.send(b"short");
                hand.expect(b"short");
                if round % 7 == 5 {
                    hand.finish();
                    hand.expect_end();
                }
            }
            secure.server.descriptors_return_to(base);
            secure.server.process.memory_bytes()
        };
        let once = all_endings();
        for _ in 1..times {
            let again = all_endings();
            assert!(again <= once + MIB, "{once} bytes after {many} connections, {again} after as many more");
        }
        let summary = secure.server.drain().summary();
        assert_eq!((summary.connections, summary.closed_in_all()), ((many * times) as u64, (many * times) as u64));
    }
}

#[test]
fn those_beyond_the_cap_are_refused_and_free_places_are_given_again() {
    let secure = Secure::start("--max-connections 100 --when-full refuse");
    for _ in 0..2 {
        let base = secure.server.process.descriptors();
        let mut talks = secure.talks(VERSIONS[1]);
        talks.join(150, Role::Silent);
        let settled = talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.is_open || talk.failure.is_some()));
        assert!(settled, "somebody knows nothing");
        let open = talks.all().iter().filter(|talk| talk.is_open && talk.reason.is_none()).count();
        assert_eq!((open, secure.server.process.descriptors()), (100, base + 100));
        drop(talks);
        secure.server.descriptors_return_to(base);
    }
    let summary = secure.server.drain().summary();
    assert_eq!((summary.connections, summary.refused), (200, 100));
}

#[test]
fn the_descriptor_limit_stops_nobody_who_is_in_and_the_waiting_come_in_later() {
    meets_the_descriptor_limit(Duration::from_secs(2));
}

/// More come than there are descriptors for: one who stays, some who will leave, all the others.
#[track_caller]
pub(crate) fn meets_the_descriptor_limit(watched: Duration) {
    const LEAVING: usize = 32;
    for version in VERSIONS {
        let secure = Secure::start("");
        let process = secure.server.process;
        // The server keeps its cap below the limit it finds at its start: it meets this one unprepared.
        process.limit_descriptors(LIMIT);
        let room = LIMIT - process.descriptors_below(LIMIT);
        let mut staying = secure.hand(version);
        let mut leaving = secure.talks(version);
        leaving.join(LEAVING, Role::SendsOnce(100));
        assert!(leaving.run_until(TIMEOUT, |talks| talks.iter().all(Conversation::is_answered)));
        let mut others = secure.talks(version);
        others.join(CROWD - LEAVING - 1, Role::SendsOnce(100));
        let answered = |talks: &[Conversation]| talks.iter().filter(|talk| talk.is_answered()).count();
        let served = room - LEAVING - 1;
        assert!(others.run_until(TIMEOUT, |talks| answered(talks) == served), "{}", answered(others.all()));

        let (cpu, lines) = (process.cpu(), secure.server.log.count());
        others.run_for(watched);
        let (spent, said) = (process.cpu() - cpu, secure.server.log.count() - lines);
        assert!(spent <= watched / 20, "{spent:?} of CPU in {watched:?}");
        assert!(said <= 1 + watched.as_secs() as usize, "{said} lines in {watched:?}");
        assert_eq!(answered(others.all()), served, "no more than there is room for");
        staying.send(b"still here");
        staying.expect(b"still here");

        drop(leaving);
        let came = others.run_until(ACCEPTED_WITHIN, |talks| answered(talks) == served + LEAVING);
        assert!(came, "{} of {LEAVING} came in within {ACCEPTED_WITHIN:?}", answered(others.all()) - served);
        let lost = others.all().iter().find(|talk| talk.reason.is_some() || talk.failure.is_some());
        assert!(lost.is_none(), "{lost:?} was turned away");
        drop((staying, others));
        secure.server.drain();
    }
}

#[test]
fn a_killed_server_is_told_from_one_that_ended_and_its_port_is_free_at_once() {
    let secure = Secure::start("");
    let mut talks = secure.talks(VERSIONS[1]);
    talks.join(100, Role::Repeats(1_000));
    assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.received > 0)));
    let address = secure.address();
    secure.server.signal("KILL");
    let told = talks.run_until(Duration::from_secs(2), |talks| talks.iter().all(|talk| talk.reason.is_some()));
    assert!(told, "somebody still waits");
    let cut = |reason| matches!(reason, Some(CloseReason::Reset | CloseReason::Truncated));
    assert!(talks.all().iter().all(|talk| cut(talk.reason)), "nobody was told that all had been said");
    let again = Serve::bare().listen(&format!("tls://{address}"));
    let again = again.arg("--cert").arg(&secure.files.text("cert.pem")).arg("--key").arg(&secure.files.text("key.pem"));
    again.start().drain();
}

#[test]
fn a_server_that_was_stopped_for_long_ends_nobody_whose_bytes_wait() {
    // Who is kept from a processor for as long as that is idle indeed.
    let _machine = exclusive_machine();
    for version in VERSIONS {
        let secure = Secure::start("--idle-timeout 1s");
        let mut talks = secure.talks(version);
        talks.join(100, Role::Repeats(1_000));
        assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.received > 0)));
        secure.server.process.stop();
        talks.run_for(Duration::from_millis(1500));
        let before: Vec<u64> = talks.all().iter().map(|talk| talk.received).collect();
        secure.server.process.resume();
        let served = talks.run_until(TIMEOUT, |talks| {
            talks.iter().zip(&before).all(|(talk, before)| talk.received > *before || talk.reason.is_some())
        });
        assert!(served, "somebody is served no more");
        let ended: Vec<_> = talks.all().iter().filter(|talk| talk.reason.is_some()).collect();
        assert!(ended.is_empty(), "who had data waiting was not idle: {ended:?}");
        drop(talks);
        secure.server.drain();
    }
}

#[test]
fn a_line_too_long_costs_the_client_no_reply_it_had_earned() {
    for version in VERSIONS {
        let secure = Secure::start("--framing lines --frame-len-max 1KiB");
        let socket = connect_with_buffers(secure.address(), 4 * KIB);
        let mut hand = Hand::open(socket, &secure.options(Some(version))).expect("the handshake succeeds");
        // More than the client takes unread, and below the high watermark.
        let lines: Vec<u8> = (0..90).flat_map(|number| format!("{number:0>999}\n").into_bytes()).collect();
        hand.send(&lines);
        hand.send(&vec![b'x'; 512 * KIB]);
        hand.expect(&lines);
        hand.expect_end();
        drop(hand);
        let summary = secure.server.drain().summary();
        assert_eq!((summary.closed("frame-too-long"), summary.bytes_out), (1, lines.len() as u64));
    }
}
