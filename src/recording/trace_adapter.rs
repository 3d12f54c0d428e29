//! [`TraceAdapter`]: adds the calls of a replay to a log, as the simulated network does.

use std::collections::HashSet;

use super::entry::{Call, CallResult};
use crate::instant::Instant;
use crate::trace::{SysResult, Trace, TraceEntry, TraceEvent, TraceLog};

/// The calls of a replay on their way to a log.
pub(super) struct TraceAdapter {
    trace: Trace,
    /// The streams that the loop resets when it closes them.
    resets: HashSet<u64>,
}

impl TraceAdapter {
    pub(super) fn new(log: TraceLog) -> Self {
        let mut trace = Trace::default();
        trace.keep_in(log);
        Self { trace, resets: HashSet::new() }
    }

    /// Adds a call with its recorded result. `now` is the time before it.
    pub(super) fn add(&mut self, call: &Call, result: &CallResult<'_>, now: Instant) {
        if let CallResult::Polled { events, .. } = result {
            self.trace.add(TraceEvent::Polled { now, events: events.len() });
            events.iter().for_each(|event| self.trace.add((*event).into()));
        } else if let CallResult::Requests(requests) = result {
            requests.iter().for_each(|request| self.trace.add(TraceEvent::Control(*request)));
        } else {
            self.add_name(call, result);
            if let Some(event) = self.event(call, result) {
                self.trace.add(event);
            }
        }
    }

    /// Adds the name of a new listener or UDP socket, and the end of a handshake.
    fn add_name(&self, call: &Call, result: &CallResult<'_>) {
        let entry = match (call, result) {
            (Call::Listen { token }, CallResult::Listening { listener, address }) => {
                let listener = Some(*listener as usize);
                TraceEntry::Named { token: token.0, listener, address: address.to_string() }
            }
            (Call::Bind { token }, CallResult::Bound { address, .. }) => {
                TraceEntry::Named { token: token.0, listener: None, address: format!("udp://{address}") }
            }
            (Call::Open { stream }, CallResult::Opened { .. }) => {
                TraceEntry::Note(format!("the handshake over stream {stream} is complete"))
            }
            (_, _) => return,
        };
        self.trace.add_entry(|| entry);
    }

    fn event(&mut self, call: &Call, result: &CallResult<'_>) -> Option<TraceEvent> {
        let number = |number: &u64| *number as usize;
        Some(match call {
            Call::Read { stream, len } => {
                TraceEvent::Read { wire: number(stream), wanted: *len, result: len_of(result) }
            }
            Call::Write { stream, len } => {
                TraceEvent::Wrote { wire: number(stream), wanted: *len, result: len_of(result) }
            }
            Call::Accept { listener } => TraceEvent::Accepted { listener: number(listener), result: number_of(result) },
            Call::Register { stream, token } => {
                TraceEvent::Registered { wire: number(stream), token: token.0, result: unit_of(result) }
            }
            Call::ShutDownWrite { stream } => TraceEvent::Finished { wire: number(stream), result: unit_of(result) },
            Call::ResetOnDrop { stream } => {
                self.resets.insert(*stream);
                return None;
            }
            Call::Drop { stream } if self.resets.remove(stream) => TraceEvent::Reset { wire: number(stream) },
            Call::Drop { stream } => TraceEvent::Dropped { wire: number(stream) },
            Call::Connect { token, .. } => TraceEvent::ConnectStarted { token: token.0, result: number_of(result) },
            Call::CheckConnected { stream } => {
                let is_connected = matches!(result, CallResult::Connected { .. });
                TraceEvent::ConnectChecked { wire: number(stream), result: unit_of(result).map(|()| is_connected) }
            }
            Call::Listen { .. } => TraceEvent::Listened { result: number_of(result) },
            Call::Receive { socket, .. } => TraceEvent::Received { socket: number(socket), result: len_of(result) },
            Call::Send { socket, .. } => TraceEvent::Sent { socket: number(socket), result: len_of(result) },
            Call::PollEvents
            | Call::Flush { .. }
            | Call::SendCloseNotify { .. }
            | Call::Wrap { .. }
            | Call::Open { .. }
            | Call::HasReceived { .. }
            | Call::LayerFailure { .. }
            | Call::HandOver { .. }
            | Call::Bind { .. }
            | Call::TakeRequests
            | Call::TakeMessage => return None,
        })
    }
}

fn unit_of(result: &CallResult<'_>) -> SysResult<()> {
    if let CallResult::Failed(error) = result { Err(error.errno()) } else { Ok(()) }
}

fn len_of(result: &CallResult<'_>) -> SysResult {
    if let CallResult::Input { len, .. } | CallResult::Output { len, .. } | CallResult::Datagram { len, .. } = result {
        return Ok(*len);
    }
    unit_of(result).map(|()| 0)
}

/// The number of a new stream or listener.
fn number_of(result: &CallResult<'_>) -> SysResult {
    if let CallResult::Accepted { stream: number, .. }
    | CallResult::Started { stream: number }
    | CallResult::Listening { listener: number, .. } = result
    {
        return Ok(*number as usize);
    }
    unit_of(result).map(|()| 0)
}
