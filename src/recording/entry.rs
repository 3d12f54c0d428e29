//! [`Entry`]: one call of the event loop on its network with the result, and the binary form of it.
//!
//! A block of entries is decoded without anything outside it. The order of the variants is part of the format.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize, Serializer};

use super::recorded_error::RecordedError;
use crate::net::{Address, ControlEvent, DatagramRoute, Destination, Event, PeerAddress, Token};
use crate::service::TlsInfo;

/// One entry of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry<'a> {
    /// The clock was read, in nanoseconds since its origin.
    Clock(u64),
    /// A text of the program.
    Note(#[serde(borrow)] &'a str),
    /// A call and its result.
    Call(Call, #[serde(borrow)] CallResult<'a>),
}

/// A call of the loop. Streams, listeners and sockets are numbered in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Call {
    PollEvents,
    Read { stream: u64, len: usize },
    Write { stream: u64, len: usize },
    Accept { listener: u64 },
    Register { stream: u64, token: Token },
    ShutDownWrite { stream: u64 },
    ResetOnDrop { stream: u64 },
    Drop { stream: u64 },
    Flush { stream: u64 },
    SendCloseNotify { stream: u64 },
    Wrap { stream: u64 },
    Open { stream: u64 },
    HasReceived { stream: u64 },
    LayerFailure { stream: u64 },
    Connect { token: Token, to: Destination },
    CheckConnected { stream: u64 },
    Listen { token: Token },
    HandOver { listener: u64 },
    Bind { token: Token },
    Receive { socket: u64, len: usize },
    Send { socket: u64, len: usize, route: DatagramRoute },
    TakeRequests,
    TakeMessage,
}

/// The result of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CallResult<'a> {
    /// It succeeded, or there is nothing.
    Done,
    Failed(RecordedError),
    Polled {
        events: Cow<'a, [Event]>,
        is_partial: bool,
    },
    /// `content` is empty if no content is recorded.
    Input {
        len: usize,
        short_read_means_empty: bool,
        #[serde(borrow, serialize_with = "as_bytes")]
        content: &'a [u8],
    },
    /// The checksum of the bytes that were written, or 0 if no content is recorded.
    Output {
        len: usize,
        checksum: u32,
    },
    Accepted {
        stream: u64,
        peer: PeerAddress,
        local: Option<PeerAddress>,
    },
    /// A connect has begun.
    Started {
        stream: u64,
    },
    /// The connection is established.
    Connected {
        local: Option<PeerAddress>,
    },
    /// The connection is not established yet.
    Pending,
    Opened {
        original: Option<PeerAddress>,
        tls: Option<TlsInfo>,
    },
    Answer(bool),
    Listening {
        listener: u64,
        address: Address,
    },
    Bound {
        socket: u64,
        address: SocketAddr,
    },
    Datagram {
        len: usize,
        route: DatagramRoute,
        #[serde(borrow, serialize_with = "as_bytes")]
        content: &'a [u8],
    },
    Requests(Vec<ControlEvent>),
    /// A message, without its content if the service does not encode it.
    Message(#[serde(borrow)] Option<&'a [u8]>),
}

/// Writes bytes at once, and not as a sequence of numbers.
fn as_bytes<S: Serializer>(content: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(content)
}

impl CallResult<'_> {
    /// The result of a call, from what it returned.
    pub(super) fn of<T>(result: &io::Result<T>, of_success: impl FnOnce(&T) -> Self) -> Self {
        match result {
            Ok(success) => of_success(success),
            Err(error) => Self::Failed(RecordedError::of(error)),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PollEvents => f.write_str("a poll"),
            Self::Read { stream, len } => write!(f, "a read of {len} bytes from stream {stream}"),
            Self::Write { stream, len } => write!(f, "a write of {len} bytes to stream {stream}"),
            Self::Accept { listener } => write!(f, "an accept at listener {listener}"),
            Self::Register { stream, token } => write!(f, "stream {stream} registered as {:x}", token.0),
            Self::ShutDownWrite { stream } => write!(f, "the end of output to stream {stream}"),
            Self::ResetOnDrop { stream } => write!(f, "a reset of stream {stream}"),
            Self::Drop { stream } => write!(f, "the close of stream {stream}"),
            Self::Flush { stream } => write!(f, "a flush of stream {stream}"),
            Self::SendCloseNotify { stream } => write!(f, "a close_notify to stream {stream}"),
            Self::Wrap { stream } => write!(f, "a layer over stream {stream}"),
            Self::Open { stream } => write!(f, "a handshake step of stream {stream}"),
            Self::HasReceived { stream } => write!(f, "whether stream {stream} has received a byte"),
            Self::LayerFailure { stream } => write!(f, "why the layer of stream {stream} failed"),
            Self::Connect { token, to } => write!(f, "a connect to {to} as {:x}", token.0),
            Self::CheckConnected { stream } => write!(f, "whether stream {stream} is connected"),
            Self::Listen { token } => write!(f, "a listener as {:x}", token.0),
            Self::HandOver { listener } => write!(f, "the hand-over of listener {listener}"),
            Self::Bind { token } => write!(f, "a UDP socket as {:x}", token.0),
            Self::Receive { socket, len } => write!(f, "a datagram of at most {len} bytes from socket {socket}"),
            Self::Send { socket, len, route } => write!(f, "{len} bytes from socket {socket} to {}", route.peer),
            Self::TakeRequests => f.write_str("the requests of other threads"),
            Self::TakeMessage => f.write_str("a message of another thread"),
        }
    }
}
