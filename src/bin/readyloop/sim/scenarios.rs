//! The runs of `Scenario`: what the peers do, and remarks that explain it.

use std::io;
use std::time::Duration;

use readyloop::net::ControlEvent;
use readyloop::run_log::RunLog;
use readyloop::sim::{Behavior, World};
use readyloop::watermark::Watermarks;
use readyloop::{Framing, Limits, Lines, Raw};

use super::scenario::EchoRun;

const RAW: Framing = Framing::Raw(Raw);
const LINES: Framing = Framing::Lines(Lines::new());

/// A world in which a kernel buffer holds this many bytes.
fn world(kernel_buffer: usize) -> World {
    World::new(0).with_kernel_buffer(kernel_buffer)
}

/// Limits with these watermarks of the queue.
fn queue(low: usize, high: usize) -> Limits {
    Limits { queue: Watermarks::new(low, high), ..Limits::default() }
}

pub(super) fn backpressure() -> io::Result<RunLog> {
    let mut run = EchoRun::new("Backpressure", world(4000), RAW, queue(1000, 4000), None)?;
    let peer = run.connect();
    run.note("Peer 0 wants to send 20,000 bytes and does not read the replies.");
    peer.stop_reading();
    peer.send(&[b'x'; 20_000]);
    run.settle()?;
    run.note("All three buffers are full: the kernel's in both directions, and the queue of the server.");
    run.note("Peer 0 has to wait. The memory of the server is bounded, however long this takes.");
    run.note("Peer 0 begins to read.");
    peer.resume_reading();
    run.settle()?;
    run.note("Everything came back. Peer 0 ends.");
    peer.finish();
    run.settle()?;
    Ok(run.end())
}

pub(super) fn half_close() -> io::Result<RunLog> {
    let mut run = EchoRun::new("Half-close", world(16), LINES, Limits::default(), None)?;
    let peer = run.connect();
    run.note("Peer 0 sends two lines and its FIN at once, as `printf | nc -N` does. It does not read yet.");
    peer.stop_reading();
    peer.send(b"first line\n2nd\n");
    peer.finish();
    run.settle()?;
    run.note("The end of the input ends one direction only. A server that closes here loses replies.");
    peer.resume_reading();
    run.settle()?;
    Ok(run.end())
}

pub(super) fn lost_edge() -> io::Result<RunLog> {
    let mut run = EchoRun::new("Lost edge", world(3000), RAW, queue(100, 2000), None)?;
    let peer = run.connect();
    peer.stop_reading();
    run.note("Peer 0 sends 9,000 bytes and does not read.");
    peer.send(&[b'x'; 9000]);
    run.settle()?;
    run.note("Bytes of peer 0 wait in the kernel, and the event about them was already returned.");
    run.note("A loop that dropped that event would wait forever: peer 0 cannot send, so no further event comes.");
    run.note("Peer 0 begins to read.");
    peer.resume_reading();
    run.settle()?;
    run.note("The events above say that peer 0 is writable. The loop reads, because it has remembered `readable`.");
    Ok(run.end())
}

pub(super) fn emfile() -> io::Result<RunLog> {
    let world = world(4096).with_descriptors(2);
    let mut run = EchoRun::new("EMFILE", world, LINES, Limits::default(), None)?;
    run.note("The process may hold two connections, and four peers connect.");
    let peers = [(); 4].map(|()| run.connect());
    run.settle()?;
    run.note("Peers 2 and 3 wait in the backlog. Their event is used up, and a freed descriptor raises no new one.");
    peers[0].finish();
    run.settle()?;
    run.note("A close frees a descriptor, so the loop accepts at once. Without a close, a timer retries.");
    run.advance(Duration::from_millis(250))?;
    peers.iter().for_each(|peer| peer.finish());
    run.settle()?;
    Ok(run.end())
}

pub(super) fn starvation() -> io::Result<RunLog> {
    let mut run = EchoRun::new("Starvation", world(1 << 20), RAW, Limits::default(), Some(32 * 1024))?;
    run.note("Each turn moves at most 32 KiB here, so that the effect is visible with few bytes.");
    let (hose, other) = (run.connect(), run.connect());
    run.settle()?;
    run.note("Peer 0 sends 64 KiB at once. Peer 1 sends 4 bytes.");
    hose.send(&[b'x'; 64 * 1024]);
    other.send(b"ping");
    run.settle()?;
    run.note(
        "Peer 1 has its reply after one turn. A loop that reads each peer until it would block serves peer 0 first,",
    );
    run.note("and a peer that sends faster than the loop reads is served alone, forever.");
    Ok(run.end())
}

pub(super) fn partial_write() -> io::Result<RunLog> {
    let mut run = EchoRun::new("Partial write", world(1000), LINES, Limits::default(), None)?;
    let peer = run.connect();
    peer.change_behavior(Behavior { read_len_max: 400, pause_max: Duration::from_millis(10), ..Behavior::default() });
    run.note("Peer 0 sends lines with 1,600 bytes and reads 400 bytes at a time. A kernel buffer holds 1,000.");
    for letter in [b'a', b'b', b'c', b'd'] {
        peer.send(&[&[letter; 399][..], b"\n"].concat());
    }
    run.advance(Duration::from_secs(1))?;
    run.note("No byte is lost: what the kernel does not take stays in the queue, in order.");
    peer.finish();
    run.advance(Duration::from_secs(1))?;
    Ok(run.end())
}

pub(super) fn partial_read() -> io::Result<RunLog> {
    let mut run = EchoRun::new("Partial read", world(4096), LINES, Limits::default(), None)?;
    let peer = run.connect();
    run.note("The bytes of a line arrive in two reads.");
    peer.send(b"hel");
    run.settle()?;
    peer.send(b"lo\n");
    run.settle()?;
    run.note("One read returns two lines and the beginning of a third.");
    peer.send(b"one\ntwo\nthr");
    run.settle()?;
    run.note("A read is not a message: TCP keeps the order of bytes, and nothing else.");
    peer.send(b"ee\n");
    peer.finish();
    run.settle()?;
    Ok(run.end())
}

pub(super) fn deadline() -> io::Result<RunLog> {
    let seconds = Duration::from_secs;
    let limits = Limits {
        idle_timeout: seconds(30),
        frame_timeout: seconds(10),
        write_timeout: seconds(20),
        ..Limits::default()
    };
    let mut run = EchoRun::new("Deadlines", world(64), LINES, limits, None)?;
    run.note("Peer 0 is silent. Peer 1 sends half a line. Peer 2 does not read its reply.");
    let peers = [(); 3].map(|()| run.connect());
    peers[1].send(b"half a li");
    peers[2].stop_reading();
    peers[2].send(&[&[b'x'; 100][..], b"\n"].concat());
    run.settle()?;
    run.note("One poll sleeps until the earliest of all deadlines. No thread and no timer waits for each peer.");
    run.advance(seconds(60))?;
    Ok(run.end())
}

pub(super) fn reset() -> io::Result<RunLog> {
    let mut run = EchoRun::new("Reset", world(4096), LINES, Limits::default(), None)?;
    let (leaver, other) = (run.connect(), run.connect());
    leaver.send(b"hello\n");
    other.send(b"hello\n");
    run.settle()?;
    run.note("Peer 0 resets its connection, as a crashed program or a closed laptop does.");
    leaver.send(b"bye\n");
    leaver.reset();
    other.send(b"still here\n");
    run.settle()?;
    run.note("An error belongs to one connection. The loop closes it, reports one reason, and serves the others.");
    Ok(run.end())
}

pub(super) fn drain() -> io::Result<RunLog> {
    let mut run = EchoRun::new("Drain", world(4096), LINES, Limits::default(), None)?;
    let peer = run.connect();
    peer.send(b"one\n");
    run.settle()?;
    run.note("The server gets SIGTERM while a line of peer 0 is on its way, and peer 1 connects too late.");
    peer.send(b"two\n");
    run.world.notify(ControlEvent::Drain);
    run.settle()?;
    run.connect();
    run.settle()?;
    run.note("The line was served, and peer 0 read its reply and a clean end.");
    Ok(run.end())
}
