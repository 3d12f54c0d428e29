//! What [`Net::poll`](super::Net::poll) reports: readiness of one source, or a request to the whole loop.
//!
//! Plain values; the loop decides what to do about them.

use std::time::Duration;

/// The name under which a stream, a listener or a UDP socket is registered.
///
/// Every [`Event::Ready`] about the source carries it. Its bits mean nothing to [`Net`](super::Net);
/// the loop packs endpoint, slot and generation into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
pub struct Token(pub u64);

/// One report of a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// A registered source may be ready.
    Ready(Readiness),
    /// A signal or a [`Handle`](super::Handle) requests something of the whole loop.
    Control(ControlEvent),
}

/// The readiness of one source.
///
/// Readiness is edge-triggered: a bit is reported when it becomes true, and not again until a call
/// returned `WouldBlock`. The caller must remember it until then. A report can be spurious.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
pub struct Readiness {
    /// The source, by the name it was registered under.
    pub token: Token,
    /// A read or an accept may succeed.
    pub readable: bool,
    /// A write may succeed.
    pub writable: bool,
    /// The peer has ended its direction, or the stream has failed. Read until 0 or an error.
    pub read_closed: bool,
}

/// Whether one poll reported every pending event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    /// The poll reported every event that was pending.
    Complete,
    /// The batch was full, so more events may be pending.
    Partial,
}

/// A request to the whole loop, by a signal or through a [`Handle`](super::Handle).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "record", derive(serde::Serialize, serde::Deserialize))]
pub enum ControlEvent {
    /// Check the inboxes: another thread has sent a message or a request.
    Wake,
    /// Shut down with all stages that [`ServerLimits`](crate::ServerLimits) gives a time. A second one means
    /// [`ControlEvent::Drain`], a third one [`ControlEvent::Stop`].
    ShutDown,
    /// Stop accepting and wait until all peers have left, or for this time; then drain.
    LameDuck(Duration),
    /// Finish every peer, then end. A second one means [`ControlEvent::Stop`].
    Drain,
    /// End at once.
    Stop,
    /// Read certificates and keys again, for new connections.
    Reload,
    /// Start a successor of this process. The loop goes on until it is ready.
    Restart,
    /// A successor serves at the same sockets: leave them to it, and end.
    HandOver,
    /// Log the totals.
    Totals,
}

impl ControlEvent {
    /// Whether it ends a program that has nothing to finish, such as a load generator.
    pub fn ends_program(self) -> bool {
        match self {
            Self::ShutDown | Self::Drain | Self::Stop => true,
            Self::Wake | Self::LameDuck(_) | Self::Reload | Self::Restart | Self::HandOver | Self::Totals => false,
        }
    }
}
