//! `Server`: endpoints on one event loop.
//!
//! The server decides the order of the steps of a turn. The modules below it implement the steps. It runs
//! over any [`Net`]: the reactor or the simulated world.

mod datagrams;
mod endpoint;
mod handshakes;
mod peer_log;
mod snapshot;

use std::{io, mem};

use log::info;

use crate::admission::{Count, Listen, ServerLimits, Totals};
use crate::datagram::{DatagramLimits, DatagramService};
use crate::host::Host;
use crate::instant::Instant;
use crate::net::{Address, ControlEvent, DatagramOptions, Event, Handle, Layer, Net, Plain, PollOutcome, Sender};
use crate::service::Service;

pub use snapshot::{EndpointSnapshot, PeerSnapshot, Snapshot};

use datagrams::DatagramEndpoint;
use endpoint::{AnyEndpoint, Endpoint, LoopState};

/// A single-threaded server: one event loop with any number of endpoints.
///
/// Add endpoints with [`listen`](Self::listen), then call [`run`](Self::run). The server uses the thread that
/// calls `run`. Other threads control it through a [`Handle`] and send messages to its services through a
/// [`Sender`].
pub struct Server<N: Net> {
    state: LoopState<N>,
    endpoints: Vec<Box<dyn AnyEndpoint<N>>>,
    /// The events of the last poll.
    events: Vec<Event>,
    /// The control events among them.
    control_events: Vec<ControlEvent>,
    handle: Handle,
    limits: ServerLimits,
    phase: ServerPhase,
    started_at: Instant,
    turns: u64,
    /// The first generation of the keys of each endpoint.
    first_generation: u32,
}

/// The phases of a server. In every phase after `Running`, it ends when its last peer is gone.
///
/// ```text
/// Running ── drain ──▶ Draining ── half of drain_timeout ──▶ Finishing ── drain_timeout ──▶ Stopping
///    └─ stop in any phase, or a second drain ──────────────────────────────────────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerPhase {
    Running,
    /// Input that peers have sent is served, then each peer is finished.
    Draining {
        finish_at: Instant,
        stop_at: Instant,
    },
    /// Queued output is written. Further input is discarded.
    Finishing {
        stop_at: Instant,
    },
    /// Every peer is closed.
    Stopping,
}

/// The identifier of an endpoint in its server. `P` is the message type of its service.
#[derive(Debug)]
pub struct EndpointId<P> {
    index: usize,
    sender: Sender<P>,
}

impl<P> EndpointId<P> {
    /// Returns a sender of messages to the service, for use on any thread.
    pub fn sender(&self) -> Sender<P> {
        self.sender.clone()
    }
}

/// Most endpoints of a server. The index must fit one byte of a token, and the reactor uses the last.
const ENDPOINTS_MAX: u8 = u8::MAX;

impl<N: Net> Server<N> {
    /// Creates a server without endpoints.
    pub fn new(net: N, limits: ServerLimits) -> Self {
        Self {
            handle: Handle::new(net.wake()),
            started_at: net.now(),
            state: LoopState::new(net, &limits),
            endpoints: Vec::new(),
            events: Vec::new(),
            control_events: Vec::new(),
            limits,
            phase: ServerPhase::Running,
            turns: 0,
            first_generation: 1,
        }
    }

    /// Starts the generations of the keys of all endpoints at `first`, so that a test can make them wrap.
    pub fn with_first_generation(self, first: u32) -> Self {
        Self { first_generation: first, ..self }
    }

    /// Limits the bytes that each endpoint moves in a turn, so that a test can make peers wait for the next.
    pub fn with_turn_bytes(mut self, bytes: usize) -> Self {
        self.state.turn_bytes = bytes;
        self
    }

    /// Adds an endpoint that listens for connections and serves them with `service`.
    ///
    /// # Errors
    /// The address cannot be resolved or bound, a `tls://` address has no certificate, or the server has
    /// 255 endpoints already.
    pub fn listen<S: Service + 'static>(
        &mut self,
        listen: impl Into<Listen>,
        codec: S::Codec,
        service: S,
    ) -> io::Result<EndpointId<S::Message>>
    where
        N: 'static,
    {
        let listen = listen.into();
        match &listen.address {
            #[cfg(feature = "tls")]
            Address::Tls(_) => match listen.tls.clone() {
                Some(tls) => self.listen_with(tls, listen, codec, service),
                None => Err(io::Error::new(io::ErrorKind::InvalidInput, "a tls:// address needs a certificate")),
            },
            #[cfg(not(feature = "tls"))]
            Address::Tls(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "this build has no TLS")),
            Address::Tcp(_) | Address::Udp(_) | Address::Unix(_) => self.listen_with(Plain, listen, codec, service),
        }
    }

    fn listen_with<S: Service + 'static, W: Layer<N::Stream> + 'static>(
        &mut self,
        layer: W,
        listen: Listen,
        codec: S::Codec,
        service: S,
    ) -> io::Result<EndpointId<S::Message>>
    where
        N: 'static,
    {
        let index = self.next_index()?;
        let token = endpoint::listener_token(index);
        let listener = self.state.net.listen(&listen.address, &listen.socket, token)?;
        let address = self.state.net.local_address(&listener);
        let (sender, inbox) = self.handle.channel();
        let host = Host::new(service, codec, listen.limits).with_first_generation(self.first_generation);
        self.endpoints.push(Box::new(Endpoint::new(index, (listener, address), layer, &self.limits, host, inbox)));
        Ok(EndpointId { index: usize::from(index), sender })
    }

    /// Adds an endpoint that answers datagrams. Datagrams are independent of each other and open no peer.
    ///
    /// # Errors
    /// The address is not a `udp://` one or cannot be bound, or the server has 255 endpoints already.
    pub fn listen_datagrams<S: DatagramService + 'static>(
        &mut self,
        address: &Address,
        options: &DatagramOptions,
        limits: DatagramLimits,
        service: S,
    ) -> io::Result<EndpointId<()>>
    where
        N: 'static,
    {
        let index = self.next_index()?;
        let (socket, bound) = self.state.net.bind(address, options, endpoint::listener_token(index))?;
        self.endpoints.push(Box::new(DatagramEndpoint::new(index, bound, socket, service, limits)));
        let ports: Vec<u16> = self.endpoints.iter().filter_map(|endpoint| endpoint.datagram_port()).collect();
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.refuse_own_ports(&ports));
        Ok(EndpointId { index: usize::from(index), sender: self.handle.channel().0 })
    }

    fn next_index(&self) -> io::Result<u8> {
        let index = u8::try_from(self.endpoints.len()).ok().filter(|index| *index < ENDPOINTS_MAX);
        index.ok_or_else(|| io::Error::other("a server has at most 255 endpoints"))
    }

    /// The address that an endpoint is bound to, with the actual port.
    pub fn local_address<P>(&self, endpoint: &EndpointId<P>) -> &Address {
        self.endpoints[endpoint.index].local_address()
    }

    /// Returns a handle to control this server from other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs the event loop until the server is drained or stopped and its last peer is gone.
    ///
    /// # Errors
    /// The poll fails. An error of one peer closes that peer and never ends the server.
    pub fn run(&mut self) -> io::Result<Totals> {
        while !self.is_done() {
            self.turn()?;
        }
        Ok(self.totals())
    }

    /// Runs one turn of the event loop. It sleeps until an event, a deadline or a wake-up.
    ///
    /// # Errors
    /// The poll fails.
    pub fn turn(&mut self) -> io::Result<()> {
        self.poll()?;
        // All steps of a turn happen at this time.
        self.state.now = self.state.net.now();
        self.dispatch_events();
        self.deliver_messages();
        // Each endpoint: accept, connect, serve marked peers, expire deadlines, reap closed peers.
        for endpoint in &mut self.endpoints {
            endpoint.turn(&mut self.state);
        }
        self.advance_shutdown();
        Ok(())
    }

    fn poll(&mut self) -> io::Result<()> {
        let until = self.next_work();
        let outcome = self.state.net.poll(&mut self.events, until)?;
        self.turns += 1;
        self.state.partial_poll = match outcome {
            PollOutcome::Complete => None,
            PollOutcome::Partial => {
                // The kernel reports every descriptor once before any of them twice. After as many events
                // as there are descriptors, none is left unreported.
                let reported = self.state.partial_poll.unwrap_or(0) + self.events.len();
                let descriptors = self.state.admission.open() + self.endpoints.len();
                (reported <= descriptors).then_some(reported)
            }
        };
        Ok(())
    }

    /// Records readiness and marks the peers that the events name.
    fn dispatch_events(&mut self) {
        for event in self.events.drain(..) {
            match event {
                Event::Ready(readiness) => {
                    if let Some(endpoint) = self.endpoints.get_mut(endpoint::index_of(readiness.token)) {
                        endpoint.handle_event(&readiness);
                    }
                }
                Event::Control(control_event) => self.control_events.push(control_event),
            }
        }
    }

    /// Delivers messages of other threads to the services, and carries out control requests.
    fn deliver_messages(&mut self) {
        let mut control_events = mem::take(&mut self.control_events);
        control_events.drain(..).for_each(|control_event| self.handle_control_event(control_event));
        self.control_events = control_events;
    }

    fn handle_control_event(&mut self, control_event: ControlEvent) {
        match control_event {
            ControlEvent::Wake => {
                self.endpoints.iter_mut().for_each(|endpoint| endpoint.deliver_messages(&mut self.state));
                for request in self.handle.take_requests() {
                    self.handle_control_event(request);
                }
            }
            ControlEvent::Drain => self.drain(),
            ControlEvent::Stop => self.stop(),
            ControlEvent::Reload => self.endpoints.iter_mut().for_each(|endpoint| endpoint.reload()),
            ControlEvent::Totals => info!("{}", self.totals()),
        }
    }

    /// Enters the next phase of a shutdown when its time has come, after serving, as for other deadlines.
    fn advance_shutdown(&mut self) {
        match self.phase {
            ServerPhase::Draining { finish_at, stop_at } if finish_at <= self.state.now => {
                self.phase = ServerPhase::Finishing { stop_at };
                self.endpoints.iter_mut().for_each(|endpoint| endpoint.finish_all(&mut self.state));
            }
            ServerPhase::Finishing { stop_at } if stop_at <= self.state.now => self.stop(),
            ServerPhase::Running
            | ServerPhase::Draining { .. }
            | ServerPhase::Finishing { .. }
            | ServerPhase::Stopping => return,
        }
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.reap(&mut self.state));
    }

    fn drain(&mut self) {
        match self.phase {
            ServerPhase::Running => {
                let (now, timeout) = (self.state.now, self.limits.drain_timeout);
                self.phase = ServerPhase::Draining { finish_at: now + timeout / 2, stop_at: now + timeout };
                info!("draining: {} open, timeout {timeout:?}", self.open_connections());
                self.endpoints.iter_mut().for_each(|endpoint| endpoint.drain(&mut self.state));
            }
            ServerPhase::Draining { .. } | ServerPhase::Finishing { .. } => self.stop(),
            ServerPhase::Stopping => {}
        }
    }

    fn stop(&mut self) {
        if self.phase != ServerPhase::Stopping {
            self.phase = ServerPhase::Stopping;
            info!("stopping: closing {}", self.open_connections());
            self.endpoints.iter_mut().for_each(|endpoint| endpoint.stop(&mut self.state));
        }
    }

    fn open_connections(&self) -> Count {
        Count(self.state.admission.open() as u64, "connection")
    }

    /// Whether the server is drained or stopped and its last peer is gone.
    pub fn is_done(&self) -> bool {
        self.phase != ServerPhase::Running && self.endpoints.iter().all(|endpoint| endpoint.is_empty())
    }

    /// When there is work even if no event comes. `None` means never.
    fn next_work(&self) -> Option<Instant> {
        let phase_at = match self.phase {
            ServerPhase::Running => Instant::NEVER,
            ServerPhase::Draining { finish_at, .. } => finish_at,
            ServerPhase::Finishing { stop_at } => stop_at,
            ServerPhase::Stopping => Instant::ORIGIN,
        };
        let work_at =
            self.endpoints.iter().map(|endpoint| endpoint.next_work(&self.state)).fold(phase_at, Instant::min);
        (work_at != Instant::NEVER).then_some(work_at)
    }

    /// Everything counted so far.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            open: self.state.admission.open() as u64,
            refused_full: self.state.refused_full,
            refused_address: self.state.refused_address,
            accept_errors: self.state.accept_errors,
            connects_failed: self.state.connects_failed,
            turns: self.turns,
            duration: self.state.net.now().since(self.started_at),
            ..Totals::default()
        };
        for endpoint in &self.endpoints {
            endpoint.add_to(&mut totals);
        }
        totals
    }

    /// Copies the whole state of the server, for tests.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            endpoints: self.endpoints.iter().map(|endpoint| endpoint.snapshot()).collect(),
            lent_bytes: self.state.reserve.lent_bytes(),
            lent_bytes_max: self.state.reserve.lent_bytes_max(),
            open: self.state.admission.open(),
            now: self.state.now,
            sleeps_until: self.next_work(),
            deadlines_wait: self.state.partial_poll.is_some(),
        }
    }

    /// The network that this server runs over.
    pub fn net(&self) -> &N {
        &self.state.net
    }
}

#[cfg(test)]
mod tests;
