//! [`TraceAdapter`]: adds the calls of a replay to a log, as the simulated network does.

use std::collections::{HashMap, HashSet};

use super::entry::{Call, CallResult};
use crate::instant::Instant;
use crate::trace::{SysResult, Trace, TraceEntry, TraceEvent, TraceLog};

/// The calls of a replay on their way to a log.
pub(super) struct TraceAdapter {
    trace: Trace,
    /// The number in the log of each open stream. They are counted as they appear, so none of them is too high.
    wires: HashMap<u64, usize>,
    next_wire: usize,
    /// The streams that the loop resets when it closes them.
    resets: HashSet<u64>,
}

impl TraceAdapter {
    pub(super) fn new(log: TraceLog) -> Self {
        let mut trace = Trace::default();
        trace.keep_in(log);
        Self { trace, wires: HashMap::new(), next_wire: 0, resets: HashSet::new() }
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
    fn add_name(&mut self, call: &Call, result: &CallResult<'_>) {
        let entry = match (call, result) {
            (Call::Listen { token }, CallResult::Listening { listener, address }) => {
                let listener = Some(*listener as usize);
                TraceEntry::Named { token: token.0, listener, address: address.to_string() }
            }
            (Call::Bind { token }, CallResult::Bound { address, .. }) => {
                TraceEntry::Named { token: token.0, listener: None, address: format!("udp://{address}") }
            }
            (Call::Open { stream }, CallResult::Opened { .. }) => {
                TraceEntry::Note(format!("the handshake over stream {} is complete", self.wire(*stream)))
            }
            (_, _) => return,
        };
        self.trace.add_entry(|| entry);
    }

    /// The number of a stream in the log.
    fn wire(&mut self, stream: u64) -> usize {
        let Self { wires, next_wire, .. } = self;
        *wires.entry(stream).or_insert_with(|| {
            *next_wire += 1;
            *next_wire - 1
        })
    }

    /// The number of the new stream.
    fn wire_of(&mut self, result: &CallResult<'_>) -> SysResult {
        if let CallResult::Accepted { stream, .. } | CallResult::Started { stream } = result {
            return Ok(self.wire(*stream));
        }
        unit_of(result).map(|()| 0)
    }

    fn event(&mut self, call: &Call, result: &CallResult<'_>) -> Option<TraceEvent> {
        let number = |number: &u64| *number as usize;
        Some(match call {
            Call::Read { stream, len } => {
                TraceEvent::Read { wire: self.wire(*stream), wanted: *len, result: len_of(result) }
            }
            Call::Write { stream, len } => {
                TraceEvent::Wrote { wire: self.wire(*stream), wanted: *len, result: len_of(result) }
            }
            Call::Accept { listener } => {
                TraceEvent::Accepted { listener: number(listener), result: self.wire_of(result) }
            }
            Call::Register { stream, token } => {
                TraceEvent::Registered { wire: self.wire(*stream), token: token.0, result: unit_of(result) }
            }
            Call::ShutDownWrite { stream } => {
                TraceEvent::Finished { wire: self.wire(*stream), result: unit_of(result) }
            }
            Call::ResetOnDrop { stream } => {
                self.resets.insert(*stream);
                return None;
            }
            Call::Drop { stream } => {
                let wire = self.wire(*stream);
                self.wires.remove(stream);
                if self.resets.remove(stream) { TraceEvent::Reset { wire } } else { TraceEvent::Dropped { wire } }
            }
            Call::Connect { token, .. } => TraceEvent::ConnectStarted { token: token.0, result: self.wire_of(result) },
            Call::CheckConnected { stream } => {
                let is_connected = matches!(result, CallResult::Connected { .. });
                TraceEvent::ConnectChecked { wire: self.wire(*stream), result: unit_of(result).map(|()| is_connected) }
            }
            Call::Listen { .. } => TraceEvent::Listened { result: listener_of(result) },
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

/// The number of the new listener.
fn listener_of(result: &CallResult<'_>) -> SysResult {
    if let CallResult::Listening { listener, .. } = result {
        return Ok(*listener as usize);
    }
    unit_of(result).map(|()| 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Token;

    #[test]
    fn streams_are_counted_as_they_appear() {
        let log = TraceLog::new();
        let mut adapter = TraceAdapter::new(log.clone());
        let mut wire = |call: Call| {
            adapter.add(&call, &CallResult::Done, Instant::ORIGIN);
            let [TraceEntry::Event(event)] = log.take()[..] else { panic!("no event of {call}") };
            event
        };
        let (first, second) = (u64::MAX, 7);
        let registered = |wire| TraceEvent::Registered { wire, token: 1, result: Ok(()) };
        assert_eq!(wire(Call::Register { stream: first, token: Token(1) }), registered(0));
        assert_eq!(wire(Call::Register { stream: second, token: Token(1) }), registered(1));
        assert_eq!(wire(Call::Drop { stream: first }), TraceEvent::Dropped { wire: 0 });
        assert_eq!(wire(Call::ShutDownWrite { stream: second }), TraceEvent::Finished { wire: 1, result: Ok(()) });
    }
}
