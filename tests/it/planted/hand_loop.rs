//! `HandLoop`: an event loop written by hand on the simulated network, with one fault at most.
//!
//! It sends three times what it reads, so that replies are longer than requests. It has what `03_bare_mio` of the examples
//! has: remembered readiness, a queue for each peer, a pause while it is not empty, a budget, and a retry of accepts.

use std::io::{self, ErrorKind};
use std::time::Duration;

use readyloop::instant::Instant;
use readyloop::net::{Event, ListenOptions, Net, Stream as _, Token};
use readyloop::run_log::RunObserver;
use readyloop::sim::{SimNet, SimStream, World};
use readyloop::trace::TraceLog;

use super::scene::address;

/// The faults that a loop may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoopFault {
    None,
    /// It reads once for each event, and forgets that more may be there.
    OneRead,
    /// It accepts once for each event.
    OneAccept,
    /// It ignores how many bytes a write took.
    DropsRest,
    /// It serves a peer until nothing is left.
    NoBudget,
    /// It reads on while the queue is not empty.
    NoPause,
    /// It waits for an event after a failed accept.
    NoRetry,
    /// It takes an interrupted read for a failure.
    InterruptedIsFatal,
    /// It takes the end of the input for a read without bytes.
    EndIsNothing,
}

/// The length of one read.
pub(super) const READ_LEN: usize = 1000;
/// The most reads of a peer in one turn.
const READS_PER_TURN: usize = 4;
/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The most turns of a run, for loops that spin.
const TURNS_MAX: u64 = 30;

const LISTENER: Token = Token(u64::MAX);

struct Peer {
    stream: SimStream,
    readable: bool,
    writable: bool,
    queue: Vec<u8>,
    has_ended: bool,
}

pub(super) struct HandLoop {
    fault: LoopFault,
    net: SimNet,
    listener: <SimNet as Net>::Listener,
    /// The number of a peer is its token. A peer that is gone leaves an empty place.
    peers: Vec<Option<Peer>>,
    marked: Vec<usize>,
    accept_at: Option<Instant>,
}

/// Runs a loop with this fault in a world, and returns the story. `script` makes the peers and lets time pass.
pub(super) fn story(world: World, fault: LoopFault, script: impl FnOnce(&World, &mut dyn FnMut(Duration))) -> String {
    let log = TraceLog::new();
    let world = world.with_log(log.clone());
    let mut net = world.net();
    let listener = net.listen(&address(), &ListenOptions::default(), LISTENER).expect("the address is free");
    let mut hand_loop = HandLoop { fault, net, listener, peers: Vec::new(), marked: Vec::new(), accept_at: None };
    let (mut observer, mut turns) = (RunObserver::new("A loop written by hand", log), 0);
    script(&world, &mut |span| {
        // The error ends a run of a loop that spins.
        let _ = world.advance(span, || {
            turns += 1;
            hand_loop.turn();
            observer.after_calls(turns, world.now(), &world.kernel_buffers());
            if turns < TURNS_MAX { Ok(()) } else { Err(()) }
        });
    });
    observer.into_log().story().to_string()
}

impl HandLoop {
    fn turn(&mut self) {
        let until = if self.marked.is_empty() { self.accept_at } else { Some(Instant::ORIGIN) };
        let mut events = Vec::new();
        self.net.poll(&mut events, until).expect("a simulated poll does not fail");
        for event in events {
            let Event::Ready(readiness) = event else { continue };
            if readiness.token == LISTENER {
                self.accept_at = self.accept_at.or(Some(self.net.now()));
            } else if let Some(Some(peer)) = self.peers.get_mut(readiness.token.0 as usize) {
                peer.readable |= readiness.readable || readiness.read_closed;
                peer.writable |= readiness.writable;
                self.marked.push(readiness.token.0 as usize);
            }
        }
        if self.accept_at.is_some_and(|at| at <= self.net.now()) {
            self.accept_at = self.accept();
        }
        self.marked.sort_unstable();
        self.marked.dedup();
        for number in std::mem::take(&mut self.marked) {
            let Some(peer) = &mut self.peers[number] else { continue };
            match serve(self.fault, peer) {
                Ok(Next::WaitForEvent) => {}
                Ok(Next::ServeAgain) => self.marked.push(number),
                Ok(Next::Close) | Err(_) => self.peers[number] = None,
            }
        }
    }

    /// Accepts connections. Returns when to accept again, or `None` to wait for an event.
    fn accept(&mut self) -> Option<Instant> {
        loop {
            match self.net.accept(&mut self.listener) {
                Ok((mut stream, _)) => {
                    let token = Token(self.peers.len() as u64);
                    self.net.register(&mut stream, token).expect("there is no such fault");
                    let (readable, writable, queue, has_ended) = (false, false, Vec::new(), false);
                    self.peers.push(Some(Peer { stream, readable, writable, queue, has_ended }));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(_) if self.fault == LoopFault::NoRetry => return None,
                Err(_) => return Some(self.net.now() + ACCEPT_PAUSE),
            }
            if self.fault == LoopFault::OneAccept {
                return None;
            }
        }
    }
}

/// The next action for a peer.
enum Next {
    WaitForEvent,
    ServeAgain,
    Close,
}

fn serve(fault: LoopFault, peer: &mut Peer) -> io::Result<Next> {
    let mut buffer = [0; READ_LEN];
    let mut reads = 0;
    while reads < READS_PER_TURN || fault == LoopFault::NoBudget {
        flush(fault, peer)?;
        if !peer.queue.is_empty() && fault != LoopFault::NoPause {
            return Ok(Next::WaitForEvent);
        }
        if peer.has_ended && peer.queue.is_empty() {
            return Ok(Next::Close);
        }
        if !peer.readable || peer.has_ended {
            return Ok(Next::WaitForEvent);
        }
        reads += 1;
        match peer.stream.read(&mut buffer) {
            Ok(0) if fault == LoopFault::EndIsNothing => {}
            Ok(0) => peer.has_ended = true,
            Ok(len) => peer.queue.extend(buffer[..len].repeat(3)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => peer.readable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted && fault != LoopFault::InterruptedIsFatal => {}
            Err(error) => return Err(error),
        }
        if fault == LoopFault::OneRead {
            peer.readable = false;
        }
    }
    Ok(Next::ServeAgain)
}

fn flush(fault: LoopFault, peer: &mut Peer) -> io::Result<()> {
    while peer.writable && !peer.queue.is_empty() {
        match peer.stream.write(&peer.queue) {
            Ok(_) if fault == LoopFault::DropsRest => peer.queue.clear(),
            Ok(len) => drop(peer.queue.drain(..len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => peer.writable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
