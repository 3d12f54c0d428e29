//! The same echo on bare mio: one thread for all peers, and every trap on the way.
//!
//! Try it: `cargo run --example 03_bare_mio`, then `nc 127.0.0.1 7007` in as many terminals as you
//! like and type.
//!
//! mio tells each fact once, when it begins to hold (it is edge-triggered). So whoever stops early
//! must remember why, or the peer is stranded; each place where that is easy to miss is marked
//! `Trap`. This loop is complete as an echo. It has no framing, no deadline, no limit on the number
//! of peers and no end but being killed: those come with the next example, which is shorter.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

/// The listener's name; no slot of the slab reaches it.
const LISTENER: Token = Token(usize::MAX);
/// What one peer may have read before the others get their turn.
const READS_PER_TURN: usize = 4;
/// Newcomers in one turn.
const ACCEPTS_PER_TURN: usize = 256;
/// How soon a failed accept is tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

struct Peer {
    stream: TcpStream,
    /// Facts, kept until the stream says that they no longer hold.
    readable: bool,
    writable: bool,
    /// What was read and is not written yet; at most one read.
    waiting: Vec<u8>,
    /// The peer's direction has ended.
    ended: bool,
}

/// What to do with a peer when its turn is over.
enum After {
    Sleep,
    ServeAgain,
    Close,
}

fn main() -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7007".to_owned());
    let mut listener = TcpListener::bind(address.parse().map_err(io::Error::other)?)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);

    let mut peers: Slab<Peer> = Slab::new();
    let mut marked = Vec::new();
    // When to accept next; unset while a fact will tell.
    let mut accept_at: Option<Instant> = None;
    let mut scratch = vec![0; 64 * 1024];
    loop {
        // Trap: with work left over, or an accept to be tried again, no fact will wake us.
        let timeout = match accept_at {
            _ if !marked.is_empty() => Some(Duration::ZERO),
            Some(at) => Some(at.saturating_duration_since(Instant::now())),
            None => None,
        };
        match poll.poll(&mut events, timeout) {
            // Trap: a signal, or a debugger, ends the sleep with an error that is none.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            match event.token() {
                // While an accept rests after a failure, a newcomer does not cut that short.
                LISTENER => accept_at = accept_at.or_else(|| Some(Instant::now())),
                Token(slot) => {
                    // Trap: not every system forgets a stream together with its last fact.
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
        // Trap: one peer may be in the batch twice, and a slot that was freed could be taken again
        // within it. So each is served once, and slots are freed only where nobody else looks.
        marked.sort_unstable();
        marked.dedup();
        marked.retain(|&slot| match serve(&mut peers[slot], &mut scratch) {
            After::Sleep => false,
            After::ServeAgain => true,
            After::Close => {
                peers.remove(slot);
                false
            }
        });
    }
}

/// Takes in who waits; says when to accept again unless a fact comes first.
fn accept(listener: &TcpListener, poll: &Poll, peers: &mut Slab<Peer>) -> Option<Instant> {
    for _ in 0..ACCEPTS_PER_TURN {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            // Trap: out of descriptors is no reason to end the server. But no fact comes when there
            // are some again: who waits in the backlog would wait for ever.
            Err(error) => {
                eprintln!("cannot accept: {error}");
                return Some(Instant::now() + ACCEPT_PAUSE);
            }
        };
        let entry = peers.vacant_entry();
        let both = Interest::READABLE | Interest::WRITABLE;
        match poll.registry().register(&mut stream, Token(entry.key()), both) {
            Ok(()) => {
                entry.insert(Peer { stream, readable: false, writable: false, waiting: Vec::new(), ended: false });
            }
            Err(error) => eprintln!("cannot register: {error}"),
        }
    }
    // Trap: whoever stops before `WouldBlock` has used up the fact.
    Some(Instant::now())
}

/// Serves one peer until nothing moves or it has had its share.
fn serve(peer: &mut Peer, scratch: &mut [u8]) -> After {
    match try_serve(peer, scratch) {
        Ok(after) => after,
        // A reset, most likely: the peer's affair, and no reason to end the server.
        Err(_) => After::Close,
    }
}

fn try_serve(peer: &mut Peer, scratch: &mut [u8]) -> io::Result<After> {
    // Trap: a peer that sends without a pause must not keep the others waiting.
    for _ in 0..READS_PER_TURN {
        flush(peer)?;
        // Trap: who reads on while the peer does not take its echo stores without end.
        if !peer.waiting.is_empty() {
            return Ok(After::Sleep);
        }
        // Trap: the end of its direction is no reason to drop what it still has to get.
        if peer.ended {
            return Ok(After::Close);
        }
        if !peer.readable {
            return Ok(After::Sleep);
        }
        match peer.stream.read(scratch) {
            Ok(0) => peer.ended = true,
            Ok(len) => peer.waiting.extend_from_slice(&scratch[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => peer.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(After::ServeAgain)
}

/// Writes what waits, as far as it goes.
fn flush(peer: &mut Peer) -> io::Result<()> {
    while peer.writable && !peer.waiting.is_empty() {
        match peer.stream.write(&peer.waiting) {
            // Trap: a write may take less than it was given.
            Ok(len) => drop(peer.waiting.drain(..len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => peer.writable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // Trap: an empty Vec keeps its memory, and most peers are idle most of the time.
    if peer.waiting.is_empty() {
        peer.waiting = Vec::new();
    }
    Ok(())
}
