//! The border: everything the server asks of the outside world, as two traits.
//!
//! [`Net`] is one thread's view of the network and the clock; [`Stream`] is one connection's bytes.
//! [`Reactor`] is the real one, on mio; [`crate::sim`] is the simulated one. What a caller of
//! [`Net`] must not assume is said at each method, and the simulated world does the worst allowed.

mod address;
#[cfg(target_os = "linux")]
mod alarm;
#[cfg(feature = "blocking")]
pub(crate) mod blocking;
mod budget;
mod clock;
mod connect;
#[cfg(test)]
mod fuzz;
mod handle;
mod layer;
mod link;
mod listener;
pub(crate) mod pump;
mod reactor;
#[cfg(feature = "signals")]
mod signals;
mod stream;
#[cfg(feature = "tls")]
pub mod tls;
pub(crate) mod udp;

use std::io::{self, IoSlice};
use std::net::SocketAddr;

use crate::instant::Instant;

pub use crate::destination::Destination;
pub use address::{Address, AddressError, PeerAddress};
pub(crate) use budget::{Budget, TURN_BYTES};
#[cfg(feature = "blocking")]
pub(crate) use clock::Clock;
pub use connect::{ConnectOptions, PortSearch};
pub(crate) use handle::MESSAGES_WAITING_MAX;
pub use handle::{Handle, SendError, Sender, Wake};
pub use layer::{Layer, Plain};
pub use link::Link;
pub use listener::{Keepalive, ListenOptions, Listener, TcpOrUnix};
pub use reactor::Reactor;
pub use udp::{DatagramOptions, MulticastGroup, UnknownGroup};

/// One connection's bytes.
///
/// `WouldBlock` means: nothing now, a fact will come. `Interrupted` means: call again. A stream
/// that a loop drives never blocks; one that has a thread of its own may, and tells the time then.
///
/// The methods that have a body are for streams that are more than a socket: such as lie over
/// another one and have bytes of their own to exchange with the peer, or such as wait.
pub trait Stream {
    /// Reads at most `buf.len()` bytes. `Ok(0)` (for a non-empty `buf`) is the end of the peer's direction.
    ///
    /// # Errors
    /// As `read(2)`: `WouldBlock`, `Interrupted`, or the stream is gone.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;

    /// Writes some of `bytes`.
    ///
    /// # Errors
    /// As `write(2)`: `WouldBlock`, `Interrupted`, or the stream is gone.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Writes some of the bytes of all slices in a row.
    ///
    /// # Errors
    /// As `writev(2)`: `WouldBlock`, `Interrupted`, or the stream is gone.
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends our direction: the peer reads all that was written and then the end.
    ///
    /// # Errors
    /// The stream is gone already. `WouldBlock`: something must leave first, call again.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Makes the coming drop a reset: what was not sent yet is thrown away, the peer sees an error.
    ///
    /// # Errors
    /// The stream is gone already, or its kind knows no reset.
    fn reset_on_drop(&mut self) -> io::Result<()>;

    /// Whether a read that brought less than it had room for proves that there is no more now.
    #[inline]
    fn short_read_means_empty(&self) -> bool {
        true
    }

    /// Writes what the stream keeps of its own: what a write took, what a read calls for.
    ///
    /// # Errors
    /// As `write(2)`; `WouldBlock`: some of it is still kept.
    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Says that no more will be written, where the end of the bytes alone does not say so.
    /// [`Self::shutdown_write`] says it too; a drop does not.
    ///
    /// # Errors
    /// As [`Self::flush`].
    #[inline]
    fn send_close_notify(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// The time, if the last read or write may have waited.
    #[inline]
    fn woke_at(&self) -> Option<Instant> {
        None
    }
}

/// A bound UDP socket; never blocks.
pub trait Datagrams {
    /// Receives one datagram: its length, and who says that it sent it. One that is longer than
    /// `buf` is cut.
    ///
    /// # Errors
    /// As `recvfrom(2)`: `WouldBlock`, `Interrupted`, or something that is no reason to stop.
    fn receive(&mut self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Sends one datagram.
    ///
    /// # Errors
    /// As `sendto(2)`: `WouldBlock`, `Interrupted`, or this one cannot be sent.
    fn send(&mut self, bytes: &[u8], to: &SocketAddr) -> io::Result<()>;
}

/// The name under which a stream or a listener is registered and comes back in a [`Event`].
///
/// The server puts into it which endpoint it is, which slot and which generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// What the outside world tells the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something can be done with the stream or listener of that token, or it is worth a try.
    Ready(Readiness),
    /// Somebody wants something of the whole server.
    ControlEvent(ControlEvent),
}

/// What a fact says of one stream or listener. Edges, not levels: what is told once is not told
/// again until it was used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whose.
    pub token: Token,
    /// A read (or accept) may succeed.
    pub readable: bool,
    /// A write may succeed.
    pub writable: bool,
    /// The peer's direction ended, or the whole stream did: read on until 0 or an error.
    pub read_closed: bool,
}

/// How much of what there was to tell a poll has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollOutcome {
    /// Everything that was so when it looked.
    Complete,
    /// As much as it tells at once; there may be more.
    Partial,
}

/// What somebody outside the loop wants of the whole server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlEvent {
    /// A handle woke us: look at the inboxes.
    Wake,
    /// Finish every peer and end; a second one is [`ControlEvent::Stop`].
    Drain,
    /// End at once.
    Stop,
    /// Read again what newcomers are shown: certificates and keys.
    Reload,
    /// Log the totals.
    Totals,
}

/// One thread's view of the network and the clock.
pub trait Net {
    /// A connection.
    type Stream: Stream;
    /// A bound socket that connections come out of.
    type Listener;
    /// A bound UDP socket.
    type Datagrams: Datagrams;

    /// The clock. May stand still between calls, may jump ahead; never goes back.
    fn now(&self) -> Instant;

    /// Sleeps until a fact is there or `until` is reached (`None`: for ever; an instant that has
    /// passed: only looks), and adds the facts to `events`.
    ///
    /// May return early, with no facts, with facts that turn out untrue, with several of one
    /// token, or with facts of a token whose stream was dropped.
    ///
    /// # Errors
    /// The poll itself is broken; `Interrupted` never leaves.
    fn poll(&mut self, events: &mut Vec<Event>, until: Option<Instant>) -> io::Result<PollOutcome>;

    /// Binds, listens, and registers the listener under `token`.
    ///
    /// # Errors
    /// The address cannot be resolved or bound, or an option was refused.
    fn listen(&mut self, address: &Address, options: &ListenOptions, token: Token) -> io::Result<Self::Listener>;

    /// Binds a UDP socket and registers it for both directions under `token`; the address it is
    /// bound to comes with it.
    ///
    /// # Errors
    /// The address cannot be resolved or bound, or an option was refused.
    fn bind(
        &mut self,
        address: &Address,
        options: &DatagramOptions,
        token: Token,
    ) -> io::Result<(Self::Datagrams, SocketAddr)>;

    /// The address that a listener is bound to, with its real port.
    fn local_address(&self, listener: &Self::Listener) -> Address;

    /// Takes the next connection out of the backlog. It is not registered yet.
    ///
    /// # Errors
    /// As `accept(2)`.
    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Stream, PeerAddress)>;

    /// Registers a stream for both directions, once and for all: facts come under `token`.
    ///
    /// # Errors
    /// The kernel has no room for it.
    fn register(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()>;

    /// Begins to connect and registers the stream under `token`, as [`Self::register`] does. A
    /// fact comes when there is something to learn from [`Self::is_connected`].
    ///
    /// # Errors
    /// As `connect(2)`, at once instead of later. `WouldBlock`: a Unix listener's backlog is full;
    /// no fact comes, another try may succeed.
    fn connect(&mut self, to: &Destination, options: &ConnectOptions, token: Token) -> io::Result<Self::Stream>;

    /// Whether a stream that [`Self::connect`] began is through: bytes can move.
    ///
    /// # Errors
    /// Why it will not be.
    fn is_connected(&mut self, stream: &mut Self::Stream) -> io::Result<bool>;

    /// What another thread calls to end the sleep with [`ControlEvent::Wake`].
    fn wake(&self) -> std::sync::Arc<dyn Wake>;
}

/// Who a peer is, as one number for counting: an IPv4 address, an IPv6 /64, or one of those that
/// are not counted by their address.
///
/// IPv4 fills the low half; the high half is then zero, as in no IPv6 /64 that is in use
/// (`::/32` is reserved, RFC 4291). Nor does a peer come from a multicast address (`ff00::/8`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressGroup(u64);

impl AddressGroup {
    /// All peers of Unix sockets.
    pub const UNIX: Self = Self(u64::MAX);
    /// All peers that we connected to: they did not come to us.
    pub const OURS: Self = Self(u64::MAX - 1);

    /// Whether peers of one group are counted, so that they may be too many.
    pub const fn is_counted(self) -> bool {
        self.0 < Self::OURS.0
    }

    /// The group of an address; an IPv4 address mapped into IPv6 counts as IPv4.
    pub fn of(address: &SocketAddr) -> Self {
        match address.ip().to_canonical() {
            std::net::IpAddr::V4(v4) => Self(u64::from(v4.to_bits())),
            std::net::IpAddr::V6(v6) => Self((v6.to_bits() >> 64) as u64),
        }
    }
}
