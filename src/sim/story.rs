//! `StoryFormatter`: writes what happens in a world as plain text, one line for each event.
//!
//! It only formats. Lines about "the server" are about whatever program runs over this world's `Net`.

use std::collections::HashMap;
use std::fmt::{self, Write as _};

use libc::{
    EADDRINUSE, EAGAIN, ECONNABORTED, ECONNREFUSED, ECONNRESET, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOTCONN,
    EPIPE, ETIMEDOUT,
};

use super::faults::Fault;
use super::sys_result::SysResult;
use super::trace_event::TraceEvent;
use crate::instant::Instant;
use crate::net::ControlEvent;

/// The text so far, and the names of the numbers in trace events.
#[derive(Debug, Default)]
pub(super) struct StoryFormatter {
    text: String,
    turn: u64,
    /// The peer of each wire.
    peers: HashMap<usize, usize>,
    /// The name of what is registered under each token.
    names: HashMap<u64, String>,
    /// The address of each listener.
    listeners: HashMap<usize, String>,
}

impl StoryFormatter {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) const fn begin_turn(&mut self, turn: u64) {
        self.turn = turn;
    }

    /// Adds a line to the current turn.
    pub(super) fn note(&mut self, line: fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "turn {}: {line}", self.turn);
    }

    pub(super) fn name_listener(&mut self, listener: usize, token: u64, address: String) {
        self.name_socket(token, address.clone());
        self.listeners.insert(listener, address);
    }

    pub(super) fn name_socket(&mut self, token: u64, address: String) {
        self.names.insert(token, address);
    }

    /// Adds a fault. A later line shows its effect.
    pub(super) fn add_fault(&mut self, fault: Fault) {
        // The time of each poll shows these two.
        if ![Fault::ClockStands, Fault::ClockCreeps].contains(&fault) {
            self.note(format_args!("! fault: {}", fault.name()));
        }
    }

    fn wire_name(&self, wire: usize) -> String {
        self.peers.get(&wire).map_or_else(|| format!("connection {wire}"), |peer| format!("peer {peer}"))
    }

    fn token_name(&self, token: u64) -> String {
        self.names.get(&token).cloned().unwrap_or_else(|| format!("unknown token {token:#x}"))
    }

    fn listener_name(&self, listener: usize) -> &str {
        self.listeners.get(&listener).map_or("a listener", String::as_str)
    }

    pub(super) fn add(&mut self, event: &TraceEvent) {
        self.learn_names(event);
        let line = self.describe(event);
        self.note(format_args!("{line}"));
    }

    /// Remembers which peer or stream a number or token stands for.
    fn learn_names(&mut self, event: &TraceEvent) {
        if let TraceEvent::PeerConnected { peer, wire } = *event {
            self.peers.insert(wire, peer);
        }
        if let TraceEvent::Registered { wire, token, result: Ok(()) }
        | TraceEvent::ConnectStarted { token, result: Ok(wire) } = *event
        {
            self.names.insert(token, self.wire_name(wire));
        }
    }

    fn describe(&self, event: &TraceEvent) -> String {
        match *event {
            TraceEvent::Polled { now, events } => describe_poll(now, events),
            TraceEvent::Ready { token, readable, writable, read_closed } => {
                let readiness = describe_readiness(readable, writable, read_closed);
                format!("event: {} is {readiness}", self.token_name(token))
            }
            TraceEvent::Control(control_event) => describe_control(control_event).to_owned(),
            TraceEvent::Listened { result } => match result {
                Ok(listener) => format!("the server listens on {}", self.listener_name(listener)),
                Err(errno) => format!("the server cannot listen: {}", describe_errno(errno)),
            },
            TraceEvent::Accepted { listener, result } => match result {
                Ok(wire) => format!("the server accepts {}", self.wire_name(wire)),
                Err(EAGAIN) => {
                    format!("the server accepts on {}: no connection is waiting", self.listener_name(listener))
                }
                Err(errno) => {
                    format!("the server accepts on {}: {}", self.listener_name(listener), describe_errno(errno))
                }
            },
            TraceEvent::Registered { wire, result, .. } => match result {
                Ok(()) => format!("the server registers {}", self.wire_name(wire)),
                Err(errno) => format!("the server cannot register {}: {}", self.wire_name(wire), describe_errno(errno)),
            },
            TraceEvent::ConnectStarted { result, .. } => match result {
                Ok(wire) => format!("the server starts to connect: {}", self.wire_name(wire)),
                Err(errno) => format!("the server cannot connect: {}", describe_errno(errno)),
            },
            TraceEvent::ConnectChecked { wire, result } => match result {
                Ok(true) => format!("the server checks {}: connected", self.wire_name(wire)),
                Ok(false) => format!("the server checks {}: not connected yet", self.wire_name(wire)),
                Err(errno) => format!("the server checks {}: {}", self.wire_name(wire), describe_errno(errno)),
            },
            TraceEvent::Read { wire, result, .. } => self.describe_read(wire, result),
            TraceEvent::Wrote { wire, wanted, result } => self.describe_write(wire, wanted, result),
            TraceEvent::Finished { wire, result } => match result {
                Ok(()) => format!("the server sends its FIN to {}", self.wire_name(wire)),
                Err(errno) => {
                    format!("the server cannot send its FIN to {}: {}", self.wire_name(wire), describe_errno(errno))
                }
            },
            TraceEvent::Dropped { wire } => format!("the server closes the stream of {}", self.wire_name(wire)),
            TraceEvent::Reset { wire } => format!("the server resets {}", self.wire_name(wire)),
            TraceEvent::Received { result, .. } => match result {
                Ok(len) => format!("the server receives a datagram of {}", byte_count(len)),
                Err(errno) => format!("the server cannot receive a datagram: {}", describe_errno(errno)),
            },
            TraceEvent::Sent { result, .. } => match result {
                Ok(len) => format!("the server sends a datagram of {}", byte_count(len)),
                Err(errno) => format!("the server cannot send a datagram: {}", describe_errno(errno)),
            },
            TraceEvent::PeerConnected { .. }
            | TraceEvent::PeerRefused { .. }
            | TraceEvent::PeerWrote { .. }
            | TraceEvent::PeerRead { .. }
            | TraceEvent::PeerSawEnd { .. }
            | TraceEvent::PeerSawError { .. }
            | TraceEvent::PeerFinished { .. }
            | TraceEvent::PeerReset { .. }
            | TraceEvent::PeerClosed { .. } => describe_peer_action(event),
        }
    }

    fn describe_read(&self, wire: usize, result: SysResult) -> String {
        let name = self.wire_name(wire);
        match result {
            Ok(0) => format!("the server reads the end of input from {name}"),
            Ok(len) => format!("the server reads {} from {name}", byte_count(len)),
            Err(errno) => format!("the server cannot read from {name}: {}", describe_errno(errno)),
        }
    }

    fn describe_write(&self, wire: usize, wanted: usize, result: SysResult) -> String {
        let name = self.wire_name(wire);
        match result {
            Ok(len) if len == wanted => format!("the server writes {} to {name}", byte_count(len)),
            Ok(len) => format!("the server writes {len} of {} to {name}", byte_count(wanted)),
            Err(errno) => {
                format!("the server cannot write {} to {name}: {}", byte_count(wanted), describe_errno(errno))
            }
        }
    }
}

/// Describes an action of a peer. Events of the server give an empty text.
fn describe_peer_action(event: &TraceEvent) -> String {
    match *event {
        TraceEvent::PeerConnected { peer, .. } => format!("peer {peer} connects"),
        TraceEvent::PeerRefused { peer } => format!("peer {peer} is refused: no listener at its address"),
        TraceEvent::PeerWrote { peer, len } => format!("peer {peer} writes {}", byte_count(len)),
        TraceEvent::PeerRead { peer, len } => format!("peer {peer} reads {}", byte_count(len)),
        TraceEvent::PeerSawEnd { peer } => format!("peer {peer} reads the end of input"),
        TraceEvent::PeerSawError { peer, errno } => format!("peer {peer} gets an error: {}", describe_errno(errno)),
        TraceEvent::PeerFinished { peer } => format!("peer {peer} sends its FIN"),
        TraceEvent::PeerReset { peer } => format!("peer {peer} resets the connection"),
        TraceEvent::PeerClosed { peer } => format!("peer {peer} closes the connection"),
        TraceEvent::Polled { .. }
        | TraceEvent::Ready { .. }
        | TraceEvent::Control(_)
        | TraceEvent::Listened { .. }
        | TraceEvent::Accepted { .. }
        | TraceEvent::Registered { .. }
        | TraceEvent::ConnectStarted { .. }
        | TraceEvent::ConnectChecked { .. }
        | TraceEvent::Read { .. }
        | TraceEvent::Wrote { .. }
        | TraceEvent::Finished { .. }
        | TraceEvent::Dropped { .. }
        | TraceEvent::Reset { .. }
        | TraceEvent::Received { .. }
        | TraceEvent::Sent { .. } => String::new(),
    }
}

fn describe_poll(now: Instant, events: usize) -> String {
    let time = now.since(Instant::ORIGIN);
    match events {
        0 => format!("the poll at {time:?} returns no events"),
        1 => format!("the poll at {time:?} returns 1 event"),
        events => format!("the poll at {time:?} returns {events} events"),
    }
}

fn describe_readiness(readable: bool, writable: bool, read_closed: bool) -> String {
    let bits = [(readable, "readable"), (writable, "writable"), (read_closed, "read-closed")];
    let names: Vec<&str> = bits.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name).collect();
    names.join(" and ")
}

const fn describe_control(control_event: ControlEvent) -> &'static str {
    match control_event {
        ControlEvent::Wake => "event: wake-up from another thread",
        ControlEvent::Drain => "event: request to drain",
        ControlEvent::Stop => "event: request to stop",
        ControlEvent::Reload => "event: request to reload the certificates",
        ControlEvent::Totals => "event: request for the totals",
    }
}

fn byte_count(len: usize) -> String {
    if len == 1 { "1 byte".to_owned() } else { format!("{len} bytes") }
}

/// The name of an errno and what it means here.
fn describe_errno(errno: i32) -> String {
    match errno {
        EAGAIN => "EAGAIN, the call would block".to_owned(),
        EINTR => "EINTR, the call was interrupted".to_owned(),
        ECONNRESET => "ECONNRESET, the connection was reset".to_owned(),
        EPIPE => "EPIPE, the other end is closed".to_owned(),
        ETIMEDOUT => "ETIMEDOUT, the connection timed out".to_owned(),
        ECONNREFUSED => "ECONNREFUSED, no listener at this address".to_owned(),
        ECONNABORTED => "ECONNABORTED, the connection ended before it was accepted".to_owned(),
        EMFILE => "EMFILE, the process is out of file descriptors".to_owned(),
        ENFILE => "ENFILE, the system is out of file descriptors".to_owned(),
        ENOBUFS | ENOMEM => format!("errno {errno}, the kernel is out of memory"),
        ENOTCONN => "ENOTCONN, the connection is broken".to_owned(),
        EADDRINUSE => "EADDRINUSE, the address is in use".to_owned(),
        errno => format!("errno {errno}, {}", std::io::Error::from_raw_os_error(errno)),
    }
}
