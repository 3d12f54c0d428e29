//! The runs of `Scenario`: what the peers do, and remarks that explain it.

use std::io;
use std::time::Duration;

use readyloop::net::ControlEvent;
use readyloop::run_log::RunLog;
use readyloop::sim::Behavior;
use readyloop::watermark::Watermarks;
use readyloop::{Framing, Limits, Raw};

use super::echo_run::{EchoRun, Setup};

const RAW: Framing = Framing::Raw(Raw);

/// Limits with these watermarks of the queue.
fn queue(low: usize, high: usize) -> Limits {
    Limits { queue: Watermarks::new(low, high), ..Limits::default() }
}

pub(super) fn backpressure() -> io::Result<RunLog> {
    let limits = queue(1000, 4000);
    let mut run =
        EchoRun::start(Setup { title: "Backpressure", kernel_buffer: 4000, framing: RAW, limits, ..Setup::default() })?;
    let peer = run.connect();
    run.note("Peer 0 wants to send 12,000 bytes and does not read the replies.");
    peer.stop_reading();
    peer.send(&[b'x'; 12_000]);
    run.settle()?;
    run.note("All three buffers are full: the kernel's in both directions, and the queue of the server.");
    run.note("Peer 0 has to wait. The memory of the server is bounded, however long this takes.");
    run.note("Peer 0 begins to read.");
    peer.resume_reading();
    run.settle()?;
    run.note("Everything came back.");
    Ok(run.end())
}

pub(super) fn half_close() -> io::Result<RunLog> {
    let mut run =
        EchoRun::start(Setup { title: "Half-close", kernel_buffer: 16, prefix: "you said: ", ..Setup::default() })?;
    let peer = run.connect();
    run.note("Peer 0 sends two lines and its FIN at once, as `printf | nc -N` does. It does not read yet.");
    peer.stop_reading();
    peer.send(b"hello\nbye\n");
    peer.finish();
    run.settle()?;
    run.note("The end of the input ends one direction. A server that closes here loses a reply.");
    run.note("Peer 0 begins to read.");
    peer.resume_reading();
    run.settle()?;
    Ok(run.end())
}

pub(super) fn lost_edge() -> io::Result<RunLog> {
    let limits = queue(100, 2000);
    let mut run =
        EchoRun::start(Setup { title: "Lost edge", kernel_buffer: 3000, framing: RAW, limits, ..Setup::default() })?;
    let peer = run.connect();
    run.note("Peer 0 sends 9,000 bytes and does not read.");
    peer.stop_reading();
    peer.send(&[b'x'; 9000]);
    run.settle()?;
    run.note("3,000 bytes of peer 0 wait in the kernel, and the event about them is used up.");
    run.note("A loop that dropped it would wait forever: peer 0 cannot send more, so no other event comes.");
    run.note("Peer 0 begins to read.");
    peer.resume_reading();
    run.settle()?;
    run.note("The loop has read all bytes, because it remembered that peer 0 is readable.");
    Ok(run.end())
}

pub(super) fn emfile() -> io::Result<RunLog> {
    let mut run = EchoRun::start(Setup { title: "EMFILE", descriptors: 1, ..Setup::default() })?;
    run.note("The process may hold one connection, and two peers connect.");
    let peers = [(); 2].map(|()| run.connect());
    peers.iter().for_each(|peer| peer.send(b"hi\n"));
    run.settle()?;
    run.note("Peer 1 waits in the backlog. Its event is used up, and a freed descriptor raises no new one.");
    run.note("A timer retries, since this process may close a descriptor that is no connection.");
    run.advance(Duration::from_millis(50))?;
    run.note("Peer 0 ends. Its close frees a descriptor here, so the loop accepts at once.");
    peers[0].finish();
    run.settle()?;
    Ok(run.end())
}

pub(super) fn starvation() -> io::Result<RunLog> {
    let (title, turn_bytes) = ("Starvation", 32 * 1024);
    let mut run =
        EchoRun::start(Setup { title, kernel_buffer: 1 << 20, framing: RAW, turn_bytes, ..Setup::default() })?;
    let (fast, other) = (run.connect(), run.connect());
    run.note("Peer 0 sends 40,000 bytes at once, and peer 1 sends 4. Here a turn moves at most 32 KiB.");
    fast.send(&[b'x'; 40_000]);
    other.send(b"ping");
    run.settle()?;
    run.note("Peer 1 had its reply after one turn. A loop that reads a peer until it would block serves peer 0 first:");
    run.note("forever, if peer 0 sends faster than the loop reads.");
    Ok(run.end())
}

pub(super) fn partial_write() -> io::Result<RunLog> {
    let prefix = "This line was read, and every byte of it comes back to you: ";
    let mut run = EchoRun::start(Setup { title: "Partial write", kernel_buffer: 1000, prefix, ..Setup::default() })?;
    let peer = run.connect();
    peer.change_behavior(Behavior { read_len_max: 500, pause_max: Duration::from_millis(10), ..Behavior::default() });
    run.note("Peer 0 sends 3 lines of 300 bytes. The reply has 1,080 bytes, and a kernel buffer holds 1,000.");
    [b'a', b'b', b'c'].iter().for_each(|letter| peer.send(&[&[*letter; 299][..], b"\n"].concat()));
    run.advance(Duration::from_secs(1))?;
    run.note("No byte is lost: the rest stayed in the queue until the kernel had space.");
    Ok(run.end())
}

pub(super) fn partial_read() -> io::Result<RunLog> {
    let mut run = EchoRun::start(Setup { title: "Partial read", ..Setup::default() })?;
    let peer = run.connect();
    run.note("The bytes of a line arrive in two reads.");
    peer.send(b"hel");
    run.settle()?;
    peer.send(b"lo\n");
    run.settle()?;
    run.note("One read returns two lines and the beginning of a third.");
    peer.send(b"one\ntwo\nthr");
    run.settle()?;
    peer.send(b"ee\n");
    run.settle()?;
    run.note("A read is not a message: TCP keeps the order of bytes, and nothing else.");
    Ok(run.end())
}

pub(super) fn deadline() -> io::Result<RunLog> {
    let seconds = Duration::from_secs;
    let (idle_timeout, frame_timeout, write_timeout) = (seconds(30), seconds(10), seconds(20));
    let limits = Limits { idle_timeout, frame_timeout, write_timeout, ..Limits::default() };
    let mut run = EchoRun::start(Setup { title: "Deadlines", kernel_buffer: 64, limits, ..Setup::default() })?;
    run.note("Peer 0 sends half a line. Peer 1 does not read its reply.");
    let peers = [(); 2].map(|()| run.connect());
    peers[0].send(b"half a li");
    peers[1].stop_reading();
    peers[1].send(&[&[b'x'; 100][..], b"\n"].concat());
    run.settle()?;
    run.note("One poll sleeps until the earliest of all deadlines. No thread waits for a peer.");
    run.advance(seconds(60))?;
    Ok(run.end())
}

pub(super) fn reset() -> io::Result<RunLog> {
    let mut run = EchoRun::start(Setup { title: "Reset", ..Setup::default() })?;
    let (resetting, other) = (run.connect(), run.connect());
    resetting.send(b"hello\n");
    other.send(b"hello\n");
    run.settle()?;
    run.note("Peer 0 resets its connection, as the kernel does when a program crashes with unread input.");
    resetting.reset();
    other.send(b"still here\n");
    run.settle()?;
    run.note("An error belongs to one connection. The loop closes it, reports one reason, and serves the others.");
    Ok(run.end())
}

pub(super) fn wake_up() -> io::Result<RunLog> {
    let mut run = EchoRun::start(Setup { title: "Wake-up", ..Setup::default() })?;
    let peer = run.connect();
    peer.send(b"one\n");
    run.settle()?;
    run.note("The loop sleeps in its poll. Another thread puts a request to drain into the inbox of the loop.");
    run.note(
        "No socket is ready, so the thread also wakes the poll. Without that, the request waits for the next event.",
    );
    run.server.handle().drain();
    run.settle()?;
    Ok(run.end())
}

pub(super) fn drain() -> io::Result<RunLog> {
    let mut run = EchoRun::start(Setup { title: "Drain", ..Setup::default() })?;
    let peer = run.connect();
    peer.send(b"one\n");
    run.settle()?;
    run.note("The server gets SIGTERM while a line of peer 0 is on its way.");
    peer.send(b"two\n");
    run.world.notify(ControlEvent::Drain);
    run.settle()?;
    run.note("The line was served before the server sent its FIN, so peer 0 lost nothing.");
    Ok(run.end())
}
