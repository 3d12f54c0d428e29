//! The sentences about trace events.
//!
//! Sentences about "the server" are about whatever program runs the loop.

use super::names::Names;
use super::words::{bytes, describe_errno};
use crate::admission::Count;
use crate::net::ControlEvent;
use crate::trace::{SysResult, TraceEvent};

/// Describes an event in plain words.
pub(super) fn sentence(event: &TraceEvent, names: &Names) -> String {
    match *event {
        TraceEvent::Polled { events, .. } => format!("the poll returns {}", Count(events as u64, "event")),
        TraceEvent::Ready { token, readable, writable, read_closed } => {
            format!("event: {} is {}", names.token(token), describe_readiness(readable, writable, read_closed))
        }
        TraceEvent::Control(control_event) => describe_control(control_event).to_owned(),
        TraceEvent::Listened { result } => {
            describe_call("listen", result, |listener| format!("listens on {}", names.listener(listener)))
        }
        TraceEvent::Accepted { listener, result } => {
            let call = format!("accept on {}", names.listener(listener));
            describe_call(&call, result, |wire| format!("accepts {} and registers it", names.wire(wire)))
        }
        TraceEvent::Registered { wire, result, .. } => {
            let name = names.wire(wire);
            describe_call(&format!("register {name}"), result, |()| format!("registers {name}"))
        }
        TraceEvent::ConnectStarted { result, .. } => {
            describe_call("connect", result, |wire| format!("starts to connect: {}", names.wire(wire)))
        }
        TraceEvent::ConnectChecked { wire, result } => {
            let name = names.wire(wire);
            describe_call(&format!("connect: {name}"), result, |is_connected| match is_connected {
                true => format!("checks {name}: connected"),
                false => format!("checks {name}: not connected yet"),
            })
        }
        TraceEvent::Read { wire, result, .. } => read_sentence(&names.wire(wire), result),
        TraceEvent::Wrote { wire, wanted, result } => write_sentence(&names.wire(wire), wanted, result),
        TraceEvent::Finished { wire, result } => {
            let name = names.wire(wire);
            describe_call(&format!("send its FIN to {name}"), result, |()| format!("sends its FIN to {name}"))
        }
        TraceEvent::Dropped { wire } => format!("the server closes the stream of {}", names.wire(wire)),
        TraceEvent::Reset { wire } => format!("the server resets {}", names.wire(wire)),
        TraceEvent::Received { result, .. } => {
            describe_call("receive a datagram", result, |len| format!("receives a datagram of {}", bytes(len)))
        }
        TraceEvent::Sent { result, .. } => {
            describe_call("send a datagram", result, |len| format!("sends a datagram of {}", bytes(len)))
        }
        TraceEvent::PeerConnected { peer, .. } => format!("peer {peer} connects"),
        TraceEvent::PeerRefused { peer } => format!("peer {peer} is refused: no listener at its address"),
        TraceEvent::PeerWrote { peer, len } => format!("peer {peer} writes {}", bytes(len)),
        TraceEvent::PeerRead { peer, len } => format!("peer {peer} reads {}", bytes(len)),
        TraceEvent::PeerSawEnd { peer } => format!("peer {peer} reads the end of input"),
        TraceEvent::PeerSawError { peer, errno } => format!("peer {peer} gets an error: {}", describe_errno(errno)),
        TraceEvent::PeerFinished { peer } => format!("peer {peer} sends its FIN"),
        TraceEvent::PeerReset { peer } => format!("peer {peer} resets the connection"),
        TraceEvent::PeerClosed { peer } => format!("peer {peer} closes the connection"),
    }
}

fn read_sentence(name: &str, result: SysResult) -> String {
    describe_call(&format!("read from {name}"), result, |len| match len {
        0 => format!("reads the end of input from {name}"),
        len => format!("reads {} from {name}", bytes(len)),
    })
}

fn write_sentence(name: &str, wanted: usize, result: SysResult) -> String {
    let all = bytes(wanted);
    describe_call(&format!("write {all} to {name}"), result, |len| match len == wanted {
        true => format!("writes {all} to {name}"),
        false => format!("writes {len} of {all} to {name}"),
    })
}

/// Describes a call of the server, with its effect or its error.
fn describe_call<T>(call: &str, result: SysResult<T>, describe: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => format!("the server {}", describe(value)),
        Err(errno) => format!("the server cannot {call}: {}", describe_errno(errno)),
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
