//! The event loop inside of a program that has a poll of its own, and a source of the program inside of
//! the event loop.
//!
//! Try it: `cargo run --example 27_embedded`
//!
//! ```text
//! the peer received: the program's own poll says hello
//! the peer received: a source of the event loop says hello
//! the peer received: the end
//! ```
//!
//! A program that already waits in `poll(2)`, such as one with a terminal or a window, adds one
//! descriptor: that of the event loop. It sleeps at most for the timeout of the event loop, and then
//! calls `turn`, which serves what is ready and returns.
//!
//! The other way round, the event loop watches a descriptor of the program and calls it back on the same
//! thread. Both pipes here could be a terminal, inotify or a signalfd.

use std::io::{self, BufRead as _, BufReader, PipeReader, Read, Write as _, pipe};
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use readyloop::net::Net;
use readyloop::{Context, EndpointId, EventLoop, Lines, Orders, PeerInfo, Reactor, ServerLimits, Service};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionbio;

/// Shows a text to all peers.
#[derive(Default)]
struct Board {
    text: String,
}

/// The text has changed.
#[derive(Debug)]
struct Changed;

impl Service for Board {
    type Codec = Lines;
    type Peer = ();
    type Message = Changed;

    fn on_open(&mut self, _peer: &mut (), _info: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        cx.send(self.text.as_bytes());
    }

    fn on_frame(&mut self, _peer: &mut (), _line: &[u8], cx: &mut Context<'_, Self>) {
        cx.send(self.text.as_bytes());
    }

    fn on_message(&mut self, Changed: Changed, orders: &mut Orders<'_, Self>) {
        // An error means that the text is longer than a callback may send.
        let _ = orders.send_to_others(&[self.text.as_bytes()]);
    }
}

/// Changes the text between two turns, and shows it to the peers in the next one.
fn show<N: Net + 'static>(text: String, event_loop: &mut EventLoop<N>, id: &EndpointId<Board>) {
    event_loop.service_mut(id).text = text;
    // An error means that earlier messages wait, which will show the new text as well.
    let _ = id.sender().send(Changed);
}

/// Reads what is available, up to `WouldBlock`. Returns `None` at the end.
fn read_text(mut pipe: &PipeReader) -> io::Result<Option<String>> {
    let (mut text, mut chunk) = (Vec::new(), [0; 1024]);
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) if text.is_empty() => return Ok(None),
            Ok(0) => break,
            Ok(len) => text.extend_from_slice(&chunk[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(Some(String::from_utf8_lossy(&text).trim_end().to_owned()))
}

/// The program: a poll of its own, with the event loop as one of two descriptors.
fn run(own: &PipeReader, watched: PipeReader, ready: &SyncSender<SocketAddr>) -> anyhow::Result<()> {
    let mut event_loop = EventLoop::new(Reactor::new()?, ServerLimits::default());
    let id = event_loop.listen("127.0.0.1:0", Lines::new(), Board::default())?;
    let address = event_loop.local_address(&id).to_string();

    let board = id.clone();
    ioctl_fionbio(&watched, true)?;
    event_loop.watch(watched, move |pipe, event_loop, _event| match read_text(pipe) {
        Ok(Some(text)) => {
            show(text, event_loop, &board);
            ControlFlow::Continue(())
        }
        Ok(None) | Err(_) => ControlFlow::Break(()),
    })?;

    ioctl_fionbio(own, true)?;
    ready.send(address.trim_start_matches("tcp://").parse()?)?;
    let mut is_open = true;
    while !event_loop.is_done() {
        let timeout = event_loop.timeout().and_then(|timeout| Timespec::try_from(timeout).ok());
        let own_flags = if is_open { PollFlags::IN } else { PollFlags::empty() };
        let mut fds = [PollFd::new(&event_loop, PollFlags::IN), PollFd::new(own, own_flags)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if is_open && !fds[1].revents().is_empty() {
            match read_text(own)? {
                Some(text) => show(text, &mut event_loop, &id),
                None => {
                    is_open = false;
                    show("the end".to_owned(), &mut event_loop, &id);
                    event_loop.drain();
                }
            }
        }
        // It does not sleep, because this time has passed.
        event_loop.turn(Some(event_loop.now()))?;
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let (own, mut to_own) = pipe()?;
    let (watched, mut to_watched) = pipe()?;
    let (ready, started) = sync_channel(1);
    let program = thread::spawn(move || run(&own, watched, &ready));

    let mut lines = BufReader::new(TcpStream::connect(started.recv()?)?).lines();
    // The board is empty at first.
    let mut next_line = || lines.next().expect("the connection is open");
    next_line()?;
    to_own.write_all(b"the program's own poll says hello\n")?;
    println!("the peer received: {}", next_line()?);
    to_watched.write_all(b"a source of the event loop says hello\n")?;
    println!("the peer received: {}", next_line()?);
    drop(to_own);
    println!("the peer received: {}", next_line()?);
    program.join().expect("the program does not panic")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use readyloop::Address;
    use readyloop::sim::{Faults, World};

    use super::*;

    /// The number of worlds with faults.
    const SEEDS: u64 = 100;

    /// Turns that never sleep, as a foreign poll calls them: when the world has passed the timeout.
    fn texts_are_shown(world: &World) {
        let address: Address = "10.0.0.99:7007".parse().unwrap();
        let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
        let id = event_loop.listen(address.clone(), Lines::new(), Board::default()).unwrap();
        let peer = world.connect(&address);
        let turn = |event_loop: &mut EventLoop<_>| {
            for _ in 0..100 {
                event_loop.turn(Some(event_loop.now())).unwrap();
            }
            // A minute, because the loop pauses before it retries a failed accept.
            world.advance(Duration::from_secs(60), || event_loop.turn(None)).unwrap();
        };
        turn(&mut event_loop);
        show("one".to_owned(), &mut event_loop, &id);
        turn(&mut event_loop);
        peer.send(b"?\n");
        turn(&mut event_loop);
        event_loop.drain();
        turn(&mut event_loop);
        assert_eq!(peer.received(), b"\none\none\n");
        assert!(event_loop.is_done() && event_loop.totals().reconciles());
    }

    #[test]
    fn a_text_reaches_the_peers_without_a_turn_that_sleeps() {
        texts_are_shown(&World::new(0));
        for seed in 0..SEEDS {
            texts_are_shown(&World::new(seed).with_faults(Faults::delays_drawn_from(seed)));
        }
    }

    #[test]
    fn a_foreign_poll_that_sleeps_for_the_timeout_misses_no_deadline() {
        let world = World::new(0);
        let address: Address = "10.0.0.99:7007".parse().unwrap();
        let mut event_loop = EventLoop::new(world.net(), ServerLimits::default());
        event_loop.listen(address.clone(), Lines::new(), Board::default()).unwrap();
        world.settle(|| event_loop.turn(None)).unwrap();
        assert_eq!(event_loop.timeout(), None, "nothing but an event causes work");

        let peer = world.connect(&address);
        world.settle(|| event_loop.turn(None)).unwrap();
        let (opened_at, mut sleeps) = (world.now(), 0);
        while let Some(timeout) = event_loop.timeout() {
            world.advance(timeout, || event_loop.turn(None)).unwrap();
            sleeps += 1;
            assert!(sleeps < 10, "it wakes without work");
        }
        assert!(!peer.is_connected());
        // The idle timeout of the peer.
        assert_eq!(world.now() - opened_at, Duration::from_secs(300));
    }
}
