//! The server: endpoints on one loop, and the turn.
//!
//! It decides the order of things; what each of them is, is decided in the rooms below. It runs
//! over any [`Net`]: the reactor, or the simulated world.

mod datagrams;
mod endpoint;
mod handshakes;
mod snapshot;

use std::{io, mem};

use log::info;

use crate::admission::{Admission, Listen, ServerLimits, Totals};
use crate::buffer::{Reserve, Scratch};
use crate::codec::Codec;
use crate::connection::READ_LEN_MAX;
use crate::datagram::{DatagramLimits, DatagramService};
use crate::host::Host;
use crate::instant::Instant;
use crate::net::{
    Address, ControlEvent, DatagramOptions, Event, Handle, Layer, Net, Plain, PollOutcome, Sender, TURN_BYTES,
};
use crate::service::Service;

pub use snapshot::{EndpointSnapshot, PeerSnapshot, Snapshot};

use datagrams::DatagramEndpoint;
use endpoint::{AnyEndpoint, Endpoint, LoopState};

/// Endpoints on one loop.
pub struct Server<N: Net> {
    shared: LoopState<N>,
    endpoints: Vec<Box<dyn AnyEndpoint<N>>>,
    /// What the last poll told.
    events: Vec<Event>,
    handle: Handle,
    limits: ServerLimits,
    phase: ServerPhase,
    started_at: Instant,
    turns: u64,
    /// With which generation the keys of each endpoint begin.
    first_generation: u32,
}

/// Where a server is in its life.
///
/// ```text
/// Running ── drain ──▶ Draining ── half of its time ──▶ Finishing ── all of it, or a second drain ──▶ Stopping
///    └──────────────────────────────── stop, in any phase ─────────────────────────────────────────────▲
/// ```
///
/// In every phase but the first it ends when its last peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServerPhase {
    Running,
    /// What peers had sent is served.
    Draining {
        finish_at: Instant,
        stop_at: Instant,
    },
    /// What is queued leaves.
    Finishing {
        stop_at: Instant,
    },
    /// Everybody is cut off.
    Stopping,
}

/// An endpoint of a server: its number, and the way to its service.
#[derive(Debug)]
pub struct EndpointId<P> {
    index: usize,
    sender: Sender<P>,
}

impl<P> EndpointId<P> {
    /// Posts to its service, from any thread.
    pub fn sender(&self) -> Sender<P> {
        self.sender.clone()
    }
}

/// The most endpoints one server can have: their number must fit a byte of a token, and the last
/// is the reactor's own.
const ENDPOINTS_MAX: u8 = u8::MAX;

impl<N: Net> Server<N> {
    /// A server without endpoints.
    pub fn new(net: N, limits: ServerLimits) -> Self {
        let now = net.now();
        Self {
            handle: Handle::new(net.wake()),
            shared: LoopState {
                now,
                net,
                scratch: Scratch::new(READ_LEN_MAX),
                reserve: Reserve::new(limits.queue_total_max),
                turn_bytes: TURN_BYTES,
                told_in_part: None,
                admission: Admission::new(&limits),
                closes: 0,
                refused_full: 0,
                refused_address: 0,
                accept_errors: 0,
                connects_failed: 0,
            },
            endpoints: Vec::new(),
            events: Vec::new(),
            limits,
            phase: ServerPhase::Running,
            started_at: now,
            turns: 0,
            first_generation: 1,
        }
    }

    /// The same server, in whose endpoints the keys of peers begin with that generation, so that a
    /// test can see them wrap.
    pub fn with_first_generation(self, first: u32) -> Self {
        Self { first_generation: first, ..self }
    }

    /// The same server, which moves no more than `bytes` in a turn for all peers of an endpoint, less
    /// for the system calls and the fresh memory that takes, so that a test can see the rest wait for
    /// the next.
    pub fn with_turn_bytes(mut self, bytes: usize) -> Self {
        self.shared.turn_bytes = bytes;
        self
    }

    /// Listens, and gives whoever connects to the service.
    ///
    /// # Errors
    /// The address cannot be resolved or bound, it is a `tls://` one and there is no certificate,
    /// or there are 255 endpoints already.
    pub fn listen<S: Service + 'static, C: Codec + 'static>(
        &mut self,
        listen: impl Into<Listen>,
        codec: C,
        service: S,
    ) -> io::Result<EndpointId<S::Message>>
    where
        N: 'static,
    {
        let listen = listen.into();
        match &listen.address {
            #[cfg(feature = "tls")]
            Address::Tls(_) => match listen.tls.clone() {
                Some(tls) => self.listen_under(tls, listen, codec, service),
                None => Err(io::Error::new(io::ErrorKind::InvalidInput, "a tls:// address needs a certificate")),
            },
            #[cfg(not(feature = "tls"))]
            Address::Tls(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "TLS was left out of this build")),
            Address::Tcp(_) | Address::Udp(_) | Address::Unix(_) => self.listen_under(Plain, listen, codec, service),
        }
    }

    fn listen_under<S: Service + 'static, C: Codec + 'static, W: Layer<N::Stream> + 'static>(
        &mut self,
        layer: W,
        listen: Listen,
        codec: C,
        service: S,
    ) -> io::Result<EndpointId<S::Message>>
    where
        N: 'static,
    {
        let number = self.next_number()?;
        let token = endpoint::listener_token(number);
        let listener = self.shared.net.listen(&listen.address, &listen.socket, token)?;
        let address = self.shared.net.local_address(&listener);
        let (sender, inbox) = self.handle.channel();
        let host = Host::new(service, codec, listen.limits).with_first_generation(self.first_generation);
        self.endpoints.push(Box::new(Endpoint::new(number, (listener, address), layer, &self.limits, host, inbox)));
        Ok(EndpointId { index: usize::from(number), sender })
    }

    /// Answers datagrams. No peer is opened: every datagram stands for itself.
    ///
    /// # Errors
    /// The address is no `udp://` one or cannot be bound, or there are 255 endpoints already.
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
        let number = self.next_number()?;
        let (socket, bound) = self.shared.net.bind(address, options, endpoint::listener_token(number))?;
        self.endpoints.push(Box::new(DatagramEndpoint::new(number, bound, socket, service, limits)));
        let ports: Vec<u16> = self.endpoints.iter().filter_map(|room| room.datagram_port()).collect();
        self.endpoints.iter_mut().for_each(|room| room.learn_own_ports(&ports));
        Ok(EndpointId { index: usize::from(number), sender: self.handle.channel().0 })
    }

    fn next_number(&self) -> io::Result<u8> {
        let number = u8::try_from(self.endpoints.len()).ok().filter(|number| *number < ENDPOINTS_MAX);
        number.ok_or_else(|| io::Error::other("a server has at most 255 endpoints"))
    }

    /// The address an endpoint is bound to, with its real port.
    pub fn local_address<P>(&self, endpoint: &EndpointId<P>) -> &Address {
        self.endpoints[endpoint.index].local_address()
    }

    /// What other threads ask things of this server with.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Turns until the server was drained or stopped and its last peer is gone.
    ///
    /// # Errors
    /// The poll itself is broken. Nothing that one peer does ends the server.
    pub fn run(&mut self) -> io::Result<Totals> {
        while !self.is_done() {
            self.turn()?;
        }
        Ok(self.totals())
    }

    /// One turn.
    ///
    /// # Errors
    /// The poll itself is broken.
    pub fn turn(&mut self) -> io::Result<()> {
        self.sleep_until_a_fact()?;
        self.remember_facts();
        // Accept, connect, serve, tell whose deadline has passed, bury: each endpoint for itself.
        for room in &mut self.endpoints {
            room.turn(&mut self.shared);
        }
        self.advance_shutdown();
        Ok(())
    }

    fn sleep_until_a_fact(&mut self) -> io::Result<()> {
        self.events.clear();
        let until = self.next_work();
        let told = self.shared.net.poll(&mut self.events, until)?;
        // The only look at the clock in a turn: all that happens in it happens at this time.
        self.shared.now = self.shared.net.now();
        self.turns += 1;
        self.shared.told_in_part = match told {
            PollOutcome::Complete => None,
            PollOutcome::Partial => self.still_in_part(self.shared.told_in_part.unwrap_or(0) + self.events.len()),
        };
        Ok(())
    }

    /// After a stall more may be ready than one poll tells: until each has been told, who looks
    /// idle may have sent something. The kernel tells of everybody once before anybody twice, so as
    /// many facts as there are peers are enough.
    fn still_in_part(&self, told: usize) -> Option<usize> {
        (told <= self.shared.admission.open() + self.endpoints.len()).then_some(told)
    }

    fn remember_facts(&mut self) {
        let events = mem::take(&mut self.events);
        for of_one in events.chunk_by(are_of_one_room) {
            match of_one[0] {
                Event::Ready(readiness) => {
                    if let Some(room) = self.endpoints.get_mut(endpoint::index_of(readiness.token)) {
                        room.remember(of_one);
                    }
                }
                Event::ControlEvent(control_event) => self.handle_control_event(control_event),
            }
        }
        self.events = events;
    }

    /// The end of all, a step further when its time has come. After serving, as for any deadline.
    fn advance_shutdown(&mut self) {
        match self.phase {
            ServerPhase::Draining { finish_at, stop_at } if finish_at <= self.shared.now => {
                self.phase = ServerPhase::Finishing { stop_at };
                self.endpoints.iter_mut().for_each(|room| room.finish_all(&mut self.shared));
            }
            ServerPhase::Finishing { stop_at } if stop_at <= self.shared.now => self.stop(),
            ServerPhase::Running
            | ServerPhase::Draining { .. }
            | ServerPhase::Finishing { .. }
            | ServerPhase::Stopping => return,
        }
        self.endpoints.iter_mut().for_each(|room| room.reap_closed(&mut self.shared));
    }

    fn handle_control_event(&mut self, control_event: ControlEvent) {
        match control_event {
            ControlEvent::Wake => {
                self.endpoints.iter_mut().for_each(|room| room.deliver_messages(&mut self.shared));
                for wish in self.handle.take_requests() {
                    self.handle_control_event(wish);
                }
            }
            ControlEvent::Drain => self.drain(),
            ControlEvent::Stop => self.stop(),
            ControlEvent::Reload => self.endpoints.iter_mut().for_each(|room| room.reload()),
            ControlEvent::Totals => info!("{}", self.totals()),
        }
    }

    fn drain(&mut self) {
        match self.phase {
            ServerPhase::Running => {
                let now = self.shared.now;
                let (half, whole) = (self.limits.drain_timeout / 2, self.limits.drain_timeout);
                self.phase = ServerPhase::Draining { finish_at: now + half, stop_at: now + whole };
                info!("draining: {} peers, at most {:?}", self.shared.admission.open(), whole);
                self.endpoints.iter_mut().for_each(|room| room.drain(&mut self.shared));
            }
            ServerPhase::Draining { .. } | ServerPhase::Finishing { .. } => self.stop(),
            ServerPhase::Stopping => {}
        }
    }

    fn stop(&mut self) {
        if self.phase != ServerPhase::Stopping {
            self.phase = ServerPhase::Stopping;
            info!("stopping: {} peers are cut off", self.shared.admission.open());
            self.endpoints.iter_mut().for_each(|room| room.stop(&mut self.shared));
        }
    }

    /// Whether the server was drained or stopped and its last peer is gone.
    pub fn is_done(&self) -> bool {
        self.phase != ServerPhase::Running && self.endpoints.iter().all(|room| room.is_empty())
    }

    /// Until when to sleep unless a fact comes; `None`: for ever.
    fn next_work(&self) -> Option<Instant> {
        let phase_at = match self.phase {
            ServerPhase::Running => Instant::NEVER,
            ServerPhase::Draining { finish_at, .. } => finish_at,
            ServerPhase::Finishing { stop_at } => stop_at,
            ServerPhase::Stopping => Instant::ORIGIN,
        };
        let work_at = self.endpoints.iter().map(|room| room.next_work(&self.shared)).fold(phase_at, Instant::min);
        (work_at != Instant::NEVER).then_some(work_at)
    }

    /// Everything counted so far.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals {
            open: self.shared.admission.open() as u64,
            refused_full: self.shared.refused_full,
            refused_address: self.shared.refused_address,
            accept_errors: self.shared.accept_errors,
            connects_failed: self.shared.connects_failed,
            turns: self.turns,
            duration: self.shared.net.now().since(self.started_at),
            ..Totals::default()
        };
        for room in &self.endpoints {
            room.add_to(&mut totals);
        }
        totals
    }

    /// A look at everything remembered.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            endpoints: self.endpoints.iter().map(|room| room.snapshot()).collect(),
            lent_bytes: self.shared.reserve.lent_bytes(),
            lent_bytes_max: self.shared.reserve.lent_bytes_max(),
            open: self.shared.admission.open(),
            now: self.shared.now,
            sleeps_until: self.next_work(),
            deadlines_wait: self.shared.told_in_part.is_some(),
        }
    }

    /// The net this server runs over.
    pub fn net(&self) -> &N {
        &self.shared.net
    }
}

/// Whether both are told of the same endpoint; a notice is of the whole server and stands for itself.
fn are_of_one_room(one: &Event, other: &Event) -> bool {
    match (one, other) {
        (Event::Ready(one), Event::Ready(other)) => endpoint::index_of(one.token) == endpoint::index_of(other.token),
        (Event::ControlEvent(_), _) | (_, Event::ControlEvent(_)) => false,
    }
}

#[cfg(test)]
mod tests;
