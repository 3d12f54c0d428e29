//! The services discard, chargen and chat, and the echo service in each design.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{
    Behavior, Crowd, Duplex as _, KIB, MIB, Serve, StreamEnd, TIMEOUT, connect_with_buffers, exchange, read_exactly,
    read_to_the_end, same_bytes, wait_until,
};

#[test]
fn discard_reads_everything_and_sends_nothing() {
    let server = Serve::new().with("--service discard").start();
    let (reply, ending) = exchange(&mut server.connect(), &vec![1; 8 * MIB], MIB);
    assert_eq!((reply.len(), ending), (0, StreamEnd::Clean));
    let summary = server.drain().summary();
    assert_eq!((summary.bytes_in, summary.bytes_out), (8 * MIB as u64, 0));
}

/// The pattern of RFC 864: 72 of the 95 printable characters a line, each line shifted by one.
fn chargen_lines(count: usize) -> Vec<u8> {
    let character = |index: usize| b' ' + (index % 95) as u8;
    let line = |start: usize| (start..start + 72).map(character).chain(*b"\r\n");
    (0..count).flat_map(line).collect()
}

#[test]
fn chargen_sends_the_pattern_of_rfc_864() {
    let server = Serve::new().with("--service chargen").start();
    let mut stream = server.connect();
    stream.write_all(b"the input is discarded").unwrap();
    let expected = chargen_lines(50_000);
    same_bytes(&read_exactly(&mut stream, expected.len()), &expected);
    drop(stream);
    server.drain();
}

#[test]
fn clients_that_do_not_read_chargen_affect_no_other_peer() {
    let server = Serve::new().with("--service chargen --write-timeout 1s --send-buffer 16KiB").start();
    let mut first = server.connect();
    let expected = chargen_lines(1000);
    same_bytes(&read_exactly(&mut first, expected.len()), &expected);
    let (base, memory) = (server.process.descriptors(), server.process.memory_bytes());
    let slow: Vec<TcpStream> = (0..200).map(|_| connect_with_buffers(server.address(), 4 * KIB)).collect();
    let mut second = server.connect();
    same_bytes(&read_exactly(&mut second, expected.len()), &expected);
    let used = server.process.memory_bytes().saturating_sub(memory);
    assert!(used <= 4 * MIB + 200 * 128 * KIB, "{used} bytes for 200 peers that do not read");
    drop(second);
    // The first client reads on, so that it does not reach the write timeout.
    first.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut scratch = vec![0; 64 * KIB];
    wait_until(TIMEOUT, "the slow peers are closed", || {
        assert!(first.read(&mut scratch).unwrap() > 0);
        server.process.descriptors() <= base
    });
    drop((first, slow));
    assert_eq!(server.drain().summary().closed("write-timeout"), 200);
}

#[test]
fn chat_sends_to_all_but_the_sender() {
    let server = Serve::new().with("--service chat --framing lines").start();
    let base = server.process.descriptors();
    let mut peers: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
    wait_until(TIMEOUT, "all peers are accepted", || server.process.descriptors() == base + peers.len());
    for sender in 0..peers.len() {
        let line = format!("from {sender}\n");
        peers[sender].write_all(line.as_bytes()).unwrap();
        for (_, stream) in peers.iter_mut().enumerate().filter(|(peer, _)| *peer != sender) {
            assert_eq!(read_exactly(stream, line.len()), line.as_bytes());
        }
    }
    for peer in &peers {
        peer.finish();
    }
    for peer in &mut peers {
        assert_eq!(read_to_the_end(peer), (Vec::new(), StreamEnd::Clean), "a sender does not get its own line");
    }
    server.drain();
}

#[test]
fn chat_closes_peers_that_do_not_read() {
    let server = Serve::new()
        .with("--service chat --queue-low 4KiB --queue-high 16KiB --framing fixed:1024 --frame-len-max 1KiB --send-buffer 4KiB")
        .start();
    let base = server.process.descriptors();
    let slow: Vec<TcpStream> = (0..5).map(|_| connect_with_buffers(server.address(), 4 * KIB)).collect();
    let (mut sender, mut reader) = (server.connect(), server.connect());
    wait_until(TIMEOUT, "all peers are accepted", || server.process.descriptors() == base + 7);
    let bytes = vec![b'c'; MIB];
    for piece in bytes.chunks(KIB) {
        sender.write_all(piece).unwrap();
        same_bytes(&read_exactly(&mut reader, piece.len()), piece);
    }
    drop((sender, reader));
    assert_eq!(server.drain().summary().closed("queue-full"), 5);
    drop(slow);
}

#[test]
fn a_service_serves_500_connections_at_once() {
    let server = Serve::new().with("--service echo --framing fixed:32").start();
    let mut crowd = Crowd::new();
    let all = crowd.join(server.address(), 500, Behavior::Repeats { len: 32 });
    assert!(crowd.run_until(TIMEOUT, |members| { members[all.clone()].iter().all(|member| member.received > 320) }));
    drop(crowd);
    server.drain();
}

#[test]
fn every_design_gives_the_same_replies_with_its_threads() {
    let echo = |peer: &mut TcpStream| {
        peer.write_all(b"hello\n").expect("the server reads");
        assert_eq!(read_exactly(peer, 11), b"said:hello\n");
    };
    // The range of the number of threads that serve two peers.
    for (design, threads) in [("reactor", 1..=1), ("threads", 3..=4), ("pool --workers 5", 5..=7)] {
        let server = Serve::new().with("--prefix said: --design").with(design).start();
        let (mut first, mut second) = (server.connect(), server.connect());
        echo(&mut first);
        echo(&mut second);
        let found = server.process.threads();
        assert!(threads.contains(&found), "{design}: {found}");
        drop((first, second));
        server.drain();
    }
    let server = Serve::new().with("--prefix said: --design iterative").start();
    let (mut first, mut second) = (server.connect(), server.connect());
    echo(&mut first);
    second.write_all(b"hello\n").expect("the socket buffer takes it");
    // The second client waits while the first is connected.
    echo(&mut first);
    second.set_read_timeout(Some(Duration::from_millis(100))).expect("the timeout is not zero");
    assert!(second.read(&mut [0; 1]).is_err());
    second.set_read_timeout(Some(TIMEOUT)).expect("the timeout is not zero");
    drop(first);
    assert_eq!(read_exactly(&mut second, 11), b"said:hello\n");
    drop(second);
    server.drain();
}
