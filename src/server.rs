//! [`Server`]: an event loop with endpoints that listen.
//!
//! It is a face of the [`EventLoop`], which does the work.

use std::io;

use crate::admission::{Listen, ServerLimits, Totals};
use crate::datagram::{DatagramLimits, DatagramService};
use crate::event_loop::EventLoop;
use crate::net::{Address, DatagramOptions, Handle, Net, Sender};
use crate::service::Service;

pub use crate::event_loop::{EndpointId, EndpointSnapshot, ListenError, PeerSnapshot, Snapshot};

/// A single-threaded server: one event loop with any number of endpoints.
///
/// Add endpoints with [`listen`](Self::listen), then call [`run`](Self::run). The server uses the thread that
/// calls `run`. It is not `Send`, because services need not be: build it on the thread that runs it. Other
/// threads control it through a [`Handle`] and send messages to its services through a [`Sender`].
pub struct Server<N: Net> {
    event_loop: EventLoop<N>,
}

impl<N: Net + 'static> Server<N> {
    /// Creates a server without endpoints.
    pub fn new(net: N, limits: ServerLimits) -> Self {
        Self { event_loop: EventLoop::new(net, limits) }
    }

    /// Starts the generations of the keys of all endpoints at `first`, so that a test can make them wrap.
    #[must_use]
    pub fn with_first_generation(self, first: u32) -> Self {
        Self { event_loop: self.event_loop.with_first_generation(first) }
    }

    /// Limits the bytes that each endpoint moves in a turn, so that a test can make peers wait for the next.
    #[must_use]
    pub fn with_turn_bytes(self, bytes: usize) -> Self {
        Self { event_loop: self.event_loop.with_turn_bytes(bytes) }
    }

    /// Adds an endpoint that listens for connections and serves them with `service`.
    ///
    /// `listen` is a text such as `"127.0.0.1:7007"`, an [`Address`] or a [`Listen`].
    ///
    /// # Errors
    /// As [`EventLoop::listen`].
    pub fn listen<S: Service + 'static>(
        &mut self,
        listen: impl TryInto<Listen, Error: Into<ListenError>>,
        codec: S::Codec,
        service: S,
    ) -> Result<EndpointId<S>, ListenError> {
        self.event_loop.listen(listen, codec, service)
    }

    /// Adds an endpoint as [`Self::listen`] does. `service` makes the service from its own sender.
    ///
    /// # Errors
    /// As [`EventLoop::listen`].
    pub fn listen_with<S: Service + 'static>(
        &mut self,
        listen: impl TryInto<Listen, Error: Into<ListenError>>,
        codec: S::Codec,
        service: impl FnOnce(Sender<S::Message>) -> S,
    ) -> Result<EndpointId<S>, ListenError> {
        self.event_loop.listen_with(listen, codec, service)
    }

    /// Adds an endpoint that answers datagrams, and returns the address that it is bound to.
    ///
    /// # Errors
    /// As [`EventLoop::listen_datagrams`].
    pub fn listen_datagrams<S: DatagramService + 'static>(
        &mut self,
        address: &Address,
        options: &DatagramOptions,
        limits: DatagramLimits,
        service: S,
    ) -> Result<Address, ListenError> {
        self.event_loop.listen_datagrams(address, options, limits, service)
    }

    /// The address that an endpoint is bound to, with the actual port.
    pub fn local_address<S: Service + 'static>(&self, endpoint: &EndpointId<S>) -> &Address {
        self.event_loop.local_address(endpoint)
    }

    /// Returns a handle to control this server from other threads.
    pub fn handle(&self) -> Handle {
        self.event_loop.handle()
    }

    /// Runs the event loop until the server is drained or stopped and its last peer is gone.
    ///
    /// # Errors
    /// The poll fails. An error of one peer closes that peer and never ends the server.
    pub fn run(&mut self) -> io::Result<Totals> {
        self.event_loop.run()
    }

    /// Runs one turn of the event loop. It sleeps until an event, a deadline or a wake-up.
    ///
    /// # Errors
    /// The poll fails.
    pub fn turn(&mut self) -> io::Result<()> {
        self.event_loop.turn(None)
    }

    /// Whether the server is drained or stopped and its last peer is gone.
    pub fn is_done(&self) -> bool {
        self.event_loop.is_done()
    }

    /// Everything counted so far.
    pub fn totals(&self) -> Totals {
        self.event_loop.totals()
    }

    /// Copies the whole state of the server, for tests.
    pub fn snapshot(&self) -> Snapshot {
        self.event_loop.snapshot()
    }

    /// The event loop of this server, which has more to offer: outbound endpoints, own sources, services.
    pub fn event_loop(&mut self) -> &mut EventLoop<N> {
        &mut self.event_loop
    }

    /// The network that this server runs over.
    pub fn net(&self) -> &N {
        self.event_loop.net()
    }
}

#[cfg(test)]
mod tests;
