//! `TraceEntry`: one entry of the log of a run. `KernelBuffers`: what a network knows about a stream between turns.

use super::event::TraceEvent;
use super::lesson::Lesson;
use crate::slab::Key;

/// One entry of the log of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceEntry {
    /// A call of the event loop or an action of a peer. Only these are part of the trace hash.
    Event(TraceEvent),
    /// An injected fault. The next event shows its effect.
    Fault {
        /// The name of its kind.
        name: &'static str,
        /// The lesson about it.
        lesson: Lesson,
    },
    /// The address of a listener or a socket, and its token.
    Named {
        /// The token that it is registered under.
        token: u64,
        /// The number of the listener, if it is one.
        listener: Option<usize>,
        /// The address that it is bound to.
        address: String,
    },
    /// A callback about one peer.
    PeerCallback {
        /// The index of the endpoint in its loop.
        endpoint: usize,
        /// The key of the peer.
        key: Key,
        /// The name of the callback.
        name: &'static str,
        /// Its arguments, or nothing.
        detail: String,
    },
    /// A callback about no peer, or another remark about the service.
    Service(String),
    /// A remark that a program adds to explain the run.
    Note(String),
}

/// The kernel buffers of one stream, between two turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelBuffers {
    /// The number of the stream.
    pub wire: usize,
    /// Bytes from the peer that the loop has not read.
    pub unread: usize,
    /// The size of the buffer for them.
    pub unread_max: usize,
    /// Bytes from the loop that the peer has not read.
    pub unsent: usize,
    /// The size of the buffer for them.
    pub unsent_max: usize,
}
