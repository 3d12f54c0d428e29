//! The border: everything that the event loop needs from the operating system, as three traits.
//!
//! [`Net`] is one thread's view of the network and the clock. [`Stream`] is the bytes of one
//! connection, [`Datagrams`] one UDP socket. [`Reactor`] implements them on mio, [`crate::sim`] in a
//! simulated world. Each method states what it does not promise; the simulated world exploits all of it.

mod address;
mod alarm;
#[cfg(feature = "blocking")]
pub(crate) mod blocking;
mod budget;
mod clock;
mod connect;
mod event;
#[cfg(test)]
mod fuzz;
mod handle;
pub mod inherited;
mod layer;
mod link;
mod listener;
mod packet_info;
#[cfg(feature = "proxy-protocol")]
mod proxy_protocol;
pub(crate) mod pump;
mod reactor;
#[cfg(feature = "signals")]
mod signals;
mod stream;
mod system;
#[cfg(feature = "tls")]
pub mod tls;
pub(crate) mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use crate::instant::Instant;
use crate::service::Service;

pub use crate::destination::Destination;
pub use crate::peer_address::{AddressGroup, PeerAddress};
pub use address::{Address, AddressError};
pub(crate) use budget::{Budget, PEER_BYTES_MIN, TURN_BYTES};
#[cfg(feature = "blocking")]
pub(crate) use clock::Clock;
pub use clock::ClockAnchor;
pub use connect::{ConnectOptions, PortSearch};
pub use event::{ControlEvent, Event, PollOutcome, Readiness, Token};
pub(crate) use handle::MESSAGES_WAITING_MAX;
pub use handle::{Handle, SendError, Sender, Wake};
pub use layer::{Layer, Origin, Plain};
pub use link::Link;
pub use listener::{Keepalive, ListenOptions, Listener};
#[cfg(feature = "proxy-protocol")]
pub(crate) use proxy_protocol::ProxyLayer;
#[cfg(feature = "proxy-protocol")]
pub use proxy_protocol::{NetworkError, ProxyHeaderError, TrustedProxies};
pub use reactor::Reactor;
pub use stream::Stream;
pub use system::SystemNet;
pub use udp::{DatagramOptions, DatagramRoute, DatagramSocket, Datagrams, MulticastGroup, UnknownGroup};

/// One thread's view of the network and the clock.
///
/// No method blocks except [`Self::poll`], and the name lookup in [`Self::listen`] and
/// [`Self::bind`]. A source is deregistered when it is dropped.
///
/// A network that wraps another one must forward all methods, also those with a default. Otherwise a recording inside
/// it loses requests, messages and notes.
pub trait Net {
    /// A connection.
    type Stream: Stream;
    /// A listening socket.
    type Listener;
    /// A bound UDP socket.
    type Datagrams: Datagrams;
    /// What a layer over this network becomes: usually the layer itself.
    type Layered<W: Layer<Self::Stream> + 'static>: Layer<Self::Stream> + 'static;

    /// Prepares a layer, such as TLS, for the streams of this network.
    fn prepare_layer<W: Layer<Self::Stream> + 'static>(&self, layer: W) -> Self::Layered<W>;

    /// The time. It never goes back. It may stand still between two calls, or jump ahead.
    fn now(&self) -> Instant;

    /// Sleeps until an event is pending or `until` is reached, and appends the events to `events`.
    /// `None` sleeps without a limit; an instant in the past does not sleep.
    ///
    /// The poll may return early, and without any event. An event may be spurious, several events
    /// may carry one token, and an event may carry the token of a source that was dropped. A signal
    /// or a suspended process does not make the poll fail.
    ///
    /// # Errors
    /// The poll itself is broken. Never `Interrupted`.
    fn poll(&mut self, events: &mut Vec<Event>, until: Option<Instant>) -> io::Result<PollOutcome>;

    /// Binds a listening socket and registers it under `token`. Looks up names, which may block.
    ///
    /// # Errors
    /// The address cannot be resolved or bound, or the kernel refused an option.
    fn listen(&mut self, address: &Address, options: &ListenOptions, token: Token) -> io::Result<Self::Listener>;

    /// As [`Self::listen`], for an administration endpoint. A recording leaves its connections out.
    ///
    /// # Errors
    /// As [`Self::listen`].
    fn listen_unrecorded(
        &mut self,
        address: &Address,
        options: &ListenOptions,
        token: Token,
    ) -> io::Result<Self::Listener> {
        self.listen(address, options, token)
    }

    /// Binds a UDP socket and registers it for both directions under `token`. Returns it with the
    /// address it is bound to. Looks up names, which may block.
    ///
    /// # Errors
    /// The address cannot be resolved or bound, or the kernel refused an option.
    fn bind(
        &mut self,
        address: &Address,
        options: &DatagramOptions,
        token: Token,
    ) -> io::Result<(Self::Datagrams, SocketAddr)>;

    /// The address that a listener is bound to, with its real port.
    fn local_address(&self, listener: &Self::Listener) -> Address;

    /// Leaves a listening socket to another process. Dropping the listener then keeps what outlives it, such as the
    /// path of a Unix socket, and refuses no connection that waits in the backlog.
    fn hand_over(&mut self, listener: &mut Self::Listener);

    /// Accepts the next connection of the backlog. The stream is not registered yet.
    ///
    /// # Errors
    /// As `accept(2)`. After an error other than `WouldBlock` and `Interrupted`, no event announces
    /// that another accept may succeed; the caller must retry by itself.
    fn accept(&mut self, listener: &mut Self::Listener) -> io::Result<(Self::Stream, PeerAddress)>;

    /// Registers a stream for both directions under `token`. Call it once; the interest never
    /// changes. An event follows if the stream is ready already.
    ///
    /// # Errors
    /// The kernel has no resources to watch it.
    fn register(&mut self, stream: &mut Self::Stream, token: Token) -> io::Result<()>;

    /// Starts to connect and registers the stream under `token`, as [`Self::register`] does. An
    /// event follows when [`Self::is_connected`] has something new to report.
    ///
    /// # Errors
    /// As `connect(2)`, for a failure that is known at once. `WouldBlock`: the backlog of a Unix
    /// listener is full. No event follows; a later call may succeed.
    fn connect(&mut self, to: &Destination, options: &ConnectOptions, token: Token) -> io::Result<Self::Stream>;

    /// Whether a stream from [`Self::connect`] is established, so that bytes can move.
    ///
    /// # Errors
    /// The connection failed, and why.
    fn is_connected(&mut self, stream: &mut Self::Stream) -> io::Result<bool>;

    /// A waker for other threads: it ends the current or next sleep with [`ControlEvent::Wake`].
    fn wake(&self) -> Arc<dyn Wake>;

    /// Takes the requests of other threads that wait at a handle.
    fn take_requests(&mut self, handle: &Handle) -> Vec<ControlEvent> {
        handle.take_requests()
    }

    /// Takes the next message of another thread for a service. `None` if no message waits.
    fn take_message<S: Service>(&mut self, inbox: &Receiver<S::Message>) -> Option<S::Message> {
        inbox.try_recv().ok()
    }

    /// Adds a text of the program to the recording, if the calls are recorded.
    fn note(&self, text: &str) {
        let _ = text;
    }
}
