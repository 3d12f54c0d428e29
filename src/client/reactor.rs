//! [`Client`]: an event loop with one endpoint, which only connects.
//!
//! It is a face of the [`EventLoop`], which does the work. It looks up no names and does not retry; that is
//! up to its caller.

use std::io;
use std::net::IpAddr;

use crate::admission::ServerLimits;
use crate::destination::Destination;
use crate::event_loop::{Dial, EndpointId, EventLoop};
use crate::host::HostCounters;
use crate::instant::Instant;
use crate::net::{ControlEvent, Handle, Net, Sender};
use crate::service::{Context, Service};
use crate::slab::Key;

/// Many outbound connections on one event loop, with one service for all.
///
/// ```no_run
/// use readyloop::client::{Client, ConnectFailure};
/// use readyloop::net::Destination;
/// use readyloop::service::PeerInfo;
/// use readyloop::{Context, Dial, Lines, Orders, Reactor, ServerLimits, Service};
///
/// struct Greeter;
///
/// impl Service for Greeter {
///     type Codec = Lines;
///     type Peer = ();
///     type Message = ();
///
///     fn on_open(&mut self, _: &mut (), _: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
///         cx.send(b"hello");
///     }
///
///     fn on_connect_failed(&mut self, failure: ConnectFailure<()>, _: &mut Orders<'_, Self>) {
///         eprintln!("{}: {}", failure.to, failure.error);
///     }
///
///     fn on_frame(&mut self, _: &mut (), reply: &[u8], cx: &mut Context<'_, Self>) {
///         println!("{}", String::from_utf8_lossy(reply));
///         cx.finish();
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let reactor = Reactor::new()?;
/// let mut client = Client::new(reactor, Dial::default(), Lines::new(), Greeter, ServerLimits::default());
/// for _ in 0..10_000 {
///     client.connect(Destination::Tcp(([127, 0, 0, 1], 7007).into()), None, ());
/// }
/// while !client.is_idle() {
///     client.turn(None)?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// [`Dial`] has more options, such as TLS. A client carries out no control event:
/// [`Client::poll_control_event`] returns them.
pub struct Client<N: Net, S: Service> {
    event_loop: EventLoop<N>,
    endpoint: EndpointId<S>,
}

impl<N: Net + 'static, S: Service + 'static> Client<N, S> {
    /// A client without connections.
    pub fn new(net: N, dial: Dial, codec: S::Codec, service: S, limits: ServerLimits) -> Self {
        let mut event_loop = EventLoop::new(net, limits).with_returned_control_events();
        let endpoint = event_loop.dial(dial, codec, service).expect("the loop has no endpoint yet");
        Self { event_loop, endpoint }
    }

    /// Requests a connection; see [`EventLoop::connect`].
    pub fn connect(&mut self, to: Destination, source: Option<IpAddr>, peer: S::Peer) {
        self.event_loop.connect(&self.endpoint, to, source, peer);
    }

    /// Adopts a stream that was connected to `to` elsewhere; see [`EventLoop::adopt`].
    ///
    /// # Errors
    /// The kernel has no resources to watch it, or the layer cannot wrap it.
    pub fn adopt(&mut self, stream: N::Stream, to: Destination, peer: S::Peer) -> io::Result<Key> {
        self.event_loop.adopt(&self.endpoint, stream, to, peer)
    }

    /// One turn of the event loop. It sleeps until there is work, at most until `until`.
    ///
    /// # Errors
    /// The poll itself is broken. A failure of one peer is never an error of the client.
    pub fn turn(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.event_loop.turn(until)
    }

    /// Calls `call` on one peer between two turns; see [`EventLoop::call`].
    pub fn call(&mut self, key: Key, call: impl FnOnce(&mut S, &mut S::Peer, &mut Context<'_, S>)) -> Option<()> {
        self.event_loop.call(&self.endpoint, key, call)
    }

    /// The next control event, from a signal or a handle, that was not returned yet.
    pub fn poll_control_event(&mut self) -> Option<ControlEvent> {
        self.event_loop.poll_control_event()
    }

    /// Closes all peers, and fails all connects that are queued or in progress, in the next turns.
    pub fn stop(&mut self) {
        self.event_loop.stop();
    }

    /// Whether nothing is open, connecting or waiting to connect.
    pub fn is_idle(&self) -> bool {
        self.event_loop.is_idle()
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.event_loop.open(&self.endpoint)
    }

    /// How many connections are connecting, including the handshake of the layer.
    pub fn connecting(&self) -> usize {
        self.event_loop.connecting(&self.endpoint)
    }

    /// The service.
    pub fn service(&self) -> &S {
        self.event_loop.service(&self.endpoint)
    }

    /// The service, to be changed between turns.
    pub fn service_mut(&mut self) -> &mut S {
        self.event_loop.service_mut(&self.endpoint)
    }

    /// The service, at the end of the client.
    pub fn into_service(self) -> S {
        self.event_loop.into_service(self.endpoint)
    }

    /// The counters of the connections opened so far.
    pub fn counters(&self) -> &HostCounters {
        self.event_loop.counters(&self.endpoint)
    }

    /// The time of this turn.
    pub fn now(&self) -> Instant {
        self.event_loop.now()
    }

    /// A handle for other threads. [`Self::poll_control_event`] returns their requests.
    pub fn handle(&self) -> Handle {
        self.event_loop.handle()
    }

    /// Sends messages to the service, from any thread.
    pub fn sender(&self) -> Sender<S::Message> {
        self.endpoint.sender()
    }

    /// The net that this client uses.
    pub fn net(&self) -> &N {
        self.event_loop.net()
    }
}

#[cfg(test)]
mod tests;
