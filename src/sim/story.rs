//! `Story`: what happened in a world, told a line at a time in words that need no manual.
//!
//! It only tells: what a line says was decided where it happened. "We" are the server, or whoever
//! runs over this border.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use libc::{
    EADDRINUSE, EAGAIN, ECONNABORTED, ECONNREFUSED, ECONNRESET, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOTCONN,
    EPIPE, ETIMEDOUT,
};

use super::faults::Fault;
use super::outcome::Outcome;
use super::trace::TraceEvent;
use crate::instant::Instant;
use crate::net::ControlEvent;

/// The text so far, and whom its numbers mean.
#[derive(Debug, Default)]
pub(super) struct Story {
    text: String,
    turn: u64,
    /// Whose a wire is.
    peers: HashMap<usize, usize>,
    /// What is registered under a token.
    names: HashMap<u64, String>,
    /// The addresses of listeners, by number.
    listeners: HashMap<usize, String>,
}

impl Story {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What follows belongs to that poll, and to the turn that it begins.
    pub(super) const fn begin_turn(&mut self, turn: u64) {
        self.turn = turn;
    }

    /// A line from outside.
    pub(super) fn note(&mut self, line: fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "turn {}: {line}", self.turn);
    }

    /// The listener of that number has that address and token.
    pub(super) fn meet_listener(&mut self, listener: usize, token: u64, address: String) {
        self.meet_socket(token, address.clone());
        self.listeners.insert(listener, address);
    }

    /// The socket of that token has that address.
    pub(super) fn meet_socket(&mut self, token: u64, address: String) {
        self.names.insert(token, address);
    }

    /// A fault that is about to show.
    pub(super) fn strike(&mut self, fault: Fault) {
        // Of these the time that each turn begins with says as much.
        if ![Fault::ClockStands, Fault::ClockCreeps].contains(&fault) {
            self.note(format_args!("! fault: {}", fault.name()));
        }
    }

    fn of_wire(&self, wire: usize) -> String {
        self.peers.get(&wire).map_or_else(|| format!("connection {wire}"), |peer| format!("peer {peer}"))
    }

    fn of_token(&self, token: u64) -> String {
        self.names.get(&token).cloned().unwrap_or_else(|| format!("{token:#x}, whom it never knew,"))
    }

    fn of_listener(&self, listener: usize) -> &str {
        self.listeners.get(&listener).map_or("a listener", String::as_str)
    }

    pub(super) fn add(&mut self, event: &TraceEvent) {
        self.learn(event);
        let line = self.told(event);
        self.note(format_args!("{line}"));
    }

    /// Who is meant by a number from now on.
    fn learn(&mut self, event: &TraceEvent) {
        if let TraceEvent::PeerConnected { peer, wire } = *event {
            self.peers.insert(wire, peer);
        }
        if let TraceEvent::Registered { wire, token, outcome: Ok(()) }
        | TraceEvent::Began { token, outcome: Ok(wire) } = *event
        {
            self.names.insert(token, self.of_wire(wire));
        }
    }

    fn told(&self, event: &TraceEvent) -> String {
        match *event {
            TraceEvent::Polled { now, events } => polled(now, events),
            TraceEvent::PollOutcome { token, readable, writable, read_closed } => {
                let state = state(readable, writable, read_closed);
                format!("the kernel says {} {state}", self.of_token(token))
            }
            TraceEvent::Noticed(control_event) => noticed(control_event).to_owned(),
            TraceEvent::Listened { outcome } => match outcome {
                Ok(listener) => format!("we listen on {}", self.of_listener(listener)),
                Err(errno) => format!("we cannot listen: {}", words(errno)),
            },
            TraceEvent::Accepted { listener, outcome } => match outcome {
                Ok(wire) => format!("we accept {}", self.of_wire(wire)),
                Err(EAGAIN) => format!("we accept at {}: nobody waits there now", self.of_listener(listener)),
                Err(errno) => format!("we accept at {}: {}", self.of_listener(listener), words(errno)),
            },
            TraceEvent::Registered { wire, outcome, .. } => match outcome {
                Ok(()) => format!("we register {}: from now on the kernel tells of it", self.of_wire(wire)),
                Err(errno) => format!("we cannot register {}: {}", self.of_wire(wire), words(errno)),
            },
            TraceEvent::Began { outcome, .. } => match outcome {
                Ok(wire) => format!("we begin to connect: {}", self.of_wire(wire)),
                Err(errno) => format!("we cannot connect: {}", words(errno)),
            },
            TraceEvent::Asked { wire, outcome } => match outcome {
                Ok(true) => format!("we ask about {}: it is connected", self.of_wire(wire)),
                Ok(false) => format!("we ask about {}: not connected yet", self.of_wire(wire)),
                Err(errno) => format!("we ask about {}: {}", self.of_wire(wire), words(errno)),
            },
            TraceEvent::Read { wire, outcome, .. } => self.read(wire, outcome),
            TraceEvent::Wrote { wire, wanted, outcome } => self.wrote(wire, wanted, outcome),
            TraceEvent::Finished { wire, outcome } => match outcome {
                Ok(()) => format!("we end our direction to {}: our FIN", self.of_wire(wire)),
                Err(errno) => format!("we cannot end our direction to {}: {}", self.of_wire(wire), words(errno)),
            },
            TraceEvent::Dropped { wire } => format!("we close the stream of {}", self.of_wire(wire)),
            TraceEvent::Reset { wire } => format!("we reset {}", self.of_wire(wire)),
            TraceEvent::Received { outcome, .. } => match outcome {
                Ok(len) => format!("we receive a datagram of {}", bytes(len)),
                Err(errno) => format!("we receive a datagram: {}", words(errno)),
            },
            TraceEvent::Sent { outcome, .. } => match outcome {
                Ok(len) => format!("we send a datagram of {}", bytes(len)),
                Err(errno) => format!("we send a datagram: {}", words(errno)),
            },
            TraceEvent::PeerConnected { .. }
            | TraceEvent::PeerRefused { .. }
            | TraceEvent::PeerWrote { .. }
            | TraceEvent::PeerRead { .. }
            | TraceEvent::PeerSawEnd { .. }
            | TraceEvent::PeerSawError { .. }
            | TraceEvent::PeerFinished { .. }
            | TraceEvent::PeerReset { .. }
            | TraceEvent::PeerClosed { .. } => peer_did(event),
        }
    }

    fn read(&self, wire: usize, outcome: Outcome) -> String {
        let who = self.of_wire(wire);
        match outcome {
            Ok(0) => format!("we read the end of {who}: its FIN was the last thing"),
            Ok(len) => format!("we read {} of {who}", bytes(len)),
            Err(errno) => format!("we read of {who}: {}", words(errno)),
        }
    }

    fn wrote(&self, wire: usize, wanted: usize, outcome: Outcome) -> String {
        let who = self.of_wire(wire);
        match outcome {
            Ok(len) if len == wanted => format!("we write {} to {who}", bytes(len)),
            Ok(len) => format!("we write {len} of {} to {who}", bytes(wanted)),
            Err(errno) => format!("we write {} to {who}: {}", bytes(wanted), words(errno)),
        }
    }
}

/// What a peer did; nothing of what we did.
fn peer_did(event: &TraceEvent) -> String {
    match *event {
        TraceEvent::PeerConnected { peer, .. } => format!("peer {peer} connects"),
        TraceEvent::PeerRefused { peer } => format!("peer {peer} is refused: nobody listens there"),
        TraceEvent::PeerWrote { peer, len } => format!("peer {peer} sends {}", bytes(len)),
        TraceEvent::PeerRead { peer, len } => format!("peer {peer} reads {}", bytes(len)),
        TraceEvent::PeerSawEnd { peer } => format!("peer {peer} reads our end: a clean one"),
        TraceEvent::PeerSawError { peer, errno } => format!("peer {peer} meets an error: {}", words(errno)),
        TraceEvent::PeerFinished { peer } => format!("peer {peer}'s FIN: it sends no more, and may still read"),
        TraceEvent::PeerReset { peer } => format!("peer {peer} resets the connection"),
        TraceEvent::PeerClosed { peer } => format!("peer {peer} closes: it neither sends nor reads any more"),
        TraceEvent::Polled { .. }
        | TraceEvent::PollOutcome { .. }
        | TraceEvent::Noticed(_)
        | TraceEvent::Listened { .. }
        | TraceEvent::Accepted { .. }
        | TraceEvent::Registered { .. }
        | TraceEvent::Began { .. }
        | TraceEvent::Asked { .. }
        | TraceEvent::Read { .. }
        | TraceEvent::Wrote { .. }
        | TraceEvent::Finished { .. }
        | TraceEvent::Dropped { .. }
        | TraceEvent::Reset { .. }
        | TraceEvent::Received { .. }
        | TraceEvent::Sent { .. } => String::new(),
    }
}

fn polled(now: Instant, events: usize) -> String {
    let time = now.since(Instant::ORIGIN);
    match events {
        0 => format!("it is {time:?}, and the kernel has nothing to tell"),
        1 => format!("it is {time:?}, and the kernel tells one thing"),
        events => format!("it is {time:?}, and the kernel tells {events} things"),
    }
}

fn state(readable: bool, writable: bool, read_closed: bool) -> String {
    let bits = [(readable, "readable"), (writable, "writable"), (read_closed, "at its end")];
    let words: Vec<&str> = bits.into_iter().filter(|(is_so, _)| *is_so).map(|(_, word)| word).collect();
    format!("is {}", words.join(" and "))
}

const fn noticed(control_event: ControlEvent) -> &'static str {
    match control_event {
        ControlEvent::Wake => "another thread wakes us",
        ControlEvent::Drain => "we are told to drain: nobody new, and everybody finishes",
        ControlEvent::Stop => "we are told to stop, now",
        ControlEvent::Reload => "we are told to reload the certificates",
        ControlEvent::Totals => "we are asked for the totals",
    }
}

fn bytes(len: usize) -> String {
    if len == 1 { "1 byte".to_owned() } else { format!("{len} bytes") }
}

/// What an error number means here, with its name.
fn words(errno: i32) -> String {
    match errno {
        EAGAIN => "EAGAIN, nothing can be done now".to_owned(),
        EINTR => "EINTR, interrupted before anything happened".to_owned(),
        ECONNRESET => "ECONNRESET, the connection was reset".to_owned(),
        EPIPE => "EPIPE, the other end is gone".to_owned(),
        ETIMEDOUT => "ETIMEDOUT, nothing came back for too long".to_owned(),
        ECONNREFUSED => "ECONNREFUSED, nobody listens there".to_owned(),
        ECONNABORTED => "ECONNABORTED, it left before it was accepted".to_owned(),
        EMFILE => "EMFILE, this process has no descriptor left".to_owned(),
        ENFILE => "ENFILE, the machine has no descriptor left".to_owned(),
        ENOBUFS | ENOMEM => format!("errno {errno}, the kernel has no memory left"),
        ENOTCONN => "ENOTCONN, the connection is gone".to_owned(),
        EADDRINUSE => "EADDRINUSE, somebody listens there already".to_owned(),
        errno => format!("errno {errno}, {}", std::io::Error::from_raw_os_error(errno)),
    }
}
