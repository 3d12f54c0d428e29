//! [`TraceAdapter`]: adds the calls of a replay to a log, as the simulated network does.

use std::collections::HashSet;

use super::entry::{Call, CallResult};
use crate::instant::Instant;
use crate::net::Event;
use crate::trace::{SysResult, Trace, TraceEntry, TraceEvent, TraceLog};

/// The calls of a replay on their way to a log.
pub(super) struct TraceAdapter {
    trace: Trace,
    /// The streams that the loop resets when it closes them.
    resets: HashSet<u64>,
    streams: usize,
    listeners: usize,
}

impl TraceAdapter {
    pub(super) fn new(log: TraceLog) -> Self {
        let mut trace = Trace::default();
        trace.keep_in(log);
        Self { trace, resets: HashSet::new(), streams: 0, listeners: 0 }
    }

    /// Adds a call with its recorded result. `now` is the time before it.
    pub(super) fn add(&mut self, call: &Call, result: &CallResult<'_>, now: Instant) {
        if let (Call::Poll, CallResult::Polled { events, .. }) = (call, result) {
            self.trace.add(TraceEvent::Polled { now, events: events.len() });
            events.iter().for_each(|event: &Event| self.trace.add((*event).into()));
        } else if let (Call::TakeRequests, CallResult::Requests(requests)) = (call, result) {
            requests.iter().for_each(|request| self.trace.add(TraceEvent::Control(*request)));
        } else if let Some(event) = self.stream_event(call, result).or_else(|| self.other_event(call, result)) {
            self.trace.add(event);
        }
    }

    /// The event of a call on a stream.
    fn stream_event(&mut self, call: &Call, result: &CallResult<'_>) -> Option<TraceEvent> {
        let wire = |stream: &u64| *stream as usize;
        Some(match call {
            Call::Read { stream, len } => TraceEvent::Read { wire: wire(stream), wanted: *len, result: len_of(result) },
            Call::Write { stream, len } => {
                TraceEvent::Wrote { wire: wire(stream), wanted: *len, result: len_of(result) }
            }
            Call::Register { stream, token } => {
                TraceEvent::Registered { wire: wire(stream), token: token.0, result: unit_of(result) }
            }
            Call::ShutDownWrite { stream } => TraceEvent::Finished { wire: wire(stream), result: unit_of(result) },
            Call::CheckConnected { stream } => {
                let is_connected = matches!(result, CallResult::Connected { .. });
                TraceEvent::ConnectChecked { wire: wire(stream), result: unit_of(result).map(|()| is_connected) }
            }
            Call::ResetOnDrop { stream } => {
                self.resets.insert(*stream);
                return None;
            }
            Call::Drop { stream } if self.resets.remove(stream) => TraceEvent::Reset { wire: wire(stream) },
            Call::Drop { stream } => TraceEvent::Dropped { wire: wire(stream) },
            Call::Open { stream } => {
                self.add_handshake(*stream, result);
                return None;
            }
            _ => return None,
        })
    }

    fn add_handshake(&self, stream: u64, result: &CallResult<'_>) {
        let end = match unit_of(result) {
            Err(libc::EAGAIN | libc::EINTR) => return,
            Err(_) => "failed",
            Ok(()) => "is complete",
        };
        self.trace.add_entry(|| TraceEntry::Note(format!("the handshake of the layer over stream {stream} {end}")));
    }

    /// The event of a call on a listener or a UDP socket.
    fn other_event(&mut self, call: &Call, result: &CallResult<'_>) -> Option<TraceEvent> {
        Some(match call {
            Call::Accept { listener } => {
                TraceEvent::Accepted { listener: *listener as usize, result: next(&mut self.streams, result) }
            }
            Call::Connect { token, .. } => {
                TraceEvent::ConnectStarted { token: token.0, result: next(&mut self.streams, result) }
            }
            Call::Listen { token } => {
                if let CallResult::Listening(address) = result {
                    let (token, listener, address) = (token.0, Some(self.listeners), address.to_string());
                    self.trace.add_entry(|| TraceEntry::Named { token, listener, address });
                }
                TraceEvent::Listened { result: next(&mut self.listeners, result) }
            }
            Call::Bind { token } => {
                if let CallResult::Bound(bound) = result {
                    let (token, address) = (token.0, format!("udp://{bound}"));
                    self.trace.add_entry(|| TraceEntry::Named { token, listener: None, address });
                }
                return None;
            }
            Call::Receive { socket, .. } => TraceEvent::Received { socket: *socket as usize, result: len_of(result) },
            Call::Send { socket, .. } => TraceEvent::Sent { socket: *socket as usize, result: len_of(result) },
            _ => return None,
        })
    }
}

fn unit_of(result: &CallResult<'_>) -> SysResult<()> {
    if let CallResult::Failed(error) = result { Err(error.errno()) } else { Ok(()) }
}

fn len_of(result: &CallResult<'_>) -> SysResult {
    match result {
        CallResult::Input { len, .. } | CallResult::Output { len, .. } | CallResult::Datagram { len, .. } => Ok(*len),
        result => unit_of(result).map(|()| 0),
    }
}

/// The number of a new stream or listener.
fn next(count: &mut usize, result: &CallResult<'_>) -> SysResult {
    unit_of(result)?;
    *count += 1;
    Ok(*count - 1)
}
