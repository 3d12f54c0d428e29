//! The other services: discard, chargen, chat; and any of them under each design.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{
    Behavior, Crowd, Duplex as _, KIB, MIB, Serve, StreamEnd, TIMEOUT, connect_with_buffers, exchange, read_exactly,
    read_to_the_end, same_bytes, wait_until,
};

#[test]
fn discard_takes_everything_and_says_nothing() {
    let server = Serve::new().with("--service discard").start();
    let (answer, ending) = exchange(&mut server.connect(), &vec![1; 8 * MIB], MIB);
    assert_eq!((answer.len(), ending), (0, StreamEnd::Clean));
    let summary = server.drain().summary();
    assert_eq!((summary.bytes_in, summary.bytes_out), (8 * MIB as u64, 0));
}

/// RFC 864's suggestion: 72 of the 95 printable characters a line, each line one further on.
fn chargen_lines(count: usize) -> Vec<u8> {
    let character = |place: usize| b' ' + (place % 95) as u8;
    let line = |start: usize| (start..start + 72).map(character).chain(*b"\r\n");
    (0..count).flat_map(line).collect()
}

#[test]
fn chargen_sends_the_pattern_of_rfc_864_for_as_long_as_one_reads() {
    let server = Serve::new().with("--service chargen").start();
    let mut stream = server.connect();
    stream.write_all(b"what a client sends is thrown away").unwrap();
    let expected = chargen_lines(50_000);
    same_bytes(&read_exactly(&mut stream, expected.len()), &expected);
    drop(stream);
    server.drain();
}

#[test]
fn who_stops_reading_chargen_harms_nobody() {
    let server = Serve::new().with("--service chargen --write-timeout 1s --send-buffer 16KiB").start();
    let mut first = server.connect();
    let expected = chargen_lines(1000);
    same_bytes(&read_exactly(&mut first, expected.len()), &expected);
    let (base, memory) = (server.process.descriptors(), server.process.memory_bytes());
    let deaf: Vec<TcpStream> = (0..200).map(|_| connect_with_buffers(server.address(), 4 * KIB)).collect();
    let mut second = server.connect();
    same_bytes(&read_exactly(&mut second, expected.len()), &expected);
    let used = server.process.memory_bytes().saturating_sub(memory);
    assert!(used <= 4 * MIB + 200 * 128 * KIB, "{used} bytes wait for 200 that do not read");
    drop(second);
    // The first reads on, so that it is not among those whose write timeout passes.
    first.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut scratch = vec![0; 64 * KIB];
    while server.process.descriptors() > base {
        assert!(first.read(&mut scratch).unwrap() > 0);
    }
    drop((first, deaf));
    assert_eq!(server.drain().summary().closed("write-timeout"), 200);
}

#[test]
fn chat_reaches_all_but_the_sender() {
    let server = Serve::new().with("--service chat --framing lines").start();
    let mut peers: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
    // Over its own line each knows that all of them are in.
    for speaker in 0..peers.len() {
        let line = format!("this is {speaker}\n");
        loop {
            peers[speaker].write_all(line.as_bytes()).unwrap();
            if everybody_else_hears(&mut peers, speaker, &line) {
                break;
            }
        }
    }
    for peer in &peers {
        peer.finish();
    }
    for peer in &mut peers {
        assert_eq!(read_to_the_end(peer), (Vec::new(), StreamEnd::Clean), "nobody hears himself");
    }
    server.drain();
}

/// Whether all but the speaker get the line.
fn everybody_else_hears(peers: &mut [TcpStream], speaker: usize, line: &str) -> bool {
    let others = peers.iter_mut().enumerate().filter(|(peer, _)| *peer != speaker);
    others.map(|(_, stream)| read_exactly(stream, line.len())).all(|heard| heard == line.as_bytes())
}

#[test]
fn chat_waits_for_nobody_who_does_not_listen() {
    let server = Serve::new()
        .with("--service chat --queue-low 4KiB --queue-high 16KiB --framing fixed:1024 --frame-len-max 1KiB --send-buffer 4KiB")
        .start();
    let base = server.process.descriptors();
    let deaf: Vec<TcpStream> = (0..5).map(|_| connect_with_buffers(server.address(), 4 * KIB)).collect();
    let (mut speaker, mut listener) = (server.connect(), server.connect());
    wait_until(Duration::from_secs(5), "all are in", || server.process.descriptors() == base + 7);
    let bytes = vec![b'c'; MIB];
    for piece in bytes.chunks(KIB) {
        speaker.write_all(piece).unwrap();
        same_bytes(&read_exactly(&mut listener, piece.len()), piece);
    }
    drop((speaker, listener));
    assert_eq!(server.drain().summary().closed("queue-full"), 5);
    drop(deaf);
}

#[test]
fn a_service_answers_very_many_at_once() {
    let server = Serve::new().with("--service echo --framing fixed:32").start();
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 500, Behavior::Repeats { len: 32 });
    assert!(crowd.run_until(Duration::from_secs(20), |members| {
        members[all.clone()].iter().all(|member| member.received > 320)
    }));
    drop(crowd);
    server.drain();
}

#[test]
fn every_design_serves_the_same_and_is_what_it_is_called() {
    let ask = |peer: &mut TcpStream| {
        peer.write_all(b"hello\n").expect("the server reads");
        assert_eq!(read_exactly(peer, 11), b"said:hello\n");
    };
    // How many threads serve two peers, at least and at most.
    for (design, threads) in [("reactor", 1..=1), ("threads", 3..=4), ("pool --workers 5", 5..=7)] {
        let server = Serve::new().with("--prefix said: --design").with(design).start();
        let (mut first, mut second) = (server.connect(), server.connect());
        ask(&mut first);
        ask(&mut second);
        let found = server.process.threads();
        assert!(threads.contains(&found), "{design}: {found}");
        drop((first, second));
        server.drain();
    }
    let server = Serve::new().with("--prefix said: --design iterative").start();
    let (mut first, mut second) = (server.connect(), server.connect());
    ask(&mut first);
    second.write_all(b"hello\n").expect("the kernel takes it");
    // While the first is there, the second waits.
    ask(&mut first);
    second.set_read_timeout(Some(Duration::from_millis(100))).expect("not zero");
    assert!(second.read(&mut [0; 1]).is_err());
    second.set_read_timeout(Some(TIMEOUT)).expect("not zero");
    drop(first);
    assert_eq!(read_exactly(&mut second, 11), b"said:hello\n");
    drop(second);
    server.drain();
}
