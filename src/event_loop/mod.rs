//! `EventLoop`: endpoints on one thread, and the turn that serves them.
//!
//! The loop decides the order of the steps of a turn. The modules below it implement the steps. It runs
//! over any [`Net`]: the reactor or the simulated world.

mod any_endpoint;
mod control;
mod datagrams;
mod endpoint;
mod endpoints;
mod handshakes;
mod inspector;
mod listen_error;
mod loop_state;
mod measurements;
mod measuring;
mod peer_log;
mod restart;
mod runtime_limits;
pub(crate) mod shutdown;
mod snapshot;
mod sources;
mod stages;
#[cfg(test)]
mod tests;
mod token;
mod transitions;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use crate::admission::{EndpointPurpose, ServerLimits, Totals};
use crate::instant::Instant;
use crate::net::{ControlEvent, Event, Handle, Net, PollOutcome};

pub use any_endpoint::EndpointId;
pub use endpoints::Dial;
pub use inspector::{Inspector, LoopView, PeerCursor, PeerView};
pub use listen_error::ListenError;
pub use measurements::{Histogram, Measurements, TurnPhase};
pub use restart::{ADMIN, Restart, TLS};
pub use shutdown::Stage;
pub use snapshot::{EndpointSnapshot, OpenStage, PeerSnapshot, Snapshot};
pub use sources::SourceEvent;
pub(crate) use token::peer_token;
pub use transitions::{PeerChange, Transition};

use any_endpoint::{AnyEndpoint, EndpointCell};
use control::ControlPolicy;
use inspector::Inquiries;
use loop_state::LoopState;
use restart::Succession;
use shutdown::Shutdown;
use sources::Sources;

/// A single-threaded event loop with any number of endpoints.
///
/// An endpoint has a service of its own. It accepts connections, opens them, or does both; see
/// [`listen`](Self::listen) and [`dial`](Self::dial). [`Server`](crate::Server) is another name of this type,
/// and a [`Client`](crate::client::Client) is a loop with one endpoint that only connects.
///
/// A program with another poll embeds the loop. It watches the [descriptor](std::os::fd::AsRawFd) of the
/// loop and sleeps at most for [`timeout`](Self::timeout). Then it calls [`turn`](Self::turn) with the time
/// of the last turn.
///
/// ```no_run
/// use std::net::SocketAddr;
///
/// use readyloop::service::{Chat, Discard};
/// use readyloop::{Dial, EventLoop, Lines, Reactor, ServerLimits};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut event_loop = EventLoop::new(Reactor::new()?, ServerLimits::default());
/// event_loop.listen("127.0.0.1:7007", Lines::new(), Chat::new())?;
/// let feed = event_loop.dial(Dial::default(), Lines::new(), Discard::new())?;
/// event_loop.connect(&feed, SocketAddr::from(([127, 0, 0, 1], 7008)), None, ());
/// println!("{}", event_loop.run()?);
/// # Ok(())
/// # }
/// ```
///
/// The loop uses the thread that calls it. It is not `Send`, because services need not be: build it on the
/// thread that runs it. Other threads control it through a [`Handle`] and send messages to its services
/// through a [`Sender`](crate::net::Sender).
pub struct EventLoop<N: Net> {
    state: LoopState<N>,
    endpoints: Vec<Box<dyn EndpointCell<N>>>,
    sources: Sources<N>,
    /// The events of the last poll.
    events: Vec<Event>,
    /// The control events among them.
    control_events: VecDeque<ControlEvent>,
    control: ControlPolicy,
    handle: Handle,
    inquiries: Inquiries,
    succession: Option<Succession<N>>,
    limits: ServerLimits,
    shutdown: Shutdown,
    started_at: Instant,
    turns: u64,
    /// The first generation of the keys of each endpoint.
    first_generation: u32,
}

impl<N: Net + 'static> EventLoop<N> {
    /// Creates an event loop without endpoints.
    pub fn new(net: N, limits: ServerLimits) -> Self {
        let handle = Handle::new(net.wake());
        Self {
            inquiries: Inquiries::new(&handle),
            handle,
            started_at: net.now(),
            state: LoopState::new(net, &limits),
            endpoints: Vec::new(),
            sources: Sources::default(),
            events: Vec::new(),
            control_events: VecDeque::new(),
            control: ControlPolicy::CARRY_OUT,
            succession: None,
            shutdown: Shutdown::new(&limits),
            limits,
            turns: 0,
            first_generation: 1,
        }
    }

    /// Starts the generations of the keys of all endpoints at `first`, so that a test can make them wrap.
    #[must_use]
    pub fn with_first_generation(self, first: u32) -> Self {
        Self { first_generation: first, ..self }
    }

    /// Limits the bytes that each endpoint moves in a turn, so that a test can make peers wait for the next.
    #[must_use]
    pub fn with_turn_bytes(mut self, bytes: usize) -> Self {
        self.state.turn_bytes = bytes;
        self
    }

    /// Returns a handle to control this loop from other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until the loop is drained or stopped and its last peer is gone.
    ///
    /// # Errors
    /// The poll fails. An error of one peer closes that peer and never ends the loop.
    pub fn run(&mut self) -> io::Result<Totals> {
        while !self.is_done() {
            self.turn(None)?;
        }
        Ok(self.totals())
    }

    /// Runs one turn. It sleeps until an event, a deadline or a wake-up, at most until `until`.
    ///
    /// An `until` that has passed, such as [`now`](Self::now), does not sleep.
    ///
    /// # Errors
    /// The poll fails.
    pub fn turn(&mut self, until: Option<Instant>) -> io::Result<()> {
        self.poll(until)?;
        // All steps of a turn happen at this time.
        self.state.now = self.state.net.now();
        self.measure_events();
        self.dispatch_events();
        let has_messages = !self.control_events.is_empty() || self.inquiries.are_waiting();
        self.deliver_messages();
        self.answer_inquiry();
        if has_messages {
            self.end_phase(TurnPhase::Deliver);
        }
        // Each endpoint: accept, connect, serve marked peers, expire deadlines and timers, reap closed peers.
        for cell in &mut self.endpoints {
            cell.endpoint_mut().turn(&mut self.state);
        }
        self.advance_shutdown();
        self.end_turn();
        Ok(())
    }

    fn poll(&mut self, until: Option<Instant>) -> io::Result<()> {
        let until = [self.next_work(), until].into_iter().flatten().min();
        let outcome = self.state.net.poll(&mut self.events, until)?;
        self.turns += 1;
        self.state.partial_poll = match outcome {
            PollOutcome::Complete => None,
            PollOutcome::Partial => {
                // The kernel reports every descriptor once before any of them twice. After as many events
                // as there are descriptors, none is left unreported.
                let reported = self.state.partial_poll.unwrap_or(0) + self.events.len();
                let descriptors = self.state.admission.descriptors() + self.endpoints.len() + self.sources.len();
                (reported <= descriptors).then_some(reported)
            }
        };
        Ok(())
    }

    /// Records readiness and marks the peers that the events name.
    ///
    /// No endpoint takes its turn before all events are recorded, so no slot is used again meanwhile.
    fn dispatch_events(&mut self) {
        for event in self.events.drain(..) {
            match event {
                Event::Ready(readiness) => match self.endpoints.get_mut(token::index_of(readiness.token)) {
                    Some(cell) => cell.endpoint_mut().handle_event(&readiness),
                    None => self.sources.handle_event(&readiness),
                },
                Event::Control(control_event) => self.control_events.push_back(control_event),
            }
        }
    }

    /// Calls the program's own sources, delivers messages of other threads, carries out control requests.
    fn deliver_messages(&mut self) {
        self.call_sources();
        for _ in 0..self.control_events.len() {
            match self.control_events.pop_front() {
                Some(ControlEvent::Wake) => {
                    for cell in &mut self.endpoints {
                        cell.endpoint_mut().deliver_messages(&mut self.state);
                    }
                    self.inquiries.handle_wake();
                    self.handle.take_requests().into_iter().for_each(|request| self.handle_control_event(request));
                }
                Some(control_event) => self.handle_control_event(control_event),
                None => {}
            }
        }
    }

    /// Applies a change to each endpoint that is not for administration.
    fn for_service_endpoints(&mut self, mut change: impl FnMut(&mut dyn AnyEndpoint<N>, &mut LoopState<N>)) {
        for cell in &mut self.endpoints {
            let endpoint = cell.endpoint_mut();
            if endpoint.purpose() == EndpointPurpose::Service {
                change(endpoint, &mut self.state);
            }
        }
    }

    /// Whether the loop is drained or stopped and its last peer is gone.
    pub fn is_done(&self) -> bool {
        !self.shutdown.stage().accepts() && self.is_idle()
    }

    /// Whether nothing is open, connecting or waiting to connect.
    pub fn is_idle(&self) -> bool {
        self.service_endpoints().all(AnyEndpoint::is_empty)
    }

    /// When there is work even if no event comes: [`Instant::ORIGIN`] if now, `None` if never.
    pub fn next_work(&self) -> Option<Instant> {
        let work_at = self
            .all_endpoints()
            .map(|endpoint| endpoint.next_work(&self.state))
            .fold(self.shutdown.next_at(), Instant::min);
        let work_at = if self.inquiries.are_waiting() { Instant::ORIGIN } else { work_at };
        (work_at != Instant::NEVER).then_some(work_at)
    }

    /// How long a foreign poll may sleep on the descriptor of this loop; `None` if without a limit.
    ///
    /// A poll with a timeout in milliseconds must round it up, or it wakes too early and polls again.
    pub fn timeout(&self) -> Option<Duration> {
        self.next_work().map(|work_at| work_at.since(self.state.net.now()))
    }

    fn all_endpoints(&self) -> impl Iterator<Item = &dyn AnyEndpoint<N>> {
        self.endpoints.iter().map(|cell| cell.endpoint())
    }

    /// The endpoints that are not for administration.
    fn service_endpoints(&self) -> impl Iterator<Item = &dyn AnyEndpoint<N>> {
        self.all_endpoints().filter(|endpoint| endpoint.purpose() == EndpointPurpose::Service)
    }

    /// Everything counted so far. Administration endpoints are not included.
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
        self.service_endpoints().for_each(|endpoint| endpoint.add_to(&mut totals));
        totals.with_bytes_of_open_peers()
    }

    /// Copies the whole state of the loop, for tests.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            endpoints: self.all_endpoints().map(AnyEndpoint::snapshot).collect(),
            lent_bytes: self.state.reserve.lent_bytes(),
            lent_bytes_max: self.state.reserve.lent_bytes_max(),
            turn_bytes: self.state.turn_bytes,
            open: self.state.admission.open(),
            now: self.state.now,
            sleeps_until: self.next_work(),
            stage: self.shutdown.stage(),
            next_stage_at: self.shutdown.next_at(),
            is_draining: self.shutdown.stage() > Stage::LameDuck,
            deadlines_wait: self.state.partial_poll.is_some(),
        }
    }

    /// The stage of the shutdown.
    pub fn stage(&self) -> Stage {
        self.shutdown.stage()
    }

    /// The time of the last turn.
    pub fn now(&self) -> Instant {
        self.state.now
    }

    /// The network that this loop runs over.
    pub fn net(&self) -> &N {
        &self.state.net
    }
}
