//! An echo on bare mio: one thread for all peers, with every trap marked.
//!
//! Try it: `cargo run --example 03_bare_mio`, then `nc 127.0.0.1 7007` in several terminals and type.
//!
//! mio is edge-triggered: it reports readiness once, when it begins. A loop that stops early must
//! remember that, or the peer is stranded. Each place where this is easy to miss is marked `Trap`.
//! The echo is complete, but it has no framing, no deadlines, no limit on peers and no graceful
//! shutdown. The next example has all of these, and is shorter.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

/// The listener's token; no slot of the slab has this number.
const LISTENER: Token = Token(usize::MAX);
/// The most reads for one peer before the others are served.
const READS_PER_TURN: usize = 4;
const ACCEPTS_PER_TURN: usize = 256;
/// The pause before a failed accept is retried.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

struct Peer {
    stream: TcpStream,
    /// Readiness, remembered until a call returns `WouldBlock`.
    readable: bool,
    writable: bool,
    /// Bytes that were read and are not written yet; at most one read.
    unsent: Vec<u8>,
    /// The peer has ended its direction.
    ended: bool,
}

/// The next action for a peer after it was served.
enum Next {
    WaitForEvent,
    ServeAgain,
    Close,
}

fn main() -> anyhow::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let mut listener = TcpListener::bind(address.parse()?).with_context(|| format!("cannot listen on {address}"))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);

    let mut peers: Slab<Peer> = Slab::new();
    let mut marked = Vec::new();
    // When to accept next; `None` while an event will report the next connection.
    let mut accept_at: Option<Instant> = None;
    let mut scratch = vec![0; 64 * 1024];
    loop {
        // Trap: unfinished work, or an accept to retry, causes no event. The sleep must be limited.
        let timeout = match accept_at {
            _ if !marked.is_empty() => Some(Duration::ZERO),
            Some(at) => Some(at.saturating_duration_since(Instant::now())),
            None => None,
        };
        match poll.poll(&mut events, timeout) {
            // Trap: a signal or a debugger interrupts the poll. That is not a failure.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            match event.token() {
                // A new connection does not shorten the pause after a failed accept.
                LISTENER => accept_at = accept_at.or_else(|| Some(Instant::now())),
                Token(slot) => {
                    // Trap: some systems report an event for a stream that was already dropped.
                    let Some(peer) = peers.get_mut(slot) else { continue };
                    peer.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                    peer.writable |= event.is_writable();
                    marked.push(slot);
                }
            }
        }
        if accept_at.is_some_and(|at| at <= Instant::now()) {
            accept_at = accept(&listener, &poll, &mut peers);
        }
        // Trap: a batch can hold two events of one peer, and a freed slot could be reused within it.
        // So each peer is served once, and slots are freed only after the batch.
        marked.sort_unstable();
        marked.dedup();
        marked.retain(|&slot| match serve(&mut peers[slot], &mut scratch) {
            Next::WaitForEvent => false,
            Next::ServeAgain => true,
            Next::Close => {
                peers.remove(slot);
                false
            }
        });
    }
}

/// Accepts the waiting connections. Returns when to accept again, or `None` to wait for an event.
fn accept(listener: &TcpListener, poll: &Poll, peers: &mut Slab<Peer>) -> Option<Instant> {
    for _ in 0..ACCEPTS_PER_TURN {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            // Trap: running out of descriptors must not end the server. And no event comes when
            // descriptors are free again, so the backlog would wait forever without a retry.
            Err(error) => {
                eprintln!("cannot accept: {error}");
                return Some(Instant::now() + ACCEPT_PAUSE);
            }
        };
        let entry = peers.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        match poll.registry().register(&mut stream, Token(entry.key()), both) {
            Ok(()) => {
                entry.insert(Peer { stream, readable: false, writable: false, unsent: Vec::new(), ended: false });
            }
            Err(error) => eprintln!("cannot register: {error}"),
        }
    }
    // Trap: after stopping before `WouldBlock`, no further event comes for this backlog.
    Some(Instant::now())
}

/// Serves one peer until no bytes move, or its share of the turn is used up.
fn serve(peer: &mut Peer, scratch: &mut [u8]) -> Next {
    match try_serve(peer, scratch) {
        Ok(next) => next,
        // Most likely a reset. It ends this peer, not the server.
        Err(_) => Next::Close,
    }
}

fn try_serve(peer: &mut Peer, scratch: &mut [u8]) -> io::Result<Next> {
    // Trap: a peer that sends without pause must not delay the others.
    for _ in 0..READS_PER_TURN {
        flush(peer)?;
        // Trap: reading on while the peer does not read its echo would use memory without bound.
        if !peer.unsent.is_empty() {
            return Ok(Next::WaitForEvent);
        }
        // Trap: when the peer's direction ends, its remaining echo must still be written.
        if peer.ended {
            return Ok(Next::Close);
        }
        if !peer.readable {
            return Ok(Next::WaitForEvent);
        }
        match peer.stream.read(scratch) {
            Ok(0) => peer.ended = true,
            Ok(len) => peer.unsent.extend_from_slice(&scratch[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => peer.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Next::ServeAgain)
}

/// Writes the unsent bytes, as far as the stream takes them.
fn flush(peer: &mut Peer) -> io::Result<()> {
    while peer.writable && !peer.unsent.is_empty() {
        match peer.stream.write(&peer.unsent) {
            // Trap: a write may take only a part.
            Ok(len) => drop(peer.unsent.drain(..len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => peer.writable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // Trap: an empty Vec keeps its memory, and most peers are idle.
    if peer.unsent.is_empty() {
        peer.unsent = Vec::new();
    }
    Ok(())
}
