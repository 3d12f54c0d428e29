//! `TraceEvent`: one call of the event loop with its result, or one action of a peer.
//!
//! The order of the variants is part of the trace hash. A new one goes to the end.

use crate::instant::Instant;
use crate::net::{ControlEvent, Event, Readiness};

/// The result of a system call: a value, or an errno.
pub type SysResult<T = usize> = Result<T, i32>;

/// One thing that happened at the border of an event loop.
///
/// Listeners, streams (`wire`), sockets and peers have numbers, each kind counted from 0 in order of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TraceEvent {
    /// A poll returned this number of events. They follow.
    Polled {
        /// The time after the poll.
        now: Instant,
        /// The number of events.
        events: usize,
    },
    /// The poll reported a stream, a listener or a socket.
    Ready {
        /// The token of its registration.
        token: u64,
        /// A read or an accept may succeed.
        readable: bool,
        /// A write may succeed.
        writable: bool,
        /// The peer has ended its direction, or the stream has failed.
        read_closed: bool,
    },
    /// The poll reported a request to the loop.
    Control(ControlEvent),
    /// The loop began to listen.
    Listened {
        /// The number of the listener.
        result: SysResult,
    },
    /// An accept.
    Accepted {
        /// The listener.
        listener: usize,
        /// The number of the stream.
        result: SysResult,
    },
    /// The registration of an accepted stream.
    Registered {
        /// The stream.
        wire: usize,
        /// Its token.
        token: u64,
        /// Whether it succeeded.
        result: SysResult<()>,
    },
    /// The start of an outbound connection.
    ConnectStarted {
        /// The token of its registration.
        token: u64,
        /// The number of the stream.
        result: SysResult,
    },
    /// The question whether an outbound connection is established.
    ConnectChecked {
        /// The stream.
        wire: usize,
        /// Whether it is established.
        result: SysResult<bool>,
    },
    /// A read.
    Read {
        /// The stream.
        wire: usize,
        /// The size of the buffer, in bytes.
        wanted: usize,
        /// The number of bytes; 0 is the end of input.
        result: SysResult,
    },
    /// A write.
    Wrote {
        /// The stream.
        wire: usize,
        /// The number of bytes to write.
        wanted: usize,
        /// The number of bytes that the kernel took.
        result: SysResult,
    },
    /// The loop ended its direction of a stream.
    Finished {
        /// The stream.
        wire: usize,
        /// Whether it succeeded.
        result: SysResult<()>,
    },
    /// The loop closed a stream.
    Dropped {
        /// The stream.
        wire: usize,
    },
    /// The loop closed a stream with a reset.
    Reset {
        /// The stream.
        wire: usize,
    },
    /// A datagram was received.
    Received {
        /// The socket.
        socket: usize,
        /// Its length in bytes.
        result: SysResult,
    },
    /// A datagram was sent.
    Sent {
        /// The socket.
        socket: usize,
        /// Its length in bytes.
        result: SysResult,
    },
    /// A peer is at the other end of a stream.
    PeerConnected {
        /// The peer.
        peer: usize,
        /// The stream.
        wire: usize,
    },
    /// A peer found no listener.
    PeerRefused {
        /// The peer.
        peer: usize,
    },
    /// A peer wrote.
    PeerWrote {
        /// The peer.
        peer: usize,
        /// The number of bytes.
        len: usize,
    },
    /// A peer read.
    PeerRead {
        /// The peer.
        peer: usize,
        /// The number of bytes.
        len: usize,
    },
    /// A peer read the end of input.
    PeerSawEnd {
        /// The peer.
        peer: usize,
    },
    /// A call of a peer failed.
    PeerSawError {
        /// The peer.
        peer: usize,
        /// The error.
        errno: i32,
    },
    /// A peer ended its direction.
    PeerFinished {
        /// The peer.
        peer: usize,
    },
    /// A peer reset its connection.
    PeerReset {
        /// The peer.
        peer: usize,
    },
    /// A peer closed its connection.
    PeerClosed {
        /// The peer.
        peer: usize,
    },
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
