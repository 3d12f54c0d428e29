//! The guarantees of plain connections hold over TLS too: caps, the descriptor limit, resets, a killed
//! server, a suspended one, a server that closes first.

use std::time::Duration;

use readyloop::CloseReason;
use readyloop::net::tls::TlsVersion;
use socket2::SockRef;

use crate::descriptors::{ACCEPTED_WITHIN, CROWD, LIMIT};
use crate::support::tls::{ManualClient, Secure, VERSIONS, client_hello, for_each_version};
use crate::support::{Conversation, KIB, MIB, Role, TIMEOUT, connect, connect_with_buffers, exclusive_machine};

/// Connects, and resets after 0 to 4 steps.
#[track_caller]
pub(crate) fn reset_after(steps: usize, secure: &Secure, version: TlsVersion) {
    let socket = connect(secure.address());
    // A linger time of zero makes the drop a reset.
    SockRef::from(&socket).set_linger(Some(Duration::ZERO)).expect("the connection is open");
    if steps <= 1 {
        let hello = client_hello(&secure.options(Some(version)));
        let len = if steps == 1 { hello.len() } else { 10 };
        std::io::Write::write_all(&mut &socket, &hello[..len]).expect("the connection is open");
        return;
    }
    let mut client = ManualClient::open(socket, &secure.options(Some(version))).expect("the handshake succeeds");
    if steps >= 3 {
        client.echoes(b"hello");
    }
    if steps >= 4 {
        client.send(&[b'r'; 3000]);
    }
}

#[test]
fn resets_in_every_phase_are_counted_and_affect_no_other_peer() {
    resets_beside_pingers(300);
}

#[track_caller]
pub(crate) fn resets_beside_pingers(resets: usize) {
    for_each_version("", |secure, version| {
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
    });
}

#[test]
fn short_connections_with_every_ending_leak_no_memory() {
    short_connections_of_every_ending(250, 2);
}

/// Makes `many` connections, `times` times: neither memory nor descriptors grow.
#[track_caller]
pub(crate) fn short_connections_of_every_ending(many: usize, times: usize) {
    for_each_version("", |secure, version| {
        let base = secure.server.process.descriptors();
        let all_endings = || {
            for round in 0..many {
                if round % 7 < 5 {
                    reset_after(round % 7, &secure, version);
                    continue;
                }
                let mut client = secure.client(version);
                client.echoes(b"short");
                if round % 7 == 5 {
                    client.finish();
                    client.expect_end();
                }
            }
            secure.server.descriptors_return_to(base);
            secure.server.process.memory_bytes()
        };
        let once = all_endings();
        for _ in 1..times {
            let again = all_endings();
            assert!(again <= once + MIB, "{once} bytes after {many} connections, then {again} bytes");
        }
        let summary = secure.server.drain().summary();
        assert_eq!((summary.connections, summary.closed_in_all()), ((many * times) as u64, (many * times) as u64));
    });
}

#[test]
fn connections_above_the_cap_are_refused_until_a_slot_is_free() {
    let secure = Secure::start("--max-connections 100 --when-full refuse");
    for _ in 0..2 {
        let base = secure.server.process.descriptors();
        let mut talks = secure.talks(VERSIONS[1]);
        talks.join(150, Role::Silent);
        let settled = talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.is_open || talk.failure.is_some()));
        assert!(settled, "a connection has no outcome");
        let open = talks.all().iter().filter(|talk| talk.is_open && talk.reason.is_none()).count();
        assert_eq!((open, secure.server.process.descriptors()), (100, base + 100));
        drop(talks);
        secure.server.descriptors_return_to(base);
    }
    let summary = secure.server.drain().summary();
    assert_eq!((summary.connections, summary.refused), (200, 100));
}

#[test]
fn the_descriptor_limit_affects_only_waiting_connections() {
    meets_the_descriptor_limit(Duration::from_secs(2));
}

/// Opens more connections than there are descriptors: one stays, some leave, and then waiting ones
/// are accepted.
#[track_caller]
pub(crate) fn meets_the_descriptor_limit(watched: Duration) {
    const LEAVING: usize = 32;
    for_each_version("", |secure, version| {
        let process = secure.server.process;
        // The server derives its cap from the limit at its start, so this later limit is below the cap.
        process.limit_descriptors(LIMIT);
        let free = LIMIT - process.descriptors_below(LIMIT);
        let mut staying = secure.client(version);
        let mut leaving = secure.talks(version);
        leaving.join(LEAVING, Role::SendsOnce(100));
        assert!(leaving.run_until(TIMEOUT, |talks| talks.iter().all(Conversation::is_answered)));
        let mut others = secure.talks(version);
        others.join(CROWD - LEAVING - 1, Role::SendsOnce(100));
        let answered = |talks: &[Conversation]| talks.iter().filter(|talk| talk.is_answered()).count();
        let served = free - LEAVING - 1;
        assert!(others.run_until(TIMEOUT, |talks| answered(talks) == served), "{}", answered(others.all()));

        let (cpu, lines) = (process.cpu(), secure.server.log.count());
        others.run_for(watched);
        let (spent, logged) = (process.cpu() - cpu, secure.server.log.count() - lines);
        assert!(spent <= watched / 20, "{spent:?} of CPU in {watched:?}");
        assert!(logged <= 1 + watched.as_secs() as usize, "{logged} lines in {watched:?}");
        assert_eq!(answered(others.all()), served, "more than there are free descriptors");
        staying.echoes(b"still open");

        drop(leaving);
        let accepted = others.run_until(ACCEPTED_WITHIN, |talks| answered(talks) == served + LEAVING);
        assert!(accepted, "{} of {LEAVING} were accepted within {ACCEPTED_WITHIN:?}", answered(others.all()) - served);
        let lost = others.all().iter().find(|talk| talk.reason.is_some() || talk.failure.is_some());
        assert!(lost.is_none(), "{lost:?} was closed");
        drop((staying, others));
        secure.server.drain();
    });
}

#[test]
fn a_killed_server_is_not_a_clean_end_and_its_port_is_free_at_once() {
    let secure = Secure::start("");
    let mut talks = secure.talks(VERSIONS[1]);
    talks.join(100, Role::Repeats(1_000));
    assert!(talks.run_until(TIMEOUT, |talks| talks.iter().all(|talk| talk.received > 0)));
    let address = secure.address();
    secure.server.signal("KILL");
    let all_ended = talks.run_until(Duration::from_secs(2), |talks| talks.iter().all(|talk| talk.reason.is_some()));
    assert!(all_ended, "a client is still waiting");
    let is_cut = |reason| matches!(reason, Some(CloseReason::Reset | CloseReason::Truncated));
    assert!(talks.all().iter().all(|talk| is_cut(talk.reason)), "a client saw a clean end");
    secure.files.serve_at(&address.to_string()).start().drain();
}

#[test]
fn a_server_that_was_suspended_closes_no_peer_with_unread_bytes() {
    // Alone, since a client that gets no CPU for the whole idle timeout is idle indeed.
    let _machine = exclusive_machine();
    for_each_version("--idle-timeout 1s", |secure, version| {
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
        assert!(served, "a peer is not served");
        let ended: Vec<_> = talks.all().iter().filter(|talk| talk.reason.is_some()).collect();
        assert!(ended.is_empty(), "a peer with unread bytes was closed: {ended:?}");
        drop(talks);
        secure.server.drain();
    });
}

#[test]
fn a_line_too_long_costs_the_client_no_reply_it_had_earned() {
    for_each_version("--framing lines --frame-len-max 1KiB", |secure, version| {
        let socket = connect_with_buffers(secure.address(), 4 * KIB);
        let mut client = ManualClient::open(socket, &secure.options(Some(version))).expect("the handshake succeeds");
        // More than the client's receive buffer holds, and below the high watermark.
        let lines: Vec<u8> = (0..90).flat_map(|number| format!("{number:0>999}\n").into_bytes()).collect();
        client.send(&lines);
        client.send(&vec![b'x'; 512 * KIB]);
        client.expect(&lines);
        client.expect_end();
        drop(client);
        let summary = secure.server.drain().summary();
        assert_eq!((summary.closed("frame-too-long"), summary.bytes_out), (1, lines.len() as u64));
    });
}
