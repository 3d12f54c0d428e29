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
use crate::net::{Address, ControlEvent};

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

    pub(super) fn name_listener(&mut self, listener: usize, token: u64, address: &Address) {
        self.name_socket(token, address);
        self.listeners.insert(listener, address.to_string());
    }

    pub(super) fn name_socket(&mut self, token: u64, address: &Address) {
        self.names.insert(token, address.to_string());
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
            TraceEvent::Listened { result } => {
                describe_call("listen", result, |listener| format!("listens on {}", self.listener_name(listener)))
            }
            TraceEvent::Accepted { listener, result } => {
                let call = format!("accept on {}", self.listener_name(listener));
                describe_call(&call, result, |wire| format!("accepts {}", self.wire_name(wire)))
            }
            TraceEvent::Registered { wire, result, .. } => {
                let name = self.wire_name(wire);
                describe_call(&format!("register {name}"), result, |()| format!("registers {name}"))
            }
            TraceEvent::ConnectStarted { result, .. } => {
                describe_call("connect", result, |wire| format!("starts to connect: {}", self.wire_name(wire)))
            }
            TraceEvent::ConnectChecked { wire, result } => {
                let name = self.wire_name(wire);
                describe_call(&format!("connect: {name}"), result, |is_connected| match is_connected {
                    true => format!("checks {name}: connected"),
                    false => format!("checks {name}: not connected yet"),
                })
            }
            TraceEvent::Read { wire, result, .. } => {
                let name = self.wire_name(wire);
                describe_call(&format!("read from {name}"), result, |len| match len {
                    0 => format!("reads the end of input from {name}"),
                    len => format!("reads {} from {name}", byte_count(len)),
                })
            }
            TraceEvent::Wrote { wire, wanted, result } => {
                let (name, all) = (self.wire_name(wire), byte_count(wanted));
                describe_call(&format!("write {all} to {name}"), result, |len| match len == wanted {
                    true => format!("writes {all} to {name}"),
                    false => format!("writes {len} of {all} to {name}"),
                })
            }
            TraceEvent::Finished { wire, result } => {
                let name = self.wire_name(wire);
                describe_call(&format!("send its FIN to {name}"), result, |()| format!("sends its FIN to {name}"))
            }
            TraceEvent::Dropped { wire } => format!("the server closes the stream of {}", self.wire_name(wire)),
            TraceEvent::Reset { wire } => format!("the server resets {}", self.wire_name(wire)),
            TraceEvent::Received { result, .. } => {
                describe_call("receive a datagram", result, |len| format!("receives a datagram of {}", byte_count(len)))
            }
            TraceEvent::Sent { result, .. } => {
                describe_call("send a datagram", result, |len| format!("sends a datagram of {}", byte_count(len)))
            }
            TraceEvent::PeerConnected { peer, .. } => format!("peer {peer} connects"),
            TraceEvent::PeerRefused { peer } => format!("peer {peer} is refused: no listener at its address"),
            TraceEvent::PeerWrote { peer, len } => format!("peer {peer} writes {}", byte_count(len)),
            TraceEvent::PeerRead { peer, len } => format!("peer {peer} reads {}", byte_count(len)),
            TraceEvent::PeerSawEnd { peer } => format!("peer {peer} reads the end of input"),
            TraceEvent::PeerSawError { peer, errno } => format!("peer {peer} gets an error: {}", describe_errno(errno)),
            TraceEvent::PeerFinished { peer } => format!("peer {peer} sends its FIN"),
            TraceEvent::PeerReset { peer } => format!("peer {peer} resets the connection"),
            TraceEvent::PeerClosed { peer } => format!("peer {peer} closes the connection"),
        }
    }
}

/// Describes a call of the server, with its effect or its error.
fn describe_call<T>(call: &str, result: SysResult<T>, describe: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => format!("the server {}", describe(value)),
        Err(errno) => format!("the server cannot {call}: {}", describe_errno(errno)),
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
        ControlEvent::ShutDown => "event: request to shut down",
        ControlEvent::LameDuck(_) => "event: request to wait until the peers leave",
        ControlEvent::Drain => "event: request to drain",
        ControlEvent::Stop => "event: request to stop",
        ControlEvent::Reload => "event: request to reload the certificates",
        ControlEvent::Restart => "event: restart request",
        ControlEvent::HandOver => "event: a successor serves",
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
