//! `TraceEvent`: one call of the event loop with its result, or one action of a peer.
//!
//! The order of the variants is part of the trace hash. A new one goes to the end.

use crate::instant::Instant;
use crate::net::{ControlEvent, Event, Readiness};

/// The result of a system call: a value, or an errno.
pub type SysResult<T = usize> = Result<T, i32>;

/// One thing that happened at the border of an event loop.
///
/// Listeners, streams (`wire`), sockets and peers have numbers, each kind counted from 0 in order of creation. A
/// `token` is that of a registration, `wanted` and `len` are numbers of bytes, and an error is an errno.
#[expect(missing_docs, reason = "the fields are explained above")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceEvent {
    /// A poll returned this number of events. They follow.
    Polled { now: Instant, events: usize },
    /// The poll reported a stream, a listener or a socket.
    Ready { token: u64, readable: bool, writable: bool, read_closed: bool },
    /// The poll reported a request to the loop.
    Control(ControlEvent),
    /// The loop began to listen: the number of the listener.
    Listened { result: SysResult },
    /// The loop accepted a stream.
    Accepted { listener: usize, result: SysResult },
    /// The loop registered an accepted stream.
    Registered { wire: usize, token: u64, result: SysResult<()> },
    /// The loop began an outbound connection.
    ConnectStarted { token: u64, result: SysResult },
    /// The loop asked whether an outbound connection is established.
    ConnectChecked { wire: usize, result: SysResult<bool> },
    /// The loop read from a stream; 0 bytes are the end of input.
    Read { wire: usize, wanted: usize, result: SysResult },
    /// The loop wrote to a stream.
    Wrote { wire: usize, wanted: usize, result: SysResult },
    /// The loop ended its direction of a stream.
    Finished { wire: usize, result: SysResult<()> },
    /// The loop closed a stream.
    Dropped { wire: usize },
    /// The loop closed a stream with a reset.
    Reset { wire: usize },
    /// The loop received a datagram.
    Received { socket: usize, result: SysResult },
    /// The loop sent a datagram.
    Sent { socket: usize, result: SysResult },
    /// A peer is at the other end of a stream.
    PeerConnected { peer: usize, wire: usize },
    /// A peer found no listener.
    PeerRefused { peer: usize },
    /// A peer wrote.
    PeerWrote { peer: usize, len: usize },
    /// A peer read.
    PeerRead { peer: usize, len: usize },
    /// A peer read the end of input.
    PeerSawEnd { peer: usize },
    /// A call of a peer failed.
    PeerSawError { peer: usize, errno: i32 },
    /// A peer ended its direction.
    PeerFinished { peer: usize },
    /// A peer reset its connection.
    PeerReset { peer: usize },
    /// A peer closed its connection.
    PeerClosed { peer: usize },
}

impl From<Event> for TraceEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Ready(Readiness { token, readable, writable, read_closed }) => {
                Self::Ready { token: token.0, readable, writable, read_closed }
            }
            Event::Control(control_event) => Self::Control(control_event),
        }
    }
}
